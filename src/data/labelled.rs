//! Sequences of any length with a label each.

use ndarray::Array2;

/// Sequences with what is to be told of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The sequences.
    pub input: Steps,
    /// Their labels.
    pub labels: Labels,
}

/// Sequences, each with a length of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Steps {
    /// Numbers, \[T, I\] each, with one I.
    Dense(Vec<Array2<f32>>),
    /// Token ids, T each.
    Tokens(Vec<Vec<u32>>),
}

/// What is to be told of each sequence after its last step.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// Nothing is known: sequences to predict.
    None,
    /// One of several classes.
    Classes {
        /// The classes.
        names: Vec<String>,
        /// Each sequence's, as an index of `names`.
        of: Vec<u32>,
    },
    /// Numbers, \[N, O\].
    Values(Array2<f32>),
}
