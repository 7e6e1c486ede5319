//! What a server says of the set it belongs to (OPC 10000-5 §6.3.7 to §6.3.9), and what that means for whoever reads one
//! of them (OPC 10000-4 §6.6.2). Which of them is read is not known here.

use std::collections::BTreeSet;

use opcua::client::Session;
use opcua::core::ResponseMessage;
use opcua::types::{
    AttributeId, DataValue, FindServersRequest, RedundancySupport, RedundantServerDataType, RequestHeader, VariableId,
    Variant,
};
use watchfire_config::EndpointUrl;

use crate::server_info::{read, to_read};
use crate::{SourceError, Timing};

/// A set of servers as one of them describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RedundantSet {
    /// How they stand in for each other; `None` where it is not told.
    pub mode: Option<RedundancySupport>,
    /// Which of a transparent set's servers answers.
    pub current: Option<String>,
    /// The application URIs of the servers, but for the one that was asked.
    pub uris: BTreeSet<String>,
}

impl RedundantSet {
    /// Asks a server.
    ///
    /// # Errors
    /// When the connection fails; what a server does not tell is left out.
    pub(crate) async fn of(session: &Session) -> Result<Self, SourceError> {
        let nodes = [
            VariableId::Server_ServerRedundancy_RedundancySupport,
            VariableId::Server_ServerRedundancy_CurrentServerId,
            VariableId::Server_ServerRedundancy_ServerUriArray,
            VariableId::Server_ServerRedundancy_RedundantServerArray,
            VariableId::Server_ServerArray,
        ];
        let values = read(session, &nodes.map(|node| to_read(node.into(), AttributeId::Value))).await?;
        let mode = match values.first().and_then(|value| value.value.as_ref()) {
            Some(Variant::Int32(mode)) => RedundancySupport::try_from(*mode).ok(),
            _ => None,
        };
        let current = values.get(1).and_then(|value| text(value.value.as_ref()?)).filter(|id| !id.is_empty());
        let mut uris: BTreeSet<String> = [2, 3].iter().filter_map(|at| values.get(*at)).flat_map(texts).collect();
        // The first of the ServerArray is the server itself.
        if let Some(own) = values.get(4).and_then(|value| texts(value).into_iter().next()) {
            uris.remove(&own);
        }
        Ok(Self { mode, current, uris })
    }

    /// Whether one goes to another address when this server is lost: not within a transparent set, which has one address,
    /// and not where the server says that nobody stands in for it. One that names others and tells no mode is believed.
    pub(crate) fn is_left_for_others(&self) -> bool {
        !matches!(self.mode, Some(RedundancySupport::None | RedundancySupport::Transparent)) && !self.uris.is_empty()
    }

    /// Whether sessions and subscriptions are there at the others as well.
    pub(crate) fn is_mirrored(&self) -> bool {
        self.mode == Some(RedundancySupport::HotAndMirrored)
    }

    /// Whether it names others though it says that nobody stands in for it.
    pub(crate) fn contradicts_itself(&self) -> bool {
        self.mode == Some(RedundancySupport::None) && !self.uris.is_empty()
    }

    /// The URLs of those to whom one goes, where the server knows them (FindServers).
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn addresses(&self, session: &Session, timing: &Timing) -> Result<Vec<EndpointUrl>, SourceError> {
        if !self.is_left_for_others() {
            return Ok(Vec::new());
        }
        let channel = session.channel();
        let request = FindServersRequest {
            request_header: RequestHeader { request_handle: channel.request_handle(), ..RequestHeader::dummy() },
            endpoint_url: session.endpoint_info().endpoint.endpoint_url.clone(),
            locale_ids: None,
            server_uris: Some(self.uris.iter().map(|uri| uri.as_str().into()).collect()),
        };
        let answer = channel.send(request, timing.request).await;
        let servers = match answer {
            Ok(ResponseMessage::FindServers(response)) => response.servers.unwrap_or_default(),
            Ok(_) => Vec::new(),
            Err(error) => {
                return Err(SourceError::Request { doing: "asking for other servers", status: error.into() });
            }
        };
        let of_them = servers.into_iter().filter(|server| self.uris.contains(server.application_uri.as_ref()));
        let urls = of_them.filter_map(|server| {
            let urls = server.discovery_urls?;
            urls.iter().find_map(|url| EndpointUrl::parse(url.as_ref()).ok())
        });
        Ok(urls.collect())
    }
}

fn text(value: &Variant) -> Option<String> {
    match value {
        Variant::String(text) => text.value().clone(),
        Variant::ExtensionObject(server) => {
            server.inner_as::<RedundantServerDataType>().and_then(|server| server.server_id.value().clone())
        }
        _ => None,
    }
}

fn texts(value: &DataValue) -> Vec<String> {
    let Some(Variant::Array(array)) = &value.value else { return Vec::new() };
    array.values.iter().filter_map(text).collect()
}
