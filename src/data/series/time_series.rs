//! A series of one or more columns, with their roles and missing values.

mod calendar;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::time_index;
use super::time_index::TimeIndex;
use crate::allocate;
use crate::data::{Column, DateOrder, DecimalMark, MissingPolicy, SeriesTable, StaticColumn, TimeGaps, list_names};
use crate::error::{Error, Result};

/// The role of each column, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRoles {
    /// Columns to forecast; at least one. Their past is an input too.
    pub targets: Vec<String>,
    /// Input columns known up to the present.
    #[serde(default)]
    pub features: Vec<String>,
    /// Input columns whose future values are known, such as a calendar or a price list: they are read for the forecast
    /// rows too.
    #[serde(default)]
    pub known: Vec<String>,
}

impl ColumnRoles {
    /// A single target.
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
            Some(name) => Err(Error::value(format!("column {name:?}"), "one role: target, feature or known", "twice")),
            None => Ok(()),
        }
    }
}

/// Columns over common rows, in time order. After the last row with a target, further rows may have values of the known
/// columns only: the future.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The name of the label column.
    label_name: String,
    labels: Vec<String>,
    /// How the labels are read as times, and continued.
    order: TimeIndex,
    /// As in the table.
    lines: Vec<usize>,
    missing: MissingPolicy,
    decimal: Option<DecimalMark>,
    /// The number of rows before the future.
    observed: usize,
    /// One value per row before the future; NaN if masked.
    targets: Vec<Column>,
    /// The targets before missing values were filled; `None` if none were.
    truths: Option<Vec<Column>>,
    features: Vec<Column>,
    /// As far as each is known, at least for all rows before the future.
    known: Vec<Column>,
    /// The rows of each target in a panel; `None` if all are one series.
    members: Option<Vec<Range<usize>>>,
    /// What is the same in all rows of a target.
    statics: Vec<StaticColumn>,
}

impl Series {
    /// Assigns the roles to the columns of `table`; other columns are dropped. With known columns, the rows after the
    /// last target, up to the last known value, are the future.
    ///
    /// # Errors
    /// [`Error::Value`] for a column that is missing, duplicate or has two roles, for one without values, for an
    /// infinite value, and for a missing one that `missing` does not allow; the message names row and column. Labels
    /// that are times must ascend: numbers, or dates and times of day in common notations, ISO 8601 or not. If at least
    /// half of them are times, one that is not is named. If a date such as `5/3/2021` can be read day first and month
    /// first, a number above 12 decides, or else the only order in which all ascend; if both remain and
    /// [`SeriesTable::dates`] is `None`, it is refused as ambiguous. [`notes`](Self::notes) has what was decided.
    pub fn new(table: SeriesTable, roles: &ColumnRoles, missing: MissingPolicy) -> Result<Self> {
        Self::build(table, roles, missing, false)
    }

    /// Like [`new`](Self::new), but the rows after the last target are the future even without known columns: their
    /// times are known, as a [calendar](crate::data::SeriesCodec::calendar) needs them.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_future_times(table: SeriesTable, roles: &ColumnRoles, missing: MissingPolicy) -> Result<Self> {
        Self::build(table, roles, missing, true)
    }

    fn build(table: SeriesTable, roles: &ColumnRoles, missing: MissingPolicy, future_times: bool) -> Result<Self> {
        roles.check()?;
        check(&table, &roles.columns())?;
        let order = {
            let is_value = roles.columns().contains(&table.label_name.as_str());
            time_index::read(&table.labels, &table.lines, &table.label_name, table.dates, is_value)?
        };
        let SeriesTable { label_name, labels, mut columns, lines, decimal, statics, .. } = table;
        let statics = if statics.is_empty() {
            statics
        } else {
            let places: HashMap<&str, usize> = columns.iter().map(|column| &column.name[..]).zip(0..).collect();
            let of: Vec<usize> = roles.targets.iter().filter_map(|name| places.get(&name[..]).copied()).collect();
            statics.iter().map(|column| column.of_series(&of)).collect()
        };
        let mut columns: HashMap<String, Column> =
            columns.drain(..).map(|column| (column.name.clone(), column)).collect();
        let mut take =
            |names: &[String]| -> Vec<Column> { names.iter().filter_map(|name| columns.remove(name)).collect() };
        let (targets, features, known) = (take(&roles.targets), take(&roles.features), take(&roles.known));
        let end = |columns: &[Column]| columns.iter().map(end_of).max().unwrap_or_default();
        // Without a later known value, a row without a target is a gap like any other.
        let has_future = future_times || end(&known) > end(&targets);
        let observed = if has_future { end(&targets) } else { labels.len() };
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
            members: None,
            statics,
        };
        series.targets.iter_mut().chain(&mut series.features).for_each(|column| column.values.truncate(observed));
        series.known.iter_mut().for_each(|column| column.values.truncate(end_of(column).max(observed)));
        // A feature that has a mask may be missing throughout; what cannot be fitted is refused by the codec.
        let needed = series.targets.iter().chain(&series.known);
        let needed = needed.chain(series.features.iter().filter(|_| missing != MissingPolicy::Mask));
        if let Some(column) = needed.into_iter().find(|column| end_of(column) == 0) {
            let what = format!("column {:?}", column.name);
            return Err(Error::value(what, "values", format!("none in {observed} rows")));
        }
        series.with_missing(missing)
    }

    /// The same series, before any value was filled, with another policy for missing values: as if [`new`](Self::new)
    /// had been called with it instead of [`MissingPolicy::Mask`].
    ///
    /// # Errors
    /// [`Error::Value`] for a missing value that `missing` does not allow.
    pub fn with_missing(mut self, missing: MissingPolicy) -> Result<Self> {
        self.missing = missing;
        match missing {
            MissingPolicy::Refuse => self.refuse_gaps()?,
            MissingPolicy::Forward => {
                let gaps = self.gaps_by_column().take(self.targets.len()).any(|(_, mut rows)| rows.next().is_some());
                self.truths = gaps.then(|| copy(&self.targets)).transpose()?;
                self.fill_gaps()?;
            }
            MissingPolicy::Mask => {}
        }
        Ok(self)
    }

    /// The same series, before any value was filled, with each target as a series of its own: a panel. It begins with
    /// its first value and ends with its last, and what is outside is not missing.
    #[must_use]
    pub fn into_panel(mut self) -> Self {
        let begin = |column: &Column| column.values.iter().position(|value| !value.is_nan()).unwrap_or_default();
        self.members = Some(self.targets.iter().map(|column| begin(column)..end_of(column)).collect());
        self
    }

    /// Whether each target is a series of its own.
    pub fn is_panel(&self) -> bool {
        self.members.is_some()
    }

    /// The rows of a target, from its first to its last value in a panel, and otherwise all before the future.
    pub fn rows_of(&self, target: usize) -> Range<usize> {
        self.members.as_ref().map_or(0..self.observed, |members| members[target].clone())
    }

    /// The same panel without some of its targets, by index.
    ///
    /// # Errors
    /// [`Error::Value`] if none is left.
    pub fn without_targets(mut self, targets: &[usize]) -> Result<Self> {
        self.remove_targets(targets)?;
        Ok(self)
    }

    /// Removes some targets of a panel, by index.
    ///
    /// # Errors
    /// [`Error::Value`] if none is left; the panel is as it was then.
    pub(crate) fn remove_targets(&mut self, targets: &[usize]) -> Result<()> {
        let left_out: BTreeSet<usize> = targets.iter().copied().collect();
        let kept: Vec<usize> = (0..self.targets.len()).filter(|index| !left_out.contains(index)).collect();
        if kept.is_empty() {
            return Err(Error::value("the targets", "at least one column", "none"));
        }
        fn remove<T>(all: &mut Vec<T>, left_out: &BTreeSet<usize>) {
            let mut indices = 0..;
            all.retain(|_| indices.next().is_none_or(|index| !left_out.contains(&index)));
        }
        remove(&mut self.targets, &left_out);
        self.truths.iter_mut().for_each(|truths| remove(truths, &left_out));
        self.members.iter_mut().for_each(|members| remove(members, &left_out));
        self.statics.iter_mut().for_each(|column| *column = column.of_series(&kept));
        Ok(())
    }

    /// The missing values of each column: a place before the first or after the last value of a series of a panel is
    /// none.
    pub fn gaps(&self) -> Vec<(&Column, usize)> {
        self.gaps_by_column().map(|(column, rows)| (column, rows.count())).collect()
    }

    /// Each column with the rows in which a value is missing.
    fn gaps_by_column(&self) -> impl Iterator<Item = (&Column, impl Iterator<Item = usize>)> {
        let targets = self.targets.iter().enumerate().map(|(target, column)| (column, self.rows_of(target)));
        let others = self.features.iter().chain(&self.known).map(|column| (column, 0..column.values.len()));
        targets.chain(others).map(|(column, rows)| (column, rows.filter(|row| column.values[*row].is_nan())))
    }

    /// The number of rows, without the future.
    pub fn len(&self) -> usize {
        self.observed
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.observed == 0
    }

    /// The name of the label column.
    pub fn label_name(&self) -> &str {
        &self.label_name
    }

    /// The labels of the rows, without the future.
    pub fn labels(&self) -> &[String] {
        &self.labels[..self.observed]
    }

    /// How missing values were handled.
    pub fn missing(&self) -> MissingPolicy {
        self.missing
    }

    /// The targets as inputs: one value per row, NaN if masked.
    pub fn targets(&self) -> &[Column] {
        &self.targets
    }

    /// The targets as measured, for comparison with forecasts: NaN if missing, even if the input was filled.
    pub fn truths(&self) -> &[Column] {
        self.truths.as_deref().unwrap_or(&self.targets)
    }

    /// The features as inputs, likewise.
    pub fn features(&self) -> &[Column] {
        &self.features
    }

    /// The known columns as inputs, likewise, each as far into the future as it is known.
    pub fn known(&self) -> &[Column] {
        &self.known
    }

    /// What is the same in all rows of a series of a panel.
    pub fn statics(&self) -> &[StaticColumn] {
        &self.statics
    }

    /// All columns: targets, features, known.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.targets.iter().chain(&self.features).chain(&self.known)
    }

    /// Notes on how the labels were read, one sentence each, to be shown with the data.
    pub fn notes(&self) -> &[String] {
        &self.order.notes
    }

    /// The order of dates such as `5/3/2021`, if labels are such dates.
    pub fn dates(&self) -> Option<DateOrder> {
        self.order.dates()
    }

    /// The decimal mark of the file, if it was set or proved by a number.
    pub fn decimal(&self) -> Option<DecimalMark> {
        self.decimal
    }

    /// The labels as numbers, if all of them are and they are not dates (`YYYYMMDD`).
    pub fn positions(&self) -> Option<Vec<f64>> {
        self.order.positions(self.labels())
    }

    /// Rows missing in time, judged by the most common step. For days from Monday to Friday, weekends are not missing.
    /// `None` if no row is missing or there is no common step.
    pub fn time_gaps(&self) -> Option<TimeGaps> {
        self.order.gaps(&self.labels)
    }

    /// The number of rows up to and including the time `until`: the row with this label, or all rows that start within
    /// it, so that a year includes its months and a date its hours. It may have any form that labels may have.
    ///
    /// # Errors
    /// [`Error::Value`] if `until` is empty, is not a time like the labels, is ambiguous, or lies before the first or
    /// after the last label; if labels are not times, it must be one of them.
    pub fn rows_until(&self, until: &str) -> Result<usize> {
        self.order.rows_until(self.labels(), &self.label_name, until)
    }

    /// The labels of `count` rows from row `first` on: existing ones, then their continuation if they are numbers or
    /// dates in equal steps of time, of months (same day or month ends), or of days from Monday to Friday; otherwise
    /// `+1`, `+2` and so on, for the reason in [`numbering_reason`](Self::numbering_reason).
    pub fn labels_from(&self, first: usize, count: usize) -> Vec<String> {
        self.order.following(&self.labels, first, count)
    }

    /// Why some of the labels of `count` rows from row `first` on are `+1`, `+2` and so on; `None` if none of them is.
    pub fn numbering_reason(&self, first: usize, count: usize) -> Option<String> {
        self.order.numbering_reason(&self.labels, first, count)
    }

    /// `row 7 (line 8, "2024-01-07"), column "load"`, for messages.
    pub(super) fn place(&self, row: usize, column: &Column) -> String {
        time_index::place(&self.labels, &self.lines, row, &column.name)
    }

    fn refuse_gaps(&self) -> Result<()> {
        let gaps = self.gaps().iter().map(|(_, count)| count).sum::<usize>();
        let firsts = self.gaps_by_column().filter_map(|(column, mut rows)| Some((rows.next()?, column)));
        match firsts.min_by_key(|(row, _)| *row) {
            Some((row, column)) => {
                let got = format!("a missing value, the first of {gaps}");
                Err(Error::value(self.place(row, column), "a finite number", got))
            }
            None => Ok(()),
        }
    }

    fn fill_gaps(&mut self) -> Result<()> {
        let rows: Vec<Range<usize>> = (0..self.targets.len()).map(|target| self.rows_of(target)).collect();
        let targets = self.targets.iter_mut().zip(rows);
        let others = self.features.iter_mut().chain(&mut self.known).map(|column| {
            let rows = 0..column.values.len();
            (column, rows)
        });
        for (column, rows) in targets.chain(others) {
            if column.values[rows.clone()].first().is_some_and(|value| value.is_nan()) {
                let what = time_index::place(&self.labels, &self.lines, rows.start, &column.name);
                return Err(Error::value(what, "a value to fill forward from", "a missing value"));
            }
            let mut last = f64::NAN;
            for value in &mut column.values[rows] {
                last = if value.is_nan() { last } else { *value };
                *value = last;
            }
        }
        Ok(())
    }
}

/// The same columns.
///
/// # Errors
/// [`Error::NoMemory`].
fn copy(columns: &[Column]) -> Result<Vec<Column>> {
    let copy = |column: &Column| {
        let values = allocate::collect(column.values.iter().copied(), "the values before gaps are filled")?;
        Ok(Column { name: column.name.clone(), values })
    };
    columns.iter().map(copy).collect()
}

/// Refuses a name that does not belong to exactly one column, and a column without one value per label, finite in f32
/// or missing.
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

/// The row after the last value.
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
        of(roles(&["v"], &["v"], &[]), "column \"v\": expected one role: target, feature or known, got twice");
        of(roles(&["depth"], &[], &[]), "the columns: expected \"depth\" among them, got v, w, u, x");
        of(roles(&["w"], &[], &[]), "column \"w\": expected values, got none in 2 rows");
        refused(
            table(columns),
            &roles(&["v"], &["w"], &[]),
            MissingPolicy::Forward,
            "column \"w\": expected values, got none in 2 rows",
        );
        assert!(Series::new(table(columns), &roles(&["v"], &["w"], &[]), MissingPolicy::Mask).is_ok());
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
