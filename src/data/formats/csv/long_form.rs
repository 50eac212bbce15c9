//! Labelled sequences from comma-separated text in long form: a row for each step of each sequence.
//!
//! The text is gone through twice. Once to see which sequence each row is of and where its time stands among the others,
//! and once more for its numbers, which are put where they belong: between the two a row takes a few bytes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::packed_texts::PackedTexts;
use super::records::Records;
use crate::allocate;
use crate::data::input::encoding::quoted;
use crate::data::input::file::MemoryUse;
use crate::data::sequences::labels::DistinctNames;
use crate::data::sequences::sequence_inputs::IN_MEMORY;
use crate::data::times::RowGroups;
use crate::data::times::column::time_column::{self, OrderReason};
use crate::data::times::label::{LabelReader, Texts};
use crate::data::values::number::{is_missing, number};
use crate::data::values::numeric_name::{canonical, value};
use crate::data::{
    DateOrder, DecimalMark, InputLimit, LabelledSequences, Labels, MissingPolicy, PackedSequences, SequenceInputs,
};
use crate::error::{Error, Result};

/// What the columns of a file in long form are; all others are dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongColumns {
    /// Which sequence a row belongs to.
    pub id: String,
    /// What its rows are ordered by.
    pub time: String,
    /// Its label, the same in all of its rows; `None`: the column `label` where there is one, otherwise sequences without
    /// labels.
    pub label: Option<String>,
    /// How its numbers are written; `None`: as they show, see [`SeriesTable::from_csv`](crate::data::SeriesTable::from_csv).
    pub decimal: Option<DecimalMark>,
    /// What comes first in times such as `5/3/2021`; `None`: what they tell.
    pub dates: Option<DateOrder>,
}

impl Default for LongColumns {
    /// `id`, `time`, and `label` where there is one.
    fn default() -> Self {
        Self { id: "id".into(), time: "time".into(), label: None, decimal: None, dates: None }
    }
}

impl LabelledSequences {
    /// Reads comma-separated text whose first line names the columns. Sequences are in the order in which their ids
    /// come first; their rows are ordered by time: numbers, also with the same words around them all (`t1`, `t10`), or dates
    /// and times of day as [`Series::new`](crate::data::Series::new) reads them. Where none of the file's times is such, rows are
    /// in the order of the file. `path` is what errors name.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the names, the line and the column: a column that is missing
    /// or there twice, a row of more or fewer fields, a cell that is no finite number, a time that is not as the others are
    /// or that can be read in two ways, two rows of one id with the same time or with different labels. A field that is
    /// empty, `?`, `.`, `NaN`, `NA`, `N/A`, `null`, `none` or the like, in any case of letters, is a missing value.
    pub fn from_long(bytes: &[u8], path: &Path, columns: &LongColumns, missing: MissingPolicy) -> Result<Self> {
        Self::long_within(bytes, path, columns, missing, InputLimit::default())
    }

    /// As [`from_long`](Self::from_long), of which no more than `limit` is held.
    pub(in crate::data) fn long_within(
        bytes: &[u8],
        path: &Path,
        columns: &LongColumns,
        missing: MissingPolicy,
        limit: InputLimit,
    ) -> Result<Self> {
        let mut records = Records::open(bytes, path)?;
        let mut layout = ColumnLayout::new(&records, columns, path, missing)?;
        // Labels that are numbers are written as the others are.
        let numbers: Vec<usize> = layout.dimensions.iter().copied().chain(layout.label).collect();
        records.decide(&numbers, columns.decimal)?;
        layout.mark = records.mark();
        let mut rows = RowIndex::new(MemoryUse::new(limit, path, IN_MEMORY));
        while records.read()? {
            rows.take(&layout, &records)?;
        }
        let ordered = rows.order(&mut records, &layout, columns.dates)?;
        let sequences = ordered.numbers(&mut records, &layout)?;
        let OrderedRows { ids, classes, notes, dates, .. } = ordered;
        let ids = ids.iter().map(str::to_owned).collect();
        let labels = layout.label.map_or(Labels::None, |_| Labels::from_distinct(classes));
        let dimensions = layout.dimensions.iter().map(|column| layout.names[*column].clone()).collect();
        let mut labelled = Self { ids, dimensions, notes, dates, ..Self::new(SequenceInputs::Wide(sequences), labels) };
        labelled.decimal = records.known_mark();
        labelled.notes.extend(records.into_notes());
        Ok(labelled)
    }
}

/// What the columns are, and how their cells are read.
struct ColumnLayout<'a> {
    path: &'a Path,
    missing: MissingPolicy,
    mark: DecimalMark,
    names: Vec<String>,
    id: usize,
    time: usize,
    label: Option<usize>,
    dimensions: Vec<usize>,
}

impl<'a> ColumnLayout<'a> {
    fn new(records: &Records<'_>, columns: &LongColumns, path: &'a Path, missing: MissingPolicy) -> Result<Self> {
        let names = records.names().to_vec();
        let find = |name: &String, what: &str| {
            names.iter().position(|column| column == name).ok_or_else(|| {
                let got = records.listed() + records.advice();
                Error::data(path, "", format!("expected a column {} of {what}, got the columns {got}", quoted(name)))
            })
        };
        let (id, time) = (find(&columns.id, "ids")?, find(&columns.time, "times")?);
        let label = match &columns.label {
            Some(name) => Some(find(name, "labels")?),
            None => names.iter().position(|column| column == "label"),
        };
        let roles = [Some(id), Some(time), label];
        let is_dimension = |column: &usize| !roles.contains(&Some(*column)) && !names[*column].is_empty();
        let dimensions: Vec<usize> = (0..names.len()).filter(is_dimension).collect();
        if dimensions.is_empty() {
            let message = "expected at least one column of numbers beside ids, times and labels";
            return Err(Error::data(path, "", message));
        }
        Ok(Self { path, missing, mark: DecimalMark::Point, names, id, time, label, dimensions })
    }

    fn error(&self, records: &Records<'_>, column: usize, message: String) -> Error {
        let place = format!("{}, column {}", records.place(), quoted(&self.names[column]));
        Error::data(self.path, place, message)
    }

    /// That a cell of the current record is not as `expected`.
    fn refuse(&self, records: &Records<'_>, column: usize, expected: &str) -> Error {
        let cell = records.field(column);
        let got = if cell.is_empty() { "a missing value".into() } else { quoted(cell) };
        self.error(records, column, format!("expected {expected}, got {got}"))
    }

    fn word<'r>(&self, records: &'r Records<'_>, column: usize, what: &str) -> Result<&'r str> {
        match records.field(column) {
            "" => Err(self.refuse(records, column, what)),
            word => Ok(word),
        }
    }

    /// The number in a cell of the current record; NaN where it is missing: what stands in its place is known once the rows
    /// are in order.
    fn number(&self, records: &Records<'_>, column: usize) -> Result<f64> {
        let cell = records.field(column);
        match self.mark.plain(cell) {
            Some(plain) => number(&plain.text).map_err(|expected| self.refuse(records, column, expected)),
            None if self.missing != MissingPolicy::Refuse && is_missing(cell) => Ok(f64::NAN),
            None if is_missing(cell) => Err(self.refuse(records, column, "a finite number")),
            None => {
                let (expected, got) = self.mark.refusal(cell);
                Err(self.error(records, column, format!("expected {expected}, got {got}")))
            }
        }
    }
}

/// `row 2 (line 3)`, of a row counted from 0.
fn place(records: &mut Records<'_>, row: usize) -> Result<String> {
    records.rewind()?;
    for _ in 0..=row {
        records.read()?;
    }
    let (row, line) = records.position();
    Ok(format!("row {row} (line {line})"))
}

/// What was seen of the rows.
struct RowIndex<'a> {
    memory: MemoryUse<'a>,
    /// The time of each.
    times: PackedTexts,
    /// The sequence of each.
    of: Vec<u32>,
    /// Of each sequence: its id, its first row, how many it has, and its class.
    ids: PackedTexts,
    firsts: Vec<u32>,
    lengths: Vec<u32>,
    classes: DistinctNames,
    /// The sequences by the hash of their ids' values: `3.0` is `3`.
    index: HashMap<u64, u32>,
    hasher: RandomState,
}

/// The most rows: they are counted in four bytes.
const ROWS: usize = u32::MAX as usize;

/// What a sequence takes beside its numbers and its id: where it ends, its class, and the name.
const OF_SEQUENCE: usize = size_of::<usize>() + size_of::<u32>() + size_of::<String>();

impl<'a> RowIndex<'a> {
    fn new(memory: MemoryUse<'a>) -> Self {
        let (times, of, ids, firsts, lengths, classes, index) = Default::default();
        Self { memory, times, of, ids, firsts, lengths, classes, index, hasher: RandomState::new() }
    }

    /// Takes the current record.
    fn take(&mut self, layout: &ColumnLayout<'_>, records: &Records<'_>) -> Result<()> {
        let id = layout.word(records, layout.id, "the id of a sequence")?;
        let time = layout.word(records, layout.time, "a time")?;
        let class = layout.label.map_or(Ok(""), |label| layout.word(records, label, "a label"))?;
        let class = canonical(&layout.mark.plain(class).map_or(class.into(), |plain| plain.text)).into_owned();
        for column in &layout.dimensions {
            layout.number(records, *column)?;
        }
        self.memory.add(layout.dimensions.len() * size_of::<f64>())?;
        let row = self.of.len();
        if row >= ROWS {
            return Err(Error::data(layout.path, records.place(), format!("expected at most {ROWS} rows, got more")));
        }
        let (found, hash) = self.find(id);
        let first = |group: u32| self.firsts[group as usize] as usize;
        let group = match found {
            Some(group) => {
                let other = self.ids.text(group as usize);
                if canonical(other) != canonical(id) {
                    let other = quoted(other);
                    let expected = |place| format!("one way of writing a number, as {other} in {place}");
                    return Err(contradiction(layout, records, layout.id, first(group), expected)?);
                }
                if let (Some(column), false) = (layout.label, self.classes.has(group as usize, &class)) {
                    let of_group = quoted(self.classes.name(group as usize));
                    let expected = |place| format!("{of_group}, as in {place} of the same id");
                    return Err(contradiction(layout, records, column, first(group), expected)?);
                }
                self.lengths[group as usize] += 1;
                group
            }
            None => {
                self.memory.add(OF_SEQUENCE + id.len())?;
                let group = self.firsts.len() as u32;
                self.index.insert(hash, group);
                self.ids.push(id)?;
                allocate::push(&mut self.firsts, row as u32, "the ids of sequences")?;
                allocate::push(&mut self.lengths, 1, "the ids of sequences")?;
                self.classes.push(&class)?;
                group
            }
        };
        allocate::push(&mut self.of, group, "the rows of sequences")?;
        self.times.push(time)?;
        Ok(())
    }

    /// The sequence of an id, and the hash by which it is to be found. Of two ids with one hash the later has the next.
    fn find(&self, id: &str) -> (Option<u32>, u64) {
        let id = value(id);
        let mut hash = self.hasher.hash_one(&*id);
        while let Some(group) = self.index.get(&hash) {
            if value(self.ids.text(*group as usize)) == id {
                return (Some(*group), hash);
            }
            hash = hash.wrapping_add(1);
        }
        (None, hash)
    }

    /// Puts the rows in the order of time.
    fn order(
        self,
        records: &mut Records<'_>,
        layout: &ColumnLayout<'_>,
        dates: Option<DateOrder>,
    ) -> Result<OrderedRows> {
        let Self { times, of, ids, lengths, classes, index, .. } = self;
        drop(index);
        if of.is_empty() {
            return Err(Error::data(layout.path, "", "expected rows below the column names, got none"));
        }
        let name = &layout.names[layout.time];
        let mut same_time = |first: usize, second: usize| {
            let first = place(records, first)?;
            let column = format!(", {}, column {}", place(records, second)?, quoted(name));
            let got = format!("{} as in {first} of the same id", quoted(times.text(second)));
            Err(Error::data(layout.path, column, format!("expected a time of its own, got {got}")))
        };
        let groups = RowGroups { sequence_of: Some(&of) };
        let (reader, notes, dates) = match time_column::find(&times, dates, groups) {
            Ok(found) => (
                Some(found.reader),
                found.notes(&times, name),
                found.date_order().filter(|_| found.order != Some(OrderReason::Alike)),
            ),
            Err(trouble) => {
                if let Some((row, expected, got)) = trouble.words(&times, dates) {
                    let place = format!(", {}, column {}", place(records, row)?, quoted(name));
                    return Err(Error::data(layout.path, place, format!("expected {expected}, got {got}")));
                }
                if let Some((first, second)) = twice(&times, &of) {
                    return same_time(first, second);
                }
                let such = quoted(times.text(0));
                let note = format!(
                    "steps are in the order of the file: times of column {} are no numbers or dates, such as {such}",
                    quoted(name)
                );
                (None, vec![note], None)
            }
        };
        // Where the steps of each sequence begin, and where the next of its rows goes.
        let mut next: Vec<u32> =
            lengths.iter().scan(0, |begin, length| Some(std::mem::replace(begin, *begin + length))).collect();
        let mut step = |row: usize| {
            let next = &mut next[of[row] as usize];
            std::mem::replace(next, *next + 1)
        };
        let mut places: Vec<u32> = Vec::new();
        allocate::reserve(&mut places, of.len(), "the rows")?;
        places.extend((0..of.len()).map(&mut step));
        if let Some(reader) = reader.filter(|reader| !groups.ascends(reader.keys(&times).flatten())) {
            let sorted = sorted(&places, &lengths, &times, reader)?;
            match sorted {
                Ok(sorted) => (0..).zip(sorted).for_each(|(step, row)| places[row as usize] = step),
                Err((first, second)) => return same_time(first, second),
            }
        }
        Ok(OrderedRows { places, lengths, ids, classes, notes, dates })
    }
}

/// That a cell of the current record contradicts what was told in an earlier row, as `expected` has it of its place.
fn contradiction(
    layout: &ColumnLayout<'_>,
    records: &Records<'_>,
    column: usize,
    first: usize,
    expected: impl FnOnce(String) -> String,
) -> Result<Error> {
    let first = place(&mut records.again()?, first)?;
    Ok(layout.refuse(records, column, &expected(first)))
}

/// The first row whose time another row of its sequence has before it, and that one.
fn twice(times: &PackedTexts, of: &[u32]) -> Option<(usize, usize)> {
    let mut rows: Vec<u32> = (0..of.len() as u32).collect();
    let key = |row: u32| (of[row as usize], times.text(row as usize), row);
    rows.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)));
    let same = |a: u32, b: u32| (key(a).0, key(a).1) == (key(b).0, key(b).1);
    let pairs = rows.windows(2).filter(|pair| same(pair[0], pair[1]));
    pairs.map(|pair| (pair[0] as usize, pair[1] as usize)).min_by_key(|(_, second)| *second)
}

/// Two rows of one sequence that have the same time.
type SameTime = (usize, usize);

/// The rows of each sequence in the order of time, one sequence after the other; they are at `places` in that of the file.
fn sorted(
    places: &[u32],
    lengths: &[u32],
    times: &PackedTexts,
    reader: LabelReader,
) -> Result<Result<Vec<u32>, SameTime>> {
    let mut rows: Vec<u32> = allocate::zeros(places.len(), "the rows")?;
    (0..).zip(places).for_each(|(row, place)| rows[*place as usize] = row);
    let key = |row: &u32| reader.key(times.text(*row as usize));
    let mut begin = 0;
    for length in lengths {
        let of_sequence = &mut rows[begin..begin + *length as usize];
        of_sequence.sort_by_cached_key(key);
        if let Some(pair) = of_sequence.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            return Ok(Err((pair[0] as usize, pair[1] as usize)));
        }
        begin += *length as usize;
    }
    Ok(Ok(rows))
}

/// The rows in order.
struct OrderedRows {
    /// The step that each is, counted through all sequences.
    places: Vec<u32>,
    lengths: Vec<u32>,
    ids: PackedTexts,
    classes: DistinctNames,
    notes: Vec<String>,
    dates: Option<DateOrder>,
}

impl OrderedRows {
    /// The numbers of the rows, in their places.
    fn numbers(&self, records: &mut Records<'_>, layout: &ColumnLayout<'_>) -> Result<PackedSequences> {
        let lengths = || self.lengths.iter().map(|length| *length as usize);
        let mut sequences = PackedSequences::zeros(layout.dimensions.len(), lengths())?;
        records.rewind()?;
        let mut gaps = false;
        for place in &self.places {
            records.read()?;
            for (i, column) in layout.dimensions.iter().enumerate() {
                let number = layout.number(records, *column)?;
                gaps |= number.is_nan();
                sequences.set(*place as usize, i, number)?;
            }
        }
        let mut begin = 0;
        for (sequence, length) in lengths().enumerate().filter(|_| gaps) {
            for (i, column) in layout.dimensions.iter().enumerate() {
                let mut last = None;
                for t in 0..length {
                    let mut number = sequences.get(sequence, t, i).unwrap_or(f64::NAN);
                    if number.is_nan() {
                        number = layout.missing.stand_in(last).map_err(|expected| {
                            let row = self.places.iter().position(|place| *place as usize == begin + t);
                            let place = match place(records, row.unwrap_or(0)) {
                                Ok(place) => format!(", {place}, column {}", quoted(&layout.names[*column])),
                                Err(error) => return error,
                            };
                            Error::data(layout.path, place, format!("expected {expected}, got a missing value"))
                        })?;
                        sequences.set(begin + t, i, number)?;
                    }
                    last = Some(number);
                }
            }
            begin += length;
        }
        Ok(sequences)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::common::batching::shuffle;
    use crate::data::corruption::{below, number, rng, survives};

    fn read(text: &str) -> Result<LabelledSequences, String> {
        let labelled = LabelledSequences::from_long(
            text.as_bytes(),
            Path::new("a.csv"),
            &LongColumns::default(),
            MissingPolicy::Refuse,
        );
        labelled.map_err(|error| error.to_string())
    }

    /// RowIndex in any order, but for the first of each sequence, whose ids come in the order of the sequences.
    fn draw(rng: &mut ChaCha8Rng) -> (LabelledSequences, String) {
        let (n, dimensions) = (1 + below(5, rng), 1 + below(3, rng));
        let (mut sequences, mut classes, mut first, mut rest) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        for id in 0..n {
            let steps = Array2::from_shape_simple_fn((1 + below(6, rng), dimensions), || number(rng));
            let class = ["left", "right, or \"so\""][below(2, rng)];
            let quoted = format!("\"{}\"", class.replace('"', "\"\""));
            for (t, step) in steps.rows().into_iter().enumerate() {
                let numbers: String = step.iter().map(|number| format!(",{number}")).collect();
                let row = format!("{},s{id},{quoted}{numbers}\n", t as f64 * 2.5 - 5.0);
                if t == 0 { first += &row } else { rest.push(row) }
            }
            sequences.push(steps);
            classes.push(class);
        }
        shuffle(&mut rest, rng);
        let names: String = (0..dimensions).map(|i| format!(",x{i}")).collect();
        let text = format!("time,id,label{names}\n{first}{}", rest.concat());
        let ids = (0..n).map(|id| format!("s{id}")).collect();
        let dimensions = (0..dimensions).map(|i| format!("x{i}")).collect();
        let labelled = LabelledSequences::new(SequenceInputs::wide(sequences), Labels::from_names(&classes));
        (LabelledSequences { ids, dimensions, ..labelled }, text)
    }

    #[test]
    fn what_was_written_is_read() {
        let mut rng = rng(0);
        for _ in 0..500 {
            let (labelled, text) = draw(&mut rng);
            let read = read(&text).map(|read| LabelledSequences { decimal: None, ..read });
            assert_eq!(read, Ok(labelled));
        }
    }

    #[test]
    fn no_damage_panics() {
        let columns = LongColumns::default();
        let parse =
            |bytes: &[u8]| LabelledSequences::from_long(bytes, Path::new("a.csv"), &columns, MissingPolicy::Forward);
        survives(|rng| draw(rng).1.into_bytes(), parse);
    }

    #[test]
    fn times_are_numbers_or_dates_or_the_order_of_the_file_and_never_text() {
        let sorted = |times: &[&str]| -> Result<(Vec<f64>, Vec<String>), String> {
            let rows: String = times.iter().zip(1..).map(|(time, v)| format!("a,\"{time}\",k,{v}\n")).collect();
            let labelled = read(&format!("id,time,label,v\n{rows}"))?;
            Ok((labelled.input.values(&[0], 0).collect::<Vec<_>>(), labelled.notes))
        };
        let unnoted =
            |times: &[&str], order: &[f64]| assert_eq!(sorted(times), Ok((order.to_vec(), vec![])), "{times:?}");
        unnoted(&["10", "9", "1e0"], &[3.0, 2.0, 1.0]);
        unnoted(&["2024-02-01", "2024-01-31"], &[2.0, 1.0]);
        unnoted(&["10:00", "9:00", "9:30:00.5"], &[2.0, 3.0, 1.0]);
        unnoted(&["5 Mar 2021", "28 Feb 2021"], &[2.0, 1.0]);
        unnoted(&["2021-01-01T01:00:00+02:00", "2021-01-01T00:30:00+01:00", "2020-12-31T23:15:00Z"], &[1.0, 3.0, 2.0]);
        let noted = |times: &[&str], order: &[f64], note: &str| {
            let (got, notes) = sorted(times).unwrap();
            assert!(got == order && notes.len() == 1 && notes[0].contains(note), "{got:?} {notes:?}");
        };
        noted(&["t1", "t10", "t11", "t2"], &[1.0, 4.0, 2.0, 3.0], "the same words around them, as in \"t1\"");
        noted(&["13/1/2021", "1/2/2021"], &[1.0, 2.0], "day first");
        // A decimal comma is none between words and a number.
        unnoted(&["0,1", "0,15", "0,05", "1"], &[3.0, 1.0, 2.0, 4.0]);
        let (days, notes) = sorted(&["31012024", "01022024"]).unwrap();
        assert!(days == [1.0, 2.0] && notes[0].contains("day first"), "{days:?} {notes:?}");
        noted(&["t-3", "t-2", "t-1"], &[1.0, 2.0, 3.0], "from \"t-3\" to \"t-1\"");
        noted(&["2/1/2021", "1/14/2021"], &[2.0, 1.0], "month first");
        // The order of the file is that of time in one reading alone.
        noted(
            &["1/3/2021", "2/3/2021", "1/4/2021"],
            &[1.0, 2.0, 3.0],
            "day first, the only way in which the rows ascend",
        );
        noted(&["start", "middle", "end"], &[1.0, 2.0, 3.0], "in the order of the file: times of column \"time\"");
        let refused = |times: &[&str], part: &str| {
            let error = sorted(times).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused(
            &["1", "2", "NaN", "4", "x"],
            "row 3 (line 4), column \"time\": expected a number like \"1\", got \"NaN\"",
        );
        refused(&["2024-02-01", "2024-01-31", "Total"], "row 3 (line 4), column \"time\": expected a date like");
        noted(&["1/1/2021", "2/2/2021"], &[1.0, 2.0], "day first, and in any other order they would come in the same");
        refused(
            &["2/1/2021", "1/2/2021", "1/1/2021"],
            "day-first or month-first, got \"2/1/2021\", which is 2 January 2021 day first",
        );
        refused(&["start", "middle", "start"], "row 3 (line 4), column \"time\": expected a time of its own");
        refused(&["t1", "t01"], "a time of its own, got \"t01\" as in row 1 (line 2)");
    }

    #[test]
    fn times_count_back_where_they_do_in_each_sequence() {
        let text = "id,time,label,v\na,t-2,k,1\na,t-1,k,2\nb,t-2,k,3\nb,t-1,k,4\n";
        assert_eq!(read(text).unwrap().input.values(&[0, 1], 0).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn the_order_of_day_and_month_can_be_told() {
        let text = "id,time,label,v\na,2/1/2021,k,1\na,1/2/2021,k,2\n";
        let values = |dates| {
            let columns = LongColumns { dates: Some(dates), ..LongColumns::default() };
            let read =
                LabelledSequences::from_long(text.as_bytes(), Path::new("a.csv"), &columns, MissingPolicy::Refuse)
                    .unwrap();
            read.input.values(&[0], 0).collect::<Vec<_>>()
        };
        assert_eq!(values(DateOrder::DayFirst), [1.0, 2.0]);
        assert_eq!(values(DateOrder::MonthFirst), [2.0, 1.0]);
    }

    #[test]
    fn columns_go_by_the_names_that_are_told() {
        let columns = LongColumns { id: "who".into(), time: "t".into(), label: None, decimal: None, dates: None };
        let text = "\u{feff}w, who ,t,v\r\n7,a,0,1\r\n8,a,1,2\r\n";
        let read = |columns: &LongColumns| {
            LabelledSequences::from_long(text.as_bytes(), Path::new("a.csv"), columns, MissingPolicy::Refuse)
        };
        let sequences = vec![array![[7.0, 1.0], [8.0, 2.0]]];
        let (ids, dimensions) = (vec!["a".into()], vec!["w".into(), "v".into()]);
        let labelled = LabelledSequences {
            ids,
            dimensions,
            ..LabelledSequences::new(SequenceInputs::wide(sequences), Labels::None)
        };
        assert_eq!(read(&columns).unwrap(), labelled);
        let columns = LongColumns { label: Some("kind".into()), ..columns };
        assert!(read(&columns).unwrap_err().to_string().contains("expected a column \"kind\" of labels"));
    }

    #[test]
    fn missing_numbers_are_filled_in_the_order_of_time() {
        let text = "id,time,label,v\na,3,k,\na,2,k,NaN\na,1,k,7\nb,1,k,?\n";
        let read = |missing| {
            let text = text.as_bytes();
            let read = LabelledSequences::from_long(text, Path::new("a.csv"), &LongColumns::default(), missing);
            read.map_err(|error| error.to_string())
        };
        assert_eq!(
            read(MissingPolicy::Forward).unwrap_err(),
            "a.csv, row 4 (line 5), column \"v\": expected a first number to fill forward from, got a missing value"
        );
        let masked = read(MissingPolicy::Mask).unwrap().input;
        assert_eq!(masked.values(&[0, 1], 0).map(f64::is_nan).collect::<Vec<_>>(), [false, true, true, true]);
        let text = text.replace('?', "1");
        let columns = LongColumns::default();
        let filled =
            LabelledSequences::from_long(text.as_bytes(), Path::new("a.csv"), &columns, MissingPolicy::Forward)
                .unwrap();
        assert_eq!(filled.input.values(&[0], 0).collect::<Vec<_>>(), [7.0, 7.0, 7.0]);
    }

    #[test]
    fn bad_columns_are_named() {
        let error = |text: &str| read(text).unwrap_err();
        assert!(error("").contains("got an empty file"));
        assert_eq!(error("id,time,label,v\n"), "a.csv: expected rows below the column names, got none");
        assert_eq!(error("time,label,v\n"), "a.csv: expected a column \"id\" of ids, got the columns time, label, v");
        assert!(error("id,label,v\n").contains("expected a column \"time\" of times"));
        assert!(error("id,time,label\n").contains("at least one column of numbers"));
        let twice = error("id,v,time,label,v\n");
        assert_eq!(twice, "a.csv: expected one column \"v\", got two, the fields 2 and 5");
    }

    #[test]
    fn bad_rows_are_named() {
        let error = |rows: &str| read(&format!("id,time,label,v\na,0,k,1\n{rows}")).unwrap_err();
        assert!(error("a,1,k,2,3\n").starts_with("a.csv, row 2 (line 3): expected 4 fields, got 5; the separator is"));
        assert!(error("a,1,k\n").starts_with("a.csv, row 2 (line 3): expected 4 fields, got 3; the separator is"));
        let cell = "a.csv, row 2 (line 4), column \"v\": expected a finite number, got";
        assert_eq!(error("\na,1,k,x\n"), format!("{cell} \"x\""));
        assert_eq!(error("\r\na,1,k,x\r\n"), format!("{cell} \"x\""));
        assert_eq!(error("\na,1,k,\n"), format!("{cell} a missing value"));
        assert_eq!(error("\na,1,k,NaN\n"), format!("{cell} \"NaN\""));
        assert_eq!(error("\na,1,k,-inf\n"), format!("{cell} \"-inf\""));
        assert!(error(",1,k,1\n").contains("column \"id\": expected the id of a sequence, got a missing value"));
        assert!(error("a,,k,1\n").contains("column \"time\": expected a time, got a missing value"));
        assert!(error("a,1,,1\n").contains("column \"label\": expected a label, got a missing value"));
        let open = "a.csv, row 2 (line 3): expected a closing quotation mark, got the end of the file";
        assert_eq!(error("a,1,k,\"1\n"), open);
        let long = "x".repeat(10_000_000);
        assert!(error(&format!("a,1,k,{long}\n")).len() < 300);
        assert!(error(&long).contains("row 2 (line 3): expected 4 fields, got 1"));
        let bytes = b"id,time,label,v\na,0,k,\xff\n";
        let columns = LongColumns::default();
        let encoding =
            LabelledSequences::from_long(bytes, Path::new("a.csv"), &columns, MissingPolicy::Refuse).unwrap_err();
        let place = "a.csv, line 2, byte offset 22: expected UTF-8 text, got the byte 0xFF;";
        assert!(encoding.to_string().starts_with(place), "{encoding}");
    }

    #[test]
    fn an_id_and_a_label_that_are_numbers_are_the_same_however_they_are_written() {
        let labelled = read("id,time,label,v\n3,0,1,1\n3.0,1,1.0,2\n4,0,2.0,3\n+3,2,1,4\n").unwrap();
        assert_eq!(labelled.ids, ["3", "4"]);
        assert_eq!(labelled.labels, Labels::from_names(&["1", "2"]));
        assert_eq!(labelled.input.values(&[0], 0).collect::<Vec<_>>(), [1.0, 2.0, 4.0]);
        let comma = read("id;time;label;v\n3;0;0,5;1,5\n4;0;2,0;2,5\n5;0;2;2,25\n").unwrap();
        assert_eq!(comma.labels, Labels::from_names(&["0.5", "2", "2"]));
        // Codes are names; beside the number that they look like they are asked about.
        assert_eq!(read("id,time,label,v\n03,0,k,1\n04,0,k,2\n").unwrap().ids, ["03", "04"]);
        let both = read("id,time,label,v\n03,0,k,1\n3,1,k,2\n").unwrap_err();
        let expected = "expected one way of writing a number, as \"03\" in row 1 (line 2), got \"3\"";
        assert_eq!(both, format!("a.csv, row 2 (line 3), column \"id\": {expected}"));
    }

    #[test]
    fn labels_tell_of_the_decimal_mark_as_all_numbers_do() {
        let reader = "expected numbers that tell their decimal mark, got";
        for (text, part) in [
            ("id;time;x;label\na;0;1;1,100\nb;0;2;2,137\n", format!("{reader} \"1,100\" (line 2)")),
            ("id,time,x,label\na,0,1,\"1,100\"\n", format!("{reader} \"1,100\" (line 2)")),
            ("id;time;x;label\na;0;1;1.100\n", format!("{reader} \"1.100\" (line 2)")),
            ("id;time;x;label\na;0;1.5;0,5\n", "got \"1.5\" (line 2) and \"0,5\" (line 2)".into()),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(&part) && error.contains("--decimal ,"), "{error}");
        }
        let read = read("id;time;x;label\na;0;1;0,5\nb;0;2;1,5\nc;0;3;word, two\n").unwrap();
        assert_eq!(read.labels, Labels::from_names(&["0.5", "1.5", "word, two"]));
        assert_eq!(read.decimal, Some(DecimalMark::Comma));
    }

    #[test]
    fn rows_that_contradict_each_other_are_both_named() {
        let error = |rows: &str| read(&format!("id,time,label,v\na,0,k,1\nb,0,j,1\n{rows}")).unwrap_err();
        let label =
            "a.csv, row 3 (line 4), column \"label\": expected \"k\", as in row 1 (line 2) of the same id, got \"j\"";
        assert_eq!(error("a,1,j,2\n"), label);
        let time = "a.csv, row 3 (line 4), column \"time\": expected a time of its own";
        let time = format!("{time}, got \"0.0\" as in row 1 (line 2) of the same id");
        assert_eq!(error("a,0.0,k,2\n"), time);
    }
}
