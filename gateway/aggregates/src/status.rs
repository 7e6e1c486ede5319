//! The StatusCodes of processed values: the codes aggregates give, and the info bits of OPC 10000-4 §7.39.
//!
//! A value that is stored as such is Raw, which is the absence of the other two data locations.

use watchfire_model::StatusCode;

/// Bad, without more to say.
pub const BAD: StatusCode = StatusCode(0x8000_0000);
/// BadNoData: there is nothing to calculate from.
pub const BAD_NO_DATA: StatusCode = StatusCode(0x809B_0000);
/// UncertainDataSubNormal: the value rests on fewer good values than it should.
pub const UNCERTAIN_SUB_NORMAL: StatusCode = StatusCode(0x40A4_0000);

/// Info bit: the value was calculated.
pub const CALCULATED: u32 = 0x01;
/// Info bit: the value was interpolated.
pub const INTERPOLATED: u32 = 0x02;
/// Info bit: the interval is not complete.
pub const PARTIAL: u32 = 0x04;
/// Info bit: a raw value hides other data of the same time. Never set here; a server may.
pub const EXTRA_DATA: u32 = 0x08;
/// Info bit: several values meet what the aggregate asks for.
pub const MULTIPLE_VALUES: u32 = 0x10;

/// InfoType DataValue, without which the info bits mean nothing.
const DATA_VALUE: u32 = 0x0400;

/// `code` with info bits.
pub(crate) const fn with_bits(code: StatusCode, bits: u32) -> StatusCode {
    if bits == 0 { code } else { StatusCode(code.0 | DATA_VALUE | bits) }
}

/// `bit` where `set`, else none.
pub(crate) const fn bit_if(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}
