//! StatusCodes: the stack's type and the model's carry the same 32 bits.

use opcua::types::StatusCode as UaStatusCode;
use watchfire_model::StatusCode;

/// The Overflow bit (OPC 10000-4 §7.39.1, Table 169).
const OVERFLOW: u32 = 1 << 7;

/// The model's status.
#[must_use]
pub fn status_from_ua(status: UaStatusCode) -> StatusCode {
    StatusCode(status.bits())
}

/// The stack's status.
#[must_use]
pub fn status_to_ua(status: StatusCode) -> UaStatusCode {
    UaStatusCode::from(status.0)
}

/// The standard's name of a status, such as `BadNodeIdUnknown`.
#[must_use]
pub fn status_name(status: StatusCode) -> String {
    status_to_ua(status).to_string()
}

/// Whether the server says that its queue overflowed at this value: values next to it are missing. The standard sets
/// the info type as well; servers that forget it mean the same.
#[must_use]
pub const fn has_overflow(status: StatusCode) -> bool {
    status.0 & OVERFLOW != 0
}

/// Whether a server says with a value that it cannot reach what gives it (OPC 10000-4 §7.39.2, OPC 10000-8 §6.3): it may
/// learn later what there was meanwhile. That there is no value yet is not among them, nor what is wrong with a device
/// that can be reached.
#[must_use]
pub fn is_out_of_reach(status: StatusCode) -> bool {
    // The lower half says more of the same value.
    matches!(
        UaStatusCode::from(status.0 & 0xFFFF_0000),
        UaStatusCode::BadNoCommunication
            | UaStatusCode::BadCommunicationError
            | UaStatusCode::BadConnectionClosed
            | UaStatusCode::BadNotConnected
            | UaStatusCode::BadServerNotConnected
            | UaStatusCode::BadServerHalted
            | UaStatusCode::BadShutdown
            | UaStatusCode::BadTimeout
            | UaStatusCode::UncertainNoCommunicationLastUsableValue
            | UaStatusCode::UncertainLastUsableValue
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_keeps_every_bit_and_has_its_name() {
        let status = StatusCode(0x4090_0480);
        assert_eq!(status_from_ua(status_to_ua(status)), status);
        assert!(has_overflow(status));
        assert!(has_overflow(StatusCode(0x80)), "as some servers write it, without the info type");
        assert!(!has_overflow(StatusCode::GOOD));
        assert_eq!(status_name(StatusCode::BAD_NODE_ID_UNKNOWN), "BadNodeIdUnknown");
    }

    #[test]
    fn a_server_that_has_lost_its_device_is_told_from_a_device_that_is_not_well() {
        for away in [0x8031_0000, 0x8005_0000, 0x80AE_0000, 0x808A_0000, 0x800D_0000, 0x408F_0000, 0x4090_0480] {
            assert!(is_out_of_reach(StatusCode(away)), "{}", status_name(StatusCode(away)));
        }
        let others = [StatusCode::GOOD, StatusCode::UNCERTAIN, StatusCode::BAD_WAITING_FOR_INITIAL_DATA];
        for here in others.into_iter().chain([StatusCode(0x808C_0000), StatusCode::BAD_NODE_ID_UNKNOWN]) {
            assert!(!is_out_of_reach(here), "{}", status_name(here));
        }
    }
}
