//! The security settings that a connection can have. Knows no certificate.

use std::fmt;
use std::str::FromStr;

use opcua::crypto::SecurityPolicy;
use opcua::types::{EndpointDescription, MessageSecurityMode};

use crate::UaError;

/// A security policy that we use (OPC 10000-7 §6.6); those that are no longer safe are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// None at all.
    None,
    /// Basic256Sha256.
    #[default]
    Basic256Sha256,
    /// Aes128_Sha256_RsaOaep.
    Aes128Sha256RsaOaep,
    /// Aes256_Sha256_RsaPss.
    Aes256Sha256RsaPss,
}

/// How a connection is secured: a policy, and what it does to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    policy: Policy,
    mode: MessageSecurityMode,
}

impl Policy {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Aes128Sha256RsaOaep, Self::Basic256Sha256, Self::Aes256Sha256RsaPss];

    /// The stack's name for it.
    #[must_use]
    pub const fn to_ua(self) -> SecurityPolicy {
        match self {
            Self::None => SecurityPolicy::None,
            Self::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
            Self::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
            Self::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic256Sha256 => "basic256sha256",
            Self::Aes128Sha256RsaOaep => "aes128_sha256_rsaoaep",
            Self::Aes256Sha256RsaPss => "aes256_sha256_rsapss",
        }
    }
}

impl Security {
    /// Not at all.
    pub const NONE: Self = Self { policy: Policy::None, mode: MessageSecurityMode::None };

    /// Signed and encrypted under a policy; [`Security::NONE`] for the policy that is none.
    #[must_use]
    pub const fn encrypted(policy: Policy) -> Self {
        match policy {
            Policy::None => Self::NONE,
            _ => Self { policy, mode: MessageSecurityMode::SignAndEncrypt },
        }
    }

    /// Signed alone under a policy; [`Security::NONE`] for the policy that is none.
    #[must_use]
    pub const fn signed(policy: Policy) -> Self {
        match policy {
            Policy::None => Self::NONE,
            _ => Self { policy, mode: MessageSecurityMode::Sign },
        }
    }

    /// The stack's security policy.
    #[must_use]
    pub const fn policy(self) -> SecurityPolicy {
        self.policy.to_ua()
    }

    /// The message security mode that goes with it.
    #[must_use]
    pub const fn mode(self) -> MessageSecurityMode {
        self.mode
    }

    /// Whether it secures anything.
    #[must_use]
    pub const fn is_secured(self) -> bool {
        !matches!(self.policy, Policy::None)
    }

    /// Whether an endpoint offers exactly this.
    #[must_use]
    pub fn is_offered_by(self, endpoint: &EndpointDescription) -> bool {
        // Compared as text: the stack logs an error for each policy that it does not know.
        endpoint.security_mode == self.mode && endpoint.security_policy_uri.as_ref() == self.policy().to_uri()
    }
}

impl FromStr for Policy {
    type Err = UaError;

    fn from_str(text: &str) -> Result<Self, UaError> {
        let found = Self::ALL.into_iter().find(|policy| policy.word() == text.to_ascii_lowercase());
        found.ok_or_else(|| UaError::Security { text: text.to_owned() })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.policy.word())?;
        if self.mode == MessageSecurityMode::Sign { f.write_str(" (signed alone)") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_matched_exactly() {
        for policy in Policy::ALL {
            assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
            let endpoint = |security: Security| EndpointDescription {
                security_policy_uri: security.policy().to_uri().into(),
                security_mode: security.mode(),
                ..Default::default()
            };
            let (signed, encrypted) = (Security::signed(policy), Security::encrypted(policy));
            assert!(signed.is_offered_by(&endpoint(signed)) && encrypted.is_offered_by(&endpoint(encrypted)));
            assert_eq!(encrypted.is_offered_by(&endpoint(signed)), policy == Policy::None);
            for other in Policy::ALL {
                assert_eq!(encrypted.is_offered_by(&endpoint(Security::encrypted(other))), other == policy);
            }
        }
        assert!("Basic128Rsa15".parse::<Policy>().is_err());
    }
}
