//! The labels of sequences or of their steps: classes or values.

use std::collections::{BTreeSet, HashMap};

use ndarray::Array2;

use super::label_index::LabelIndex;
use crate::allocate;
use crate::data::list_names;
use crate::data::values::numeric_name::canonical;
use crate::error::{Error, Result};
use crate::model::{Head, Loss, Readout};

/// The label of each sequence, or of each step: [`LabelsPer`](super::LabelsPer). Those of the steps of one sequence
/// follow each other, in the order of the sequences.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// Unknown: sequences to predict.
    None,
    /// One of several classes.
    Classes {
        /// The class names.
        names: Vec<String>,
        /// The class of each sequence or step, as an index into `names`; a step may be [`Labels::MISSING`].
        of: Vec<u32>,
    },
    /// Numbers, \[N, O\] for N sequences or steps. All O of a step may be NaN: its label is missing.
    Values(Array2<f64>),
}

impl Labels {
    /// The class of a step whose label is missing.
    pub const MISSING: u32 = u32::MAX;

    /// The number of labels, including missing ones.
    pub fn len(&self) -> usize {
        match self {
            Labels::None => 0,
            Labels::Classes { of, .. } => of.len(),
            Labels::Values(values) => values.nrows(),
        }
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a label is missing, or is none of those that there are.
    pub fn is_missing(&self, label: usize) -> bool {
        match self {
            Labels::None => true,
            Labels::Classes { of, .. } => of.get(label).is_none_or(|class| *class == Self::MISSING),
            Labels::Values(values) => label >= values.nrows() || values.row(label).iter().any(|value| value.is_nan()),
        }
    }

    /// Classes from the name of each sequence: those that occur, sorted as numbers if all are, otherwise as text. A
    /// number is one name, however it is written: `1.0` is `1`, while `01` is a code and another name.
    pub fn from_names<S: AsRef<str>>(of: &[S]) -> Self {
        let of: Vec<_> = of.iter().map(|name| canonical(name.as_ref())).collect();
        let mut names: Vec<&str> = of.iter().map(AsRef::as_ref).collect::<BTreeSet<_>>().into_iter().collect();
        let number = |name: &str| name.parse::<f64>().unwrap_or(f64::NAN);
        if names.iter().all(|name| number(name).is_finite()) {
            names.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        let index: HashMap<&str, u32> = names.iter().zip(0..).map(|(name, class)| (*name, class)).collect();
        let classes = of.iter().map(|name| index[name.as_ref()]).collect();
        Labels::Classes { names: names.into_iter().map(Into::into).collect(), of: classes }
    }

    /// Like [`from_names`](Self::from_names), from distinct names and the index of each sequence.
    pub(in crate::data) fn from_distinct(DistinctNames { index, of }: DistinctNames) -> Self {
        let mut distinct: Vec<(String, u32)> = index.into_iter().collect();
        distinct.sort_unstable_by_key(|(_, number)| *number);
        let distinct: Vec<String> = distinct.into_iter().map(|(name, _)| name).collect();
        match Self::from_names(&distinct) {
            Labels::Classes { names, of: classes } => {
                let class = |number: u32| classes.get(number as usize).copied().unwrap_or(Self::MISSING);
                Labels::Classes { names, of: of.into_iter().map(class).collect() }
            }
            other => other,
        }
    }

    /// The head for labels of sequences, with one prediction after the last step: a sigmoid for two classes, which is
    /// the probability of the second; a softmax for more; squared error for values. For labels of steps its readout is
    /// [`Readout::PerStep`] instead, as [`LabelledSequences::head`](super::LabelledSequences::head) has it.
    ///
    /// # Errors
    /// [`Error::Value`] if there are fewer than two classes or no values, [`Error::Unsupported`] if there are no
    /// labels.
    pub fn head(&self) -> Result<Head> {
        match self {
            Labels::None => Err(Error::Unsupported("a head needs labels; these sequences have none".into())),
            Labels::Classes { names, .. } => match names.len() {
                0 | 1 => Err(Error::value("the classes", "at least 2", format!("{names:?}"))),
                2 => Ok(Head::new(1, Loss::BinaryCrossEntropy, Readout::Final)),
                classes => Ok(Head::new(classes, Loss::CrossEntropy, Readout::Final)),
            },
            Labels::Values(values) => match values.ncols() {
                0 => Err(Error::value("the values of a label", "at least 1", 0)),
                outputs => Ok(Head::new(outputs, Loss::SquaredError, Readout::Final)),
            },
        }
    }

    /// Renumbers the classes as in `known`, those of a trained model. Sequences without labels stay so.
    ///
    /// # Errors
    /// [`Error::Value`] names the first sequence, counted from 1, with an unknown label; [`Error::Unsupported`] if the
    /// labels are values.
    pub fn renumber(&mut self, known: &[String]) -> Result<()> {
        self.renumber_at(known, &LabelIndex::default())
    }

    /// Like [`renumber`](Self::renumber); an error names the step too if each has a label. Missing labels stay so.
    pub(crate) fn renumber_at(&mut self, known: &[String], index: &LabelIndex) -> Result<()> {
        let (names, of) = match self {
            Labels::None => return Ok(()),
            Labels::Values(_) => {
                return Err(Error::Unsupported("expected labels that are classes, got values".into()));
            }
            Labels::Classes { names, of } => (names, of),
        };
        let places: HashMap<_, u32> = known.iter().map(|name| canonical(name)).zip(0..).collect();
        let mut classes = Vec::with_capacity(of.len());
        for (label, class) in of.iter().enumerate() {
            if *class == Self::MISSING {
                classes.push(*class);
                continue;
            }
            let Some(name) = names.get(*class as usize) else {
                let expected = format!("a class below {}", names.len());
                return Err(Error::value(index.name(label), expected, class));
            };
            let Some(class) = places.get(&canonical(name)) else {
                let expected = format!("one of {}", list_names(known.iter().map(String::as_str)));
                return Err(Error::value(index.name(label), expected, format!("{name:?}")));
            };
            classes.push(*class);
        }
        (*names, *of) = (known.to_vec(), classes);
        Ok(())
    }
}

/// Collects the class name of each sequence or step, storing each distinct one once.
#[derive(Default)]
pub(in crate::data) struct DistinctNames {
    index: HashMap<String, u32>,
    of: Vec<u32>,
}

impl DistinctNames {
    /// # Errors
    /// [`Error::NoMemory`].
    pub(in crate::data) fn push(&mut self, name: &str) -> Result<()> {
        let next = self.index.len() as u32;
        let number = match self.index.get(name) {
            Some(number) => *number,
            None => *self.index.entry(name.to_owned()).or_insert(next),
        };
        allocate::push(&mut self.of, number, LABELS)
    }

    /// A step without a label.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(in crate::data) fn push_missing(&mut self) -> Result<()> {
        allocate::push(&mut self.of, Labels::MISSING, LABELS)
    }

    /// Moves each label to its place among all.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    #[cfg(feature = "csv")]
    pub(in crate::data) fn arrange(&mut self, places: &[u32]) -> Result<()> {
        let mut of = allocate::zeros(self.of.len(), LABELS)?;
        places.iter().zip(&self.of).for_each(|(place, number)| of[*place as usize] = *number);
        self.of = of;
        Ok(())
    }

    /// The name of a sequence.
    #[cfg(feature = "csv")]
    fn number(&self, sequence: usize) -> Option<u32> {
        self.of.get(sequence).copied()
    }

    /// Whether a sequence has this name.
    #[cfg(feature = "csv")]
    pub(in crate::data) fn has(&self, sequence: usize, name: &str) -> bool {
        self.index.get(name).copied() == self.number(sequence)
    }

    /// The name of a sequence among the distinct ones.
    #[cfg(feature = "csv")]
    pub(in crate::data) fn name(&self, sequence: usize) -> &str {
        let of = self.number(sequence);
        let mut all = self.index.iter();
        all.find(|(_, number)| Some(**number) == of).map_or("", |(name, _)| name.as_str())
    }
}

/// The name of the allocation in errors.
const LABELS: &str = "the labels of sequences";
