//! Labels as a model encodes them.

use ndarray::Array2;
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

    /// In words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Classes(names) => format!("{} classes", names.len()),
            Self::Values(scalings) => values_of(scalings.len()),
        }
    }
}

fn values_of(outputs: usize) -> String {
    if outputs == 1 { "a value".into() } else { format!("{outputs} values") }
}

pub(crate) fn no_labels() -> Error {
    let reason = "labels are missing: training and measuring need them, `bptt predict` does not";
    Error::Unsupported(reason.into())
}
