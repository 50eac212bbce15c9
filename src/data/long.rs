//! Labelled sequences from comma-separated text in long form: a row for each step of each sequence.

use std::collections::{HashMap, HashSet};
use std::fmt::{Display, Formatter};
use std::ops::Range;
use std::path::Path;

use ndarray::Array2;

use super::cells::{is_missing, number};
use super::encoding::quoted;
use super::names::{canonical, value};
use super::records::Records;
use super::times::{self, Purpose};
use super::{DateOrder, DecimalMark, Labelled, Labels, Missing, Steps};
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
    /// How its numbers are written; `None`: as they show, see [`Table::from_csv`](super::Table::from_csv).
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

/// A row, counted from 1 below the names, and the line that it begins in.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    line: usize,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {} (line {})", self.row, self.line)
    }
}

/// A sequence as it is found.
struct Group {
    id: String,
    class: String,
    /// Where the class was first told.
    place: Place,
    steps: Vec<Step>,
    /// Of one step after the other, as they stand in the file.
    numbers: Vec<f64>,
}

/// A row of a sequence. What it holds lies with that of others, for there may be many of a few bytes each.
struct Step {
    /// Where its time is among all.
    time: Range<usize>,
    /// Higher is later.
    key: i128,
    place: Place,
    /// Which of its sequence's rows it is in the file.
    row: usize,
}

impl Labelled {
    /// Reads comma-separated text whose first line names the columns. Sequences are in the order in which their ids
    /// come first; their rows are ordered by time: numbers, also with the same words around them all (`t1`, `t10`), or dates
    /// and times of day as [`Series::new`](super::Series::new) reads them. Where none of the file's times is such, rows are
    /// in the order of the file. `path` is what errors name.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the names, the line and the column: a column that is missing
    /// or there twice, a row of more or fewer fields, a cell that is no finite number, a time that is not as the others are
    /// or that can be read in two ways, two rows of one id with the same time or with different labels. A field that is
    /// empty, `?`, `.`, `NaN`, `NA`, `N/A`, `null`, `none` or the like, in any case of letters, is a missing value.
    pub fn from_long(bytes: &[u8], path: &Path, columns: &LongColumns, missing: Missing) -> Result<Self> {
        let mut records = Records::open(bytes, path)?;
        let mut table = Table::new(&records, columns, path, missing)?;
        // Labels that are numbers are written as the others are.
        let numbers: Vec<usize> = table.dimensions.iter().copied().chain(table.label).collect();
        records.decide(&numbers, columns.decimal)?;
        table.mark = records.mark();
        while records.read()? {
            let (row, line) = records.position();
            table.take(records.record(), Place { row, line })?;
        }
        let mut labelled = table.finish()?;
        labelled.decimal = records.known_mark();
        labelled.notes.extend(records.into_notes());
        Ok(labelled)
    }
}

/// What was read so far.
struct Table<'a> {
    path: &'a Path,
    missing: Missing,
    mark: DecimalMark,
    dates: Option<DateOrder>,
    names: Vec<String>,
    id: usize,
    time: usize,
    label: Option<usize>,
    dimensions: Vec<usize>,
    /// The times of all rows, one after the other.
    times: String,
    groups: Vec<Group>,
    /// The group of an id, by its value: `3.0` is `3`.
    index: HashMap<String, usize>,
}

impl<'a> Table<'a> {
    fn new(records: &Records<'_>, columns: &LongColumns, path: &'a Path, missing: Missing) -> Result<Self> {
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
        let (groups, index) = (Vec::new(), HashMap::new());
        let (mark, dates) = (DecimalMark::Point, columns.dates);
        Ok(Self { path, missing, mark, dates, names, id, time, label, dimensions, times: String::new(), groups, index })
    }

    fn is_missing(&self, cell: &str) -> bool {
        self.missing != Missing::Refuse && is_missing(cell)
    }

    fn take(&mut self, record: &csv::StringRecord, place: Place) -> Result<()> {
        let cell = |column: usize| record[column].trim();
        let refuse = |column: usize, expected: &str| {
            let got = if cell(column).is_empty() { "a missing value".into() } else { quoted(cell(column)) };
            let place = format!(", {place}, column {}", quoted(&self.names[column]));
            Error::data(self.path, place, format!("expected {expected}, got {got}"))
        };
        let word = |column: usize, what: &str| match cell(column) {
            "" => Err(refuse(column, what)),
            word => Ok(word),
        };
        let (id, time) = (word(self.id, "the id of a sequence")?, word(self.time, "a time")?);
        let class = self.label.map_or(Ok(""), |label| word(label, "a label"))?;
        let class = canonical(&self.mark.plain(class).map_or(class.into(), |plain| plain.text)).into_owned();
        let number = |column: &usize| match self.mark.plain(cell(*column)) {
            Some(plain) => number(&plain.text).map_err(|expected| refuse(*column, expected)),
            // What stands in its place is known once the rows are in order.
            None if self.is_missing(cell(*column)) => Ok(f64::NAN),
            None if is_missing(cell(*column)) => Err(refuse(*column, "a finite number")),
            None => {
                let place = format!(", {place}, column {}", quoted(&self.names[*column]));
                let (expected, got) = self.mark.refusal(cell(*column));
                Err(Error::data(self.path, place, format!("expected {expected}, got {got}")))
            }
        };
        let numbers = self.dimensions.iter().map(number).collect::<Result<Vec<f64>>>()?;
        let begin = self.times.len();
        self.times.push_str(time);
        let step = |row| Step { time: begin..begin + time.len(), key: 0, place, row };
        match self.index.get(&*value(id)) {
            Some(group) => {
                let group = &mut self.groups[*group];
                if canonical(&group.id) != canonical(id) {
                    let expected = format!("one way of writing a number, as {} in {}", quoted(&group.id), group.place);
                    return Err(refuse(self.id, &expected));
                }
                if let (Some(column), true) = (self.label, group.class != class) {
                    let expected = format!("{}, as in {} of the same id", quoted(&group.class), group.place);
                    return Err(refuse(column, &expected));
                }
                group.steps.push(step(group.steps.len()));
                group.numbers.extend(numbers);
            }
            None => {
                self.index.insert(value(id).into_owned(), self.groups.len());
                self.groups.push(Group { id: id.to_owned(), class, place, steps: vec![step(0)], numbers });
            }
        }
        Ok(())
    }

    /// Gives every step its key, and tells what was decided, and the order of day and month where that counts.
    fn read_times(&mut self) -> Result<(Vec<String>, Option<DateOrder>)> {
        let name = &self.names[self.time];
        let mut steps: Vec<(usize, &mut Step)> = self
            .groups
            .iter_mut()
            .enumerate()
            .flat_map(|(group, of)| of.steps.iter_mut().map(move |step| (group, step)))
            .collect();
        steps.sort_by_key(|(_, step)| step.place.row);
        let groups: Vec<usize> = steps.iter().map(|(group, _)| *group).collect();
        let labels: Vec<&str> = steps.iter().map(|(_, step)| &self.times[step.time.clone()]).collect();
        let place = |row: usize| format!(", {}, column {}", steps[row].1.place, quoted(name));
        match times::read(&labels, self.dates, Purpose::Order { of: &groups }) {
            Ok(times) => {
                let read = (times.notes(&labels, name), times.decisive_order());
                steps.iter_mut().zip(times.keys).for_each(|((_, step), key)| step.key = key);
                Ok(read)
            }
            Err(trouble) => {
                if let Some((row, expected, got)) = trouble.words(&labels, self.dates) {
                    return Err(Error::data(self.path, place(row), format!("expected {expected}, got {got}")));
                }
                let mut seen = HashSet::new();
                if let Some(row) = (0..steps.len()).find(|row| !seen.insert((groups[*row], labels[*row]))) {
                    let first = (0..row).find(|first| (groups[*first], labels[*first]) == (groups[row], labels[row]));
                    let first = first.unwrap_or(row);
                    return Err(same_time(self.path, name, &self.times, steps[first].1, steps[row].1));
                }
                let such = quoted(labels[0]);
                let note = format!(
                    "steps are in the order of the file: times of column {} are no numbers or dates, such as {such}",
                    quoted(name)
                );
                for (row, (_, step)) in steps.iter_mut().enumerate() {
                    step.key = row as i128;
                }
                Ok((vec![note], None))
            }
        }
    }

    fn finish(mut self) -> Result<Labelled> {
        if self.groups.is_empty() {
            return Err(Error::data(self.path, "", "expected rows below the column names, got none"));
        }
        let (notes, dates) = self.read_times()?;
        let count = self.dimensions.len();
        for group in &mut self.groups {
            group.steps.sort_by_key(|step| step.key);
        }
        let twice = self.groups.iter().find_map(|group| group.steps.windows(2).find(|pair| pair[0].key == pair[1].key));
        if let Some([a, b]) = twice {
            return Err(same_time(self.path, &self.names[self.time], &self.times, a, b));
        }
        for Group { steps, numbers, .. } in &mut self.groups {
            for (i, column) in self.dimensions.iter().enumerate() {
                let mut last = None;
                for Step { place, row, .. } in &*steps {
                    let number = &mut numbers[row * count + i];
                    if number.is_nan() {
                        *number = self.missing.stand_in(last).map_err(|expected| {
                            let place = format!(", {place}, column {}", quoted(&self.names[*column]));
                            Error::data(self.path, place, format!("expected {expected}, got a missing value"))
                        })?;
                    }
                    last = Some(*number);
                }
            }
        }
        let labels = match self.label {
            Some(_) => Labels::from_names(&self.groups.iter().map(|group| &group.class).collect::<Vec<_>>()),
            None => Labels::None,
        };
        let dimensions: Vec<String> = self.dimensions.iter().map(|column| self.names[*column].clone()).collect();
        let sequence = |Group { id, steps, numbers, .. }: Group| {
            (id, Array2::from_shape_fn((steps.len(), count), |(t, i)| numbers[steps[t].row * count + i]))
        };
        let (ids, sequences) = self.groups.into_iter().map(sequence).unzip();
        Ok(Labelled { ids, dimensions, notes, dates, ..Labelled::new(Steps::Wide(sequences), labels) })
    }
}

fn same_time(path: &Path, column: &str, times: &str, first: &Step, second: &Step) -> Error {
    let place = format!(", {}, column {}", second.place, quoted(column));
    let got = format!("{} as in {} of the same id", quoted(&times[second.time.clone()]), first.place);
    Error::data(path, place, format!("expected a time of its own, got {got}"))
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand_chacha::ChaCha8Rng;

    use super::super::damage::{below, number, rng, survives};
    use super::super::order::shuffle;
    use super::*;

    fn read(text: &str) -> Result<Labelled, String> {
        let labelled =
            Labelled::from_long(text.as_bytes(), Path::new("a.csv"), &LongColumns::default(), Missing::Refuse);
        labelled.map_err(|error| error.to_string())
    }

    /// Rows in any order, but for the first of each sequence, whose ids come in the order of the sequences.
    fn draw(rng: &mut ChaCha8Rng) -> (Labelled, String) {
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
        let labelled = Labelled::new(Steps::Wide(sequences), Labels::from_names(&classes));
        (Labelled { ids, dimensions, ..labelled }, text)
    }

    #[test]
    fn what_was_written_is_read() {
        let mut rng = rng(0);
        for _ in 0..500 {
            let (labelled, text) = draw(&mut rng);
            let read = read(&text).map(|read| Labelled { decimal: None, ..read });
            assert_eq!(read, Ok(labelled));
        }
    }

    #[test]
    fn no_damage_panics() {
        let columns = LongColumns::default();
        let parse = |bytes: &[u8]| Labelled::from_long(bytes, Path::new("a.csv"), &columns, Missing::Forward);
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
            let read = Labelled::from_long(text.as_bytes(), Path::new("a.csv"), &columns, Missing::Refuse).unwrap();
            read.input.values(&[0], 0).collect::<Vec<_>>()
        };
        assert_eq!(values(DateOrder::DayFirst), [1.0, 2.0]);
        assert_eq!(values(DateOrder::MonthFirst), [2.0, 1.0]);
    }

    #[test]
    fn columns_go_by_the_names_that_are_told() {
        let columns = LongColumns { id: "who".into(), time: "t".into(), label: None, decimal: None, dates: None };
        let text = "\u{feff}w, who ,t,v\r\n7,a,0,1\r\n8,a,1,2\r\n";
        let read =
            |columns: &LongColumns| Labelled::from_long(text.as_bytes(), Path::new("a.csv"), columns, Missing::Refuse);
        let sequences = vec![array![[7.0, 1.0], [8.0, 2.0]]];
        let (ids, dimensions) = (vec!["a".into()], vec!["w".into(), "v".into()]);
        let labelled = Labelled { ids, dimensions, ..Labelled::new(Steps::Wide(sequences), Labels::None) };
        assert_eq!(read(&columns).unwrap(), labelled);
        let columns = LongColumns { label: Some("kind".into()), ..columns };
        assert!(read(&columns).unwrap_err().to_string().contains("expected a column \"kind\" of labels"));
    }

    #[test]
    fn missing_numbers_are_filled_in_the_order_of_time() {
        let text = "id,time,label,v\na,3,k,\na,2,k,NaN\na,1,k,7\nb,1,k,?\n";
        let read = |missing| {
            let text = text.as_bytes();
            let read = Labelled::from_long(text, Path::new("a.csv"), &LongColumns::default(), missing);
            read.map_err(|error| error.to_string())
        };
        assert_eq!(
            read(Missing::Forward).unwrap_err(),
            "a.csv, row 4 (line 5), column \"v\": expected a first number to fill forward from, got a missing value"
        );
        let masked = read(Missing::Mask).unwrap().input;
        assert_eq!(masked.values(&[0, 1], 0).map(f64::is_nan).collect::<Vec<_>>(), [false, true, true, true]);
        let text = text.replace('?', "1");
        let columns = LongColumns::default();
        let filled = Labelled::from_long(text.as_bytes(), Path::new("a.csv"), &columns, Missing::Forward).unwrap();
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
        let encoding = Labelled::from_long(bytes, Path::new("a.csv"), &columns, Missing::Refuse).unwrap_err();
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
        let way = "expected numbers that tell their decimal mark, got";
        for (text, part) in [
            ("id;time;x;label\na;0;1;1,100\nb;0;2;2,137\n", format!("{way} \"1,100\" (line 2)")),
            ("id,time,x,label\na,0,1,\"1,100\"\n", format!("{way} \"1,100\" (line 2)")),
            ("id;time;x;label\na;0;1;1.100\n", format!("{way} \"1.100\" (line 2)")),
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
