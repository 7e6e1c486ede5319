//! What a file is to a detector's host: a core module, a component, and with which interfaces. Runs nothing of it.

use anyhow::{Context, Result, bail};
use wasmparser::Parser;
use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldItem, WorldKey};

/// The contract's package: the only place a detector may import from.
pub const PACKAGE: &str = "watchfire:detector/";
/// The interface that makes a component a detector.
pub(crate) const DETECTOR: &str = "watchfire:detector/detector";

/// The interfaces of a component, by their full names with versions, in the component's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// What it wants of its host.
    pub imports: Vec<String>,
    /// What it has for its host.
    pub exports: Vec<String>,
}

/// Whether the bytes are a core module, which has to be packed first.
#[must_use]
pub fn is_module(bytes: &[u8]) -> bool {
    Parser::is_core_wasm(bytes)
}

/// Reads a component's interfaces. Costs one pass over its types; nothing is compiled.
///
/// # Errors
/// When the bytes are no component.
pub fn shape(component: &[u8]) -> Result<Shape> {
    if !Parser::is_component(component) {
        bail!("it is no WebAssembly component");
    }
    let decoded = wit_component::decode(component).context("its interfaces cannot be read")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("it carries a description of interfaces and no code");
    };
    let world = resolve.worlds.get(world).context("its world is missing")?;
    let names = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| -> Vec<String> {
        items.map(|(key, item)| interface_name(&resolve, key, item)).collect()
    };
    Ok(Shape { imports: names(&mut world.imports.iter()), exports: names(&mut world.exports.iter()) })
}

/// What to do without an import that a detector does not get.
#[must_use]
pub fn way_out(import: &str) -> &'static str {
    const WAYS: [(&str, &str); 10] = [
        ("wasi:filesystem", "no files: let the configuration or the model carry what it needs"),
        ("wasi:clocks", "no clock: `now` of the batch is the time"),
        ("wasi:random", "no randomness: take the `seed` that `init` is handed"),
        ("wasi:sockets", "no network: all it learns comes in batches"),
        ("wasi:http", "no network: all it learns comes in batches"),
        ("wasi:cli", "no standard streams, arguments or environment: `watchfire:detector/log` and the configuration"),
        ("wasi:io", "no streams: `watchfire:detector/log` is the way to say something"),
        ("wasi_snapshot_preview1", "no system interface: build it for wasm32-unknown-unknown"),
        ("wasi", "no system interface: build it for wasm32-unknown-unknown"),
        ("env", "a function that the linker did not find: link it in"),
    ];
    let known = WAYS.iter().find(|(prefix, _)| import.starts_with(prefix));
    known.map_or("the contract does not give it: leave it out", |(_, way)| way)
}

/// The full name of an import or export of a world, with its version.
fn interface_name(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> String {
    match item {
        WorldItem::Interface { id, .. } => resolve.id_of(*id).unwrap_or_else(|| resolve.name_world_key(key)),
        _ => resolve.name_world_key(key),
    }
}
