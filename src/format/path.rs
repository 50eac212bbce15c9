//! Paths in messages, in JSON and as shell arguments.

use std::path::Path;

use super::escape::{is_hidden, one_line};

/// A path in a message.
pub fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(&one_line(chunk.valid()));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// A path in JSON, whose strings are Unicode: other bytes become U+FFFD.
pub fn path_json(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path quoted for a shell.
pub fn shell_quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let Some(text) = path.to_str().filter(|text| !text.chars().any(is_hidden)) else {
        let mut text = String::from("$'");
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\'' | '\\' => text.extend(['\\', character]),
                    _ if is_hidden(character) => {
                        let mut bytes = [0; 4];
                        let bytes = character.encode_utf8(&mut bytes).bytes();
                        bytes.for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
                    }
                    _ => text.push(character),
                }
            }
            chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        }
        return text + "'";
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_a_shell() {
        let paths = [
            ("", "''"),
            ("runs/a-1", "runs/a-1"),
            ("my run", "'my run'"),
            ("it's", "'it'\\''s'"),
            ("it's\n\u{1b}[2J\\", "$'it\\'s\\x0a\\x1b[2J\\\\'"),
        ];
        paths.iter().for_each(|(path, words)| assert_eq!(shell_quoted(path.as_ref()), *words));
    }

    #[cfg(unix)]
    #[test]
    fn a_non_unicode_path_is_printed_by_its_bytes() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let path = Path::new(OsStr::from_bytes(b"a\xff\xfe/b\nc"));
        assert_eq!(path_text(path), "a\\xff\\xfe/b\\nc");
        assert_eq!(shell_quoted(path), "$'a\\xff\\xfe/b\\x0ac'");
        assert_eq!(path_json(path), "a\u{fffd}\u{fffd}/b\nc");
    }
}
