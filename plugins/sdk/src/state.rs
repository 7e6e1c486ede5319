//! Saved states: compact, and refused with a reason when they are not what the detector can take over.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Blame, Refusal};

/// A state as it is saved. `VERSION` changes when the layout does.
pub trait Versioned: Serialize + DeserializeOwned {
    /// The version that this layout has.
    const VERSION: u32;
}

fn refuse(message: String) -> Refusal {
    Refusal { blame: Blame::State, key: None, message }
}

/// The bytes of a state.
#[must_use]
pub fn snapshot<S: Versioned>(state: &S) -> Vec<u8> {
    postcard::to_allocvec(state).unwrap_or_default()
}

/// Reads a state back.
///
/// # Errors
/// When the version is another one, or the bytes are not such a state.
pub fn restore<S: Versioned>(state_version: u32, bytes: &[u8]) -> Result<S, Refusal> {
    if state_version != S::VERSION {
        let ours = S::VERSION;
        return Err(refuse(format!("the state has version {state_version}, this detector reads version {ours}")));
    }
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok((_, rest)) => Err(refuse(format!("the state has {} bytes too many", rest.len()))),
        Err(error) => Err(refuse(format!("the state of {} bytes cannot be read: {error}", bytes.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Versioned for (u32, f64) {
        const VERSION: u32 = 3;
    }

    #[test]
    fn a_state_is_read_back_whole_or_refused() {
        let bytes = snapshot(&(7u32, 0.5));
        assert_eq!(restore::<(u32, f64)>(3, &bytes), Ok((7, 0.5)));
        assert!(restore::<(u32, f64)>(2, &bytes).is_err());
        assert!(restore::<(u32, f64)>(3, &bytes[1..]).is_err());
        assert!(restore::<(u32, f64)>(3, &[&bytes[..], &[0]].concat()).is_err());
    }
}
