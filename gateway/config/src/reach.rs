//! How a server is reached beside its URL: others that stand in for it, and servers that open the connection themselves.

use std::net::SocketAddr;

use crate::EndpointUrl;
use crate::section::Section;

/// The other ways to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Servers with the same nodes that stand in for it, in the order in which they are tried.
    pub redundant: Vec<EndpointUrl>,
    /// Where to listen for the server, which opens the connection (reverse connect, OPC 10000-6 §7.1.3); `None`: the
    /// connection is opened to it.
    pub listen: Option<SocketAddr>,
}

impl Reach {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let redundant = match section.value("redundant_urls") {
            None => Vec::new(),
            Some(_) => section
                .required_texts("redundant_urls", "give addresses such as `[\"opc.tcp://standby:4840\"]`")
                .into_iter()
                .flatten()
                .filter_map(|url| {
                    let parsed = EndpointUrl::parse(url.text);
                    parsed.map_err(|error| section.wrong(url.at, format_args!("`redundant_urls`: {error}"))).ok()
                })
                .collect(),
        };
        let reverse = section.text("reverse_connect");
        let listen = reverse.and_then(|text| {
            let address: Option<SocketAddr> = text.text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
            if address.is_none() {
                let shown = text.text.escape_debug();
                let way_out = "write where to listen, such as `\"0.0.0.0:4845\"`";
                section
                    .wrong(text.at, format_args!("`reverse_connect` \"{shown}\" is no address with a port; {way_out}"));
            }
            address
        });
        if let (Some(text), false) = (reverse, redundant.is_empty()) {
            let message =
                "`reverse_connect` and `redundant_urls` are both given; the other servers would not be reached";
            section.wrong(text.at, message);
        }
        Self { redundant, listen }
    }
}
