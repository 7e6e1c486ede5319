//! Values of structures from their bytes, by their layouts (OPC 10000-6 §5.2.6 to §5.2.8, OPC 10000-5 Annex D). Each
//! byte and each level is counted: neither lengths that lie nor types within themselves lead far.

use std::io::Read as _;

use opcua::types::{
    Array, BinaryDecodable, ByteString, Context, ContextOwned, DataValue, DateTime, DecodingOptions, DiagnosticInfo,
    ExpandedNodeId, ExtensionObject, Guid, LocalizedText, NamespaceMap, NodeId, QualifiedName, StatusCode, UAString,
    Variant, VariantScalarTypeId, XmlElement,
};

use super::{Comparison, Layouts, Read, Repeat, Structure, Undecodable, When, raw};

/// Structures within structures, at the most.
const DEPTH_MAX: u8 = 16;
/// Values for each byte: a byte has eight bits, each of which may be a member, and some have none.
const VALUES_PER_BYTE: usize = 16;
/// Values of one structure with all that is within.
const VALUES_MAX: usize = 2 << 20;
/// Dimensions of an array within a structure.
const DIMENSIONS_MAX: u32 = 8;

/// See [`Layouts::open`].
pub(super) fn open(layouts: &Layouts, value: Variant, depth: u8) -> Variant {
    match value {
        Variant::ExtensionObject(object) => Variant::ExtensionObject(object_of(layouts, object, depth)),
        Variant::Variant(inner) => Variant::Variant(Box::new(open(layouts, *inner, depth))),
        Variant::DataValue(mut data) => {
            data.value = data.value.map(|value| open(layouts, value, depth));
            Variant::DataValue(data)
        }
        Variant::Array(mut array)
            if matches!(array.value_type, VariantScalarTypeId::ExtensionObject | VariantScalarTypeId::Variant) =>
        {
            array.values = array.values.into_iter().map(|value| open(layouts, value, depth)).collect();
            Variant::Array(array)
        }
        other => other,
    }
}

fn object_of(layouts: &Layouts, object: ExtensionObject, depth: u8) -> ExtensionObject {
    let Some((id, bytes)) = raw(&object) else { return object };
    let Some(layout) = layouts.by_id.get(id) else { return object };
    // A string can be as long as all there is, and no longer.
    let options = DecodingOptions {
        max_string_length: bytes.len(),
        max_byte_string_length: bytes.len(),
        max_array_length: bytes.len(),
        ..DecodingOptions::default()
    };
    let context = ContextOwned::new_default(NamespaceMap::new(), options);
    let context = context.context();
    let values = bytes.len().saturating_mul(VALUES_PER_BYTE).saturating_add(VALUES_PER_BYTE);
    let mut reader = Reader { layouts, context: &context, bytes, bit: 0, values: values.min(VALUES_MAX) };
    match reader.structure(*layout, depth) {
        // Bytes that are left over belong to something that the description does not have.
        Some(structure) if reader.bytes.is_empty() => ExtensionObject::new(structure),
        _ => ExtensionObject::new(Undecodable),
    }
}

/// Reads from the front of bytes. Every `None` means that they are not what they should be.
struct Reader<'r> {
    layouts: &'r Layouts,
    context: &'r Context<'r>,
    bytes: &'r [u8],
    /// How many bits of the first byte are read.
    bit: u32,
    /// How many values may still be read.
    values: usize,
}

impl Reader<'_> {
    fn structure(&mut self, at: usize, depth: u8) -> Option<Structure> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.spend()?;
        let layouts = self.layouts;
        let layout = layouts.all.get(at)?;
        let mut numbers: Vec<u64> = vec![0; layout.fields.len()];
        let mut structure = Structure { members: Vec::with_capacity(layout.fields.len()) };
        for (field, place) in layout.fields.iter().zip(0..) {
            if !is_there(field.when, &numbers) {
                continue;
            }
            let value = match field.repeat {
                Repeat::Once => self.one(field.read, depth)?,
                repeat => self.several(field.read, repeat, &numbers, depth)?,
            };
            if let (Some(number), Some(known)) = (whole(&value), numbers.get_mut(place)) {
                *known = number;
            }
            if let Some(name) = &field.name {
                structure.members.push((name.clone(), value));
            }
        }
        (self.bit == 0).then_some(structure)
    }

    fn several(&mut self, read: Read, repeat: Repeat, numbers: &[u64], depth: u8) -> Option<Variant> {
        let mut dimensions = None;
        let count = match repeat {
            Repeat::Once => 1,
            // Null arrays have the length -1.
            Repeat::Counted => usize::try_from(self.int32()?.max(0)).ok()?,
            Repeat::By(at) => usize::try_from(i32::try_from(numbers.get(at)?.cast_signed()).ok()?.max(0)).ok()?,
            Repeat::Fixed(count) => usize::try_from(count).ok()?,
            Repeat::Dimensions(rank) => {
                let told = self.int32()?.max(0).unsigned_abs();
                if told > DIMENSIONS_MAX || (told != rank && told != 0) {
                    return None;
                }
                let sizes: Option<Vec<u32>> = (0..told).map(|_| u32::try_from(self.int32()?).ok()).collect();
                let sizes = sizes?;
                let count =
                    sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(usize::try_from(*size).ok()?))?;
                let count = if sizes.is_empty() { 0 } else { count };
                dimensions = (count > 0).then_some(sizes);
                count
            }
        };
        if count > self.values {
            return None;
        }
        // What is said to be there is not believed before it is read.
        let mut values = Vec::with_capacity(count.min(self.bytes.len()));
        for _ in 0..count {
            values.push(self.one(read, depth)?);
        }
        let scalar = match read {
            Read::Scalar(scalar) => scalar,
            Read::Bits(_) => VariantScalarTypeId::UInt64,
            Read::Structure(_) => VariantScalarTypeId::ExtensionObject,
        };
        let array = match dimensions {
            Some(dimensions) => Array::new_multi(scalar, values, dimensions),
            None => Array::new(scalar, values),
        };
        array.ok().map(|array| Variant::Array(Box::new(array)))
    }

    fn one(&mut self, read: Read, depth: u8) -> Option<Variant> {
        self.spend()?;
        match read {
            Read::Bits(count) => Some(match (count, self.bits(count)?) {
                (1, bit) => Variant::Boolean(bit == 1),
                (_, bits) => Variant::UInt64(bits),
            }),
            // Bits fill whole bytes before anything else comes.
            _ if self.bit != 0 => None,
            Read::Structure(at) => {
                let structure = self.structure(at, depth + 1)?;
                Some(Variant::ExtensionObject(ExtensionObject::new(structure)))
            }
            Read::Scalar(scalar) => Some(open(self.layouts, self.scalar(scalar)?, depth + 1)),
        }
    }

    fn spend(&mut self) -> Option<()> {
        self.values = self.values.checked_sub(1)?;
        Some(())
    }

    fn bits(&mut self, count: u32) -> Option<u64> {
        let mut bits = 0_u64;
        for at in 0..count {
            let byte = *self.bytes.first()?;
            bits |= u64::from(byte >> self.bit & 1).checked_shl(at)?;
            self.bit += 1;
            if self.bit == 8 {
                self.bit = 0;
                self.bytes = self.bytes.get(1..)?;
            }
        }
        Some(bits)
    }

    fn int32(&mut self) -> Option<i32> {
        let mut bytes = [0; 4];
        self.bytes.read_exact(&mut bytes).ok()?;
        Some(i32::from_le_bytes(bytes))
    }

    fn decode<T: BinaryDecodable>(&mut self) -> Option<T> {
        T::decode(&mut self.bytes, self.context).ok()
    }

    fn scalar(&mut self, scalar: VariantScalarTypeId) -> Option<Variant> {
        use VariantScalarTypeId as Id;
        Some(match scalar {
            Id::Boolean => self.decode::<bool>()?.into(),
            Id::SByte => self.decode::<i8>()?.into(),
            Id::Byte => self.decode::<u8>()?.into(),
            Id::Int16 => self.decode::<i16>()?.into(),
            Id::UInt16 => self.decode::<u16>()?.into(),
            Id::Int32 => self.decode::<i32>()?.into(),
            Id::UInt32 => self.decode::<u32>()?.into(),
            Id::Int64 => self.decode::<i64>()?.into(),
            Id::UInt64 => self.decode::<u64>()?.into(),
            Id::Float => self.decode::<f32>()?.into(),
            Id::Double => self.decode::<f64>()?.into(),
            Id::String => self.decode::<UAString>()?.into(),
            Id::DateTime => self.decode::<DateTime>()?.into(),
            Id::Guid => self.decode::<Guid>()?.into(),
            Id::StatusCode => self.decode::<StatusCode>()?.into(),
            Id::ByteString => self.decode::<ByteString>()?.into(),
            Id::XmlElement => self.decode::<XmlElement>()?.into(),
            Id::QualifiedName => self.decode::<QualifiedName>()?.into(),
            Id::LocalizedText => self.decode::<LocalizedText>()?.into(),
            Id::NodeId => self.decode::<NodeId>()?.into(),
            Id::ExpandedNodeId => self.decode::<ExpandedNodeId>()?.into(),
            Id::ExtensionObject => Variant::ExtensionObject(self.decode::<ExtensionObject>()?),
            Id::Variant => Variant::Variant(Box::new(self.decode::<Variant>()?)),
            Id::DataValue => Variant::DataValue(Box::new(self.decode::<DataValue>()?)),
            Id::DiagnosticInfo => Variant::DiagnosticInfo(Box::new(self.decode::<DiagnosticInfo>()?)),
        })
    }
}

fn is_there(when: When, numbers: &[u64]) -> bool {
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    match when {
        When::Always => true,
        When::Bit(at, bit) => number(at).checked_shr(u32::from(bit)).is_some_and(|bits| bits & 1 == 1),
        When::Compared(at, comparison, with) => match comparison {
            Comparison::Equals => number(at) == with,
            Comparison::NotEqual => number(at) != with,
            Comparison::GreaterThan => number(at) > with,
            Comparison::LessThan => number(at) < with,
            Comparison::GreaterThanOrEqual => number(at) >= with,
            Comparison::LessThanOrEqual => number(at) <= with,
        },
    }
}

/// What lengths and switches are. Negative ones keep their bits.
fn whole(value: &Variant) -> Option<u64> {
    Some(match value {
        Variant::Boolean(v) => u64::from(*v),
        Variant::SByte(v) => i64::from(*v).cast_unsigned(),
        Variant::Byte(v) => u64::from(*v),
        Variant::Int16(v) => i64::from(*v).cast_unsigned(),
        Variant::UInt16(v) => u64::from(*v),
        Variant::Int32(v) => i64::from(*v).cast_unsigned(),
        Variant::UInt32(v) => u64::from(*v),
        Variant::Int64(v) => v.cast_unsigned(),
        Variant::UInt64(v) => *v,
        _ => return None,
    })
}
