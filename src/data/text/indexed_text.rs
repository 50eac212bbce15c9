//! A text of any size: read once to be checked and indexed, then only where needed.

use std::ops::Range;
use std::path::Path;

use crate::allocate;
use crate::data::input::encoding::{MARK, Utf8};
use crate::data::input::source::Source;
use crate::data::{CharacterCounts, TextUnit};
use crate::error::{Error, Result};

/// Characters per index entry. Reading a character costs decoding half as many on average; the index of a gigabyte
/// takes 8 MB.
const STRIDE: u64 = 1024;

/// Bytes per read.
const CHUNK: u64 = 1 << 18;

/// A text in a file or in memory with random access to its characters. A file is never read into memory as a whole, and
/// must not change while it is in use.
#[derive(Debug)]
pub struct Text {
    source: Source,
    unit: TextUnit,
    /// The byte offset of every [`STRIDE`]-th character, and the end; empty for bytes.
    index: Vec<u64>,
    /// Characters, or bytes.
    len: u64,
}

impl Text {
    /// Opens a text file. `each` receives all bytes of the file in order, for a checksum or a progress bar.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is empty or, for characters, not UTF-8, with the
    /// line and the byte offset.
    pub fn open(path: &Path, unit: TextUnit, each: &mut dyn FnMut(&[u8])) -> Result<Self> {
        Self::scan(Source::open(path)?, unit, each)
    }

    /// A text in memory. `path` is for error messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: Vec<u8>, path: &Path, unit: TextUnit) -> Result<Self> {
        Self::scan(Source::memory(bytes, path), unit, &mut |_| {})
    }

    fn scan(source: Source, unit: TextUnit, each: &mut dyn FnMut(&[u8])) -> Result<Self> {
        let mut index = Vec::new();
        // In characters up to the next index entry.
        let (mut len, mut before) = (0, 0);
        let mut utf8 = Utf8::new(source.path());
        let (mut at, mut buffer) = (0, Vec::new());
        while at < source.len() {
            buffer.resize((source.len() - at).min(CHUNK) as usize, 0);
            source.read(at, &mut buffer)?;
            let mut bytes = match unit {
                TextUnit::Characters => utf8.next(&buffer, at + buffer.len() as u64 == source.len())?.as_bytes(),
                TextUnit::Bytes => &buffer,
            };
            each(bytes);
            if unit == TextUnit::Characters {
                if at == 0 && bytes.starts_with(MARK) {
                    (at, bytes) = (MARK.len() as u64, &bytes[MARK.len()..]);
                }
                let mut from = 0;
                while from < bytes.len() {
                    if before == 0 {
                        allocate::push(&mut index, at + from as u64, "the index of the text")?;
                        before = STRIDE;
                    }
                    let (characters, end) = advance(&bytes[from..], before as usize);
                    (len, before, from) = (len + characters as u64, before - characters as u64, from + end);
                }
            }
            at += bytes.len() as u64;
        }
        match unit {
            TextUnit::Characters => index.push(at),
            TextUnit::Bytes => len = source.len(),
        }
        match len {
            0 => Err(Error::data(source.path(), "", "expected text, got an empty file")),
            _ => Ok(Self { source, unit, index, len }),
        }
    }

    /// The path for error messages.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// Its unit: characters or bytes.
    pub fn unit(&self) -> TextUnit {
        self.unit
    }

    /// The number of characters or bytes. A byte order mark does not count.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Always false: an empty text is refused.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Counts the characters in a range.
    ///
    /// # Errors
    /// See [`for_each`](Self::for_each).
    pub fn histogram(&self, characters: Range<u64>) -> Result<CharacterCounts> {
        let mut histogram = CharacterCounts::default();
        self.for_each(characters, |character| histogram.add(character))?;
        Ok(histogram)
    }

    /// Passes the characters of a range to `each` in order; a byte becomes the character with its number.
    ///
    /// # Errors
    /// [`Error::Value`] if the range is not within the text; [`Error::Io`] or [`Error::Data`] if the file can no longer
    /// be read or has changed.
    pub fn for_each(&self, characters: Range<u64>, mut each: impl FnMut(char)) -> Result<()> {
        let Range { start, end } = characters;
        if start > end || end > self.len {
            let what = format!("characters of {}", self.path().display());
            return Err(Error::value(what, format!("a range within 0..{}", self.len), format!("{start}..{end}")));
        }
        let mut buffer = Vec::new();
        let mut first = start / STRIDE;
        while first * STRIDE < end {
            let last = end.div_ceil(STRIDE).min(first + CHUNK / STRIDE);
            let bytes = self.offset(first)..self.offset(last);
            buffer.resize((bytes.end - bytes.start) as usize, 0);
            self.source.read(bytes.start, &mut buffer)?;
            let block = first * STRIDE..self.len.min(last * STRIDE);
            let skip = start.saturating_sub(block.start) as usize;
            let take = (block.end.min(end) - block.start) as usize - skip;
            match self.unit {
                TextUnit::Bytes => buffer[skip..skip + take].iter().for_each(|byte| each(char::from(*byte))),
                TextUnit::Characters => {
                    let text = str::from_utf8(&buffer).map_err(|_| self.source.changed())?;
                    let (there, from) = advance(text.as_bytes(), skip);
                    let mut rest = text[from..].chars();
                    if there < skip || rest.by_ref().take(take).map(&mut each).count() < take {
                        return Err(self.source.changed());
                    }
                }
            }
            first = last;
        }
        Ok(())
    }

    /// The byte offset of a block of [`STRIDE`] characters, or of the end.
    fn offset(&self, block: u64) -> u64 {
        match self.unit {
            TextUnit::Bytes => self.source.len().min(block * STRIDE),
            TextUnit::Characters => self.index[(self.index.len() - 1).min(block as usize)],
        }
    }
}

/// The first `most` characters of UTF-8, or all if there are fewer: their number and their bytes.
fn advance(text: &[u8], most: usize) -> (usize, usize) {
    let (mut characters, mut end) = (0, 0);
    while characters < most && end < text.len() {
        // A character has at least one byte, so these are not too many.
        let next = text.len().min(end + most - characters);
        characters += text[end..next].iter().filter(|byte| !continues(**byte)).count();
        end = next;
    }
    end += text[end..].iter().take_while(|byte| continues(**byte)).count();
    (characters, end)
}

/// Whether a byte is a continuation byte of UTF-8.
fn continues(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::model::uniform;

    fn below(n: usize, rng: &mut ChaCha8Rng) -> usize {
        (uniform(rng) * n as f64) as usize
    }

    /// Characters of one to four bytes, with runs of one kind.
    fn random_text(characters: usize, rng: &mut ChaCha8Rng) -> String {
        let mut kind = 0;
        let character = |_| {
            if below(8, rng) == 0 {
                kind = below(4, rng);
            }
            let (first, count) = [(0x20, 0x5F), (0xA0, 0x700), (0x800, 0xC000), (0x10000, 0xFFFFF)][kind];
            char::from_u32(first + below(count, rng) as u32).unwrap_or('\n')
        };
        (0..characters).map(character).collect()
    }

    fn characters(text: &str) -> Result<Text> {
        Text::from_bytes(text.into(), Path::new("a.txt"), TextUnit::Characters)
    }

    fn read(text: &Text, range: Range<u64>) -> Result<String> {
        let mut read = String::new();
        text.for_each(range, |character| read.push(character))?;
        Ok(read)
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn any_range_of_the_text_is_read_exactly() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 0..60 {
            let most = if round % 10 == 0 { 600_000 } else { 5_000 };
            let written: Vec<char> = random_text(1 + below(most, &mut rng), &mut rng).chars().collect();
            let whole: String = written.iter().collect();
            let marked = round % 2 == 1;
            let bytes = if marked { [MARK, whole.as_bytes()].concat() } else { whole.clone().into_bytes() };
            let on_disk = file(&bytes);
            let mut seen = Vec::new();
            let text =
                Text::open(on_disk.path(), TextUnit::Characters, &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
            assert_eq!(seen, bytes);
            let in_memory = Text::from_bytes(bytes, Path::new("memory"), TextUnit::Characters).unwrap();
            assert_eq!((text.len(), in_memory.len()), (written.len() as u64, written.len() as u64));
            assert_eq!(read(&text, 0..text.len()).unwrap(), whole);
            for _ in 0..20 {
                let start = below(written.len() + 1, &mut rng);
                let end = start + below(written.len() + 1 - start, &mut rng);
                let expected: String = written[start..end].iter().collect();
                assert_eq!(read(&text, start as u64..end as u64).unwrap(), expected);
                assert_eq!(read(&in_memory, start as u64..end as u64).unwrap(), expected);
            }
            assert_eq!(text.histogram(0..text.len()).unwrap(), written.iter().copied().collect());
        }
    }

    #[test]
    fn bytes_are_read_unchanged() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut bytes = vec![0; 300_000];
        rng.fill_bytes(&mut bytes);
        let on_disk = file(&bytes);
        let text = Text::open(on_disk.path(), TextUnit::Bytes, &mut |_| {}).unwrap();
        assert_eq!(text.len(), 300_000);
        for range in [0..300_000, 1023..1025, 262_143..262_145, 299_999..300_000, 7..7] {
            let expected: String = bytes[range.clone()].iter().map(|byte| char::from(*byte)).collect();
            assert_eq!(read(&text, range.start as u64..range.end as u64).unwrap(), expected);
        }
    }

    #[test]
    fn mutated_text_is_read_or_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut refused = 0;
        for _ in 0..3000 {
            let length = 1 + below(1500, &mut rng);
            let mut bytes = random_text(length, &mut rng).into_bytes();
            for _ in 0..below(3, &mut rng) {
                let at = below(bytes.len(), &mut rng);
                bytes[at] = below(256, &mut rng) as u8;
            }
            bytes.truncate(below(bytes.len() + 1, &mut rng));
            if below(10, &mut rng) == 0 {
                rng.fill_bytes(&mut bytes);
            }
            let valid =
                str::from_utf8(&bytes).ok().map(|text| text.strip_prefix('\u{feff}').unwrap_or(text).to_owned());
            let valid = valid.filter(|text| !text.is_empty() && !text.contains('\0'));
            let text = Text::from_bytes(bytes, Path::new("a.txt"), TextUnit::Characters);
            assert_eq!(text.as_ref().ok().map(|text| read(text, 0..text.len()).unwrap()), valid);
            refused += u32::from(text.is_err());
        }
        assert!((500..2500).contains(&refused), "{refused}");
    }

    #[test]
    fn a_range_beyond_the_text_is_refused() {
        let text = characters("kurz").unwrap();
        let expected = "characters of a.txt: expected a range within 0..4, got 2..5";
        assert_eq!(read(&text, 2..5).unwrap_err().to_string(), expected);
        #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
        let reversed = 3..2;
        assert!(read(&text, reversed).is_err());
        assert_eq!(read(&text, 4..4).unwrap(), "");
    }

    #[test]
    fn a_file_with_only_a_byte_order_mark_is_empty() {
        for text in ["", "\u{feff}"] {
            assert_eq!(characters(text).unwrap_err().to_string(), "a.txt: expected text, got an empty file");
        }
        assert!(Text::from_bytes(Vec::new(), Path::new("a.bin"), TextUnit::Bytes).is_err());
    }

    #[test]
    fn invalid_bytes_are_located_beyond_the_first_chunk() {
        let mut bytes = "zwölf Zeichen\n".repeat(40_000).into_bytes();
        bytes[500_000] = 0xFF;
        let line = 500_000 / 15 + 1;
        let error = Text::from_bytes(bytes, Path::new("a.txt"), TextUnit::Characters).unwrap_err().to_string();
        assert!(error.starts_with(&format!("a.txt, line {line}, byte offset 500000: expected UTF-8")), "{error}");
    }

    #[test]
    fn a_line_of_ten_million_characters_is_read() {
        let text = characters(&"ab".repeat(5_000_000)).unwrap();
        assert_eq!(text.len(), 10_000_000);
        assert_eq!(read(&text, 9_999_997..10_000_000).unwrap(), "bab");
        assert_eq!(
            text.histogram(1..10_000_000).unwrap().iter().collect::<Vec<_>>(),
            [('a', 4_999_999), ('b', 5_000_000)]
        );
    }

    #[test]
    fn a_file_that_changes_after_opening_is_refused() {
        let changes: [&dyn Fn(&File); 3] =
            [&|file| file.set_len(100).unwrap(), &|file| file.set_len(5001).unwrap(), &|file| {
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap()
            }];
        for unit in [TextUnit::Characters, TextUnit::Bytes] {
            for change in changes {
                let on_disk = file(&b"text\n".repeat(1000));
                let text = Text::open(on_disk.path(), unit, &mut |_| {}).unwrap();
                assert_eq!(read(&text, 4995..5000).unwrap(), "text\n");
                change(on_disk.as_file());
                let error = read(&text, 0..5).unwrap_err().to_string();
                assert!(error.ends_with("got one that has changed since"), "{error}");
            }
        }
    }

    #[test]
    fn a_folder_or_missing_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| Text::open(path, TextUnit::Bytes, &mut |_| {}).unwrap_err().to_string();
        assert!(refusal(folder.path()).contains("expected a file"));
        assert!(matches!(Text::open(&folder.path().join("none"), TextUnit::Bytes, &mut |_| {}), Err(Error::Io { .. })));
    }
}
