//! Piano rolls from JSON.

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::data::InputLimit;
use crate::data::input::encoding::{quoted, utf8};
use crate::data::piano_rolls::pieces::{IN_MEMORY, PianoKeys, PianoRolls, Piece, name};
use crate::error::{Error, Result};
use crate::sizes::Count;

/// The highest key: every key between the lowest and the highest takes a column.
const HIGHEST: u32 = u16::MAX as u32;

/// The names of the splits, as in the data sets of Boulanger-Lewandowski et al. (2012).
const PARTS: [&str; 3] = ["train", "valid", "test"];

impl PianoRolls {
    /// Reads `{"train": [piece, …], "valid": […], "test": […]}`, where `valid` and `test` may be missing, or a list of
    /// pieces, which is not split yet. A piece is a list of steps, a step a list of active keys, a key a number from 0
    /// to 65,535. K are `keys`, or all from the lowest to the highest that occur. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] names the line and column, or the split, piece and step, counted from 1; [`Error::Value`] for an
    /// empty range `keys`. More than [`InputLimit::default`] in memory is refused.
    pub fn from_json(text: &[u8], path: &Path, keys: Option<RangeInclusive<u32>>) -> Result<Self> {
        Self::json_within(text, path, keys, InputLimit::default())
    }

    /// Like [`from_json`](Self::from_json), with a memory limit.
    pub(crate) fn json_within(
        text: &[u8],
        path: &Path,
        keys: Option<RangeInclusive<u32>>,
        limit: InputLimit,
    ) -> Result<Self> {
        if let Some(keys) = keys.as_ref().filter(|keys| keys.is_empty() || *keys.end() > HIGHEST) {
            return Err(Error::value("the keys", format!("numbers from 0 to {HIGHEST}"), format!("{keys:?}")));
        }
        let text = utf8(text, path)?;
        // Checked before allocation: an empty list is two bytes of the file.
        let count = |of: u8| Count::from(text.bytes().filter(|byte| *byte == of).count());
        let memory = count(b'[') * size_of::<Vec<u32>>() + count(b',') * size_of::<u32>();
        limit.check(memory.get(), path, "", IN_MEMORY)?;
        let refused = |expected: &str, error: serde_json::Error| Error::data(path, "", format!("{expected}; {error}"));
        if let Some(rolls) = Self::from_pieces(text, path, keys.clone())? {
            return Ok(rolls);
        }
        let value = serde_json::from_str(text).map_err(|error| refused("expected JSON", error))?;
        let (pieces, parts) = parts(&value, path)?;
        if parts.is_some() {
            // A JSON value would silently keep the last of two splits with one name.
            serde_json::from_str::<EachOnce>(text).map_err(|error| refused("expected each part once", error))?;
        }
        let expected = keys.clone().unwrap_or(0..=HIGHEST);
        let mut rolls: Vec<Piece> = Vec::with_capacity(pieces.len());
        for (number, piece) in pieces.into_iter().enumerate() {
            let place = || format!(", {}", name(parts.as_ref(), number));
            let mut steps = Vec::new();
            for (step, active) in list(piece, "a piece, a list of steps", path, place)?.iter().enumerate() {
                let place = || format!("{}, step {}", place(), step + 1);
                let active = list(active, "a step, a list of active keys", path, place)?.iter();
                steps.push(active.map(|key| self::key(key, &expected, path, place)).collect::<Result<_>>()?);
            }
            rolls.push(steps);
        }
        let active = || rolls.iter().flatten().flatten().copied();
        let keys = match (keys, active().min(), active().max()) {
            (Some(keys), ..) => keys,
            (None, Some(lowest), Some(highest)) => lowest..=highest,
            _ => return Err(Error::data(path, "", "expected active keys, got none in any step")),
        };
        Self::of_keys(keys, rolls, parts, path)
    }

    /// Parses a file of the expected form directly; a JSON value per number would take thirty times the file. `None`
    /// for any other form, if the file is small enough to search for the mistake.
    fn from_pieces(text: &str, path: &Path, keys: Option<RangeInclusive<u32>>) -> Result<Option<Self>> {
        const SMALL: usize = 1 << 22;
        let read = if text.trim_start().starts_with('[') {
            serde_json::from_str::<Vec<Piece>>(text).map(|pieces| (pieces, None))
        } else {
            serde_json::from_str::<Pieces>(text).map(|Pieces { train, valid, test }| {
                let ends = [train.len(), train.len() + valid.len(), train.len() + valid.len() + test.len()];
                let parts = [0..ends[0], ends[0]..ends[1], ends[1]..ends[2]];
                ([train, valid, test].into_iter().flatten().collect(), Some(parts))
            })
        };
        let (pieces, parts) = match read {
            Ok(read) => read,
            Err(_) if text.len() <= SMALL => return Ok(None),
            Err(error) => {
                let expected = "expected pieces, a list of steps each, which are lists of active keys";
                return Err(Error::data(path, "", format!("{expected}; {error}")));
            }
        };
        let active = || pieces.iter().flatten().flatten().copied();
        let (Some(lowest), Some(highest)) = (active().min(), active().max()) else { return Ok(None) };
        let keys = keys.unwrap_or(lowest..=highest);
        if keys.contains(&lowest) && keys.contains(&highest) && highest <= HIGHEST {
            return Self::of_keys(keys, pieces, parts, path).map(Some);
        }
        if text.len() <= SMALL {
            return Ok(None);
        }
        let expected = if *keys.end() > HIGHEST { 0..=HIGHEST } else { keys };
        let message =
            format!("expected keys from {} to {}, got {lowest} to {highest}", expected.start(), expected.end());
        Err(Error::data(path, "", message))
    }

    fn of_keys(
        keys: RangeInclusive<u32>,
        mut pieces: Vec<Piece>,
        parts: Option<[Range<usize>; 3]>,
        path: &Path,
    ) -> Result<Self> {
        pieces.iter_mut().flatten().flatten().for_each(|key| *key -= keys.start());
        Self::new(PianoKeys::Numbers(keys), pieces, parts).map_err(|error| error.in_file(path))
    }
}

/// The pieces of a file by split.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pieces {
    train: Vec<Piece>,
    #[serde(default)]
    valid: Vec<Piece>,
    #[serde(default)]
    test: Vec<Piece>,
}

/// The splits of a file, each at most once.
#[derive(Deserialize)]
#[expect(dead_code, reason = "what they hold is read elsewhere")]
struct EachOnce {
    train: Option<IgnoredAny>,
    valid: Option<IgnoredAny>,
    test: Option<IgnoredAny>,
}

/// The pieces, and the splits if there are any.
type Parted<'a> = (Vec<&'a Value>, Option<[Range<usize>; 3]>);

fn parts<'a>(value: &'a Value, path: &Path) -> Result<Parted<'a>> {
    let parts = match value {
        Value::Array(pieces) => return Ok((pieces.iter().collect(), None)),
        Value::Object(parts) => parts,
        _ => {
            let message = format!("expected parts or a list of pieces, got {}", shown(value));
            return Err(Error::data(path, "", message));
        }
    };
    if let Some(other) = parts.keys().find(|name| !PARTS.contains(&name.as_str())) {
        let message = format!("expected the parts {}, got {}", PARTS.join(", "), quoted(other));
        return Err(Error::data(path, "", message));
    }
    let mut pieces = Vec::new();
    let mut ranges = [const { 0..0 }; 3];
    for (part, range) in PARTS.into_iter().zip(&mut ranges) {
        let begin = pieces.len();
        match parts.get(part) {
            Some(part_pieces) => pieces.extend(list(part_pieces, "a list of pieces", path, || format!(", {part}"))?),
            None if part == "train" => return Err(Error::data(path, "", "expected a part train, got none")),
            None => {}
        }
        *range = begin..pieces.len();
    }
    Ok((pieces, Some(ranges)))
}

fn list<'a>(value: &'a Value, expected: &str, path: &Path, place: impl Fn() -> String) -> Result<&'a [Value]> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(Error::data(path, place(), format!("expected {expected}, got {}", shown(value)))),
    }
}

fn key(value: &Value, keys: &RangeInclusive<u32>, path: &Path, place: impl Fn() -> String) -> Result<u32> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.filter(|number| keys.contains(number)).ok_or_else(|| {
        let message = format!("expected a key from {} to {}, got {}", keys.start(), keys.end(), shown(value));
        Error::data(path, place(), message)
    })
}

/// The kind of a refused value, without its contents.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) => quoted(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::corruption::{below, random_pieces, rng, rolls_survive};

    fn json(text: &str) -> Result<PianoRolls> {
        PianoRolls::from_json(text.as_bytes(), Path::new("a.json"), None)
    }

    fn refusal(rolls: Result<PianoRolls>) -> String {
        rolls.unwrap_err().to_string()
    }

    #[test]
    fn written_json_is_read_back() {
        let mut rng = rng(1);
        for _ in 0..1000 {
            let (count, keys) = (1 + below(5, &mut rng), 1 + below(8, &mut rng));
            let lowest = below(60_000, &mut rng) as u32;
            let pieces = random_pieces(count, keys, &mut rng);
            let numbers = lowest..=lowest + keys as u32 - 1;
            let mut written = pieces.clone();
            written.iter_mut().flatten().flatten().for_each(|key| *key += lowest);
            let told = (below(2, &mut rng) == 0).then(|| numbers.clone());
            let read =
                |value: Value| PianoRolls::from_json(value.to_string().as_bytes(), Path::new("a.json"), told.clone());
            let (train, valid) = (below(count + 1, &mut rng), below(count + 1, &mut rng));
            let (train, valid) = (train.min(valid), train.max(valid));
            let expected = |parts| PianoRolls::new(PianoKeys::Numbers(numbers.clone()), pieces.clone(), parts).unwrap();
            assert_eq!(read(json!(written)).unwrap(), expected(None));
            let parts = json!({"train": written[..train], "valid": written[train..valid], "test": written[valid..]});
            assert_eq!(read(parts).unwrap(), expected(Some([0..train, train..valid, valid..count])));
        }
    }

    #[test]
    fn corrupted_files_are_read_or_refused() {
        let valid = [r#"{"train": [[[60, 64], [], [65]], [[1], [2]]], "test": [[[3], [60]]]}"#, "[[[1,2],[3]]]"];
        rolls_survive(valid, |bytes| PianoRolls::from_json(bytes, Path::new("a"), None));
    }

    #[test]
    fn a_key_out_of_range_is_named_by_split_piece_and_step() {
        let text = r#"{"train": [[[60], [61]]], "valid": [[[60], []], [[60], [62, 20]]]}"#;
        let told = |keys| PianoRolls::from_json(text.as_bytes(), Path::new("a.json"), Some(keys));
        let expected = "a.json, valid, piece 2, step 2: expected a key from 21 to 108, got 20";
        assert_eq!(refusal(told(21..=108)), expected);
        assert_eq!(told(20..=99).unwrap().keys(), &PianoKeys::Numbers(20..=99));
        assert_eq!(json(text).unwrap().keys(), &PianoKeys::Numbers(20..=62));
        assert!(refusal(told(0..=70_000)).starts_with("the keys: expected numbers from 0 to 65535"));
        #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
        let reversed = 9..=8;
        assert!(refusal(told(reversed)).starts_with("the keys"));
        let place = "a.json, piece 1, step 1: expected a key from 0 to 65535, got ";
        for key in ["-3", "65536", "1e300", "123456789012345678901234567890", "60.5", "true", "null"] {
            let error = refusal(json(&format!("[[[{key}],[]]]")));
            assert!(error.starts_with(place), "{error}");
        }
    }

    #[test]
    fn other_json_is_refused_with_its_kind() {
        let error = |text: &str| refusal(json(text));
        assert!(error("").starts_with("a.json: expected JSON; EOF while parsing"));
        assert!(error("{\"train\": [[[60], [6").contains("EOF while parsing a list at line 1 column 20"));
        assert_eq!(error("3"), "a.json: expected parts or a list of pieces, got 3");
        assert_eq!(error(r#"{"train": {}}"#), "a.json, train: expected a list of pieces, got an object");
        assert_eq!(error(r#"{"valid": []}"#), "a.json: expected a part train, got none");
        assert_eq!(error(r#"{"train": [], "dev": []}"#), "a.json: expected the parts train, valid, test, got \"dev\"");
        assert_eq!(error("[[[1], [2]], 7]"), "a.json, piece 2: expected a piece, a list of steps, got 7");
        assert_eq!(error("[[1, 2]]"), "a.json, piece 1, step 1: expected a step, a list of active keys, got 1");
        assert_eq!(error("[[[1], [\"c\"]]]"), "a.json, piece 1, step 2: expected a key from 0 to 65535, got \"c\"");
        let short = "a.json, test, piece 1: expected at least 2 steps, one to read and one to predict, got 1";
        assert_eq!(error(r#"{"train": [[[1], [2]]], "test": [[[1]]]}"#), short);
        assert_eq!(error("[[[], []]]"), "a.json: expected active keys, got none in any step");
        let twice = error(r#"{"train": [[[1], [2]]], "train": [[[1], [3]]]}"#);
        assert_eq!(twice, "a.json: expected each part once; duplicate field `train` at line 1 column 31");
        assert!(error("[[[1],\n[2]],").ends_with("EOF while parsing a value at line 2 column 5"));
        assert!(error(&"[".repeat(100_000)).contains("recursion limit"));
        assert!(refusal(PianoRolls::from_json(b"[[[1], \xFF", Path::new("a.json"), None)).contains("byte offset 7"));
    }
}
