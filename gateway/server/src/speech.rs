//! The languages in which people are told, from the table that the configuration names: whole texts, and sentences with
//! places for whatever stands there. Knows neither sessions nor where a text goes.

use std::collections::HashMap;
use std::sync::Arc;

use opcua::types::{Array, LocalizedText, Variant};
use watchfire_config::Language;

use crate::names::LOCALE;

/// A language, or the gateway's own words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speech(Option<Arc<Tongue>>);

/// What is translated to one language.
#[derive(Debug)]
struct Tongue {
    locale: String,
    whole: HashMap<String, String>,
    sentences: Vec<Sentence>,
}

/// A text with places: what stands between them, and what becomes of it.
#[derive(Debug)]
struct Sentence {
    /// What is before the first place, then each place's number and what follows it.
    begin: String,
    rest: Vec<(u8, String)>,
    translation: String,
}

/// Fields with texts for people that are no LocalizedText.
const STRINGS: [&str; 5] = ["Response", "Cause", "Consequence", "Values/Message", "Values/Response"];
/// What people have said, in whatever language.
const COMMENT: &str = "Comment";

impl Speech {
    pub(crate) fn new(language: &Language) -> Self {
        let (sentences, whole): (Vec<_>, Vec<_>) =
            language.texts.iter().partition(|(text, _)| cut(text).is_some_and(|(_, rest)| !rest.is_empty()));
        let sentence = |(text, translation): (&String, &String)| {
            let (begin, rest) = cut(text)?;
            Some(Sentence { begin, rest, translation: translation.clone() })
        };
        let mut sentences: Vec<Sentence> = sentences.into_iter().filter_map(sentence).collect();
        // What says more of a sentence counts before what says less.
        sentences.sort_by_key(|one| std::cmp::Reverse(one.words()));
        let whole = whole.into_iter().map(|(text, translation)| (text.clone(), translation.clone())).collect();
        Self(Some(Arc::new(Tongue { locale: language.locale.clone(), whole, sentences })))
    }

    /// Whether it is the gateway's own words.
    pub(crate) const fn is_plain(&self) -> bool {
        self.0.is_none()
    }

    /// A text as it is said in this language, with its locale; in the gateway's own words where nobody has translated it.
    pub(crate) fn text(&self, text: &str) -> LocalizedText {
        match self.0.as_ref().and_then(|tongue| Some((tongue, tongue.said(text)?))) {
            Some((tongue, said)) => LocalizedText::new(&tongue.locale, &said),
            None => LocalizedText::new(LOCALE, text),
        }
    }

    /// A field of a condition or an event as it is said in this language.
    pub(crate) fn value(&self, field: &str, value: Variant) -> Variant {
        if self.is_plain() || field == COMMENT {
            return value;
        }
        match value {
            Variant::LocalizedText(text) if text.locale.as_ref() == LOCALE => self.text(text.text.as_ref()).into(),
            Variant::String(text) if STRINGS.contains(&field) && !text.is_null() => {
                self.text(text.as_ref()).text.into()
            }
            Variant::Array(mut array) => {
                let Array { values, .. } = &mut *array;
                values.iter_mut().for_each(|one| *one = self.value(field, std::mem::take(one)));
                Variant::Array(array)
            }
            other => other,
        }
    }
}

impl Tongue {
    /// The translation of a text; of a sentence with its reasons in brackets, that of its parts.
    fn said(&self, text: &str) -> Option<String> {
        let whole = || self.whole.get(text).cloned();
        // Before places that could take a sentence for a part of its reasons.
        whole().or_else(|| self.with_reasons(text)).or_else(|| self.one(text))
    }

    fn with_reasons(&self, text: &str) -> Option<String> {
        let (sentence, reasons) = text.strip_suffix(')')?.rsplit_once(" (")?;
        let sentence = self.one(sentence)?;
        let reasons: Vec<String> =
            reasons.split("; ").map(|reason| self.one(reason).unwrap_or_else(|| reason.to_owned())).collect();
        Some(format!("{sentence} ({})", reasons.join("; ")))
    }

    fn one(&self, text: &str) -> Option<String> {
        self.whole.get(text).cloned().or_else(|| self.sentences.iter().find_map(|sentence| sentence.said(text)))
    }
}

impl Sentence {
    /// How many bytes of a text it says itself.
    fn words(&self) -> usize {
        self.begin.len() + self.rest.iter().map(|(_, after)| after.len()).sum::<usize>()
    }

    fn said(&self, text: &str) -> Option<String> {
        let mut left = text.strip_prefix(&*self.begin)?;
        let mut found: Vec<(u8, &str)> = Vec::with_capacity(self.rest.len());
        for (at, (place, after)) in self.rest.iter().enumerate() {
            let end = match (after.is_empty(), at + 1 == self.rest.len()) {
                (true, _) => left.len(),
                (false, true) => left.len().checked_sub(after.len()).filter(|end| left.get(*end..) == Some(after))?,
                (false, false) => left.find(&**after)?,
            };
            let (there, beyond) = left.split_at_checked(end)?;
            left = beyond.strip_prefix(&**after)?;
            match found.iter().find(|(known, _)| known == place) {
                Some((_, known)) if *known != there => return None,
                _ => found.push((*place, there)),
            }
        }
        let (mut said, rest) = cut(&self.translation)?;
        for (place, after) in rest {
            said += found.iter().find(|(known, _)| *known == place).map_or("", |(_, there)| there);
            said += &after;
        }
        left.is_empty().then_some(said)
    }
}

/// What is before the first place, then each place's number and what follows it.
fn cut(text: &str) -> Option<(String, Vec<(u8, String)>)> {
    let (mut begin, mut rest): (String, Vec<(u8, String)>) = (String::new(), Vec::new());
    let mut left = text;
    while !left.is_empty() {
        let bytes = left.as_bytes();
        if let [b'{', place @ b'1'..=b'9', b'}', ..] = bytes {
            rest.push((*place, String::new()));
            left = left.get(3..)?;
            continue;
        }
        let next = left.char_indices().skip(1).find(|(_, c)| *c == '{').map_or(left.len(), |(at, _)| at);
        let (some, beyond) = left.split_at_checked(next)?;
        match rest.last_mut() {
            Some((_, after)) => after.push_str(some),
            None => begin.push_str(some),
        }
        left = beyond;
    }
    Some((begin, rest))
}

#[cfg(test)]
mod tests {
    use opcua::types::UAString;

    use super::*;

    fn german() -> Speech {
        let texts = [
            ("Active", "Aktiv"),
            ("the oil is too hot", "das Öl ist zu heiß"),
            ("{1} is above the high limit of {2}", "{1} liegt über der oberen Grenze {2}"),
            ("{1} is above {2}", "{1} über {2}"),
            ("{1} = {2}, expected at most {3}", "{1} = {2}, erwartet höchstens {3}"),
            ("from {1} to {2}", "bis {2} von {1}"),
            ("a { is no place", "eine { ist kein Platz"),
        ];
        let texts = texts.into_iter().map(|(text, said)| (text.to_owned(), said.to_owned())).collect();
        Speech::new(&Language { locale: "de".into(), texts })
    }

    #[test]
    fn texts_and_sentences_are_said_in_the_language_and_what_is_not_translated_as_it_is() {
        for (text, said) in [
            ("Active", Some("Aktiv")),
            ("91.3 is above the high limit of 85", Some("91.3 liegt über der oberen Grenze 85")),
            ("91.3 is above 85", Some("91.3 über 85")),
            ("is above 85", None),
            ("from 1 to 2", Some("bis 2 von 1")),
            ("a { is no place", Some("eine { ist kein Platz")),
            (
                "the oil is too hot (press/oil = 91, expected at most 85; press/fan = 0)",
                Some("das Öl ist zu heiß (press/oil = 91, erwartet höchstens 85; press/fan = 0)"),
            ),
            ("something else (press/oil is odd)", None),
            ("Active ", None),
            ("", None),
            (")", None),
        ] {
            let expected = said.map_or(LocalizedText::new(LOCALE, text), |said| LocalizedText::new("de", said));
            assert_eq!(german().text(text), expected, "{text}");
        }
        assert_eq!(Speech::default().text("Active"), LocalizedText::new(LOCALE, "Active"));
    }

    #[test]
    fn what_people_have_said_and_names_stay_as_they_are() {
        let german = german();
        let active = |locale: &str| Variant::from(LocalizedText::new(locale, "Active"));
        assert_eq!(german.value("ActiveState", active(LOCALE)), LocalizedText::new("de", "Aktiv").into());
        assert_eq!(german.value("Comment", active(LOCALE)), active(LOCALE));
        assert_eq!(german.value("ActiveState", active("fr")), active("fr"));
        let string = |text: &str| Variant::from(UAString::from(text));
        assert_eq!(german.value("Response", string("Active")), string("Aktiv"));
        assert_eq!(german.value("ConditionName", string("Active")), string("Active"));
        let list = Variant::from(vec![LocalizedText::new(LOCALE, "Active"), LocalizedText::new(LOCALE, "Odd")]);
        let said = Variant::from(vec![LocalizedText::new("de", "Aktiv"), LocalizedText::new(LOCALE, "Odd")]);
        assert_eq!(german.value("ConditionSubClassName", list), said);
    }
}
