//! Layouts from type dictionaries: names become types, lengths and switches find the fields they speak of. What cannot be
//! read is named with its reason, and so is what contains it; all else is read.

use std::collections::HashMap;
use std::sync::Arc;

use opcua::types::{NodeId, VariantScalarTypeId};

use super::dictionary::{BINARY_SCHEMA, STANDARD_TYPES, TypeName, Written, WrittenField};
use super::{Comparison, Dictionary, Field, Layout, Layouts, Read, Repeat, When};

/// Bits of one field.
const BITS_MAX: u32 = 64;
/// Fields of one structure, those of its base types among them.
const FIELDS_MAX: usize = 4_096;
/// Fields of all structures of one server: base types are written once and are in many.
const ALL_FIELDS_MAX: usize = 200_000;
/// Base types of base types.
const BASES_MAX: usize = 16;

/// A DataType whose values come under some ids, and its description's place: dictionary and name in it (OPC 10000-5
/// §D.2).
#[derive(Clone, Debug)]
pub struct Described {
    /// The encoding, and the DataType.
    pub ids: Vec<NodeId>,
    /// The dictionary's place.
    pub dictionary: usize,
    /// The value of the DataTypeDescription.
    pub name: String,
}

/// A type whose values cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its name, or where it has none its node id.
    pub name: String,
    /// Why, for people.
    pub why: String,
}

impl Layouts {
    /// Adds what dictionaries say of types; answers which of them cannot be read.
    pub fn add_described(&mut self, dictionaries: &[Dictionary], described: &[Described]) -> Vec<Unread> {
        let mut resolver =
            Resolver { dictionaries, base: self.all.len(), places: HashMap::new(), waiting: Vec::new(), fields: 0 };
        let roots: Vec<usize> =
            described.iter().map(|of_type| resolver.place(of_type.dictionary, &of_type.name)).collect();
        let mut readable = Vec::new();
        let mut whys: HashMap<usize, String> = HashMap::new();
        // Each type that is met is read once, those within others after them.
        while let Some((dictionary, name)) = resolver.waiting.get(readable.len()).cloned() {
            let layout = resolver.layout(dictionary, &name);
            if let Err(why) = &layout {
                whys.insert(self.all.len() + readable.len(), why.clone());
            }
            readable.push(layout.ok());
        }
        whys.extend(self.keep(readable));
        let mut unread = Vec::new();
        for (of_type, at) in described.iter().zip(roots) {
            match whys.get(&at) {
                Some(why) => unread.push(Unread { name: of_type.name.clone(), why: why.clone() }),
                None => self.by_id.extend(of_type.ids.iter().map(|id| (id.clone(), at))),
            }
        }
        unread
    }

    /// Appends layouts; those that contain one that cannot be read cannot be either: which, and why.
    pub(super) fn keep(&mut self, mut readable: Vec<Option<Layout>>) -> HashMap<usize, String> {
        let base = self.all.len();
        let mut within: HashMap<usize, Vec<(usize, Arc<str>)>> = HashMap::new();
        for (layout, of) in readable.iter().zip(base..) {
            for field in layout.iter().flat_map(|layout| &layout.fields) {
                if let Read::Structure(at) = field.read {
                    within.entry(at).or_default().push((of, field.name.clone().unwrap_or_default()));
                }
            }
        }
        let mut lost: HashMap<usize, String> = HashMap::new();
        let mut open: Vec<usize> =
            readable.iter().zip(base..).filter(|(it, _)| it.is_none()).map(|(_, at)| at).collect();
        while let Some(at) = open.pop() {
            for (of, member) in within.remove(&at).unwrap_or_default() {
                if let Some(layout) = readable.get_mut(of - base).filter(|layout| layout.is_some()) {
                    *layout = None;
                    lost.insert(of, format!("its member `{member}` is of a type that cannot be read"));
                    open.push(of);
                }
            }
        }
        self.all.extend(readable.into_iter().map(Option::unwrap_or_default));
        lost
    }
}

/// Follows names through dictionaries.
struct Resolver<'d> {
    dictionaries: &'d [Dictionary],
    /// How many layouts there were before.
    base: usize,
    /// Where each type's layout lies, or will.
    places: HashMap<(usize, String), usize>,
    /// All types that were met, by their places.
    waiting: Vec<(usize, String)>,
    /// How many fields they had so far.
    fields: usize,
}

impl Resolver<'_> {
    fn place(&mut self, dictionary: usize, name: &str) -> usize {
        let key = (dictionary, name.to_owned());
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let place = self.base + self.waiting.len();
        self.places.insert(key.clone(), place);
        self.waiting.push(key);
        place
    }

    fn written(&self, dictionary: usize, name: &str) -> Option<&Written> {
        self.dictionaries.get(dictionary)?.types.get(name)
    }

    /// The dictionary that has a type, the one that speaks of it before others of the same namespace.
    fn find(&self, from: usize, name: &TypeName) -> Option<usize> {
        let has = |at: &usize| {
            let dictionary = self.dictionaries.get(*at);
            dictionary.is_some_and(|it| it.namespace == name.namespace && it.types.contains_key(&name.name))
        };
        std::iter::once(from).chain(0..self.dictionaries.len()).find(has)
    }

    /// A structure's fields with those of its base types, each with the dictionary that it is written in.
    fn fields(&self, dictionary: usize, name: &str) -> Result<Vec<(usize, WrittenField)>, String> {
        let (mut at, mut name) = (dictionary, name.to_owned());
        let mut all: Vec<(usize, WrittenField)> = Vec::new();
        for _ in 0..BASES_MAX {
            let (base, fields) = match self.written(at, &name) {
                Some(Written::Structure { base, fields }) => (base, fields),
                Some(_) => return Err(format!("`{name}` is no structure in its dictionary")),
                None => return Err(format!("`{name}` is not in its dictionary")),
            };
            // Where fields of the base type are written out again they are all there.
            let is_whole = fields.iter().any(|field| field.is_inherited);
            all.splice(0..0, fields.iter().map(|field| (at, field.clone())));
            if all.len() > FIELDS_MAX {
                return Err(format!("it has more than {FIELDS_MAX} fields"));
            }
            let Some(base) = base.as_ref().filter(|base| !is_whole && built_in(base).is_none()) else {
                return Ok(all);
            };
            at = self.find(at, base).ok_or_else(|| missing(base))?;
            name.clone_from(&base.name);
        }
        Err(format!("it has more than {BASES_MAX} base types, one above the other"))
    }

    fn layout(&mut self, dictionary: usize, name: &str) -> Result<Layout, String> {
        let written = self.fields(dictionary, name)?;
        self.fields += written.len();
        if self.fields > ALL_FIELDS_MAX {
            return Err(format!("all structures together have more than {ALL_FIELDS_MAX} fields"));
        }
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut fields: Vec<Field> = Vec::with_capacity(written.len());
        for (place, (from, field)) in written.iter().enumerate() {
            let mut made = self.field(*from, field, &places, &mut fields);
            if let Err(why) = &mut made {
                *why = format!("its field `{}`: {why}", field.name);
            }
            fields.push(made?);
            places.insert(&field.name, place);
        }
        Ok(Layout { fields })
    }

    /// What a field means; the fields that it speaks of are no members.
    fn field(
        &mut self,
        from: usize,
        field: &WrittenField,
        places: &HashMap<&str, usize>,
        before: &mut [Field],
    ) -> Result<Field, String> {
        if let Some(strange) = field.strange {
            return Err(strange.to_owned());
        }
        let of_type = field.of_type.as_ref().ok_or("its type has no name, or a prefix that stands for nothing")?;
        let mut speaks_of = |name: &str| {
            let place = *places.get(name).ok_or_else(|| format!("`{name}` is not before it"))?;
            if let Some(other) = before.get_mut(place) {
                other.name = None;
            }
            Ok::<usize, String>(place)
        };
        let when = match &field.switch_field {
            None => When::Always,
            Some(switch) => {
                let place = speaks_of(switch)?;
                let value = field.switch_value.as_deref().map(str::parse).transpose();
                let value = value.map_err(|_| "its SwitchValue is no whole number".to_owned())?;
                match value {
                    None => When::Compared(place, Comparison::NotEqual, 0),
                    Some(value) => When::Compared(place, comparison(field.switch_operand.as_deref())?, value),
                }
            }
        };
        let by = field.length_field.as_deref().map(&mut speaks_of).transpose()?;
        let length: Option<u32> = match field.length.as_deref().map(str::parse) {
            None => None,
            Some(Ok(length)) => Some(length),
            Some(Err(_)) => return Err("its Length is no whole number".to_owned()),
        };
        let read = self.read(from, of_type)?;
        let (read, repeat) = match (read, by, length) {
            (Read::Bits(_), None, length) => {
                let bits = length.unwrap_or(1);
                if !(1..=BITS_MAX).contains(&bits) {
                    return Err(format!("it has {bits} bits"));
                }
                (Read::Bits(bits), Repeat::Once)
            }
            (Read::Bits(_), Some(_), _) => return Err("it is an array of bits".to_owned()),
            (read, Some(by), _) => (read, Repeat::By(by)),
            (read, None, Some(length)) => (read, Repeat::Fixed(length)),
            (read, None, None) => (read, Repeat::Once),
        };
        // What only fills up bytes is no member.
        let is_reserved = matches!(read, Read::Bits(_)) && field.name.starts_with("Reserved");
        let name = (!is_reserved).then(|| field.name.as_str().into());
        Ok(Field { name, read, repeat, when })
    }

    fn read(&mut self, from: usize, name: &TypeName) -> Result<Read, String> {
        if let Some(read) = built_in(name) {
            return Ok(read);
        }
        let at = self.find(from, name).ok_or_else(|| missing(name))?;
        match self.written(at, &name.name) {
            Some(Written::Structure { .. }) => Ok(Read::Structure(self.place(at, &name.name))),
            Some(Written::Enumeration { bits, is_option_set }) => {
                use VariantScalarTypeId as Id;
                Ok(Read::Scalar(match (bits, is_option_set) {
                    (8, _) => Id::Byte,
                    (16, _) => Id::UInt16,
                    (32, false) => Id::Int32,
                    (32, true) => Id::UInt32,
                    (64, _) => Id::UInt64,
                    (bits, _) => return Err(format!("the enumeration `{}` has {bits} bits", name.name)),
                }))
            }
            Some(Written::Opaque { bits: Some(bits) }) => {
                use VariantScalarTypeId as Id;
                Ok(Read::Scalar(match bits {
                    8 => Id::Byte,
                    16 => Id::UInt16,
                    32 => Id::UInt32,
                    64 => Id::UInt64,
                    bits => return Err(format!("`{}` is opaque and has {bits} bits", name.name)),
                }))
            }
            Some(Written::Opaque { bits: None }) => Err(format!("`{}` is opaque", name.name)),
            None => Err(missing(name)),
        }
    }
}

fn missing(name: &TypeName) -> String {
    format!("no dictionary of `{}` has the type `{}`", name.namespace, name.name)
}

fn comparison(operand: Option<&str>) -> Result<Comparison, String> {
    Ok(match operand {
        None | Some("Equals") => Comparison::Equals,
        Some("NotEqual") => Comparison::NotEqual,
        Some("GreaterThan") => Comparison::GreaterThan,
        Some("LessThan") => Comparison::LessThan,
        Some("GreaterThanOrEqual") => Comparison::GreaterThanOrEqual,
        Some("LessThanOrEqual") => Comparison::LessThanOrEqual,
        Some(other) => return Err(format!("its SwitchOperand `{other}` is not known")),
    })
}

/// Types that need no dictionary: those of OPC Binary and the built-in ones of OPC UA (OPC 10000-6 §5.1.2). Some servers
/// take one namespace for the other.
pub(super) fn built_in(name: &TypeName) -> Option<Read> {
    use VariantScalarTypeId as Id;
    if name.namespace != BINARY_SCHEMA && name.namespace != STANDARD_TYPES {
        return None;
    }
    Some(Read::Scalar(match name.name.as_str() {
        "Bit" => return Some(Read::Bits(1)),
        "Boolean" => Id::Boolean,
        "SByte" => Id::SByte,
        "Byte" => Id::Byte,
        "Int16" => Id::Int16,
        "UInt16" => Id::UInt16,
        "Int32" => Id::Int32,
        "UInt32" => Id::UInt32,
        "Int64" => Id::Int64,
        "UInt64" => Id::UInt64,
        "Float" => Id::Float,
        "Double" => Id::Double,
        "String" | "CharArray" => Id::String,
        "DateTime" => Id::DateTime,
        "Guid" => Id::Guid,
        "ByteString" => Id::ByteString,
        "XmlElement" => Id::XmlElement,
        "NodeId" => Id::NodeId,
        "ExpandedNodeId" => Id::ExpandedNodeId,
        "StatusCode" => Id::StatusCode,
        "QualifiedName" => Id::QualifiedName,
        "LocalizedText" => Id::LocalizedText,
        "ExtensionObject" => Id::ExtensionObject,
        "Variant" => Id::Variant,
        "DataValue" => Id::DataValue,
        "DiagnosticInfo" => Id::DiagnosticInfo,
        _ => return None,
    }))
}
