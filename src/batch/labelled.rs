//! Batches to learn from: sequences with targets and weights.

use std::borrow::Cow;
use std::ops::{Deref, Range, RangeInclusive};

use ndarray::{Array2, Array3, s};

use super::Sequence;
use crate::error::{Error, Result};
use crate::model::{Loss, Model};
use crate::real::Real;

/// The targets of the predictions. P is T for a head at every step, otherwise 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Targets<R = f32> {
    /// \[P, B, O\], or with several outputs for each target less: see [`Head::target_size`](crate::Head::target_size).
    Values(Array3<R>),
    /// \[P, B\], classes below O, for cross-entropy with or without label smoothing.
    Classes(Array2<u32>),
}

/// A training batch, in `f32` or `f64`. Every backend takes either, and rounds to its own number type.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<R = f32> {
    /// The input rows.
    pub sequence: Sequence<R>,
    /// Their targets.
    pub targets: Targets<R>,
    /// The weight of each prediction, \[P, B\], at least 0: a mask, a class weight, or 0 to ignore a target, whose
    /// value is then not read. `None`: all 1. At padding the weight is always 0.
    pub weights: Option<Array2<R>>,
}

impl<R: Real> Batch<R> {
    /// A batch whose predictions all have weight 1.
    pub fn new(sequence: Sequence<R>, targets: Targets<R>) -> Self {
        Self { sequence, targets, weights: None }
    }

    /// Sets a weight for each prediction.
    pub fn weights(mut self, weights: Array2<R>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Multiplies each prediction's weight by the weight of its class, `of_class` \[O\]. A mean then divides by the sum
    /// of these weights, as PyTorch's `weight=` of a cross-entropy without label smoothing does.
    ///
    /// # Errors
    /// The errors of [`validate`](Self::validate); [`Error::Unsupported`] for targets that are not classes;
    /// [`Error::Value`] if there are not O weights or one is negative or not finite.
    pub fn class_weights(self, model: &Model, of_class: &[R]) -> Result<Self> {
        self.validate(model)?;
        let Targets::Classes(classes) = &self.targets else {
            return Err(Error::Unsupported("only classes as targets have class weights".into()));
        };
        check_class_weights(of_class, model.require_head()?.outputs)?;
        let weights = Array2::from_shape_fn(classes.dim(), |(p, row)| {
            let weight = self.weight(p, row);
            // A prediction of weight 0 may have any number as its class.
            if weight == R::zero() { weight } else { weight * of_class[classes[[p, row]] as usize] }
        });
        Ok(self.weights(weights))
    }

    /// P: T for a head at every step, otherwise 1.
    pub fn predictions(&self) -> usize {
        match &self.targets {
            Targets::Values(values) => values.shape()[0],
            Targets::Classes(classes) => classes.shape()[0],
        }
    }

    /// The weight of a prediction: 0 at padding, and if there is no such prediction.
    pub fn weight(&self, p: usize, row: usize) -> R {
        match &self.weights {
            _ if self.sequence.is_padding(self.predictions(), p, row)
                || p >= self.predictions()
                || row >= self.sequence.shape().1 =>
            {
                R::zero()
            }
            Some(weights) => weights.get([p, row]).copied().unwrap_or_default(),
            None => R::one(),
        }
    }

    /// Σ w over all predictions.
    pub fn total_weight(&self) -> f64 {
        let rows = self.sequence.shape().1;
        (0..self.predictions())
            .flat_map(|p| (0..rows).map(move |row| (p, row)))
            .fold(0.0, |sum, (p, row)| sum + self.weight(p, row).as_f64())
    }

    /// A range of the rows, as a batch of its own.
    ///
    /// # Panics
    /// If the range is out of bounds, as for a slice, or the batch is one that [`validate`](Self::validate) rejects.
    pub fn rows(&self, range: Range<usize>) -> Self {
        Self {
            sequence: self.sequence.rows(range.clone()),
            targets: match &self.targets {
                Targets::Values(values) => Targets::Values(values.slice(s![.., range.clone(), ..]).to_owned()),
                Targets::Classes(classes) => Targets::Classes(classes.slice(s![.., range.clone()]).to_owned()),
            },
            weights: self.weights.as_ref().map(|weights| weights.slice(s![.., range.clone()]).to_owned()),
        }
    }

    /// Checks that the batch fits `model`. An engine also refuses targets and weights beyond the range of its own number
    /// type.
    ///
    /// # Errors
    /// Those of [`Sequence::validate`] and [`Head::validate`](crate::Head::validate); [`Error::Shape`] for weights or
    /// targets of other sizes than the predictions; [`Error::Value`] for a weight that is negative or not finite, and
    /// for a target out of its range where its weight is not 0, each with its place; [`Error::Unsupported`] for a model
    /// without a head, and for targets that the loss does not take.
    pub fn validate(&self, model: &Model) -> Result<()> {
        self.validate_in::<R>(model)
    }

    /// Checks that the batch fits `model` and the range of `E`.
    fn validate_in<E: Real>(&self, model: &Model) -> Result<()> {
        let head = model.require_head()?;
        head.validate()?;
        self.sequence.validate(model)?;
        let (steps, rows) = self.sequence.shape();
        let predictions = head.predictions(steps);
        if let Some(weights) = &self.weights {
            if weights.dim() != (predictions, rows) {
                return Err(Error::shape("weights", &[predictions, rows], weights.shape()));
            }
            let bad = weights.indexed_iter().find(|((p, row), weight)| {
                !is_weight::<R, E>(**weight) && !self.sequence.is_padding(predictions, *p, *row)
            });
            if let Some(((p, row), weight)) = bad {
                return Err(Error::value(format!("weights[{p}, {row}]"), WEIGHT, weight));
            }
        }
        match &self.targets {
            Targets::Values(values) if !head.loss.takes_classes() => {
                let expected = [predictions, rows, head.target_size()];
                if values.shape() != expected {
                    return Err(Error::shape("targets", &expected, values.shape()));
                }
                let (limits, words): (_, fn() -> String) = match head.loss {
                    Loss::BinaryCrossEntropy => (0.0..=1.0, || "0.0 to 1.0".into()),
                    _ if size_of::<E>() < size_of::<R>() => (range::<E>(), range_in_words::<E>),
                    _ => (range::<R>(), range_in_words::<R>),
                };
                let bad = values.indexed_iter().find(|((p, row, _), value)| {
                    !limits.contains(&value.as_f64()) && self.weight(*p, *row) > R::zero()
                });
                if let Some(((p, row, o), value)) = bad {
                    let expected = format!("a number from {}", words());
                    return Err(Error::value(format!("targets[{p}, {row}, {o}]"), expected, value));
                }
                if head.loss.takes_counts() {
                    self.check_counts::<E>(values)?;
                }
            }
            Targets::Classes(classes) if head.loss.takes_classes() => {
                if classes.dim() != (predictions, rows) {
                    return Err(Error::shape("targets", &[predictions, rows], classes.shape()));
                }
                let bad = classes
                    .indexed_iter()
                    .find(|((p, row), class)| **class as usize >= head.outputs && self.weight(*p, *row) > R::zero());
                if let Some(((p, row), class)) = bad {
                    let expected = format!("a class below {}", head.outputs);
                    return Err(Error::value(format!("targets[{p}, {row}]"), expected, class));
                }
            }
            Targets::Values(_) => {
                return Err(Error::Unsupported("cross-entropy takes classes as targets, not values".into()));
            }
            Targets::Classes(_) => {
                return Err(Error::Unsupported(format!("{:?} takes values as targets, not classes", head.loss)));
            }
        }
        Ok(())
    }

    /// Checks targets that are counts and their units, in turn.
    fn check_counts<E: Real>(&self, values: &Array3<R>) -> Result<()> {
        let fits = |o: usize, value: R| {
            if o.is_multiple_of(2) {
                value >= R::zero() && value.fract() == R::zero()
            } else {
                E::from_f64(value.as_f64()) > E::zero()
            }
        };
        let bad =
            values.indexed_iter().find(|((p, row, o), value)| !fits(*o, **value) && self.weight(*p, *row) > R::zero());
        let Some(((p, row, o), value)) = bad else { return Ok(()) };
        let expected = if o.is_multiple_of(2) {
            "a count: a whole number of at least 0"
        } else {
            "the unit of the count before it: a number above 0"
        };
        Err(Error::value(format!("targets[{p}, {row}, {o}]"), expected, value))
    }
}

/// A batch or sequence that has been checked against a model, so that it need not be checked again.
#[derive(Clone, Debug)]
pub struct Validated<'a, T: Clone>(Cow<'a, T>);

impl<T: Clone> Validated<'_, T> {
    /// A nonempty range of `rows` rows, which fits the model too. All of them are not copied.
    fn part(&self, range: Range<usize>, rows: usize, copied: impl FnOnce(&T, Range<usize>) -> T) -> Validated<'_, T> {
        Validated(if range == (0..rows) { Cow::Borrowed(&self.0) } else { Cow::Owned(copied(&self.0, range)) })
    }
}

impl<'a, R: Real> Validated<'a, Sequence<R>> {
    /// # Errors
    /// The errors of [`Sequence::validate`].
    pub(crate) fn sequence(sequence: &'a Sequence<R>, model: &Model) -> Result<Self> {
        sequence.validate(model)?;
        Ok(Self(Cow::Borrowed(sequence)))
    }

    /// A nonempty range of the rows.
    pub(crate) fn rows(&self, range: Range<usize>) -> Validated<'_, Sequence<R>> {
        self.part(range, self.shape().1, Sequence::rows)
    }
}

impl<'a, R: Real> Validated<'a, Batch<R>> {
    /// `E`: the number type of the engine.
    ///
    /// # Errors
    /// The errors of [`Batch::validate`].
    pub(crate) fn batch<E: Real>(batch: &'a Batch<R>, model: &Model) -> Result<Self> {
        batch.validate_in::<E>(model)?;
        Ok(Self(Cow::Borrowed(batch)))
    }

    /// A nonempty range of the rows.
    pub(crate) fn rows(&self, range: Range<usize>) -> Validated<'_, Batch<R>> {
        self.part(range, self.sequence.shape().1, Batch::rows)
    }
}

impl<T: Clone> Deref for Validated<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Checks for one weight per class, each finite and at least 0.
pub(crate) fn check_class_weights<R: Real>(of_class: &[R], classes: usize) -> Result<()> {
    if of_class.len() != classes {
        return Err(Error::shape("class_weights", &[classes], &[of_class.len()]));
    }
    match of_class.iter().position(|weight| !is_weight::<R, R>(*weight)) {
        Some(class) => Err(Error::value(format!("class_weights[{class}]"), WEIGHT, of_class[class])),
        None => Ok(()),
    }
}

/// The range of a weight, for error messages.
const WEIGHT: &str = "a finite number of at least 0";

/// Whether a weight is at least 0 and finite in its own type and in `E`.
fn is_weight<R: Real, E: Real>(weight: R) -> bool {
    weight >= R::zero() && weight.is_finite() && E::from_f64(weight.as_f64()).is_finite()
}

/// The finite numbers of a type.
fn range<R: Real>() -> RangeInclusive<f64> {
    R::min_value().as_f64()..=R::max_value().as_f64()
}

fn range_in_words<R: Real>() -> String {
    format!("{:?} to {:?}", R::min_value(), R::max_value())
}
