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
}
