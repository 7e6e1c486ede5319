//! Examines a source's server step by step, as a person would who has to find out why nothing comes: address, endpoint,
//! certificates, login, limits, clock, a trial subscription, history. Says of each step how it is and what mends it.

mod limits;
mod security;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::{DataChangeCallback, HistoryReadAction, Session};
use opcua::types::{
    AttributeId, DateTime, HistoryData, HistoryReadValueId, MonitoredItemCreateRequest, MonitoringMode,
    MonitoringParameters, NodeId, ReadRawModifiedDetails, RedundancySupport, TimestampsToReturn, VariableId, Variant,
};
use tokio::sync::Notify;
use tokio::time::Instant as Timer;
use watchfire_config::{EndpointUrl, Security, SourceConfig, open_to_others};
use watchfire_model::{Clock, Instant};
use watchfire_ua::{UaError, date_time_from_instant, instant_from_date_time};

use crate::browse::{BrowseLimits, Browser};
use crate::connect::Connector;
use crate::redundant_set::RedundantSet;
use crate::reverse::Door;
use crate::server_info::{Limits, namespaces, read, to_read};
use crate::survey::nodes_of;
use crate::visit::{connector, visit};
use crate::{SourceError, login, redundancy};

/// Signals that are tried.
const TRIED: usize = 5;
/// How long the trial subscription waits for its first value.
const FIRST_VALUE_MAX: Duration = Duration::from_secs(10);
/// A clock that is off by more is worth a warning, and by more is an error: alarms would be at the wrong time.
const SKEW_MS: (i64, i64) = (1_000, 60_000);
/// The bit of AccessLevel that says that history may be read.
const HISTORY_READ: u8 = 4;

/// How a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but something is worth a look.
    Warn,
    /// It does not work.
    Fail,
}

/// What was found out in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// The step.
    pub step: &'static str,
    /// What was found, with the way out where there is one.
    pub text: String,
}

/// Servers of a set that are examined; those that servers name beyond it are not.
const SERVERS_MAX: usize = 16;

/// Examines the servers of a source, one after the other, and tells each finding as soon as it is known: those that are
/// configured, then those that they name as their stand-ins. Reads only; the trial subscription is taken away again.
/// Takes some seconds a server, half a minute where nobody answers, a minute and a half where one is to come by itself.
pub async fn diagnose(config: &SourceConfig, pki_dir: PathBuf, clock: Arc<dyn Clock>, tell: impl Fn(Finding)) {
    let primary = connector(config, pki_dir, clock.clone());
    let mut servers = vec![config.url.clone()];
    servers.extend(config.reach.redundant.iter().cloned());
    let mut examined = 0;
    while let Some(url) = servers.get(examined).cloned() {
        let count = servers.len();
        if count > 1 {
            let text = format!("{} of {count}: `{url}`", examined + 1);
            tell(Finding { verdict: Verdict::Ok, step: "server", text });
        }
        let connector = primary.at(url);
        let others = diagnose_one(&connector, &tell).await;
        let new = others.into_iter().filter(|other| !servers.contains(other)).collect::<Vec<_>>();
        servers.extend(new);
        servers.truncate(SERVERS_MAX);
        examined += 1;
    }
}

/// Examines one server; answers which others it names.
async fn diagnose_one(connector: &Connector, tell: &impl Fn(Finding)) -> Vec<EndpointUrl> {
    let (config, clock) = (&connector.config, connector.clock.clone());
    let say = |verdict, step, text: String| tell(Finding { verdict, step, text });
    // Whoever holds the door also keeps who has come by it.
    let _door = match config.reach.listen.map(|address| (address, Door::at(address))) {
        None => {
            if let Err(why) = reached(config, &say).await {
                let way_out = "check `url`, that the server runs, and what lies between";
                say(Verdict::Fail, "address", format!("`{}` cannot be reached: {why}; {way_out}", config.url));
                return Vec::new();
            }
            None
        }
        Some((address, Err(error))) => {
            let way_out = "while the gateway runs it is the gateway that listens there: stop it for as long";
            say(Verdict::Fail, "address", format!("cannot listen at {address} for the server: {error}; {way_out}"));
            return Vec::new();
        }
        Some((address, Ok(door))) => {
            let began = Timer::now();
            if tokio::time::timeout(connector.timing.connect, door.come(&config.url)).await.is_err() {
                let way_out = format!(
                    "have the server open a connection to this machine at port {} and name itself `{}`, and check what \
                     lies between",
                    address.port(),
                    config.url
                );
                let waited = began.elapsed().as_secs();
                say(Verdict::Fail, "address", format!("no server came to {address} within {waited} s; {way_out}"));
                return Vec::new();
            }
            let after = began.elapsed().as_millis();
            say(
                Verdict::Ok,
                "address",
                format!("`{}` came to {address} after {after} ms (reverse connect)", config.url),
            );
            Some(door)
        }
    };
    if !security::examine(connector, &say).await {
        return Vec::new();
    }
    let examined = visit(connector, |session| async move { Ok(in_session(session, connector, &*clock).await) });
    match examined.await {
        Ok((findings, others)) => {
            if config.security != Security::None {
                say(Verdict::Ok, "certificates", "the server trusts ours".to_owned());
            }
            say(Verdict::Ok, "login", login::name(config));
            for (key, file) in config.secret_files() {
                if let Some(why) = open_to_others(file) {
                    say(Verdict::Warn, "login", format!("`{}` (`{key}`) {why}", file.display()));
                }
            }
            findings.into_iter().for_each(tell);
            others
        }
        Err(error) => {
            if matches!(error, SourceError::Login { .. }) && config.security != Security::None {
                say(Verdict::Ok, "certificates", "the server trusts ours".to_owned());
            }
            let again = format!("; then run `watchfire doctor {}` again", config.name);
            let again = if error.needs_person() { again } else { String::new() };
            say(Verdict::Fail, step_of(&error), format!("{error}{again}"));
            Vec::new()
        }
    }
}

/// Whether anything listens where the server is to be.
async fn reached(config: &SourceConfig, say: &impl Fn(Verdict, &'static str, String)) -> Result<(), String> {
    let to = (config.url.host.as_str(), config.url.port);
    let began = Timer::now();
    match tokio::time::timeout(Duration::from_secs(10), tokio::net::TcpStream::connect(to)).await {
        Ok(Ok(_)) => {
            say(Verdict::Ok, "address", format!("`{}` answers after {} ms", config.url, began.elapsed().as_millis()));
            Ok(())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer within 10 s".to_owned()),
    }
}

/// The step in which an error stands in the way.
const fn step_of(error: &SourceError) -> &'static str {
    match error {
        SourceError::NotOffered { .. } => "endpoint",
        SourceError::Certificate(_) | SourceError::RefusesUs { .. } | SourceError::Ua(UaError::Pki { .. }) => {
            "certificates"
        }
        SourceError::Login { .. } | SourceError::Password(_) | SourceError::UserCertificate { .. } => "login",
        _ => "session",
    }
}

/// The findings of a session, in their order, and which servers it names as its stand-ins.
async fn in_session(
    session: Arc<Session>,
    connector: &Connector,
    clock: &dyn Clock,
) -> (Vec<Finding>, Vec<EndpointUrl>) {
    let mut findings = Vec::new();
    let config = &connector.config;
    let steps = steps(&session, config, clock, &mut findings).await;
    if let Err(error) = steps {
        findings.push(Finding { verdict: Verdict::Fail, step: "session", text: error.to_string() });
    }
    // Who opens connections by itself is not looked for elsewhere.
    let set = RedundantSet::of(&session).await.unwrap_or_default();
    let others = match config.reach.listen {
        None => set.addresses(&session, &connector.timing).await.unwrap_or_default(),
        Some(_) => Vec::new(),
    };
    let level = redundancy::level(&session).await;
    findings.extend(stand_ins(config, level, &set, &others));
    (findings, others)
}

/// How a server stands within its set; nothing where it is alone and well.
fn stand_ins(config: &SourceConfig, level: Option<u8>, set: &RedundantSet, others: &[EndpointUrl]) -> Option<Finding> {
    let is_well = level.is_none_or(|level| level >= redundancy::HEALTHY);
    let is_alone = matches!(set.mode, None | Some(RedundancySupport::None)) && set.uris.is_empty();
    if is_alone && config.reach.redundant.is_empty() && is_well {
        return None;
    }
    let named: Vec<String> = others.iter().map(|url| format!("`{url}`")).collect();
    let named = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
    let level = level.map_or_else(|| "not told".to_owned(), |level| level.to_string());
    let mut way_out = if is_well { "" } else { "; below 200 another server of the set is read if it is better off" };
    let is_unused = set.contradicts_itself() && config.reach.redundant.is_empty();
    if is_unused {
        way_out = "; it has others in its ServerUriArray: set `redundant_urls` if they stand in for it all the same";
    }
    let verdict = if is_well && !is_unused { Verdict::Ok } else { Verdict::Warn };
    let mode = how(set);
    let text = format!("its ServiceLevel is {level}, its mode {mode}, as stand-ins it names {named}{way_out}");
    Some(Finding { verdict, step: "redundancy", text })
}

/// How the servers of a set stand in for each other, and what follows.
fn how(set: &RedundantSet) -> String {
    match set.mode {
        None => "not told".to_owned(),
        Some(RedundancySupport::Transparent) => {
            let current = set.current.as_deref().unwrap_or("one that it does not name");
            format!("Transparent (one address for all; now answers {current})")
        }
        Some(RedundancySupport::HotAndMirrored) => "HotAndMirrored (subscriptions go on at the others)".to_owned(),
        Some(mode @ RedundancySupport::None) => format!("{mode:?}"),
        Some(mode) => format!("{mode:?} (at another one subscriptions are made anew)"),
    }
}

async fn steps(
    session: &Arc<Session>,
    config: &SourceConfig,
    clock: &dyn Clock,
    findings: &mut Vec<Finding>,
) -> Result<(), SourceError> {
    findings.extend(limits::examine(session, config).await?);
    let mut say = |(verdict, text): (Verdict, String), step| findings.push(Finding { verdict, step, text });
    say(skew(session, clock).await?, "clock");
    let browse = BrowseLimits::of(session, config.profile).await?;
    let mut browser = Browser::new(session.clone(), browse);
    let namespaces = namespaces(session).await?;
    let tried = config.signals.get(..TRIED.min(config.signals.len())).unwrap_or_default();
    let found = nodes_of(session, &mut browser, browse, &namespaces, tried).await?;
    let mut nodes: Vec<NodeId> = found.into_iter().flatten().collect();
    if nodes.is_empty() {
        // Every server has its own time, and it changes.
        nodes.push(VariableId::Server_ServerStatus_CurrentTime.into());
    }
    let at_once = Limits::of(session, config.profile).await?.create;
    say(trial(session, config, &nodes, at_once).await, "subscription");
    say(history(session, &nodes).await?, "history");
    Ok(())
}

async fn skew(session: &Session, clock: &dyn Clock) -> Result<(Verdict, String), SourceError> {
    let before = clock.now();
    let wanted = to_read(VariableId::Server_ServerStatus_CurrentTime.into(), AttributeId::Value);
    let values = read(session, &[wanted]).await?;
    let after = clock.now();
    let theirs = match values.first().map(|value| &value.value) {
        Some(Some(Variant::DateTime(theirs))) => instant_from_date_time(theirs, None),
        _ => None,
    };
    let Some(theirs) = theirs else {
        return Ok((Verdict::Warn, "the server does not tell its time".to_owned()));
    };
    let ours = before.ns() / 2 + after.ns() / 2;
    let skew_ms = (theirs.ns() - ours) / 1_000_000;
    let verdict = match skew_ms.abs() {
        skew if skew > SKEW_MS.1 => Verdict::Fail,
        skew if skew > SKEW_MS.0 => Verdict::Warn,
        _ => Verdict::Ok,
    };
    let way_out = if verdict == Verdict::Ok { "" } else { "; let both take their time from one server (NTP)" };
    let side = if skew_ms < 0 { "behind" } else { "before" };
    Ok((verdict, format!("the server's is {} ms {side} ours{way_out}", skew_ms.abs())))
}

/// A subscription as the gateway would make it, for as long as it takes to see its first value.
async fn trial(session: &Session, config: &SourceConfig, nodes: &[NodeId], at_once: usize) -> (Verdict, String) {
    let arrived = Arc::new(Notify::new());
    let told = arrived.clone();
    let callback = DataChangeCallback::new(move |_, _| told.notify_one());
    let made = session.create_subscription(config.publishing_interval, 1_000, 10, 0, 0, true, callback).await;
    let id = match made {
        Ok(id) => id,
        Err(error) => {
            let way_out = "the server may have no room for another one: close others or raise its limit";
            return (Verdict::Fail, format!("no subscription can be made: {}; {way_out}", error.status()));
        }
    };
    let asked_ms = config.signals.first().map_or(250.0, |signal| signal.sampling_interval.as_secs_f64() * 1_000.0);
    let queue_size = config.signals.first().map_or(10, |signal| signal.queue_size);
    let item = |(handle, node): (u32, &NodeId)| MonitoredItemCreateRequest {
        item_to_monitor: to_read(node.clone(), AttributeId::Value),
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: handle,
            sampling_interval: asked_ms,
            queue_size,
            discard_oldest: true,
            ..Default::default()
        },
    };
    let items: Vec<MonitoredItemCreateRequest> = (1_u32..).zip(nodes).map(item).collect();
    let began = Timer::now();
    let mut created = Ok(Vec::new());
    for items in items.chunks(at_once.max(1)) {
        let more = session.create_monitored_items(id, TimestampsToReturn::Both, items.to_vec()).await;
        created = match (created, more) {
            (Ok(all), Ok(more)) => Ok([all, more].concat()),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
    }
    let finding = match created {
        Err(error) => (Verdict::Fail, format!("no items can be made: {}", error.status())),
        Ok(items) => {
            let refused = items.iter().filter(|item| item.result.status_code.is_bad()).count();
            let revised = items.iter().find(|item| item.result.status_code.is_good()).map(|item| {
                let (sampling_ms, queue) = (item.result.revised_sampling_interval, item.result.revised_queue_size);
                format!("sampling {asked_ms} ms is revised to {sampling_ms} ms, queue {queue_size} to {queue}")
            });
            let first = tokio::time::timeout(FIRST_VALUE_MAX, arrived.notified()).await;
            let revised = revised.unwrap_or_default();
            match (revised.is_empty(), first) {
                (true, _) => {
                    (Verdict::Fail, "the server refuses every item; run `watchfire check --online`".to_owned())
                }
                (false, Err(_)) => {
                    (Verdict::Fail, format!("{revised}, but no value came within 10 s; check what lies between"))
                }
                (false, Ok(())) => {
                    let verdict = if refused == 0 { Verdict::Ok } else { Verdict::Warn };
                    let refused = if refused == 0 {
                        String::new()
                    } else {
                        format!(", {refused} of {} items refused (`watchfire check --online` says why)", nodes.len())
                    };
                    (verdict, format!("first value after {} ms; {revised}{refused}", began.elapsed().as_millis()))
                }
            }
        }
    };
    // Whether the server says yes or no, the session's end takes it away.
    drop(session.delete_subscription(id).await);
    finding
}

/// What the server keeps of the past.
async fn history(session: &Session, nodes: &[NodeId]) -> Result<(Verdict, String), SourceError> {
    let capability = VariableId::HistoryServerCapabilities_AccessHistoryDataCapability;
    let mut wanted = vec![to_read(capability.into(), AttributeId::Value)];
    wanted.extend(nodes.iter().map(|node| to_read(node.clone(), AttributeId::UserAccessLevel)));
    let values = read(session, &wanted).await?;
    let can = matches!(values.first().map(|value| &value.value), Some(Some(Variant::Boolean(true))));
    let levels = nodes.iter().zip(values.iter().skip(1));
    let kept: Vec<&NodeId> = levels
        .filter(|(_, level)| matches!(level.value, Some(Variant::Byte(level)) if level & HISTORY_READ != 0))
        .map(|(node, _)| node)
        .collect();
    let Some(node) = kept.first() else {
        let said = if can { "keeps history, but not of the signals tried" } else { "keeps none" };
        let way_out = "after an outage what was missed is a gap; let the server record the signals if it can";
        return Ok((Verdict::Warn, format!("the server {said}: {way_out}")));
    };
    let details = HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
        is_read_modified: false,
        start_time: date_time_from_instant(Instant::from_s(0)).0,
        end_time: DateTime::null(),
        num_values_per_node: 1,
        return_bounds: false,
    });
    let asked = HistoryReadValueId { node_id: (*node).clone(), ..Default::default() };
    let told = session.history_read(details, TimestampsToReturn::Both, false, &[asked]).await;
    let count = format!("of {} of {} signals tried", kept.len(), nodes.len());
    Ok(match told {
        Err(error) => {
            (Verdict::Warn, format!("the server says that it keeps history {count}, but: {}", error.status()))
        }
        Ok(results) if results.first().is_some_and(|result| result.status_code.is_bad()) => {
            let status = results.first().map(|result| result.status_code.to_string()).unwrap_or_default();
            (Verdict::Warn, format!("the server says that it keeps history {count}, but: {status}"))
        }
        Ok(results) => {
            let data = results.into_iter().next().and_then(|result| result.history_data.into_inner_as::<HistoryData>());
            let first = data.and_then(|data| data.data_values.into_iter().flatten().next());
            let since = first.and_then(|value| value.source_timestamp.or(value.server_timestamp));
            let since =
                since.map_or_else(|| "nothing of the first yet".to_owned(), |time| format!("the first since {time}"));
            (Verdict::Ok, format!("the server keeps it {count}, {since}"))
        }
    })
}
