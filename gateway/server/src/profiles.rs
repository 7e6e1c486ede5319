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

/// The profiles of a server with this configuration.
pub(crate) fn profiles(config: &ServerConfig) -> Vec<UAString> {
    let policies = config.security.iter().map(|security| match security {
        Security::None => "http://opcfoundation.org/UA/SecurityPolicy#None",
        Security::Basic256Sha256 => "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
        Security::Aes128Sha256RsaOaep => "http://opcfoundation.org/UA/SecurityPolicy#Aes128_Sha256_RsaOaep",
        Security::Aes256Sha256RsaPss => "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss",
    });
    let anonymous = config.anonymous.map(|_| ANONYMOUS);
    let password = config.users.iter().any(|user| user.password_hash.is_some()).then_some(PASSWORD);
    let certificate = config.users.iter().any(|user| user.certificate.is_some()).then_some(CERTIFICATE);
    let users = anonymous.into_iter().chain(password).chain(certificate);
    ALWAYS.into_iter().chain(policies).chain(users).map(UAString::from).collect()
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
