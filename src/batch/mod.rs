//! Training data: sequences with lengths and states, and targets.
//!
//! Sequences are time major. T is the number of time steps, B the number of rows. A row's steps at or beyond its length
//! are padding, whose contents are ignored.

mod labelled;

use std::ops::Range;

use ndarray::{Array2, Array3, s};

use crate::allocate;
use crate::error::{Error, Result};
use crate::memory::BatchShape;
use crate::model::{Model, Recurrent};
use crate::real::Real;
use crate::sizes::no_steps_or_rows;

pub use labelled::{Batch, Targets};
pub(crate) use labelled::{Validated, check_class_weights};

/// The input of the first layer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input<R = f32> {
    /// x, \[T, B, I\].
    Dense(Array3<R>),
    /// Token ids below I, \[T, B\]. Each selects the column of W_ih that a one-hot x would select.
    Tokens(Array2<u32>),
}

/// The states of every (layer, direction).
#[derive(Clone, Debug, PartialEq)]
pub struct States<R = f32> {
    /// h, \[L·D, B, S\].
    pub h: Array3<R>,
    /// c, \[L·D, B, H\]; `None` if the cell has none.
    pub c: Option<Array3<R>>,
}

/// An array in another number type.
fn in_type<R: Real, S: Real>(array: &Array3<R>) -> Array3<S> {
    array.mapv(|value| S::from_f64(value.as_f64()))
}

impl<R: Real> States<R> {
    /// Zero states for `rows` rows.
    ///
    /// # Panics
    /// If the number of elements overflows, as for any array.
    pub fn zeros(recurrent: &Recurrent, rows: usize) -> Self {
        let zeros = |size| Array3::from_elem((recurrent.num_layer_directions(), rows, size), R::default());
        let c = recurrent.cell.has_cell_state().then(|| zeros(recurrent.hidden_size));
        Self { h: zeros(recurrent.state_size()), c }
    }

    /// Zero states, with a checked allocation.
    ///
    /// # Errors
    /// [`Error::NoMemory`] with `what` as its name.
    pub(crate) fn try_zeros(recurrent: &Recurrent, rows: usize, what: &str) -> Result<Self> {
        let zeros = |size| allocate::array((recurrent.num_layer_directions(), rows, size), what);
        let c = recurrent.cell.has_cell_state().then(|| zeros(recurrent.hidden_size)).transpose()?;
        Ok(Self { h: zeros(recurrent.state_size())?, c })
    }

    /// The same states in another number type. f64 is rounded to f32.
    pub fn to<S: Real>(&self) -> States<S> {
        States { h: in_type(&self.h), c: self.c.as_ref().map(in_type) }
    }

    /// These states as `f32`. f64 is rounded.
    pub fn to_f32(&self) -> States {
        self.to()
    }

    /// h and, if there is one, c.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array3<R>> {
        std::iter::once(&self.h).chain(&self.c)
    }

    /// Likewise, to be changed.
    pub(crate) fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Array3<R>> {
        std::iter::once(&mut self.h).chain(&mut self.c)
    }

    /// Copies the states of some rows to their position among all rows.
    pub(crate) fn put_rows(&mut self, rows: Range<usize>, of_rows: &Self) {
        self.h.slice_mut(s![.., rows.clone(), ..]).assign(&of_rows.h);
        if let (Some(all), Some(c)) = (&mut self.c, &of_rows.c) {
            all.slice_mut(s![.., rows, ..]).assign(c);
        }
    }

    pub(crate) fn check(&self, recurrent: &Recurrent, rows: usize, name: &str) -> Result<()> {
        let expected = |size| [recurrent.num_layer_directions(), rows, size];
        let (of_h, of_c) = (expected(recurrent.state_size()), expected(recurrent.hidden_size));
        if rows == 0 {
            return Err(Error::value(format!("the rows of h_{name}"), "at least 1", 0));
        }
        if self.h.shape() != of_h {
            return Err(Error::shape(format!("h_{name}"), &of_h, self.h.shape()));
        }
        match (&self.c, recurrent.cell.has_cell_state()) {
            (Some(c), true) if c.shape() != of_c => Err(Error::shape(format!("c_{name}"), &of_c, c.shape())),
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

impl Sequence {
    /// Full-length rows of token ids, \[T, B\], starting from zero. As ids have no number type, the sequence is in f32;
    /// [`to`](Self::to) gives it in another.
    pub fn tokens(tokens: Array2<u32>) -> Self {
        Self { input: Input::Tokens(tokens), lengths: None, resets: None, initial: None }
    }
}

impl<R: Real> Sequence<R> {
    /// Full-length rows of x, \[T, B, I\], starting from zero.
    pub fn dense(x: Array3<R>) -> Self {
        Self { input: Input::Dense(x), lengths: None, resets: None, initial: None }
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

    /// The same sequence in another number type. f64 is rounded to f32.
    pub fn to<S: Real>(&self) -> Sequence<S> {
        Sequence {
            input: match &self.input {
                Input::Dense(x) => Input::Dense(in_type(x)),
                Input::Tokens(tokens) => Input::Tokens(tokens.clone()),
            },
            lengths: self.lengths.clone(),
            resets: self.resets.clone(),
            initial: self.initial.as_ref().map(States::to),
        }
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
        BatchShape::new(steps, rows).tokens(tokens).resets(self.resets.is_some())
    }

    /// The length of a row; 0 if there is no such row.
    pub fn length(&self, row: usize) -> usize {
        match &self.lengths {
            Some(lengths) => lengths.get(row).copied().unwrap_or(0),
            None if row < self.shape().1 => self.shape().0,
            None => 0,
        }
    }

    /// Whether prediction `p` of `predictions` of a row is padding. A single prediction per row never is.
    pub(crate) fn is_padding(&self, predictions: usize, p: usize, row: usize) -> bool {
        predictions > 1 && p >= self.length(row)
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
#[non_exhaustive]
pub struct Output<R = f32> {
    /// The last layer's h at every step, \[T, B, D·S\]; 0 at padding.
    pub output: Array3<R>,
    /// The final states h_n and c_n of each row.
    pub states: States<R>,
}

/// The gradient of a loss with respect to the [`Output`]. `None` means zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputGradient<R = f32> {
    /// d_output, \[T, B, D·S\]. Values at padding are ignored.
    pub output: Option<Array3<R>>,
    /// d_h_n, \[L·D, B, S\].
    pub h_n: Option<Array3<R>>,
    /// d_c_n, \[L·D, B, H\], for cells with c only.
    pub c_n: Option<Array3<R>>,
}

impl<R: Real> OutputGradient<R> {
    pub(crate) fn validate(&self, recurrent: &Recurrent, steps: usize, rows: usize) -> Result<()> {
        let states = |size| [recurrent.num_layer_directions(), rows, size];
        let cases = [
            ("d_output", &self.output, [steps, rows, recurrent.output_size()]),
            ("d_h_n", &self.h_n, states(recurrent.state_size())),
            ("d_c_n", &self.c_n, states(recurrent.hidden_size)),
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
#[non_exhaustive]
pub struct InputGradient<R = f32> {
    /// dx, \[T, B, I\], 0 at padding. `None` for tokens.
    pub x: Option<Array3<R>>,
    /// dh_0 and dc_0.
    pub initial: States<R>,
}

impl<R: Real> InputGradient<R> {
    /// Copies the gradient of some rows to their position among all `rows`, of which `all` are those known so far.
    pub(crate) fn put_rows(all: &mut Option<Self>, rows: usize, part: Range<usize>, of_part: &Self) {
        let zeros = |like: &Array3<R>| Array3::default((like.dim().0, rows, like.dim().2));
        let Self { x, initial } = all.get_or_insert_with(|| Self {
            x: of_part.x.as_ref().map(zeros),
            initial: States { h: zeros(&of_part.initial.h), c: of_part.initial.c.as_ref().map(zeros) },
        });
        if let (Some(x), Some(of_part)) = (x, &of_part.x) {
            x.slice_mut(s![.., part.clone(), ..]).assign(of_part);
        }
        initial.put_rows(part, &of_part.initial);
    }
}
