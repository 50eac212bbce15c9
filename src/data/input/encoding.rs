//! Decodes UTF-8, locates invalid bytes, guesses other encodings, and quotes text in errors.

use std::path::Path;

use crate::error::{Error, Result};

/// The byte order mark before UTF-8.
pub(in crate::data) const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Checks the bytes of a file in order, as they are read.
pub(in crate::data) struct Utf8<'a> {
    path: &'a Path,
    /// The bytes so far.
    offset: u64,
    /// The line breaks so far.
    lines: u64,
}

impl<'a> Utf8<'a> {
    pub(in crate::data) fn new(path: &'a Path) -> Self {
        Self { path, offset: 0, lines: 0 }
    }

    /// The complete characters at the start of `bytes`, the next ones of the file. At most 3 bytes are left, the start
    /// of a character that must be passed again with the next bytes; after the file's `last` bytes nothing may be left.
    ///
    /// NUL is refused although it is valid UTF-8: text does not contain it, while binary data and UTF-16 are full of
    /// it.
    pub(in crate::data) fn next<'b>(&mut self, bytes: &'b [u8], last: bool) -> Result<&'b str> {
        let (text, broken) = match str::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let text = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                (text, Some(error.error_len()).filter(|length| last || length.is_some()))
            }
        };
        if let Some(at) = text.as_bytes().iter().position(|byte| *byte == 0) {
            return Err(self.refused(bytes, at, "a NUL byte".into()));
        }
        match broken {
            Some(Some(_)) => {
                let got = format!("the byte 0x{:02X}", bytes[text.len()]);
                return Err(self.refused(bytes, text.len(), got));
            }
            Some(None) => {
                let message = "expected UTF-8 text, got a character that is cut off by the end of the file";
                return Err(self.error(bytes, text.len(), message.into()));
            }
            None => {}
        }
        self.offset += text.len() as u64;
        self.lines += lines(text.as_bytes());
        Ok(text)
    }

    fn refused(&self, bytes: &[u8], at: usize, got: String) -> Error {
        let message = format!("expected UTF-8 text, got {got}; this looks like {}", self.looks_like(bytes));
        self.error(bytes, at, message)
    }

    fn error(&self, bytes: &[u8], at: usize, message: String) -> Error {
        let (line, offset) = (self.lines + lines(&bytes[..at]) + 1, self.offset + at as u64);
        Error::data(self.path, format!(", line {line}, byte offset {offset}"), message)
    }

    /// The most likely encoding of bytes that are not UTF-8.
    fn looks_like(&self, bytes: &[u8]) -> &'static str {
        match bytes {
            _ if self.offset > 0 => {}
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return "UTF-32",
            [0xFF, 0xFE, ..] => return "UTF-16, little-endian",
            [0xFE, 0xFF, ..] => return "UTF-16, big-endian",
            [0x1F, 0x8B, ..] => return "a gzip file",
            [b'P', b'K', 3, 4, ..] => return "a zip file",
            _ => {}
        }
        // In UTF-16 the other byte of every Latin letter is NUL.
        let mut nuls = [0, 0];
        for (i, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == 0) {
            nuls[(self.offset as usize + i) % 2] += 1;
        }
        let [even, odd] = nuls;
        let may_be_utf16 = (even + odd) * 4 >= bytes.len();
        if may_be_utf16 && even * 8 < odd {
            "UTF-16, little-endian, without its byte order mark"
        } else if may_be_utf16 && odd * 8 < even {
            "UTF-16, big-endian, without its byte order mark"
        } else if even + odd > 0 {
            "binary data"
        } else {
            "another encoding, such as Latin-1"
        }
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A whole file as text, without the byte order mark. `path` is for error messages.
///
/// # Errors
/// [`Error::Data`] names the line and the byte offset of invalid UTF-8, and of a NUL, which text does not contain.
pub fn utf8<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str> {
    let text = Utf8::new(path).next(bytes, true)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Quoted text of bounded length, for errors.
pub(in crate::data) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        utf8(bytes, Path::new("a.txt")).unwrap_err().to_string()
    }

    #[test]
    fn an_invalid_byte_is_named_by_line_and_offset() {
        let expected = "a.txt, line 2, byte offset 9: expected UTF-8 text, got the byte 0xFC; \
                        this looks like another encoding, such as Latin-1";
        assert_eq!(refusal(b"eins\nzwei\xFCdrei\n"), expected);
        let cut =
            "a.txt, line 1, byte offset 1: expected UTF-8 text, got a character that is cut off by the end of the file";
        assert_eq!(refusal("a€".as_bytes().split_last().unwrap().1), cut);
    }

    #[test]
    fn other_encodings_are_recognised() {
        let utf16: Vec<u8> = "ein Wort".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let swapped: Vec<u8> = "ein Wort".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = |mark: &[u8], rest: &[u8]| refusal(&[mark, rest].concat());
        assert!(
            marked(&[0xFF, 0xFE], &utf16).ends_with(
                "byte offset 0: expected UTF-8 text, got the byte 0xFF; this looks like UTF-16, little-endian"
            )
        );
        assert!(marked(&[0xFE, 0xFF], &swapped).ends_with("like UTF-16, big-endian"));
        assert!(marked(&[0xFF, 0xFE, 0, 0], &[]).ends_with("like UTF-32"));
        assert!(refusal(&utf16).contains("byte offset 1: expected UTF-8 text, got a NUL byte"));
        assert!(refusal(&utf16).ends_with("like UTF-16, little-endian, without its byte order mark"));
        assert!(refusal(&swapped).ends_with("like UTF-16, big-endian, without its byte order mark"));
        assert!(refusal(&[0x1F, 0x8B, 8, 0]).ends_with("like a gzip file"));
        assert!(
            refusal(b"some text\nand a \0")
                .ends_with("line 2, byte offset 16: expected UTF-8 text, got a NUL byte; this looks like binary data")
        );
    }

    #[test]
    fn quoted_text_is_shortened() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert!(quoted(&"é".repeat(10_000_000)).len() < 200);
    }

    #[test]
    fn text_read_in_pieces_keeps_counting_lines() {
        let all = "Füße, 漢字\n und 🦀\n";
        let mut utf8 = Utf8::new(Path::new("a.txt"));
        let (mut at, mut read) = (0, String::new());
        while at < all.len() {
            let end = all.len().min(at + 4);
            let text = utf8.next(&all.as_bytes()[at..end], end == all.len()).unwrap();
            read.push_str(text);
            at += text.len();
        }
        assert_eq!(read, all);
        let error = utf8.next(b"ab\xFF", true).unwrap_err().to_string();
        assert!(error.starts_with(&format!("a.txt, line 3, byte offset {}", all.len() + 2)), "{error}");
    }
}
