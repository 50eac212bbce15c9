//! The lines of a text.

use std::path::Path;

use crate::error::{Error, Result};

/// Maximum length of a line in bytes: enough for some hundred thousand columns.
const LINE: usize = 1 << 24;

/// Refuses a line that is too long for a row, before its fields are examined in several ways.
pub(super) fn check_lines(text: &str, path: &Path) -> Result<()> {
    if text.len() <= LINE {
        return Ok(());
    }
    let mut begin = 0;
    for line in text.split(['\r', '\n']) {
        if line.len() > LINE {
            let place = format!(", line {}", 1 + line_breaks(&text.as_bytes()[..begin]));
            let message = format!("expected lines of at most {LINE} bytes, got one of {}", line.len());
            return Err(Error::data(path, place, message));
        }
        begin += line.len() + 1;
    }
    Ok(())
}

/// Line ends of all systems: `\r\n`, `\n` and `\r`.
pub(super) fn line_breaks(text: &[u8]) -> usize {
    let ends = |(at, byte): (usize, &u8)| *byte == b'\n' || (*byte == b'\r' && text.get(at + 1) != Some(&b'\n'));
    text.iter().enumerate().filter(|line| ends(*line)).count()
}

/// The end of the last line with more than separators and blanks.
pub(super) fn end_of_rows(text: &str, separator: u8) -> usize {
    let holds = |byte: &u8| *byte != separator && !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    match text.as_bytes().iter().rposition(holds) {
        Some(last) => last + text.as_bytes()[last..].iter().take_while(|byte| !matches!(byte, b'\r' | b'\n')).count(),
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Records;
    use super::*;

    #[test]
    fn a_line_with_too_many_fields_is_refused_before_it_is_split() {
        let refusal = |text: String| check_lines(&text, Path::new("a.csv")).err().map(|error| error.to_string());
        let long = "7".repeat(LINE + 1);
        let expected = "a.csv, line 3: expected lines of at most 16777216 bytes, got one of 16777217";
        assert_eq!(refusal(format!("t,v\r\n1,2\r\n{long}\n")).as_deref(), Some(expected));
        assert_eq!(refusal(format!("{}\n{}", &long[1..], &long[1..])), None);
        assert!(Records::open(long.as_bytes(), Path::new("a.csv")).is_err());
    }
}
