//! What a model was trained on, which travels with its weights: enough to know its training rows again in whatever file
//! they are read from, and to compare with what is told without a network.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::super::config::agree::{shares_beside_test, words};
use super::super::config::{ClassesConfig, RollsConfig, SequencesConfig, SeriesConfig, TextConfig};
use super::super::model::model_file::ModelFile;
use super::super::model::origin::{Parts, TrainedOn};
use super::fingerprints::{beginnings, hash_of_row, known, packed, places, unpacked};
use crate::data::{Frame, Series, SeriesSplit};
use crate::format::{grouped, shell_quoted};
use crate::{Error, Result};

/// Rows of a series' training part by which it is known again, at most.
const ROWS: usize = 4096;

/// Beginnings of a text's training part, likewise.
const BEGINNINGS: usize = 64;

/// Training sequences and pieces, likewise.
const SEQUENCES: usize = 100_000;

/// What is said of a file that is none of the training's, where nothing but whole files can be compared.
pub(crate) const OTHER_FILE: &str = "another file than the model was trained on";

/// What is said where a model's file is older than this description.
const UNKNOWN: &str = "the model's file does not say what it was trained on: rows of it may be among these";

/// What is said of the run's own file.
const OWN: &str = "the file that the model was trained on; its parts are those of the run";

/// What is said of it with other parts.
const OWN_APART: &str = "the file that the model was trained on; what it was trained on is not measured";

/// How the settings split the data.
pub(crate) struct Splitting<'a> {
    /// The shares of training, validation and test.
    pub(crate) shares: &'a mut Option<Vec<f64>>,
    /// The last training row of a series, and the share of the others that validates.
    pub(crate) until: Option<(&'a mut Option<String>, &'a mut Option<f64>)>,
    /// Beside a file that tests: the share of the other that validates.
    pub(crate) beside_test: Option<&'a mut Option<f64>>,
    /// Whether there is a file that tests.
    pub(crate) has_test_file: bool,
    /// What the split is drawn from, where it is.
    pub(crate) seed: Option<&'a mut Option<u64>>,
}

impl<'a> Splitting<'a> {
    /// By shares alone.
    fn by(shares: &'a mut Option<Vec<f64>>) -> Self {
        Self { shares, until: None, beside_test: None, has_test_file: false, seed: None }
    }

    fn train_until(&self) -> Option<&String> {
        self.until.as_ref().and_then(|(until, _)| until.as_ref())
    }

    fn validation(&self) -> Option<f64> {
        let of_series = self.until.as_ref().and_then(|(_, share)| **share);
        of_series.or(self.beside_test.as_ref().and_then(|share| **share))
    }

    /// Splits the same data as the run did, unless it is `told` otherwise.
    fn put(&mut self, of: &TrainedOn, told: bool) {
        if !told {
            self.shares.clone_from(&of.split);
            if let Some((until, validation)) = &mut self.until {
                until.clone_from(&of.train_until);
                **validation = of.validation;
            }
            if let Some(validation) = &mut self.beside_test {
                **validation = of.validation;
            }
        }
        if let Some(seed) = &mut self.seed {
            **seed = seed.or(of.split_seed);
        }
    }
}

impl SeriesConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting { until: Some((&mut self.train_until, &mut self.validation)), ..Splitting::by(&mut self.split) }
    }
}

impl TextConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting::by(&mut self.split)
    }
}

impl SequencesConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting {
            beside_test: Some(&mut self.validation),
            has_test_file: self.test_file.is_some(),
            seed: Some(&mut self.split_seed),
            ..Splitting::by(&mut self.split)
        }
    }
}

impl ClassesConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting { seed: Some(&mut self.split_seed), ..Splitting::by(&mut self.split) }
    }
}

impl RollsConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting::by(&mut self.split)
    }
}

/// How data that are read stand to those that a model was trained on.
pub(crate) struct Relation<'a> {
    /// The same file among those that were trained on, the last of them first.
    own: Vec<&'a TrainedOn>,
    /// All that was trained on.
    all: &'a [TrainedOn],
    /// Whether the model's file says so at all; `None`: there is no model.
    known: Option<bool>,
    /// Whether the model is only measured or predicts.
    applies: bool,
    /// Whether the settings say how the file is split.
    told: bool,
    /// Whether the file is split as the run did.
    as_run: bool,
}

impl<'a> Relation<'a> {
    /// Of the file with this digest. The same file is split as it was, unless `data` say otherwise, and other data of a
    /// model that is only applied are not split.
    pub(crate) fn new(model: Option<&'a ModelFile>, sha256: &str, mut data: Splitting<'_>, applies: bool) -> Self {
        let origin = model.map(|model| model.origin.as_ref());
        let all = origin.flatten().map_or(&[][..], |origin| &origin.data);
        let own: Vec<&TrainedOn> = all.iter().rev().filter(|it| it.sha256 == sha256).collect();
        // A share that validates belongs to an end of the training or a file that tests, though that were missing.
        let told =
            data.shares.is_some() || data.train_until().is_some() || data.has_test_file || data.validation().is_some();
        if let Some(own) = own.first() {
            data.put(own, told);
        }
        let known = origin.map(|origin| origin.is_some());
        let shares =
            if data.has_test_file { Some(shares_beside_test(data.validation()).to_vec()) } else { data.shares.clone() };
        let is_split_so = |own: &&TrainedOn| {
            (shares.is_none() || shares == own.split)
                && data.train_until() == own.train_until.as_ref()
                && (data.train_until().is_none() || data.validation() == own.validation)
        };
        let as_run = own.first().is_some_and(is_split_so);
        Self { own, all, known, applies, told, as_run }
    }

    /// The shares where neither the settings nor the run say any.
    pub(crate) fn default_shares(&self, of_run: [f64; 3]) -> [f64; 3] {
        if self.applies { [0.0, 0.0, 1.0] } else { of_run }
    }

    /// Whether the data are split at all where the settings say nothing: those that are only measured are not, but for the
    /// file that was trained on.
    pub(crate) fn splits(&self) -> bool {
        !self.applies || !self.own.is_empty()
    }

    /// What there is to say of data that are compared as whole files, or that were found to be `other`.
    pub(crate) fn describe(&self, other: Option<&str>) -> Option<String> {
        match (self.known?, self.own.is_empty()) {
            (false, _) => Some(UNKNOWN.into()),
            (true, false) => Some(if self.as_run { OWN } else { OWN_APART }.into()),
            (true, true) => other.map(str::to_owned),
        }
    }

    /// The parts of a series apart from the rows that were trained on, and what there is to say of them. `split` is by the
    /// settings, or by default.
    ///
    /// # Errors
    /// Where training goes on, and `split` would validate or test with such rows.
    pub(crate) fn series(
        &self,
        series: &Series,
        frame: Frame,
        split: SeriesSplit,
    ) -> Result<(SeriesSplit, Option<String>)> {
        let Some(seen) = self.seen_rows(series) else {
            let words = match self.rows_looked_for() {
                None => "no row of it is known from the training of the model".into(),
                Some(count) => {
                    format!("none of the {} rows of the model's training that were looked for is here", grouped(count))
                }
            };
            return Ok((split, self.describe(Some(&words))));
        };
        let rows = series.len();
        let (own, seen_end) = (!self.own.is_empty(), seen.end.max(frame.window).min(rows));
        // Fewer rows than are forecast at once are none that can be measured.
        let seen_end = if rows - seen_end < frame.horizon { rows } else { seen_end };
        if seen_end <= split.train.end && (self.told || own || !self.applies) {
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
        let (validation_end, whole) = if self.told {
            (split.validation.end.max(seen_end), split.test.is_empty())
        } else {
            // The rows that the run chose its weights by follow those of the training.
            (seen.validation_end.clamp(seen_end, rows), false)
        };
        let short = |rows: &Range<usize>| (1..frame.horizon).contains(&rows.len());
        let (mut validation, mut test) = (seen_end..validation_end, validation_end..rows);
        if whole || short(&validation) || short(&test) {
            let begins = if self.told && !split.validation.is_empty() { rows } else { seen_end };
            (validation, test) = (seen_end..begins, begins..rows);
        }
        let train_start = if seen_end - frame.window.min(seen_end) < frame.horizon { seen_end } else { frame.window };
        let words = if self.told {
            format!("{}: no part that is measured has them", seen.words(series))
        } else {
            seen.words(series)
        };
        Ok((SeriesSplit { train: train_start..seen_end, validation, test }, Some(words)))
    }

    /// How many rows are looked for, where these are not all that trained.
    fn rows_looked_for(&self) -> Option<u64> {
        let of_runs = self.all.iter().filter_map(|it| match &it.parts {
            Parts::InOrder { ends, samples } => Some((samples.len() as u64, ends[0])),
            Parts::Drawn { .. } => None,
        });
        let (looked_for, all) = of_runs.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        (looked_for < all).then_some(looked_for)
    }

    /// The rows of the series that were trained on.
    fn seen_rows(&self, series: &Series) -> Option<Seen> {
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
            // One row of many may be equal by chance; a few rows have no room for another sample.
            let alone = found.len() == 1 && samples.len() > 1 && series.len() >= 2 * between;
            if 2 * found.len() <= last.0 - first.0 || alone {
                return None;
            }
            let is_whole = last.0 + 1 == samples.len();
            // Up to the next sample, which is not there, the rows are taken for ones of the training.
            let behind = if is_whole { 0 } else { between };
            let end = (last.1 + 1 + behind).min(series.len());
            let at = |row: usize| if is_whole { (row + end).saturating_sub(train) } else { end };
            let new = series.len().saturating_sub(at(all));
            Some(Seen { begin: (first.1 + 1).saturating_sub(between), end, validation_end: at(validation), new })
        });
        seen.filter(|seen| seen.end > 0).max_by_key(|seen| seen.end)
    }

    /// How much of a text's beginning was trained on.
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
                // Up to the next place, which has something else, it may be the same.
                seen = seen.max(places.get(found).copied().unwrap_or(ends[0]).min(text.len()));
            }
        }
        Ok(seen)
    }

    /// The parts of a text, in characters, apart from the `seen` first that were trained on, and what there is to say.
    ///
    /// # Errors
    /// Where training goes on, and `parts` would validate or test with such characters.
    pub(crate) fn text(
        &self,
        parts: crate::data::TextSplit,
        characters: u64,
        seen: u64,
        window: usize,
    ) -> Result<(crate::data::TextSplit, Option<String>)> {
        let apart = seen <= parts.train.end && (self.told || !self.own.is_empty() || !self.applies);
        if seen == 0 || apart {
            let other = "no beginning of it is that of the text that the model was trained on";
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
        // What is too short to be measured is none.
        let kept =
            |range: Range<u64>| if range.end - range.start > window as u64 { range } else { range.end..range.end };
        let parts = crate::data::TextSplit { train: 0..seen, validation: kept(validation), test: kept(test) };
        let all = grouped(characters);
        Ok((
            parts,
            Some(format!("the model was trained on the first {count} of its {all} characters: they are not measured")),
        ))
    }

    /// The parts of labelled sequences, of which `drawn` are by the settings, apart from those that were trained on, and
    /// what there is to say.
    ///
    /// # Errors
    /// Where training goes on, and `drawn` would validate or test with such sequences.
    pub(crate) fn sequences(
        &self,
        count: usize,
        hash: impl Fn(usize) -> String,
        drawn: impl FnOnce() -> Result<[Vec<usize>; 3]>,
    ) -> Result<([Vec<usize>; 3], Option<String>)> {
        let of_run = |it: &TrainedOn| match &it.parts {
            Parts::Drawn { parts, .. } => unpacked(parts, count),
            Parts::InOrder { .. } => None,
        };
        // Which they are need not be drawn again, whatever the labels are that are read now.
        if let Some(parts) = self.own.first().filter(|_| self.applies && !self.told).and_then(|it| of_run(it)) {
            return Ok((parts, Some(OWN.into())));
        }
        let mut parts = drawn()?;
        if self.own.is_empty() {
            return Ok(self.known_again(parts, hash));
        }
        let mut seen = vec![false; count];
        let of_runs = self.own.iter().filter_map(|it| of_run(it));
        of_runs.flat_map(|[training, ..]| training).for_each(|sequence| seen[sequence] = true);
        let overlap = parts[1..].iter().flatten().filter(|sequence| seen[**sequence]).count();
        if overlap == 0 {
            return Ok((parts, self.describe(Some(OTHER_FILE))));
        }
        let overlap = grouped(overlap as u64);
        if !self.applies {
            return Err(Error::Unsupported(format!(
                "the split would validate or test with {overlap} sequences that the weights of --init-from were trained \
                 on: without --split and --test-file the data are split as that run did"
            )));
        }
        take_apart(&mut parts, |sequence| seen[sequence]);
        let words =
            format!("the model was trained on {overlap} of the sequences that --split would measure: they are not");
        Ok((parts, Some(words)))
    }

    /// The parts of another file, apart from what of it is known to have been trained on, and what there is to say.
    fn known_again(
        &self,
        mut parts: [Vec<usize>; 3],
        hash: impl Fn(usize) -> String,
    ) -> ([Vec<usize>; 3], Option<String>) {
        let of_runs = self.all.iter().filter_map(|it| match &it.parts {
            Parts::Drawn { parts, samples } => Some((samples, parts)),
            Parts::InOrder { .. } => None,
        });
        let mut looked_for = HashSet::new();
        let mut all = true;
        for (samples, digits) in of_runs {
            let trains = digits.chars().filter_map(|digit| digit.to_digit(16));
            // What pads an odd number counts as one more that trains.
            let trains: usize = trains.map(|two| usize::from(two & 3 == 0) + usize::from(two >> 2 == 0)).sum();
            all &= samples.len() + 1 >= trains;
            looked_for.extend(samples.iter().map(|hash| known(hash)));
        }
        if looked_for.is_empty() {
            return (parts, self.describe(Some(OTHER_FILE)));
        }
        let held_back = parts[1..].iter().flatten();
        let is_known = |sequence: &usize| looked_for.contains(known(&hash(*sequence)));
        let seen: HashSet<usize> = held_back.copied().filter(is_known).collect();
        let (count, of) = (grouped(seen.len() as u64), grouped(looked_for.len() as u64));
        if seen.is_empty() {
            let words = if all {
                "another file than the model was trained on, without sequences of that".into()
            } else {
                format!(
                    "another file than the model was trained on; of its training {of} sequences were looked for, and none is \
                     measured here"
                )
            };
            return (parts, self.describe(Some(&words)));
        }
        let words = if self.applies {
            take_apart(&mut parts, |sequence| seen.contains(&sequence));
            let more = if all {
                String::new()
            } else {
                format!("; {of} of the training were looked for, and others of it may be among the rest")
            };
            format!("the model was trained on {count} of these sequences: they are not measured{more}")
        } else {
            format!(
                "{count} of the sequences that validate and test are ones that the weights of --init-from were trained on"
            )
        };
        (parts, Some(words))
    }

    /// The parts of pieces in the order of a file, apart from those that are known to have been trained on, and what there
    /// is to say of them.
    pub(crate) fn pieces(
        &self,
        parts: [Range<usize>; 3],
        hash: impl Fn(usize) -> String,
    ) -> ([Range<usize>; 3], Option<String>) {
        let of_runs = self.all.iter().filter_map(|it| match &it.parts {
            Parts::InOrder { samples, .. } => Some(samples.iter().map(|hash| known(hash))),
            Parts::Drawn { .. } => None,
        });
        let looked_for: HashSet<&str> = of_runs.flatten().collect();
        if !self.own.is_empty() || looked_for.is_empty() {
            return (parts, self.describe(Some(OTHER_FILE)));
        }
        let [training, validation, test] = &parts;
        let held_back = training.end..test.end;
        let seen: Vec<usize> = held_back.filter(|piece| looked_for.contains(known(&hash(*piece)))).collect();
        let Some(last) = seen.last() else {
            return (
                parts,
                self.describe(Some("no piece of it that is measured is known from the training of the model")),
            );
        };
        let count = grouped(seen.len() as u64);
        if !self.applies {
            let words = format!(
                "{count} of the pieces that validate and test are ones that the weights of --init-from were trained on"
            );
            return (parts, Some(words));
        }
        let behind = |part: &Range<usize>| part.start.max(last + 1)..part.end.max(last + 1);
        let apart = [0..last + 1, behind(validation), behind(test)];
        let words = format!("the model was trained on {count} of these pieces: only what follows them is measured");
        (apart, Some(words))
    }

    /// Refuses other shares than the run's, for data whose parts cannot be told apart after another cut.
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
                own.split.as_ref().map_or("the file's own parts".into(), words)
            )))
        }
    }
}

/// Rows that were trained on.
struct Seen {
    begin: usize,
    end: usize,
    /// Behind the rows that validated.
    validation_end: usize,
    /// Rows behind all that the run had.
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
                format!("; {new} rows after {before} are new (alone: --train-until {until} --validation 0)")
            }
        };
        format!("the model was trained on {count} of these rows, {first}–{last}{new}")
    }
}

/// A series' training part and how it was split.
pub(crate) fn of_series(sha256: String, data: &Splitting<'_>, series: &Series, split: &SeriesSplit) -> TrainedOn {
    let end = split.train.end;
    let samples = places(end as u64, ROWS)
        .into_iter()
        .map(|place| known(&hash_of_row(series, place as usize - 1)).to_owned())
        .collect();
    let ends = [end, split.validation.end, series.len()].map(|end| end as u64);
    as_split(sha256, data, Parts::InOrder { ends, samples })
}

/// A text's training part and how it was split.
///
/// # Errors
/// Those of reading the text.
pub(crate) fn of_text(
    sha256: String,
    data: &Splitting<'_>,
    text: &crate::data::Text,
    parts: &crate::data::TextSplit,
) -> Result<TrainedOn> {
    let samples = beginnings(text, &places(parts.train.end, BEGINNINGS))?;
    let ends = [parts.train.end, parts.validation.end, text.len()];
    Ok(as_split(sha256, data, Parts::InOrder { ends, samples }))
}

/// Sequences of which some train, and how they were split: `shares` are those of the file, whatever a second one does.
pub(crate) fn of_sequences(
    sha256: String,
    data: &Splitting<'_>,
    shares: [f64; 3],
    parts: &[Vec<usize>; 3],
    hash: impl Fn(usize) -> String,
) -> TrainedOn {
    let places = places(parts[0].len() as u64, SEQUENCES).into_iter();
    let samples = places.map(|place| known(&hash(parts[0][place as usize - 1])).to_owned()).collect();
    let it = as_split(sha256, data, Parts::Drawn { parts: packed(parts), samples });
    TrainedOn { split: Some(shares.to_vec()), validation: None, ..it }
}

/// Pieces in the order of a file; of frames of a single one there is no hash.
pub(crate) fn of_pieces(
    sha256: String,
    data: &Splitting<'_>,
    parts: &[Range<usize>; 3],
    hash: Option<impl Fn(usize) -> String>,
) -> TrainedOn {
    let ends = parts.each_ref().map(|part| part.end as u64);
    let samples = hash.map_or(Vec::new(), |hash| {
        let places = places(ends[0], SEQUENCES).into_iter();
        places.map(|place| known(&hash(place as usize - 1)).to_owned()).collect()
    });
    as_split(sha256, data, Parts::InOrder { ends, samples })
}

fn as_split(sha256: String, data: &Splitting<'_>, parts: Parts) -> TrainedOn {
    TrainedOn {
        sha256,
        split: data.shares.clone(),
        split_seed: data.seed.as_ref().and_then(|seed| **seed),
        train_until: data.train_until().cloned(),
        validation: data.validation(),
        parts,
    }
}

/// Puts sequences of validation and test that were trained on into the training part.
fn take_apart(parts: &mut [Vec<usize>; 3], trained: impl Fn(usize) -> bool) {
    for part in 1..3 {
        let (seen, apart) = std::mem::take(&mut parts[part]).into_iter().partition(|sequence| trained(*sequence));
        parts[part] = apart;
        let seen: Vec<usize> = seen;
        parts[0].extend(seen);
    }
    parts[0].sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_are_known_are_taken_apart_where_more_may_be_there() {
        let hash = |sequence: usize| format!("{sequence:016}");
        let samples = vec![known(&hash(20_000_000)).to_owned()];
        // Of four that trained one is looked for.
        let all = [TrainedOn { parts: Parts::Drawn { parts: "00".into(), samples }, ..TrainedOn::default() }];
        let relation =
            Relation { own: Vec::new(), all: &all, known: Some(true), applies: true, told: false, as_run: false };
        let (parts, words) = relation.known_again([vec![], vec![], vec![10_000_000, 20_000_000]], hash);
        assert_eq!(parts, [vec![20_000_000], vec![], vec![10_000_000]]);
        assert!(words.is_some_and(|words| words.contains("trained on 1 of these") && words.contains("may be among")));
        let (parts, words) = relation.known_again([vec![], vec![], vec![10_000_000]], hash);
        assert_eq!(parts[2], [10_000_000]);
        assert!(words.is_some_and(|words| words.contains("1 sequences were looked for")));
    }

    #[test]
    fn rows_that_are_alike_by_chance_are_not_those_of_the_training_and_fewer_than_a_horizon_are_not_measured() {
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
            Relation { own: Vec::new(), all: &all, known: Some(true), applies: true, told: false, as_run: false };
        let by_chance = |row: usize| if [10, 90].contains(&row) { own(row) } else { own(row) + 0.5 };
        assert!(relation.seen_rows(&series(100, &by_chance)).is_none());
        for (new, measured) in [(0, 0), (2, 0), (3, 3), (9, 9)] {
            let (frame, count) = (Frame { window: 4, horizon: 3 }, 100 + new);
            let (parts, _) = relation.series(&series(count, &own), frame, split(0, count)).unwrap();
            assert_eq!((parts.validation.len(), parts.test.len()), (0, measured), "{new} rows are new");
        }
    }
}
