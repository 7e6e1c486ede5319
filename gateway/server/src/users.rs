//! Who may log in and what they may do. Passwords are kept as Argon2id hashes and checked off the runtime; the stack's
//! own authenticator compares plain text.

use std::collections::BTreeMap;
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use async_trait::async_trait;
use opcua::crypto::SecurityPolicy;
use opcua::server::ServerEndpoint;
use opcua::server::authenticator::{
    AuthManager, CoreServerPermissions, Password, UserToken, user_pass_security_policy_id,
};
use opcua::types::{Error, NodeId, StatusCode, UAString, UserTokenPolicy, UserTokenType};
use tokio::sync::Semaphore;
use watchfire_config::{Role, ServerConfig};

use crate::method_table;

/// Policy id that the stack expects of anonymous tokens.
const ANONYMOUS_POLICY: &str = "anonymous";
/// Passwords that are checked at one time: each takes 19 MiB and tens of milliseconds of CPU.
const CHECKS_AT_ONCE: usize = 2;

#[derive(Clone, Debug)]
struct User {
    hash: Arc<str>,
    role: Role,
}

/// The users of the configuration.
#[derive(Debug)]
pub(crate) struct Users {
    anonymous: Option<Role>,
    users: BTreeMap<String, User>,
    checks: Semaphore,
}

impl Users {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let user = |user: &watchfire_config::UserConfig| {
            (user.name.clone(), User { hash: user.password_hash.as_str().into(), role: user.role })
        };
        Self {
            anonymous: config.anonymous,
            users: config.users.iter().map(user).collect(),
            checks: Semaphore::new(CHECKS_AT_ONCE),
        }
    }

    /// What the user of a session may do; `None` for nobody that is known.
    pub(crate) fn role(&self, token: &UserToken) -> Option<Role> {
        if token.is_anonymous() { self.anonymous } else { self.users.get(&token.0).map(|user| user.role) }
    }

    /// Whether the user may acknowledge, confirm, comment, enable and disable.
    pub(crate) fn may_operate(&self, token: &UserToken) -> bool {
        self.role(token) == Some(Role::Operate)
    }

    async fn check(&self, hash: Arc<str>, password: String) -> bool {
        let Ok(_permit) = self.checks.acquire().await else { return false };
        let checked = tokio::task::spawn_blocking(move || {
            let parsed = PasswordHash::new(&hash);
            parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        checked.await.unwrap_or(false)
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

    async fn authenticate_username_identity_token(
        &self,
        _: &ServerEndpoint,
        username: &str,
        password: &Password,
    ) -> Result<UserToken, Error> {
        let user = self.users.get(username);
        // An unknown user's password is checked as well, against another's, so that the answer takes as long.
        let fits = match user.or(self.users.values().next()) {
            Some(checked) => self.check(checked.hash.clone(), password.get().to_owned()).await,
            None => false,
        };
        if fits && user.is_some() {
            return Ok(UserToken(username.to_owned()));
        }
        tracing::warn!(user = username, "a log-in was refused: no such user, or another password");
        Err(Error::new(StatusCode::BadIdentityTokenRejected, "no such user, or another password"))
    }

    fn is_user_executable(&self, token: &UserToken, method: &NodeId) -> bool {
        method_table::find(method).is_none() || self.may_operate(token)
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
        let uri = match endpoint.password_security_policy() {
            SecurityPolicy::None => UAString::null(),
            encrypted => encrypted.to_uri().into(),
        };
        let named = (!self.users.is_empty())
            .then(|| policy(UserTokenType::UserName, user_pass_security_policy_id(endpoint), uri));
        anonymous.into_iter().chain(named).collect()
    }

    fn core_permissions(&self, token: &UserToken) -> CoreServerPermissions {
        CoreServerPermissions { read_diagnostics: self.may_operate(token) }
    }
}
