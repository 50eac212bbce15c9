//! Divides what comes in, as it comes, into lines or characters.

use std::io::{BufRead, Read};

use crate::experiment::files::folder::io_error;
use crate::{Error, Result};

/// The name of the source in messages.
pub(super) const INPUT: &str = "standard input";

/// The byte order mark in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Maximum number of bytes of a line.
const LONGEST: u64 = 1 << 20;

/// What is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A line.
    Line,
    /// A character, whose bytes may arrive one by one.
    Character,
    /// A byte.
    Byte,
}

impl Item {
    /// An error of an item, by its number.
    pub(super) fn refused(self, number: u64, message: String) -> Error {
        let what = if self == Self::Line { "line" } else { "character" };
        Error::data(INPUT.as_ref(), format!(", {what} {number}"), message)
    }
}

/// Reads items as soon as they are there.
pub struct Items<R> {
    from: R,
    item: Item,
    bytes: Vec<u8>,
    /// The items read so far.
    count: u64,
}

impl<R: BufRead> Items<R> {
    /// Those of a source.
    pub fn new(from: R, item: Item) -> Self {
        Self { from, item, bytes: Vec::new(), count: 0 }
    }

    /// The next item, a line without its end; `None` at the end of the source. A byte order mark at the beginning of a text
    /// is left out.
    ///
    /// # Errors
    /// Those of reading, and [`Error::Data`] for a line beyond 1 MiB.
    pub fn read(&mut self) -> Result<Option<&[u8]>> {
        self.read_item()?;
        if self.count == 1 && self.item != Item::Byte && self.bytes.starts_with(MARK) {
            self.bytes.drain(..MARK.len());
            if self.item == Item::Character {
                self.read_item()?;
            }
        }
        if self.bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(if self.item == Item::Line { without_end(&self.bytes) } else { &self.bytes }))
    }

    fn read_item(&mut self) -> Result<()> {
        self.bytes.clear();
        self.count += 1;
        match self.item {
            Item::Line => self.read_line(),
            Item::Byte => self.read_bytes(1),
            Item::Character => {
                self.read_bytes(1)?;
                let rest = self.bytes.first().map_or(0, |first| match first {
                    0xC0..0xE0 => 1,
                    0xE0..0xF0 => 2,
                    0xF0..=0xFF => 3,
                    _ => 0,
                });
                self.read_bytes(rest)
            }
        }
    }

    fn read_line(&mut self) -> Result<()> {
        // With its end.
        let mut line = self.from.by_ref().take(LONGEST + 2);
        line.read_until(b'\n', &mut self.bytes).map_err(io_error(INPUT.as_ref()))?;
        if without_end(&self.bytes).len() as u64 > LONGEST {
            let message = format!("expected lines of at most {LONGEST} bytes, got a longer one");
            return Err(self.item.refused(self.count, message));
        }
        Ok(())
    }

    fn read_bytes(&mut self, count: u64) -> Result<()> {
        let mut bytes = self.from.by_ref().take(count);
        bytes.read_to_end(&mut self.bytes).map_err(io_error(INPUT.as_ref()))?;
        Ok(())
    }
}

/// A line without its end.
fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Gives its bytes one by one, as a terminal or a slow pipe does.
    struct OneByOne<'a>(&'a [u8]);

    impl Read for OneByOne<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.len().min(1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(bytes: &[u8], item: Item) -> Vec<String> {
        let mut items = Items::new(BufReader::new(OneByOne(bytes)), item);
        let mut all = Vec::new();
        while let Some(item) = items.read().unwrap() {
            all.push(String::from_utf8_lossy(item).into_owned());
        }
        all
    }

    #[test]
    fn items_are_whole_however_their_bytes_arrive() {
        assert_eq!(all("1\r\n\n2".as_bytes(), Item::Line), ["1", "", "2"]);
        assert_eq!(all("aé\n€😀".as_bytes(), Item::Character), ["a", "é", "\n", "€", "😀"]);
        assert_eq!(all(b"a\r\n", Item::Byte), ["a", "\r", "\n"]);
        assert_eq!(all("\u{feff}1\n\u{feff}2".as_bytes(), Item::Line), ["1", "\u{feff}2"]);
        assert_eq!(all("\u{feff}\n".as_bytes(), Item::Line), [""]);
        assert_eq!(all("\u{feff}a".as_bytes(), Item::Character), ["a"]);
        for item in [Item::Line, Item::Character] {
            assert!(all("\u{feff}".as_bytes(), item).is_empty(), "{item:?}");
        }
        assert_eq!(all("\u{feff}".as_bytes(), Item::Byte).len(), 3);
        // What is no UTF-8 comes as it is, and is refused by its reader.
        assert_eq!(all(b"\xE2\x82", Item::Character), ["\u{fffd}"]);
    }

    #[test]
    fn an_endless_line_is_refused_within_its_limit() {
        for end in ["", "\n", "\r\n"] {
            let longest = "1".repeat(LONGEST as usize);
            assert_eq!(all(format!("{longest}{end}").as_bytes(), Item::Line), [longest]);
        }
        let mut items = Items::new(BufReader::new(std::io::repeat(b'1')), Item::Line);
        let error = items.read().unwrap_err().to_string();
        assert_eq!(error, "standard input, line 1: expected lines of at most 1048576 bytes, got a longer one");
    }
}
