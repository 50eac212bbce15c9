//! What goes to the terminal: the one place that writes to standard output and standard error.
//!
//! Names, labels, paths and texts are whatever a file has them to be. In a message their control characters, and those
//! that turn the order of writing around, are shown as Rust writes them (`\u{1b}`), on a terminal and elsewhere alike. Data
//! that other programs read (comma-separated text, a sampled text, a configuration) are left as they are unless a terminal
//! shows them, and JSON writes such characters as JSON does.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use bptt::format::{is_hidden, one_line, visible};

/// Characters of a line: of a longer one the middle is left out, which is some name that goes on and on.
const LINE: usize = 4000;

/// What standard output could not take, reported when the command is done: a full disk is no reason to end a run.
static STDOUT_ERROR: OnceLock<io::Error> = OnceLock::new();

/// The first error of [`print_line`] and the like, but for a reader that went away.
pub(crate) fn stdout_error() -> Option<&'static io::Error> {
    STDOUT_ERROR.get()
}

/// Prints a line.
pub(crate) fn print_line(line: impl Display) {
    put(&(shortened(&one_line(&line.to_string())) + "\n"));
}

/// Prints a line of JSON.
pub(crate) fn print_json(json: impl Display) {
    put(&(json_line(&json.to_string()) + "\n"));
}

/// Prints data, which end with a line of their own.
pub(crate) fn print_data(text: &str) {
    if io::stdout().is_terminal() { put(&visible(text)) } else { put(text) }
}

/// Prints what there is to say.
fn put(text: &str) {
    let mut out = io::stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        keep_error(error);
    }
}

/// Keeps the first error of standard output for the end. A reader that went away, as in `bptt train | head`, had enough.
pub(crate) fn keep_error(error: io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        let _ = STDOUT_ERROR.set(error);
    }
}

/// Tells people in a line what is beside the results, which programs may read.
pub(crate) fn eprint_line(line: impl Display) {
    let _ = writeln!(io::stderr(), "{}", shortened(&one_line(&line.to_string())));
}

/// The same in as many lines as the text has, which ends without one. Lines within names and the like are not its own:
/// who puts these in makes each [`one_line`].
pub(crate) fn eprint_lines(text: &str) {
    let lines: Vec<String> = visible(text).split('\n').map(shortened).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// A name in a column of its own, and what it is.
pub(crate) fn heading(name: &str, text: &str) -> String {
    format!("{name:<10}{text}")
}

/// A name, and what it is in lines of which the first alone has the name before it.
pub(crate) fn headings(name: &str, lines: &[String]) -> Vec<String> {
    lines.iter().enumerate().map(|(index, line)| heading(if index == 0 { name } else { "" }, line)).collect()
}

/// The columns of the terminal where the shell exports them, and otherwise 80, which every terminal has.
pub(crate) fn columns() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok()).unwrap_or(80)
}

/// A text that is written piece by piece, of which a terminal shows what it would not draw.
pub(crate) struct TextOut {
    is_terminal: bool,
    /// The beginning of a character whose other bytes have not come.
    begun: Vec<u8>,
}

impl TextOut {
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), begun: Vec::new() }
    }

    /// Writes a piece, which may end within a character. `false` where the reader went away.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let shown = if self.is_terminal { self.seen(bytes).into_bytes() } else { bytes.to_vec() };
        let mut out = io::stdout();
        match out.write_all(&shown).and_then(|()| out.flush()) {
            // As `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// What a terminal is shown of a piece.
    fn seen(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            let (valid, rest) = match std::str::from_utf8(&self.begun) {
                Ok(all) => (all.len(), Some(0)),
                Err(error) => (error.valid_up_to(), error.error_len()),
            };
            text.push_str(&String::from_utf8_lossy(&self.begun[..valid]));
            self.begun.drain(..valid);
            match rest {
                // What is no character, and what its other bytes may still come of.
                Some(wrong) if wrong > 0 => {
                    text.push('\u{fffd}');
                    self.begun.drain(..wrong);
                }
                _ => return visible(&text),
            }
        }
    }
}

impl Write for TextOut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.put(bytes)? { Ok(bytes.len()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    /// Each piece is shown as it comes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line of JSON, in which such characters stand in strings alone.
fn json_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        if is_hidden(character) {
            // All of them have four digits.
            line.push_str(&format!("\\u{:04x}", u32::from(character)))
        } else {
            line.push(character)
        }
    }
    line
}

/// A line without the middle of it, where it has too much of that.
fn shortened(line: &str) -> String {
    let left_out = line.chars().count().saturating_sub(LINE);
    if left_out == 0 {
        return line.to_owned();
    }
    // What is wrong stands at the end of most messages, and where at the beginning.
    let (first, last) = (LINE * 3 / 4, LINE - LINE * 3 / 4);
    let from = line.char_indices().rev().nth(last - 1).map_or(0, |(at, _)| at);
    let first: String = line.chars().take(first).collect();
    format!("{first}[… {left_out} more characters …]{}", &line[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_line_is_shown_by_its_start_and_end() {
        let line = |count: usize| format!("a.csv: column \"{}\": expected a number", "ü".repeat(count));
        assert_eq!(shortened(&line(1000)), line(1000));
        let shown = shortened(&line(200_000));
        assert!(shown.starts_with("a.csv: column \"ü") && shown.ends_with("ü\": expected a number"), "{shown}");
        let left_out = line(200_000).chars().count() - LINE;
        assert!(shown.contains(&format!("ü[… {left_out} more characters …]ü")), "{shown}");
    }

    #[test]
    fn escaped_json_parses_to_the_same_value() {
        let name = "a\u{1b}\u{9b}\u{202e}\n\u{7f}\u{ffff}é";
        let json = serde_json::json!({ name: [name] }).to_string();
        let line = json_line(&json);
        assert!(!line.chars().any(is_hidden), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()[name][0], name);
    }

    #[test]
    fn a_character_split_across_writes_is_escaped_as_a_whole() {
        let seen = |bytes: &[u8]| {
            let mut out = TextOut { is_terminal: true, begun: Vec::new() };
            bytes.iter().map(|byte| out.seen(&[*byte])).collect::<String>()
        };
        assert_eq!(seen("é\u{9b}2J\u{202e}\n\tü".as_bytes()), "é\\u{9b}2J\\u{202e}\n\tü");
        assert_eq!(seen(b"a\x9b\xff\xc3(\xe2\x80b"), "a\u{fffd}\u{fffd}\u{fffd}(\u{fffd}b");
    }
}
