//! By what a notification message is known beside its number. Knows no numbers.
//!
//! One that is sent again has all of it. The PublishTime alone does not do: servers made with node-opcua give none, so that
//! all their messages would be one and the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use opcua::types::{DataChangeNotification, DateTime, EventNotificationList, NotificationMessage, Variant};

/// A digest of a message's PublishTime and of its first value's handle and times, or of its first event's id; `None` where
/// it has nothing of it that is its own. Costs the same for any number of values.
pub(crate) fn stamp(message: &NotificationMessage) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut is_its_own = !message.publish_time.is_null();
    message.publish_time.ticks().hash(&mut hasher);
    let content = message.notification_data.iter().flatten().next();
    if let Some(changes) = content.and_then(|content| content.inner_as::<DataChangeNotification>()) {
        let items = changes.monitored_items.as_deref().unwrap_or_default();
        items.len().hash(&mut hasher);
        if let Some(first) = items.first() {
            let times = [first.value.source_timestamp, first.value.server_timestamp];
            is_its_own |= times.iter().any(Option::is_some);
            (first.client_handle, times.map(|time| time.map(|time: DateTime| time.ticks()))).hash(&mut hasher);
        }
    } else if let Some(events) = content.and_then(|content| content.inner_as::<EventNotificationList>()) {
        let first = events.events.iter().flatten().next();
        let fields = first.and_then(|event| event.event_fields.as_deref()).unwrap_or_default();
        // Of what is asked for only the EventId is of this kind, but for fields that the configuration names.
        for field in fields {
            if let Variant::ByteString(id) = field {
                is_its_own |= !id.is_null();
                id.as_ref().hash(&mut hasher);
            }
        }
    }
    is_its_own.then(|| hasher.finish())
}

#[cfg(test)]
mod tests {
    use opcua::types::{
        ByteString, DataValue, EventFieldList, ExtensionObject, MonitoredItemNotification, NotificationMessage,
    };

    use super::*;

    fn message(publish_time: DateTime, content: ExtensionObject) -> NotificationMessage {
        NotificationMessage { sequence_number: 1, publish_time, notification_data: Some(vec![content]) }
    }

    fn value(client_handle: u32, source: Option<DateTime>) -> ExtensionObject {
        let value = DataValue { value: Some(Variant::Double(1.0)), source_timestamp: source, ..DataValue::default() };
        ExtensionObject::from_message(DataChangeNotification {
            monitored_items: Some(vec![MonitoredItemNotification { client_handle, value }]),
            diagnostic_infos: None,
        })
    }

    fn event(id: &[u8]) -> ExtensionObject {
        let event_fields = Some(vec![Variant::ByteString(ByteString::from(id)), Variant::Int32(1)]);
        let events = Some(vec![EventFieldList { client_handle: 1, event_fields }]);
        ExtensionObject::from_message(EventNotificationList { events })
    }

    #[test]
    fn messages_differ_by_what_is_their_own_and_one_that_has_nothing_is_none() {
        let (null, second) = (DateTime::null(), |s| DateTime::ymd_hms(2026, 3, 1, 0, 0, s));
        let cases = [
            message(second(1), value(1, None)),
            message(second(2), value(1, None)),
            message(null, value(1, Some(second(1)))),
            message(null, value(1, Some(second(2)))),
            message(null, value(2, Some(second(2)))),
            message(null, event(b"one")),
            message(null, event(b"two")),
        ];
        let stamps: Vec<Option<u64>> = cases.iter().map(stamp).collect();
        for (at, one) in stamps.iter().enumerate() {
            assert!(one.is_some() && stamps.iter().position(|other| other == one) == Some(at), "{at}: {stamps:?}");
        }
        assert_eq!(cases.iter().map(stamp).collect::<Vec<_>>(), stamps, "one that is sent again is the same");
        assert_eq!(stamp(&message(null, value(1, None))), None);
        assert_eq!(stamp(&NotificationMessage::default()), None);
    }
}
