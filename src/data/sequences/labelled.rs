//! Sequences of any length with a label each: what is classified, or what a value is told of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ndarray::{Array2, Array3, s};

use crate::allocate;
use crate::batch::{Batch, Sequence, Targets, check_class_weights};
use crate::data::input::encoding::quoted;
use crate::data::values::numeric_name::canonical;
use crate::data::{DateOrder, DecimalMark, Examples, Scaling, Steps, listed};
use crate::error::{Error, Result};
use crate::model::{Head, Loss, Readout};

/// Sequences with what is to be told of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The sequences.
    pub input: Steps,
    /// Their labels.
    pub labels: Labels,
    /// What each is called; empty where they have no names.
    pub ids: Vec<String>,
    /// What each dimension is called; empty where they have no names.
    pub dimensions: Vec<String>,
    /// The line of its file that each begins in, counted from 1; empty where they stand in no lines.
    pub lines: Vec<usize>,
    /// How the file was read where it could have been read otherwise, in words, a line each.
    pub notes: Vec<String>,
    /// How its numbers are written, where that was told or one of them showed it (`.csv`).
    pub decimal: Option<DecimalMark>,
    /// What comes first in the dates that order its steps, where that was told or they showed it (`.csv`).
    pub dates: Option<DateOrder>,
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
    Values(Array2<f64>),
}

impl Labelled {
    /// Sequences and dimensions without names.
    pub fn new(input: Steps, labels: Labels) -> Self {
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
            let names = |names: &[String]| listed(names.iter().map(String::as_str));
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
        if !matches!(self.input, Steps::Tokens(_)) {
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
        let input = std::mem::replace(&mut self.input, Steps::Tokens(Vec::new()));
        self.input = input.map(|[sequence, step, dimension], number| {
            let Some(scaling) = of_dimensions.get(dimension) else {
                return Err(Error::shape("the scalings", &[dimension + 1], &[of_dimensions.len()]));
            };
            let scaled = scaling.scale(number) as f32;
            match scaled.is_finite() || number.is_nan() {
                true => Ok(scaled),
                false => {
                    let expected = format!("a number within f32 in units of {}", scaling.unit);
                    let dimension = match self.dimensions.get(dimension) {
                        Some(name) => format!("{name:?}"),
                        None => (dimension + 1).to_string(),
                    };
                    let place = format!("{}, step {}, dimension {dimension}", self.name(sequence), step + 1);
                    Err(Error::value(place, expected, format!("{number:e}")))
                }
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

impl Labels {
    /// Classes from each sequence's name: those that occur, in the order of numbers where all of them are some, otherwise
    /// in that of text. A number is one name, however it is written: `1.0` is `1`, while `01` is a code and another name.
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

    /// As [`from_names`](Self::from_names), of names and which of them each sequence has.
    pub(in crate::data) fn from_distinct(DistinctNames { index, of }: DistinctNames) -> Self {
        let mut distinct: Vec<(String, u32)> = index.into_iter().collect();
        distinct.sort_unstable_by_key(|(_, number)| *number);
        let distinct: Vec<String> = distinct.into_iter().map(|(name, _)| name).collect();
        match Self::from_names(&distinct) {
            Labels::Classes { names, of: classes } => {
                Labels::Classes { names, of: of.into_iter().map(|number| classes[number as usize]).collect() }
            }
            other => other,
        }
    }

    /// The head that learns them, one prediction after the last step: a sigmoid for two classes, which tells the
    /// probability of the second, a softmax for more, squared error for values.
    ///
    /// # Errors
    /// [`Error::Value`] where there is nothing to tell apart, [`Error::Unsupported`] where there are no labels.
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

    /// Numbers the classes as in `known`, those of a trained model. Sequences without labels stay so.
    ///
    /// # Errors
    /// [`Error::Value`] names the first sequence, counted from 1, whose label is not known, or what is not a class;
    /// [`Error::Unsupported`] where the labels are values.
    pub fn renumber(&mut self, known: &[String]) -> Result<()> {
        let (names, of) = match self {
            Labels::None => return Ok(()),
            Labels::Values(_) => {
                return Err(Error::Unsupported("expected labels that are classes, got values".into()));
            }
            Labels::Classes { names, of } => (names, of),
        };
        let index: HashMap<_, u32> = known.iter().map(|name| canonical(name)).zip(0..).collect();
        let mut classes = Vec::with_capacity(of.len());
        for (sequence, class) in of.iter().enumerate() {
            let Some(name) = names.get(*class as usize) else {
                let expected = format!("a class below {}", names.len());
                return Err(Error::value(label_of(sequence), expected, class));
            };
            let Some(class) = index.get(&canonical(name)) else {
                let expected = format!("one of {}", listed(known.iter().map(String::as_str)));
                return Err(Error::value(label_of(sequence), expected, format!("{name:?}")));
            };
            classes.push(*class);
        }
        (*names, *of) = (known.to_vec(), classes);
        Ok(())
    }
}

/// The name of each sequence's class as it comes, each different one kept once.
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
        allocate::push(&mut self.of, number, "the labels of sequences")
    }

    /// That of a sequence.
    pub(super) fn number(&self, sequence: usize) -> Option<u32> {
        self.of.get(sequence).copied()
    }

    /// Whether a sequence has this name.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "long form is read by the program alone"))]
    pub(in crate::data) fn has(&self, sequence: usize, name: &str) -> bool {
        self.index.get(name).copied() == self.number(sequence)
    }

    /// The name of a sequence, found among all.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "long form is read by the program alone"))]
    pub(in crate::data) fn name(&self, sequence: usize) -> &str {
        let of = self.number(sequence);
        let mut all = self.index.iter();
        all.find(|(_, number)| Some(**number) == of).map_or("", |(name, _)| name.as_str())
    }
}

/// `sequence 3, step 2, dimension 1`.
fn place_of([sequence, step, dimension]: [usize; 3]) -> String {
    format!("sequence {}, step {}, dimension {}", sequence + 1, step + 1, dimension + 1)
}

fn label_of(sequence: usize) -> String {
    format!("the label of sequence {}", sequence + 1)
}

/// Some of the sequences, as examples: x is \[T, B, I\] with each row's length, or tokens \[T, B\]. The targets suit
/// [`Labels::head`]; those of sequences without labels weigh nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    labelled: Arc<Labelled>,
    sequences: Vec<usize>,
    /// The weight of each class; empty: 1.
    class_weights: Vec<f32>,
    /// How much of the targets of two classes is spread over both.
    smoothing: f64,
}

impl Subset {
    /// The named sequences, in this order.
    ///
    /// # Errors
    /// [`Error::Value`] for a sequence that there is not, or for a number that f32 does not hold, as the network's are;
    /// what [`Labelled::validate`] refuses.
    pub fn new(labelled: Arc<Labelled>, sequences: Vec<usize>) -> Result<Self> {
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

    /// With each sequence weighing what its class does, for two classes as for more: as [`Batch::class_weights`] does it for
    /// a batch, whose mean then divides by the sum of these weights.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the labels are not classes, [`Error::Shape`] for other than a weight each, and
    /// [`Error::Value`] for one that is not a finite number of at least 0.
    pub fn class_weights(mut self, of_class: Vec<f32>) -> Result<Self> {
        let Labels::Classes { names, .. } = &self.labelled.labels else {
            return Err(Error::Unsupported("only classes as labels have class weights".into()));
        };
        check_class_weights(&of_class, names.len())?;
        self.class_weights = of_class;
        Ok(self)
    }

    /// With the targets of two classes at `smoothing` / 2 and 1 − `smoothing` / 2 in place of 0 and 1: what
    /// [`Loss::SmoothedCrossEntropy`] does for the outputs of more, whose targets stay as they are.
    ///
    /// # Errors
    /// [`Error::Value`] where it is not from 0 to below 1.
    pub fn smoothing(mut self, smoothing: f64) -> Result<Self> {
        match (0.0..1.0).contains(&smoothing) {
            true => {
                self.smoothing = smoothing;
                Ok(self)
            }
            false => Err(Error::value("smoothing", "at least 0 and below 1", smoothing)),
        }
    }

    /// What this is a part of.
    pub fn labelled(&self) -> &Labelled {
        &self.labelled
    }

    /// The sequence of each example.
    pub fn sequences(&self) -> &[usize] {
        &self.sequences
    }

    /// How many sequences there are of each length T.
    pub fn lengths(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        let lengths = self.sequences.iter().map(|sequence| self.labelled.input.length(*sequence));
        lengths.for_each(|length| *counts.entry(length).or_default() += 1);
        counts
    }

    /// How many sequences there are of each class; empty where the labels are not classes.
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
            Steps::Tokens(sequences) => {
                let mut tokens = allocate::array((steps, rows.len()), "the tokens of a batch")?;
                for (b, row) in rows.iter().enumerate() {
                    tokens.slice_mut(s![..lengths[b], b]).assign(&ndarray::aview1(&sequences[*row]));
                }
                Sequence::tokens(tokens)
            }
            numbers => Sequence::dense(numbers.padded(&rows, steps)?.unwrap_or_default()),
        };
        let sequence = match lengths.iter().all(|length| *length == steps) {
            true => sequence,
            false => sequence.lengths(lengths),
        };
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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::batch::Input;
    use crate::data::Sequences;
    use crate::model::{Cell, Model, Recurrent};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn three(labels: Labels) -> Arc<Labelled> {
        let sequences = vec![array![[1.0, 10.0]], array![[2.0, 20.0], [3.0, 30.0]], array![[4.0, 40.0]]];
        Arc::new(Labelled::new(Steps::dense(sequences), labels))
    }

    #[test]
    fn a_batch_holds_its_sequences_with_lengths_and_zeros_after_them() {
        let labelled = three(Labels::Classes { names: names(&["a", "b", "c"]), of: vec![2, 0, 1] });
        let subset = Subset::new(labelled, vec![2, 1]).unwrap();
        let batch = subset.batch(&[1, 0], 3).unwrap();
        let x = array![[[2.0, 20.0], [4.0, 40.0]], [[3.0, 30.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]];
        assert_eq!(batch.sequence, Sequence::dense(x).lengths(vec![2, 1]));
        assert_eq!(batch.targets, Targets::Classes(array![[0, 1]]));
        assert_eq!(subset.batch(&[0], 1).unwrap().sequence.lengths, None);
    }

    #[test]
    fn a_sequence_weighs_what_its_class_does_for_two_classes_as_for_more() {
        for classes in [&["a", "b"][..], &["a", "b", "c"]] {
            let labelled = three(Labels::Classes { names: names(classes), of: vec![1, 0, 1] });
            let subset = Subset::new(labelled, vec![2, 1]).unwrap();
            assert_eq!(subset.batch(&[0, 1], 2).unwrap().weights, None);
            let of_class = [4.0, 0.5, 2.0][..classes.len()].to_vec();
            let weighted = subset.clone().class_weights(of_class.clone()).unwrap().batch(&[1, 0], 2).unwrap();
            assert_eq!(weighted.weights, Some(array![[4.0, 0.5]]));
            let unweighted = subset.batch(&[1, 0], 2).unwrap();
            assert_eq!(weighted.targets, unweighted.targets);
            if classes.len() == 3 {
                let labels = Labels::Classes { names: names(classes), of: Vec::new() };
                let model = Model::new(Recurrent::new(Cell::Gru, 2, 1), labels.head().unwrap());
                assert_eq!(weighted, unweighted.class_weights(&model, &of_class).unwrap());
            }
        }
        let subset = |labels| Subset::new(three(labels), vec![0]).unwrap();
        let classes = || subset(Labels::Classes { names: names(&["a", "b"]), of: vec![1, 0, 1] });
        assert!(classes().class_weights(vec![1.0]).is_err());
        for weight in [-1.0, f32::NAN, f32::INFINITY] {
            let error = classes().class_weights(vec![1.0, weight]).unwrap_err().to_string();
            assert!(error.starts_with("class_weights[1]: expected a finite number"), "{error}");
        }
        assert!(subset(Labels::Values(array![[1.0], [2.0], [3.0]])).class_weights(vec![1.0]).is_err());
    }

    #[test]
    fn smoothing_moves_the_targets_of_two_classes_towards_each_other() {
        let labelled = three(Labels::Classes { names: names(&["a", "b"]), of: vec![1, 0, 1] });
        let subset = Subset::new(labelled, vec![0, 1]).unwrap();
        let smoothed = subset.clone().smoothing(0.2).unwrap().batch(&[0, 1], 2).unwrap();
        assert_eq!(smoothed.targets, Targets::Values(array![[[0.9], [0.1]]]));
        for smoothing in [-0.1, 1.0, f64::NAN] {
            assert!(subset.clone().smoothing(smoothing).is_err());
        }
    }

    #[test]
    fn tokens_are_padded_too() {
        let input = Steps::Tokens(vec![vec![5, 6, 7], vec![8]]);
        let subset = Subset::new(Arc::new(Labelled::new(input, Labels::None)), vec![0, 1]).unwrap();
        let batch = subset.batch(&[0, 1], 3).unwrap();
        assert_eq!(batch.sequence.input, Input::Tokens(array![[5, 8], [6, 0], [7, 0]]));
        assert_eq!(batch.total_weight(), 0.0);
    }

    #[test]
    fn every_kind_of_label_gives_batches_that_suit_its_head() {
        let kinds = [
            (Labels::from_names(&["no", "yes", "no"]), Loss::BinaryCrossEntropy, 1),
            (Labels::from_names(&["a", "b", "c"]), Loss::CrossEntropy, 3),
            (Labels::Values(array![[1.0, -2.0], [0.5, 3.0], [0.0, 0.0]]), Loss::SquaredError, 2),
        ];
        for (labels, loss, outputs) in kinds {
            let head = labels.head().unwrap();
            assert_eq!(head, Head::new(outputs, loss, Readout::Final));
            let subset = Subset::new(three(labels), vec![0, 1, 2]).unwrap();
            let model = Model::new(Recurrent::new(Cell::Gru, 2, 3), head);
            subset.batch(&[2, 0, 1], 2).unwrap().validate(&model).unwrap();
        }
        assert!(Labels::from_names(&["a", "a"]).head().unwrap_err().to_string().contains("at least 2"));
        assert!(Labels::None.head().is_err());
    }

    #[test]
    fn two_classes_are_the_probability_of_the_second() {
        let subset = Subset::new(three(Labels::from_names(&["yes", "no", "no"])), vec![1, 0]).unwrap();
        assert_eq!(subset.batch(&[0, 1], 2).unwrap().targets, Targets::Values(array![[[0.0], [1.0]]]));
    }

    #[test]
    fn values_are_those_of_their_sequences() {
        let values = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let subset = Subset::new(three(Labels::Values(values)), vec![2, 0]).unwrap();
        let targets = Targets::Values(array![[[1.0, 2.0], [5.0, 6.0]]]);
        assert_eq!(subset.batch(&[1, 0], 1).unwrap().targets, targets);
    }

    #[test]
    fn names_that_are_numbers_are_in_the_order_of_numbers() {
        let order = |of: &[&str]| match Labels::from_names(of) {
            Labels::Classes { names, .. } => names,
            other => panic!("{other:?}"),
        };
        assert_eq!(order(&["10", "9", "-1", "9"]), ["-1", "9", "10"]);
        assert_eq!(order(&["10", "9", "x"]), ["10", "9", "x"]);
    }

    #[test]
    fn renumbered_labels_keep_their_names() {
        let mut labels = Labels::from_names(&["b", "c", "b"]);
        labels.renumber(&names(&["c", "a", "b"])).unwrap();
        assert_eq!(labels, Labels::Classes { names: names(&["c", "a", "b"]), of: vec![2, 0, 2] });
        let error = labels.renumber(&names(&["a", "b"])).unwrap_err().to_string();
        assert_eq!(error, "the label of sequence 2: expected one of a, b, got \"c\"");
        assert!(Labels::Values(array![[1.0]]).renumber(&[]).is_err());
        Labels::None.renumber(&[]).unwrap();
    }

    #[test]
    fn counts_are_those_of_the_subset_alone() {
        let labelled = three(Labels::Classes { names: names(&["a", "b", "unused"]), of: vec![0, 1, 1] });
        let subset = Subset::new(labelled.clone(), vec![1, 2]).unwrap();
        assert_eq!(subset.class_counts(), [0, 2, 0]);
        assert_eq!(subset.lengths(), BTreeMap::from([(1, 1), (2, 1)]));
        assert_eq!(Subset::new(labelled.clone(), vec![]).unwrap().class_counts(), [0, 0, 0]);
        let error = Subset::new(labelled, vec![0, 3]).unwrap_err().to_string();
        assert_eq!(error, "a sequence of the subset: expected an index below 3, got 3");
    }

    #[test]
    fn a_dimension_is_read_and_scaled_by_itself() {
        let labelled = three(Labels::None);
        assert_eq!(labelled.input.values(&[1, 2], 1).collect::<Vec<_>>(), [20.0, 30.0, 40.0]);
        let [one, two] = [(1.0, 1.0), (10.0, 5.0)].map(|(offset, unit)| Scaling { offset, unit });
        let steps = Labelled::clone(&labelled).scaled(&[one, two]).unwrap().input;
        assert_eq!(steps.values(&[0, 1], 0).collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
        assert_eq!(steps.values(&[0, 1], 1).collect::<Vec<_>>(), [0.0, 2.0, 4.0]);
        assert_eq!(steps.values(&[0, 9], 2).count(), 0);
        assert!(Labelled::clone(&labelled).scaled(&[one]).unwrap_err().to_string().contains("the scalings"));
    }

    #[test]
    fn what_distinguishes_large_numbers_is_there_after_scaling() {
        let numbers = array![[1e8, 1e300], [1e8 + 1.0, f64::NAN], [1e8 + 2.0, -1e300]];
        let labelled = Labelled::new(Steps::wide(vec![numbers]), Labels::None);
        let [one, two] = [(1e8, 2.0), (0.0, 1e300)].map(|(offset, unit)| Scaling { offset, unit });
        let mut scaled = labelled.clone().scaled(&[one, two]).unwrap();
        scaled.mask();
        let expected = array![[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 1.0], [1.0, -1.0, 0.0, 0.0]];
        assert_eq!(scaled.input, Steps::dense(vec![expected]));
        let named = Labelled { ids: names(&["x"]), dimensions: names(&["a", "b"]), ..labelled.clone() };
        let error = named.scaled(&[one, one]).unwrap_err().to_string();
        assert!(error.starts_with("sequence 1 (id \"x\"), step 1, dimension \"b\": expected a number"), "{error}");
        let error = labelled.scaled(&[one, one]).unwrap_err().to_string();
        assert!(
            error.starts_with("sequence 1, step 1, dimension 2: expected a number within f32 in units of 2"),
            "{error}"
        );
    }

    #[test]
    fn numbers_as_they_were_read_make_batches_as_f32() {
        let steps = Steps::wide(vec![array![[0.1], [0.2]], array![[0.3]]]);
        let subset = Subset::new(Arc::new(Labelled::new(steps, Labels::None)), vec![0, 1]).unwrap();
        let x = array![[[0.1], [0.3]], [[0.2], [0.0]]];
        assert_eq!(subset.batch(&[0, 1], 2).unwrap().sequence, Sequence::dense(x).lengths(vec![2, 1]));
        let refused =
            |input, labels| Subset::new(Arc::new(Labelled::new(input, labels)), vec![0]).unwrap_err().to_string();
        let beyond = refused(Steps::wide(vec![array![[1.0], [1e39]]]), Labels::None);
        assert!(beyond.starts_with("sequence 1, step 2, dimension 1: expected a number within f32"), "{beyond}");
        let beyond = refused(Steps::wide(vec![array![[1.0]]]), Labels::Values(array![[-1e39]]));
        assert!(beyond.starts_with("the label of sequence 1: expected a number within f32"), "{beyond}");
    }

    #[test]
    fn dimensions_go_by_their_names_where_they_have_some() {
        let mut labelled = Labelled::new(Steps::dense(vec![array![[1.0, 2.0], [3.0, 4.0]]]), Labels::None);
        labelled.arrange(&names(&["b", "a"])).unwrap();
        labelled.dimensions = names(&["a", "b"]);
        labelled.arrange(&[]).unwrap();
        labelled.arrange(&names(&["b", "a"])).unwrap();
        assert_eq!(labelled.input, Steps::dense(vec![array![[2.0, 1.0], [4.0, 3.0]]]));
        assert_eq!(labelled.dimensions, ["b", "a"]);
        for known in [&["b"][..], &["b", "c"], &["b", "a", "c"]] {
            let error = labelled.arrange(&names(known)).unwrap_err().to_string();
            assert_eq!(error, format!("the dimensions: expected {}, got b, a", known.join(", ")));
        }
    }

    #[test]
    fn a_mask_tells_what_is_missing_from_what_is_0() {
        let mut labelled = Labelled::new(Steps::dense(vec![array![[0.0, f32::NAN], [f32::NAN, 5.0]]]), Labels::None);
        labelled.dimensions = names(&["a", "b"]);
        assert!(labelled.validate().unwrap_err().to_string().contains("step 1, dimension 2: expected a finite number"));
        labelled.mask();
        assert_eq!(labelled.input, Steps::dense(vec![array![[0.0, 0.0, 0.0, 1.0], [0.0, 5.0, 1.0, 0.0]]]));
        assert_eq!(labelled.dimensions, ["a", "b", "a, missing", "b, missing"]);
        labelled.validate().unwrap();
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let refused = |sequences: Vec<Array2<f32>>, labels: Labels| {
            let labelled = Labelled::new(Steps::dense(sequences), labels);
            Subset::new(Arc::new(labelled), vec![]).unwrap_err().to_string()
        };
        let one = || vec![array![[1.0]]];
        assert_eq!(refused(vec![Array2::zeros((0, 1))], Labels::None), "sequence 1: expected at least 1 step, got 0");
        assert!(refused(vec![Array2::zeros((1, 0))], Labels::None).contains("at least 1"));
        let wide = Sequences::try_from(vec![array![[1.0]], array![[1.0, 2.0]]]).unwrap_err().to_string();
        assert_eq!(wide, "sequence 2: expected shape [1, 1], got [1, 2]");
        let infinite = refused(vec![array![[1.0], [f32::INFINITY]]], Labels::None);
        assert_eq!(infinite, "sequence 1, step 2, dimension 1: expected a finite number, got inf");
        assert!(refused(one(), Labels::from_names(&["a", "b"])).contains("one for each of 1 sequences, got 2"));
        let outside = refused(one(), Labels::Classes { names: names(&["a", "b"]), of: vec![2] });
        assert_eq!(outside, "the label of sequence 1: expected a class below 2, got 2");
        assert!(refused(one(), Labels::Values(array![[1.0], [2.0]])).contains("[2, 1]"));
        assert!(refused(one(), Labels::Values(array![[f64::NAN]])).contains("NaN"));
        let named = Labelled { ids: names(&["a", "b"]), ..Labelled::new(Steps::dense(one()), Labels::None) };
        assert_eq!(named.validate().unwrap_err().to_string(), "the ids: expected none or 1, got 2");
    }
}
