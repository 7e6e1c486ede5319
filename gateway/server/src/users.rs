//! Who may log in, by a password or by a certificate, and what they are. Passwords are kept as Argon2id hashes and
//! checked off the runtime; the stack's own authenticator compares plain text.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use async_trait::async_trait;
use opcua::crypto::{SecurityPolicy, X509};
use opcua::server::ServerEndpoint;
use opcua::server::authenticator::{
    AuthManager, CoreServerPermissions, IdleSession, Password, SecurityClient, SecurityRequest, SessionEnd,
    SessionHolder, UserToken, user_pass_security_policy_id,
};
use opcua::sync::RwLock;
use opcua::types::{Error, MethodId, NodeId, StatusCode, UAString, UserTokenPolicy, UserTokenType};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use watchfire_config::{AccessConfig, Operation, Role, Roles, ServerConfig, ShownCertificate, UserConfig};
use watchfire_model::Clock;
use watchfire_ua::{Certificate, Peer, Pki};

use crate::audit::Audit;
use crate::audit_event::{AuditEvent, Outcome, cut};
use crate::error::ServerError;
use crate::lockout::{Begun, Lockout};
use crate::method_table;
use crate::rights::{Rights, operation_of};
use crate::seats;

/// Policy id that the stack expects of anonymous tokens.
const ANONYMOUS_POLICY: &str = "anonymous";
/// Policy id that the stack expects of certificates.
const CERTIFICATE_POLICY: &str = "x509";
/// Passwords that are checked at one time: each takes 19 MiB and tens of milliseconds of CPU.
const CHECKS_AT_ONCE: usize = 2;

#[derive(Clone, Debug)]
struct User {
    hash: Option<Arc<str>>,
    certificate: Option<Shown>,
    roles: Roles,
    locale: Option<String>,
    /// The revision of the users since which it is let in by what it is let in by now.
    since: u64,
}

impl User {
    /// Whether what it has logged in with may have been another's: something that let this user in is gone or another.
    fn must_log_in_again(&self, new: Option<&Self>) -> bool {
        let Some(new) = new else { return true };
        (self.hash.is_some() && self.hash != new.hash)
            || (self.certificate.is_some() && self.certificate != new.certificate)
    }

    /// What is different in the new one.
    fn step(&self, new: &Self) -> Option<UserStep> {
        if self.hash != new.hash || self.certificate != new.certificate {
            Some(UserStep::Login { sessions_end: self.must_log_in_again(Some(new)) })
        } else if self.roles != new.roles {
            Some(UserStep::Roles)
        } else {
            (self.locale != new.locale).then_some(UserStep::Locale)
        }
    }
}

/// The certificate that a user shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    This(Box<Certificate>),
    /// The one with this SHA-1, in small letters.
    Thumbprint(String),
}

impl Shown {
    fn read(user: &str, config: &ShownCertificate) -> Result<Self, ServerError> {
        let path = match config {
            ShownCertificate::Thumbprint(thumbprint) => return Ok(Self::Thumbprint(thumbprint.clone())),
            ShownCertificate::File(path) => path,
        };
        let failed =
            |detail: String| ServerError::UserCertificate { user: user.to_owned(), path: path.clone(), detail };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificate = Certificate::first_of(&bytes);
        certificate
            .map(|this| Self::This(Box::new(this)))
            .ok_or_else(|| failed("it holds no certificate, neither DER nor PEM".to_owned()))
    }

    fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::This(this) => **this == *certificate,
            Self::Thumbprint(thumbprint) => certificate.thumbprint().as_str() == thumbprint,
        }
    }
}

/// What becomes of a user where others are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStep {
    /// May log in from now on.
    Added,
    /// May not any more; its sessions end.
    Removed,
    /// Has another password or certificate.
    Login {
        /// Whether one was taken away or replaced, so that its sessions end, and not only added.
        sessions_end: bool,
    },
    /// Is something else.
    Roles,
    /// Is told in another language.
    Locale,
}

/// Other users than a server has, ready to be taken over.
#[derive(Debug)]
pub struct OtherUsers {
    /// What becomes of each that is not as it was, by name.
    pub steps: BTreeMap<String, UserStep>,
    users: BTreeMap<String, User>,
}

impl OtherUsers {
    /// Those whose sessions end.
    pub(crate) fn to_end(&self) -> BTreeSet<String> {
        let ends = |step: &UserStep| matches!(step, UserStep::Removed | UserStep::Login { sessions_end: true });
        self.steps.iter().filter(|(_, step)| ends(step)).map(|(name, _)| name.clone()).collect()
    }

    /// The languages of those who have one of their own.
    pub(crate) fn locales(&self) -> impl Iterator<Item = (&str, &str)> {
        self.users.iter().filter_map(|(name, user)| Some((name.as_str(), user.locale.as_deref()?)))
    }
}

/// Those who may log in.
struct Known {
    users: BTreeMap<String, User>,
    /// The hashes there are: an unknown user's password is checked against one of them.
    hashes: Vec<Arc<str>>,
    /// How often others came in their place.
    revision: u64,
}

impl Known {
    fn new(users: BTreeMap<String, User>, revision: u64) -> Arc<Self> {
        Arc::new(Self { hashes: users.values().filter_map(|user| user.hash.clone()).collect(), users, revision })
    }
}

/// Reads the certificates of users.
fn read(config: &ServerConfig) -> Result<BTreeMap<String, User>, ServerError> {
    let user = |user: &UserConfig| {
        let certificate = user.certificate.as_ref().map(|shown| Shown::read(&user.name, shown)).transpose()?;
        let hash = user.password_hash.as_deref().map(Arc::from);
        let read = User { hash, certificate, roles: user.roles, locale: user.locale.clone(), since: 0 };
        Ok((user.name.clone(), read))
    };
    config.users.iter().map(user).collect()
}

/// Why the certificates of users cannot be had, one by one: a server with one of them does not start. Blocks on files.
#[must_use]
pub fn unusable_certificates(config: &ServerConfig) -> Vec<ServerError> {
    config.users.iter().filter_map(|user| Shown::read(&user.name, user.certificate.as_ref()?).err()).collect()
}

/// The users of the configuration.
pub(crate) struct Users {
    anonymous: Option<Roles>,
    known: RwLock<Arc<Known>>,
    /// Which one, so that a name always takes as long.
    hasher: RandomState,
    access: AccessConfig,
    lockout: Lockout,
    checks: Semaphore,
    pki: Pki,
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,
}

impl Users {
    /// The users of a configuration. Reads their certificates.
    ///
    /// # Errors
    /// When a file holds no certificate.
    pub(crate) fn new(
        config: &ServerConfig,
        pki: Pki,
        clock: Arc<dyn Clock>,
        audit: Arc<Audit>,
    ) -> Result<Self, ServerError> {
        Ok(Self {
            anonymous: config.anonymous,
            known: RwLock::new(Known::new(read(config)?, 0)),
            hasher: RandomState::new(),
            access: config.access.clone(),
            lockout: Lockout::new(config.lockout),
            checks: Semaphore::new(CHECKS_AT_ONCE),
            pki,
            clock,
            audit,
        })
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().clone()
    }

    /// What other users would change. Reads their certificates.
    ///
    /// # Errors
    /// When a file holds no certificate.
    pub(crate) fn compare(&self, config: &ServerConfig) -> Result<OtherUsers, ServerError> {
        let (known, users) = (self.known(), read(config)?);
        let gone = known.users.keys().filter(|name| !users.contains_key(*name));
        let gone = gone.map(|name| (name.clone(), UserStep::Removed));
        let others = users.iter().filter_map(|(name, user)| {
            let step = known.users.get(name).map_or(Some(UserStep::Added), |before| before.step(user))?;
            Some((name.clone(), step))
        });
        let steps = gone.chain(others).collect();
        Ok(OtherUsers { steps, users })
    }

    /// Others may log in from now on. Whoever is about to by what counts no longer gets no session.
    pub(crate) fn replace(&self, others: OtherUsers) {
        let (mut known, mut users) = (self.known.write(), others.users);
        let revision = known.revision.saturating_add(1);
        for (name, user) in &mut users {
            let before = known.users.get(name).filter(|before| !before.must_log_in_again(Some(user)));
            user.since = before.map_or(revision, |before| before.since);
        }
        *known = Known::new(users, revision);
    }

    /// Whether anybody may log in with a password, and with a certificate.
    pub(crate) fn ways_in(&self) -> (bool, bool) {
        let known = self.known();
        (!known.hashes.is_empty(), known.users.values().any(|user| user.certificate.is_some()))
    }

    /// The roles of the user of a session; none for nobody that is known.
    pub(crate) fn roles(&self, token: &UserToken) -> Roles {
        if token.is_anonymous() {
            return self.anonymous.map_or_else(Roles::default, |roles| roles.and(Roles::of(&[Role::Anonymous])));
        }
        let logged_in = Roles::of(&[Role::Anonymous, Role::AuthenticatedUser]);
        self.known.read().users.get(&token.0).map_or_else(Roles::default, |user| user.roles.and(logged_in))
    }

    /// What the user of a session may do.
    pub(crate) fn rights(&self, token: &UserToken) -> Rights<'_> {
        Rights { roles: self.roles(token), access: &self.access }
    }

    /// Whether the user of a session may do something.
    pub(crate) fn may(&self, token: &UserToken, operation: Operation) -> bool {
        self.rights(token).may(operation)
    }

    async fn check(&self, hash: Arc<str>, password: String) -> bool {
        let checked = tokio::task::spawn_blocking(move || {
            let parsed = PasswordHash::new(&hash);
            parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        checked.await.unwrap_or(false)
    }

    /// A hash that stands in for an unknown user's.
    fn any_hash<'k>(&self, known: &'k Known, name: &str) -> Option<&'k Arc<str>> {
        let count = u64::try_from(known.hashes.len()).ok().filter(|count| *count > 0)?;
        known.hashes.get(usize::try_from(self.hasher.hash_one(name) % count).ok()?)
    }

    fn refuse_if_locked(&self, user: &str, address: Option<IpAddr>) -> Result<(), Error> {
        let Some(Begun { locked, wait }) = self.lockout.locked(user, address, Instant::now()) else { return Ok(()) };
        tracing::debug!(user = %cut(user), ?address, ?locked, wait_s = wait.as_secs(), "a log-in must wait");
        Err(Error::new(StatusCode::BadUserAccessDenied, "too many log-ins failed; wait"))
    }

    /// Whether a password is a user's, unless it has to wait.
    async fn log_in(&self, name: &str, password: &str, address: Option<IpAddr>) -> Result<UserToken, Error> {
        self.refuse_if_locked(name, address)?;
        let refused = || Error::new(StatusCode::BadIdentityTokenRejected, "no such user, or another password");
        let Ok(_permit) = self.checks.acquire().await else { return Err(refused()) };
        // Again, since others may have failed while this one waited.
        self.refuse_if_locked(name, address)?;
        let known = self.known();
        let own = known.users.get(name).and_then(|user| user.hash.as_ref());
        // An unknown user's password is checked as well, against another's, so that the answer takes as long.
        let fits = match own.or_else(|| self.any_hash(&known, name)) {
            Some(hash) => self.check(hash.clone(), password.to_owned()).await,
            None => false,
        };
        // Not the password of before, if there is another by now: who logs in with that must not outlast its sessions.
        let still = self.known().users.get(name).is_some_and(|user| user.hash.as_ref() == own);
        if fits && own.is_some() && still {
            self.lockout.succeeded(name, address);
            return Ok(UserToken(name.to_owned()));
        }
        for Begun { locked, wait } in self.lockout.failed(name, address, Instant::now()) {
            tracing::warn!(
                user = %cut(name),
                ?address,
                ?locked,
                wait_s = wait.as_secs(),
                "too many log-ins failed: the next must wait"
            );
        }
        Err(refused())
    }

    /// Whose certificate it is; else why nobody gets in by it, and the status that stands for that.
    fn owner(&self, der: &[u8]) -> Result<UserToken, (StatusCode, String)> {
        let certificate = Certificate::first_of(der)
            .ok_or_else(|| (StatusCode::BadCertificateInvalid, "its certificate cannot be read".to_owned()))?;
        let is_theirs = |user: &User| user.certificate.as_ref().is_some_and(|shown| shown.is(&certificate));
        let known = self.known();
        let owner = known.users.iter().find(|(_, user)| is_theirs(user));
        let Some((name, _)) = owner else {
            let why = format!("certificate `{}` ({}) is no user's", certificate.subject(), certificate.thumbprint());
            return Err((StatusCode::BadCertificateUntrusted, why));
        };
        let list = self.pki.trust_list();
        let mut list = list.map_err(|error| (StatusCode::BadCertificateUntrusted, error.to_string()))?;
        // The configuration has chosen it; its time, a person's rejection and revocation lists still count.
        list.trusted.push(certificate.clone());
        let judged = list.judge(&certificate, &[], &Peer::default(), self.clock.now());
        judged.map_err(|refusal| {
            let why = format!("certificate `{}` of user `{name}` {refusal}", certificate.subject());
            (refusal.status(&certificate), why)
        })?;
        Ok(UserToken(name.clone()))
    }
}

/// The name under which a session's user is put on record.
pub(crate) fn name_of(token: &UserToken) -> &str {
    if token.is_anonymous() { "anonymous" } else { &token.0 }
}

#[async_trait]
impl AuthManager for Users {
    async fn authenticate_anonymous_token(&self, _: &ServerEndpoint) -> Result<(), Error> {
        match self.anonymous {
            Some(_) => Ok(()),
            None => Err(Error::new(StatusCode::BadIdentityTokenRejected, "anonymous clients are not allowed")),
        }
    }

    async fn authenticate_username_of_client(
        &self,
        _: &ServerEndpoint,
        username: &str,
        password: &Password,
        client: &SecurityClient,
    ) -> Result<UserToken, Error> {
        self.log_in(username, password.get(), client.address.as_ref().map(SocketAddr::ip)).await
    }

    async fn authenticate_x509_of_client(
        &self,
        _: &ServerEndpoint,
        certificate: &X509,
        client: &SecurityClient,
    ) -> Result<UserToken, Error> {
        let der = certificate.to_der().unwrap_or_default();
        self.owner(&der).map_err(|(status, reason)| {
            // The client is not told why; who watches is (OPC 10000-4 §6.5.6).
            let from = client.address.map_or_else(String::new, |address| format!(" from {address}"));
            let outcome = Outcome { server: &self.audit.server, at: self.clock.now(), status };
            self.audit.tell(AuditEvent::of_user_certificate(&der, &format!("log-in{from}: {reason}"), outcome));
            Error::new(StatusCode::BadIdentityTokenRejected, "the certificate is no user's that may log in")
        })
    }

    fn users_revision(&self) -> u64 {
        self.known.read().revision
    }

    fn admit_session(
        &self,
        holder: &SessionHolder,
        others: &[SessionHolder],
        users_revision: u64,
    ) -> Result<(), StatusCode> {
        // Under the stack's lock on sessions, and so not while those end of who may no longer log in: a session that is
        // made afterwards would outlast them, were it by a password or a certificate of before.
        let counts = |user: &User| user.since <= users_revision;
        if !holder.user.is_anonymous() && !self.known.read().users.get(&holder.user.0).is_some_and(counts) {
            return Err(StatusCode::BadIdentityTokenRejected);
        }
        if seats::admits(holder, others) { Ok(()) } else { Err(StatusCode::BadTooManySessions) }
    }

    fn choose_session_to_end(
        &self,
        holder: &SessionHolder,
        others: &[SessionHolder],
        idle: &[IdleSession],
    ) -> Option<usize> {
        seats::gives_way(holder, others, idle)
    }

    fn audit(&self, client: &SecurityClient, request: SecurityRequest<'_>, session_id: &NodeId, status: StatusCode) {
        let outcome = Outcome { server: &self.audit.server, at: self.clock.now(), status };
        for event in AuditEvent::of_security(client, request, session_id, outcome) {
            self.audit.tell(event);
        }
    }

    fn audit_session_end(&self, session_id: &NodeId, user: Option<&UserToken>, end: SessionEnd) {
        let status = StatusCode::Good;
        let outcome = Outcome { server: &self.audit.server, at: self.clock.now(), status };
        self.audit.tell(AuditEvent::of_session_end(session_id, user, end, outcome));
    }

    fn audit_unreadable(&self, client: &SecurityClient, status: StatusCode) {
        let outcome = Outcome { server: &self.audit.server, at: self.clock.now(), status };
        self.audit.tell(AuditEvent::of_unreadable(client, outcome));
    }

    fn audit_refused_filter(&self, token: &UserToken, node: &NodeId, status: StatusCode) {
        let outcome = Outcome { server: &self.audit.server, at: self.clock.now(), status };
        self.audit.tell(AuditEvent::of_filter(node, name_of(token), outcome));
    }

    fn is_user_executable(&self, token: &UserToken, method: &NodeId) -> bool {
        if *method == NodeId::from(MethodId::AlarmMetricsType_Reset) {
            return self.may(token, Operation::Reset);
        }
        method_table::find(method).is_none_or(|method| self.may(token, operation_of(method.kind)))
    }

    fn user_token_policies(&self, endpoint: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        let policy = |token_type, policy_id, security_policy_uri| UserTokenPolicy {
            policy_id,
            token_type,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri,
        };
        let anonymous =
            self.anonymous.map(|_| policy(UserTokenType::Anonymous, ANONYMOUS_POLICY.into(), UAString::null()));
        // Where the messages are plain, the password is encrypted all the same.
        let encrypted = |policy: SecurityPolicy| match policy {
            SecurityPolicy::None => UAString::null(),
            encrypted => encrypted.to_uri().into(),
        };
        let password = endpoint.password_security_policy();
        let (by_password, by_certificate) = self.ways_in();
        let named = by_password
            .then(|| policy(UserTokenType::UserName, user_pass_security_policy_id(endpoint), encrypted(password)));
        // The key of the certificate signs by the policy of the messages, or where they are plain by the password's.
        let signs =
            if endpoint.security_policy() == SecurityPolicy::None { password } else { endpoint.security_policy() };
        let shown =
            by_certificate.then(|| policy(UserTokenType::Certificate, CERTIFICATE_POLICY.into(), encrypted(signs)));
        anonymous.into_iter().chain(named).chain(shown).collect()
    }

    fn core_permissions(&self, token: &UserToken) -> CoreServerPermissions {
        CoreServerPermissions { read_diagnostics: self.may(token, Operation::Diagnostics) }
    }
}
