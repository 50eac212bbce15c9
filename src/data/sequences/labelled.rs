//! Sequences of any length with a label each, for classification or regression.

use std::collections::HashMap;

use super::labels::{Labels, label_of};
use crate::data::input::encoding::quoted;
use crate::data::{DateOrder, DecimalMark, Scaling, SequenceInputs, list_names};
use crate::error::{Error, Result};

/// Sequences with a label each.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSequences {
    /// The sequences.
    pub input: SequenceInputs,
    /// Their labels.
    pub labels: Labels,
    /// What each is called; empty where they have no names.
    pub ids: Vec<String>,
    /// What each dimension is called; empty where they have no names.
    pub dimensions: Vec<String>,
    /// The line of its file that each begins in, counted from 1; empty where they stand in no lines.
    pub lines: Vec<usize>,
    /// How the file was read where it could have been read differently, a sentence each.
    pub notes: Vec<String>,
    /// Its decimal mark, if it was given or a number showed it (`.csv`).
    pub decimal: Option<DecimalMark>,
    /// What comes first in the dates that order its steps, if that was given or they showed it (`.csv`).
    pub dates: Option<DateOrder>,
}

impl LabelledSequences {
    /// Sequences and dimensions without names.
    pub fn new(input: SequenceInputs, labels: Labels) -> Self {
        let (ids, dimensions, lines, notes) = Default::default();
        Self { input, labels, ids, dimensions, lines, notes, decimal: None, dates: None }
    }

    /// Puts the dimensions into the order of `known`, those of a trained model, where both have names.
    ///
    /// # Errors
    /// [`Error::Value`] where they are not the same.
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

    /// Puts 0 in the place of every number that is NaN, and behind the dimensions as many again, which are 1 where a
    /// number was NaN and 0 elsewhere. Tokens stay as they are.
    pub fn mask(&mut self) {
        self.input.mask();
        if !matches!(self.input, SequenceInputs::Tokens(_)) {
            let masks: Vec<String> = self.dimensions.iter().map(|name| format!("{name}, missing")).collect();
            self.dimensions.extend(masks);
        }
    }

    /// With the numbers of each dimension in the units of its scaling, computed in f64 and kept as f32. NaN, which is
    /// missing, stays; so do tokens.
    ///
    /// # Errors
    /// [`Error::Shape`] for other than one scaling a dimension; [`Error::Value`] names sequence, step and dimension,
    /// counted from 1, of a number that f32 does not hold in these units.
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

    /// `sequence 3`, and what else there is to find it by.
    pub(super) fn name(&self, sequence: usize) -> String {
        let by = match (self.ids.get(sequence), self.lines.get(sequence)) {
            (_, Some(line)) => format!(" (line {line})"),
            (Some(id), None) => format!(" (id {})", quoted(id)),
            (None, None) => String::new(),
        };
        format!("sequence {}{by}", sequence + 1)
    }

    /// Refuses what does not fit together: every sequence has a step, finite numbers and a label among the
    /// classes. What was read from a file does; what was put together or mapped by hand may not.
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
