//! The numbers of room 5.

use serde::Serialize;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Columns {
    /// All columns.
    pub columns: Vec<String>,
    /// The column of the times or labels: the first.
    pub time: Option<String>,
    /// The columns of numbers.
    pub numeric: Vec<String>,
    /// The number of rows.
    pub rows: usize,
}

/// The series and the network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesDescription {
    /// The column that is forecast.
    pub target: String,
    /// The number of rows.
    pub rows: usize,
    /// The number of examples to learn from; 0 for a model from a file.
    pub training: usize,
    /// Rows of validation.
    pub validation: usize,
    /// Rows of the test.
    pub test: usize,
    /// W.
    pub window: usize,
    /// K.
    pub horizon: usize,
    /// The number of parameters.
    pub parameters: usize,
    /// What is to be known of the data and the model, as sentences.
    pub notes: Vec<String>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesStep {
    /// The number of steps so far.
    pub step: u64,
    /// How often all examples have been seen.
    pub epoch: f64,
    /// The mean loss of the steps of this call, in the network's units.
    pub loss: f64,
}

/// Errors in the units of the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// The root mean squared error.
    pub rmse: f64,
    /// The mean absolute error.
    pub mae: f64,
}

/// Who is nearer to the truth of the test, up to K rows ahead.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The errors of the network's middle forecast.
    pub network: Errors,
    /// The errors of the last value.
    pub naive: Errors,
    /// Whether the network's RMSE is the smaller one.
    pub beats: bool,
    /// The share of the truth within the range; `None` without one.
    pub coverage: Option<f64>,
}

/// The last rows of the series, with labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Past {
    /// The number of the first of them, from 0.
    pub first: usize,
    /// The labels.
    pub labels: Vec<String>,
    /// The values; NaN if missing.
    pub values: Vec<f64>,
}

/// A forecast of rows; `low` and `high` are empty without a range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Future {
    /// The labels.
    pub labels: Vec<String>,
    /// The middle forecast.
    pub median: Vec<f64>,
    /// The lowest quantile.
    pub low: Vec<f64>,
    /// The highest quantile.
    pub high: Vec<f64>,
    /// The last value.
    pub naive: Vec<f64>,
}

/// Forecasts of the test rows, one row ahead; those of the last window K rows ahead.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The number of each row, from 0.
    pub rows: Vec<usize>,
    /// What was measured; NaN if missing.
    pub truth: Vec<f64>,
    /// The middle forecast.
    pub median: Vec<f64>,
    /// The lowest quantile.
    pub low: Vec<f64>,
    /// The highest quantile.
    pub high: Vec<f64>,
}

/// All that a picture needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesResults {
    /// Who is nearer to the truth.
    pub scores: Scores,
    /// The last rows of the series.
    pub past: Past,
    /// The rows after the last one.
    pub future: Future,
    /// The rows of the test.
    pub test: Test,
}
