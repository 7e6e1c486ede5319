//! What was told in the past: HistoryRead of the events of Server (OPC 10000-11 §6.5.3).

use opcua::client::HistoryReadAction;
use opcua::types::{ByteString, HistoryEvent, HistoryReadValueId, ObjectId, ReadEventDetails, TimestampsToReturn};
use watchfire_model::Instant;
use watchfire_ua::date_time_from_instant;

use crate::alarm::{Told, filter};
use crate::{Alarm, Console, ConsoleError};

impl Console {
    /// The last events before `to`, newest first, down to `from`, until `take` wants no more.
    ///
    /// # Errors
    /// When the user may not read history, or the connection ends.
    pub async fn past(
        &self,
        from: Option<Instant>,
        to: Instant,
        mut take: impl FnMut(Alarm) -> bool,
    ) -> Result<(), ConsoleError> {
        let time = |at: Instant| date_time_from_instant(at).0;
        let details = ReadEventDetails {
            num_values_per_node: 1000,
            // Backwards: the start is the later one.
            start_time: time(to),
            end_time: time(from.unwrap_or(Instant::from_s(1))),
            filter: filter(),
        };
        let mut point = ByteString::null();
        loop {
            let wanted = HistoryReadValueId {
                node_id: ObjectId::Server.into(),
                continuation_point: point,
                ..HistoryReadValueId::default()
            };
            let action = HistoryReadAction::ReadEventDetails(details.clone());
            let doing = "reading the history of alarms";
            let read = self.session.history_read(action, TimestampsToReturn::Neither, false, &[wanted]).await;
            let read = read.map_err(|error| ConsoleError::Lost { doing: doing.to_owned(), status: error.status() })?;
            let Some(result) = read.into_iter().next() else { return Ok(()) };
            if result.status_code.is_bad() {
                return Err(ConsoleError::refused(doing, result.status_code));
            }
            let events = result.history_data.inner_as::<HistoryEvent>().and_then(|history| history.events.clone());
            for event in events.unwrap_or_default() {
                let told = Told(event.event_fields.unwrap_or_default());
                if let Some(condition) = told.condition().and_then(|id| self.name_of(id))
                    && !take(told.alarm(condition))
                {
                    return Ok(());
                }
            }
            if result.continuation_point.is_null_or_empty() {
                return Ok(());
            }
            point = result.continuation_point;
        }
    }
}
