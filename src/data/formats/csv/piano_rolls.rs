//! Piano rolls from separated text.

use std::collections::BTreeMap;
use std::path::Path;

use super::records::Records;
use crate::allocate;
use crate::data::input::encoding::quoted;
use crate::data::input::file::MemoryUse;
use crate::data::piano_rolls::pieces::IN_MEMORY;
use crate::data::{InputLimit, PianoKeys, PianoRolls, Piece};
use crate::error::{Error, Result};

impl PianoRolls {
    /// Reads separated text, as [`SeriesTable::from_csv`](crate::data::SeriesTable::from_csv) does, with the names of
    /// the keys in its header. A row is a step, and each field is 1 if the key is active and 0 if not. If the first
    /// column is named `piece`, its text separates pieces; otherwise all rows are one piece, which
    /// [`split`](Self::split) cuts in time. If the first line has only 0 and 1, it is a step, and the keys are named
    /// `1`, `2` and so on. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the header, the line and the column.
    pub fn from_csv(text: &[u8], path: &Path) -> Result<Self> {
        Self::csv_within(text, path, InputLimit::default())
    }

    /// Like [`from_csv`](Self::from_csv), with a memory limit.
    pub(crate) fn csv_within(text: &[u8], path: &Path, limit: InputLimit) -> Result<Self> {
        let mut records = Records::open_keys(text, path)?;
        let mut names = records.names().to_vec();
        if names.is_empty() {
            return Err(Error::data(path, "", "expected a header line and rows below it, got an empty file"));
        }
        let first = usize::from(names[0] == "piece");
        let mut pieces: Vec<Piece> = Vec::new();
        // The first row of each piece.
        let mut begun = BTreeMap::<String, usize>::new();
        let mut current = None;
        let mut memory = MemoryUse::new(limit, path, IN_MEMORY);
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
                memory.add(2 * (size_of::<String>() + piece.len()))?;
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
            memory.add(size_of::<Vec<u32>>() + active.len() * size_of::<u32>())?;
            if let Some(piece) = pieces.last_mut() {
                allocate::push(piece, active, "the steps of a piece")?;
            }
        }
        names.drain(..first);
        let rolls = Self::new(PianoKeys::Names(names), pieces, None).map_err(|error| error.in_file(path))?;
        Ok(rolls.with_notes(records.into_notes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corruption::{below, random_pieces, rng, rolls_survive};

    fn csv(text: &str) -> Result<PianoRolls> {
        PianoRolls::from_csv(text.as_bytes(), Path::new("a.csv"))
    }

    fn refusal(rolls: Result<PianoRolls>) -> String {
        rolls.unwrap_err().to_string()
    }

    #[test]
    fn written_csv_is_read_back() {
        let mut rng = rng(2);
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
            assert_eq!(csv(&text).unwrap(), PianoRolls::new(PianoKeys::Names(names), pieces, None).unwrap());
        }
    }

    #[test]
    fn corrupted_files_are_read_or_refused() {
        let valid = ["piece,a,b\nx,0,1\nx,1,1\ny,0,0\ny,0,1\n", "a,b\r\n0,1\r\n\"1\",0\r\n"];
        rolls_survive(valid, |bytes| PianoRolls::from_csv(bytes, Path::new("a")));
    }

    #[test]
    fn fields_are_separated_as_in_a_series() {
        let (comma, line) = (csv("a,b\n0,1\n1,0\n").unwrap(), ", row 2 (line 4), column \"b\": expected 0 or 1");
        for text in ["a;b\n0;1\n1;0\n", "a\tb\n0\t1\n1\t0\n", "sep=;\na;b\n0;1\n1;0\n"] {
            assert_eq!(csv(text).unwrap().with_notes(Vec::new()), comma, "{text:?}");
        }
        assert!(refusal(csv("sep=;\na;b\n0;1\n1;x\n")).contains(line));
    }

    #[test]
    fn line_numbers_start_at_the_first_line_of_the_file() {
        let refused = refusal(csv("\n\nsep=;\na;b\n0;1\n\n1;x\n"));
        assert!(refused.starts_with("a.csv, row 2 (line 7), column \"b\": expected 0 or 1, got \"x\""), "{refused}");
    }

    #[test]
    fn a_first_line_of_0_and_1_is_a_step_and_keys_get_numbers() {
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
    fn ambiguous_text_is_reported() {
        let notes = |text: &str| csv(text).unwrap().notes().to_vec();
        assert_eq!(notes("a,b\n0,1\n1,0\n"), [] as [&str; 0]);
        assert_eq!(notes("a;b\n0;1\n1;0\n"), ["fields separated by semicolons"]);
        let step = "no header: the first line, \"0\" \"1\" \"1\", is a row, and the columns are named 1 to 3";
        assert_eq!(notes("0,1,1\n1,0,0\n"), [step]);
        let cut = csv("a;b\n0;1\n1;0\n1;1\n").unwrap().split([0.5, 0.5, 0.0]).unwrap();
        assert_eq!(cut.notes(), ["fields separated by semicolons"]);
    }

    #[test]
    fn a_wrong_field_is_named_by_row_line_and_column() {
        let error = |text: &str| refusal(csv(text));
        let place = "a.csv, row 2 (line 4), column \"b\": expected 0 or 1, got ";
        assert_eq!(error("a,b\n0,1\n\n0,2\n"), format!("{place}\"2\""));
        assert_eq!(error("a,b\n0,1\n\n0,\n"), format!("{place}\"\""));
        let long = format!("a,b\n0,1\n\n0,{}\n", "1".repeat(10_000_000));
        assert!(error(&long).starts_with(place) && error(&long).len() < 200);
        let why = "the separator is the comma, with which 1 of 2 lines have 2 fields, like the first";
        assert_eq!(error("a,b\n0,1\n1,0,1\n"), format!("a.csv, row 2 (line 3): expected 2 fields, got 3; {why}"));
        assert_eq!(error("a,b\n0,1\n1"), format!("a.csv, row 2 (line 3): expected 2 fields, got 1; {why}"));
        let twice = "a.csv: expected one column \"a\", got two, the fields 2 and 4";
        assert_eq!(error("piece,a,b,a\nx,0,1,0\n"), twice);
        let apart = "a.csv, row 3 (line 4): expected the rows of a piece together, got \"x\" again, as in row 1";
        assert_eq!(error("piece,a\nx,0\ny,1\nx,1\n"), apart);
        assert_eq!(
            error("piece,a\nx,0\nx,0\ny,1\n"),
            "a.csv, piece 2: expected at least 2 steps, one to read and one to predict, got 1"
        );
        assert!(error("").ends_with("got an empty file"));
        assert_eq!(error("piece\n"), "a.csv, keys: expected at least 1, got 0");
        assert_eq!(error("a,b\n"), "a.csv, pieces: expected at least 1, got 0");
        assert!(refusal(PianoRolls::from_csv(b"a,b\n0,\xE9", Path::new("a.csv"))).contains("line 2, byte offset 6"));
    }

    #[test]
    fn byte_order_mark_crlf_and_spaces_are_accepted() {
        let rolls = csv("\u{feff}piece, a,b \r\nx, 0,1\r\nx,1 ,0\r\n").unwrap();
        assert_eq!(rolls.keys(), &PianoKeys::Names(vec!["a".into(), "b".into()]));
        assert_eq!(rolls.pieces(), [vec![vec![1], vec![0]]]);
    }
}
