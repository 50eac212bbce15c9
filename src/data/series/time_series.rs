//! A series of one or more columns: their roles in a forecast, and their missing values.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::time_index;
use super::time_index::TimeIndex;
use crate::data::{Column, DateOrder, DecimalMark, MissingPolicy, SeriesTable, TimeGaps, list_names};
use crate::error::{Error, Result};

/// What each column is to a forecast, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRoles {
    /// What is forecast; at least one. Their past is read too.
    pub targets: Vec<String>,
    /// What is read of the past alone.
    #[serde(default)]
    pub features: Vec<String>,
    /// What is known beforehand, such as a calendar or a price list: it is read for the very rows that are forecast.
    #[serde(default)]
    pub known: Vec<String>,
}

impl ColumnRoles {
    /// One target, read and forecast.
    pub fn one(target: impl Into<String>) -> Self {
        Self { targets: vec![target.into()], ..Self::default() }
    }

    /// All columns: targets, features, known.
    pub fn columns(&self) -> Vec<&str> {
        [&self.targets, &self.features, &self.known].into_iter().flatten().map(String::as_str).collect()
    }

    fn check(&self) -> Result<()> {
        if self.targets.is_empty() {
            return Err(Error::value("the targets", "at least one column", "none"));
        }
        let mut seen = BTreeSet::new();
        match self.columns().into_iter().find(|name| !seen.insert(*name)) {
            Some(name) => Err(Error::value(format!("column {name:?}"), "to be target, feature or known once", "twice")),
            None => Ok(()),
        }
    }
}

/// Columns over common rows, in the order of time. After the last row with a target there may be others, of which only
/// the known columns have values: the future.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    label_name: String,
    labels: Vec<String>,
    /// What the labels are.
    order: TimeIndex,
    /// As the table had them.
    lines: Vec<usize>,
    missing: MissingPolicy,
    decimal: Option<DecimalMark>,
    /// The rows that are not future.
    observed: usize,
    /// Each of as many values as there are observed rows; NaN where masked.
    targets: Vec<Column>,
    /// The targets before missing values were filled; `None` where none were.
    truths: Option<Vec<Column>>,
    features: Vec<Column>,
    /// Each as far as it is known, at least through all observed rows.
    known: Vec<Column>,
}

impl Series {
    /// Gives the columns of `table` their roles; those that have none are dropped. Where columns are known beforehand,
    /// the rows after the last with a target, up to the last with a known value, are the future.
    ///
    /// # Errors
    /// [`Error::Value`] for a column that is not there, is there twice or has two roles, for one without a value, for a
    /// value that is infinite, and for one that is missing where `missing` does not allow it; they name row and column.
    /// Labels that are times have to ascend: numbers, or dates and times of day as people write them, ISO 8601 or not. Where
    /// half of them or more are times, one that is none is named. Where a date such as `5/3/2021` can be read day first and
    /// month first, the part above 12 decides, or else the only way in which all ascend; where both stand and
    /// [`SeriesTable::dates`] is `None` too, the caller is asked for it. [`notes`](Self::notes) has what was decided.
    pub fn new(table: SeriesTable, roles: &ColumnRoles, missing: MissingPolicy) -> Result<Self> {
        roles.check()?;
        check(&table, &roles.columns())?;
        let order = {
            let is_value = roles.columns().contains(&table.label_name.as_str());
            time_index::read(&table.labels, &table.lines, &table.label_name, table.dates, is_value)?
        };
        let SeriesTable { label_name, labels, mut columns, lines, decimal, .. } = table;
        let mut columns: HashMap<String, Column> =
            columns.drain(..).map(|column| (column.name.clone(), column)).collect();
        let mut take =
            |names: &[String]| -> Vec<Column> { names.iter().filter_map(|name| columns.remove(name)).collect() };
        let (targets, features, known) = (take(&roles.targets), take(&roles.features), take(&roles.known));
        let end = |columns: &[Column]| columns.iter().map(end_of).max().unwrap_or_default();
        // Without a known value after it, a row without a target is a gap like any other.
        let observed = if end(&known) > end(&targets) { end(&targets) } else { labels.len() };
        let mut series = Self {
            label_name,
            labels,
            order,
            lines,
            missing,
            decimal,
            observed,
            targets,
            truths: None,
            features,
            known,
        };
        series.targets.iter_mut().chain(&mut series.features).for_each(|column| column.values.truncate(observed));
        series.known.iter_mut().for_each(|column| column.values.truncate(end_of(column).max(observed)));
        if let Some(column) = series.columns().find(|column| end_of(column) == 0) {
            let what = format!("column {:?}", column.name);
            return Err(Error::value(what, "values", format!("none in {observed} rows")));
        }
        series.with_missing(missing)
    }

    /// The same, of which no value was filled yet, with something else for its missing values: as [`new`](Self::new) with
    /// this and [`MissingPolicy::Mask`] before.
    ///
    /// # Errors
    /// [`Error::Value`] for a missing value where `missing` does not allow it.
    pub fn with_missing(mut self, missing: MissingPolicy) -> Result<Self> {
        self.missing = missing;
        match missing {
            MissingPolicy::Refuse => self.refuse_gaps()?,
            MissingPolicy::Forward => {
                let gaps = self.targets.iter().any(|column| column.values.iter().any(|value| value.is_nan()));
                self.truths = gaps.then(|| self.targets.clone());
                self.fill_gaps()?;
            }
            MissingPolicy::Mask => {}
        }
        Ok(self)
    }

    /// The number of rows, without the future.
    pub fn len(&self) -> usize {
        self.observed
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.observed == 0
    }

    /// What the labels are.
    pub fn label_name(&self) -> &str {
        &self.label_name
    }

    /// The labels of the rows, without the future.
    pub fn labels(&self) -> &[String] {
        &self.labels[..self.observed]
    }

    /// What became of missing values.
    pub fn missing(&self) -> MissingPolicy {
        self.missing
    }

    /// What is forecast, as it is read: a value a row, NaN where it is missing and masked.
    pub fn targets(&self) -> &[Column] {
        &self.targets
    }

    /// The targets as they were measured, which forecasts are held against: NaN where a value is missing, whatever is read
    /// in its place.
    pub fn truths(&self) -> &[Column] {
        self.truths.as_deref().unwrap_or(&self.targets)
    }

    /// What is read of the past alone: likewise.
    pub fn features(&self) -> &[Column] {
        &self.features
    }

    /// What is known beforehand: likewise, and each as far into the future as it is known.
    pub fn known(&self) -> &[Column] {
        &self.known
    }

    /// All columns: targets, features, known.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.targets.iter().chain(&self.features).chain(&self.known)
    }

    /// How the labels were read where they could be read otherwise or not at all, a sentence each: to be shown with the data.
    pub fn notes(&self) -> &[String] {
        &self.order.notes
    }

    /// What comes first in dates such as `5/3/2021`, where labels are such.
    pub fn dates(&self) -> Option<DateOrder> {
        self.order.dates()
    }

    /// The decimal mark of the file, if it was given or a number showed it.
    pub fn decimal(&self) -> Option<DecimalMark> {
        self.decimal
    }

    /// The labels as numbers, where all of them are and they do not read as dates (`YYYYMMDD`).
    pub fn positions(&self) -> Option<Vec<f64>> {
        self.order.positions(self.labels())
    }

    /// The rows that are missing between others, by the step that most rows are apart. Of days from Monday to Friday,
    /// weekends are not missing. `None` where no row is, or where the labels have no such step.
    pub fn time_gaps(&self) -> Option<TimeGaps> {
        self.order.gaps(&self.labels)
    }

    /// The number of rows up to and with the time `until`: the row whose label it is, or all rows that begin within it, so
    /// that a year includes its months and a date its hours. It is written in any form that labels may have.
    ///
    /// # Errors
    /// [`Error::Value`] where `until` is empty, is no time as the labels are, can be read in two ways that differ, or lies
    /// before the first label or beyond the last; where labels are no times, it has to be one of them.
    pub fn rows_until(&self, until: &str) -> Result<usize> {
        self.order.rows_until(self.labels(), &self.label_name, until)
    }

    /// The labels of `count` rows from row `first` on: those that are there, and beyond them theirs carried on where they
    /// are numbers or dates in equal steps, of time, of months from one day or one end to the next, or of days from Monday to
    /// Friday; otherwise `+1`, `+2` and so on, [`why_counted`](Self::why_counted) has the reason.
    pub fn labels_from(&self, first: usize, count: usize) -> Vec<String> {
        self.order.following(&self.labels, first, count)
    }

    /// Why some of the labels of `count` rows from row `first` on are `+1`, `+2` and so on; `None` where none is.
    pub fn why_counted(&self, first: usize, count: usize) -> Option<String> {
        self.order.why_counted(&self.labels, first, count)
    }

    /// `row 7 (line 8, "2024-01-07"), column "load"`, for messages.
    pub(super) fn place(&self, row: usize, column: &Column) -> String {
        time_index::place(&self.labels, &self.lines, row, &column.name)
    }

    fn refuse_gaps(&self) -> Result<()> {
        let gaps =
            self.columns().map(|column| column.values.iter().filter(|value| value.is_nan()).count()).sum::<usize>();
        let gap = |column: &Column| column.values.iter().position(|value| value.is_nan());
        let first = self.columns().filter_map(|column| Some((gap(column)?, column))).min_by_key(|(row, _)| *row);
        match first {
            Some((row, column)) => {
                let got = format!("a missing value, the first of {gaps}");
                Err(Error::value(self.place(row, column), "a finite number", got))
            }
            None => Ok(()),
        }
    }

    fn fill_gaps(&mut self) -> Result<()> {
        for column in self.targets.iter_mut().chain(&mut self.features).chain(&mut self.known) {
            if column.values.first().is_some_and(|value| value.is_nan()) {
                let what = time_index::place(&self.labels, &self.lines, 0, &column.name);
                return Err(Error::value(what, "a value to fill forward from", "a missing value"));
            }
            let mut last = f64::NAN;
            for value in &mut column.values {
                last = if value.is_nan() { last } else { *value };
                *value = last;
            }
        }
        Ok(())
    }
}

/// Refuses a name that is not one column's, and a column without a value for each label, finite in f32 or missing.
fn check(table: &SeriesTable, names: &[&str]) -> Result<()> {
    let mut found = HashMap::<&str, (&Column, usize)>::new();
    for column in &table.columns {
        found.entry(&column.name).or_insert((column, 0)).1 += 1;
    }
    for name in names {
        match found.get(name) {
            Some((column, 1)) => check_values(table, column)?,
            Some(_) => return Err(Error::value(format!("column {name:?}"), "one of that name", "two")),
            None => {
                let names = list_names(table.columns.iter().map(|column| column.name.as_str()));
                return Err(Error::value("the columns", format!("{name:?} among them"), names));
            }
        }
    }
    Ok(())
}

fn check_values(table: &SeriesTable, column: &Column) -> Result<()> {
    let name = &column.name;
    if column.values.len() != table.labels.len() {
        let expected = format!("a value for each of {} labels", table.labels.len());
        let what = format!("column {name:?}");
        return Err(Error::value(what, expected, format!("{} values", column.values.len())));
    }
    match column.values.iter().position(|value| value.is_infinite()) {
        Some(row) => {
            let what = time_index::place(&table.labels, &table.lines, row, name);
            Err(Error::value(what, "a finite number", column.values[row]))
        }
        None => Ok(()),
    }
}

/// The row after the last that has a value.
fn end_of(column: &Column) -> usize {
    column.values.iter().rposition(|value| !value.is_nan()).map_or(0, |row| row + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    /// Rows labelled `a`, `b`, and so on.
    fn table(columns: &[(&str, &[f64])]) -> SeriesTable {
        let rows = columns[0].1.len();
        SeriesTable {
            label_name: "t".into(),
            labels: (0..rows).map(|row| char::from(b'a' + row as u8).to_string()).collect(),
            columns: columns
                .iter()
                .map(|(name, values)| Column { name: (*name).into(), values: values.to_vec() })
                .collect(),
            ..SeriesTable::default()
        }
    }

    fn roles(targets: &[&str], features: &[&str], known: &[&str]) -> ColumnRoles {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ColumnRoles { targets: owned(targets), features: owned(features), known: owned(known) }
    }

    #[track_caller]
    fn refused(table: SeriesTable, roles: &ColumnRoles, missing: MissingPolicy, message: &str) {
        assert_eq!(Series::new(table, roles, missing).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_gap_is_refused_filled_or_masked() {
        let table = || table(&[("v", &[1.0, N, N, 4.0]), ("w", &[1.0, 2.0, 3.0, N])]);
        let roles = roles(&["v"], &["w"], &[]);
        let first = "row 2 (\"b\"), column \"v\": expected a finite number, got a missing value, the first of 3";
        refused(table(), &roles, MissingPolicy::Refuse, first);
        let in_file = SeriesTable { lines: vec![2, 4, 5, 6], ..table() };
        refused(in_file, &roles, MissingPolicy::Refuse, &first.replace("(\"b\")", "(line 4, \"b\")"));
        let filled = Series::new(table(), &roles, MissingPolicy::Forward).unwrap();
        assert_eq!(
            (&filled.targets()[0].values[..], &filled.features()[0].values[..]),
            (&[1.0, 1.0, 1.0, 4.0][..], &[1.0, 2.0, 3.0, 3.0][..])
        );
        let truth = |series: &Series| series.truths()[0].values.iter().map(|value| value.is_nan()).collect::<Vec<_>>();
        assert_eq!(truth(&filled), [false, true, true, false]);
        let masked = Series::new(table(), &roles, MissingPolicy::Mask).unwrap();
        assert_eq!(truth(&masked), truth(&filled));
        assert!(masked.targets()[0].values[1].is_nan() && masked.len() == 4);
    }

    #[test]
    fn a_leading_gap_cannot_be_filled_forward() {
        let message = "row 1 (\"a\"), column \"v\": expected a value to fill forward from, got a missing value";
        refused(table(&[("v", &[N, 1.0])]), &ColumnRoles::one("v"), MissingPolicy::Forward, message);
    }

    #[test]
    fn rows_after_the_last_target_are_the_known_future() {
        let columns: &[(&str, &[f64])] = &[
            ("v", &[1.0, 2.0, N, N]),
            ("f", &[5.0, 6.0, 7.0, N]),
            ("k", &[1.0, 2.0, 3.0, 4.0]),
            ("l", &[1.0, 2.0, 3.0, N]),
        ];
        let series = Series::new(table(columns), &roles(&["v"], &["f"], &["k", "l"]), MissingPolicy::Refuse).unwrap();
        assert_eq!((series.len(), series.labels()), (2, &["a".to_owned(), "b".to_owned()][..]));
        assert_eq!(series.features()[0].values, [5.0, 6.0]);
        assert_eq!((series.known()[0].values.len(), series.known()[1].values.len()), (4, 3));
        assert_eq!(series.labels_from(2, 3), ["c", "d", "+3"]);
        let message = "row 3 (\"c\"), column \"v\": expected a finite number, got a missing value, the first of 3";
        refused(table(columns), &roles(&["v"], &["f"], &[]), MissingPolicy::Refuse, message);
        // Nothing is known of the last row either.
        let end: &[(&str, &[f64])] = &[("v", &[1.0, 2.0, N]), ("k", &[1.0, 2.0, N])];
        let message = "row 3 (\"c\"), column \"v\": expected a finite number, got a missing value, the first of 2";
        refused(table(end), &roles(&["v"], &[], &["k"]), MissingPolicy::Refuse, message);
        // A gap within the future, and one before it.
        let gap: &[(&str, &[f64])] = &[("v", &[1.0, 2.0, N, N]), ("k", &[1.0, 2.0, N, 4.0]), ("l", &[1.0, N, N, N])];
        let message = "row 3 (\"c\"), column \"k\": expected a finite number, got a missing value, the first of 1";
        refused(table(gap), &roles(&["v"], &[], &["k"]), MissingPolicy::Refuse, message);
        let message = "row 2 (\"b\"), column \"l\": expected a finite number, got a missing value, the first of 2";
        refused(table(gap), &roles(&["v"], &[], &["k", "l"]), MissingPolicy::Refuse, message);
    }

    #[test]
    fn a_column_needs_one_role_and_values() {
        let columns: &[(&str, &[f64])] =
            &[("v", &[1.0, 2.0]), ("w", &[N, N]), ("u", &[1.0, f64::INFINITY]), ("x", &[1.0, 2.0])];
        let of = |roles: ColumnRoles, message: &str| refused(table(columns), &roles, MissingPolicy::Mask, message);
        of(roles(&[], &["v"], &[]), "the targets: expected at least one column, got none");
        of(roles(&["v"], &["v"], &[]), "column \"v\": expected to be target, feature or known once, got twice");
        of(roles(&["depth"], &[], &[]), "the columns: expected \"depth\" among them, got v, w, u, x");
        of(roles(&["w"], &[], &[]), "column \"w\": expected values, got none in 2 rows");
        of(roles(&["v"], &["w"], &[]), "column \"w\": expected values, got none in 2 rows");
        of(roles(&["u"], &[], &[]), "row 2 (\"b\"), column \"u\": expected a finite number, got inf");
        let twice = table(&[("v", &[1.0]), ("v", &[1.0])]);
        refused(twice, &ColumnRoles::one("v"), MissingPolicy::Mask, "column \"v\": expected one of that name, got two");
        let mut short = table(&[("v", &[1.0, 2.0])]);
        short.labels.push("c".into());
        let message = "column \"v\": expected a value for each of 3 labels, got 2 values";
        refused(short, &ColumnRoles::one("v"), MissingPolicy::Mask, message);
        assert!(Series::new(SeriesTable::default(), &ColumnRoles::one("v"), MissingPolicy::Mask).is_err());
    }
}
