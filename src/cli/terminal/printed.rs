//! Terminal output: the one place that writes to standard output and standard error.
//!
//! Names, labels, paths and texts come from files and may contain anything. In messages, control characters and
//! characters that reverse the writing direction are escaped as in Rust (`\u{1b}`), on a terminal and elsewhere. Data
//! for other programs (comma-separated text, sampled text, a configuration) are escaped only on a terminal, and JSON
//! escapes them as JSON does.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use bptt::format::{is_hidden, one_line, visible};

/// Maximum length of a line in characters: the middle of a longer one, such as an endless name, is left out.
const LINE: usize = 4000;

/// The first write error of standard output, reported at the end of the command: a full disk does not end a run.
static STDOUT_ERROR: OnceLock<io::Error> = OnceLock::new();

/// The first error of [`print_line`] and the like, except for a closed pipe.
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

/// Prints data, including their last line end.
pub(crate) fn print_data(text: &str) {
    if io::stdout().is_terminal() { put(&visible(text)) } else { put(text) }
}

/// Prints text.
fn put(text: &str) {
    let mut out = io::stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        keep_error(error);
    }
}

/// Keeps the first error of standard output for the end. A closed pipe, as in `bptt train | head`, is not an error.
pub(crate) fn keep_error(error: io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        let _ = STDOUT_ERROR.set(error);
    }
}

/// Prints a line for people on standard error, beside the results.
pub(crate) fn eprint_line(line: impl Display) {
    let _ = writeln!(io::stderr(), "{}", shortened(&one_line(&line.to_string())));
}

/// The same for a text of several lines, without a last line end. Line ends inside names must be escaped by the caller
/// with [`one_line`].
pub(crate) fn eprint_lines(text: &str) {
    let lines: Vec<String> = visible(text).split('\n').map(shortened).collect();
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// A name in its own column, and a text.
pub(crate) fn heading(name: &str, text: &str) -> String {
    format!("{name:<10}{text}")
}

/// A name, and a text of several lines; only the first has the name.
pub(crate) fn headings(name: &str, lines: &[String]) -> Vec<String> {
    lines.iter().enumerate().map(|(index, line)| heading(if index == 0 { name } else { "" }, line)).collect()
}

/// The terminal width if the shell exports it, otherwise 80.
pub(crate) fn columns() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok()).unwrap_or(80)
}

/// Text written in pieces, which is escaped on a terminal.
pub(crate) struct TextOut {
    is_terminal: bool,
    /// The start of a character whose other bytes have not arrived.
    begun: Vec<u8>,
}

impl TextOut {
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), begun: Vec::new() }
    }

    /// Writes a piece, which may end within a character. `false` if the reader closed the pipe.
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

    /// A piece as shown on a terminal.
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
                // An invalid character, and what may be the start of a valid one.
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

    /// Each piece is shown immediately.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line of JSON, in which such characters occur only in strings.
pub(crate) fn json_line(json: &str) -> String {
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

/// A line without its middle if it is too long.
fn shortened(line: &str) -> String {
    let left_out = line.chars().count().saturating_sub(LINE);
    if left_out == 0 {
        return line.to_owned();
    }
    // Most messages end with what is wrong and start with where.
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
