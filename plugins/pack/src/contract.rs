//! The contract's types for modules that do not carry them: those of compilers which know no interfaces, such as a C
//! compiler. Their exported functions' names say which interfaces they have.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use wasmparser::{Parser, Payload};
use wit_component::{StringEncoding, embed_component_metadata, metadata};
use wit_parser::Resolve;

use crate::shape::{DETECTOR, PACKAGE};

/// The contract's versions, the newest first.
const CONTRACTS: [(&str, &str); 2] = [
    ("1.0.0", include_str!("../../../wit/1.0.0/detector.wit")),
    ("0.1.0", include_str!("../../../wit/0.1.0/detector.wit")),
];

/// Whether a module carries the types of what it exports: its compiler may know interfaces and not say which it has.
pub(crate) fn is_told(module: &[u8]) -> Result<bool> {
    let (_, told) = metadata::decode(module).context("the types that it carries cannot be read")?;
    Ok(told.resolve.worlds.get(told.world).is_some_and(|world| !world.exports.is_empty()))
}

/// The module with the contract's types for the interfaces it exports. One that exports none is given none.
pub(crate) fn tell(module: &[u8]) -> Result<Vec<u8>> {
    let mut told = module.to_vec();
    let exported = exported(module)?;
    let world: String = exported.iter().map(|interface| format!("export {interface};")).collect();
    let detector = exported.iter().find_map(|interface| interface.strip_prefix(DETECTOR)?.strip_prefix('@'));
    let Some(wanted) = detector else { return Ok(told) };
    let [newest, ..] = CONTRACTS;
    let (version, contract) = CONTRACTS.into_iter().find(|(version, _)| *version == wanted).unwrap_or(newest);
    let mut resolve = Resolve::default();
    resolve.push_str("detector.wit", contract).context("the contract does not parse")?;
    let text = format!("package watchfire:guest; world guest {{ import {PACKAGE}log@{version}; {world} }}");
    let guest = resolve.push_str("guest.wit", &text).with_context(|| {
        format!(
            "its interfaces are not those of the contract {version}: {}",
            exported.into_iter().collect::<Vec<_>>().join(", ")
        )
    })?;
    let world = resolve.select_world(&[guest], Some("guest")).context("the contract has no world for it")?;
    embed_component_metadata(&mut told, &resolve, world, StringEncoding::UTF8, true)
        .context("the contract's types cannot be added to it")?;
    Ok(told)
}

/// The contract's interfaces of which a module exports functions, such as `watchfire:detector/state@1.0.0`.
fn exported(module: &[u8]) -> Result<BTreeSet<String>> {
    let mut interfaces = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.context("it is not a WebAssembly module")? {
            for export in exports {
                let export = export.context("its export section is damaged")?;
                if let Some((interface, _)) = export.name.split_once('#')
                    && interface.starts_with(PACKAGE)
                {
                    interfaces.insert(interface.to_owned());
                }
            }
        }
    }
    Ok(interfaces)
}

#[cfg(test)]
mod tests {
    #[test]
    fn functions_alone_make_a_detector_and_others_are_refused_by_name() {
        let one = |interface: &str, function: &str, signature: &str| {
            let text = format!(
                r#"(module (memory (export "memory") 1)
                    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
                    (func (export "watchfire:detector/{interface}#{function}") {signature} unreachable))"#
            );
            wat::parse_str(text).expect("the text is a module")
        };
        let explain = "(param i32 i32) (result i32)";
        let partly = crate::from_module(&one("detector@1.0.0", "explain", explain)).expect_err("it lacks functions");
        assert!(format!("{partly:#}").contains("watchfire:detector/detector@1.0.0"), "{partly:#}");
        let newer = crate::from_module(&one("detector@7.0.0", "explain", explain)).expect_err("no such contract");
        assert!(format!("{newer:#}").contains("watchfire:detector/detector@7.0.0"), "{newer:#}");
        let first = crate::from_module(&one("detector@0.1.0", "explain", explain)).expect_err("it lacks functions");
        assert!(format!("{first:#}").contains("watchfire:detector/detector@0.1.0"), "{first:#}");
        let wrong = crate::from_module(&one("detector@1.0.0", "explain", "(result f64)")).expect_err("other types");
        assert!(format!("{wrong:#}").contains("does not match"), "{wrong:#}");
    }
}
