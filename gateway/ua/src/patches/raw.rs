//! A client that speaks over a socket what no client should: bytes as they are, in the clear.

use opcua::core::comms::buffer::SendBuffer;
use opcua::core::comms::chunker::Chunker;
use opcua::core::comms::message_chunk::{MessageChunk, MessageChunkType, MessageIsFinalType};
use opcua::core::comms::secure_channel::{Role, SecureChannel};
use opcua::core::comms::tcp_types::{ErrorMessage, HelloMessage};
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::CertificateStore;
use opcua::sync::RwLock;
use opcua::types::{
    DateTime, MessageSecurityMode, NodeId, OpenSecureChannelRequest, RequestHeader, SecurityTokenRequestType,
    SimpleBinaryDecodable, SimpleBinaryEncodable, StatusCode,
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
    channel: SecureChannel,
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
        let request = OpenSecureChannelRequest {
            request_header: header(),
            client_protocol_version: 0,
            request_type: SecurityTokenRequestType::Issue,
            security_mode: MessageSecurityMode::None,
            client_nonce: opcua::types::ByteString::null(),
            requested_lifetime: 3_600_000,
        };
        let bytes = raw.bytes(1, request).await;
        raw.socket.write_all(&bytes).await.expect("it is taken");
        let Said::Answer(answer) = raw.hear().await else { panic!("no channel") };
        let ResponseMessage::OpenSecureChannel(opened) = *answer else { panic!("{answer:?}") };
        raw.channel.set_security_token(opened.security_token);
        raw
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
            chunks.push(MessageChunk { data: bytes.into() });
            if is_last {
                let answer = Chunker::decode(&chunks, &self.channel, None).expect("an answer");
                return Said::Answer(Box::new(answer));
            }
        }
    }
}
