//! Asks a server which endpoints it has (OPC 10000-4 §5.5.4), over a channel of its own that is closed again.

use std::sync::Arc;

use opcua::client::transport::TransportPollResult;
use opcua::client::{ClientConfig, SessionBuilder};
use opcua::core::ResponseMessage;
use opcua::crypto::CertificateStore;
use opcua::sync::RwLock;
use opcua::types::{EndpointDescription, Error, GetEndpointsRequest, RequestHeader, StatusCode, UserTokenType};
use watchfire_ua::{Policy, Security};

use crate::dial::Dial;
use crate::{SourceError, Timing};

/// The server's endpoints.
pub(crate) async fn endpoints(
    client: &ClientConfig,
    store: Arc<RwLock<CertificateStore>>,
    dial: &Dial,
    timing: &Timing,
) -> Result<Vec<EndpointDescription>, SourceError> {
    let unreachable = |detail: String| SourceError::Unreachable { url: dial.url.to_string(), detail };
    match tokio::time::timeout(timing.connect, ask(client, store, dial, timing)).await {
        Ok(Ok(endpoints)) => Ok(endpoints),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no answer within {} s", timing.connect.as_secs_f32()))),
    }
}

async fn ask(
    client: &ClientConfig,
    store: Arc<RwLock<CertificateStore>>,
    dial: &Dial,
    timing: &Timing,
) -> Result<Vec<EndpointDescription>, Error> {
    let url = dial.url.to_string();
    let endpoint = EndpointDescription::from(url.as_str());
    let channel = SessionBuilder::new(client).connect_to_endpoint_directly(endpoint)?.build_channel(store)?;
    let mut transport = channel.connect_no_retry(dial).await?;
    let request = GetEndpointsRequest {
        request_header: RequestHeader { request_handle: channel.request_handle(), ..RequestHeader::dummy() },
        endpoint_url: url.into(),
        locale_ids: None,
        profile_uris: None,
    };
    let answer = {
        let mut asking = std::pin::pin!(channel.send(request, timing.request));
        loop {
            tokio::select! {
                answer = &mut asking => break answer?,
                polled = transport.poll() => {
                    if let TransportPollResult::Closed(status) = polled {
                        return Err(Error::new(status, "the server closed the connection"));
                    }
                }
            }
        }
    };
    channel.close_channel().await;
    while !matches!(transport.poll().await, TransportPollResult::Closed(_)) {}
    match answer {
        ResponseMessage::GetEndpoints(response) => Ok(response.endpoints.unwrap_or_default()),
        ResponseMessage::ServiceFault(fault) => {
            Err(Error::new(fault.response_header.service_result, "the server does not tell its endpoints"))
        }
        _ => Err(Error::new(StatusCode::BadUnknownResponse, "the server does not tell its endpoints")),
    }
}

/// The best endpoint that offers exactly this security and login. Of its ways to log in it has the one that is to be
/// used alone, with the policy spelled out: the stack takes the first of the kind, and signs nothing for a certificate
/// whose policy is left to the connection's (OPC 10000-4 §7.42).
pub(crate) fn choose(
    endpoints: &[EndpointDescription],
    security: Security,
    token: UserTokenType,
    url: &str,
) -> Result<EndpointDescription, SourceError> {
    endpoints
        .iter()
        .filter(|endpoint| security.is_offered_by(endpoint) && has_token(endpoint, token))
        .max_by_key(|endpoint| endpoint.security_level)
        .cloned()
        .map(|endpoint| with_login(endpoint, security, token))
        .ok_or_else(|| SourceError::NotOffered {
            url: url.to_owned(),
            wanted: security.to_string(),
            offered: offered(endpoints),
        })
}

fn with_login(mut endpoint: EndpointDescription, security: Security, token: UserTokenType) -> EndpointDescription {
    let known = |uri: &str| Policy::ALL.into_iter().position(|policy| policy.to_ua().to_uri() == uri);
    let mut logins = endpoint.user_identity_tokens.take().unwrap_or_default();
    logins.retain(|login| login.token_type == token);
    for login in &mut logins {
        if login.security_policy_uri.is_empty() && security.is_secured() {
            login.security_policy_uri = security.policy().to_uri().into();
        }
    }
    // Anything that is known before anything that is not; the strongest, for a password's sake.
    let best = logins.into_iter().max_by_key(|login| known(login.security_policy_uri.as_ref()));
    endpoint.user_identity_tokens = Some(best.into_iter().collect());
    endpoint
}

fn has_token(endpoint: &EndpointDescription, token: UserTokenType) -> bool {
    endpoint.user_identity_tokens.iter().flatten().any(|policy| policy.token_type == token)
}

/// The ways to log in. The last one cannot be configured.
const LOGINS: [(UserTokenType, &str); 4] = [
    (UserTokenType::Anonymous, "anonymous"),
    (UserTokenType::UserName, "user"),
    (UserTokenType::Certificate, "user certificate"),
    (UserTokenType::IssuedToken, "issued token"),
];

/// What an endpoint offers, for people: `Basic256Sha256/SignAndEncrypt (anonymous, user)`.
pub(crate) fn offer(endpoint: &EndpointDescription) -> String {
    let policy = endpoint.security_policy_uri.as_ref().rsplit('#').next().unwrap_or_default();
    let logins: Vec<&str> =
        LOGINS.into_iter().filter(|(token, _)| has_token(endpoint, *token)).map(|(_, name)| name).collect();
    format!("{policy}/{:?} ({})", endpoint.security_mode, logins.join(", "))
}

/// What a server offers.
fn offered(endpoints: &[EndpointDescription]) -> String {
    let mut offers: Vec<String> = endpoints.iter().map(offer).collect();
    offers.sort();
    offers.dedup();
    if offers.is_empty() { "nothing".to_owned() } else { offers.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::UserTokenPolicy;

    const SECURED: Security = Security::encrypted(Policy::Basic256Sha256);

    fn endpoint(security: Security, tokens: &[UserTokenType], level: u8) -> EndpointDescription {
        let policy = |token: &UserTokenType| UserTokenPolicy { token_type: *token, ..Default::default() };
        EndpointDescription {
            security_policy_uri: security.policy().to_uri().into(),
            security_mode: security.mode(),
            user_identity_tokens: Some(tokens.iter().map(policy).collect()),
            security_level: level,
            ..Default::default()
        }
    }

    #[test]
    fn only_an_endpoint_with_the_security_and_the_login_will_do() {
        let (anonymous, user) = (UserTokenType::Anonymous, UserTokenType::UserName);
        let all =
            [endpoint(Security::NONE, &[anonymous], 1), endpoint(SECURED, &[user], 2), endpoint(SECURED, &[user], 9)];
        assert_eq!(choose(&all, SECURED, user, "u").unwrap().security_level, 9);
        assert_eq!(choose(&all, Security::NONE, anonymous, "u").unwrap().security_level, 1);
        let error = choose(&all, Security::NONE, user, "opc.tcp://a").unwrap_err().to_string();
        assert!(error.contains("None/None (anonymous), ") || error.ends_with("to match"), "{error}");
        assert!(error.contains("Basic256Sha256/SignAndEncrypt (user)"), "{error}");
        assert!(choose(&[], Security::NONE, anonymous, "u").unwrap_err().to_string().contains("it offers nothing"));
    }

    #[test]
    fn of_several_logins_the_strongest_known_one_is_used_and_its_policy_spelled_out() {
        let login = |id: &str, uri: &str| UserTokenPolicy {
            policy_id: id.into(),
            token_type: UserTokenType::UserName,
            security_policy_uri: uri.into(),
            ..Default::default()
        };
        let uri = |policy: Policy| policy.to_ua().to_uri();
        let best = |security: Security, logins: Vec<UserTokenPolicy>| {
            let all = [EndpointDescription { user_identity_tokens: Some(logins), ..endpoint(security, &[], 1) }];
            let chosen = choose(&all, security, UserTokenType::UserName, "u").unwrap().user_identity_tokens.unwrap();
            assert_eq!(chosen.len(), 1);
            (chosen[0].policy_id.to_string(), chosen[0].security_policy_uri.to_string())
        };
        let plain = login("plain", uri(Policy::None));
        let unknown = login("unknown", "http://opcfoundation.org/UA/SecurityPolicy#ECC_nistP256");
        let strong = login("strong", uri(Policy::Aes256Sha256RsaPss));
        let of_the_connection = login("connection", "");
        for (security, logins, wanted) in [
            (SECURED, vec![plain.clone(), unknown.clone(), of_the_connection.clone()], "connection"),
            (SECURED, vec![of_the_connection.clone(), strong.clone()], "strong"),
            (Security::NONE, vec![plain.clone(), strong], "strong"),
            (Security::NONE, vec![unknown, plain], "plain"),
        ] {
            assert_eq!(best(security, logins).0, wanted);
        }
        assert_eq!(best(SECURED, vec![of_the_connection.clone()]).1, uri(Policy::Basic256Sha256));
        assert_eq!(best(Security::NONE, vec![of_the_connection]).1, "");
    }
}
