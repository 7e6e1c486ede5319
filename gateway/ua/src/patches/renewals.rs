//! Secure channels while they are renewed: what waits to be sent has the token of before, and so has what is under way.

use super::raw::header;
use opcua::core::comms::buffer::SendBuffer;
use opcua::core::comms::chunker::Chunker;
use opcua::core::comms::secure_channel::{Role, SecureChannel};
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::{CertificateStore, SecurityPolicy};
use opcua::sync::RwLock;
use opcua::types::{
    ChannelSecurityToken, DateTime, EndpointDescription, GetEndpointsRequest, GetEndpointsResponse,
    MessageSecurityMode, ResponseHeader, StatusCode,
};
use std::path::Path;
use std::sync::Arc;

const HOUR_MS: u32 = 3_600_000;
const CHUNK_BYTES: usize = 8_192;

/// The two ends of a channel, without what lies between them.
struct Ends {
    client: SecureChannel,
    server: SecureChannel,
}

impl Ends {
    fn new(mode: MessageSecurityMode) -> Self {
        let end = |role| {
            // There are no certificates, and none is needed.
            let certificates = Arc::new(RwLock::new(CertificateStore::new(Path::new("/nonexistent"))));
            let mut channel = SecureChannel::new(certificates, role, Arc::default());
            channel.set_security_policy(SecurityPolicy::Basic256Sha256);
            channel.set_security_mode(mode);
            channel
        };
        Self { client: end(Role::Client), server: end(Role::Server) }
    }

    /// From now on the channel has this token.
    fn renew(&mut self, token_id: u32) {
        let created_at = DateTime::now();
        let token = ChannelSecurityToken { channel_id: 1, token_id, created_at, revised_lifetime: HOUR_MS };
        let (client, server) = (&mut self.client, &mut self.server);
        client.create_random_nonce();
        server.create_random_nonce();
        client.set_remote_nonce(server.local_nonce());
        server.set_remote_nonce(client.local_nonce());
        for end in [client, server] {
            end.set_security_token(token.clone());
            end.derive_keys();
        }
    }
}

/// The next chunk as it is sent, while there is one.
async fn next(buffer: &mut SendBuffer, channel: &SecureChannel) -> Option<Vec<u8>> {
    if !buffer.should_encode_chunks() {
        return None;
    }
    let mut bytes = Vec::new();
    buffer.encode_next_chunk(channel).expect("it is secured");
    while buffer.can_read() {
        buffer.read_into_async(&mut bytes).await.expect("it fits");
    }
    Some(bytes)
}

#[tokio::test]
async fn an_answer_that_waits_to_be_sent_while_its_channel_is_renewed_can_be_read() {
    for mode in [MessageSecurityMode::Sign, MessageSecurityMode::SignAndEncrypt] {
        let mut ends = Ends::new(mode);
        ends.renew(1);
        let long = EndpointDescription { endpoint_url: "x".repeat(1_000).into(), ..EndpointDescription::default() };
        let answer = GetEndpointsResponse {
            response_header: ResponseHeader::new_good(&header()),
            endpoints: Some(vec![long; 100]),
        };
        let mut buffer = SendBuffer::new(CHUNK_BYTES, 0, 0, true);
        buffer.write(7, ResponseMessage::from(answer), &ends.server).expect("a message");
        let mut chunks = Vec::new();
        while let Some(bytes) = next(&mut buffer, &ends.server).await {
            chunks.push(ends.client.verify_and_remove_security(bytes.into()).expect("it is secured as it says"));
            if chunks.len() == 3 {
                ends.renew(2);
            }
        }
        assert!(chunks.len() > 10, "{mode:?}");
        let heard = Chunker::decode(&chunks, &ends.client, None).expect("an answer");
        let ResponseMessage::GetEndpoints(heard) = heard else { panic!("{mode:?}: {heard:?}") };
        assert_eq!(heard.endpoints.map(|all| all.len()), Some(100), "{mode:?}");
    }
}

#[tokio::test]
async fn of_a_channel_that_is_renewed_again_and_again_the_token_of_before_is_known_and_none_older() {
    let mut ends = Ends::new(MessageSecurityMode::SignAndEncrypt);
    let mut said = Vec::new();
    // The ids say nothing of which is newer.
    for token_id in [7, u32::MAX, 3] {
        ends.renew(token_id);
        let request = GetEndpointsRequest { request_header: header(), ..GetEndpointsRequest::default() };
        let mut buffer = SendBuffer::new(CHUNK_BYTES, 0, 0, true);
        buffer.write(7, RequestMessage::from(request), &ends.client).expect("a message");
        said.push(next(&mut buffer, &ends.client).await.expect("a chunk"));
    }
    let hear = |bytes: Vec<u8>| match ends.server.verify_and_remove_security_server(bytes.into()) {
        Ok(_) => StatusCode::Good,
        Err(error) => error.into(),
    };
    let heard: Vec<StatusCode> = said.into_iter().map(hear).collect();
    assert_eq!(heard, [StatusCode::BadSecureChannelTokenUnknown, StatusCode::Good, StatusCode::Good]);
}
