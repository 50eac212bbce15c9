//! Labelled sequences of any length, for classification or regression.

use std::collections::HashMap;

use super::labels::{Labels, label_of};
use crate::data::input::encoding::quoted;
use crate::data::{DateOrder, DecimalMark, Scaling, SequenceInputs, list_names};
use crate::error::{Error, Result};

/// Sequences with one label each.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSequences {
    /// The sequences.
    pub input: SequenceInputs,
    /// Their labels.
    pub labels: Labels,
    /// The names of the sequences; empty if they have none.
    pub ids: Vec<String>,
    /// The names of the dimensions; empty if they have none.
    pub dimensions: Vec<String>,
    /// The line of the file where each starts, counted from 1; empty if there are no lines.
    pub lines: Vec<usize>,
    /// Notes on how the file was read, one sentence each.
    pub notes: Vec<String>,
    /// The decimal mark, if it was set or proved by a number (`.csv`).
    pub decimal: Option<DecimalMark>,
    /// The order of dates of the steps, if it was set or detected (`.csv`).
    pub dates: Option<DateOrder>,
}

impl LabelledSequences {
    /// Sequences and dimensions without names.
    pub fn new(input: SequenceInputs, labels: Labels) -> Self {
        let (ids, dimensions, lines, notes) = Default::default();
        Self { input, labels, ids, dimensions, lines, notes, decimal: None, dates: None }
    }

    /// Reorders the dimensions to match `known`, those of a trained model, if both have names.
    ///
    /// # Errors
    /// [`Error::Value`] if the names differ.
    pub fn arrange(&mut self, known: &[String]) -> Result<()> {
        if self.dimensions.is_empty() || known.is_empty() {
            return Ok(());
        }
        let places: HashMap<&String, usize> =
            self.dimensions.iter().enumerate().map(|(place, name)| (name, place)).rev().collect();
        let of = |name: &String| places.get(name).copied();
        let order: Option<Vec<usize>> = known.iter().map(of).collect();
        let Some(order) = order.filter(|order| order.len() == self.dimensions.len()) else {
            let names = |names: &[String]| list_names(names.iter().map(String::as_str));
            return Err(Error::value("the dimensions", names(known), names(&self.dimensions)));
        };
        self.input.arrange(&order);
        self.dimensions = known.to_vec();
        Ok(())
    }

    /// Replaces every NaN by 0, and appends one mask dimension per dimension, which is 1 where a number was NaN and 0
    /// elsewhere. Tokens are unchanged.
    pub fn mask(&mut self) {
        self.input.mask();
        if !matches!(self.input, SequenceInputs::Tokens(_)) {
            let masks: Vec<String> = self.dimensions.iter().map(|name| format!("{name}, missing")).collect();
            self.dimensions.extend(masks);
        }
    }

    /// Scales each dimension, computed in f64 and stored as f32. NaN, which is missing, stays; tokens are unchanged.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one scaling per dimension; [`Error::Value`] names sequence, step and dimension,
    /// counted from 1, of a number that f32 cannot hold once scaled.
    pub fn scaled(mut self, of_dimensions: &[Scaling]) -> Result<Self> {
        let dimensions = self.input.dimensions().unwrap_or(of_dimensions.len());
        if of_dimensions.len() != dimensions {
            return Err(Error::shape("the scalings", &[dimensions], &[of_dimensions.len()]));
        }
        let input = std::mem::replace(&mut self.input, SequenceInputs::Tokens(Vec::new()));
        self.input = input.map(|[sequence, step, dimension], number| {
            let Some(scaling) = of_dimensions.get(dimension) else {
                return Err(Error::shape("the scalings", &[dimension + 1], &[of_dimensions.len()]));
            };
            let scaled = scaling.scale(number) as f32;
            if scaled.is_finite() || number.is_nan() {
                Ok(scaled)
            } else {
                let expected = format!("a number within f32 in units of {}", scaling.unit);
                let dimension = match self.dimensions.get(dimension) {
                    Some(name) => format!("{name:?}"),
                    None => (dimension + 1).to_string(),
                };
                let place = format!("{}, step {}, dimension {dimension}", self.name(sequence), step + 1);
                Err(Error::value(place, expected, format!("{number:e}")))
            }
        })?;
        Ok(self)
    }

    /// `sequence 3`, with its line or id.
    pub(super) fn name(&self, sequence: usize) -> String {
        let by = match (self.ids.get(sequence), self.lines.get(sequence)) {
            (_, Some(line)) => format!(" (line {line})"),
            (Some(id), None) => format!(" (id {})", quoted(id)),
            (None, None) => String::new(),
        };
        format!("sequence {}{by}", sequence + 1)
    }

    /// Refuses inconsistent data: every sequence needs a step, finite numbers and a label among the classes. Data read
    /// from a file are consistent; data built or changed by hand may not be.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Shape`] names the sequence, counted from 1.
    pub fn validate(&self) -> Result<()> {
        let n = self.input.len();
        if let Some(empty) = (0..n).find(|sequence| self.input.length(*sequence) == 0) {
            return Err(Error::value(format!("sequence {}", empty + 1), "at least 1 step", 0));
        }
        if let Some(dimensions) = self.input.dimensions() {
            if dimensions == 0 {
                return Err(Error::value("the dimensions of the sequences", "at least 1", 0));
            }
            if let Some((place, number)) = self.input.find(|number| !number.is_finite()) {
                return Err(Error::value(place_of(place), "a finite number", number));
            }
        }
        let dimensions = self.input.dimensions().unwrap_or_default();
        for (what, names, count) in [
            ("the ids", self.ids.len(), n),
            ("the names of the dimensions", self.dimensions.len(), dimensions),
            ("the lines", self.lines.len(), n),
        ] {
            if names > 0 && names != count {
                return Err(Error::value(what, format!("none or {count}"), names));
            }
        }
        match &self.labels {
            Labels::Classes { of, .. } if of.len() != n => {
                Err(Error::value("the labels", format!("one for each of {n} sequences"), of.len()))
            }
            Labels::Classes { names, of } => match of.iter().position(|class| *class as usize >= names.len()) {
                Some(sequence) => {
                    let expected = format!("a class below {}", names.len());
                    Err(Error::value(label_of(sequence), expected, of[sequence]))
                }
                None => Ok(()),
            },
            Labels::Values(values) if values.nrows() != n => {
                Err(Error::shape("the labels", &[n, values.ncols()], values.shape()))
            }
            Labels::Values(values) => match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
                Some(((sequence, _), value)) => Err(Error::value(label_of(sequence), "a finite number", value)),
                None => Ok(()),
            },
            Labels::None => Ok(()),
        }
    }
}

/// `sequence 3, step 2, dimension 1`.
pub(super) fn place_of([sequence, step, dimension]: [usize; 3]) -> String {
    format!("sequence {}, step {}, dimension {}", sequence + 1, step + 1, dimension + 1)
}
