//! `texts_csv`: what is told to people, in their languages, as a table that is kept in a spreadsheet: a row for each text as
//! the gateway has it, a column for each language. Who is told in which is not known here.

use std::collections::BTreeMap;
use std::path::Path;

use crate::csv_table;
use crate::{ConfigError, ConfigErrors};

/// The column with the texts as the gateway has them.
const TEXT: &str = "text";
/// The language of the gateway's own texts, which no table needs.
const OWN: &str = "en";
/// The longest locale, bytes.
const LOCALE_BYTES_MAX: usize = 35;

const WAY_OUT: &str = "`texts_csv` in `[gateway]` names it: `watchfire alarms texts FILE` writes one to be translated";

/// Translations, by language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(Vec<Language>);

/// One language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Language {
    /// Its locale (RFC 5646), as the table has it: `de`, `pt-BR`.
    pub locale: String,
    /// The texts of the gateway that are translated, with what stands for each. `{1}`, `{2}` and so on stand for
    /// whatever is there.
    pub texts: BTreeMap<String, String>,
}

impl Texts {
    /// All languages, in the order of the columns.
    #[must_use]
    pub fn languages(&self) -> &[Language] {
        &self.0
    }

    /// The language for a locale: itself, or the one that differs only in the region; `None` where there is none.
    #[must_use]
    pub fn find(&self, locale: &str) -> Option<&Language> {
        let exact = self.0.iter().find(|one| one.locale.eq_ignore_ascii_case(locale));
        exact.or_else(|| self.0.iter().find(|one| primary(&one.locale).eq_ignore_ascii_case(primary(locale))))
    }

    /// Whether whoever wants a locale can be told in it, be it in the gateway's own words.
    #[must_use]
    pub fn has(&self, locale: &str) -> bool {
        primary(locale).eq_ignore_ascii_case(OWN) || self.find(locale).is_some()
    }

    /// Reads a table; blocks.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let (rows, mut wrong) = csv_table::plain(path, WAY_OUT)?;
        let mut rows = rows.into_iter();
        let head = rows.next().unwrap_or((1, Vec::new()));
        let mut languages = columns(&head, &mut wrong);
        for (line, cells) in rows {
            if cells.len() > languages.len() + 1 {
                let way_out = "put quotes around a text with a separator in it";
                wrong.push((
                    line,
                    format!("has {} cells, but there are {} columns; {way_out}", cells.len(), languages.len() + 1),
                ));
                continue;
            }
            let mut cells = cells.into_iter();
            let text = cells.next().unwrap_or_default();
            if text.is_empty() {
                wrong.push((line, "has no text in its first column; write it as the gateway has it".to_owned()));
                continue;
            }
            for (language, translation) in languages.iter_mut().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
                if let Some(extra) = places(&translation).find(|place| !places(&text).any(|known| known == *place)) {
                    wrong.push((
                        line,
                        format!("`{}` has `{{{extra}}}`, which its text has not", translation.escape_debug()),
                    ));
                }
                if language.texts.insert(text.clone(), translation).is_some() {
                    wrong.push((line, format!("`{}` is there twice; keep one of them", text.escape_debug())));
                }
            }
        }
        if wrong.is_empty() {
            return Ok(Self(languages));
        }
        wrong.sort_by_key(|(line, _)| *line);
        let file = path.display().to_string();
        let error = |(line, message)| ConfigError { file: file.clone(), line, message };
        Err(ConfigErrors(wrong.into_iter().map(error).collect()))
    }
}

fn columns((line, head): &(usize, Vec<String>), wrong: &mut Vec<(usize, String)>) -> Vec<Language> {
    let mut names = head.iter();
    if names.next().map(String::as_str) != Some(TEXT) {
        wrong.push((*line, format!("the first column must be `{TEXT}`, and each other a language, such as `de`")));
        return Vec::new();
    }
    let mut languages: Vec<Language> = Vec::new();
    for name in names {
        if !is_locale(name) {
            wrong.push((*line, format!("`{}` is no language; write it as `de` or `pt-BR`", name.escape_debug())));
        } else if languages.iter().any(|known| known.locale.eq_ignore_ascii_case(name)) {
            wrong.push((*line, format!("the column `{name}` is there twice; take one out")));
        }
        languages.push(Language { locale: name.clone(), texts: BTreeMap::new() });
    }
    languages
}

/// Two or three letters, then parts of letters and digits (RFC 5646, loosely).
pub(crate) fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && text.len() <= LOCALE_BYTES_MAX
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn primary(locale: &str) -> &str {
    locale.split('-').next().unwrap_or(locale)
}

/// The numbers in braces.
fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(place, _)| place)
        .filter(|place| is_place(place))
}

fn is_place(text: &str) -> bool {
    matches!(text.as_bytes(), [b'1'..=b'9'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(csv: &str) -> Result<Texts, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("texts.csv");
        std::fs::write(&file, csv).unwrap();
        Texts::load(&file).map_err(|ConfigErrors(errors)| {
            let place = format!("{}/", folder.path().display());
            errors.iter().map(|error| error.to_string().replace(&place, "")).collect()
        })
    }

    #[test]
    fn a_table_has_a_column_for_each_language() {
        let texts = read(
            "\u{feff}text;de;pt-BR\r\nActive;Aktiv;Ativo\r\n{1} is above {2};\"{1} liegt über {2}; prüfen\";\r\nOpen the drain;;\r\n",
        );
        let texts = texts.unwrap();
        let locales: Vec<&str> = texts.languages().iter().map(|one| one.locale.as_str()).collect();
        assert_eq!(locales, ["de", "pt-BR"]);
        let german = texts.find("de-AT").unwrap();
        assert_eq!((german.locale.as_str(), german.texts["Active"].as_str(), german.texts.len()), ("de", "Aktiv", 2));
        assert_eq!(german.texts["{1} is above {2}"], "{1} liegt über {2}; prüfen");
        assert_eq!(texts.find("PT").unwrap().locale, "pt-BR");
        assert!(texts.find("fr").is_none() && texts.has("en-GB") && texts.has("de") && !texts.has("fr"));
    }

    #[test]
    fn the_table_of_the_guide_is_right() {
        let guide = include_str!("../../../docs/operators.md");
        let (_, rest) = guide.split_once("```text\ntext;de\n").unwrap();
        let (rows, _) = rest.split_once("```").unwrap();
        let texts = read(&format!("text;de\n{rows}")).unwrap();
        assert_eq!(texts.find("de").unwrap().texts.len(), rows.lines().count());
    }

    #[test]
    fn every_mistake_of_a_table_is_told_with_its_line() {
        let errors =
            read("text,de,german!,de\nActive,Aktiv,,\n,Leer,,\nActive,Aktiv,,\n{1} on {2},{3} an,,\na,b,c,d,e\n");
        assert_eq!(
            errors.unwrap_err(),
            [
                "texts.csv:1: `german!` is no language; write it as `de` or `pt-BR`",
                "texts.csv:1: the column `de` is there twice; take one out",
                "texts.csv:3: has no text in its first column; write it as the gateway has it",
                "texts.csv:4: `Active` is there twice; keep one of them",
                "texts.csv:5: `{3} an` has `{3}`, which its text has not",
                "texts.csv:6: has 5 cells, but there are 4 columns; put quotes around a text with a separator in it",
            ]
        );
        let errors = read("de,text\nAktiv,Active\n").unwrap_err();
        assert!(errors[0].starts_with("texts.csv:1: the first column must be `text`"), "{errors:?}");
    }
}
