//! ServerProfileArray (OPC 10000-5 §6.3.2): the facets and profiles of OPC 10000-7 that are really there. Only what the
//! tests of docs/conditions.md show, whole; no certification stands behind it.

use opcua::types::UAString;
use watchfire_config::{Security, ServerConfig};

/// What is there whatever the configuration says.
const ALWAYS: [&str; 19] = [
    "http://opcfoundation.org/UA-Profile/Server/ACBaseCondition",
    "http://opcfoundation.org/UA-Profile/Server/ACRefresh2",
    "http://opcfoundation.org/UA-Profile/Server/ACAddressSpaceInstance",
    "http://opcfoundation.org/UA-Profile/Server/ACEnable",
    "http://opcfoundation.org/UA-Profile/Server/ACAlarmMetrics",
    "http://opcfoundation.org/UA-Profile/Server/ACAlarm",
    "http://opcfoundation.org/UA-Profile/Server/ACAckAlarm",
    "http://opcfoundation.org/UA-Profile/Server/ACExclusiveAlarming",
    "http://opcfoundation.org/UA-Profile/Server/ACNon-ExclusiveAlarming",
    "http://opcfoundation.org/UA-Profile/Server/ACPreviousInstances",
    "http://opcfoundation.org/UA-Profile/Server/ACCertificateExpiration",
    "http://opcfoundation.org/UA-Profile/Server/AddressSpaceNotifier",
    "http://opcfoundation.org/UA-Profile/Server/StandardEventSubscription",
    "http://opcfoundation.org/UA-Profile/Server/Methods",
    "http://opcfoundation.org/UA-Profile/Server/HistoricalRawData",
    "http://opcfoundation.org/UA-Profile/Server/HistoricalDataAtTime",
    "http://opcfoundation.org/UA-Profile/Server/AggregateHistorical",
    "http://opcfoundation.org/UA-Profile/Server/BaseHistoricalEvent",
    "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary",
];
const ANONYMOUS: &str = "http://opcfoundation.org/UA-Profile/Security/UserToken/Anonymous";
const PASSWORD: &str = "http://opcfoundation.org/UA-Profile/Security/UserToken/Server/UserNamePassword";
const CERTIFICATE: &str = "http://opcfoundation.org/UA-Profile/Security/UserToken/Server/X509Certificate";

/// The profiles of a server with this configuration, but for those of its users, who may change.
pub(crate) fn profiles(config: &ServerConfig) -> Vec<UAString> {
    let policies = config.security.iter().map(|security| match security {
        Security::None => "http://opcfoundation.org/UA/SecurityPolicy#None",
        Security::Basic256Sha256 => "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
        Security::Aes128Sha256RsaOaep => "http://opcfoundation.org/UA/SecurityPolicy#Aes128_Sha256_RsaOaep",
        Security::Aes256Sha256RsaPss => "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss",
    });
    let anonymous = config.anonymous.map(|_| ANONYMOUS);
    ALWAYS.into_iter().chain(policies).chain(anonymous).map(UAString::from).collect()
}

/// Those of its users: whether any log in with a password, and with a certificate.
pub(crate) fn of_users((password, certificate): (bool, bool)) -> impl Iterator<Item = UAString> {
    let password = password.then_some(PASSWORD);
    password.into_iter().chain(certificate.then_some(CERTIFICATE)).map(UAString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_that_is_always_there_is_in_the_pages() {
        let page = include_str!("../../../docs/conditions.md");
        for profile in ALWAYS {
            let name = profile.rsplit('/').next().unwrap();
            assert!(page.contains(&format!("`{name}`")), "docs/conditions.md does not tell what shows `{name}`");
        }
    }
}
