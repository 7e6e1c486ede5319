//! Texts of strangers (servers, plugins, users of HMIs) on their way to a person: nothing stays in them that a terminal
//! obeys, that begins a line which nobody wrote, or that makes what stands beside it read otherwise.

/// A text in one line, each character that has no place there as a blank. Costs a pass over the text.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// The same for a text of several lines: they stay, and so do tabulators.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) || matches!(c, '\n' | '\t') { c } else { ' ' }).collect()
}

/// Whether a text is its own plain form.
#[must_use]
pub fn is_one_plain_line(text: &str) -> bool {
    text.chars().all(is_plain)
}

/// No control character, no separator of lines or paragraphs, and none of those that turn the direction of what follows
/// (Unicode Standard Annex 9).
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{2028}' | '\u{2029}')
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_a_blank() {
        for (text, one, several) in [
            ("Öl, 80 °C → hot", "Öl, 80 °C → hot", "Öl, 80 °C → hot"),
            ("a\x1b[2J\x07b", "a [2J b", "a [2J b"),
            ("csi \u{9b}31m", "csi  31m", "csi  31m"),
            ("title\ndigest       sha256:00", "title digest       sha256:00", "title\ndigest       sha256:00"),
            ("a\tb\r\n", "a b  ", "a\tb \n"),
            ("line\u{2028}para\u{2029}", "line para ", "line para "),
            ("\u{202e}hct\u{2066}x\u{200f}", " hct x ", " hct x "),
        ] {
            assert_eq!((plain(text).as_str(), plain_lines(text).as_str()), (one, several));
            assert_eq!(is_one_plain_line(text), plain(text) == text);
            assert!(is_one_plain_line(&plain(text)));
        }
    }
}
