//! What a node's values are, by its DataType or by a value itself.

use std::collections::HashMap;
use std::sync::Arc;

use opcua::sync::RwLock;
use opcua::types::{DataTypeId, Identifier, NodeId, Variant};
use watchfire_model::{Kind, SignalId};

/// The kinds of signals as their sources report them; clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Kinds(Arc<RwLock<HashMap<SignalId, Kind>>>);

impl Kinds {
    /// The kind of a signal; `None` until its source has been reached once.
    #[must_use]
    pub fn get(&self, signal: SignalId) -> Option<Kind> {
        self.0.read().get(&signal).copied()
    }

    /// Sets the kind of a signal. Returns whether it is new or another than before.
    pub fn set(&self, signal: SignalId, kind: Kind) -> bool {
        self.0.write().insert(signal, kind) != Some(kind)
    }
}

/// What a DataType says of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataTypeKind {
    /// Values are of this kind.
    Known(Kind),
    /// An abstract type: only a value tells.
    Open,
    /// Not a built-in type: its supertype tells.
    Derived,
}

/// What a DataType of namespace 0 says (OPC 10000-3 §8, OPC 10000-6 §5.1.2).
#[must_use]
pub fn kind_of_data_type(data_type: &NodeId) -> DataTypeKind {
    let Identifier::Numeric(id) = data_type.identifier else { return DataTypeKind::Derived };
    if data_type.namespace != 0 {
        return DataTypeKind::Derived;
    }
    match id {
        1 => DataTypeKind::Known(Kind::Boolean),
        2 | 4 | 6 | 8 | 27 => DataTypeKind::Known(Kind::Signed),
        3 | 5 | 7 | 9 | 19 | 28 => DataTypeKind::Known(Kind::Unsigned),
        10 | 11 => DataTypeKind::Known(Kind::Real),
        13 => DataTypeKind::Known(Kind::Time),
        29 => DataTypeKind::Known(Kind::Enumeration),
        21 => DataTypeKind::Known(Kind::LocalizedText),
        12 | 14..=18 | 20 | 22 | 25 => DataTypeKind::Known(Kind::Text),
        0 | 23 | 24 | 26 => DataTypeKind::Open,
        _ => DataTypeKind::Derived,
    }
}

/// The kind of a value; `None` for null.
#[must_use]
pub fn kind_of_value(value: &Variant) -> Option<Kind> {
    match value {
        Variant::Empty => None,
        Variant::Boolean(_) => Some(Kind::Boolean),
        Variant::SByte(_) | Variant::Int16(_) | Variant::Int32(_) | Variant::Int64(_) => Some(Kind::Signed),
        Variant::Byte(_) | Variant::UInt16(_) | Variant::UInt32(_) | Variant::UInt64(_) | Variant::StatusCode(_) => {
            Some(Kind::Unsigned)
        }
        Variant::Float(_) | Variant::Double(_) => Some(Kind::Real),
        Variant::DateTime(_) => Some(Kind::Time),
        Variant::LocalizedText(_) => Some(Kind::LocalizedText),
        Variant::Variant(inner) => kind_of_value(inner),
        Variant::DataValue(inner) => inner.value.as_ref().and_then(kind_of_value),
        _ => Some(Kind::Text),
    }
}

/// The DataType under which values of a kind are served: the widest, since a signal's own width is not kept.
#[must_use]
pub const fn data_type_of_kind(kind: Kind) -> DataTypeId {
    match kind {
        Kind::Boolean => DataTypeId::Boolean,
        Kind::Signed => DataTypeId::Int64,
        Kind::Unsigned => DataTypeId::UInt64,
        Kind::Real => DataTypeId::Double,
        Kind::Enumeration => DataTypeId::Int32,
        Kind::Text => DataTypeId::String,
        Kind::Time => DataTypeId::DateTime,
        Kind::LocalizedText => DataTypeId::LocalizedText,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_types_of_the_standard_have_their_kinds() {
        for (data_type, expected) in [
            (DataTypeId::Boolean, DataTypeKind::Known(Kind::Boolean)),
            (DataTypeId::Int16, DataTypeKind::Known(Kind::Signed)),
            (DataTypeId::UInt64, DataTypeKind::Known(Kind::Unsigned)),
            (DataTypeId::Float, DataTypeKind::Known(Kind::Real)),
            (DataTypeId::LocalizedText, DataTypeKind::Known(Kind::LocalizedText)),
            (DataTypeId::DateTime, DataTypeKind::Known(Kind::Time)),
            (DataTypeId::Enumeration, DataTypeKind::Known(Kind::Enumeration)),
            (DataTypeId::BaseDataType, DataTypeKind::Open),
            (DataTypeId::Number, DataTypeKind::Open),
            (DataTypeId::DataValue, DataTypeKind::Open),
            (DataTypeId::Duration, DataTypeKind::Derived),
            (DataTypeId::ServerState, DataTypeKind::Derived),
        ] {
            assert_eq!(kind_of_data_type(&data_type.into()), expected, "{data_type:?}");
        }
        assert_eq!(kind_of_data_type(&NodeId::new(2, 1)), DataTypeKind::Derived);
    }

    #[test]
    fn a_shared_table_tells_what_is_new() {
        let kinds = Kinds::default();
        let seen_elsewhere = kinds.clone();
        assert!(kinds.set(SignalId(1), Kind::Real));
        assert!(!kinds.set(SignalId(1), Kind::Real));
        assert_eq!(seen_elsewhere.get(SignalId(1)), Some(Kind::Real));
        assert_eq!(seen_elsewhere.get(SignalId(2)), None);
    }
}
