//! A client that speaks over a socket what no client should: bytes as they are, in the clear or secured.

use opcua::core::comms::buffer::SendBuffer;
use opcua::core::comms::chunker::Chunker;
use opcua::core::comms::message_chunk::{MessageChunk, MessageChunkType, MessageIsFinalType};
use opcua::core::comms::secure_channel::{Role, SecureChannel};
use opcua::core::comms::tcp_types::{ErrorMessage, HelloMessage};
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::{CertificateStore, PrivateKey, SecurityPolicy, X509};
use opcua::sync::RwLock;
use opcua::types::{
    DateTime, MessageSecurityMode, NodeId, OpenSecureChannelRequest, OpenSecureChannelResponse, RequestHeader,
    SecurityTokenRequestType, SimpleBinaryDecodable, SimpleBinaryEncodable, StatusCode,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How long the server is waited for; only where it does not do what it should.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
const BUFFER: usize = 65_535;

/// A socket, and what a client knows of the channel over it.
pub(super) struct Raw {
    pub(super) socket: TcpStream,
    pub(super) channel: SecureChannel,
    buffer: SendBuffer,
}

/// What a server says.
#[derive(Debug)]
pub(super) enum Said {
    Error(StatusCode),
    Answer(Box<ResponseMessage>),
    Closed,
}

pub(super) fn header() -> RequestHeader {
    RequestHeader::new(&NodeId::null(), &DateTime::now(), 1)
}

impl Raw {
    /// Connects with small buffers, and says hello.
    pub(super) async fn connect(port: u16) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        socket.set_send_buffer_size(4_096).expect("a small buffer");
        let socket = socket.connect(([127, 0, 0, 1], port).into()).await.expect("a connection");
        // There are no certificates, and none is needed.
        let certificates = Arc::new(RwLock::new(CertificateStore::new(Path::new("/nonexistent"))));
        let channel = SecureChannel::new(certificates, Role::Client, Arc::default());
        let buffer = SendBuffer::new(BUFFER, 0, 0, true);
        let mut raw = Self { socket, channel, buffer };
        let hello = HelloMessage::new(&format!("opc.tcp://127.0.0.1:{port}/"), BUFFER, BUFFER, 0, 0);
        let mut bytes = Vec::new();
        hello.encode(&mut bytes).expect("a hello");
        raw.socket.write_all(&bytes).await.expect("it is taken");
        let (kind, _) = raw.frame().await.expect("an acknowledgement");
        assert_eq!(&kind, b"ACK");
        raw
    }

    /// Opens a channel for an hour.
    pub(super) async fn open(port: u16) -> Self {
        let mut raw = Self::connect(port).await;
        let opened = raw.ask_for_channel(SecurityTokenRequestType::Issue, 3_600_000).await;
        raw.take(opened);
        raw
    }

    /// Secures what is said from now on, with this certificate and key, for a server with that one.
    pub(super) fn secure(&mut self, policy: SecurityPolicy, (own, key): &(X509, PrivateKey), server: &X509) {
        self.channel.set_cert(Some(own.clone()));
        self.channel.set_private_key(Some(key.clone()));
        self.channel.set_remote_cert(Some(server.clone()));
        self.channel.set_security_policy(policy);
        self.channel.set_security_mode(MessageSecurityMode::SignAndEncrypt);
    }

    /// Asks for a channel, or for another token of it, secured as the channel is by now; what the server says.
    pub(super) async fn ask_for_channel(&mut self, request_type: SecurityTokenRequestType, lifetime_ms: u32) -> Said {
        self.channel.create_random_nonce();
        let request = OpenSecureChannelRequest {
            request_header: header(),
            client_protocol_version: 0,
            request_type,
            security_mode: self.channel.security_mode(),
            client_nonce: self.channel.local_nonce_as_byte_string(),
            requested_lifetime: lifetime_ms,
        };
        self.ask(1, request).await
    }

    /// Takes the token that the server gave.
    pub(super) fn take(&mut self, said: Said) -> OpenSecureChannelResponse {
        let Said::Answer(answer) = said else { panic!("no channel: {said:?}") };
        let ResponseMessage::OpenSecureChannel(opened) = *answer else { panic!("{answer:?}") };
        self.channel.set_security_token(opened.security_token.clone());
        if self.channel.security_policy() != SecurityPolicy::None {
            self.channel.set_remote_nonce_from_byte_string(&opened.server_nonce).expect("a nonce");
            self.channel.derive_keys();
        }
        *opened
    }

    /// What the server says to a request.
    pub(super) async fn ask(&mut self, id: u32, request: impl Into<RequestMessage>) -> Said {
        let bytes = self.bytes(id, request).await;
        self.socket.write_all(&bytes).await.expect("it is taken");
        self.hear().await
    }

    /// A request as it is sent.
    pub(super) async fn bytes(&mut self, id: u32, request: impl Into<RequestMessage>) -> Vec<u8> {
        self.buffer.write(id, request.into(), &self.channel).expect("a message");
        let mut bytes = Vec::new();
        while self.buffer.should_encode_chunks() {
            self.buffer.encode_next_chunk(&self.channel).expect("a chunk");
            while self.buffer.can_read() {
                self.buffer.read_into_async(&mut bytes).await.expect("it fits");
            }
        }
        bytes
    }

    /// A piece of a message that does not end with it.
    pub(super) fn piece(&self, sequence_number: u32, data: &[u8]) -> Vec<u8> {
        let (kind, more) = (MessageChunkType::Message, MessageIsFinalType::Intermediate);
        MessageChunk::new(sequence_number, 7, kind, more, &self.channel, data).expect("a chunk").data.to_vec()
    }

    /// The next frame: its kind, and all of it.
    async fn frame(&mut self) -> Option<([u8; 3], Vec<u8>)> {
        let read = async {
            let mut bytes = vec![0; 8];
            self.socket.read_exact(&mut bytes).await.ok()?;
            let size = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
            bytes.resize(size, 0);
            self.socket.read_exact(&mut bytes[8..]).await.ok()?;
            Some(([bytes[0], bytes[1], bytes[2]], bytes))
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the server says something")
    }

    /// What the server says next.
    pub(super) async fn hear(&mut self) -> Said {
        let mut chunks = Vec::new();
        loop {
            let Some((kind, bytes)) = self.frame().await else { return Said::Closed };
            if &kind == b"ERR" {
                let error = ErrorMessage::decode(&mut bytes.as_slice(), &self.channel.decoding_options());
                return Said::Error(error.expect("an error").error);
            }
            let is_last = bytes[3] == b'F';
            chunks.push(self.channel.verify_and_remove_security(bytes.into()).expect("it is secured as it should be"));
            if is_last {
                let answer = Chunker::decode(&chunks, &self.channel, None).expect("an answer");
                return Said::Answer(Box::new(answer));
            }
        }
    }
}
