//! Servers that stand in for each other (OPC 10000-4 §6.6.2): which there are, which is read, and when another one is
//! better. One is read at a time; what is missed while changing is a gap, and is fetched from the history of the server
//! that is read then. Only where servers mirror sessions (HotAndMirrored) subscriptions are taken over by the other one.

use std::collections::BTreeMap;
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{AttributeId, RedundancySupport, VariableId, Variant};
use watchfire_config::EndpointUrl;

use crate::SourceError;
use crate::connect::Connector;
use crate::redundant_set::RedundantSet;
use crate::server_info::{read, to_read};
use crate::standins::StandIns;
use crate::visit::visit;

/// From here on a server is healthy (OPC 10000-4 §6.6.2.4.2, table 104).
pub(crate) const HEALTHY: u8 = 200;
/// How long a lost session is tried to be taken up again while there are other servers.
pub(crate) const FAILOVER_AFTER: Duration = Duration::from_secs(5);

/// The servers of a source.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    /// Those that are configured, then those that they name themselves.
    all: Vec<EndpointUrl>,
    at: usize,
    /// How many have failed since one was read.
    failed: usize,
    /// Why each could not be read when that was last tried, by its place, since one was read.
    reasons: BTreeMap<usize, String>,
    /// What the one that was last read says of them.
    set: RedundantSet,
    /// The same for who waits for what another one has.
    standins: StandIns,
}

impl Servers {
    pub(crate) fn new(first: EndpointUrl, others: Vec<EndpointUrl>) -> Self {
        let mut all = vec![first];
        all.extend(others);
        let standins = StandIns::new(all.len());
        Self { all, at: 0, failed: 0, reasons: BTreeMap::new(), set: RedundantSet::default(), standins }
    }

    /// Which there are while this one is read.
    pub(crate) fn standins(&self) -> StandIns {
        self.standins.at(self.at)
    }

    /// The one that is read.
    pub(crate) fn current(&self) -> Option<&EndpointUrl> {
        self.all.get(self.at)
    }

    /// Whether there are others than the one that is read.
    pub(crate) fn has_others(&self) -> bool {
        self.all.len() > 1
    }

    fn others(&self) -> Vec<EndpointUrl> {
        self.all.iter().enumerate().filter(|(at, _)| *at != self.at).map(|(_, url)| url.clone()).collect()
    }

    /// Why the source is not read, now that this has happened to the server that was tried: with others what happened to
    /// each of them, so that it stays the same from round to round while nothing changes.
    pub(crate) fn reason(&mut self, error: &SourceError, was_up: bool) -> String {
        if was_up {
            self.reasons.clear();
        }
        let text = error.to_string();
        let url = self.current().filter(|_| self.has_others()).map(ToString::to_string);
        let Some(url) = url else { return text };
        let text = if text.contains(&url) { text } else { format!("`{url}`: {text}") };
        self.reasons.insert(self.at, text);
        self.reasons.values().map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// The one that is read has failed: the next one is to be tried. Returns whether each has been tried by now, so that
    /// it is time to wait. `has_held`: it was read for a while before.
    pub(crate) fn failed(&mut self, has_held: bool) -> bool {
        self.failed = if has_held { 1 } else { self.failed + 1 };
        self.at = (self.at + 1) % self.all.len().max(1);
        let all_tried = self.failed >= self.all.len();
        if all_tried {
            self.failed = 0;
        }
        all_tried
    }

    /// Another one is to be read.
    pub(crate) fn go_to(&mut self, url: &EndpointUrl) {
        if let Some(at) = self.all.iter().position(|known| known == url) {
            (self.at, self.failed) = (at, 0);
        }
    }

    /// Whether what one of them had is there at the others as well.
    pub(crate) fn are_mirrored(&self) -> bool {
        self.set.is_mirrored()
    }

    /// Takes over what the server that is read says of the set, and logs what is new.
    fn belong_to(&mut self, source: &str, set: RedundantSet) {
        // Nearly all say None, and are alone.
        if set.mode != self.set.mode
            && let Some(mode) = set.mode.filter(|mode| *mode != RedundancySupport::None)
        {
            tracing::info!(source, ?mode, "the server says how others stand in for it");
        }
        if set.contradicts_itself() && !self.set.contradicts_itself() && !self.has_others() {
            let others = set.uris.len();
            tracing::warn!(
                source,
                others,
                "the server names others and says that none stands in for it; set `redundant_urls` if they do"
            );
        }
        if let (Some(before), Some(now)) = (&self.set.current, &set.current)
            && before != now
        {
            tracing::warn!(source, before, now, "another server of the set answers");
        }
        self.set = set;
    }

    fn learn(&mut self, source: &str, found: Vec<EndpointUrl>) {
        for url in found {
            if !self.all.contains(&url) {
                tracing::info!(source, %url, "the server names another one that stands in for it");
                self.all.push(url);
            }
        }
    }
}

/// Waits until another server is better than the one that is read; for ever where there is no other. The first look
/// asks the server which others there are.
pub(crate) async fn better(connector: &Connector, session: &Session, servers: &mut Servers) -> EndpointUrl {
    session.wait_for_connection().await;
    let source = connector.config.name.as_str();
    let asked = async {
        let set = RedundantSet::of(session).await?;
        // Who opens connections by itself is not looked for elsewhere.
        let found = match connector.config.reach.listen {
            None => set.addresses(session, &connector.timing).await,
            Some(_) => Ok(Vec::new()),
        };
        servers.belong_to(source, set);
        found
    };
    match asked.await {
        Ok(found) => servers.learn(source, found),
        Err(error) => tracing::debug!(source, %error, "the server does not say which others there are"),
    }
    servers.standins.learn(servers.all.len());
    if !servers.has_others() {
        return std::future::pending().await;
    }
    loop {
        let level = level(session).await;
        if let Some(level) = level.filter(|level| *level < HEALTHY) {
            for url in servers.others() {
                let probe = connector.at(url.clone());
                let other =
                    visit(&probe, |session| async move { Ok(self::level(&session).await.unwrap_or(255)) }).await;
                match other {
                    Ok(other) if other > level => {
                        tracing::warn!(source, level, %url, its_level = other, "another server is better off; changing");
                        return url;
                    }
                    Ok(other) => tracing::debug!(source, level, %url, its_level = other, "no better off"),
                    Err(error) => tracing::debug!(source, %url, %error, "the other server cannot be asked"),
                }
            }
        }
        tokio::time::sleep(connector.timing.level).await;
    }
}

/// What the server says of its ability to serve (OPC 10000-5 §6.3.1); `None` where it does not.
pub(crate) async fn level(session: &Session) -> Option<u8> {
    let values = read(session, &[to_read(VariableId::Server_ServiceLevel.into(), AttributeId::Value)]).await.ok()?;
    match values.first()?.value {
        Some(Variant::Byte(level)) => Some(level),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_tried_once_before_it_is_time_to_wait() {
        let url = |port: u16| EndpointUrl { host: "plc".into(), port, path: String::new() };
        let mut servers = Servers::new(url(1), vec![url(2), url(3)]);
        let ports = |servers: &mut Servers, was_up: bool| {
            let waits = servers.failed(was_up);
            (servers.current().unwrap().port, waits)
        };
        assert_eq!([ports(&mut servers, false), ports(&mut servers, false)], [(2, false), (3, false)]);
        assert_eq!([ports(&mut servers, false), ports(&mut servers, false)], [(1, true), (2, false)]);
        assert_eq!(ports(&mut servers, true), (3, false), "one that was read is not tried at once again");
        servers.go_to(&url(1));
        servers.learn("plant", vec![url(2), url(9)]);
        assert_eq!(servers.others(), [url(2), url(3), url(9)]);
        assert!(Servers::new(url(1), Vec::new()).failed(true), "a single one is waited for at once");
    }

    #[test]
    fn servers_that_are_down_in_turn_have_one_reason() {
        let url = |port: u16| EndpointUrl { host: "plc".into(), port, path: String::new() };
        let mut servers = Servers::new(url(1), vec![url(2)]);
        let lost = |text: &str| SourceError::Lost(text.to_owned());
        let unreachable = |port| SourceError::Unreachable { url: url(port).to_string(), detail: "refused".to_owned() };
        let mut told = vec![servers.reason(&lost("cut"), true)];
        for port in [2, 1, 2, 1, 2, 1] {
            servers.failed(false);
            told.push(servers.reason(&unreachable(port), false));
        }
        assert_eq!(told[0], "`opc.tcp://plc:1`: connection lost: cut");
        let both = "cannot reach `opc.tcp://plc:1`: refused; cannot reach `opc.tcp://plc:2`: refused";
        assert_eq!(told[2..], [both; 5]);
        assert_eq!(servers.reason(&lost("cut again"), true), "`opc.tcp://plc:1`: connection lost: cut again");
        let mut alone = Servers::new(url(1), Vec::new());
        assert_eq!(alone.reason(&lost("cut"), true), "connection lost: cut");
    }

    #[test]
    fn what_a_server_says_of_its_set_decides_whether_it_is_left_and_what_is_kept() {
        use RedundancySupport as Mode;
        let uris = ["urn:b".to_owned()].into();
        let set = |mode| RedundantSet { mode, uris: Clone::clone(&uris), ..RedundantSet::default() };
        let told = [None, Some(Mode::None), Some(Mode::Cold), Some(Mode::Warm), Some(Mode::Hot)].map(set);
        assert_eq!(told.map(|set| set.is_left_for_others()), [true, false, true, true, true]);
        let told = [Some(Mode::Transparent), Some(Mode::HotAndMirrored)].map(set);
        assert_eq!(told.clone().map(|set| set.is_left_for_others()), [false, true]);
        assert_eq!(told.map(|set| set.is_mirrored()), [false, true]);
        assert!(
            !RedundantSet { mode: Some(Mode::Hot), ..RedundantSet::default() }.is_left_for_others(),
            "there is none"
        );
    }
}
