//! What stands now: a subscription to the events of Server, and one ConditionRefresh (OPC 10000-9 §5.5.7).

use std::time::Duration;

use opcua::client::EventCallback;
use opcua::types::{
    AttributeId, ExtensionObject, MethodId, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId,
    ObjectId, ObjectTypeId, ReadValueId, StatusCode, TimestampsToReturn, Variant,
};
use tokio::sync::mpsc::unbounded_channel;

use crate::alarm::{Told, filter};
use crate::connect::PATIENCE;
use crate::{Alarm, Console, ConsoleError};

const PUBLISHING: Duration = Duration::from_millis(50);
const QUEUE: u32 = 10_000;

impl Console {
    /// The alarm list: every condition that is to be seen or dealt with and its earlier occurrences, worst first. Costs a
    /// subscription, and as long as the gateway takes to tell them.
    ///
    /// # Errors
    /// When the connection ends before the list does.
    pub async fn list(&self) -> Result<Vec<Alarm>, ConsoleError> {
        let doing = "listing the alarms";
        let lost = |status: StatusCode| ConsoleError::Lost { doing: doing.to_owned(), status };
        let (sender, mut told) = unbounded_channel();
        let callback = EventCallback::new(move |fields, _| drop(sender.send(Told(fields.unwrap_or_default()))));
        let session = &self.session;
        let created = session.create_subscription(PUBLISHING, 1000, 100, 0, 0, true, callback).await;
        let subscription = created.map_err(|error| lost(error.status()))?;
        let item = MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId {
                node_id: ObjectId::Server.into(),
                attribute_id: AttributeId::EventNotifier as u32,
                ..ReadValueId::default()
            },
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                filter: ExtensionObject::from_message(filter()),
                queue_size: QUEUE,
                discard_oldest: true,
                ..MonitoringParameters::default()
            },
        };
        let items = session.create_monitored_items(subscription, TimestampsToReturn::Neither, vec![item]).await;
        let status = items.map_err(|error| lost(error.status()))?.first().map(|item| item.result.status_code);
        if let Some(status) = status.filter(StatusCode::is_bad) {
            return Err(lost(status));
        }
        let kind = NodeId::from(ObjectTypeId::ConditionType);
        let refresh = NodeId::from(MethodId::ConditionType_ConditionRefresh);
        let called = session.call_one((kind, refresh, Some(vec![Variant::UInt32(subscription)]))).await;
        let status = called.map_err(|error| lost(error.status()))?.status_code;
        if status.is_bad() {
            return Err(lost(status));
        }
        let (begin, end) =
            (NodeId::from(ObjectTypeId::RefreshStartEventType), NodeId::from(ObjectTypeId::RefreshEndEventType));
        let mut list: Option<Vec<Alarm>> = None;
        loop {
            let next = tokio::time::timeout(PATIENCE, told.recv()).await;
            let Ok(Some(event)) = next else { return Err(lost(StatusCode::BadTimeout)) };
            match (event.kind(), &mut list) {
                (Some(kind), _) if *kind == begin => list = Some(Vec::new()),
                (Some(kind), Some(_)) if *kind == end => break,
                (_, Some(list)) => {
                    // What changes meanwhile is told in between: the later state counts.
                    if let Some(condition) = event.condition().and_then(|id| self.name_of(id)) {
                        let alarm = event.alarm(condition);
                        let same = |known: &Alarm| {
                            known.condition == alarm.condition && known.branch == alarm.branch && !alarm.branch
                        };
                        list.retain(|known| !same(known));
                        list.push(alarm);
                    }
                }
                _ => {}
            }
        }
        let _gone_with_the_session = session.delete_subscription(subscription).await;
        let mut list = list.unwrap_or_default();
        list.retain(|alarm| alarm.retain);
        list.sort_by(|a, b| {
            let order = |alarm: &Alarm| (!alarm.active, alarm.acknowledged, std::cmp::Reverse(alarm.severity));
            order(a).cmp(&order(b)).then_with(|| a.time.cmp(&b.time))
        });
        Ok(list)
    }
}
