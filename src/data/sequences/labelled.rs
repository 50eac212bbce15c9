//! Labelled sequences of any length, for classification or regression.

use std::collections::HashMap;

use super::label_index::{LabelIndex, LabelsPer};
use super::labels::Labels;
use crate::data::input::encoding::quoted;
use crate::data::{DateOrder, DecimalMark, Scaling, SequenceInputs, list_names};
use crate::error::{Error, Result};
use crate::model::{Head, Readout};

/// Sequences with a label each, or with one at each of their steps.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSequences {
    /// The sequences.
    pub input: SequenceInputs,
    /// Their labels.
    pub labels: Labels,
    /// What has a label.
    pub labels_per: LabelsPer,
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
    /// Sequences and dimensions without names, and a label for each sequence.
    pub fn new(input: SequenceInputs, labels: Labels) -> Self {
        let (labels_per, ids, dimensions, lines, notes) = Default::default();
        Self { input, labels, labels_per, ids, dimensions, lines, notes, decimal: None, dates: None }
    }

    /// Sets what has a label.
    pub fn labels_per(self, labels_per: LabelsPer) -> Self {
        Self { labels_per, ..self }
    }

    /// The head for the labels: that of [`Labels::head`], which predicts at each step if each has a label.
    ///
    /// # Errors
    /// See [`Labels::head`].
    pub fn head(&self) -> Result<Head> {
        let head = self.labels.head()?;
        Ok(match self.labels_per {
            LabelsPer::Sequence => head,
            LabelsPer::Step => Head { readout: Readout::PerStep, ..head },
        })
    }

    /// Training, validation and test: see [`Labels::split`]. Sequences with labels at their steps have no class of
    /// their own.
    ///
    /// # Errors
    /// See [`Labels::split`].
    pub fn split(&self, shares: [f64; 3], seed: u64) -> Result<[Vec<usize>; 3]> {
        match self.labels_per {
            LabelsPer::Sequence => self.labels.split(self.input.len(), shares, seed),
            LabelsPer::Step => Labels::None.split(self.input.len(), shares, seed),
        }
    }

    /// Where the labels of each sequence are.
    pub(crate) fn label_index(&self) -> LabelIndex {
        match self.labels_per {
            LabelsPer::Sequence => LabelIndex::default(),
            LabelsPer::Step => LabelIndex::of_steps((0..self.input.len()).map(|sequence| self.input.length(sequence))),
        }
    }

    /// `the label of sequence 3`, with its line or id, and the step if each has a label.
    pub(super) fn label_name(&self, label: usize) -> String {
        let (sequence, step) = self.label_index().place(label);
        let step = step.map_or(String::new(), |step| format!(", step {}", step + 1));
        format!("the label of {}{step}", self.name(sequence))
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

    /// Refuses inconsistent data: every sequence needs a step, finite numbers and a label among the classes; a label of
    /// a step may be missing. Data read from a file are consistent; data built or changed by hand may not be.
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
        self.validate_labels()
    }

    fn validate_labels(&self) -> Result<()> {
        let (index, n) = (self.label_index(), self.input.len());
        let places = n.checked_sub(1).map_or(0, |last| index.of(last).end);
        let may_miss = self.labels_per == LabelsPer::Step;
        match &self.labels {
            Labels::Classes { of, .. } if of.len() != places => {
                let expected = format!("one for each of {places} {}", self.labels_per.plural());
                Err(Error::value("the labels", expected, of.len()))
            }
            Labels::Classes { names, of } => {
                let is_unknown =
                    |class: &u32| *class as usize >= names.len() && !(may_miss && *class == Labels::MISSING);
                match of.iter().position(is_unknown) {
                    Some(label) => {
                        let expected = format!("a class below {}", names.len());
                        Err(Error::value(index.name(label), expected, of[label]))
                    }
                    None => Ok(()),
                }
            }
            Labels::Values(values) if values.nrows() != places => {
                Err(Error::shape("the labels", &[places, values.ncols()], values.shape()))
            }
            Labels::Values(values) => {
                let is_missing = |label: usize| may_miss && values.row(label).iter().all(|value| value.is_nan());
                let wrong = |((label, _), value): &((usize, usize), &f64)| !value.is_finite() && !is_missing(*label);
                match values.indexed_iter().find(wrong) {
                    Some(((label, _), value)) => Err(Error::value(index.name(label), "a finite number", value)),
                    None => Ok(()),
                }
            }
            Labels::None => Ok(()),
        }
    }
}

/// `sequence 3, step 2, dimension 1`.
pub(super) fn place_of([sequence, step, dimension]: [usize; 3]) -> String {
    format!("sequence {}, step {}, dimension {}", sequence + 1, step + 1, dimension + 1)
}
