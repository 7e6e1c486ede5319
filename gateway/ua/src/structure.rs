//! Structures of a server's own types: what they are made of, and their values by the names of their members. Where the
//! descriptions come from is said in `definitions` (DataTypeDefinition) and `dictionary` (type dictionaries); nothing
//! here asks a server.
//!
//! A value is taken as the bytes that came and read here, one at a time, and not while its message is read: so a
//! description that lies costs that value alone, and neither its message nor the connection.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use opcua::types::{
    BinaryEncodable, ByteStringBody, Context, EncodingResult, Error, ExpandedMessageInfo, ExpandedNodeId,
    ExtensionObject, NodeId, UaNullable, Variant, VariantScalarTypeId,
};

mod decode;
mod definitions;
mod dictionary;
mod resolve;
#[cfg(test)]
mod tests;

pub use dictionary::{Dictionary, STANDARD_TYPES};
pub use resolve::{Described, Unread};

/// A value of a structure: its members in their order. An optional member that is not there is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Structure {
    members: Vec<(Arc<str>, Variant)>,
}

impl Structure {
    /// A member's value.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Variant> {
        self.members.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }

    /// All members with their names.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Variant)> {
        self.members.iter().map(|(name, value)| (&**name, value))
    }
}

/// In place of a structure whose bytes are not what its description says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

/// What structures are made of, by the ids under which their values come. Reading a value costs about what decoding its
/// members does, and never more than some members for each byte of it.
#[derive(Debug, Default)]
pub struct Layouts {
    all: Vec<Layout>,
    /// By encoding ids and DataTypes: some servers give one for the other.
    by_id: HashMap<NodeId, usize>,
}

/// What one type of structure is made of.
#[derive(Debug, Default)]
struct Layout {
    fields: Vec<Field>,
}

/// A part of a structure, in the order of its bytes.
#[derive(Clone, Debug)]
struct Field {
    /// What is no member has none: lengths, switches, reserved bits.
    name: Option<Arc<str>>,
    read: Read,
    repeat: Repeat,
    when: When,
}

/// How one value is read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Read {
    Scalar(VariantScalarTypeId),
    /// So many bits, the lowest of a byte first.
    Bits(u32),
    /// Another structure, by its place among all.
    Structure(usize),
}

/// How many values there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Once,
    /// As many as the Int32 before them says.
    Counted,
    /// As many as the product of so many dimensions, which come before them.
    Dimensions(u32),
    /// As many as the field at this place says.
    By(usize),
    Fixed(u32),
}

/// Whether it is there at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// When this bit of the field at this place is set.
    Bit(usize, u8),
    /// When the field at this place compares so with a number.
    Compared(usize, Comparison, u64),
}

/// OPC 10000-5 §D.5.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equals,
    NotEqual,
    GreaterThan,
    LessThan,
    GreaterThanOrEqual,
    LessThanOrEqual,
}

impl Layouts {
    /// How many types can be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether no type can be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether values that come under an id can be read.
    #[must_use]
    pub fn knows(&self, id: &NodeId) -> bool {
        self.by_id.contains_key(id)
    }

    /// A value with its structures read, those within arrays and variants as well. What has no description stays as it
    /// is, and what does not match its own becomes [`Undecodable`].
    #[must_use]
    pub fn open(&self, value: Variant) -> Variant {
        decode::open(self, value, 0)
    }
}

/// Whether a value is a structure, or an array of them, that a server described.
#[must_use]
pub fn is_structure(value: &Variant) -> bool {
    match value {
        Variant::ExtensionObject(_) => true,
        Variant::Array(array) => array.value_type == VariantScalarTypeId::ExtensionObject,
        Variant::Variant(inner) => is_structure(inner),
        _ => false,
    }
}

/// The bytes of a structure that nobody has read yet, and what they are said to be.
fn raw(object: &ExtensionObject) -> Option<(&NodeId, &[u8])> {
    let body = object.inner_as::<ByteStringBody>()?;
    Some((body.encoding_id(), body.raw_body().as_ref()))
}

/// They are only ever read: whoever would write one learns that it cannot be done.
macro_rules! never_written {
    ($of:ty) => {
        impl UaNullable for $of {}

        impl BinaryEncodable for $of {
            fn byte_len(&self, _: &Context<'_>) -> usize {
                0
            }

            fn encode<S: Write + ?Sized>(&self, _: &mut S, _: &Context<'_>) -> EncodingResult<()> {
                Err(Error::encoding("a structure that was read is not written"))
            }
        }

        impl ExpandedMessageInfo for $of {
            fn full_type_id(&self) -> ExpandedNodeId {
                ExpandedNodeId::null()
            }

            fn full_json_type_id(&self) -> ExpandedNodeId {
                ExpandedNodeId::null()
            }

            fn full_xml_type_id(&self) -> ExpandedNodeId {
                ExpandedNodeId::null()
            }

            fn full_data_type_id(&self) -> ExpandedNodeId {
                ExpandedNodeId::null()
            }
        }
    };
}

never_written!(Structure);
never_written!(Undecodable);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.name, self.why)
    }
}
