//! The security settings that a connection can have. Knows no certificate.

use std::fmt;
use std::str::FromStr;

use opcua::crypto::SecurityPolicy;
use opcua::types::{EndpointDescription, MessageSecurityMode};

use crate::UaError;

/// How a connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// Not at all.
    None,
    /// Basic256Sha256, signed and encrypted (OPC 10000-7 §6.6.165).
    #[default]
    Basic256Sha256,
}

impl Security {
    /// The stack's security policy.
    #[must_use]
    pub const fn policy(self) -> SecurityPolicy {
        match self {
            Self::None => SecurityPolicy::None,
            Self::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
        }
    }

    /// The message security mode that goes with it.
    #[must_use]
    pub const fn mode(self) -> MessageSecurityMode {
        match self {
            Self::None => MessageSecurityMode::None,
            Self::Basic256Sha256 => MessageSecurityMode::SignAndEncrypt,
        }
    }

    /// Whether an endpoint offers exactly this.
    #[must_use]
    pub fn is_offered_by(self, endpoint: &EndpointDescription) -> bool {
        endpoint.security_mode == self.mode()
            && SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref()) == self.policy()
    }
}

impl FromStr for Security {
    type Err = UaError;

    fn from_str(text: &str) -> Result<Self, UaError> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "basic256sha256" => Ok(Self::Basic256Sha256),
            _ => Err(UaError::Security { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Basic256Sha256 => "basic256sha256",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_matched_exactly() {
        for security in [Security::None, Security::Basic256Sha256] {
            assert_eq!(security.to_string().parse::<Security>().unwrap(), security);
            let endpoint = EndpointDescription {
                security_policy_uri: security.policy().to_uri().into(),
                security_mode: security.mode(),
                ..Default::default()
            };
            assert!(security.is_offered_by(&endpoint));
            let signed_only = EndpointDescription { security_mode: MessageSecurityMode::Sign, ..endpoint };
            assert!(!security.is_offered_by(&signed_only));
        }
        assert!("Basic128Rsa15".parse::<Security>().is_err());
    }
}
