//! The sequences and pieces that a model was trained on.

use std::collections::HashSet;
use std::ops::Range;

use super::super::fingerprints::{known, unpacked};
use super::{OTHER_FILE, OWN, Relation};
use crate::experiment::model::origin::{Parts, TrainedOn};
use crate::format::grouped;
use crate::{Error, Result};

impl Relation<'_> {
    /// The splits of labelled sequences, `drawn` by the settings, without those that were trained on, and a message.
    ///
    /// # Errors
    /// If training continues and `drawn` would validate or test on such sequences.
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
        // The recorded split is reused, whatever the labels are now.
        if let Some(parts) = self.own.first().filter(|_| self.applies && !self.is_set).and_then(|it| of_run(it)) {
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
        let words = format!(
            "the model was trained on {overlap} of the sequences that --split would measure: these are left out"
        );
        Ok((parts, Some(words)))
    }

    /// The splits of another file, without its known training sequences, and a message.
    pub(super) fn known_again(
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
            // The padding of an odd number counts as one more training sequence.
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
                "not the file that the model was trained on, and without its training sequences".into()
            } else {
                format!(
                    "not the file that the model was trained on; only {of} of its training sequences are on record, and none is \
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
                format!("; only {of} training sequences are on record, and others may be among the rest")
            };
            format!("the model was trained on {count} of these sequences: they are not measured{more}")
        } else {
            format!("{count} validation and test sequences were used to train the weights of --init-from")
        };
        (parts, Some(words))
    }

    /// The splits of pieces in file order, without known training pieces, and a message.
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
            return (parts, self.describe(Some("none of the measured pieces is a known training piece of the model")));
        };
        let count = grouped(seen.len() as u64);
        if !self.applies {
            let words = format!("{count} validation and test pieces were used to train the weights of --init-from");
            return (parts, Some(words));
        }
        let behind = |part: &Range<usize>| part.start.max(last + 1)..part.end.max(last + 1);
        let apart = [0..last + 1, behind(validation), behind(test)];
        let words = format!("the model was trained on {count} of these pieces: only what follows them is measured");
        (apart, Some(words))
    }
}

/// Moves validation and test sequences that were trained on into the training split.
fn take_apart(parts: &mut [Vec<usize>; 3], trained: impl Fn(usize) -> bool) {
    for part in 1..3 {
        let (seen, apart) = std::mem::take(&mut parts[part]).into_iter().partition(|sequence| trained(*sequence));
        parts[part] = apart;
        let seen: Vec<usize> = seen;
        parts[0].extend(seen);
    }
    parts[0].sort_unstable();
}
