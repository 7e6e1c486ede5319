//! Every command line that a page shows, and that the service file gives, is one that the program takes.

use std::path::{Path, PathBuf};

use clap::Parser;

use crate::cli::Cli;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The words of a line as a shell would make them, up to a comment, a redirection or the next command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '<' | '>' | '|' | '&' | ';') => break,
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// The lines within fences for a shell.
fn shown(page: &str) -> Vec<String> {
    let (mut fenced, mut lines, mut begun) = (false, Vec::new(), String::new());
    for line in page.lines().map(str::trim) {
        match line.strip_prefix("```") {
            Some(language) => fenced = !fenced && matches!(language, "sh" | "bash" | "shell"),
            None if fenced => match line.strip_suffix('\\') {
                Some(part) => begun += part,
                None => lines.push(std::mem::take(&mut begun) + line),
            },
            None => {}
        }
    }
    lines
}

/// The program's own arguments, where a line runs it, be it as another user.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let place = words.iter().position(|word| Path::new(word).file_name().is_some_and(|name| name == "watchfire"))?;
    let before = words.get(..place)?;
    let runs =
        before.is_empty() || (before.first()?.as_str() == "sudo" && before.get(1)?.as_str() == "-u" && place == 3);
    runs.then(|| words.get(place..).unwrap_or_default().to_vec())
}

#[test]
fn every_command_that_a_page_shows_is_one() {
    let docs = std::fs::read_dir(top().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages =
        docs.chain([top().join("README.md")]).filter(|path| path.extension().is_some_and(|found| found == "md"));
    let mut count = 0;
    for path in pages {
        // What a command puts into another is not known before.
        for line in shown(&std::fs::read_to_string(&path).unwrap()).iter().filter(|line| !line.contains("$(")) {
            let Some(arguments) = arguments(line) else { continue };
            count += 1;
            match Cli::try_parse_from(&arguments) {
                Ok(_) => {}
                Err(error) if !error.use_stderr() => {}
                Err(error) => panic!("{}: {line}\n{error}", path.display()),
            }
        }
    }
    assert!(count > 60, "they are found: {count}");
}

#[test]
fn the_service_runs_and_reloads_what_its_page_puts_there() {
    let unit = std::fs::read_to_string(top().join("config/watchfire.service")).unwrap();
    let page = std::fs::read_to_string(top().join("docs/service.md")).unwrap();
    let value = |key: &str| {
        let mut found = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let (one, more) = (found.next().unwrap_or_else(|| panic!("no {key}")), found.next());
        assert!(more.is_none(), "{key}");
        one.to_owned()
    };
    for (key, command) in [("ExecStart", "run"), ("ExecReload", "reload")] {
        let line = value(key);
        let arguments = arguments(&line).unwrap();
        Cli::try_parse_from(&arguments).unwrap_or_else(|error| panic!("{line}\n{error}"));
        assert_eq!(arguments[1], command);
        for path in [arguments.first().unwrap(), arguments.last().unwrap()] {
            assert!(page.contains(path), "the page puts `{path}` there");
        }
    }
    assert!(page.contains(&format!(
        "--system --user-group --home-dir /var/lib/watchfire --shell /usr/sbin/nologin {}",
        value("User")
    )));
    let refused = crate::REFUSED.to_string();
    assert_eq!(value("RestartPreventExitStatus"), refused, "what a person must mend is not tried again and again");
}
