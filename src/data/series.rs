//! A series of numbers: its split by time, and the sliding windows that a network learns from.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array3, s};

use super::Examples;
use crate::batch::{Batch, Sequence, Targets};
use crate::error::{Error, Result};

/// Numbers in the order of time, each with the label of its row.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the numbers are: the column's name.
    pub name: String,
    /// What the labels are: the first column's name.
    pub label_name: String,
    /// The first column's text, row by row.
    pub labels: Vec<String>,
    /// The numbers, row by row.
    pub values: Vec<f64>,
}

impl Series {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The labels as numbers, where all of them are and each is above the one before.
    pub fn positions(&self) -> Option<Vec<f64>> {
        let numbers = self.labels.iter().map(|label| label.trim().parse::<f64>().ok().filter(|n| n.is_finite()));
        let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
        numbers.is_sorted_by(|a, b| a < b).then_some(numbers)
    }

    /// The number of rows up to and with the label `until`: as a number where all labels are numbers, otherwise as text
    /// in the order of characters, which suits dates written year first.
    ///
    /// # Errors
    /// [`Error::Value`] where the labels do not ascend, or where `until` is no number among numbers.
    pub fn rows_until(&self, until: &str) -> Result<usize> {
        let what = "the last label of the training part";
        if let Some(positions) = self.positions() {
            let last = until.trim().parse::<f64>().map_err(|_| {
                let expected = format!("a number, as all of column {:?}", self.label_name);
                Error::value(what, expected, format!("{until:?}"))
            })?;
            return Ok(positions.partition_point(|position| *position <= last));
        }
        if let Some(row) = self.labels.windows(2).position(|pair| pair[0] > pair[1]) {
            let (expected, got) = (
                format!("column {:?} in ascending order", self.label_name),
                format!("{:?} after {:?} in row {}", self.labels[row + 1], self.labels[row], row + 2),
            );
            return Err(Error::value(what, expected, got));
        }
        Ok(self.labels.partition_point(|label| label.as_str() <= until))
    }
}

/// Which rows are targets of training, validation and test: three ranges that follow each other in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The targets that the network learns from; the first has a whole window before it.
    pub train: Range<usize>,
    /// The targets that tell when it has learned enough; may be empty.
    pub validation: Range<usize>,
    /// The targets that nothing is chosen by; may be empty.
    pub test: Range<usize>,
}

impl Split {
    /// Targets before row `train_end` train; of those after it the first `validation` (a share from 0 to 1) validate.
    ///
    /// # Errors
    /// [`Error::Value`] where no training target has a whole window before it, or the share is outside 0 to 1.
    pub fn at(rows: usize, window: usize, train_end: usize, validation: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&validation) {
            return Err(Error::value("the validation share", "a number from 0 to 1", validation));
        }
        let train_end = train_end.min(rows);
        let validation_end = train_end + (validation * (rows - train_end) as f64).round() as usize;
        Self::new(rows, window, train_end, validation_end)
    }

    /// Shares of all targets that have a whole window before them; they add up to 1.
    ///
    /// # Errors
    /// [`Error::Value`] where they do not, where one is negative, or where none is left to train on.
    pub fn shares(rows: usize, window: usize, shares: [f64; 3]) -> Result<Self> {
        Self::check_shares(shares)?;
        let targets = rows.saturating_sub(window) as f64;
        let end = |share: f64| window + (share * targets).round() as usize;
        Self::new(rows, window, end(shares[0]), end(shares[0] + shares[1]))
    }

    /// Refuses shares that are negative or do not add up to 1.
    pub fn check_shares(shares: [f64; 3]) -> Result<()> {
        let sum: f64 = shares.iter().sum();
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-6 {
            let got = format!("{}, {}, {}", shares[0], shares[1], shares[2]);
            return Err(Error::value("the split", "three shares of at least 0 that add up to 1", got));
        }
        Ok(())
    }

    fn new(rows: usize, window: usize, train_end: usize, validation_end: usize) -> Result<Self> {
        if window == 0 {
            return Err(Error::value("window", "at least 1", 0));
        }
        if rows <= window {
            let expected = format!("at least {} rows for a window of {window} and its target", window + 1);
            return Err(Error::value("the series", expected, format!("{rows} rows")));
        }
        if train_end <= window {
            let expected = format!("at least {} rows, a window of {window} and its target", window + 1);
            return Err(Error::value("the training part of the series", expected, format!("{train_end} rows")));
        }
        Ok(Self { train: window..train_end, validation: train_end..validation_end, test: validation_end..rows })
    }
}

/// Sliding windows over a series, each with the value after it as its target: x is \[T, B, 1\], the target \[1, B, 1\].
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    values: Arc<[f32]>,
    window: usize,
    targets: Range<usize>,
}

impl Windows {
    /// One window of `window` values (T) for each row of `targets`.
    ///
    /// # Errors
    /// [`Error::Value`] where a target has no whole window before it or lies outside the series.
    pub fn new(values: Arc<[f32]>, window: usize, targets: Range<usize>) -> Result<Self> {
        if window == 0 || targets.start < window || targets.end > values.len() {
            let expected = format!("a window of at least 1 and rows from {window} to {}", values.len());
            return Err(Error::value("the targets of the windows", expected, format!("{window} and {targets:?}")));
        }
        Ok(Self { values, window, targets })
    }

    /// The row of the series that an example predicts.
    pub fn target_row(&self, example: usize) -> usize {
        self.targets.start + example
    }
}

impl Examples for Windows {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn steps(&self, _: usize) -> usize {
        self.window
    }

    fn batch(&self, examples: &[usize], _: usize) -> Result<Batch> {
        let mut x = Array3::zeros((self.window, examples.len(), 1));
        let mut y = Array3::zeros((1, examples.len(), 1));
        for (b, example) in examples.iter().enumerate() {
            let row = self.target_row(*example);
            let window = ndarray::aview1(&self.values[row - self.window..row]);
            x.slice_mut(s![.., b, 0]).assign(&window);
            y[[0, b, 0]] = self.values[row];
        }
        Ok(Batch::new(Sequence::dense(x), Targets::Values(y)))
    }
}
