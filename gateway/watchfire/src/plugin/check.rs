//! `watchfire plugin check`: is this file a detector, and what does it say of itself?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use pack::{Label, PACKAGE};
use watchfire_model::{Decides, Scope, plain};
use watchfire_package::Digest;
use watchfire_sandbox::Inspection;

use crate::run;

/// Options of `plugin check`.
#[derive(Args, Debug)]
pub struct Check {
    /// The component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Shows a component; exit code 1 when a gateway would refuse it.
///
/// # Errors
/// When the file cannot be read.
pub fn check(options: &Check) -> Result<ExitCode> {
    let file = &options.file;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    println!("file         {}", file.display());
    println!("digest       {}", Digest::of(&bytes));
    println!("size         {} bytes", bytes.len());
    label(&Label::read(&bytes).unwrap_or_default());
    let faults = contract(&file.display().to_string(), &bytes)?;
    faults.iter().for_each(|fault| println!("refused      {}", plain(fault)));
    if faults.is_empty() {
        println!("good         a gateway of this version runs it");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows what a component is to the contract; answers what speaks against it.
///
/// # Errors
/// When the sandbox cannot be started.
pub fn contract(name: &str, bytes: &[u8]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    if pack::is_module(bytes) {
        let way_out = "turn it into one with `watchfire plugin pack IN.wasm OUT.wasm`";
        faults.push(format!("it is a core module, not a component; {way_out}"));
    } else {
        match pack::shape(bytes) {
            Ok(shape) => {
                println!("imports      {}", plain(&listed(&shape.imports)));
                println!("exports      {}", plain(&listed(&shape.exports)));
                let foreign = shape.imports.iter().filter(|import| !import.starts_with(PACKAGE));
                faults.extend(foreign.map(|import| format!("it wants `{import}`; {}", pack::way_out(import))));
            }
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    if faults.is_empty() {
        match run::runtime()?.block_on(super::sandbox_with(&[(name, bytes)])?.inspect(Path::new(name))) {
            Ok(said) => {
                show(&said);
                faults.extend(schema_fault(&said.config_schema));
            }
            Err(error) => faults.push(error.to_string()),
        }
    }
    Ok(faults)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn label(label: &Label) {
    let said = [
        ("name", &label.name),
        ("release", &label.version),
        ("licence", &label.licence),
        ("description", &label.description),
    ];
    for (kind, said) in said {
        if let Some(said) = said {
            println!("{kind:12} {}", said.escape_debug());
        }
    }
}

fn show(said: &Inspection) {
    println!("id           {} {}", said.id, said.version);
    println!("title        {}", said.title);
    println!("state        version {}", said.state_version);
    for condition in &said.conditions {
        let scope = match condition.scope {
            Scope::Signal => "signal",
            Scope::Group => "group",
            Scope::Binding => "binding",
        };
        let decides = match condition.decides {
            Decides::Plugin => "plugin",
            Decides::Host => "gateway",
        };
        let (id, severity, text) = (&condition.id, condition.severity.get(), &condition.text);
        println!("condition    {id}: for each {scope}, the {decides} decides, severity {severity}: {text}");
    }
    said.slots.iter().for_each(|slot| println!("signals      {slot}"));
    if let Some(tick) = said.tick {
        println!("tick         {} ms", tick.as_millis());
    }
    println!("warm-up      {} samples", said.warm_up_samples);
    println!("memory       {} bytes at start", said.memory_bytes);
}

/// Why a configuration's schema is none.
fn schema_fault(schema: &str) -> Option<String> {
    if schema.trim().is_empty() {
        return None;
    }
    match serde_json::from_str::<serde_json::Value>(schema) {
        Ok(serde_json::Value::Object(_)) => None,
        Ok(_) => Some("its configuration's schema is no JSON object; write a JSON Schema, or nothing".to_owned()),
        Err(error) => Some(format!("its configuration's schema is no JSON: {error}")),
    }
}
