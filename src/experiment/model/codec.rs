//! What was fitted to the training data and is stored with the weights.

use serde::{Deserialize, Serialize};

use super::super::config::{DataKind, ScaleName, TaskName};
use super::super::measure::quantiles;
use super::audio_codec::AudioCodec;
use super::label_codec::LabelCodec;
use super::sequences_codec::SequencesCodec;
use crate::Result;
use crate::data::{CalendarInput, ColumnCodec, PianoKeys, SensorCodec, SeriesCodec, Vocabulary};
use crate::format::{ahead, grouped};

/// What was fitted to the training data and is stored with the weights: `data` in a model's description. A program that
/// trains on its own stores it with `SavedModel::with_codec`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "a run has one, which is not moved about")]
pub enum Codec {
    /// A text, token by token.
    Text {
        /// The vocabulary.
        vocabulary: Vocabulary,
    },
    /// A series from a table.
    Series {
        /// How numbers were to be scaled.
        scale: ScaleName,
        /// The columns with their scalings, the window and the horizon.
        #[serde(rename = "codec")]
        series: SeriesCodec,
        /// The quantiles that are forecast of the distributions that the head predicts, ascending; empty if its loss is
        /// no likelihood, or for the default ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        quantiles: Vec<f64>,
    },
    /// Columns of a table that are estimated from others of the same row.
    Sensor {
        /// How numbers were to be scaled.
        scale: ScaleName,
        /// The columns with their scalings, and the window.
        #[serde(rename = "codec")]
        sensor: SensorCodec,
    },
    /// Piano rolls.
    Rolls {
        /// The keys of inputs and outputs.
        keys: PianoKeys,
    },
    /// A sound and what a device makes of it.
    Audio(AudioCodec),
    /// Labelled sequences of numbers.
    Sequences(SequencesCodec),
    /// Lines of text with classes.
    Classes {
        /// The vocabulary.
        vocabulary: Vocabulary,
        /// The class names, in the order of the outputs.
        classes: Vec<String>,
    },
    /// A synthetic task.
    Task {
        /// The task.
        #[serde(rename = "name")]
        task: TaskName,
    },
}

impl Codec {
    /// In words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text { vocabulary } => format!("a text, a vocabulary of {}", vocabulary.len()),
            Self::Series { series, .. } => {
                let names = names(&series.targets);
                let others = series.features.len() + series.known.len();
                let others = if others > 0 { format!(" with {others} more columns") } else { String::new() };
                let calendar = CalendarInput::words(&series.calendar);
                let calendar = if calendar.is_empty() { calendar } else { format!(", calendar: {calendar}") };
                let window = series.frame.window;
                let what = if series.panel { "a panel of series" } else { "a series" };
                format!("{what}, {names}{others}{calendar}, {} from windows of {window}", ahead(series.frame.horizon))
            }
            Self::Sensor { sensor, .. } => {
                let (names, now, window) = (names(&sensor.targets), names(&sensor.now), sensor.window);
                let how = if sensor.carry_state { "with the state carried on" } else { "from windows" };
                format!("a series, {names} from {now} of the same row, {how} of {window}")
            }
            Self::Rolls { keys } => format!("piano rolls, {} keys", keys.len()),
            Self::Audio(AudioCodec { rate, dry, wet }) => {
                format!("audio, {} to {} channels at {} Hz", dry.len(), wet.len(), grouped((*rate).into()))
            }
            Self::Sequences(codec) => codec.describe(),
            Self::Classes { vocabulary, classes } => {
                format!("lines of text, {} classes, a vocabulary of {}", classes.len(), vocabulary.len())
            }
            Self::Task { task } => format!("the synthetic task {task:?}").to_lowercase(),
        }
    }

    /// The numbers of inputs and outputs (targets, for quantiles), if the data determine them.
    ///
    /// # Errors
    /// If they are inconsistent.
    pub(crate) fn sizes(&self) -> Result<Option<[usize; 2]>> {
        Ok(Some(match self {
            Self::Text { vocabulary } => [vocabulary.len(); 2],
            Self::Series { series, quantiles, .. } => {
                quantiles::check("the quantiles", quantiles)?;
                series.validate()?;
                [series.input_size(), series.outputs()]
            }
            Self::Sensor { sensor, .. } => {
                sensor.validate()?;
                [sensor.input_size(), sensor.targets.len()]
            }
            Self::Rolls { keys } => [keys.len(); 2],
            Self::Audio(codec) => {
                codec.validate()?;
                [codec.dry.len(), codec.wet.len()]
            }
            Self::Sequences(codec) => [codec.input_size(), codec.labels.head()?.outputs],
            Self::Classes { vocabulary, classes } => {
                [vocabulary.len(), LabelCodec::Classes(classes.clone()).head()?.outputs]
            }
            Self::Task { .. } => return Ok(None),
        }))
    }

    /// Whether a step is a token rather than numbers.
    pub fn has_tokens(&self) -> bool {
        match self {
            Self::Text { .. } | Self::Classes { .. } | Self::Task { task: TaskName::Copy } => true,
            Self::Series { .. } | Self::Sensor { .. } | Self::Rolls { .. } | Self::Audio(_) => false,
            Self::Sequences(_) | Self::Task { task: TaskName::Adding } => false,
        }
    }

    /// The kind of data.
    pub fn kind(&self) -> DataKind {
        match self {
            Self::Text { .. } => DataKind::Text,
            Self::Series { .. } | Self::Sensor { .. } => DataKind::Series,
            Self::Rolls { .. } => DataKind::Rolls,
            Self::Audio(_) => DataKind::Audio,
            Self::Sequences(_) => DataKind::Sequences,
            Self::Classes { .. } => DataKind::Classes,
            Self::Task { .. } => DataKind::Task,
        }
    }
}

/// The names of columns in words.
fn names(columns: &[ColumnCodec]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}
