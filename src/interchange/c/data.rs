//! What the numbers of a network are in its data: what a header's functions take and return.

use std::ops::Range;

/// What a step of a header takes.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum CInput {
    /// I numbers, as the network reads them.
    #[default]
    Numbers,
    /// The same with their names.
    Named(Vec<String>),
    /// Rows of columns in the units of the data.
    Rows(CRows),
    /// Token ids.
    Tokens(CTokens),
}

/// What token ids stand for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CTokens {
    /// Only the program that trained the network knows.
    Ids,
    /// The bytes of a file.
    Bytes,
    /// Characters, in the order of their code points; the id after the last stands for all others.
    Characters(Vec<char>),
}

/// A column of the data: x ↦ (x − offset) / unit is what the network reads, and its inverse what it predicts.
#[derive(Clone, Debug, PartialEq)]
pub struct CColumn {
    /// The name.
    pub name: String,
    /// The value that becomes 0.
    pub offset: f64,
    /// The distance that becomes 1.
    pub unit: f64,
}

/// Rows in the units of the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CRows {
    /// The columns that a row has.
    pub columns: Vec<CColumn>,
    /// What the network reads of a row, in order.
    pub features: Vec<CFeatures>,
    /// The number of rows of a step; 0 stands for 1.
    pub segment: usize,
    /// The series of a panel, each with its scaling: one of them is the first column. Empty if there is no panel.
    pub members: Vec<CColumn>,
    /// Whether a step has an input for each of these.
    pub ids: bool,
    /// How a prediction reads rows.
    pub reading: CReading,
}

/// What the network reads of some columns of a row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CFeatures {
    /// Scaled values.
    Values {
        /// The columns.
        columns: Range<usize>,
        /// Whether NaN stands for a missing value, and is read as 0.
        missing: bool,
    },
    /// For each of these columns whether its value is missing.
    Masks {
        /// The columns.
        columns: Vec<usize>,
        /// The number for a value that is missing, 0 or 1; a present one has the other.
        missing: u8,
    },
    /// Sine and cosine of a position in a cycle.
    Sines {
        /// The column of the position, from 0 on.
        column: usize,
        /// The length of the cycle; `None`: it is in the next column.
        cycle: Option<u16>,
    },
    /// 1 for a position and 0 for all others.
    Classes {
        /// The column of the position, from 0 on.
        column: usize,
        /// The number of positions.
        positions: usize,
    },
}

/// How a prediction reads rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum CReading {
    /// Row by row, from the first on: the state is carried on, or ends with its sequence.
    #[default]
    Stream,
    /// As [`Stream`](Self::Stream) or, as in training, from a state of zero over a window of the last rows, of which
    /// there may be fewer.
    Window(usize),
    /// A window of so many rows from a state of zero, whose first columns, as many as there are targets, are seen
    /// relative to the window.
    Forecast {
        /// The rows of the window.
        window: usize,
        /// What the targets are seen from.
        relative: CRelative,
    },
}

/// What the targets of a window are seen from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CRelative {
    /// Nothing in the window: the scaling of the column.
    #[default]
    None,
    /// The last value.
    Last,
    /// The mean.
    Mean,
    /// The mean, in units of √(σ² + 1e-5 u²): σ is the standard deviation of the window, u the unit of the column.
    Standard,
}

/// What a header returns.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum COutput {
    /// ŷ as the network predicts it.
    #[default]
    Numbers,
    /// The same with their names.
    Named(Vec<String>),
    /// The probability of each class; with one output that of the second of two.
    Classes(Vec<String>),
    /// Values in the units of the data: what the loss predicts of each target, step by step.
    Values(CValues),
}

/// Predictions in the units of the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CValues {
    /// The targets. In a forecast, which is scaled as its window, only the names count.
    pub targets: Vec<CColumn>,
    /// The number of steps that are predicted of each.
    pub horizon: usize,
    /// The levels of the quantiles of a target; empty if there are none.
    pub levels: Vec<f64>,
    /// For each level what is added to each target of each step, in units of the window; empty if nothing is.
    pub shifts: Vec<Vec<f64>>,
    /// Whether the network predicts one value of a target, and all quantiles are that with their shifts.
    pub around_point: bool,
}
