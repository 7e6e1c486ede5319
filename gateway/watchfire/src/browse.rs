//! `watchfire browse`: what a configured source's server has, as a tree for people or as `[[source.signal]]` entries.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use watchfire_config::{Config, SourceConfig};
use watchfire_model::{SystemClock, plain};
use watchfire_source::{Tree, TreeNode, Variable, tree};

use crate::cli::Browse;
use crate::run;

/// Longer values are cut in the tree.
const VALUE_CHARS: usize = 40;
/// The Server object.
const SERVER: &str = "i=2253";
/// Signals have no longer names.
const NAME_BYTES_MAX: usize = 128;

/// Browses a server and prints what it has.
///
/// # Errors
/// When the source is not configured, or its server cannot be reached.
pub fn browse(options: &Browse) -> Result<ExitCode> {
    let config = Config::load(options.file())?;
    let source = source(&config, &options.source)?;
    let pki = config.gateway.data.join("pki");
    let from = options.path.as_deref();
    let depth = options.depth.unwrap_or(if options.writes_entries() { usize::MAX } else { 4 });
    let runtime = run::runtime()?;
    let found = runtime.block_on(tree(source, pki, Arc::new(SystemClock), from, depth))?;
    if options.writes_entries() {
        print!("{}", entries(&found, source));
        misplaced_at_the_end(&config, &source.name).iter().for_each(|told| eprintln!("{told}"));
    } else {
        print!("{}", drawn(&found));
    }
    if found.is_cut {
        eprintln!("there is more than {} nodes: begin further down, or give a smaller `--depth`", found.nodes.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said where entries at the end of the file would be another source's.
fn misplaced_at_the_end(config: &Config, source: &str) -> Option<String> {
    let last = config.sources.last().filter(|last| last.name != source)?;
    let last = &last.name;
    Some(format!(
        "put these behind the `[[source]]` of `{source}` and before the next one: at the end of the file they would be \
         signals of `{last}`"
    ))
}

/// A source by its name.
///
/// # Errors
/// Says which there are.
pub fn source<'c>(config: &'c Config, name: &str) -> Result<&'c SourceConfig> {
    let names: Vec<String> = config.sources.iter().map(|source| format!("`{}`", source.name)).collect();
    let found = config.sources.iter().find(|source| source.name == name);
    let Some(found) = found else { bail!("there is no source `{name}`; configured: {}", names.join(", ")) };
    Ok(found)
}

/// The tree, two blanks a level.
fn drawn(tree: &Tree) -> String {
    let mut text = String::new();
    for node in &tree.nodes {
        let _ = write!(text, "{:indent$}{}", "", plain(&node.name), indent = node.depth * 2);
        if let Some(variable) = &node.variable {
            let value: String = plain(&variable.value).chars().take(VALUE_CHARS).collect();
            let unit = variable.about.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
            let _ = write!(text, " = {value}{unit}  [{} {}]", node.of_type, variable.data_type);
        } else if !node.of_type.is_empty() {
            let _ = write!(text, "  [{}]", node.of_type);
        }
        let repeated = if node.is_repeated { "  (shown above)" } else { "" };
        let _ = writeln!(text, "  {}{repeated}", plain(&node.node));
    }
    text
}

/// `[[source.signal]]` tables for all variables that can be signals and are not configured yet.
fn entries(tree: &Tree, source: &SourceConfig) -> String {
    let configured: HashSet<String> = source.signals.iter().map(|signal| signal.node.to_string()).collect();
    let prefix = format!("{}/", source.name);
    let mut names: HashSet<String> = source
        .signals
        .iter()
        .map(|signal| signal.name.strip_prefix(&prefix).unwrap_or(&signal.name).to_owned())
        .collect();
    let (mut text, mut way) = (String::new(), Vec::<&str>::new());
    let mut of_server = false;
    for node in &tree.nodes {
        // What the server tells of itself is nothing of the plant, unless it was asked for.
        of_server = node.depth > 0 && if node.depth == 1 { node.node == SERVER } else { of_server };
        way.truncate(node.depth);
        way.push(&node.name);
        let Some(variable) = node.variable.as_ref().filter(|variable| variable.is_fit && !of_server) else { continue };
        if !configured.contains(&node.node) {
            // The node where the tree begins is no part of the names, unless it is the variable itself.
            let parts = way.get(1..).filter(|parts| !parts.is_empty()).unwrap_or(&way);
            let name = free_name(parts, &mut names);
            text.push_str(&entry(&name, node, variable));
        }
    }
    text
}

/// A name that no other signal has.
fn free_name(parts: &[&str], names: &mut HashSet<String>) -> String {
    let part = |part: &&str| {
        let part: String = part.trim().chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
        if part.is_empty() { "_".to_owned() } else { part }
    };
    let mut whole = parts.iter().map(part).collect::<Vec<_>>().join("/");
    // From its end, which says most, and not within a part.
    while whole.len() > NAME_BYTES_MAX - 8 {
        whole = match whole.split_once('/') {
            Some((_, rest)) => rest.to_owned(),
            None => whole.chars().take(NAME_BYTES_MAX / 8).collect::<String>().trim().to_owned(),
        };
    }
    let mut name = whole.clone();
    for number in 2_u32.. {
        if names.insert(name.clone()) {
            break;
        }
        name = format!("{whole} {number}");
    }
    name
}

fn entry(name: &str, node: &TreeNode, variable: &Variable) -> String {
    let about = &variable.about;
    let mut text = format!("[[source.signal]]\nname = {}\nnode = {}\n", quoted(name), quoted(&node.node));
    if let Some(unit) = &about.unit {
        let _ = writeln!(text, "unit = {}", quoted(unit));
    }
    if let Some((low, high)) = about.range {
        let _ = writeln!(text, "range = [{low:?}, {high:?}]");
    }
    if !about.description.trim().is_empty() {
        let _ = writeln!(text, "description = {}", quoted(&about.description));
    }
    text + "\n"
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use watchfire_config::About;

    fn node(depth: usize, name: &str, variable: Option<Variable>) -> TreeNode {
        let of_type = if variable.is_some() { "AnalogItemType" } else { "FolderType" };
        let node = format!("nsu=urn:p;s={name}");
        TreeNode { depth, name: name.into(), node, of_type: of_type.into(), variable, is_repeated: false }
    }

    fn variable(is_fit: bool) -> Option<Variable> {
        let about = About { unit: Some("m3/h".into()), range: Some((0.0, 1.5)), description: "a \"b\"\\".into() };
        Some(Variable { data_type: "Double".into(), value: "1.5\n".into(), about, is_fit })
    }

    fn found() -> Tree {
        let loop_back = TreeNode { is_repeated: true, ..node(2, "Plant", None) };
        let nodes = vec![
            node(0, "Objects", None),
            node(1, "Plant", None),
            node(2, "Flow", variable(true)),
            node(3, "A/B\u{7}", variable(true)),
            loop_back,
            TreeNode { node: SERVER.into(), ..node(1, "Server", None) },
            node(2, "ServerStatus", None),
            node(3, "CurrentTime", variable(true)),
            node(1, "Plant", None),
            node(2, "Flow", variable(true)),
            node(2, "Curve", variable(false)),
            node(2, &"ä".repeat(300), variable(true)),
        ];
        Tree { nodes, is_cut: false }
    }

    #[test]
    fn entries_that_would_be_another_sources_at_the_end_of_the_file_are_told() {
        let text = "[[source]]\nname = 'press'\nurl = 'opc.tcp://a'\n[[source]]\nname = 'oven'\nurl = 'opc.tcp://b'\n";
        let config = Config::parse(text, "w.toml", Path::new("")).unwrap();
        let told = misplaced_at_the_end(&config, "press").unwrap();
        assert!(told.contains("behind the `[[source]]` of `press`") && told.contains("signals of `oven`"), "{told}");
        assert_eq!(misplaced_at_the_end(&config, "oven"), None);
    }

    #[test]
    fn a_tree_shows_values_units_and_types() {
        let text = drawn(&found());
        let lines: Vec<&str> = text.lines().take(5).collect();
        assert_eq!(
            lines,
            [
                "Objects  [FolderType]  nsu=urn:p;s=Objects",
                "  Plant  [FolderType]  nsu=urn:p;s=Plant",
                "    Flow = 1.5  m3/h  [AnalogItemType Double]  nsu=urn:p;s=Flow",
                "      A/B  = 1.5  m3/h  [AnalogItemType Double]  nsu=urn:p;s=A/B ",
                "    Plant  [FolderType]  nsu=urn:p;s=Plant  (shown above)",
            ]
        );
    }

    #[test]
    fn entries_are_a_configuration_whatever_a_server_calls_its_nodes() {
        let head =
            "[[source]]\nname = 'p'\nurl = 'opc.tcp://p'\n[[source.signal]]\nname = 'Plant/Flow'\nnode = 'i=1'\n";
        let config = Config::parse(head, "head", Path::new("")).unwrap();
        let text = format!("{head}\n{}", entries(&found(), &config.sources[0]));
        let config = Config::parse(&text, "whole", Path::new("")).unwrap_or_else(|told| panic!("{told}\n{text}"));
        let signals = &config.sources[0].signals;
        let names: Vec<&str> = signals.iter().map(|signal| signal.name.as_str()).collect();
        let long = format!("p/{}", "ä".repeat(16));
        assert_eq!(names, ["p/Plant/Flow", "p/Plant/Flow 2", "p/Plant/Flow/A_B_", "p/Plant/Flow 3", &long]);
        assert_eq!((signals[1].unit.as_deref(), signals[1].range), (Some("m3/h"), Some((0.0, 1.5))));
        assert_eq!(signals[1].description, "a \"b\"\\");
    }
}
