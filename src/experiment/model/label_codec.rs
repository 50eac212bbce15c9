//! What a model knows of its labels.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::{Labels, Scaling, ScalingKind};
use crate::{Error, Head, Result};

/// What is predicted for a sequence, fitted to the training part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LabelCodec {
    /// The names of the classes.
    Classes(Vec<String>),
    /// How each value comes to mean 0 and standard deviation 1, which a network of any data's units learns well in.
    Values(Vec<Scaling>),
}

impl LabelCodec {
    /// Of the labels of the sequences that train.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there are no labels.
    pub(crate) fn fit(labels: &Labels, training: &[usize]) -> Result<Self> {
        match labels {
            Labels::None => Err(no_labels()),
            Labels::Classes { names, .. } => Ok(Self::Classes(names.clone())),
            Labels::Values(values) => {
                let column = |output: usize| training.iter().map(move |row| values[[*row, output]]);
                let fit = |output| Scaling::fit(ScalingKind::Standard, &column(output).collect::<Vec<_>>());
                Ok(Self::Values((0..values.ncols()).map(fit).collect()))
            }
        }
    }

    /// Brings labels to the model's numbers; sequences without labels stay so.
    ///
    /// # Errors
    /// Names the label that the model does not know, or which of classes and values was expected.
    pub(crate) fn encode(&self, labels: &mut Labels) -> Result<()> {
        match (self, labels) {
            (_, Labels::None) => Ok(()),
            (Self::Classes(known), labels) => labels.renumber(known),
            (Self::Values(scalings), Labels::Values(values)) if values.ncols() == scalings.len() => {
                for (mut column, scaling) in values.columns_mut().into_iter().zip(scalings) {
                    for (sequence, value) in column.iter_mut().enumerate() {
                        let scaled = scaling.scale(*value);
                        if !(scaled as f32).is_finite() {
                            let what = format!("the label of sequence {}", sequence + 1);
                            let expected = format!("a number within f32 in units of {}", scaling.unit);
                            return Err(Error::Value { what, expected, got: value.to_string() });
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

    /// The head that learns them.
    ///
    /// # Errors
    /// [`Error::Value`] where there is nothing to tell apart.
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
    let reason = "without labels there is nothing to learn from or to measure by; `bptt predict` needs none";
    Error::Unsupported(reason.into())
}
