//! The bytes of a file as text.

use std::path::Path;

use crate::error::{Error, Result};

/// `bytes` as text, without the mark that some programs begin UTF-8 with.
pub(super) fn text<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::data(path, "", "expected UTF-8 text, got what looks like UTF-16"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
        let message = format!("expected UTF-8 text, got the byte {:#04x} at offset {offset}", bytes[offset]);
        Error::data(path, format!(", line {line}"), message)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Text to name in an error, in quotes and of bounded length.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf8_is_named_by_line_and_offset() {
        let error = |bytes: &[u8]| text(bytes, Path::new("a.ts")).unwrap_err().to_string();
        assert_eq!(error(b"a\nb\xe9c"), "a.ts, line 2: expected UTF-8 text, got the byte 0xe9 at offset 3");
        assert!(error("a€".as_bytes().split_last().unwrap().1).contains("0xe2 at offset 1"));
        assert!(error(b"\xff\xfea\0").contains("UTF-16"));
        assert_eq!(text("\u{feff}a".as_bytes(), Path::new("a.ts")).unwrap(), "a");
    }

    #[test]
    fn quoted_text_is_short() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert!(quoted(&"é".repeat(10_000_000)).len() < 200);
    }
}
