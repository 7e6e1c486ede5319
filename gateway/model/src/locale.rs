//! The locale of a text, small enough to stand beside it in a column that texts do not use. Knows no languages.

use std::fmt;

/// Letters, digits and hyphens, each in six bits; 0 is none.
const SYMBOLS: &[u8; 63] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
const BITS: u32 = 6;

/// A LocaleId (OPC 10000-3 §8.4), as `en-US` or `zh-Hant-TW`: ten characters at the most.
///
/// In [`Rows`](crate::Rows) it is the exact column of a row that has text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Locale(i64);

impl Locale {
    /// The longest that is kept, characters.
    pub const CHARS_MAX: usize = 10;

    /// Reads a LocaleId. Of one that is too long the parts that have room, since each further one says less; `None` where
    /// there is none, or it has what no LocaleId has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut kept = text;
        while kept.len() > Self::CHARS_MAX {
            kept = kept.rsplit_once('-')?.0;
        }
        let mut bits = 0;
        for byte in kept.bytes().rev() {
            let symbol = SYMBOLS.iter().zip(1..).find(|(symbol, _)| **symbol == byte)?.1;
            bits = (bits << BITS) | symbol;
        }
        (bits != 0).then_some(Self(bits))
    }

    /// The number that stands for it, which is greater than 0.
    #[must_use]
    pub const fn bits(self) -> i64 {
        self.0
    }

    /// The locale that a number stands for; `None` where it is another number.
    #[must_use]
    pub fn from_bits(bits: i64) -> Option<Self> {
        let (mut rest, mut count) = (bits, 0);
        while rest > 0 && rest % (1 << BITS) != 0 {
            (rest, count) = (rest >> BITS, count + 1);
        }
        (rest == 0 && (1..=Self::CHARS_MAX).contains(&count)).then_some(Self(bits))
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Ok(symbol @ 1..) = usize::try_from(rest % (1 << BITS)) {
            let letter = SYMBOLS.get(symbol - 1).copied().map_or('?', char::from);
            write!(f, "{letter}")?;
            rest >>= BITS;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_locale_reads_back_as_it_was_and_a_long_one_without_what_says_least() {
        for (given, kept) in [
            ("de", Some("de")),
            ("en-US", Some("en-US")),
            ("zh-Hant-TW", Some("zh-Hant-TW")),
            ("de-CH-1996-x-private", Some("de-CH-1996")),
            ("-", Some("-")),
            ("0123456789", Some("0123456789")),
            ("", None),
            ("de_DE", None),
            ("dé", None),
            ("01234567890", None),
        ] {
            assert_eq!(Locale::parse(given).map(|locale| locale.to_string()).as_deref(), kept, "{given}");
        }
    }

    proptest! {
        #[test]
        fn whatever_number_stands_for_a_locale_is_the_one_of_its_text(bits in any::<i64>(), text in "[a-zA-Z0-9-]{1,10}") {
            let locale = Locale::parse(&text).unwrap();
            prop_assert_eq!(locale.to_string(), text);
            prop_assert_eq!(Locale::from_bits(locale.bits()), Some(locale));
            if let Some(locale) = Locale::from_bits(bits) {
                prop_assert_eq!(Locale::parse(&locale.to_string()), Some(locale));
            }
        }
    }
}
