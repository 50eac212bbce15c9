//! What was fitted to labelled sequences.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::config::{MissingName, ReadName, ScaleName, SequencesConfig};
use super::label_codec::LabelCodec;
use crate::Result;
use crate::allocate;
use crate::data::{DateOrder, DecimalMark, LabelledSequences, Scaling, ScalingKind};
use crate::format::{grouped, path_text, short};

/// What was fitted to labelled sequences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SequencesCodec {
    /// How an image becomes a sequence.
    pub(crate) read: ReadName,
    pub(crate) missing: MissingName,
    pub(crate) scale: ScaleName,
    /// The names of the dimensions; empty if they have none.
    pub(crate) dimensions: Vec<String>,
    /// The scaling of each dimension.
    pub(crate) scaling: Vec<Scaling>,
    pub(crate) labels: LabelCodec,
    /// The order of dates of the steps, if it was set or detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dates: Option<DateOrder>,
    /// The decimal mark, if it was set or detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decimal: Option<DecimalMark>,
}

impl SequencesCodec {
    /// Fits to the training sequences of `labelled`, as the settings `scale`, `missing` and `read` of `data` say.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if there are no labels,
    /// [`Error::NoMemory`](crate::Error::NoMemory) if memory runs out.
    pub fn fit(labelled: &LabelledSequences, training: &[usize], data: &SequencesConfig) -> Result<Self> {
        let scale = data.scale.unwrap_or(ScaleName::None);
        let fit = |dimension| {
            let values = allocate::collect(labelled.input.values(training, dimension), "a dimension's numbers")?;
            Ok(Scaling::fit_rounded(scale.into(), &values, labelled.input.precision()))
        };
        Ok(Self {
            read: data.read.unwrap_or(ReadName::Rows),
            missing: data.missing.unwrap_or(MissingName::Error),
            scale,
            dimensions: labelled.dimensions.clone(),
            scaling: (0..labelled.input.dimensions().unwrap_or_default()).map(fit).collect::<Result<_>>()?,
            labels: LabelCodec::fit(labelled, training)?,
            dates: labelled.dates,
            decimal: labelled.decimal,
        })
    }

    /// I.
    pub(crate) fn input_size(&self) -> usize {
        match self.missing {
            MissingName::Mask => 2 * self.scaling.len(),
            MissingName::Error | MissingName::Ffill => self.scaling.len(),
        }
    }

    /// The names of the dimensions, or their numbers.
    pub(crate) fn names(&self) -> Vec<String> {
        let numbered = |index: usize| format!("dimension {}", index + 1);
        let name = |index| self.dimensions.get(index).cloned().unwrap_or_else(|| numbered(index));
        (0..self.scaling.len()).map(name).collect()
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        format!("sequences of {}, {}", self.describe_dimensions(), self.labels.describe())
    }

    pub(crate) fn describe_dimensions(&self) -> String {
        let names = self.dimensions.join(", ");
        if self.dimensions.is_empty() || names.len() > 60 {
            dimensions(self.scaling.len())
        } else {
            format!("{} ({names})", dimensions(self.scaling.len()))
        }
    }

    pub(crate) fn describe_file(&self, name: &str, path: &Path, labelled: &LabelledSequences) -> String {
        let count = grouped(labelled.input.len() as u64);
        format!("{name} ({}), {count} sequences of {}", path_text(path), self.describe_dimensions())
    }

    /// How numbers are prepared for the network.
    pub(crate) fn describe_units(&self) -> Vec<String> {
        let scale = match self.scale {
            ScaleName::None => None,
            ScaleName::Standard => Some("each dimension scaled to mean 0 and standard deviation 1"),
            ScaleName::MinMax => Some("each dimension scaled to 0 to 1"),
            ScaleName::MeanAbsolute => Some("each dimension divided by its mean absolute value"),
        };
        let missing = match self.missing {
            MissingName::Error => None,
            MissingName::Ffill => Some("missing values: filled with the previous value"),
            MissingName::Mask => Some("missing values: 0, and a mask dimension for each dimension"),
        };
        [scale, missing].into_iter().flatten().map(str::to_owned).collect()
    }

    /// A recommendation if numbers are not scaled and f32 would round their differences away, or if they are too large
    /// for a network.
    ///
    /// # Errors
    /// [`Error::NoMemory`](crate::Error::NoMemory).
    pub(crate) fn advise(&self, labelled: &LabelledSequences) -> Result<Vec<String>> {
        if self.scale != ScaleName::None {
            return Ok(Vec::new());
        }
        let all = allocate::collect(0..labelled.input.len(), "the lists of sequences")?;
        let mut lines = Vec::new();
        let mut largest: f64 = 0.0;
        for dimension in 0..self.scaling.len() {
            let values = allocate::collect(labelled.input.values(&all, dimension), "a dimension's numbers")?;
            let size = values.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
            largest = largest.max(size);
            let [step, varies] = [size * f64::from(f32::EPSILON), Scaling::fit(ScalingKind::Standard, &values).unit];
            let constant = values.iter().all(|value| *value == values[0]);
            // What a file of f32 has already lost cannot be scaled.
            if !constant && varies < 100.0 * step && labelled.input.precision() < f32::EPSILON.into() {
                let name = self
                    .dimensions
                    .get(dimension)
                    .map_or_else(|| (dimension + 1).to_string(), |name| format!("{name:?}"));
                let [step, varies] = [step, varies].map(short);
                lines.push(format!(
                    "dimension {name} varies by {varies}, and f32 has steps of {step} there: --scale standard scales it first"
                ));
            }
        }
        lines.truncate(3);
        // Beyond this, gates saturate.
        if largest > 10.0 {
            let largest = short(largest);
            lines.push(format!("unscaled values up to {largest}: --scale standard is recommended"));
        }
        Ok(lines)
    }
}

pub(crate) fn dimensions(count: usize) -> String {
    if count == 1 { "1 dimension".into() } else { format!("{} dimensions", grouped(count as u64)) }
}
