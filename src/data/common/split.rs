//! Splits the rows of a series for training, validation and test.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Model;

/// The window and the horizon of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// W, the rows before the first predicted one; at least 1.
    pub window: usize,
    /// K, the number of predicted rows; at least 1.
    pub horizon: usize,
}

impl Frame {
    /// W + K, the number of rows of an example.
    pub fn rows(self) -> usize {
        self.window.saturating_add(self.horizon)
    }

    pub(in crate::data) fn check(self) -> Result<()> {
        let sizes = [("window", self.window), ("horizon", self.horizon)];
        // Far beyond any series, and small enough that derived sizes do not overflow.
        let most = Model::SIZE;
        match sizes.into_iter().find(|(_, size)| !(1..=most).contains(size)) {
            Some((name, size)) => Err(Error::value(name, format!("1 to {most}"), size)),
            None => Ok(()),
        }
    }
}

/// The target rows of training, validation and test: three consecutive ranges. All K rows that an example predicts are
/// in one of them; its inputs may reach back before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSplit {
    /// The training targets; the first has a whole window before it.
    pub train: Range<usize>,
    /// The validation targets, for early stopping and model selection; may be empty.
    pub validation: Range<usize>,
    /// The test targets, for the final measurement; may be empty.
    pub test: Range<usize>,
}

impl SeriesSplit {
    /// Targets before row `train_end` are for training. Of those after it, the first `validation` (a share from 0 to 1)
    /// are for validation.
    ///
    /// # Errors
    /// [`Error::Value`] if the training split has no example, if another split is neither empty nor as long as the
    /// horizon, or if the share is outside 0 to 1.
    pub fn at(rows: usize, frame: Frame, train_end: usize, validation: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&validation) {
            return Err(Error::value("the validation share", "a number from 0 to 1", validation));
        }
        let train_end = train_end.min(rows);
        enough("the series", rows, frame)?;
        enough("the training split of the series", train_end, frame)?;
        let validation_end = train_end + (validation * (rows - train_end) as f64).round() as usize;
        Self::new(rows, frame, train_end, validation_end)
    }

    /// Shares of all targets that have a whole window before them; they add up to 1. A training share of 0 leaves all
    /// targets for evaluating an existing network.
    ///
    /// # Errors
    /// [`Error::Value`] if they do not, if one is negative, and as for [`SeriesSplit::at`].
    pub fn shares(rows: usize, frame: Frame, shares: [f64; 3]) -> Result<Self> {
        Self::check_shares(shares)?;
        let targets = rows.saturating_sub(frame.window) as f64;
        let end = |share: f64| frame.window.saturating_add((share * targets).round() as usize);
        enough("the series", rows, frame)?;
        if shares[0] > 0.0 {
            enough("the training split of the series", end(shares[0]), frame)?;
        }
        Self::new(rows, frame, end(shares[0]), end(shares[0] + shares[1]))
    }

    /// The parts that have rows, by name: `training`, `validation`, `test`.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Range<usize>)> {
        let parts = [("training", &self.train), ("validation", &self.validation), ("test", &self.test)];
        parts.into_iter().filter(|(_, rows)| !rows.is_empty())
    }

    /// Refuses shares that are negative or do not add up to 1.
    ///
    /// # Errors
    /// [`Error::Value`] with the three.
    pub fn check_shares(shares: [f64; 3]) -> Result<()> {
        let sum: f64 = shares.iter().sum();
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-6 {
            let got = format!("{}, {}, {}", shares[0], shares[1], shares[2]);
            return Err(Error::value("the split", "three shares of at least 0 that add up to 1", got));
        }
        Ok(())
    }

    fn new(rows: usize, frame: Frame, train_end: usize, validation_end: usize) -> Result<Self> {
        frame.check()?;
        let Frame { window, horizon } = frame;
        let split =
            Self { train: window..train_end, validation: train_end..validation_end, test: validation_end..rows };
        for (part, rows) in [("validation", &split.validation), ("test", &split.test)] {
            if (1..horizon).contains(&rows.len()) {
                let expected = format!("no rows, or at least a horizon of {horizon}");
                return Err(Error::value(format!("the {part} split of the series"), expected, rows.len()));
            }
        }
        Ok(split)
    }
}

/// Refuses `rows` without an example.
fn enough(what: &str, rows: usize, frame: Frame) -> Result<()> {
    if rows < frame.rows() {
        let Frame { window, horizon } = frame;
        let expected = format!("at least {} rows, a window of {window} and a horizon of {horizon}", frame.rows());
        return Err(Error::value(what, expected, format!("{rows} rows")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { window: 10, horizon: 1 };

    #[test]
    fn split_fractions_apply_to_targets_with_a_full_window() {
        let split = SeriesSplit::shares(110, FRAME, [0.7, 0.15, 0.15]).unwrap();
        assert_eq!((split.train, split.validation, split.test), (10..80, 80..95, 95..110));
        assert!(SeriesSplit::shares(110, FRAME, [0.7, 0.2, 0.2]).is_err());
        assert!(SeriesSplit::shares(10, FRAME, [0.7, 0.15, 0.15]).is_err());
        assert!(SeriesSplit::shares(11, FRAME, [1.0, 0.0, 0.0]).is_ok());
        let measured = SeriesSplit::shares(110, FRAME, [0.0, 0.0, 1.0]).unwrap();
        assert_eq!((measured.train, measured.validation, measured.test), (10..10, 10..10, 10..110));
        assert!(SeriesSplit::shares(10, FRAME, [0.0, 0.0, 1.0]).is_err());
    }

    #[test]
    fn a_split_too_short_for_one_example_is_refused_by_name() {
        let frame = Frame { window: 10, horizon: 5 };
        let error = |rows, train_end, share| SeriesSplit::at(rows, frame, train_end, share).unwrap_err().to_string();
        let sizes = "expected at least 15 rows, a window of 10 and a horizon of 5";
        assert_eq!(error(14, 14, 0.0), format!("the series: {sizes}, got 14 rows"));
        assert_eq!(error(40, 14, 0.5), format!("the training split of the series: {sizes}, got 14 rows"));
        let sizes = "expected no rows, or at least a horizon of 5, got 4";
        assert_eq!(error(40, 20, 0.2), format!("the validation split of the series: {sizes}"));
        assert_eq!(error(40, 20, 0.8), format!("the test split of the series: {sizes}"));
        assert!(SeriesSplit::at(40, frame, 20, 1.0).is_ok() && SeriesSplit::at(40, frame, 20, 0.5).is_ok());
        assert!(SeriesSplit::at(40, Frame { window: 10, horizon: 0 }, 20, 0.5).is_err());
        assert!(SeriesSplit::at(40, Frame { window: usize::MAX, horizon: 2 }, 20, 0.5).is_err());
        assert!(SeriesSplit::shares(40, Frame { window: usize::MAX, horizon: 2 }, [0.5, 0.5, 0.0]).is_err());
        assert!(SeriesSplit::at(40, frame, 20, 1.5).is_err());
    }
}
