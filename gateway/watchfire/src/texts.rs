//! `watchfire alarms texts`: what there is to be translated, as the table that `texts_csv` names, with what is translated
//! already. What a plugin of somebody else says in its sentences is not known here.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use watchfire_alarms::ConditionDef;
use watchfire_config::{Config, Lists, Texts};
use watchfire_pipeline::OwnConditions;
use watchfire_server::STATE_NAMES;

use crate::terminal::cell;
use crate::trial;

/// What the detectors that come with the gateway say, and the reasons that the gateway puts behind a sentence.
const SENTENCES: [&str; 17] = [
    "{1} is above the high-high limit of {2}",
    "{1} is above the high limit of {2}",
    "{1} is below the low limit of {2}",
    "{1} is below the low-low limit of {2}",
    "{1} is within the limits",
    "there is no good value to judge",
    "has stood at {1}, to within {2}, for {3}; the longest learned is {4}",
    "moves again, now {1}",
    "{1} was never seen; the nearest values learned are {2} and {3}",
    "{1} was never seen",
    "the value jumps: a standard deviation of {1} over 3 samples, at most {2} was learned",
    "the value is too still: a standard deviation of {1} over 3 samples, at least {2} was learned",
    "the value moves as never seen: a standard deviation of {1} over 3 samples",
    "{1} = {2}, expected {3} to {4}",
    "{1} = {2}, expected at least {3}",
    "{1} = {2}, expected at most {3}",
    "{1} = {2}",
];

/// Writes what there is to be translated. The gateway need not run.
///
/// # Errors
/// When the configuration is wrong, the file is there already, or it cannot be written.
pub fn export(config: &Path, file: &Path) -> Result<ExitCode> {
    let config = Config::load_with(config, Lists::AsFarAsThere)?;
    let (conditions, refused) = trial::tried(&config)?;
    let own = OwnConditions::new(&config.gateway.name);
    let general = [own.clock_def(), own.disk_def(), own.history_def(), own.sealing_def(), own.certificates_def()];
    let sources = config.sources.iter().map(|source| own.source_def(&source.name));
    let detectors = config.detectors.iter().map(|detector| own.detector_def(&detector.name));
    let all = conditions.into_iter().chain(general).chain(sources).chain(detectors);
    let (table, count) = table(&config.texts, &all.collect::<Vec<_>>());
    let out = fs::OpenOptions::new().write(true).create_new(true).open(file);
    let mut out =
        out.with_context(|| format!("cannot make `{}`; name a file that is not there yet", file.display()))?;
    out.write_all(table.as_bytes()).with_context(|| format!("cannot write `{}`", file.display()))?;
    println!("{}: {count} texts", file.display());
    refused.iter().for_each(|refused| eprintln!("{refused}"));
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The table, and how many texts it has: names of states, sentences, what is said of conditions, and whatever else is
/// translated.
fn table(texts: &Texts, conditions: &[std::sync::Arc<ConditionDef>]) -> (String, usize) {
    let said = |def: &std::sync::Arc<ConditionDef>| {
        [&*def.text, &*def.response, &def.rules.cause, &def.rules.consequence].map(str::to_owned)
    };
    let of_conditions: BTreeSet<String> = conditions.iter().flat_map(said).filter(|text| !text.is_empty()).collect();
    let fixed = STATE_NAMES.iter().chain(&SENTENCES).map(|text| (*text).to_owned());
    let mut all: Vec<String> = fixed.chain(of_conditions).collect();
    let known: BTreeSet<String> = all.iter().cloned().collect();
    let translated: BTreeSet<&String> = texts.languages().iter().flat_map(|language| language.texts.keys()).collect();
    all.extend(translated.into_iter().filter(|text| !known.contains(*text)).cloned());
    let mut table = String::from("text");
    for language in texts.languages() {
        table += &format!(",{}", language.locale);
    }
    table.push('\n');
    for text in &all {
        table += &cell(text);
        for language in texts.languages() {
            table += &format!(",{}", cell(language.texts.get(text).map_or("", String::as_str)));
        }
        table.push('\n');
    }
    (table, all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_are_those_that_are_said() {
        let sources = [
            include_str!("../../../plugins/limit/src/lib.rs"),
            include_str!("../../../plugins/stuck/src/lib.rs"),
            include_str!("../../../plugins/novelty/src/reasons.rs"),
            include_str!("../../server/src/condition_values.rs"),
        ]
        .concat();
        for sentence in SENTENCES {
            let parts = sentence.split(|c: char| matches!(c, '{' | '}' | '1'..='9')).map(str::trim);
            for part in parts.flat_map(|part| part.split("over 3 samples")).map(str::trim).filter(|part| part.len() > 3)
            {
                assert!(sources.contains(part), "nobody says `{part}` of `{sentence}`");
            }
        }
    }

    #[test]
    fn a_table_has_what_is_to_be_translated_and_loses_nothing_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("texts.csv");
        fs::write(&file, "text;de\nActive;Aktiv\nof a plugin, {1};\"eines Plugins; {1}\"\n").unwrap();
        let texts = Texts::load(&file).unwrap();
        let own = OwnConditions::new("gateway");
        let (table, count) = table(&texts, &[own.clock_def(), own.source_def("press")]);
        fs::write(&file, &table).unwrap();
        let again = Texts::load(&file).unwrap_or_else(|told| panic!("{told}\n{table}"));
        assert_eq!(again, texts);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!((lines[0], lines.len()), ("text,de", count + 1));
        for line in ["Active,Aktiv", "Unacknowledged,", "source `press` cannot be read,", "{1} was never seen,"] {
            assert!(lines.contains(&line), "{line}: {table}");
        }
    }
}
