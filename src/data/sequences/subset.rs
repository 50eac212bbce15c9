//! A subset of labelled sequences as examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, Array3, s};

use super::labelled::{LabelledSequences, place_of};
use super::labels::{Labels, label_of};
use super::sequence_inputs::SequenceInputs;
use crate::allocate;
use crate::batch::{Batch, Sequence, Targets, check_class_weights};
use crate::data::Examples;
use crate::error::{Error, Result};

/// A subset of the sequences as examples: x is \[T, B, I\] with the length of each row, or tokens \[T, B\]. The targets
/// fit [`Labels::head`]; those of sequences without labels have weight 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    labelled: Arc<LabelledSequences>,
    sequences: Vec<usize>,
    /// The class weights; empty: 1.
    class_weights: Vec<f32>,
    /// Label smoothing for two classes.
    smoothing: f64,
}

impl Subset {
    /// The given sequences, in this order.
    ///
    /// # Errors
    /// [`Error::Value`] for a sequence that does not exist, or a number that f32 cannot hold; errors of
    /// [`LabelledSequences::validate`].
    pub fn new(labelled: Arc<LabelledSequences>, sequences: Vec<usize>) -> Result<Self> {
        labelled.validate()?;
        let beyond = |number: f64| !(number as f32).is_finite();
        let label = match &labelled.labels {
            Labels::Values(values) => values.indexed_iter().find(|(_, value)| beyond(**value)),
            _ => None,
        };
        let label = label.map(|((sequence, _), value)| (label_of(sequence), *value));
        let number = labelled.input.find(beyond).map(|(place, number)| (place_of(place), number));
        if let Some((place, number)) = number.or(label) {
            return Err(Error::value(place, "a number within f32, to which a scaling brings it", number));
        }
        let n = labelled.input.len();
        match sequences.iter().find(|sequence| **sequence >= n) {
            Some(sequence) => Err(Error::value("a sequence of the subset", format!("an index below {n}"), sequence)),
            None => Ok(Self { labelled, sequences, class_weights: Vec::new(), smoothing: 0.0 }),
        }
    }

    /// Weights each sequence by its class, also for two classes: like [`Batch::class_weights`], so that the mean
    /// divides by the sum of these weights.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the labels are not classes, [`Error::Shape`] unless there is one weight per class, and
    /// [`Error::Value`] for one that is not a finite number of at least 0.
    pub fn class_weights(mut self, of_class: Vec<f32>) -> Result<Self> {
        let Labels::Classes { names, .. } = &self.labelled.labels else {
            return Err(Error::Unsupported("only classes as labels have class weights".into()));
        };
        check_class_weights(&of_class, names.len())?;
        self.class_weights = of_class;
        Ok(self)
    }

    /// Smooths the targets of two classes to `smoothing` / 2 and 1 − `smoothing` / 2: the equivalent of
    /// [`Loss::SmoothedCrossEntropy`](crate::Loss::SmoothedCrossEntropy) for more classes, whose targets are unchanged.
    ///
    /// # Errors
    /// [`Error::Value`] if it is not from 0 to below 1.
    pub fn smoothing(mut self, smoothing: f64) -> Result<Self> {
        if (0.0..1.0).contains(&smoothing) {
            self.smoothing = smoothing;
            Ok(self)
        } else {
            Err(Error::value("smoothing", "at least 0 and below 1", smoothing))
        }
    }

    /// The sequences that this is a subset of.
    pub fn labelled(&self) -> &LabelledSequences {
        &self.labelled
    }

    /// The sequence of each example.
    pub fn sequences(&self) -> &[usize] {
        &self.sequences
    }

    /// The number of sequences of each length T.
    pub fn lengths(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        let lengths = self.sequences.iter().map(|sequence| self.labelled.input.length(*sequence));
        lengths.for_each(|length| *counts.entry(length).or_default() += 1);
        counts
    }

    /// The number of sequences of each class; empty if the labels are not classes.
    pub fn class_counts(&self) -> Vec<usize> {
        let Labels::Classes { names, of } = &self.labelled.labels else { return Vec::new() };
        let mut counts = vec![0; names.len()];
        self.sequences.iter().for_each(|sequence| counts[of[*sequence] as usize] += 1);
        counts
    }
}

impl Examples for Subset {
    fn len(&self) -> usize {
        self.sequences.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.labelled.input.length(self.sequences[example])
    }

    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch> {
        let rows: Vec<usize> = examples.iter().map(|example| self.sequences[*example]).collect();
        let lengths: Vec<usize> = rows.iter().map(|row| self.labelled.input.length(*row)).collect();
        let sequence = match &self.labelled.input {
            SequenceInputs::Tokens(sequences) => {
                let mut tokens = allocate::array((steps, rows.len()), "the tokens of a batch")?;
                for (b, row) in rows.iter().enumerate() {
                    tokens.slice_mut(s![..lengths[b], b]).assign(&ndarray::aview1(&sequences[*row]));
                }
                Sequence::tokens(tokens)
            }
            numbers => Sequence::dense(numbers.padded(&rows, steps)?.unwrap_or_default()),
        };
        let sequence = if lengths.iter().all(|length| *length == steps) { sequence } else { sequence.lengths(lengths) };
        let one = |class: &dyn Fn(usize) -> u32| Array2::from_shape_fn((1, rows.len()), |(_, b)| class(rows[b]));
        let batch = match &self.labelled.labels {
            Labels::None => {
                let nothing = Array2::zeros((1, rows.len()));
                Batch::new(sequence, Targets::Classes(one(&|_| 0))).weights(nothing)
            }
            Labels::Classes { names, of } if names.len() == 2 => {
                let target = |class: u32| (f64::from(class) * (1.0 - self.smoothing) + self.smoothing / 2.0) as f32;
                let second = Array3::from_shape_fn((1, rows.len(), 1), |(_, b, _)| target(of[rows[b]]));
                Batch::new(sequence, Targets::Values(second))
            }
            Labels::Classes { of, .. } => Batch::new(sequence, Targets::Classes(one(&|row| of[row]))),
            Labels::Values(values) => {
                let size = (1, rows.len(), values.ncols());
                let values = Array3::from_shape_fn(size, |(_, b, o)| values[[rows[b], o]] as f32);
                Batch::new(sequence, Targets::Values(values))
            }
        };
        Ok(match &self.labelled.labels {
            Labels::Classes { of, .. } if !self.class_weights.is_empty() => {
                let weight = |(_, b): (usize, usize)| self.class_weights[of[rows[b]] as usize];
                batch.weights(Array2::from_shape_fn((1, rows.len()), weight))
            }
            _ => batch,
        })
    }
}
