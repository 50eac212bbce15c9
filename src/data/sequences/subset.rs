//! A subset of labelled sequences as examples.

use std::collections::BTreeMap;
#[cfg(feature = "experiment")]
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, Array3, s};

use super::label_index::{LabelIndex, LabelsPer};
use super::labelled::{LabelledSequences, place_of};
use super::labels::Labels;
use super::sequence_inputs::SequenceInputs;
use crate::allocate;
use crate::batch::{Batch, Sequence, Targets, check_class_weights};
use crate::data::Examples;
use crate::error::{Error, Result};

/// A subset of the sequences as examples: x is \[T, B, I\] with the length of each row, or tokens \[T, B\]. The targets
/// fit [`LabelledSequences::head`]; those without labels have weight 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    labelled: Arc<LabelledSequences>,
    index: Arc<LabelIndex>,
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
        let index = labelled.label_index();
        let beyond = |number: f64| !(number as f32).is_finite();
        let label = match &labelled.labels {
            // A missing one is NaN.
            Labels::Values(values) => values.indexed_iter().find(|(_, value)| !value.is_nan() && beyond(**value)),
            _ => None,
        };
        let label = label.map(|((label, _), value)| (index.name(label), *value));
        let number = labelled.input.find(beyond).map(|(place, number)| (place_of(place), number));
        if let Some((place, number)) = number.or(label) {
            return Err(Error::value(place, "a number within f32, to which a scaling brings it", number));
        }
        let n = labelled.input.len();
        match sequences.iter().find(|sequence| **sequence >= n) {
            Some(sequence) => Err(Error::value("a sequence of the subset", format!("an index below {n}"), sequence)),
            None => Ok(Self { labelled, index: Arc::new(index), sequences, class_weights: Vec::new(), smoothing: 0.0 }),
        }
    }

    /// Some of these examples, in this order.
    ///
    /// # Panics
    /// If there is no such example.
    #[cfg(feature = "experiment")]
    pub(crate) fn select(&self, examples: &[usize]) -> Self {
        Self { sequences: examples.iter().map(|example| self.sequences[*example]).collect(), ..self.clone() }
    }

    /// Without the sequences that have no label at any step: there is nothing to learn from them.
    #[cfg(feature = "experiment")]
    pub(crate) fn labelled_only(mut self) -> Self {
        let has_label =
            |sequence: &usize| self.index.of(*sequence).any(|label| !self.labelled.labels.is_missing(label));
        self.sequences.retain(has_label);
        self
    }

    /// Weights each sequence or step by its class, also for two classes: like [`Batch::class_weights`], so that the mean
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

    /// The number of labels of each class, without missing ones; empty if the labels are not classes.
    pub fn class_counts(&self) -> Vec<usize> {
        let Labels::Classes { names, of } = &self.labelled.labels else { return Vec::new() };
        let mut counts = vec![0; names.len()];
        let present = self.labels().filter(|label| !self.labelled.labels.is_missing(*label));
        present.for_each(|label| counts[of[label] as usize] += 1);
        counts
    }

    /// The labels of an example, as indices into those of all sequences: one, or one per step.
    #[cfg(feature = "experiment")]
    pub(crate) fn labels_of(&self, example: usize) -> Range<usize> {
        self.index.of(self.sequences[example])
    }

    /// The labels of all examples, one example after the other, including missing ones.
    pub(crate) fn labels(&self) -> impl Iterator<Item = usize> {
        self.sequences.iter().flat_map(|sequence| self.index.of(*sequence))
    }

    /// The number of labels that are not missing.
    #[cfg(feature = "experiment")]
    pub(crate) fn label_count(&self) -> usize {
        self.labels().filter(|label| !self.labelled.labels.is_missing(*label)).count()
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
        let labels = &self.labelled.labels;
        let predictions = match self.labelled.labels_per {
            LabelsPer::Sequence => 1,
            LabelsPer::Step => steps,
        };
        // The label of a prediction; none at padding and where it is missing.
        let label = |(p, b): (usize, usize)| {
            let of_row = self.index.of(rows[b]);
            Some(of_row.start + p).filter(|label| of_row.contains(label) && !labels.is_missing(*label))
        };
        let size = (predictions, rows.len());
        let values = |outputs: usize, value: &dyn Fn(usize, usize) -> f64| {
            let target = |(p, b, o)| label((p, b)).map_or(0.0, |label| value(label, o) as f32);
            Targets::Values(Array3::from_shape_fn((predictions, rows.len(), outputs), target))
        };
        let targets = match labels {
            Labels::Classes { names, of } if names.len() == 2 => {
                values(1, &|label, _| f64::from(of[label]) * (1.0 - self.smoothing) + self.smoothing / 2.0)
            }
            Labels::Classes { of, .. } => {
                Targets::Classes(Array2::from_shape_fn(size, |place| label(place).map_or(0, |label| of[label])))
            }
            Labels::Values(of) => values(of.ncols(), &|label, o| of[[label, o]]),
            Labels::None => Targets::Classes(Array2::zeros(size)),
        };
        let weight = |label: usize| match labels {
            Labels::Classes { of, .. } if !self.class_weights.is_empty() => self.class_weights[of[label] as usize],
            _ => 1.0,
        };
        let weights = Array2::from_shape_fn(size, |place| label(place).map_or(0.0, weight));
        let is_plain = |((p, b), weight): ((usize, usize), &f32)| *weight == 1.0 || predictions > 1 && p >= lengths[b];
        let all_plain = self.class_weights.is_empty() && weights.indexed_iter().all(is_plain);
        let sequence = if lengths.iter().all(|length| *length == steps) { sequence } else { sequence.lengths(lengths) };
        let batch = Batch::new(sequence, targets);
        Ok(if all_plain { batch } else { batch.weights(weights) })
    }
}
