//! Names, texts and numbers as C writes them.

use crate::error::{Error, Result};

/// A prefix for the identifiers of a header, from the name of a file: letters, digits and single underscores, in lower
/// case, with other characters as underscores.
///
/// # Errors
/// [`Error::Value`] if no letter is left to begin with.
pub fn identifier(text: &str) -> Result<String> {
    let mut name = String::new();
    for character in text.chars() {
        let character = if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' };
        // C++ reserves two underscores in succession, and C one at the beginning.
        if character != '_' || !(name.is_empty() || name.ends_with('_')) {
            name.push(character);
        }
    }
    let name = name.trim_end_matches('_');
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Ok(name.to_owned());
    }
    let expected = "a name that begins with one of the letters A to Z, as the prefix of the C identifiers";
    Err(Error::value("the name of the header", expected, format!("{text:?}")))
}

/// Checks a name that is to be a prefix as it is.
///
/// # Errors
/// [`Error::Value`] if it is not one of those that [`identifier`] returns, apart from case.
pub(super) fn check(name: &str) -> Result<()> {
    if identifier(name).is_ok_and(|as_identifier| as_identifier == name.to_ascii_lowercase()) {
        return Ok(());
    }
    let expected = "letters A to Z, digits and single underscores, with a letter first";
    Err(Error::value("the name of the header", expected, format!("{name:?}")))
}

/// A text for a comment: on one line, without what ends or begins a comment and without control characters.
pub(super) fn comment(text: &str) -> String {
    const MOST: usize = 400;
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain: String = text.chars().take(MOST).map(|c| if is_odd(c) { ' ' } else { c }).collect();
    let more = if text.chars().nth(MOST).is_some() { "…" } else { "" };
    let plain = plain.replace('→', "->");
    // A trigraph for a backslash at the end of a line would join it with the next.
    plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?") + more
}

/// A comment in lines of at most 100 characters, where its words allow it.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 100;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < WIDTH) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The longest string literal that C99 promises, in bytes, with the byte that ends it.
const LITERAL: usize = 4095;

/// A string of C with these bytes, as a literal or, for a long one, as a list of characters. `true`: a list.
pub(super) fn string(text: &str) -> (String, bool) {
    if text.len() >= LITERAL {
        // A character above 127 fits in a `char` with a sign and in one without; no number of that byte does in both, and
        // C++ refuses one that does not fit.
        let character = |byte: u8| if byte < 128 { byte.to_string() } else { format!("'\\{byte:03o}'") };
        let bytes: Vec<String> = text.bytes().map(character).collect();
        return (format!("{{{}, 0}}", bytes.join(", ")), true);
    }
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(byte)]),
            // Two of them begin a trigraph. Octal escapes end after three digits, unlike hexadecimal ones.
            b'?' | 0..=31 | 127..=255 => literal += &format!("\\{byte:03o}"),
            _ => literal.push(char::from(byte)),
        }
    }
    literal.push('"');
    (literal, false)
}

/// A number of f32, to the bit.
pub(super) fn float(value: f32) -> String {
    format!("{value:?}f")
}

/// A number in the data's units, in the type that the header's user has chosen.
pub(super) fn number(name: &str, value: f64) -> String {
    format!("({name}_number){value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_any_file_becomes_an_identifier_or_is_refused() {
        for (text, name) in [("model", "model"), ("My-Net.v2", "my_net_v2"), ("__a__b__", "a_b"), ("modèle", "mod_le")]
        {
            assert_eq!(identifier(text).unwrap(), name);
            check(name).unwrap();
        }
        for text in ["", "_", "2fast", "模型"] {
            assert!(identifier(text).unwrap_err().to_string().contains("begins with one of the letters"), "{text}");
        }
        for name in ["a__b", "_a", "a b", "9", "ä", "a_"] {
            assert!(check(name).is_err(), "{name}");
        }
        check("Amp_2").unwrap();
    }

    #[test]
    fn long_notes_are_wrapped_between_words() {
        let lines = wrapped(&["word"; 50].join(" "));
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= 100), "{lines:?}");
        assert_eq!(lines.join(" "), ["word"; 50].join(" "));
        assert_eq!(wrapped(&"x".repeat(150)).len(), 1);
    }

    #[test]
    fn texts_cannot_end_a_comment_or_a_string() {
        assert_eq!(comment("a*/b/*c\nd??/\u{202e}"), "a* /b/ *c d? ?/ ");
        assert_eq!(string("a\"\\?é\n1").0, "\"a\\\"\\\\\\077\\303\\251\\0121\"");
    }

    #[test]
    fn the_bytes_of_a_long_text_are_no_numbers_that_a_char_may_lack() {
        let (long, is_list) = string(&"é\n".repeat(3000));
        assert!(
            is_list && long.starts_with("{'\\303', '\\251', 10, '\\303', ") && long.ends_with(", 10, 0}"),
            "{}",
            &long[..40]
        );
        assert!(!long.contains('-'));
    }
}
