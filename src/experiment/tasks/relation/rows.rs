//! The rows of a series that a model was trained on.

use std::collections::HashMap;
use std::ops::Range;

use super::super::fingerprints::{hash_of_row, known};
use super::Relation;
use crate::data::{Frame, Series, SeriesSplit};
use crate::experiment::model::origin::Parts;
use crate::format::{grouped, shell_quoted};
use crate::{Error, Result};

impl Relation<'_> {
    /// The splits of a series without its training rows, and a message. `split` is that of the settings or the default.
    ///
    /// # Errors
    /// If training continues and `split` would validate or test on such rows.
    pub(crate) fn series(
        &self,
        series: &Series,
        frame: Frame,
        split: SeriesSplit,
    ) -> Result<(SeriesSplit, Option<String>)> {
        let Some(seen) = self.seen_rows(series) else {
            let words = match self.rows_looked_for() {
                None => "none of its rows is a known training row of the model".into(),
                Some(count) => {
                    format!("none of the {} training rows on record is here", grouped(count))
                }
            };
            return Ok((split, self.describe(Some(&words))));
        };
        let rows = split.test.end;
        let (own, seen_end) = (!self.own.is_empty(), seen.end.max(frame.window).min(rows));
        // Fewer rows than a horizon cannot be measured.
        let seen_end = if rows - seen_end < frame.horizon { rows } else { seen_end };
        if seen_end <= split.train.end && (self.is_set || own || !self.applies) {
            return Ok((split, self.describe(Some(&seen.words(series)))));
        }
        if !self.applies {
            let last = &series.labels()[seen.end - 1];
            let (which, label) = (seen.words(series), shell_quoted(last.as_ref()));
            return Err(Error::Unsupported(format!(
                "the split would validate or test with rows that the weights of --init-from were trained on: {which}; \
                 --train-until {label} keeps them apart"
            )));
        }
        let (validation_end, whole) = if self.is_set {
            (split.validation.end.max(seen_end), split.test.is_empty())
        } else {
            // The validation rows of the run follow its training rows.
            (seen.validation_end.clamp(seen_end, rows), false)
        };
        let short = |rows: &Range<usize>| (1..frame.horizon).contains(&rows.len());
        let (mut validation, mut test) = (seen_end..validation_end, validation_end..rows);
        if whole || short(&validation) || short(&test) {
            let begins = if self.is_set && !split.validation.is_empty() { rows } else { seen_end };
            (validation, test) = (seen_end..begins, begins..rows);
        }
        let train_start = if seen_end - frame.window.min(seen_end) < frame.horizon { seen_end } else { frame.window };
        let words = if self.is_set {
            format!("{}: no measured split has them", seen.words(series))
        } else {
            seen.words(series)
        };
        Ok((SeriesSplit { train: train_start..seen_end, validation, test }, Some(words)))
    }

    /// The number of recorded rows, if these are not all training rows.
    fn rows_looked_for(&self) -> Option<u64> {
        let of_runs = self.all.iter().filter_map(|it| match &it.parts {
            Parts::InOrder { ends, samples } => Some((samples.len() as u64, ends[0])),
            Parts::Drawn { .. } => None,
        });
        let (looked_for, all) = of_runs.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        (looked_for < all).then_some(looked_for)
    }

    /// The training rows within the series.
    pub(super) fn seen_rows(&self, series: &Series) -> Option<Seen> {
        let files = if self.own.is_empty() { self.all.iter().collect() } else { self.own.clone() };
        let mut hashes: Option<HashMap<String, usize>> = None;
        let seen = files.into_iter().filter_map(|it| {
            let Parts::InOrder { ends, samples } = &it.parts else { return None };
            let [train, validation, all] = ends.map(|end| end as usize);
            if !self.own.is_empty() {
                let end = train.min(series.len());
                return Some(Seen { begin: 0, end, validation_end: validation, new: 0 });
            }
            let of_row = |row| (known(&hash_of_row(series, row)).to_owned(), row);
            let hashes = hashes.get_or_insert_with(|| (0..series.len()).map(of_row).collect());
            let found: Vec<(usize, usize)> =
                samples.iter().enumerate().filter_map(|(at, hash)| Some((at, *hashes.get(known(hash))?))).collect();
            let (first, last) = (*found.first()?, *found.last()?);
            let between = train.div_ceil(samples.len());
            // One row of many may match by chance; a few rows may not contain another sample.
            let alone = found.len() == 1 && samples.len() > 1 && series.len() >= 2 * between;
            if 2 * found.len() <= last.0 - first.0 || alone {
                return None;
            }
            let is_whole = last.0 + 1 == samples.len();
            // Up to the next sample, which is missing, rows are assumed to be training rows.
            let behind = if is_whole { 0 } else { between };
            let end = (last.1 + 1 + behind).min(series.len());
            let at = |row: usize| if is_whole { (row + end).saturating_sub(train) } else { end };
            let new = series.len().saturating_sub(at(all));
            Some(Seen { begin: (first.1 + 1).saturating_sub(between), end, validation_end: at(validation), new })
        });
        seen.filter(|seen| seen.end > 0).max_by_key(|seen| seen.end)
    }
}

/// Training rows.
pub(super) struct Seen {
    begin: usize,
    end: usize,
    /// After the validation rows.
    validation_end: usize,
    /// Rows after all rows of the run.
    new: usize,
}

impl Seen {
    fn words(&self, series: &Series) -> String {
        let labels = series.labels();
        let (first, last) = (&labels[self.begin], &labels[self.end - 1]);
        let count = grouped((self.end - self.begin) as u64);
        let new = match self.new {
            0 => String::new(),
            new => {
                let before = &labels[series.len() - 1 - new];
                let (new, until) = (grouped(new as u64), shell_quoted(before.as_ref()));
                format!(
                    "; {new} rows after {before} are new (to measure only these: --train-until {until} --validation 0)"
                )
            }
        };
        format!("the model was trained on {count} of these rows, {first}–{last}{new}")
    }
}
