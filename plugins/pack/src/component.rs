//! From a core module to a component that asks its host for nothing but the detector contract.
//!
//! A guest that wants files, clocks or randomness is refused here already, with the names of what it wants, rather than
//! at a customer's gateway; unless its author has what it asks of WASI answered within it. Does not know files.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use wasmparser::{Encoding, Parser, Payload, Validator};
use wit_component::ComponentEncoder;

use crate::contract;
use crate::shape::{DETECTOR, PACKAGE, shape};
use crate::wasi::{self, WASI};

/// What the second of the two manglings that compilers use puts before an interface's name.
const STANDARD_MANGLING: &str = "cm32p2|";

/// The component of either: a core module is made one, a component that a compiler made is checked.
///
/// # Errors
/// When it is no detector, or wants more of its host than the contract gives.
pub fn component(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !Parser::is_component(&bytes) {
        return from_module(&bytes);
    }
    Validator::new().validate_all(&bytes).context("it is damaged or cut short")?;
    check_interfaces(&bytes)?;
    Ok(bytes)
}

/// As [`component`], of a core module whose runtime asks for WASI: within the component all that it asks for is answered,
/// always in the same way, and nothing of it comes from the host.
///
/// # Errors
/// As [`component`], and when the bytes are no core module.
pub fn component_without_wasi(module: &[u8]) -> Result<Vec<u8>> {
    let stub = wasi::stub(module)?;
    encode(module, stub.as_deref())
}

/// The component made of a core module that was compiled against the contract; validated. A module which does not say
/// what its functions' types are has those of the contract: their names alone make it a detector.
pub fn from_module(module: &[u8]) -> Result<Vec<u8>> {
    encode(module, None)
}

/// The component of a module, with what answers its calls to WASI, if anything does.
fn encode(module: &[u8], stub: Option<&[u8]>) -> Result<Vec<u8>> {
    refuse_foreign_imports(module, stub.is_some())?;
    let module = if contract::is_told(module)? { Cow::Borrowed(module) } else { contract::tell(module)?.into() };
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).context("it was not built against the detector contract")?;
    if let Some(stub) = stub {
        encoder.adapter(WASI, stub).context("its calls to WASI cannot be answered")?;
    }
    let component = encoder.encode().context("it does not match the detector contract it was built against")?;
    Validator::new().validate_all(&component).context("the component made of it is not valid")?;
    check_interfaces(&component)?;
    Ok(component)
}

/// Refuses a module whose core imports name anything outside the contract.
fn refuse_foreign_imports(module: &[u8], stubbed: bool) -> Result<()> {
    let mut foreign = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.context("it is not a WebAssembly module")? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                bail!("it is a component already: only core modules are packed");
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.context("its import section is damaged")?;
                    let interface = import.module.strip_prefix(STANDARD_MANGLING).unwrap_or(import.module);
                    let may = interface.starts_with(PACKAGE) || (stubbed && interface == WASI);
                    if !may {
                        foreign.insert(format!("`{} {}`", import.module, import.name));
                    }
                }
            }
            _ => {}
        }
    }
    if foreign.is_empty() {
        return Ok(());
    }
    let names = foreign.into_iter().collect::<Vec<_>>().join(", ");
    bail!(
        "it imports {names}, and a detector has nothing but `{PACKAGE}*`: build it for wasm32-unknown-unknown, \
         without files, clocks, threads or randomness"
    )
}

/// Checks the finished component's own interfaces: imports from the contract alone, the detector exported.
fn check_interfaces(component: &[u8]) -> Result<()> {
    let shape = shape(component)?;
    if let Some(name) = shape.imports.iter().find(|name| !name.starts_with(PACKAGE)) {
        bail!("it imports `{name}`, and a detector has nothing but `{PACKAGE}*`");
    }
    if !shape.exports.iter().any(|name| name.split('@').next() == Some(DETECTOR)) {
        bail!("it does not export `{DETECTOR}`: export that interface of the contract's world");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_component::{StringEncoding, dummy_module, embed_component_metadata};
    use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

    const CONTRACT: &str = "package watchfire:detector@1.0.0;
        interface log { write: func(level: u8, message: string); }
        interface detector { process: func(now: s64) -> s64; }
        world minimal { import log; export detector; }
        world mute { import log; }
        world greedy { import open: func(path: string) -> u32; export detector; }";

    const LEGACY: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

    /// A core module as a compiler would make it for the world.
    fn module(world: &str, mangling: ManglingAndAbi) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("contract.wit", CONTRACT).expect("the contract parses");
        let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
        let mut module = dummy_module(&resolve, world, mangling);
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, true).expect("metadata embeds");
        module
    }

    fn refusal(module: &[u8]) -> String {
        format!("{:#}", from_module(module).expect_err("it must be refused"))
    }

    #[test]
    fn a_module_of_the_contract_becomes_a_component() {
        for mangling in [LEGACY, ManglingAndAbi::Standard32] {
            let component = from_module(&module("minimal", mangling)).expect("it is packed");
            assert!(Parser::is_component(&component));
        }
    }

    /// A module that does nothing but want a function of WASI.
    fn wanting(function: &str) -> Vec<u8> {
        wat::parse_str(format!(r#"(module (import "wasi_snapshot_preview1" {function}) (memory (export "memory") 1))"#))
            .expect("the text is a module")
    }

    #[test]
    fn what_a_runtime_asks_of_wasi_is_answered_within_the_component() {
        for function in [
            r#""clock_time_get" (func (param i32 i64 i32) (result i32))"#,
            r#""fd_write" (func (param i32 i32 i32 i32) (result i32))"#,
            r#""path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32))"#,
            r#""proc_exit" (func (param i32))"#,
        ] {
            let stub = wasi::stub(&wanting(function)).expect("it is answered").expect("it asks for something");
            Validator::new().validate_all(&stub).expect("the stand-in is a module");
            // It goes as far as any module that exports no detector.
            let said = format!("{:#}", component_without_wasi(&wanting(function)).expect_err("it is no detector"));
            assert!(said.contains("does not export `watchfire:detector/detector`"), "{function}: {said}");
        }
        assert!(wasi::stub(&module("minimal", LEGACY)).expect("it is read").is_none());
        let float = wanting(r#""random_get" (func (param f64) (result i32))"#);
        let said = format!("{:#}", wasi::stub(&float).expect_err("such a function is none of WASI's"));
        assert!(said.contains("not those of WASI"), "{said}");
        let other =
            wat::parse_str(r#"(module (import "env" "time" (func (result i64))))"#).expect("the text is a module");
        let said = format!("{:#}", component_without_wasi(&other).expect_err("it wants more than WASI"));
        assert!(said.contains("`env time`"), "{said}");
    }

    #[test]
    fn what_is_no_detector_is_refused_with_the_reason() {
        let wasi = wanting(r#""clock_time_get" (func (param i32 i64 i32) (result i32))"#);
        let component = from_module(&module("minimal", LEGACY)).expect("it is packed");
        let bare = wat::parse_str("(module)").expect("the text is a module");
        assert_eq!(super::component(component.clone()).expect("it is a detector"), component);
        let mute = wat::parse_str("(component)").expect("the text is a component");
        let said = format!("{:#}", super::component(mute).expect_err("it is none"));
        assert!(said.contains("does not export `watchfire:detector/detector`"), "{said}");
        let cases: [(&str, &[u8], &str); 6] = [
            ("wasi", &wasi, "`wasi_snapshot_preview1 clock_time_get`"),
            ("a function of the world itself", &module("greedy", LEGACY), "open"),
            ("a component", &component, "a component already"),
            ("no metadata", &bare, "does not export `watchfire:detector/detector`"),
            ("no detector", &module("mute", LEGACY), "does not export `watchfire:detector/detector`"),
            ("no wasm at all", b"#!/bin/sh", "not a WebAssembly module"),
        ];
        for (name, bytes, expected) in cases {
            let said = refusal(bytes);
            assert!(said.contains(expected), "{name}: {said}");
        }
    }
}
