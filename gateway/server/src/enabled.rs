//! What monitored items are told that are enabled again: how their node stands, for they have nothing to go on from and
//! may have missed anything (OPC 10000-4 §5.13.1.3, §5.13.4). Knows no nodes.

use opcua::server::node_manager::{MonitoredItemRef, RequestContext};
use opcua::server::{MonitoredItem, MonitoredItemHandle};
use opcua::types::{AttributeId, DataValue, DateTime};

/// Those of these items of one session that are enabled and have no value.
pub(crate) fn without_value<'a>(context: &RequestContext, items: &[&'a MonitoredItemRef]) -> Vec<&'a MonitoredItemRef> {
    let Some(session) = context.subscriptions.get_session_subscriptions(context.session_id) else { return Vec::new() };
    let session = session.lock();
    let lacks = |item: &&MonitoredItemRef| {
        let handle = item.handle();
        let found = session.get(handle.subscription_id).and_then(|found| found.get(&handle.monitored_item_id));
        item.attribute() != AttributeId::EventNotifier && found.is_some_and(lacks_value)
    };
    items.iter().copied().filter(lacks).collect()
}

/// Tells such items how their nodes stand. One that has been told of a change meanwhile has what is newer.
pub(crate) fn tell(context: &RequestContext, values: Vec<(MonitoredItemHandle, DataValue)>) {
    let Some(session) = context.subscriptions.get_session_subscriptions(context.session_id) else { return };
    let (mut session, now) = (session.lock(), DateTime::now());
    for (handle, value) in values {
        let Some(found) = session.get_mut(handle.subscription_id) else { continue };
        if found.get(&handle.monitored_item_id).is_some_and(lacks_value) {
            found.notify_data_value(&handle.monitored_item_id, value, &now);
        }
    }
}

fn lacks_value(item: &MonitoredItem) -> bool {
    item.is_sampling() && !item.has_last_value()
}
