//! A type dictionary as it is written: XML of the namespace `http://opcfoundation.org/BinarySchema/` (OPC 10000-5
//! Annex D). Only reads the text; what its types mean is for `resolve`. No document type is accepted, so that there
//! are no entities, and neither text nor elements are without bounds.

use std::collections::HashMap;

use roxmltree::{Document, Node, ParsingOptions};

use crate::UaError;

/// The namespace of the elements, and of the types that need no dictionary.
pub(super) const BINARY_SCHEMA: &str = "http://opcfoundation.org/BinarySchema/";
/// The namespace of the standard's own types, whose dictionary servers have as a node (`i=7617`).
pub const STANDARD_TYPES: &str = "http://opcfoundation.org/UA/";

/// The largest text, bytes; the standard's own dictionary has some 250 KB.
const BYTES_MAX: usize = 4 << 20;
/// Elements, attributes and texts in between.
const NODES_MAX: u32 = 200_000;
/// An element with its attributes and the text that follows.
const ELEMENT_BYTES_MAX: usize = 8 << 10;
/// Declarations of namespaces.
const NAMESPACES_MAX: usize = 200;

/// What a dictionary has of types, by their names.
#[derive(Debug, Default)]
pub struct Dictionary {
    pub(super) namespace: String,
    pub(super) types: HashMap<String, Written>,
}

/// A type as it is written.
#[derive(Debug)]
pub(super) enum Written {
    Structure { base: Option<TypeName>, fields: Vec<WrittenField> },
    Enumeration { bits: u32, is_option_set: bool },
    Opaque { bits: Option<u32> },
}

/// A type's name with the namespace that its prefix stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypeName {
    pub namespace: String,
    pub name: String,
}

/// A field as it is written.
#[derive(Clone, Debug)]
pub(super) struct WrittenField {
    pub name: String,
    /// `None`: the prefix stands for nothing.
    pub of_type: Option<TypeName>,
    pub length: Option<String>,
    pub length_field: Option<String>,
    pub switch_field: Option<String>,
    pub switch_value: Option<String>,
    pub switch_operand: Option<String>,
    /// Attributes that change what the bytes mean, and are not understood.
    pub strange: Option<&'static str>,
    /// Whether it is one of the base type, written out again.
    pub is_inherited: bool,
}

impl Dictionary {
    /// Reads the value of a DataTypeDictionary.
    ///
    /// # Errors
    /// [`UaError::Dictionary`]: it is not XML, or no dictionary, or too large.
    pub fn parse(bytes: &[u8]) -> Result<Self, UaError> {
        let error = |why: String| UaError::Dictionary { why };
        if bytes.len() > BYTES_MAX {
            return Err(error(format!("it has {} bytes, more than {BYTES_MAX}", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| error("it is not UTF-8".to_owned()))?;
        // Some servers end it with zeros, as C does.
        let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
        if is_crowded(text) {
            return Err(error("one of its elements is too long, or it has too many namespaces".to_owned()));
        }
        let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|why| error(why.to_string()))?;
        let root = document.root_element();
        if !is(root, "TypeDictionary") {
            return Err(error(format!("it is a `{}` and no TypeDictionary", root.tag_name().name())));
        }
        if root.attribute("DefaultByteOrder").is_some_and(|order| order != "LittleEndian") {
            return Err(error("its bytes are not in the order of OPC UA (DefaultByteOrder)".to_owned()));
        }
        let namespace = root.attribute("TargetNamespace").unwrap_or_default().to_owned();
        let mut types = HashMap::new();
        for element in root.children().filter(Node::is_element) {
            let Some(name) = element.attribute("Name") else { continue };
            let bits = || element.attribute("LengthInBits").and_then(|bits| bits.parse().ok());
            let written = if is(element, "StructuredType") {
                let base = element.attribute("BaseType").and_then(|base| type_name(element, base, &namespace));
                let fields = element.children().filter(|child| is(*child, "Field"));
                Written::Structure { base, fields: fields.map(|field| written_field(field, &namespace)).collect() }
            } else if is(element, "EnumeratedType") {
                let is_option_set = element.attribute("IsOptionSet") == Some("true");
                Written::Enumeration { bits: bits().unwrap_or(32), is_option_set }
            } else if is(element, "OpaqueType") {
                Written::Opaque { bits: bits() }
            } else {
                continue;
            };
            types.insert(name.to_owned(), written);
        }
        Ok(Self { namespace, types })
    }
}

/// What the parser would need more than linear time for: it compares each attribute with all others of its element,
/// and copies namespaces from element to element.
fn is_crowded(text: &str) -> bool {
    // No attribute has this bracket within.
    text.split('<').any(|element| element.len() > ELEMENT_BYTES_MAX)
        || text.matches("xmlns").nth(NAMESPACES_MAX).is_some()
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name && node.tag_name().namespace() == Some(BINARY_SCHEMA)
}

/// A name with its prefix; without one it is of the dictionary itself.
fn type_name(node: Node<'_, '_>, written: &str, own: &str) -> Option<TypeName> {
    let (namespace, name) = match written.split_once(':') {
        Some((prefix, name)) => (node.lookup_namespace_uri(Some(prefix))?, name),
        None => (own, written),
    };
    Some(TypeName { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn written_field(field: Node<'_, '_>, own: &str) -> WrittenField {
    let attribute = |name: &str| field.attribute(name).map(str::to_owned);
    let strange = if attribute("IsLengthInBytes").is_some_and(|is| is == "true") {
        Some("its length is given in bytes")
    } else if attribute("Terminator").is_some() {
        Some("it ends with a terminator")
    } else if attribute("ByteOrder").is_some_and(|order| order != "LittleEndian") {
        Some("its bytes are not in the order of OPC UA")
    } else {
        None
    };
    WrittenField {
        name: attribute("Name").unwrap_or_default(),
        of_type: field.attribute("TypeName").and_then(|written| type_name(field, written, own)),
        length: attribute("Length"),
        length_field: attribute("LengthField"),
        switch_field: attribute("SwitchField"),
        switch_value: attribute("SwitchValue"),
        switch_operand: attribute("SwitchOperand"),
        strange,
        is_inherited: attribute("SourceType").is_some(),
    }
}
