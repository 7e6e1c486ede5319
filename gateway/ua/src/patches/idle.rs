//! Sessions that nobody uses give way to others where the application says so, and those that are used do not.

use super::sessions::{Login, WAIT_MAX, connect, header, open_session, serve_with, session_at};
use async_trait::async_trait;
use opcua::client::{DataChangeCallback, Session};
use opcua::core::ResponseMessage;
use opcua::server::ServerEndpoint;
use opcua::server::authenticator::{AuthManager, IdleSession, SessionEnd, SessionHolder, UserToken};
use opcua::sync::Mutex;
use opcua::types::{
    ActivateSessionRequest, CreateSessionResponse, CreateSubscriptionRequest, Error, NodeId, ReadRequest, ReadValueId,
    StatusCode, UAString, UserTokenPolicy, UserTokenType, VariableId,
};
use std::sync::Arc;
use std::time::Duration;

/// Sessions that there are.
const PLACES: usize = 4;

/// Lets in whom there is a place for, and ends the session that was idle for the longest time for it.
#[derive(Default)]
struct Places {
    ended: Mutex<Vec<NodeId>>,
}

#[async_trait]
impl AuthManager for Places {
    async fn authenticate_anonymous_token(&self, _: &ServerEndpoint) -> Result<(), Error> {
        Ok(())
    }

    fn admit_session(&self, _: &SessionHolder, others: &[SessionHolder], _: u64) -> Result<(), StatusCode> {
        if others.len() < PLACES { Ok(()) } else { Err(StatusCode::BadTooManySessions) }
    }

    fn choose_session_to_end(
        &self,
        holder: &SessionHolder,
        others: &[SessionHolder],
        idle: &[IdleSession],
    ) -> Option<usize> {
        assert_eq!(others.len(), PLACES);
        assert!(idle.is_sorted_by_key(|session| std::cmp::Reverse(session.idle)), "{idle:?}");
        assert!(idle.iter().all(|session| session.holder.is_same(holder)));
        (!idle.is_empty()).then_some(0)
    }

    fn audit_session_end(&self, session: &NodeId, user: Option<&UserToken>, end: SessionEnd) {
        assert!(user.is_some_and(UserToken::is_anonymous) && matches!(end, SessionEnd::Terminated));
        self.ended.lock().push(session.clone());
    }

    fn user_token_policies(&self, _: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        vec![UserTokenPolicy {
            policy_id: "anonymous".into(),
            token_type: UserTokenType::Anonymous,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri: UAString::null(),
        }]
    }
}

async fn subscribe(through: &Session, session: &CreateSessionResponse) {
    let subscribe = CreateSubscriptionRequest {
        request_header: header(session),
        requested_publishing_interval: 1_000.0,
        requested_max_keep_alive_count: 100,
        requested_lifetime_count: 1_000,
        ..CreateSubscriptionRequest::default()
    };
    let answer = through.channel().send(subscribe, WAIT_MAX).await.expect("an answer");
    assert!(matches!(answer, ResponseMessage::CreateSubscription(_)), "{answer:?}");
}

/// What a session is answered that reads something.
async fn read(through: &Session, session: &CreateSessionResponse) -> StatusCode {
    let time = ReadValueId::from(NodeId::from(VariableId::Server_ServerStatus_CurrentTime));
    let read =
        ReadRequest { request_header: header(session), nodes_to_read: Some(vec![time]), ..ReadRequest::default() };
    through.channel().send(read, WAIT_MAX).await.expect("an answer").response_header().service_result
}

#[tokio::test]
async fn the_session_that_was_idle_for_the_longest_time_gives_way_and_none_with_a_subscription() {
    let places = Arc::new(Places::default());
    let (url, pki, _handle) = serve_with(places.clone()).await;
    // Its own has a subscription, so that it stays however slowly this goes.
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let nothing = DataChangeCallback::new(|_, _| {});
    client.create_subscription(Duration::from_secs(1), 1_000, 100, 0, 0, true, nothing).await.expect("one");
    let open = async || open_session(&client, &url, Login::Nobody).await.0;
    let (first, second, third) = (open().await, open().await, open().await);
    subscribe(&client, &first).await;
    // The first to come is not the one that has been idle for longest.
    assert_eq!(read(&client, &second).await, StatusCode::Good);
    let fourth = open().await;
    assert_eq!(places.ended.lock().as_slice(), std::slice::from_ref(&third.session_id));
    assert_eq!(read(&client, &third).await, StatusCode::BadSessionIdInvalid);
    for session in [&first, &second, &fourth] {
        assert_eq!(read(&client, session).await, StatusCode::Good);
    }
    let fifth = open().await;
    assert_eq!(*places.ended.lock(), [third.session_id.clone(), second.session_id.clone()]);

    for session in [&fourth, &fifth] {
        subscribe(&client, session).await;
    }
    let answer = client.channel().send(session_at(&url, "one more"), WAIT_MAX).await.expect("an answer");
    let ResponseMessage::CreateSession(created) = answer else { panic!("{answer:?}") };
    let activate = ActivateSessionRequest {
        request_header: header(&created),
        user_identity_token: Login::Nobody.token(),
        ..ActivateSessionRequest::default()
    };
    let answer = client.channel().send(activate, WAIT_MAX).await.expect("an answer");
    assert_eq!(answer.response_header().service_result, StatusCode::BadTooManySessions, "all are used");
    assert_eq!(places.ended.lock().len(), 2);
}
