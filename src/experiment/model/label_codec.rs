//! Labels as a model encodes them.

use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::data::{LabelIndex, LabelledSequences, Labels, Scaling, ScalingKind};
use crate::{Error, Head, Result};

/// The labels of sequences or of their steps, fitted to the training split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LabelCodec {
    /// The class names.
    Classes(Vec<String>),
    /// The scaling of each value to mean 0 and standard deviation 1, which suits data in any unit.
    Values(Vec<Scaling>),
}

impl LabelCodec {
    /// Fits to the labels of the training sequences.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there are no labels.
    pub(crate) fn fit(labelled: &LabelledSequences, training: &[usize]) -> Result<Self> {
        let (labels, index) = (&labelled.labels, labelled.label_index());
        match labels {
            Labels::None => Err(no_labels()),
            Labels::Classes { names, .. } => Ok(Self::Classes(names.clone())),
            Labels::Values(values) => {
                let rows = training.iter().flat_map(|sequence| index.of(*sequence));
                let rows: Vec<usize> = rows.filter(|label| !labels.is_missing(*label)).collect();
                let column = |output: usize| rows.iter().map(|row| values[[*row, output]]).collect::<Vec<_>>();
                let fit = |output| Scaling::fit(ScalingKind::Standard, &column(output));
                Ok(Self::Values((0..values.ncols()).map(fit).collect()))
            }
        }
    }

    /// Encodes labels; those that are missing stay so.
    ///
    /// # Errors
    /// Names an unknown label, or reports whether classes or values were expected.
    pub(crate) fn encode(&self, labels: &mut Labels, index: &LabelIndex) -> Result<()> {
        match (self, labels) {
            (_, Labels::None) => Ok(()),
            (Self::Classes(known), labels) => labels.renumber_at(known, index),
            (Self::Values(scalings), Labels::Values(values)) if values.ncols() == scalings.len() => {
                for (mut column, scaling) in values.columns_mut().into_iter().zip(scalings) {
                    for (label, value) in column.iter_mut().enumerate().filter(|(_, value)| !value.is_nan()) {
                        let scaled = scaling.scale(*value);
                        if !(scaled as f32).is_finite() {
                            let expected = format!("a number within f32 in units of {}", scaling.unit);
                            return Err(Error::Value { what: index.name(label), expected, got: value.to_string() });
                        }
                        *value = scaled;
                    }
                }
                Ok(())
            }
            (Self::Values(scalings), labels) => {
                let got = match labels {
                    Labels::Values(values) => values.ncols().to_string(),
                    _ => "a class".into(),
                };
                Err(Error::Value { what: "the labels".into(), expected: values_of(scalings.len()), got })
            }
        }
    }

    /// The head for these labels.
    ///
    /// # Errors
    /// [`Error::Value`] if there are fewer than two classes.
    pub(crate) fn head(&self) -> Result<Head> {
        match self {
            Self::Classes(names) => Labels::Classes { names: names.clone(), of: Vec::new() }.head(),
            Self::Values(scalings) => Labels::Values(Array2::zeros((0, scalings.len()))).head(),
        }
    }

    /// The number of labels of a sequence or a step.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::Classes(_) => 1,
            Self::Values(scalings) => scalings.len(),
        }
    }

    /// The probability of each class, or the values in the units of the data, from a prediction ŷ.
    pub(crate) fn decode(&self, prediction: ArrayView1<'_, f32>) -> Vec<f64> {
        let outputs = prediction.iter().map(|output| f64::from(*output));
        match self {
            Self::Classes(names) if names.len() == 2 => outputs.flat_map(|second| [1.0 - second, second]).collect(),
            Self::Classes(_) => outputs.collect(),
            Self::Values(scalings) => outputs.zip(scalings).map(|(output, scaling)| scaling.unscale(output)).collect(),
        }
    }

    /// A column name for each label: `what`, or `what_1` and so on.
    pub(crate) fn numbered(&self, what: &str) -> impl Iterator<Item = String> {
        let outputs = self.outputs();
        (1..=outputs).map(move |output| if outputs == 1 { what.to_owned() } else { format!("{what}_{output}") })
    }

    /// The columns of [`cells`](Self::cells).
    pub(crate) fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = self.numbered("predicted").collect();
        if let Self::Classes(classes) = self {
            names.extend(classes.iter().map(|class| format!("p_{class}")));
        }
        names
    }

    /// A prediction, as [`decode`](Self::decode) has it, in columns: the class and the probability of each, or the values.
    pub(crate) fn cells(&self, predicted: &[f64]) -> Vec<String> {
        match self {
            Self::Classes(classes) => {
                let class = classes.get(most_probable(predicted)).cloned();
                // With the precision of the network.
                class.into_iter().chain(predicted.iter().map(|share| (*share as f32).to_string())).collect()
            }
            Self::Values(scalings) => {
                predicted.iter().zip(scalings).map(|(value, scaling)| computed(*value, scaling.unit)).collect()
            }
        }
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Classes(names) => format!("{} classes", names.len()),
            Self::Values(scalings) => values_of(scalings.len()),
        }
    }
}

/// The index of the largest value; the first of equal ones.
pub(crate) fn most_probable(predicted: &[f64]) -> usize {
    (0..predicted.len()).fold(0, |best, class| if predicted[class] > predicted[best] { class } else { best })
}

/// A value computed in f32 in these units, with the digits that f32 has.
fn computed(value: f64, unit: f64) -> String {
    let last = (unit * f64::from(f32::EPSILON)).log10();
    let digits = if last.is_finite() { (1.0 - last.floor()).clamp(0.0, 340.0) as usize } else { 17 };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

fn values_of(outputs: usize) -> String {
    if outputs == 1 { "a value".into() } else { format!("{outputs} values") }
}

pub(crate) fn no_labels() -> Error {
    let reason = "labels are missing: training and measuring need them, `bptt predict` does not";
    Error::Unsupported(reason.into())
}
