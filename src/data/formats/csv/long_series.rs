//! Many series from a table in long form: a row for each time of each series.

use std::collections::HashMap;
use std::path::Path;

use super::long_form::place;
use super::packed_texts::PackedTexts;
use super::records::Records;
use super::static_values::StaticValues;
use crate::allocate;
use crate::data::input::encoding::quoted;
use crate::data::input::file::MemoryUse;
use crate::data::times::RowGroups;
use crate::data::times::column::time_column;
use crate::data::times::label::Texts;
use crate::data::{Column, DateOrder, DecimalMark, InputLimit, LongForm, SeriesTable};
use crate::error::{Error, Result};
use crate::format::grouped;
use crate::sizes::Count;

/// Maximum number of rows and of series: counters have four bytes.
const ROWS: usize = u32::MAX as usize;

impl SeriesTable {
    /// Reads a table in long form: a column for each series, in the order of their first rows, over all times that
    /// occur; a series has no value at the times of others alone. The rows of each are in the order of time, which are
    /// numbers, or dates and times of day as [`Series::new`](crate::data::Series::new) reads them. Numbers and
    /// separators are as for [`from_csv`](Self::from_csv).
    ///
    /// # Errors
    /// [`Error::Data`] names the row, the line and the column: a cell that is not a number, an id or a time that is
    /// missing, a time unlike the others or ambiguous, rows of one id that are not in the order of time. A table that
    /// needs more memory than [`InputLimit::default`] is refused.
    pub fn from_long_csv(
        text: &[u8],
        path: &Path,
        form: &LongForm,
        decimal: Option<DecimalMark>,
        dates: Option<DateOrder>,
    ) -> Result<Self> {
        Self::long_csv_within(text, path, form, decimal, dates, InputLimit::default())
    }

    /// Like [`from_long_csv`](Self::from_long_csv), with a memory limit.
    pub(crate) fn long_csv_within(
        text: &[u8],
        path: &Path,
        form: &LongForm,
        decimal: Option<DecimalMark>,
        dates: Option<DateOrder>,
        limit: InputLimit,
    ) -> Result<Self> {
        let mut records = Records::open(text, path)?;
        let names = [&form.id, &form.time, &form.target].into_iter().chain(&form.statics);
        let indices = records.indices(&names.map(String::as_str).collect::<Vec<_>>())?;
        records.decide(&indices[2..3], decimal)?;
        let mut memory = MemoryUse::new(limit, path, "in memory for its rows and a column for each series");
        let mut rows = LongRows { statics: vec![StaticValues::default(); form.statics.len()], ..LongRows::default() };
        while records.read()? {
            rows.take(&records, path, &indices, &mut memory)?;
        }
        if rows.values.is_empty() {
            return Err(Error::data(path, "", "expected rows below the column names, got none"));
        }
        let mut table = rows.into_table(&mut records, path, form, dates, &mut memory)?;
        table.decimal = records.known_mark();
        table.notes.extend(records.into_notes());
        Ok(table)
    }
}

/// The rows in the order of the file.
#[derive(Default)]
struct LongRows {
    /// The names of the series, and the numbers of these names.
    ids: Vec<String>,
    numbers: HashMap<String, u32>,
    /// By row: its series, its time, its value.
    of: Vec<u32>,
    times: PackedTexts,
    values: Vec<f64>,
    /// The static columns.
    statics: Vec<StaticValues>,
}

impl LongRows {
    /// Adds the current record.
    fn take(
        &mut self,
        records: &Records<'_>,
        path: &Path,
        indices: &[usize],
        memory: &mut MemoryUse<'_>,
    ) -> Result<()> {
        let word = |column: usize, expected: &str| match records.field(column) {
            "" => {
                let place = format!("{}, column {}", records.place(), quoted(&records.names()[column]));
                Err(Error::data(path, place, format!("expected {expected}, got a missing value")))
            }
            word => Ok(word),
        };
        let (id, time) = (word(indices[0], "the id of a series")?, word(indices[1], "a time")?);
        if self.of.len() >= ROWS {
            return Err(Error::data(path, records.place(), format!("expected at most {ROWS} rows, got more")));
        }
        memory.add(2 * size_of::<u32>() + time.len() + size_of::<f64>() + size_of::<i128>())?;
        let number = match self.numbers.get(id) {
            Some(number) => *number,
            None => {
                memory.add(2 * (size_of::<String>() + id.len()) + size_of::<Column>())?;
                let number = self.ids.len() as u32;
                allocate::push(&mut self.ids, id.to_owned(), "the ids of series")?;
                self.numbers.insert(id.to_owned(), number);
                number
            }
        };
        for (column, index) in self.statics.iter_mut().zip(&indices[3..]) {
            column.take((number as usize, id), (records, path), *index, memory)?;
        }
        allocate::push(&mut self.of, number, "the rows of series")?;
        allocate::push(&mut self.values, records.number(indices[2])?, "the numbers of a table")?;
        self.times.push(time)
    }

    /// A column for each series over all times.
    fn into_table(
        self,
        records: &mut Records<'_>,
        path: &Path,
        form: &LongForm,
        dates: Option<DateOrder>,
        memory: &mut MemoryUse<'_>,
    ) -> Result<SeriesTable> {
        let Self { ids, of, times, values, statics, .. } = self;
        let found = match time_column::find(&times, dates, RowGroups { sequence_of: Some(&of) }) {
            Ok(found) => found,
            Err(trouble) => {
                let (row, expected, got) = trouble.words(&times, dates).unwrap_or_else(|| {
                    let expected = "a number or a date, which puts the series beside each other".to_owned();
                    (0, expected, quoted(times.text(0)))
                });
                let place = format!(", {}, column {}", place(records, row)?, quoted(&form.time));
                return Err(Error::data(path, place, format!("expected {expected}, got {got}")));
            }
        };
        let keys = allocate::collect(found.reader.keys(&times).flatten(), "the times of rows")?;
        let mut last: Vec<Option<u32>> = vec![None; ids.len()];
        for (row, (number, key)) in of.iter().zip(&keys).enumerate() {
            let Some(before) = last[*number as usize].replace(row as u32) else { continue };
            if keys[before as usize] >= *key {
                let same = keys[before as usize] == *key;
                let earlier =
                    format!("{} in {}", quoted(times.text(before as usize)), place(records, before as usize)?);
                let at = format!(", {}, column {}", place(records, row)?, quoted(&form.time));
                let (id, time) = (quoted(&ids[*number as usize]), quoted(times.text(row)));
                let message = if same {
                    format!("expected one row for each time of {id}, got {time}, as {earlier}")
                } else {
                    format!("expected the rows of {id} in the order of time, got {time} after {earlier}: sort the rows")
                };
                return Err(Error::data(path, at, message));
            }
        }
        // Each time with the first row that has it, in order.
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        order.sort_by_key(|row| keys[*row as usize]);
        order.dedup_by_key(|row| keys[*row as usize]);
        let label_bytes: usize = order.iter().map(|row| size_of::<String>() + times.text(*row as usize).len()).sum();
        memory.add(label_bytes)?;
        let labels =
            allocate::collect(order.iter().map(|row| times.text(*row as usize).to_owned()), "the labels of rows")?;
        let distinct = allocate::collect(order.iter().map(|row| keys[*row as usize]), "the times of rows")?;
        let mut columns = empty_columns(ids, distinct.len(), memory)?;
        for ((number, key), value) in of.iter().zip(&keys).zip(values) {
            let row = distinct.partition_point(|other| other < key);
            columns[*number as usize].values[row] = value;
        }
        Ok(SeriesTable {
            label_name: form.time.clone(),
            labels,
            columns,
            lines: Vec::new(),
            notes: found.notes(&times, &form.time),
            // The rows of each series may have decided what the times of all leave open.
            dates: dates.or(found.date_order()),
            decimal: None,
            statics: statics.into_iter().zip(&form.statics).map(|(column, name)| column.into_column(name)).collect(),
        })
    }
}

/// A column of missing values for each series.
fn empty_columns(ids: Vec<String>, times: usize, memory: &mut MemoryUse<'_>) -> Result<Vec<Column>> {
    /// What to do about a table that is too large.
    const REMEDY: &str = "read fewer series or fewer times, or sum over longer times that more of the series share";
    let bytes = Count::from(times) * ids.len() * size_of::<f64>();
    let what = format!("a table of {} series by {} times", grouped(ids.len() as u64), grouped(times as u64));
    memory.add_known(bytes, &what, REMEDY)?;
    let none = |_| Error::NoMemory { what: what.clone(), bytes: bytes.get(), remedy: REMEDY };
    allocate::probe(bytes, &what).map_err(none)?;
    let column = |name: String| Ok(Column { name, values: allocate::filled(times, f64::NAN, &what).map_err(none)? });
    ids.into_iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use crate::data::{ColumnRoles, MissingPolicy, Series};

    use super::*;

    fn form() -> LongForm {
        LongForm { id: "shop".into(), time: "day".into(), target: "sold".into(), statics: Vec::new() }
    }

    fn read(text: &str) -> Result<SeriesTable> {
        SeriesTable::from_long_csv(text.as_bytes(), Path::new("l.csv"), &form(), None, None)
    }

    fn error(rows: &str) -> String {
        read(&format!("shop,day,sold\n{rows}")).unwrap_err().to_string()
    }

    #[test]
    fn each_id_is_a_column_over_all_times() {
        let table = read("day,sold,shop,more\n2024-01-02,1,b,x\n2024-01-03,,b,x\n2024-01-01,5,a,x\n2024-01-02,6,a,x\n");
        let table = table.unwrap();
        assert_eq!(
            (table.label_name.as_str(), table.labels.join(" ")),
            ("day", "2024-01-01 2024-01-02 2024-01-03".into())
        );
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        let nan = f64::NAN;
        for (column, want) in table.columns.iter().zip([[nan, 1.0, nan], [5.0, 6.0, nan]]) {
            assert!(column.values.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits()), "{column:?}");
        }
        let roles = ColumnRoles { targets: vec!["b".into(), "a".into()], ..ColumnRoles::default() };
        let series = Series::new(table, &roles, MissingPolicy::Mask).unwrap().into_panel();
        assert_eq!((series.rows_of(0), series.rows_of(1)), (1..2, 0..2));
    }

    #[test]
    fn a_static_column_has_one_value_for_each_id() {
        let form = LongForm { statics: vec!["size".into(), "region".into()], ..form() };
        let read = |rows: &str| {
            let text = format!("shop,day,sold,region,size\n{rows}");
            SeriesTable::from_long_csv(text.as_bytes(), Path::new("l.csv"), &form, None, None)
        };
        let statics = read("b,1,1,north,\na,1,5,south,3\nb,2,2,,2.5\na,2,6,south,3\n").unwrap().statics;
        assert_eq!((&statics[0].name[..], &statics[1].name[..]), ("size", "region"));
        assert_eq!(
            (&statics[0].texts[..], statics[0].numbers.as_deref()),
            (&["2.5".into(), "3".into()][..], Some(&[2.5, 3.0][..]))
        );
        assert_eq!((&statics[1].texts[..], &statics[1].numbers), (&["north".into(), "south".into()][..], &None));
        let error = read("a,1,1,north,1\nb,1,1,north,2\na,2,1,south,1\n").unwrap_err().to_string();
        let expected = "l.csv, row 3 (line 4): expected one value of \"region\" for all rows of \"a\", got \"south\", and \"north\" in row 1 (line 2)";
        assert_eq!(error, expected);
    }

    #[test]
    fn the_rows_of_an_id_decide_how_its_dates_are_read() {
        // No number is above 12: only read day first do the rows of each id ascend.
        let table = read("shop,day,sold\na,5/3/2024,1\na,6/3/2024,2\na,1/4/2024,3\nb,5/3/2024,4\n").unwrap();
        assert_eq!((table.dates, table.labels.len()), (Some(DateOrder::DayFirst), 3));
    }

    #[test]
    fn rows_that_cannot_be_put_in_order_are_refused_by_line() {
        let at = "l.csv, row 3 (line 4), column \"day\": expected";
        let earlier = "\"2024-01-02\" in row 1 (line 2)";
        assert_eq!(
            error("a,2024-01-02,1\nb,2024-01-01,1\na,2024-01-02,2\n"),
            format!("{at} one row for each time of \"a\", got \"2024-01-02\", as {earlier}")
        );
        assert_eq!(
            error("a,2024-01-02,1\nb,2024-01-01,1\na,2024-01-01,2\n"),
            format!("{at} the rows of \"a\" in the order of time, got \"2024-01-01\" after {earlier}: sort the rows")
        );
        let odd = error("a,2024-01-01,1\na,2024-01-02,1\na,soon,2\n");
        assert!(odd.contains("row 3 (line 4)") && odd.contains("\"soon\""), "{odd}");
        let none = error("a,soon,1\nb,later,2\n");
        assert!(none.contains("row 1 (line 2)") && none.contains("a number or a date"), "{none}");
    }

    #[test]
    fn a_missing_id_or_time_and_a_word_among_numbers_are_refused_by_line() {
        assert!(error("a,1,1\n,2,1\n").contains("row 2 (line 3), column \"shop\": expected the id of a series"));
        assert!(
            error("a,1,1\na,,1\n").contains("row 2 (line 3), column \"day\": expected a time, got a missing value")
        );
        assert!(error("a,1,1\na,2,x\n").contains("row 2 (line 3), column \"sold\""));
        assert!(error("").contains("expected rows below the column names"));
        let other = SeriesTable::from_long_csv(b"shop,day\na,1\n", Path::new("l.csv"), &form(), None, None);
        assert!(other.unwrap_err().to_string().contains("sold"));
    }

    #[test]
    fn series_at_times_of_their_own_that_need_too_much_memory_are_refused() {
        let rows: String = (0..400).map(|row| format!("s{row},{row},1\n")).collect();
        let text = format!("shop,day,sold\n{rows}");
        let limit = InputLimit(1 << 20);
        let table = SeriesTable::long_csv_within(text.as_bytes(), Path::new("l.csv"), &form(), None, None, limit);
        let error = table.unwrap_err().to_string();
        let bytes: u64 = error.split("got ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((1_280_000..1_400_000).contains(&bytes), "{error}");
        for part in
            ["at most 1048576 bytes", "a table of 400 series by 400 times; read fewer series", "input-limit of 2MiB"]
        {
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
        // What it needs is enough.
        let enough = InputLimit(bytes);
        let table = SeriesTable::long_csv_within(text.as_bytes(), Path::new("l.csv"), &form(), None, None, enough);
        assert_eq!(table.unwrap().columns.len(), 400);
    }

    #[test]
    fn a_table_beyond_all_memory_is_an_error_before_it_is_made() {
        let path = Path::new("l.csv");
        let mut memory = MemoryUse::new(InputLimit(u64::MAX), path, "in memory");
        let ids = vec!["a".to_owned(), "b".into()];
        let error = empty_columns(ids, 1 << 58, &mut memory).unwrap_err().to_string();
        let expected = "not enough memory for a table of 2 series by 288,230,376,151,711,744 times (4611686018427387904 bytes); \
                        read fewer series";
        assert!(error.starts_with(expected), "{error}");
    }
}
