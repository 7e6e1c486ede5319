//! What is written to acknowledge, by clients that know no alarms: the EventId that was seen, as it is or, where tags
//! cannot be ByteStrings, as text. What comes of it is decided by the alarm engine, not here.

use opcua::types::Variant;

use crate::fields::{ACKNOWLEDGE_REQUEST, ACKNOWLEDGE_REQUEST_TEXT, Field};

/// An EventId as text: hexadecimal, small letters.
pub(crate) fn text_of(event_id: &[u8]) -> String {
    event_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The EventId that a value means which was written into this request; `None` for a value of another type. What is no
/// hexadecimal means an empty one, which no occurrence has, and is refused as any unknown one is.
pub(crate) fn event_id_in(request: &Field, value: Option<Variant>) -> Option<Vec<u8>> {
    match (request.path, value?) {
        (ACKNOWLEDGE_REQUEST, Variant::ByteString(bytes)) => Some(bytes.value.unwrap_or_default()),
        (ACKNOWLEDGE_REQUEST_TEXT, Variant::String(text)) => Some(bytes_of(text.as_ref()).unwrap_or_default()),
        _ => None,
    }
}

/// The bytes of a hexadecimal text, in small or capital letters; `None` for any other.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_the_event_id_that_it_was_made_of_and_nothing_else_means_any() {
        let all: Vec<u8> = (0..=255).collect();
        let text = text_of(&all);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        assert_eq!(bytes_of(&text), Some(all.clone()));
        assert_eq!(bytes_of(&text.to_uppercase()), Some(all));
        for wrong in ["0", "0g", "+f", " 0", "0x00", "00 ", "00-00", "é", "０１", "\0\0"] {
            assert_eq!(bytes_of(wrong), None, "{wrong:?}");
        }
    }
}
