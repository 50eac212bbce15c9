//! Piano rolls and the like, from JSON and from comma-separated text.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::csv::records::Records;
use crate::allocate;
use crate::data::InputLimit;
use crate::data::input::encoding::{quoted, utf8};
use crate::data::input::file::Held;
use crate::data::piano_rolls::pieces::{Keys, Piece, Rolls, name};
use crate::error::{Error, Result};
use crate::sizes::Count;

/// The highest number of a key: every key between the lowest and the highest takes a column.
const HIGHEST: u32 = u16::MAX as u32;

/// The names of the parts, as the data sets of Boulanger-Lewandowski et al. (2012) have them.
const PARTS: [&str; 3] = ["train", "valid", "test"];

/// What comes to more than a bound.
const IN_MEMORY: &str = "in memory for its steps";

impl Rolls {
    /// Reads `{"train": [piece, …], "valid": […], "test": […]}`, of which `valid` and `test` may be left out, or a list
    /// of pieces alone, whose parts are not settled. A piece is a list of steps, a step a list of active keys, a key a
    /// number from 0 to 65,535. K are `keys`, or all from the lowest to the highest that occur. `path` is what errors
    /// name.
    ///
    /// # Errors
    /// [`Error::Data`] names the line and column, or the part, piece and step, counted from 1; [`Error::Value`] where
    /// `keys` are none. More than [`InputLimit::default`] in memory is refused.
    pub fn from_json(text: &[u8], path: &Path, keys: Option<RangeInclusive<u32>>) -> Result<Self> {
        Self::json_within(text, path, keys, InputLimit::default())
    }

    /// As [`from_json`](Self::from_json), of which no more than `limit` is held.
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
        // Before any is made: a list of nothing is two bytes of the file.
        let count = |of: u8| Count::from(text.bytes().filter(|byte| *byte == of).count());
        let held = count(b'[') * size_of::<Vec<u32>>() + count(b',') * size_of::<u32>();
        limit.check(held.get(), path, "", IN_MEMORY)?;
        let refused = |expected: &str, error: serde_json::Error| Error::data(path, "", format!("{expected}; {error}"));
        if let Some(rolls) = Self::from_pieces(text, path, keys.clone())? {
            return Ok(rolls);
        }
        let value = serde_json::from_str(text).map_err(|error| refused("expected JSON", error))?;
        let (pieces, parts) = parts(&value, path)?;
        if parts.is_some() {
            // A value holds the last of two parts with one name, and tells nothing of the first.
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

    /// What is wholly as it is expected, without a value of its own for every number: that would be thirty times the file.
    /// `None` for what is not, where the file is small enough to be gone through for what is wrong.
    fn from_pieces(text: &str, path: &Path, keys: Option<RangeInclusive<u32>>) -> Result<Option<Self>> {
        const SMALL: usize = 1 << 22;
        let read = match text.trim_start().starts_with('[') {
            true => serde_json::from_str::<Vec<Piece>>(text).map(|pieces| (pieces, None)),
            false => serde_json::from_str::<Pieces>(text).map(|Pieces { train, valid, test }| {
                let ends = [train.len(), train.len() + valid.len(), train.len() + valid.len() + test.len()];
                let parts = [0..ends[0], ends[0]..ends[1], ends[1]..ends[2]];
                ([train, valid, test].into_iter().flatten().collect(), Some(parts))
            }),
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
        match keys.contains(&lowest) && keys.contains(&highest) && highest <= HIGHEST {
            true => Self::of_keys(keys, pieces, parts, path).map(Some),
            false if text.len() <= SMALL => Ok(None),
            false => {
                let expected = if *keys.end() > HIGHEST { 0..=HIGHEST } else { keys };
                let message =
                    format!("expected keys from {} to {}, got {lowest} to {highest}", expected.start(), expected.end());
                Err(Error::data(path, "", message))
            }
        }
    }

    fn of_keys(
        keys: RangeInclusive<u32>,
        mut pieces: Vec<Piece>,
        parts: Option<[Range<usize>; 3]>,
        path: &Path,
    ) -> Result<Self> {
        pieces.iter_mut().flatten().flatten().for_each(|key| *key -= keys.start());
        Self::new(Keys::Numbers(keys), pieces, parts).map_err(|error| error.in_file(path))
    }

    /// Reads separated text, as [`Table::from_csv`](crate::data::Table::from_csv) does, whose first line names the keys; a row
    /// is a step, each field 1 where the key is active and 0 where it is not. Where the first column is named `piece`, the
    /// rows of a piece have the same text there; otherwise all are one piece, which [`split`](Self::split) cuts in time.
    /// A first line of 0 and 1 alone is a step, and the keys are `1`, `2` and so on. `path` is what errors name.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the names, the line and the column.
    pub fn from_csv(text: &[u8], path: &Path) -> Result<Self> {
        Self::csv_within(text, path, InputLimit::default())
    }

    /// As [`from_csv`](Self::from_csv), of which no more than `limit` is held.
    pub(crate) fn csv_within(text: &[u8], path: &Path, limit: InputLimit) -> Result<Self> {
        let mut records = Records::open_keys(text, path)?;
        let mut names = records.names().to_vec();
        if names.is_empty() {
            return Err(Error::data(path, "", "expected a line of column names and rows below it, got an empty file"));
        }
        let first = usize::from(names[0] == "piece");
        let mut pieces: Vec<Piece> = Vec::new();
        // Where each piece began.
        let mut begun = BTreeMap::<String, usize>::new();
        let mut current = None;
        let mut held = Held::new(limit, path, IN_MEMORY);
        while records.read()? {
            let (row, _) = records.position();
            let piece = if first > 0 { records.field(0) } else { "" };
            if current.as_deref() != Some(piece) {
                if let Some(first) = begun.insert(piece.to_owned(), row) {
                    let message = format!(
                        "expected the rows of a piece together, got {} again, as in row {first}",
                        quoted(piece)
                    );
                    return Err(Error::data(path, records.place(), message));
                }
                held.add(2 * (size_of::<String>() + piece.len()))?;
                current = Some(piece.to_owned());
                allocate::push(&mut pieces, Vec::new(), "the pieces")?;
            }
            let mut active = Vec::new();
            for (key, name) in (0..).zip(&names[first..]) {
                match records.field(first + key as usize) {
                    "0" => {}
                    "1" => active.push(key),
                    field => {
                        let place = format!("{}, column {}", records.place(), quoted(name));
                        return Err(Error::data(path, place, format!("expected 0 or 1, got {}", quoted(field))));
                    }
                }
            }
            held.add(size_of::<Vec<u32>>() + active.len() * size_of::<u32>())?;
            if let Some(piece) = pieces.last_mut() {
                allocate::push(piece, active, "the steps of a piece")?;
            }
        }
        names.drain(..first);
        let rolls = Self::new(Keys::Names(names), pieces, None).map_err(|error| error.in_file(path))?;
        Ok(rolls.with_notes(records.into_notes()))
    }
}

/// The pieces of a file by their parts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pieces {
    train: Vec<Piece>,
    #[serde(default)]
    valid: Vec<Piece>,
    #[serde(default)]
    test: Vec<Piece>,
}

/// The parts of a file, of which none is there twice.
#[derive(Deserialize)]
#[expect(dead_code, reason = "what they hold is read elsewhere")]
struct EachOnce {
    train: Option<IgnoredAny>,
    valid: Option<IgnoredAny>,
    test: Option<IgnoredAny>,
}

/// The pieces, and where the parts are where there are.
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

/// What a refused value is, whatever its size.
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
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use serde_json::json;

    use super::*;
    use crate::model::uniform;

    fn json(text: &str) -> Result<Rolls> {
        Rolls::from_json(text.as_bytes(), Path::new("a.json"), None)
    }

    fn csv(text: &str) -> Result<Rolls> {
        Rolls::from_csv(text.as_bytes(), Path::new("a.csv"))
    }

    fn refusal(rolls: Result<Rolls>) -> String {
        rolls.unwrap_err().to_string()
    }

    fn below(n: usize, rng: &mut ChaCha8Rng) -> usize {
        (uniform(rng) * n as f64) as usize
    }

    /// Pieces of at least two steps with columns below `keys`, all of which occur.
    fn random_pieces(pieces: usize, keys: usize, rng: &mut ChaCha8Rng) -> Vec<Piece> {
        let mut step = || (0..keys as u32).filter(|_| below(3, rng) == 0).collect::<Vec<_>>();
        let mut drawn: Vec<Piece> = (0..pieces).map(|piece| (0..2 + piece % 4).map(|_| step()).collect()).collect();
        drawn[0][0] = (0..keys as u32).collect();
        drawn
    }

    #[test]
    fn what_was_written_as_json_is_read() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..1000 {
            let (count, keys) = (1 + below(5, &mut rng), 1 + below(8, &mut rng));
            let lowest = below(60_000, &mut rng) as u32;
            let pieces = random_pieces(count, keys, &mut rng);
            let numbers = lowest..=lowest + keys as u32 - 1;
            let mut written = pieces.clone();
            written.iter_mut().flatten().flatten().for_each(|key| *key += lowest);
            let told = (below(2, &mut rng) == 0).then(|| numbers.clone());
            let read = |value: Value| Rolls::from_json(value.to_string().as_bytes(), Path::new("a.json"), told.clone());
            let (train, valid) = (below(count + 1, &mut rng), below(count + 1, &mut rng));
            let (train, valid) = (train.min(valid), train.max(valid));
            let expected = |parts| Rolls::new(Keys::Numbers(numbers.clone()), pieces.clone(), parts).unwrap();
            assert_eq!(read(json!(written)).unwrap(), expected(None));
            let parts = json!({"train": written[..train], "valid": written[train..valid], "test": written[valid..]});
            assert_eq!(read(parts).unwrap(), expected(Some([0..train, train..valid, valid..count])));
        }
    }

    #[test]
    fn what_was_written_as_csv_is_read() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..1000 {
            let (count, keys) = (1 + below(4, &mut rng), 1 + below(8, &mut rng));
            let grouped = count > 1 || below(2, &mut rng) == 0;
            let pieces = random_pieces(count, keys, &mut rng);
            let names: Vec<String> = (0..keys).map(|key| format!("k {key}")).collect();
            let line = |first: String, fields: Vec<String>| {
                let fields: Vec<String> = grouped.then_some(first).into_iter().chain(fields).collect();
                format!("{}\n", fields.join(","))
            };
            let mut text = line("piece".into(), names.clone());
            for (piece, steps) in pieces.iter().enumerate() {
                for active in steps {
                    let fields = (0..keys as u32).map(|key| u32::from(active.contains(&key)).to_string()).collect();
                    text.push_str(&line(format!("no. {piece}"), fields));
                }
            }
            assert_eq!(csv(&text).unwrap(), Rolls::new(Keys::Names(names), pieces, None).unwrap());
        }
    }

    #[test]
    fn damaged_files_are_refused_or_read() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let jsons = [r#"{"train": [[[60, 64], [], [65]], [[1], [2]]], "test": [[[3], [60]]]}"#, "[[[1,2],[3]]]"];
        let csvs = ["piece,a,b\nx,0,1\nx,1,1\ny,0,0\ny,0,1\n", "a,b\r\n0,1\r\n\"1\",0\r\n"];
        let mut refused = 0;
        for round in 0..6000 {
            let valid = [jsons, csvs][round % 2][below(2, &mut rng)];
            let mut bytes = valid.as_bytes().to_vec();
            for _ in 0..below(4, &mut rng) {
                if bytes.is_empty() {
                    break;
                }
                let (at, other) = (below(bytes.len(), &mut rng), below(256, &mut rng) as u8);
                match below(5, &mut rng) {
                    0 => bytes[at] = other,
                    1 => bytes[at] = b"0123456789-[]{},\"\n:e"[below(20, &mut rng)],
                    2 => bytes.insert(at, b"09[],\"\n"[below(7, &mut rng)]),
                    3 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at),
                }
            }
            if below(20, &mut rng) == 0 {
                bytes.fill_with(|| below(256, &mut rng) as u8);
            }
            let rolls = match round % 2 {
                0 => Rolls::from_json(&bytes, Path::new("a"), None),
                _ => Rolls::from_csv(&bytes, Path::new("a")),
            };
            match rolls {
                Ok(rolls) => assert!(rolls.pieces().iter().all(|piece| piece.len() >= 2)),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().starts_with("a") && error.to_string().len() < 300, "{error}");
                }
            }
        }
        assert!((2000..5500).contains(&refused), "{refused}");
    }

    #[test]
    fn a_key_outside_is_named_by_part_piece_and_step() {
        let text = r#"{"train": [[[60], [61]]], "valid": [[[60], []], [[60], [62, 20]]]}"#;
        let told = |keys| Rolls::from_json(text.as_bytes(), Path::new("a.json"), Some(keys));
        let expected = "a.json, valid, piece 2, step 2: expected a key from 21 to 108, got 20";
        assert_eq!(refusal(told(21..=108)), expected);
        assert_eq!(told(20..=99).unwrap().keys(), &Keys::Numbers(20..=99));
        assert_eq!(json(text).unwrap().keys(), &Keys::Numbers(20..=62));
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
    fn other_json_is_refused_with_what_it_is() {
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
        let short = "a.json, test, piece 1: expected at least 2 steps, one to read and one to tell, got 1";
        assert_eq!(error(r#"{"train": [[[1], [2]]], "test": [[[1]]]}"#), short);
        assert_eq!(error("[[[], []]]"), "a.json: expected active keys, got none in any step");
        let twice = error(r#"{"train": [[[1], [2]]], "train": [[[1], [3]]]}"#);
        assert_eq!(twice, "a.json: expected each part once; duplicate field `train` at line 1 column 31");
        assert!(error("[[[1],\n[2]],").ends_with("EOF while parsing a value at line 2 column 5"));
        assert!(error(&"[".repeat(100_000)).contains("recursion limit"));
        assert!(refusal(Rolls::from_json(b"[[[1], \xFF", Path::new("a.json"), None)).contains("byte offset 7"));
    }

    #[test]
    fn fields_are_separated_as_those_of_a_series_are() {
        let (comma, line) = (csv("a,b\n0,1\n1,0\n").unwrap(), ", row 2 (line 4), column \"b\": expected 0 or 1");
        for text in ["a;b\n0;1\n1;0\n", "a\tb\n0\t1\n1\t0\n", "sep=;\na;b\n0;1\n1;0\n"] {
            assert_eq!(csv(text).unwrap().with_notes(Vec::new()), comma, "{text:?}");
        }
        assert!(refusal(csv("sep=;\na;b\n0;1\n1;x\n")).contains(line));
    }

    #[test]
    fn lines_are_counted_from_the_first_of_the_file() {
        let refused = refusal(csv("\n\nsep=;\na;b\n0;1\n\n1;x\n"));
        assert!(refused.starts_with("a.csv, row 2 (line 7), column \"b\": expected 0 or 1, got \"x\""), "{refused}");
    }

    #[test]
    fn a_first_line_of_0_and_1_is_a_step_and_its_keys_have_numbers() {
        let keys = |text: &str| csv(text).map(|rolls| (rolls.keys().names(), rolls.pieces().to_vec()));
        let numbered = (vec!["1".into(), "2".into(), "3".into()], vec![vec![vec![1, 2], vec![0]]]);
        assert_eq!(keys("0,1,1\n1,0,0\n").unwrap(), numbered);
        assert_eq!(keys("1\n0\n1\n").unwrap().1, [[vec![0], vec![], vec![0]]]);
        assert!(csv("0,1\n1,0\n").unwrap_err().to_string().contains("may be names or values"));
        // Other numbers are names.
        assert_eq!(keys("60,61,62\n0,1,1\n1,0,0\n").unwrap().0, ["60", "61", "62"]);
        assert_eq!(keys("piece,0,1\nx,1,1\nx,0,0\n").unwrap().0, ["0", "1"]);
    }

    #[test]
    fn what_the_text_could_be_read_as_otherwise_is_told() {
        let notes = |text: &str| csv(text).unwrap().notes().to_vec();
        assert_eq!(notes("a,b\n0,1\n1,0\n"), [] as [&str; 0]);
        assert_eq!(notes("a;b\n0;1\n1;0\n"), ["fields separated by semicolons"]);
        let step = "no names: the first line, \"0\" \"1\" \"1\", is a row, and the columns are named 1 to 3";
        assert_eq!(notes("0,1,1\n1,0,0\n"), [step]);
        let cut = csv("a;b\n0;1\n1;0\n1;1\n").unwrap().split([0.5, 0.5, 0.0]).unwrap();
        assert_eq!(cut.notes(), ["fields separated by semicolons"]);
    }

    #[test]
    fn a_refused_field_is_named_by_row_line_and_column() {
        let error = |text: &str| refusal(csv(text));
        let place = "a.csv, row 2 (line 4), column \"b\": expected 0 or 1, got ";
        assert_eq!(error("a,b\n0,1\n\n0,2\n"), format!("{place}\"2\""));
        assert_eq!(error("a,b\n0,1\n\n0,\n"), format!("{place}\"\""));
        let long = format!("a,b\n0,1\n\n0,{}\n", "1".repeat(10_000_000));
        assert!(error(&long).starts_with(place) && error(&long).len() < 200);
        let why = "the separator is the comma, with which 1 of 2 lines have 2 fields as the first";
        assert_eq!(error("a,b\n0,1\n1,0,1\n"), format!("a.csv, row 2 (line 3): expected 2 fields, got 3; {why}"));
        assert_eq!(error("a,b\n0,1\n1"), format!("a.csv, row 2 (line 3): expected 2 fields, got 1; {why}"));
        let twice = "a.csv: expected one column \"a\", got two, the fields 2 and 4";
        assert_eq!(error("piece,a,b,a\nx,0,1,0\n"), twice);
        let apart = "a.csv, row 3 (line 4): expected the rows of a piece together, got \"x\" again, as in row 1";
        assert_eq!(error("piece,a\nx,0\ny,1\nx,1\n"), apart);
        assert_eq!(
            error("piece,a\nx,0\nx,0\ny,1\n"),
            "a.csv, piece 2: expected at least 2 steps, one to read and one to tell, got 1"
        );
        assert!(error("").ends_with("got an empty file"));
        assert_eq!(error("piece\n"), "a.csv, keys: expected at least 1, got 0");
        assert_eq!(error("a,b\n"), "a.csv, pieces: expected at least 1, got 0");
        assert!(refusal(Rolls::from_csv(b"a,b\n0,\xE9", Path::new("a.csv"))).contains("line 2, byte offset 6"));
    }

    #[test]
    fn a_mark_windows_line_ends_and_spaces_do_no_harm() {
        let rolls = csv("\u{feff}piece, a,b \r\nx, 0,1\r\nx,1 ,0\r\n").unwrap();
        assert_eq!(rolls.keys(), &Keys::Names(vec!["a".into(), "b".into()]));
        assert_eq!(rolls.pieces(), [vec![vec![1], vec![0]]]);
    }
}
