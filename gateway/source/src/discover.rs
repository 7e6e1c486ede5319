//! Asks a server which endpoints it has (OPC 10000-4 §5.5.4), over a channel of its own that is closed again.

use std::sync::Arc;

use opcua::client::transport::TransportPollResult;
use opcua::client::{ClientConfig, SessionBuilder};
use opcua::core::ResponseMessage;
use opcua::crypto::CertificateStore;
use opcua::sync::RwLock;
use opcua::types::{EndpointDescription, Error, GetEndpointsRequest, RequestHeader, StatusCode, UserTokenType};
use watchfire_ua::Security;

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

/// The best endpoint that offers exactly this security and login.
pub(crate) fn choose(
    endpoints: &[EndpointDescription],
    security: Security,
    with_user: bool,
    url: &str,
) -> Result<EndpointDescription, SourceError> {
    let token = if with_user { UserTokenType::UserName } else { UserTokenType::Anonymous };
    endpoints
        .iter()
        .filter(|endpoint| security.is_offered_by(endpoint) && has_token(endpoint, token))
        .max_by_key(|endpoint| endpoint.security_level)
        .cloned()
        .ok_or_else(|| SourceError::NotOffered {
            url: url.to_owned(),
            wanted: security.to_string(),
            offered: offered(endpoints),
        })
}

fn has_token(endpoint: &EndpointDescription, token: UserTokenType) -> bool {
    endpoint.user_identity_tokens.iter().flatten().any(|policy| policy.token_type == token)
}

/// What a server offers, for people: `Basic256Sha256/SignAndEncrypt (anonymous, user)`.
fn offered(endpoints: &[EndpointDescription]) -> String {
    let mut offers: Vec<String> = endpoints
        .iter()
        .map(|endpoint| {
            let policy = endpoint.security_policy_uri.as_ref().rsplit('#').next().unwrap_or_default();
            let logins: Vec<&str> = [(UserTokenType::Anonymous, "anonymous"), (UserTokenType::UserName, "user")]
                .into_iter()
                .filter(|(token, _)| has_token(endpoint, *token))
                .map(|(_, name)| name)
                .collect();
            format!("{policy}/{:?} ({})", endpoint.security_mode, logins.join(", "))
        })
        .collect();
    offers.sort();
    offers.dedup();
    if offers.is_empty() { "nothing".to_owned() } else { offers.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::UserTokenPolicy;

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
        let all = [
            endpoint(Security::None, &[anonymous], 1),
            endpoint(Security::Basic256Sha256, &[user], 2),
            endpoint(Security::Basic256Sha256, &[user], 9),
        ];
        assert_eq!(choose(&all, Security::Basic256Sha256, true, "u").unwrap().security_level, 9);
        assert_eq!(choose(&all, Security::None, false, "u").unwrap().security_level, 1);
        let error = choose(&all, Security::None, true, "opc.tcp://a").unwrap_err().to_string();
        assert!(error.contains("None/None (anonymous), ") || error.ends_with("to match"), "{error}");
        assert!(error.contains("Basic256Sha256/SignAndEncrypt (user)"), "{error}");
        assert!(choose(&[], Security::None, false, "u").unwrap_err().to_string().contains("it offers nothing"));
    }
}
