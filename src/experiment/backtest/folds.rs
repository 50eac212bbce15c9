//! Where the cuts of a backtest are.

use std::ops::Range;

use crate::data::Frame;
use crate::experiment::config::agree::unsupported;
use crate::format::grouped;
use crate::{Error, Result};

/// The validation share of the rows before an origin, unless it is set.
pub(super) const VALIDATION: f64 = 0.2;

/// A fold of a rolling-origin evaluation (Tashman 2000): its rows up to the origin train and validate, the K rows after
/// it are forecast once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The number of the fold, from 1.
    pub number: usize,
    /// The number of training rows, which are the first ones of the series.
    pub train_end: usize,
    /// The number of rows up to the origin, the last row that the forecast knows.
    pub known: usize,
    /// The number of rows up to the last one that is forecast.
    pub end: usize,
}

impl Fold {
    /// The rows that validate; may be empty.
    pub fn validation(&self) -> Range<usize> {
        self.train_end..self.known
    }

    /// The rows that are forecast.
    pub fn test(&self) -> Range<usize> {
        self.known..self.end
    }

    /// The validation share of the rows after the training part, as `--validation` has it beside `--train-until`.
    pub fn validation_share(&self) -> f64 {
        self.validation().len() as f64 / (self.end - self.train_end) as f64
    }

    /// The name of its folder.
    pub fn folder(&self) -> String {
        format!("fold-{:02}", self.number)
    }
}

/// How the rows of a series are cut into folds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cuts {
    /// The number of folds.
    pub folds: usize,
    /// The number of rows between the origins of two folds.
    pub stride: usize,
    /// The window and the horizon of a forecast.
    pub frame: Frame,
    /// The validation share of the rows before an origin; `None`: a fifth, and at least a horizon.
    pub validation: Option<f64>,
}

impl Cuts {
    /// The folds of a series of `rows` rows, in the order of their origins: the last one ends at the last row.
    ///
    /// # Errors
    /// [`Error::Value`] for no folds, a stride of 0, or more folds than the rows are enough for, with the number that
    /// they are enough for; [`Error::Unsupported`] for a validation share of less than a horizon.
    pub fn folds(&self, rows: usize) -> Result<Vec<Fold>> {
        let Self { folds, stride, frame, .. } = *self;
        for (flag, number) in [("--folds", folds), ("--stride", stride), ("--horizon", frame.horizon)] {
            if number == 0 {
                return Err(Error::value(flag, "at least 1", number));
            }
        }
        let known = |before_last: usize| {
            let after = stride.checked_mul(before_last)?.checked_add(frame.horizon)?;
            rows.checked_sub(after)
        };
        // The origins move back with the number of folds, and with them the training rows.
        let fits = |count: usize| known(count - 1).is_some_and(|known| self.train_end(known) >= frame.rows());
        if !fits(folds) {
            let most = (1..folds).take_while(|count| fits(*count)).last().unwrap_or_default();
            return Err(self.too_many(rows, most));
        }
        let fold = |index: usize| {
            let known = known(folds - 1 - index).unwrap_or_default();
            Fold { number: index + 1, train_end: self.train_end(known), known, end: known + frame.horizon }
        };
        let all: Vec<Fold> = (0..folds).map(fold).collect();
        match all.iter().find(|fold| (1..frame.horizon).contains(&fold.validation().len())) {
            None => Ok(all),
            Some(fold) => Err(unsupported(format!(
                "--validation {}: expected 0, or a share of at least the horizon of {} rows; of the {} rows before the \
                 origin of fold {} it is {}",
                self.validation.unwrap_or_default(),
                frame.horizon,
                grouped(fold.known as u64),
                fold.number,
                fold.validation().len()
            ))),
        }
    }

    /// The number of training rows among those before an origin.
    fn train_end(&self, known: usize) -> usize {
        let share = |share: f64| (share * known as f64).round() as usize;
        let validation = match self.validation {
            Some(validation) => share(validation),
            None => share(VALIDATION).max(self.frame.horizon),
        };
        known.saturating_sub(validation)
    }

    fn too_many(&self, rows: usize, most: usize) -> Error {
        let Self { folds, stride, frame, .. } = self;
        let Frame { window, horizon } = frame;
        let expected = match most {
            0 => format!(
                "a series with more rows, or a smaller --horizon {horizon}, --window {window} or --validation: before the \
                 only origin there have to be {} training rows, a window and a horizon, and the validation part",
                grouped(frame.rows() as u64)
            ),
            most => format!(
                "at most {most}: with --stride {stride} and --horizon {horizon} more leave the first one fewer than {} \
                 training rows, a window of {window} and a horizon of {horizon}",
                grouped(frame.rows() as u64)
            ),
        };
        Error::value("--folds", expected, format!("{folds} of a series of {} rows", grouped(rows as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUTS: Cuts = Cuts { folds: 12, stride: 4, frame: Frame { window: 24, horizon: 12 }, validation: None };

    #[test]
    fn origins_are_a_stride_apart_and_the_last_fold_ends_at_the_last_row() {
        let folds = CUTS.folds(144).unwrap();
        assert_eq!(folds.len(), 12);
        assert_eq!(folds[0], Fold { number: 1, train_end: 70, known: 88, end: 100 });
        assert_eq!(folds[11], Fold { number: 12, train_end: 106, known: 132, end: 144 });
        assert!(folds.windows(2).all(|two| two[1].known - two[0].known == 4));
        assert!(folds.iter().all(|fold| fold.test().len() == 12 && fold.validation().end == fold.known));
        assert_eq!((folds[8].folder(), folds[9].folder()), ("fold-09".to_owned(), "fold-10".to_owned()));
    }

    #[test]
    fn the_validation_share_gives_the_same_rows_beside_an_end_of_training() {
        use crate::data::SeriesSplit;
        for rows in [70, 99, 144, 1000, 12_345] {
            for validation in [None, Some(0.0), Some(0.25), Some(0.5)] {
                let frame = Frame { window: 10, horizon: 7 };
                let cuts = Cuts { folds: 3, stride: 5, frame, validation };
                for fold in cuts.folds(rows).unwrap() {
                    let split = SeriesSplit::at(fold.end, frame, fold.train_end, fold.validation_share()).unwrap();
                    assert_eq!((split.validation, split.test), (fold.validation(), fold.test()), "{rows}");
                }
            }
        }
    }

    #[test]
    fn the_default_validation_part_is_a_fifth_and_at_least_a_horizon() {
        let of = |known: usize, validation| Cuts { validation, ..CUTS }.train_end(known);
        assert_eq!([of(100, None), of(50, None), of(100, Some(0.1)), of(100, Some(0.0))], [80, 38, 90, 100]);
    }

    #[test]
    fn more_folds_than_fit_are_refused_with_the_number_that_does() {
        let error = |cuts: Cuts, rows| cuts.folds(rows).unwrap_err().to_string();
        // The first origin needs 36 training rows and 12 to validate: with 48 known rows the 97 − 48 others are 12 and
        // 9 strides of 4, rounded down.
        let many = error(CUTS, 97);
        assert!(many.starts_with("--folds: expected at most 10: with --stride 4"), "{many}");
        assert!(Cuts { folds: 10, ..CUTS }.folds(97).is_ok() && Cuts { folds: 11, ..CUTS }.folds(97).is_err());
        let none = error(CUTS, 59);
        assert!(none.starts_with("--folds: expected a series with more rows"), "{none}");
        assert!(Cuts { folds: 1, ..CUTS }.folds(60).is_ok());
        assert!(error(Cuts { stride: 0, ..CUTS }, 144).starts_with("--stride: expected at least 1, got 0"));
        assert!(error(Cuts { folds: 0, ..CUTS }, 144).starts_with("--folds: expected at least 1, got 0"));
        assert!(Cuts { stride: usize::MAX, ..CUTS }.folds(144).is_err());
    }

    #[test]
    fn a_validation_share_below_a_horizon_is_refused_by_its_fold() {
        let error = Cuts { validation: Some(0.1), ..CUTS }.folds(144).unwrap_err().to_string();
        assert!(
            error.starts_with("--validation 0.1: expected 0, or a share of at least the horizon of 12 rows"),
            "{error}"
        );
        assert!(error.ends_with("of the 88 rows before the origin of fold 1 it is 9"), "{error}");
    }
}
