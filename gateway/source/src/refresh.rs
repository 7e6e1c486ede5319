//! Asks a server to tell again which of its alarms stand (ConditionRefresh, OPC 10000-9 §5.5.7): the one method that is
//! ever called here. It changes nothing but what comes in our own subscription.

use std::sync::Arc;

use opcua::client::Session;
use opcua::types::{CallMethodRequest, MethodId, NodeId, ObjectTypeId, StatusCode, Variant};

/// Asks for the states of conditions in a subscription. What a server without conditions answers is no fault.
pub(crate) async fn refresh(session: Arc<Session>, subscription: u32) -> StatusCode {
    let (object, method): (NodeId, NodeId) =
        (ObjectTypeId::ConditionType.into(), MethodId::ConditionType_ConditionRefresh.into());
    let request: CallMethodRequest = (object, method, Some(vec![Variant::from(subscription)])).into();
    match session.call(vec![request]).await {
        Ok(results) => results.first().map_or(StatusCode::BadUnknownResponse, |result| result.status_code),
        Err(error) => error.status(),
    }
}
