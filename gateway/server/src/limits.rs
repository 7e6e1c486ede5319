//! Bounds on what clients may ask for. Every queue is bounded, and how many a session has; event queues are long,
//! because a lost alarm is worse than memory.

use opcua::server::{Limits, OperationalLimits, SubscriptionLimits};

use crate::seats::{SEATS, SESSIONS_MAX};

const MIB: usize = 1 << 20;
const HOUR_MS: f64 = 3_600_000.0;
/// The longest sampling interval: nobody waits for longer, and a time so far ahead can be told.
pub(crate) const SAMPLING_MAX_MS: f64 = HOUR_MS;

/// The server's limits.
pub(crate) fn limits() -> Limits {
    Limits {
        max_array_length: 1_000_000,
        max_string_length: MIB,
        max_byte_string_length: MIB,
        max_message_size: 16 * MIB,
        max_chunk_count: 512,
        max_sessions: SESSIONS_MAX,
        // Twice what sessions take: HMIs ask for endpoints over a connection of its own. All of one address may be HMIs
        // behind one router, or on this machine.
        max_connections: 300,
        max_connections_per_address: 150,
        // Each may keep the references of one large node.
        max_browse_continuation_points: 100,
        subscriptions: SubscriptionLimits {
            max_subscriptions_per_session: 100,
            max_pending_publish_requests: 100,
            max_publish_requests_per_subscription: 10,
            // 0: a condition's every change is told; signals are sampled at their own pace.
            min_sampling_interval_ms: 0.0,
            max_sampling_interval_ms: SAMPLING_MAX_MS,
            min_publishing_interval_ms: 10.0,
            max_monitored_items_per_sub: 100_000,
            max_monitored_items_per_session: 500_000,
            // However many sessions it opens: each of its items costs all others time.
            max_monitored_items_per_client: 500_000,
            // All of them may be looked at whenever a message is made.
            max_links_per_item: 1_000,
            max_links_per_session: 10_000,
            // One for each area, if an HMI likes.
            max_event_items_per_session: 100,
            // Sixty fields for each: all are read for each event, before anybody else is told of it.
            max_select_clauses_per_session: 6_000,
            // Twenty HMIs of one user that ask for sixty fields in each of twenty areas.
            max_select_clauses_per_client: 24_000,
            max_monitored_item_queue_size: 1_000,
            max_event_item_queue_size: 100_000,
            // 33,000 events of the sixty fields that an HMI asks for.
            max_queued_event_fields: 2_000_000,
            // Twenty thousand of such events. Beyond it, queues of that session grow no longer, and refreshes are paced.
            // Values have half as much of their own, and messages that are not acknowledged a quarter.
            max_queued_bytes_per_session: 64 * MIB,
            max_queued_bytes: 256 * MIB,
            max_publishing_interval_ms: HOUR_MS,
            max_lifetime_ms: 12.0 * HOUR_MS,
            max_subscriptions_without_session: SEATS,
            // An event takes about a kilobyte, a message is held in memory whole, and HMIs in slow languages need a
            // millisecond for each event: with long messages they take themselves for disconnected.
            max_notifications_per_publish: 100,
            // As many as a full event queue makes for a client that takes one event at a time.
            max_queued_notifications: 100_000,
            ..SubscriptionLimits::default()
        },
        operational: OperationalLimits {
            max_nodes_per_translate_browse_paths_to_node_ids: 1_000,
            max_nodes_per_method_call: 1_000,
            max_monitored_items_per_call: 10_000,
            max_subscriptions_per_call: 100,
            ..OperationalLimits::default()
        },
        ..Limits::default()
    }
}
