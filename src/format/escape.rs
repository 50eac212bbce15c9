//! Text from data without characters that a terminal or a browser would interpret.

/// Whether a terminal or a picture would interpret a character, or reorder the text around it.
pub fn is_hidden(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// A text that keeps its own line ends and tabs.
pub fn visible(text: &str) -> String {
    escaped(text, |character| is_hidden(character) && !matches!(character, '\n' | '\t'))
}

/// A single-line text, for data in messages.
pub fn one_line(text: &str) -> String {
    escaped(text, is_hidden)
}

/// A message whose continuation lines are indented, like lists in errors: a line end in a name starts no unindented
/// line.
pub fn indented(text: &str) -> String {
    text.split("\n  ").map(one_line).collect::<Vec<_>>().join("\n  ")
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_control_characters_are_escaped() {
        let name = "a\u{1b}]0;x\u{7}\u{9b}2J\r\0\u{202e}b\u{2066}\u{200f}\u{61c}\u{7f}";
        let shown = "a\\u{1b}]0;x\\u{7}\\u{9b}2J\\r\\u{0}\\u{202e}b\\u{2066}\\u{200f}\\u{61c}\\u{7f}";
        assert_eq!(one_line(name), shown);
        assert_eq!(visible(name), shown);
        assert_eq!([one_line("a\tb\nerror: c"), visible("a\tb\nc")], ["a\\tb\\nerror: c", "a\tb\nc"]);
        assert_eq!(indented("list:\n  a\nerror: b\n  c"), "list:\n  a\\nerror: b\n  c");
        // Marks that a language needs within its words are no orders.
        let words = "می‌خواهم क्‍ष 👩‍🔬 é ‰";
        assert_eq!(one_line(words), words);
    }
}
