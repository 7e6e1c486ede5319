//! The TCP connection under a session. The library's own takes only the first address of a host name, so that a
//! `localhost` of two families may find nobody, and leaves small requests waiting for acknowledgements.

use std::io;
use std::net::SocketAddr;

use opcua::client::ConnectionSource;
use opcua::client::transport::{
    Connector, RequestRecv, SecureChannelState, StreamConnection, StreamConnector, TcpTransport, TransportConfiguration,
};
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::types::{DecodingOptions, EndpointDescription, Error, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_util::codec::FramedRead;
use watchfire_config::EndpointUrl;

use crate::reverse::Door;

/// Connects to the configured URL, whatever address the server believes to have.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    /// Where to.
    pub url: EndpointUrl,
    /// Where the server comes to, if it opens the connection.
    pub listen: Option<SocketAddr>,
    /// How long it may take until the server has answered the first greeting.
    pub patience: Duration,
}

impl ConnectionSource for Dial {
    type Builder = Self;

    fn get_connector(&self, _endpoint: &EndpointDescription) -> Result<Self, Error> {
        Ok(self.clone())
    }
}

impl Connector for Dial {
    type Transport = TcpTransport;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        outgoing: RequestRecv,
        config: TransportConfiguration,
    ) -> Result<TcpTransport, Error> {
        let dial = |url: String, options: DecodingOptions| {
            let (to, listen) = (self.url.clone(), self.listen);
            async move {
                let stream = match listen {
                    None => dialled(&to).await,
                    Some(address) => awaited(address, &to).await,
                };
                let stream =
                    stream.map_err(|error| Error::new(StatusCode::BadCommunicationError, error.to_string()))?;
                let (reader, writer): (ReadHalf<TcpStream>, WriteHalf<TcpStream>) = tokio::io::split(stream);
                Ok(StreamConnection::new(FramedRead::new(reader, TcpCodec::new(options)), writer, url))
            }
        };
        let connector = StreamConnector::new(dial, self.url.to_string());
        match tokio::time::timeout(self.patience, connector.connect(channel, outgoing, config)).await {
            Ok(connected) => connected,
            Err(_) => {
                let message = format!("no answer within {} s", self.patience.as_secs_f32());
                Err(Error::new(StatusCode::BadTimeout, message))
            }
        }
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(self.url.to_string().as_str())
    }
}

/// The connection that the server opens.
async fn awaited(address: SocketAddr, url: &EndpointUrl) -> io::Result<TcpStream> {
    let door = Door::at(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen at {address} for the server: {error}")))?;
    Ok(door.wait_for(url).await)
}

/// The first of the host's addresses that answers.
async fn dialled(to: &EndpointUrl) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("host `{}` has no address", to.host));
    for address in tokio::net::lookup_host((to.host.as_str(), to.port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests are small and each waits for its answer: never hold one back to fill a packet.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
