//! The step `limits`: what a server says that it takes (OPC 10000-5 §6.3.2 and §6.3.11), and what follows from each limit for
//! what is configured. What a server does not tell, or tells to be 0, limits nothing.

use std::collections::{BTreeMap, BTreeSet};

use opcua::client::Session;
use opcua::types::{AttributeId, DataValue, VariableId, Variant};
use watchfire_config::{Profile, SourceConfig};

use super::{Finding, Verdict};
use crate::SourceError;
use crate::backfill::GAPS_AT_ONCE;
use crate::browse::NODES_MAX;
use crate::server_info::{CHUNK_MAX, read, to_read};
use crate::setup::limits_of;

const STEP: &str = "limits";

/// What limits the gateway. The others of the standard are of services that it does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    MaxNodesPerRead,
    MaxMonitoredItemsPerCall,
    MaxNodesPerBrowse,
    MaxNodesPerTranslateBrowsePathsToNodeIds,
    MaxNodesPerHistoryReadData,
    MaxNodesPerHistoryReadEvents,
    MaxBrowseContinuationPoints,
    MaxHistoryContinuationPoints,
    MaxSessions,
    MaxSubscriptions,
    MaxSubscriptionsPerSession,
    MaxMonitoredItems,
    MaxMonitoredItemsPerSubscription,
    MaxMonitoredItemsQueueSize,
    MinSupportedSampleRate,
    MaxArrayLength,
    MaxStringLength,
    MaxByteStringLength,
}

use Limit::{
    MaxArrayLength, MaxBrowseContinuationPoints, MaxByteStringLength, MaxHistoryContinuationPoints, MaxMonitoredItems,
    MaxMonitoredItemsPerCall, MaxMonitoredItemsPerSubscription, MaxMonitoredItemsQueueSize, MaxNodesPerBrowse,
    MaxNodesPerHistoryReadData, MaxNodesPerHistoryReadEvents, MaxNodesPerRead,
    MaxNodesPerTranslateBrowsePathsToNodeIds, MaxSessions, MaxStringLength, MaxSubscriptions,
    MaxSubscriptionsPerSession, MinSupportedSampleRate,
};

const ALL: [(Limit, VariableId); 18] = [
    (MaxNodesPerRead, VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead),
    (MaxMonitoredItemsPerCall, VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall),
    (MaxNodesPerBrowse, VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse),
    (
        MaxNodesPerTranslateBrowsePathsToNodeIds,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    ),
    (MaxNodesPerHistoryReadData, VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData),
    (MaxNodesPerHistoryReadEvents, VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadEvents),
    (MaxBrowseContinuationPoints, VariableId::Server_ServerCapabilities_MaxBrowseContinuationPoints),
    (MaxHistoryContinuationPoints, VariableId::Server_ServerCapabilities_MaxHistoryContinuationPoints),
    (MaxSessions, VariableId::Server_ServerCapabilities_MaxSessions),
    (MaxSubscriptions, VariableId::Server_ServerCapabilities_MaxSubscriptions),
    (MaxSubscriptionsPerSession, VariableId::Server_ServerCapabilities_MaxSubscriptionsPerSession),
    (MaxMonitoredItems, VariableId::Server_ServerCapabilities_MaxMonitoredItems),
    (MaxMonitoredItemsPerSubscription, VariableId::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription),
    (MaxMonitoredItemsQueueSize, VariableId::Server_ServerCapabilities_MaxMonitoredItemsQueueSize),
    (MinSupportedSampleRate, VariableId::Server_ServerCapabilities_MinSupportedSampleRate),
    (MaxArrayLength, VariableId::Server_ServerCapabilities_MaxArrayLength),
    (MaxStringLength, VariableId::Server_ServerCapabilities_MaxStringLength),
    (MaxByteStringLength, VariableId::Server_ServerCapabilities_MaxByteStringLength),
];

/// Asks a server for its limits. Nodes that are not there are no limits.
pub(super) async fn examine(session: &Session, config: &SourceConfig) -> Result<Vec<Finding>, SourceError> {
    let wanted: Vec<_> = ALL.iter().map(|(_, node)| to_read((*node).into(), AttributeId::Value)).collect();
    let values = read(session, &wanted).await?;
    let told = ALL.iter().zip(&values).filter_map(|((limit, _), value)| Some((*limit, number(value)?)));
    Ok(judged(&told.filter(|(_, value)| *value > 0.0).collect(), config))
}

fn number(value: &DataValue) -> Option<f64> {
    match value.value {
        Some(Variant::UInt32(limit)) => Some(f64::from(limit)),
        Some(Variant::UInt16(limit)) => Some(f64::from(limit)),
        Some(Variant::Double(limit)) => Some(limit),
        _ => None,
    }
}

/// What a configuration asks of a server.
struct Asked {
    items: usize,
    /// Items by their publishing intervals, milliseconds.
    by_interval: BTreeMap<u128, usize>,
    has_streams: bool,
    queue_size: u32,
    fastest_ms: f64,
}

impl Asked {
    fn of(config: &SourceConfig) -> Self {
        let (mut carriers, mut by_interval) = (BTreeSet::new(), BTreeMap::new());
        for signal in &config.signals {
            // Those that are parts of one node's value share its item.
            if signal.element.is_none() || carriers.insert(signal.node.to_string()) {
                *by_interval.entry(signal.publishing_interval.as_millis()).or_insert(0) += 1;
            }
        }
        let sampled = config.signals.iter().map(|signal| signal.sampling_interval.as_secs_f64() * 1_000.0);
        Self {
            items: by_interval.values().sum(),
            by_interval,
            has_streams: config.signals.iter().any(|signal| signal.events.is_some()),
            queue_size: config.signals.iter().map(|signal| signal.queue_size).max().unwrap_or(0),
            fastest_ms: sampled.fold(f64::INFINITY, f64::min),
        }
    }

    /// How many subscriptions there have to be where each holds so many items.
    fn subscriptions(&self, items_max: usize) -> usize {
        self.by_interval.values().map(|items| items.div_ceil(items_max.max(1))).sum()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and limits are positive")]
const fn whole(limit: f64) -> usize {
    limit as usize
}

/// What follows from the limits that a server tells.
fn judged(told: &BTreeMap<Limit, f64>, config: &SourceConfig) -> Vec<Finding> {
    let asked = Asked::of(config);
    let (requests_max, of_subscription, in_all) = limits_of(config.profile);
    let per_subscription = told.get(&MaxMonitoredItemsPerSubscription).map_or(usize::MAX, |limit| whole(*limit));
    let subscriptions = asked.subscriptions(of_subscription.min(per_subscription));
    let mut findings = Vec::new();
    let mut say = |verdict, text| findings.push(Finding { verdict, step: STEP, text });
    if asked.items > in_all {
        let (items, beyond) = (asked.items, asked.items - in_all);
        let text = format!(
            "the profile `small` makes {in_all} items and {items} are configured: {beyond} signals will have no values; \
             watch fewer, or set `profile = \"standard\"`"
        );
        say(Verdict::Warn, text);
    }
    for (limit, value) in told {
        let (verdict, follows) = follows(*limit, *value, &asked, requests_max, subscriptions);
        say(verdict, format!("{limit:?} is {value}: {follows}"));
    }
    let untold: Vec<String> =
        ALL.iter().filter(|(limit, _)| !told.contains_key(limit)).map(|(limit, _)| format!("{limit:?}")).collect();
    if !untold.is_empty() {
        let at_once = requests_max.min(CHUNK_MAX);
        let profile = if config.profile == Profile::Small { ", the profile's" } else { "" };
        let requests = format!("{at_once} nodes in a request{profile}, fewer where the server refuses");
        say(Verdict::Ok, format!("not limited, or not told ({requests}): {}", untold.join(", ")));
    }
    findings
}

fn follows(limit: Limit, value: f64, asked: &Asked, requests_max: usize, subscriptions: usize) -> (Verdict, String) {
    let (count, items) = (whole(value), asked.items);
    let at_once = count.min(requests_max).max(1);
    let ok = |text: String| (Verdict::Ok, text);
    match limit {
        MaxNodesPerRead => ok(format!("{at_once} nodes are read in a request")),
        MaxMonitoredItemsPerCall => {
            ok(format!("the {items} items that are configured are made in {} requests", items.div_ceil(at_once)))
        }
        MaxNodesPerBrowse => ok(format!("{} nodes are browsed in a request", at_once.min(NODES_MAX))),
        MaxNodesPerTranslateBrowsePathsToNodeIds => {
            ok(format!("{} paths are looked up in a request", at_once.min(NODES_MAX)))
        }
        MaxNodesPerHistoryReadData | MaxHistoryContinuationPoints => {
            ok(format!("{} gaps are fetched in a request", at_once.min(GAPS_AT_ONCE)))
        }
        MaxNodesPerHistoryReadEvents if asked.has_streams => ok("streams of events are fetched one by one".to_owned()),
        MaxNodesPerHistoryReadEvents => ok("no events are configured".to_owned()),
        MaxBrowseContinuationPoints => ok("fewer nodes are browsed at once where that is not enough".to_owned()),
        MaxSessions if count < 2 => {
            (Verdict::Warn, "the gateway takes it, and nobody else comes in; raise the limit".to_owned())
        }
        MaxSessions => ok("the gateway takes one, `watchfire doctor` and `browse` another".to_owned()),
        MaxSubscriptions | MaxSubscriptionsPerSession if count < subscriptions => {
            let text = format!(
                "the configuration needs {subscriptions}, and the signals of the others will have no values; give more \
                 of them one `publishing_interval_ms`, or raise the limit"
            );
            (Verdict::Warn, text)
        }
        MaxSubscriptions | MaxSubscriptionsPerSession => ok(format!("the configuration needs {subscriptions}")),
        MaxMonitoredItems if count < items => {
            let text = format!(
                "{items} are configured, and at least {} signals will have no values; watch fewer, or raise the limit",
                items - count
            );
            (Verdict::Warn, text)
        }
        MaxMonitoredItems => ok(format!("{items} are configured")),
        MaxMonitoredItemsPerSubscription => {
            ok(format!("the {items} items that are configured lie in {subscriptions} subscriptions"))
        }
        MaxMonitoredItemsQueueSize if count < whole(f64::from(asked.queue_size)) => {
            let text = format!(
                "a `queue_size` of {} is cut to it, and what comes beyond while the line is cut is a gap; set it to {count} \
                 or raise the limit",
                asked.queue_size
            );
            (Verdict::Warn, text)
        }
        MaxMonitoredItemsQueueSize => ok(format!("the largest `queue_size` is {}", asked.queue_size)),
        MinSupportedSampleRate if asked.fastest_ms > 0.0 && asked.fastest_ms < value => {
            let text = format!(
                "a `sampling_interval_ms` of {} becomes {value}, so what comes faster is not seen; that is the server's own",
                asked.fastest_ms
            );
            (Verdict::Warn, text)
        }
        MinSupportedSampleRate => ok("no signal is sampled faster than that, in milliseconds".to_owned()),
        MaxArrayLength => ok("requests and values with more elements are refused; smaller requests follow".to_owned()),
        MaxStringLength | MaxByteStringLength => ok("longer values do not come".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use watchfire_config::{ElementPath, EventsConfig};

    use super::*;
    use crate::tests::harness::{config, signal};

    fn configured(count: usize) -> SourceConfig {
        let signals = (0..count).map(|at| signal(&format!("s{at}"), &format!("i={at}"))).collect();
        config("opc.tcp://127.0.0.1:4840", signals)
    }

    #[track_caller]
    fn says(told: &[(Limit, f64)], config: &SourceConfig, verdict: Verdict, words: &str) {
        let findings = judged(&told.iter().copied().collect(), config);
        let found = findings.iter().any(|finding| finding.verdict == verdict && finding.text.contains(words));
        assert!(found, "{words}: {findings:?}");
    }

    #[test]
    fn what_a_server_has_no_room_for_is_told_with_the_way_out() {
        let mut config = configured(25);
        says(&[(MaxMonitoredItems, 20.0)], &config, Verdict::Warn, "25 are configured, and at least 5 signals");
        says(&[(MaxMonitoredItems, 25.0)], &config, Verdict::Ok, "25 are configured");
        let few = [(MaxMonitoredItemsPerSubscription, 10.0), (MaxSubscriptions, 2.0)];
        says(&few, &config, Verdict::Warn, "MaxSubscriptions is 2: the configuration needs 3");
        says(&few, &config, Verdict::Ok, "lie in 3 subscriptions");
        config.signals[0].publishing_interval = Duration::from_secs(9);
        says(&[(MaxSubscriptionsPerSession, 1.0)], &config, Verdict::Warn, "needs 2");
        says(&[(MaxSessions, 1.0)], &config, Verdict::Warn, "nobody else comes in");
        config.signals[3].queue_size = 500;
        says(&[(MaxMonitoredItemsQueueSize, 100.0)], &config, Verdict::Warn, "a `queue_size` of 500 is cut to it");
        says(&[(MinSupportedSampleRate, 100.0)], &config, Verdict::Ok, "no signal is sampled faster");
        config.signals.iter_mut().for_each(|signal| signal.sampling_interval = Duration::from_millis(50));
        says(&[(MinSupportedSampleRate, 100.0)], &config, Verdict::Warn, "`sampling_interval_ms` of 50 becomes 100");
    }

    #[test]
    fn what_is_configured_is_counted_as_it_is_asked_for() {
        let mut config = configured(4);
        let (_, path) = ElementPath::parse("[0]").unwrap().remove(0);
        config.signals[1].element = Some(Box::new(path));
        config.signals[2].element = config.signals[1].element.clone();
        config.signals[2].node = config.signals[1].node.clone();
        says(&[(MaxMonitoredItems, 3.0)], &config, Verdict::Ok, "3 are configured");
        says(&[(MaxNodesPerHistoryReadEvents, 5.0)], &config, Verdict::Ok, "no events are configured");
        config.signals[3].events = Some(Box::new(EventsConfig { of_type: None, severity_min: 1, fields: Vec::new() }));
        says(&[(MaxNodesPerHistoryReadEvents, 5.0)], &config, Verdict::Ok, "streams of events are fetched one by one");
        config.signals[3].queue_size = 100;
        says(&[(MaxMonitoredItemsQueueSize, 100.0)], &config, Verdict::Ok, "the largest `queue_size` is 100");
        says(&[(MaxSessions, 2.0)], &config, Verdict::Ok, "the gateway takes one");
        let sampled = |ms| Duration::from_millis(ms);
        config.signals.iter_mut().for_each(|signal| signal.sampling_interval = sampled(100));
        says(&[(MinSupportedSampleRate, 100.0)], &config, Verdict::Ok, "no signal is sampled faster");
    }

    #[test]
    fn a_limit_is_whatever_number_a_server_tells_it_as() {
        let told = |value: Variant| number(&DataValue { value: Some(value), ..DataValue::default() });
        assert_eq!(
            [told(Variant::UInt32(7)), told(Variant::UInt16(8)), told(Variant::Double(0.5))],
            [Some(7.0), Some(8.0), Some(0.5)]
        );
        assert_eq!([told(Variant::from("many")), number(&DataValue::default())], [None, None], "is none");
    }

    #[test]
    fn each_limit_is_told_with_what_follows_and_those_that_are_not_told_are_named() {
        let config = configured(25);
        says(&[(MaxMonitoredItemsPerCall, 4.0)], &config, Verdict::Ok, "made in 7 requests");
        says(&[(MaxNodesPerRead, 1e9)], &config, Verdict::Ok, "1000 nodes are read in a request");
        says(&[(MaxHistoryContinuationPoints, 7.0)], &config, Verdict::Ok, "7 gaps are fetched in a request");
        for (limit, most, words) in [
            (MaxNodesPerBrowse, NODES_MAX, "nodes are browsed in a request"),
            (MaxNodesPerTranslateBrowsePathsToNodeIds, NODES_MAX, "paths are looked up in a request"),
            (MaxNodesPerHistoryReadData, GAPS_AT_ONCE, "gaps are fetched in a request"),
        ] {
            says(&[(limit, 1e9)], &config, Verdict::Ok, &format!(": {most} {words}"));
            says(&[(limit, 2.0)], &config, Verdict::Ok, &format!(": 2 {words}"));
        }
        says(&[(MaxNodesPerRead, 9.0)], &config, Verdict::Ok, "MaxArrayLength, MaxStringLength");
        let all = ALL.map(|(limit, _)| (limit, 5_000.0));
        assert_eq!(judged(&all.into_iter().collect(), &config).len(), ALL.len());
        let small = SourceConfig { profile: Profile::Small, ..configured(1_003) };
        says(&[(MaxNodesPerRead, 500.0)], &small, Verdict::Ok, "100 nodes are read in a request");
        says(&[], &small, Verdict::Warn, "3 signals will have no values");
        says(&[], &small, Verdict::Ok, "100 nodes in a request, the profile's");
    }
}
