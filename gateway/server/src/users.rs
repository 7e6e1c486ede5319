//! Who may log in, by a password or by a certificate, and what they are. Passwords are kept as Argon2id hashes and
//! checked off the runtime; the stack's own authenticator compares plain text.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use async_trait::async_trait;
use opcua::crypto::{SecurityPolicy, X509};
use opcua::server::ServerEndpoint;
use opcua::server::authenticator::{
    AuthManager, CoreServerPermissions, Password, SecurityClient, SecurityRequest, SessionEnd, SessionHolder,
    UserToken, user_pass_security_policy_id,
};
use opcua::types::{Error, MethodId, NodeId, ObjectId, StatusCode, UAString, UserTokenPolicy, UserTokenType};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use watchfire_config::{AccessConfig, Operation, Role, Roles, ServerConfig, ShownCertificate};
use watchfire_model::Clock;
use watchfire_ua::{Certificate, Peer, Pki};

use crate::audit::Audit;
use crate::audit_event::{AuditEvent, Outcome, cut};
use crate::error::ServerError;
use crate::lockout::{Begun, Lockout};
use crate::method_table;
use crate::refusals::Refused;
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
}

/// The certificate that a user shows.
#[derive(Clone, Debug)]
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

/// The users of the configuration.
pub(crate) struct Users {
    anonymous: Option<Roles>,
    users: BTreeMap<String, User>,
    /// The hashes there are: an unknown user's password is checked against one of them.
    hashes: Vec<Arc<str>>,
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
        let mut users = BTreeMap::new();
        for user in &config.users {
            let certificate = user.certificate.as_ref().map(|shown| Shown::read(&user.name, shown)).transpose()?;
            let hash = user.password_hash.as_deref().map(Arc::from);
            users.insert(user.name.clone(), User { hash, certificate, roles: user.roles });
        }
        Ok(Self {
            anonymous: config.anonymous,
            hashes: users.values().filter_map(|user| user.hash.clone()).collect(),
            hasher: RandomState::new(),
            users,
            access: config.access.clone(),
            lockout: Lockout::new(config.lockout),
            checks: Semaphore::new(CHECKS_AT_ONCE),
            pki,
            clock,
            audit,
        })
    }

    /// The roles of the user of a session; none for nobody that is known.
    pub(crate) fn roles(&self, token: &UserToken) -> Roles {
        if token.is_anonymous() {
            return self.anonymous.map_or_else(Roles::default, |roles| roles.and(Roles::of(&[Role::Anonymous])));
        }
        let logged_in = Roles::of(&[Role::Anonymous, Role::AuthenticatedUser]);
        self.users.get(&token.0).map_or_else(Roles::default, |user| user.roles.and(logged_in))
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
    fn any_hash(&self, name: &str) -> Option<&Arc<str>> {
        let count = u64::try_from(self.hashes.len()).ok().filter(|count| *count > 0)?;
        self.hashes.get(usize::try_from(self.hasher.hash_one(name) % count).ok()?)
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
        let known = self.users.get(name).and_then(|user| user.hash.as_ref());
        // An unknown user's password is checked as well, against another's, so that the answer takes as long.
        let fits = match known.or_else(|| self.any_hash(name)) {
            Some(hash) => self.check(hash.clone(), password.to_owned()).await,
            None => false,
        };
        if fits && known.is_some() {
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

    /// Whose certificate it is.
    fn owner(&self, certificate: &X509) -> Result<UserToken, String> {
        let der = certificate.to_der().map_err(|_| "it cannot be read".to_owned())?;
        let certificate = Certificate::first_of(&der).ok_or_else(|| "it cannot be read".to_owned())?;
        let is_theirs = |user: &User| user.certificate.as_ref().is_some_and(|shown| shown.is(&certificate));
        let owner = self.users.iter().find(|(_, user)| is_theirs(user));
        let Some((name, _)) = owner else {
            return Err(format!("certificate `{}` ({}) is no user's", certificate.subject(), certificate.thumbprint()));
        };
        let mut list = self.pki.trust_list().map_err(|error| error.to_string())?;
        // The configuration has chosen it; its time, a person's rejection and revocation lists still count.
        list.trusted.push(certificate.clone());
        let judged = list.judge(&certificate, &[], &Peer::default(), self.clock.now());
        judged.map_err(|refusal| format!("certificate `{}` of user `{name}` {refusal}", certificate.subject()))?;
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
        self.owner(certificate).map_err(|reason| {
            // The client is not told why.
            let from = client.address.map_or_else(String::new, |address| format!(" from {address}"));
            let (what, node) = (format!("log-in{from}: {reason}"), ObjectId::Server.into());
            let status = StatusCode::BadIdentityTokenRejected;
            self.audit.log(&Refused { user: "", what: &what, node: &node, status });
            Error::new(StatusCode::BadIdentityTokenRejected, "the certificate is no user's that may log in")
        })
    }

    fn admit_session(&self, holder: &SessionHolder, others: &[SessionHolder]) -> Result<(), StatusCode> {
        if seats::admits(holder, others) { Ok(()) } else { Err(StatusCode::BadTooManySessions) }
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
        let named = (!self.hashes.is_empty())
            .then(|| policy(UserTokenType::UserName, user_pass_security_policy_id(endpoint), encrypted(password)));
        // The key of the certificate signs by the policy of the messages, or where they are plain by the password's.
        let signs =
            if endpoint.security_policy() == SecurityPolicy::None { password } else { endpoint.security_policy() };
        let shown = self
            .users
            .values()
            .any(|user| user.certificate.is_some())
            .then(|| policy(UserTokenType::Certificate, CERTIFICATE_POLICY.into(), encrypted(signs)));
        anonymous.into_iter().chain(named).chain(shown).collect()
    }

    fn core_permissions(&self, token: &UserToken) -> CoreServerPermissions {
        CoreServerPermissions { read_diagnostics: self.may(token, Operation::Diagnostics) }
    }
}
