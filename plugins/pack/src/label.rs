//! What a component says of itself to people: name, version, licence, description. Custom sections under the names that
//! other WebAssembly tools use too; none of it changes what the component does.

use anyhow::{Context, Result, bail};
use wasmparser::{ComponentName, KnownCustom, Parser, Payload};

/// The longest text, bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// The section that names a component, and in it the part with the component's own name.
const NAME_SECTION: &str = "component-name";
const OWN_NAME: u8 = 0;
/// The kind of a section that runtimes pass over.
const CUSTOM: u8 = 0;

/// The label; what is absent is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// An SPDX expression, such as `Apache-2.0 OR MIT`.
    pub licence: Option<String>,
    /// One sentence.
    pub description: Option<String>,
}

impl Label {
    /// The component with this label added at its end.
    ///
    /// # Errors
    /// When a text is empty, too long or holds control characters.
    pub fn embed(&self, mut component: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(name) = checked("name", self.name.as_deref())? {
            let mut part = vec![OWN_NAME];
            sized(&mut part, &text(name));
            section(&mut component, NAME_SECTION, &part);
        }
        for (kind, said) in
            [("version", &self.version), ("licenses", &self.licence), ("description", &self.description)]
        {
            if let Some(said) = checked(kind, said.as_deref())? {
                section(&mut component, kind, said.as_bytes());
            }
        }
        Ok(component)
    }

    /// Reads the label of a component; the last of each kind counts.
    ///
    /// # Errors
    /// When the bytes are no component.
    pub fn read(component: &[u8]) -> Result<Self> {
        let mut label = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            match payload.context("it is damaged or cut short")? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::CustomSection(custom) if depth == 1 => {
                    let said = || std::str::from_utf8(custom.data()).ok().map(str::to_owned);
                    match (custom.name(), custom.as_known()) {
                        (_, KnownCustom::ComponentName(names)) => {
                            for part in names.into_iter().flatten() {
                                if let ComponentName::Component { name, .. } = part {
                                    label.name = Some(name.to_owned());
                                }
                            }
                        }
                        ("version", _) => label.version = said(),
                        ("licenses", _) => label.licence = said(),
                        ("description", _) => label.description = said(),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(label)
    }
}

fn checked<'a>(kind: &str, said: Option<&'a str>) -> Result<Option<&'a str>> {
    match said {
        Some(said) if said.trim().is_empty() || said.len() > TEXT_BYTES_MAX || said.chars().any(char::is_control) => {
            bail!("the {kind} must be one line of 1 to {TEXT_BYTES_MAX} bytes")
        }
        said => Ok(said),
    }
}

/// Appends a custom section.
fn section(to: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut body = text(name);
    body.extend_from_slice(data);
    to.push(CUSTOM);
    sized(to, &body);
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    sized(&mut bytes, text.as_bytes());
    bytes
}

/// Appends bytes after their number, in LEB128.
fn sized(to: &mut Vec<u8>, bytes: &[u8]) {
    let mut left = bytes.len();
    while left > 0x7f {
        to.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_back_and_the_last_one_counts() {
        let component = wat::parse_str("(component (core module))").expect("the text is a component");
        let label = Label {
            name: Some("Öl".repeat(60)),
            version: Some("1.2.3".into()),
            licence: Some("Apache-2.0 OR MIT".into()),
            description: None,
        };
        let labelled = label.embed(component).expect("it is labelled");
        wasmparser::Validator::new().validate_all(&labelled).expect("it is still a component");
        assert_eq!(Label::read(&labelled).expect("it is read"), label);
        let newer = Label { name: Some("oil".into()), ..Label::default() };
        let both = newer.embed(labelled).expect("it is labelled again");
        assert_eq!(Label::read(&both).expect("it is read"), Label { name: newer.name, ..label });
        assert!(Label { name: Some("a\nb".into()), ..Label::default() }.embed(both).is_err());
    }
}
