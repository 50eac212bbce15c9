//! Training data: sequences with lengths and states, and targets.
//!
//! Sequences are time major. T is the number of time steps, B the number of rows. A row's steps at or beyond its length
//! are padding, whose contents are ignored.

use std::borrow::Cow;
use std::ops::{Deref, Range};

use ndarray::{Array2, Array3, s};

use crate::allocate;
use crate::error::{Error, Result};
use crate::memory::BatchShape;
use crate::model::{Loss, Model, Recurrent};
use crate::real::Real;
use crate::sizes::no_steps_or_rows;

/// The input of the first layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<R = f32> {
    /// x, \[T, B, I\].
    Dense(Array3<R>),
    /// Token ids below I, \[T, B\]. Each selects the column of W_ih that a one-hot x would select.
    Tokens(Array2<u32>),
}

/// The states of every (layer, direction), \[L·D, B, H\].
#[derive(Clone, Debug, PartialEq)]
pub struct States<R = f32> {
    /// h.
    pub h: Array3<R>,
    /// c, for the LSTM only.
    pub c: Option<Array3<R>>,
}

impl<R: Real> States<R> {
    /// Zero states for `rows` rows.
    ///
    /// # Panics
    /// If the number of elements overflows, as for any array.
    pub fn zeros(recurrent: &Recurrent, rows: usize) -> Self {
        let zeros = || Array3::from_elem((recurrent.num_layer_directions(), rows, recurrent.hidden_size), R::default());
        Self { h: zeros(), c: recurrent.cell.has_cell_state().then(zeros) }
    }

    /// Zero states, with a checked allocation.
    ///
    /// # Errors
    /// [`Error::NoMemory`] with `what` as its name.
    pub(crate) fn try_zeros(recurrent: &Recurrent, rows: usize, what: &str) -> Result<Self> {
        let zeros = || allocate::array((recurrent.num_layer_directions(), rows, recurrent.hidden_size), what);
        Ok(Self { h: zeros()?, c: recurrent.cell.has_cell_state().then(zeros).transpose()? })
    }

    /// These states as `f32`, the type of a [`Sequence`]'s initial states in training and inference. f64 is rounded.
    pub fn to_f32(&self) -> States {
        let narrow = |array: &Array3<R>| array.mapv(|value| f32::from_f64(value.as_f64()));
        States { h: narrow(&self.h), c: self.c.as_ref().map(narrow) }
    }

    /// Copies the states of some rows to their position among all rows.
    pub(crate) fn put_rows(&mut self, rows: Range<usize>, of_rows: &Self) {
        self.h.slice_mut(s![.., rows.clone(), ..]).assign(&of_rows.h);
        if let (Some(all), Some(c)) = (&mut self.c, &of_rows.c) {
            all.slice_mut(s![.., rows, ..]).assign(c);
        }
    }

    pub(crate) fn check(&self, recurrent: &Recurrent, rows: usize, name: &str) -> Result<()> {
        let expected = [recurrent.num_layer_directions(), rows, recurrent.hidden_size];
        if rows == 0 {
            return Err(Error::value(format!("the rows of h_{name}"), "at least 1", 0));
        }
        if self.h.shape() != expected {
            return Err(Error::shape(format!("h_{name}"), &expected, self.h.shape()));
        }
        match (&self.c, recurrent.cell.has_cell_state()) {
            (Some(c), true) if c.shape() != expected => Err(Error::shape(format!("c_{name}"), &expected, c.shape())),
            (None, true) => {
                Err(Error::Unsupported(format!("the cell {} needs c_{name} beside h_{name}", recurrent.cell.name())))
            }
            (Some(_), false) => Err(Error::Unsupported(format!("the cell {} has no c_{name}", recurrent.cell.name()))),
            _ => Ok(()),
        }
    }
}

/// A batch of sequences: the input, and how each row begins and ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence<R = f32> {
    /// x or token ids.
    pub input: Input<R>,
    /// The length of each row, from 1 to T. `None`: all rows have T steps.
    pub lengths: Option<Vec<usize>>,
    /// \[T, B\]. Where true, a new sequence starts at this step, for example a new document in a text: the state entering
    /// it is zero. (In the reverse direction, the state entering the step before it is zero.)
    pub resets: Option<Array2<bool>>,
    /// h_0 and c_0. `None`: zero, or the carried state.
    pub initial: Option<States<R>>,
}

impl<R: Real> Sequence<R> {
    /// Full-length rows of x, \[T, B, I\], starting from zero.
    pub fn dense(x: Array3<R>) -> Self {
        Self { input: Input::Dense(x), lengths: None, resets: None, initial: None }
    }

    /// Full-length rows of token ids, \[T, B\], starting from zero.
    pub fn tokens(tokens: Array2<u32>) -> Self {
        Self { input: Input::Tokens(tokens), lengths: None, resets: None, initial: None }
    }

    /// Sets the length of each row.
    pub fn lengths(mut self, lengths: Vec<usize>) -> Self {
        self.lengths = Some(lengths);
        self
    }

    /// Sets where new sequences start within the rows, \[T, B\]: [`resets`](Self#structfield.resets).
    pub fn resets(mut self, resets: Array2<bool>) -> Self {
        self.resets = Some(resets);
        self
    }

    /// Sets the initial states.
    pub fn initial(mut self, states: States<R>) -> Self {
        self.initial = Some(states);
        self
    }

    /// T and B.
    pub fn shape(&self) -> (usize, usize) {
        match &self.input {
            Input::Dense(x) => (x.shape()[0], x.shape()[1]),
            Input::Tokens(tokens) => tokens.dim(),
        }
    }

    /// T, B and everything else that determines the memory of a pass; without carried states.
    pub fn batch_shape(&self) -> BatchShape {
        let (steps, rows) = self.shape();
        let tokens = matches!(self.input, Input::Tokens(_));
        BatchShape { steps, rows, tokens, resets: self.resets.is_some(), carried: 0, shapes: 1 }
    }

    /// The length of a row; 0 if there is no such row.
    pub fn length(&self, row: usize) -> usize {
        match &self.lengths {
            Some(lengths) => lengths.get(row).copied().unwrap_or(0),
            None if row < self.shape().1 => self.shape().0,
            None => 0,
        }
    }

    /// The total number of time steps, without padding.
    pub fn time_steps(&self) -> u64 {
        (0..self.shape().1).map(|row| self.length(row) as u64).sum()
    }

    /// Whether the state entering step `t` of `row` in `direction` (0 forward, 1 reverse) is kept.
    pub(crate) fn keeps(&self, direction: usize, t: usize, row: usize) -> bool {
        let Some(resets) = &self.resets else { return true };
        match direction {
            0 => !resets[[t, row]],
            _ => t + 1 >= self.length(row) || !resets[[t + 1, row]],
        }
    }

    /// Checks that the sequence fits `model`.
    ///
    /// # Errors
    /// [`Error::Shape`] for x, lengths, resets or initial states of other sizes than the model or T and B ask for;
    /// [`Error::Value`] for no steps or rows, for a length that is not from 1 to T and for a token that is not in the
    /// vocabulary, each with its place; [`Error::Unsupported`] for x where the model has an embedding.
    pub fn validate(&self, model: &Model) -> Result<()> {
        let (recurrent, (steps, rows)) = (&model.recurrent, self.shape());
        if steps == 0 || rows == 0 {
            return Err(no_steps_or_rows(steps, rows));
        }
        match &self.input {
            Input::Dense(_) if model.embedding.is_some() => {
                return Err(Error::Unsupported("a model with an embedding reads token ids, not x".into()));
            }
            Input::Dense(x) if x.shape()[2] != recurrent.input_size => {
                return Err(Error::shape("x", &[steps, rows, recurrent.input_size], x.shape()));
            }
            _ => {}
        }
        if let Some(lengths) = &self.lengths {
            if lengths.len() != rows {
                return Err(Error::shape("lengths", &[rows], &[lengths.len()]));
            }
            if let Some(row) = lengths.iter().position(|length| !(1..=steps).contains(length)) {
                return Err(Error::value(format!("lengths[{row}]"), format!("1 to T = {steps}"), lengths[row]));
            }
        }
        if let Input::Tokens(tokens) = &self.input {
            let bad = tokens
                .indexed_iter()
                .find(|((t, row), token)| *t < self.length(*row) && **token as usize >= model.vocabulary());
            if let Some(((t, row), token)) = bad {
                let expected = format!("a token below {}", model.vocabulary());
                return Err(Error::value(format!("tokens[{t}, {row}]"), expected, token));
            }
        }
        if let Some(resets) = self.resets.as_ref().filter(|resets| resets.dim() != (steps, rows)) {
            return Err(Error::shape("resets", &[steps, rows], resets.shape()));
        }
        self.initial.as_ref().map_or(Ok(()), |states| states.check(recurrent, rows, "0"))
    }

    /// A range of the rows, as a sequence of its own.
    ///
    /// # Panics
    /// If the range is out of bounds, as for a slice, or the sequence is one that [`validate`](Self::validate) rejects.
    pub fn rows(&self, range: Range<usize>) -> Self {
        let states = |states: &States<R>| States {
            h: states.h.slice(s![.., range.clone(), ..]).to_owned(),
            c: states.c.as_ref().map(|c| c.slice(s![.., range.clone(), ..]).to_owned()),
        };
        Self {
            input: match &self.input {
                Input::Dense(x) => Input::Dense(x.slice(s![.., range.clone(), ..]).to_owned()),
                Input::Tokens(tokens) => Input::Tokens(tokens.slice(s![.., range.clone()]).to_owned()),
            },
            lengths: self.lengths.as_ref().map(|lengths| lengths[range.clone()].to_vec()),
            resets: self.resets.as_ref().map(|resets| resets.slice(s![.., range.clone()]).to_owned()),
            initial: self.initial.as_ref().map(states),
        }
    }
}

/// The output of the recurrent layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Output<R = f32> {
    /// The last layer's h at every step, \[T, B, D·H\]; 0 at padding.
    pub output: Array3<R>,
    /// The final states h_n and c_n of each row.
    pub states: States<R>,
}

/// The gradient of a loss with respect to the [`Output`]. `None` means zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputGradient<R = f32> {
    /// d_output, \[T, B, D·H\]. Values at padding are ignored.
    pub output: Option<Array3<R>>,
    /// d_h_n, \[L·D, B, H\].
    pub h_n: Option<Array3<R>>,
    /// d_c_n, \[L·D, B, H\], for the LSTM only.
    pub c_n: Option<Array3<R>>,
}

impl<R: Real> OutputGradient<R> {
    pub(crate) fn validate(&self, recurrent: &Recurrent, steps: usize, rows: usize) -> Result<()> {
        let states = [recurrent.num_layer_directions(), rows, recurrent.hidden_size];
        let cases = [
            ("d_output", &self.output, [steps, rows, recurrent.output_size()]),
            ("d_h_n", &self.h_n, states),
            ("d_c_n", &self.c_n, states),
        ];
        for (name, array, expected) in cases {
            if let Some(array) = array.as_ref().filter(|array| array.shape() != expected) {
                return Err(Error::shape(name, &expected, array.shape()));
            }
        }
        if self.c_n.is_some() && !recurrent.cell.has_cell_state() {
            return Err(Error::Unsupported(format!("the cell {} has no d_c_n", recurrent.cell.name())));
        }
        Ok(())
    }
}

/// The gradient with respect to the input and the initial states.
#[derive(Clone, Debug, PartialEq)]
pub struct InputGradient<R = f32> {
    /// dx, \[T, B, I\], 0 at padding. `None` for tokens.
    pub x: Option<Array3<R>>,
    /// dh_0 and dc_0.
    pub initial: States<R>,
}

/// The targets of the predictions. P is T for a head at every step, otherwise 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// \[P, B, O\], or \[P, B, O / Q\] for Q quantiles: see [`Head::target_size`](crate::Head::target_size).
    Values(Array3<f32>),
    /// \[P, B\], classes below O, for cross-entropy with or without label smoothing.
    Classes(Array2<u32>),
}

/// A training batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The input rows.
    pub sequence: Sequence,
    /// Their targets.
    pub targets: Targets,
    /// The weight of each prediction, \[P, B\], at least 0: a mask, a class weight, or 0 to ignore a target, whose
    /// value is then not read. `None`: all 1. At padding the weight is always 0.
    pub weights: Option<Array2<f32>>,
}

impl Batch {
    /// A batch whose predictions all have weight 1.
    pub fn new(sequence: Sequence, targets: Targets) -> Self {
        Self { sequence, targets, weights: None }
    }

    /// Sets a weight for each prediction.
    pub fn weights(mut self, weights: Array2<f32>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Multiplies each prediction's weight by the weight of its class, `of_class` \[O\]. A mean then divides by the sum
    /// of these weights, as PyTorch's `weight=` of a cross-entropy without label smoothing does.
    ///
    /// # Errors
    /// The errors of [`validate`](Self::validate); [`Error::Unsupported`] for targets that are not classes;
    /// [`Error::Value`] if there are not O weights or one is negative or not finite.
    pub fn class_weights(self, model: &Model, of_class: &[f32]) -> Result<Self> {
        self.validate(model)?;
        let Targets::Classes(classes) = &self.targets else {
            return Err(Error::Unsupported("only classes as targets have class weights".into()));
        };
        check_class_weights(of_class, model.require_head()?.outputs)?;
        let weights = Array2::from_shape_fn(classes.dim(), |(p, row)| match self.weight(p, row) {
            // A prediction of weight 0 may have any number as its class.
            0.0 => 0.0,
            weight => weight * of_class[classes[[p, row]] as usize],
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
    pub fn weight(&self, p: usize, row: usize) -> f32 {
        // A single prediction per row is never padding.
        let padding = self.predictions() > 1 && p >= self.sequence.length(row);
        match &self.weights {
            _ if padding || p >= self.predictions() || row >= self.sequence.shape().1 => 0.0,
            Some(weights) => weights.get([p, row]).copied().unwrap_or(0.0),
            None => 1.0,
        }
    }

    /// Σ w over all predictions.
    pub fn total_weight(&self) -> f64 {
        let rows = self.sequence.shape().1;
        (0..self.predictions())
            .flat_map(|p| (0..rows).map(move |row| (p, row)))
            .fold(0.0, |sum, (p, row)| sum + f64::from(self.weight(p, row)))
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

    /// Checks that the batch fits `model`.
    ///
    /// # Errors
    /// Those of [`Sequence::validate`] and [`Head::validate`](crate::Head::validate); [`Error::Shape`] for weights or
    /// targets of other sizes than the predictions; [`Error::Value`] for a weight that is negative or not finite, and
    /// for a target out of its range where its weight is not 0, each with its place; [`Error::Unsupported`] for a model
    /// without a head, and for targets that the loss does not take.
    pub fn validate(&self, model: &Model) -> Result<()> {
        let head = model.require_head()?;
        head.validate()?;
        self.sequence.validate(model)?;
        let (steps, rows) = self.sequence.shape();
        let predictions = head.predictions(steps);
        if let Some(weights) = &self.weights {
            if weights.dim() != (predictions, rows) {
                return Err(Error::shape("weights", &[predictions, rows], weights.shape()));
            }
            let padding = |p, row| predictions > 1 && p >= self.sequence.length(row);
            let bad = weights.indexed_iter().find(|((p, row), weight)| !is_weight(**weight) && !padding(*p, *row));
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
                let limits = if head.loss == Loss::BinaryCrossEntropy { 0.0..=1.0 } else { f32::MIN..=f32::MAX };
                let bad = values
                    .indexed_iter()
                    .find(|((p, row, _), value)| !limits.contains(*value) && self.weight(*p, *row) > 0.0);
                if let Some(((p, row, o), value)) = bad {
                    let expected = format!("a number from {:?} to {:?}", limits.start(), limits.end());
                    return Err(Error::value(format!("targets[{p}, {row}, {o}]"), expected, value));
                }
            }
            Targets::Classes(classes) if head.loss.takes_classes() => {
                if classes.dim() != (predictions, rows) {
                    return Err(Error::shape("targets", &[predictions, rows], classes.shape()));
                }
                let bad = classes
                    .indexed_iter()
                    .find(|((p, row), class)| **class as usize >= head.outputs && self.weight(*p, *row) > 0.0);
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
}

/// A batch or sequence that has been checked against a model, so that it need not be checked again.
#[derive(Clone, Debug)]
pub struct Validated<'a, T: Clone>(Cow<'a, T>);

impl<T: Clone> Validated<'_, T> {
    /// Borrows it again.
    pub(crate) fn by_ref(&self) -> Validated<'_, T> {
        Validated(Cow::Borrowed(&self.0))
    }
}

impl<'a, R: Real> Validated<'a, Sequence<R>> {
    /// # Errors
    /// The errors of [`Sequence::validate`].
    pub(crate) fn sequence(sequence: &'a Sequence<R>, model: &Model) -> Result<Self> {
        sequence.validate(model)?;
        Ok(Self(Cow::Borrowed(sequence)))
    }

    /// A nonempty range of the rows, which fits the model too.
    pub(crate) fn rows(&self, range: Range<usize>) -> Validated<'static, Sequence<R>> {
        Validated(Cow::Owned(self.0.rows(range)))
    }
}

impl<'a> Validated<'a, Batch> {
    /// # Errors
    /// The errors of [`Batch::validate`].
    pub(crate) fn batch(batch: &'a Batch, model: &Model) -> Result<Self> {
        batch.validate(model)?;
        Ok(Self(Cow::Borrowed(batch)))
    }

    /// A nonempty range of the rows, which fits the model too.
    pub(crate) fn rows(&self, range: Range<usize>) -> Validated<'static, Batch> {
        Validated(Cow::Owned(self.0.rows(range)))
    }
}

impl<T: Clone> Deref for Validated<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Checks for one weight per class, each finite and at least 0.
pub(crate) fn check_class_weights(of_class: &[f32], classes: usize) -> Result<()> {
    if of_class.len() != classes {
        return Err(Error::shape("class_weights", &[classes], &[of_class.len()]));
    }
    match of_class.iter().position(|weight| !is_weight(*weight)) {
        Some(class) => Err(Error::value(format!("class_weights[{class}]"), WEIGHT, of_class[class])),
        None => Ok(()),
    }
}

/// The range of a weight, for error messages.
const WEIGHT: &str = "a finite number of at least 0";

fn is_weight(weight: f32) -> bool {
    weight >= 0.0 && weight.is_finite()
}
