//! Labelled sequences from comma-separated text in long form: one row per step of each sequence.
//!
//! The text is read twice: once for the sequence and the time of each row, and once for its numbers, which go to their
//! final places. In between a row needs only a few bytes.

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
use crate::data::values::number::is_missing;
use crate::data::values::numeric_name::{canonical, value};
use crate::data::{
    DateOrder, DecimalMark, InputLimit, LabelledSequences, Labels, LabelsPer, MissingPolicy, PackedSequences,
    SequenceInputs,
};
use crate::error::{Error, Result};

/// The columns of a long-form file; all others are dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongColumns {
    /// The column of the sequence's id.
    pub id: String,
    /// The column that orders the steps.
    pub time: String,
    /// The label column, constant within a sequence unless each step has a label; `None`: the column `label` if it exists, otherwise sequences
    /// without labels.
    pub label: Option<String>,
    /// The decimal mark; `None`: detected, see [`SeriesTable::from_csv`](crate::data::SeriesTable::from_csv).
    pub decimal: Option<DecimalMark>,
    /// The order of dates such as `5/3/2021`; `None`: detected from the times.
    pub dates: Option<DateOrder>,
}

impl Default for LongColumns {
    /// `id`, `time`, and `label` if it exists.
    fn default() -> Self {
        Self { id: "id".into(), time: "time".into(), label: None, decimal: None, dates: None }
    }
}

impl LabelledSequences {
    /// Reads comma-separated text with a header. Sequences are in the order of their first rows; the rows of each are
    /// ordered by time: numbers, also between constant words (`t1`, `t10`), or dates and times of day as
    /// [`Series::new`](crate::data::Series::new) reads them. If no time in the file is one of these, rows keep their
    /// order. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the header, the line and the column: a missing or duplicate
    /// column, a row with another number of fields, a cell that is not a finite number, a time unlike the others or
    /// ambiguous, two rows of one id with the same time or different labels. An empty field, `?`, `.`, `NaN`, `NA`,
    /// `N/A`, `null`, `none` and the like, in any case of letters, is a missing value.
    pub fn from_long(bytes: &[u8], path: &Path, columns: &LongColumns, missing: MissingPolicy) -> Result<Self> {
        Self::long_within(bytes, path, columns, missing, LabelsPer::Sequence, InputLimit::default())
    }

    /// Like [`from_long`](Self::from_long), with a memory limit. If each step has a label, it may be missing.
    pub(in crate::data) fn long_within(
        bytes: &[u8],
        path: &Path,
        columns: &LongColumns,
        missing: MissingPolicy,
        labels_per: LabelsPer,
        limit: InputLimit,
    ) -> Result<Self> {
        let mut records = Records::open(bytes, path)?;
        let mut layout = ColumnLayout::new(&records, columns, path, (missing, labels_per))?;
        // Numeric labels have the decimal mark of the other numbers.
        let numbers: Vec<usize> = layout.dimensions.iter().copied().chain(layout.label).collect();
        records.decide(&numbers, columns.decimal)?;
        layout.mark = records.mark();
        let mut rows = RowIndex::new(MemoryUse::new(limit, path, IN_MEMORY));
        while records.read()? {
            rows.take(&layout, &records)?;
        }
        let ordered = rows.order(&mut records, &layout, columns.dates)?;
        let sequences = ordered.numbers(&mut records, &layout)?;
        let OrderedRows { ids, places, mut classes, notes, dates, .. } = ordered;
        if labels_per == LabelsPer::Step {
            classes.arrange(&places)?;
        }
        let ids = ids.iter().map(str::to_owned).collect();
        let labels = layout.label.map_or(Labels::None, |_| Labels::from_distinct(classes));
        let dimensions = layout.dimensions.iter().map(|column| layout.names[*column].clone()).collect();
        let mut labelled = Self { ids, dimensions, notes, dates, ..Self::new(SequenceInputs::Wide(sequences), labels) };
        labelled.labels_per = labels_per;
        labelled.decimal = records.known_mark();
        labelled.notes.extend(records.into_notes());
        Ok(labelled)
    }
}

/// The columns, and how their cells are read.
struct ColumnLayout<'a> {
    path: &'a Path,
    missing: MissingPolicy,
    labels_per: LabelsPer,
    mark: DecimalMark,
    names: Vec<String>,
    id: usize,
    time: usize,
    label: Option<usize>,
    dimensions: Vec<usize>,
}

impl<'a> ColumnLayout<'a> {
    fn new(
        records: &Records<'_>,
        columns: &LongColumns,
        path: &'a Path,
        (missing, labels_per): (MissingPolicy, LabelsPer),
    ) -> Result<Self> {
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
        Ok(Self { path, missing, labels_per, mark: DecimalMark::Point, names, id, time, label, dimensions })
    }

    fn error(&self, records: &Records<'_>, column: usize, message: String) -> Error {
        let place = format!("{}, column {}", records.place(), quoted(&self.names[column]));
        Error::data(self.path, place, message)
    }

    /// The error that a cell of the current record is not as `expected`.
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

    /// The label of the current record, a number with a decimal point; `None` if it is missing.
    fn label(&self, records: &Records<'_>) -> Result<Option<String>> {
        let label = match self.label {
            None => "",
            Some(column) if self.labels_per == LabelsPer::Step && is_missing(records.field(column)) => return Ok(None),
            Some(column) => self.word(records, column, "a label")?,
        };
        Ok(Some(canonical(&self.mark.plain(label).map_or(label.into(), |plain| plain.text)).into_owned()))
    }

    /// The number in a cell of the current record; NaN if missing: it is filled once the rows are in order.
    fn number(&self, records: &Records<'_>, column: usize) -> Result<f64> {
        match self.mark.number(records.field(column)) {
            Ok(Some(number)) => Ok(number),
            Ok(None) if self.missing != MissingPolicy::Refuse => Ok(f64::NAN),
            Ok(None) => Err(self.refuse(records, column, "a finite number")),
            Err((expected, got)) => Err(self.error(records, column, format!("expected {expected}, got {got}"))),
        }
    }
}

/// `row 2 (line 3)`, for a row counted from 0.
pub(super) fn place(records: &mut Records<'_>, row: usize) -> Result<String> {
    records.rewind()?;
    for _ in 0..=row {
        records.read()?;
    }
    let (row, line) = records.position();
    Ok(format!("row {row} (line {line})"))
}

/// What was read of the rows.
struct RowIndex<'a> {
    memory: MemoryUse<'a>,
    /// The time of each.
    times: PackedTexts,
    /// The sequence of each.
    of: Vec<u32>,
    /// By sequence: its id, its first row and its number of rows.
    ids: PackedTexts,
    firsts: Vec<u32>,
    lengths: Vec<u32>,
    /// By sequence, or by row if each step has a label.
    classes: DistinctNames,
    /// The first word that was read as a missing label.
    no_label: Option<String>,
    /// The sequences by a hash of the value of their ids: `3.0` equals `3`.
    index: HashMap<u64, u32>,
    hasher: RandomState,
}

/// Maximum number of rows: counters have four bytes.
const ROWS: usize = u32::MAX as usize;

/// The memory of a sequence besides its numbers and its id: its end, its class, and the name.
const OF_SEQUENCE: usize = size_of::<usize>() + size_of::<u32>() + size_of::<String>();

impl<'a> RowIndex<'a> {
    fn new(memory: MemoryUse<'a>) -> Self {
        let (times, of, ids, firsts, lengths, classes, no_label, index) = Default::default();
        Self { memory, times, of, ids, firsts, lengths, classes, no_label, index, hasher: RandomState::new() }
    }

    /// Adds the current record.
    fn take(&mut self, layout: &ColumnLayout<'_>, records: &Records<'_>) -> Result<()> {
        let id = layout.word(records, layout.id, "the id of a sequence")?;
        let time = layout.word(records, layout.time, "a time")?;
        let class = layout.label(records)?;
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
                if let (Some(column), Some(class), LabelsPer::Sequence) = (layout.label, &class, layout.labels_per)
                    && !self.classes.has(group as usize, class)
                {
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
                if layout.labels_per == LabelsPer::Sequence {
                    self.classes.push(class.as_deref().unwrap_or_default())?;
                }
                group
            }
        };
        if let (Some(column), LabelsPer::Step) = (layout.label, layout.labels_per) {
            self.memory.add(size_of::<u32>())?;
            match class {
                Some(class) => self.classes.push(&class)?,
                None => {
                    let word = Some(records.field(column)).filter(|word| !word.is_empty() && self.no_label.is_none());
                    self.no_label = word.map(str::to_owned).or(self.no_label.take());
                    self.classes.push_missing()?;
                }
            }
        }
        allocate::push(&mut self.of, group, "the rows of sequences")?;
        self.times.push(time)?;
        Ok(())
    }

    /// The sequence of an id, and its hash. If two ids have the same hash, the later one gets the next.
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
        let Self { times, of, ids, lengths, classes, no_label, index, .. } = self;
        drop(index);
        if of.is_empty() {
            return Err(Error::data(layout.path, "", "expected rows below the column names, got none"));
        }
        let name = &layout.names[layout.time];
        let mut same_time = |first: usize, second: usize| {
            let first = place(records, first)?;
            let column = format!(", {}, column {}", place(records, second)?, quoted(name));
            let got = format!("{} as in {first} of the same id", quoted(times.text(second)));
            Err(Error::data(layout.path, column, format!("expected a different time for each step, got {got}")))
        };
        let groups = RowGroups { sequence_of: Some(&of) };
        let (reader, mut notes, dates) = match time_column::find(&times, dates, groups) {
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
                    "steps are in the order of the file: times of column {} are neither numbers nor dates, such as {such}",
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
        let no_label = no_label.map(|word| format!("labels such as {} are read as missing", quoted(&word)));
        notes.extend(no_label);
        Ok(OrderedRows { places, lengths, ids, classes, notes, dates })
    }
}

/// The error that a cell of the current record contradicts an earlier row, whose place is passed to `expected`.
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

/// The rows of each sequence in the order of time, one sequence after the other; they are at `places` in that of the
/// file.
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
    /// The step of each, counted through all sequences.
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
mod tests;
