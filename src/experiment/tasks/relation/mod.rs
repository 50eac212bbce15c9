//! Relates data to what a model was trained on: recognises its training rows in any file, and provides the baselines.

mod rows;
mod sequences;
mod splitting;
mod trained_on;

use std::ops::Range;

pub(crate) use splitting::Splitting;
pub(crate) use trained_on::{of_pieces, of_sequences, of_series, of_text};

use super::fingerprints::{beginnings, places};
use crate::experiment::config::agree::{shares_beside_test, words};
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::{Parts, TrainedOn};
use crate::format::grouped;
use crate::{Error, Result};

/// The message for an unknown file, if only whole files can be compared.
pub(crate) const OTHER_FILE: &str = "not the file that the model was trained on";

/// The message for a model file older than this description.
const UNKNOWN: &str = "the model file does not record its training data: these rows may include some of it";

/// The message for the run's own file.
const OWN: &str = "the file that the model was trained on; its splits are those of the run";

/// The message for that file with other splits.
const OWN_APART: &str = "the file that the model was trained on; its training data are not measured";

/// How data relate to the training data of a model.
pub(crate) struct Relation<'a> {
    /// The same file among the training files, the last one first.
    own: Vec<&'a TrainedOn>,
    /// All training files.
    all: &'a [TrainedOn],
    /// Whether the model file records them; `None`: there is no model.
    known: Option<bool>,
    /// Whether the model is only evaluated.
    applies: bool,
    /// Whether the settings split the file.
    is_set: bool,
    /// Whether the file is split as in the run.
    as_run: bool,
}

impl<'a> Relation<'a> {
    /// For the file with this digest. The same file is split as before unless `data` set another split, and other data
    /// are not split if the model is only applied.
    pub(crate) fn new(model: Option<&'a ModelFile>, sha256: &str, mut data: Splitting<'_>, applies: bool) -> Self {
        let origin = model.map(|model| model.origin.as_ref());
        let all = origin.flatten().map_or(&[][..], |origin| &origin.data);
        let own: Vec<&TrainedOn> = all.iter().rev().filter(|it| it.sha256 == sha256).collect();
        // A validation share belongs to an end of training or a test file, even if that is missing.
        let is_set =
            data.shares.is_some() || data.train_until().is_some() || data.has_test_file || data.validation().is_some();
        if let Some(own) = own.first() {
            data.put(own, is_set);
        }
        let known = origin.map(|origin| origin.is_some());
        let shares =
            if data.has_test_file { Some(shares_beside_test(data.validation()).to_vec()) } else { data.shares.clone() };
        let is_split_so = |own: &&TrainedOn| {
            (shares.is_none() || shares == own.split)
                && data.train_until() == own.train_until.as_ref()
                && (data.train_until().is_none() || data.validation() == own.validation)
                && data.test_until() == own.test_until.as_ref()
        };
        let as_run = own.first().is_some_and(is_split_so);
        Self { own, all, known, applies, is_set, as_run }
    }

    /// The shares if neither the settings nor the run set them.
    pub(crate) fn default_shares(&self, of_run: [f64; 3]) -> [f64; 3] {
        if self.applies { [0.0, 0.0, 1.0] } else { of_run }
    }

    /// Whether data without split settings are split: evaluated data are not, except for the training file.
    pub(crate) fn splits(&self) -> bool {
        !self.applies || !self.own.is_empty()
    }

    /// The message for data that are compared as whole files, or that are `other`.
    pub(crate) fn describe(&self, other: Option<&str>) -> Option<String> {
        match (self.known?, self.own.is_empty()) {
            (false, _) => Some(UNKNOWN.into()),
            (true, false) => Some(if self.as_run { OWN } else { OWN_APART }.into()),
            (true, true) => other.map(str::to_owned),
        }
    }

    /// How many of a text's first characters were trained on.
    ///
    /// # Errors
    /// Those of reading the text.
    pub(crate) fn seen_characters(&self, text: &crate::data::Text) -> Result<u64> {
        let mut seen = 0;
        for it in if self.own.is_empty() { self.all.iter().collect() } else { self.own.clone() } {
            let Parts::InOrder { ends, samples } = &it.parts else { continue };
            if !self.own.is_empty() {
                seen = seen.max(ends[0].min(text.len()));
                continue;
            }
            let places = places(ends[0], samples.len());
            let within: Vec<u64> = places.iter().copied().filter(|place| *place <= text.len()).collect();
            let found =
                beginnings(text, &within)?.into_iter().zip(samples).take_while(|(own, its)| own == *its).count();
            if found > 0 {
                // It may be equal up to the next place, which differs.
                seen = seen.max(places.get(found).copied().unwrap_or(ends[0]).min(text.len()));
            }
        }
        Ok(seen)
    }

    /// The splits of a text in characters, without the first `seen`, which were trained on, and a message.
    ///
    /// # Errors
    /// If training continues and `parts` would validate or test on such characters.
    pub(crate) fn text(
        &self,
        parts: crate::data::TextSplit,
        characters: u64,
        seen: u64,
        window: usize,
    ) -> Result<(crate::data::TextSplit, Option<String>)> {
        let apart = seen <= parts.train.end && (self.is_set || !self.own.is_empty() || !self.applies);
        if seen == 0 || apart {
            let other = "it does not start like the text that the model was trained on";
            return Ok((parts, self.describe(Some(other).filter(|_| seen == 0))));
        }
        let count = grouped(seen);
        if !self.applies {
            return Err(Error::Unsupported(format!(
                "the split would validate or test with characters that the weights of --init-from were trained on, the \
                 first {count}: expected a --split whose first share has at least these"
            )));
        }
        let from = |range: Range<u64>| range.start.max(seen)..range.end.max(seen);
        let (validation, test) = (from(parts.validation), from(parts.test));
        // A split that is too short to be measured is dropped.
        let kept =
            |range: Range<u64>| if range.end - range.start > window as u64 { range } else { range.end..range.end };
        let parts = crate::data::TextSplit { train: 0..seen, validation: kept(validation), test: kept(test) };
        let all = grouped(characters);
        Ok((
            parts,
            Some(format!("the model was trained on the first {count} of its {all} characters: they are not measured")),
        ))
    }

    /// Refuses other shares than the run's, for data whose splits cannot be recognised after another cut.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names both.
    pub(crate) fn check_shares(&self, shares: Option<&Vec<f64>>) -> Result<()> {
        let Some(own) = self.own.first() else { return Ok(()) };
        if shares == own.split.as_ref() {
            Ok(())
        } else {
            Err(Error::Unsupported(format!(
                "--split: the model was trained on this file with {}, and another split would measure what it \
                 was trained on",
                own.split.as_ref().map_or("the file's own splits".into(), words)
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprints::known;
    use super::*;
    use crate::data::{Frame, Series, SeriesSplit};
    use crate::experiment::config::SeriesConfig;

    #[test]
    fn recognised_training_sequences_are_separated_with_a_warning_about_others() {
        let hash = |sequence: usize| format!("{sequence:016}");
        let samples = vec![known(&hash(20_000_000)).to_owned()];
        // Of four that trained one is looked for.
        let all = [TrainedOn { parts: Parts::Drawn { parts: "00".into(), samples }, ..TrainedOn::default() }];
        let relation =
            Relation { own: Vec::new(), all: &all, known: Some(true), applies: true, is_set: false, as_run: false };
        let (parts, words) = relation.known_again([vec![], vec![], vec![10_000_000, 20_000_000]], hash);
        assert_eq!(parts, [vec![20_000_000], vec![], vec![10_000_000]]);
        assert!(words.is_some_and(|words| words.contains("trained on 1 of these") && words.contains("may be among")));
        let (parts, words) = relation.known_again([vec![], vec![], vec![10_000_000]], hash);
        assert_eq!(parts[2], [10_000_000]);
        assert!(words.is_some_and(|words| words.contains("only 1 of its training sequences are on record")));
    }

    #[test]
    fn coincidental_matches_are_not_training_rows_and_splits_below_a_horizon_are_not_measured() {
        use crate::data::{Column, ColumnRoles, MissingPolicy, SeriesTable};
        let series = |count: usize, value: &dyn Fn(usize) -> f64| {
            let column = Column { name: "v".into(), values: (0..count).map(value).collect() };
            let labels = (0..count).map(|row| row.to_string()).collect();
            let table = SeriesTable { label_name: "t".into(), labels, columns: vec![column], ..SeriesTable::default() };
            Series::new(table, &ColumnRoles::one("v"), MissingPolicy::Refuse).unwrap()
        };
        let own = |row: usize| row as f64;
        let split =
            |train: usize, count: usize| SeriesSplit { train: 0..train, validation: train..train, test: train..count };
        let all =
            [of_series(String::new(), &SeriesConfig::default().splitting(), &series(100, &own), &split(100, 100))];
        let relation =
            Relation { own: Vec::new(), all: &all, known: Some(true), applies: true, is_set: false, as_run: false };
        let by_chance = |row: usize| if [10, 90].contains(&row) { own(row) } else { own(row) + 0.5 };
        assert!(relation.seen_rows(&series(100, &by_chance)).is_none());
        for (new, measured) in [(0, 0), (2, 0), (3, 3), (9, 9)] {
            let (frame, count) = (Frame { window: 4, horizon: 3 }, 100 + new);
            let (parts, _) = relation.series(&series(count, &own), frame, split(0, count)).unwrap();
            assert_eq!((parts.validation.len(), parts.test.len()), (0, measured), "{new} rows are new");
        }
    }
}
