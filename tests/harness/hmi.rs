//! HMIs: the same questions and events, whichever library is behind them.

use std::path::Path;

use serde_json::{Value, json};

use super::peer::Peer;

/// Which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Asyncua,
    NodeOpcua,
    /// Listens, calls and refreshes, and no more.
    Open62541,
}

/// Those that do all.
pub const KINDS: [Kind; 2] = [Kind::Asyncua, Kind::NodeOpcua];

/// How an HMI connects.
#[derive(Clone, Copy, Debug, Default)]
pub struct As<'a> {
    pub user: Option<(&'a str, &'a str)>,
    pub pki: Option<&'a Path>,
}

/// A connected HMI with its alarm list.
#[derive(Debug)]
pub struct Hmi {
    pub peer: Peer,
    pub kind: Kind,
}

impl Hmi {
    /// Connects in the clear as nobody; must be let in.
    #[track_caller]
    pub fn connect(kind: Kind, url: &str) -> Self {
        Self::connect_as(kind, url, As::default()).unwrap()
    }

    /// Starts to connect; more than one can do so at once.
    pub fn begin(kind: Kind, url: &str, who: As<'_>) -> Self {
        let mut arguments = vec!["--url".to_owned(), url.to_owned()];
        if let Some((name, password)) = who.user {
            arguments.extend(["--user".to_owned(), name.to_owned(), password.to_owned()]);
        }
        if let Some(folder) = who.pki {
            arguments.extend(["--pki".to_owned(), folder.display().to_string()]);
        }
        let peer = match kind {
            Kind::Asyncua => Peer::python("hmi_asyncua", "hmi_asyncua.py", arguments),
            Kind::NodeOpcua => Peer::node("hmi_node", "hmi_node.mjs", arguments),
            Kind::Open62541 => Peer::python("hmi_open62541", "hmi_open62541.py", arguments),
        };
        Self { peer, kind }
    }

    /// Connects.
    ///
    /// # Errors
    /// What the library says when it is not let in.
    #[track_caller]
    pub fn connect_as(kind: Kind, url: &str, who: As<'_>) -> Result<Self, String> {
        let hmi = Self::begin(kind, url, who);
        hmi.peer.ready().map(|()| hmi)
    }

    /// Connects signed and encrypted with a policy and the certificate in a folder.
    ///
    /// # Errors
    /// What the library says when it is not let in.
    #[track_caller]
    pub fn connect_by(kind: Kind, url: &str, policy: &str, pki: &Path) -> Result<Self, String> {
        Self::connect_with(kind, url, &["--pki", &pki.display().to_string(), "--policy", policy])
    }

    /// Connects signed and encrypted with the certificate in a folder, and logs in with another, whose key lies beside
    /// it with the ending `pem`.
    ///
    /// # Errors
    /// What the library says when it is not let in.
    #[track_caller]
    pub fn log_in_by(kind: Kind, url: &str, pki: &Path, certificate: &Path) -> Result<Self, String> {
        let key = certificate.with_extension("pem").display().to_string();
        let (pki, certificate) = (pki.display().to_string(), certificate.display().to_string());
        Self::connect_with(kind, url, &["--pki", &pki, "--user-certificate", &certificate, &key])
    }

    #[track_caller]
    fn connect_with(kind: Kind, url: &str, more: &[&str]) -> Result<Self, String> {
        let arguments = [&["--url", url], more].concat();
        let peer = match kind {
            Kind::Asyncua => Peer::python("hmi_asyncua", "hmi_asyncua.py", arguments),
            Kind::NodeOpcua => Peer::node("hmi_node", "hmi_node.mjs", arguments),
            Kind::Open62541 => Peer::python("hmi_open62541", "hmi_open62541.py", arguments),
        };
        let hmi = Self { peer, kind };
        hmi.peer.ready().map(|()| hmi)
    }

    /// Where to begin to look for what comes from now on.
    pub fn mark(&self) -> usize {
        self.peer.process.said()
    }

    /// The first event of a condition since `begin` that `fits`; waits for it.
    #[track_caller]
    pub fn event(&self, begin: usize, condition: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.event_where(begin, condition, |event| event["conditionId"] == node_id(condition) && fits(event))
    }

    /// The first event since `begin` that `fits`, whichever condition it is of, but for its branches; waits for it.
    #[track_caller]
    pub fn event_where(&self, begin: usize, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.peer.unasked(&format!("to show {what}"), begin, |said| {
            let event = &said["event"];
            let main = event.is_object() && event["branch"].is_null();
            (said["via"] == "alarms" && main && fits(event)).then(|| event.clone())
        })
    }

    /// All events of a condition so far, in order.
    pub fn events(&self, condition: &str) -> Vec<Value> {
        let all = self.peer.all().into_iter().filter(|said| said["via"] == "alarms");
        all.map(|said| said["event"].clone()).filter(|event| event["conditionId"] == node_id(condition)).collect()
    }

    /// Calls a method with an EventId and a comment; answers the name of the result.
    #[track_caller]
    pub fn call(&mut self, method: &str, condition: &str, event: &str, text: Option<&str>) -> String {
        let with = json!({ "condition": node_id(condition), "event": event, "text": text });
        result(&self.peer.ask(method, with))
    }

    /// Calls a method by the browse names that lead to it from a condition; answers the name of the result.
    #[track_caller]
    pub fn method(&mut self, condition: &str, path: &str, arguments: Value) -> String {
        let with = json!({ "node": node_id(condition), "path": path, "arguments": arguments });
        result(&self.peer.ask("method", with))
    }

    /// Calls a method by its NodeId on whatever node; answers the name of the result.
    #[track_caller]
    pub fn invoke(&mut self, node: &str, method: &str, arguments: Value) -> String {
        result(&self.peer.ask("invoke", json!({ "node": node, "method": method, "arguments": arguments })))
    }

    /// ConditionRefresh: all that comes between its markers.
    #[track_caller]
    pub fn refresh(&mut self) -> Vec<Value> {
        self.refreshed("refresh")
    }

    /// The same by `refresh`, or by `refresh_item`, which is ConditionRefresh2 of the item of alarms.
    #[track_caller]
    pub fn refreshed(&mut self, how: &str) -> Vec<Value> {
        let begin = self.mark();
        assert_eq!(result(&self.peer.ask(how, json!({}))), "Good");
        let mut shown: Option<Vec<Value>> = None;
        self.peer.unasked("to show the end of the refresh", begin, |said| {
            if said["via"] != "alarms" {
                return None;
            }
            match (said["marker"].as_str(), &mut shown) {
                (Some("RefreshStart"), _) => shown = Some(Vec::new()),
                (Some("RefreshEnd"), _) => return shown.take(),
                (_, Some(shown)) => shown.extend(said.get("event").cloned()),
                _ => {}
            }
            None
        })
    }

    /// Values of variables of the gateway.
    #[track_caller]
    pub fn read(&mut self, nodes: &[&str]) -> Vec<Value> {
        let nodes: Vec<String> = nodes.iter().map(|node| node_id(node)).collect();
        self.peer.ask("read", json!({ "nodes": nodes }))["values"].as_array().unwrap().clone()
    }

    /// NodeIds of what a node of the gateway leads to, as the library browses it.
    #[track_caller]
    pub fn children(&mut self, node: &str) -> Vec<String> {
        let answer = self.peer.ask("children", json!({ "node": node_id(node) }));
        let nodes = answer["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
        nodes.iter().map(|node| node.as_str().unwrap().to_owned()).collect()
    }

    /// What the user's roles may do with a node of the gateway: NodeId of the role, bits of PermissionType.
    #[track_caller]
    pub fn permissions(&mut self, node: &str) -> Value {
        self.peer.ask("permissions", json!({ "node": node_id(node) }))["permissions"].clone()
    }

    /// Recorded values of a variable of the gateway: milliseconds since 1970, value.
    #[track_caller]
    pub fn history(&mut self, node: &str, from_ms: i64, to_ms: i64) -> Vec<(f64, Value)> {
        let with = json!({ "node": node_id(node), "from_ms": from_ms, "to_ms": to_ms });
        recorded(&self.peer.ask("history", with))
    }

    /// Events of alarms that a notifier told in a time (milliseconds since 1970), as the library reads them back.
    #[track_caller]
    pub fn past(&mut self, notifier: &str, from_ms: i64, to_ms: i64) -> Vec<Value> {
        self.past_of("i=2915", notifier, from_ms, to_ms)
    }

    /// The same of another type of events.
    #[track_caller]
    pub fn past_of(&mut self, kind: &str, notifier: &str, from_ms: i64, to_ms: i64) -> Vec<Value> {
        let with = json!({ "node": notifier, "from_ms": from_ms, "to_ms": to_ms, "kind": kind });
        let answer = self.peer.ask("past", with);
        answer["events"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// An aggregate of them by its number in the standard.
    #[track_caller]
    pub fn aggregate(
        &mut self,
        node: &str,
        (from_ms, to_ms): (i64, i64),
        interval_ms: i64,
        function: u32,
    ) -> Vec<(f64, Value)> {
        let with = json!({
            "node": node_id(node), "from_ms": from_ms, "to_ms": to_ms, "interval_ms": interval_ms, "function": function,
        });
        recorded(&self.peer.ask("aggregate", with))
    }

    /// Recorded values at given times (milliseconds since 1970).
    #[track_caller]
    pub fn at(&mut self, node: &str, times_ms: &[i64]) -> Vec<(f64, Value)> {
        recorded(&self.peer.ask("at", json!({ "node": node_id(node), "times_ms": times_ms })))
    }

    /// Writes an EventId to a variable of the gateway; answers the name of the result.
    #[track_caller]
    pub fn write(&mut self, node: &str, event: &str) -> String {
        result(&self.peer.ask("write", json!({ "node": node_id(node), "value": event })))
    }

    /// Writes a text.
    #[track_caller]
    pub fn write_text(&mut self, node: &str, text: &str) -> String {
        result(&self.peer.ask("write", json!({ "node": node_id(node), "text": text })))
    }
}

#[track_caller]
fn recorded(answer: &Value) -> Vec<(f64, Value)> {
    let one = |one: &Value| (one[0].as_f64().unwrap(), one[1].clone());
    answer["values"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(one).collect()
}

/// The NodeId of something of the gateway's own.
pub fn node_id(name: &str) -> String {
    format!("ns=2;s={name}")
}

fn result(answer: &Value) -> String {
    answer["result"].as_str().unwrap_or_default().to_owned()
}
