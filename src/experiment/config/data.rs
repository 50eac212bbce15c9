//! The settings of each kind of data: one section of a configuration file per kind.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    BUNDLED, Bytes, LabelsAsName, LossConfig, MissingName, Names, ReadName, ScaleName, ScaleOverName, TaskName,
    WeighName,
};
use crate::Readout;
use crate::data::{CalendarInput, DateOrder, DecimalMark, InputLimit, RelativeTo};
use crate::error::{Error, Result};
use crate::format::path_text;

/// The data of a run, with their settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A series from a table.
    Series(SeriesConfig),
    /// A text, token by token.
    Text(TextConfig),
    /// Labelled sequences of numbers.
    Sequences(SequencesConfig),
    /// A folder of texts, one per class.
    Classes(ClassesConfig),
    /// Piano rolls.
    Rolls(RollsConfig),
    /// A sound and what a device makes of it.
    Audio(AudioConfig),
    /// A synthetic task.
    Task(TaskConfig),
}

/// The kind of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// A series from a table.
    Series,
    /// A text, token by token.
    Text,
    /// Labelled sequences of numbers.
    Sequences,
    /// A folder of texts, one per class.
    Classes,
    /// Piano rolls.
    Rolls,
    /// A sound and what a device makes of it.
    Audio,
    /// A synthetic task.
    Task,
}

impl DataKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Series, Self::Text, Self::Sequences, Self::Classes, Self::Rolls, Self::Audio, Self::Task];

    /// The name of the section in a configuration file.
    pub fn section(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Text => "text",
            Self::Sequences => "sequences",
            Self::Classes => "classes",
            Self::Rolls => "rolls",
            Self::Audio => "audio",
            Self::Task => "task",
        }
    }
}

impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Series => "a series",
            Self::Text => "a text",
            Self::Sequences => "labelled sequences",
            Self::Classes => "a folder of texts",
            Self::Rolls => "piano rolls",
            Self::Audio => "audio",
            Self::Task => "a synthetic task",
        })
    }
}

/// A series: the next values of columns of a table from a window of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SeriesConfig {
    /// The table: comma-separated text with the time in its first column, or in long form.
    pub file: Option<PathBuf>,
    /// Columns to forecast; by default the second of two, and all others in a panel.
    pub target: Option<Names>,
    /// Input columns known up to the present; `all`: every other column.
    pub features: Option<Names>,
    /// Columns whose future values are known too.
    pub known: Option<Names>,
    /// Inputs that follow from the times of the rows: `hour`, `weekday:classes` and so on; none by default.
    pub calendar: Option<Vec<CalendarInput>>,
    /// A virtual sensor: the columns that the target of the same row is estimated from; `all`: every other column.
    /// Nothing is forecast then.
    pub now: Option<Names>,
    /// Whether a virtual sensor reads the rows from end to end with the state carried on (truncated BPTT).
    pub carry_state: Option<bool>,
    /// Long form: the column of the series' names. Without it, each column is a series.
    pub id: Option<String>,
    /// Long form: the column of the times; by default the first that is not `id`.
    pub time: Option<String>,
    /// Long form: columns that are the same in all rows of a series; `NAME:classes` reads numbers as classes.
    #[serde(rename = "static")]
    pub statics: Option<Names>,
    /// Whether each series of a panel has a learned vector of its own.
    pub ids: Option<bool>,
    /// Number of rows to forecast at once; 1 by default.
    pub horizon: Option<usize>,
    /// Number of rows in an input window; 22 by default, and 64 with the state carried on.
    pub window: Option<usize>,
    /// Number of rows in a step of the network; 1 by default.
    pub segment: Option<usize>,
    /// What the targets of a window, and their forecast, are seen from; the window's mean by default.
    pub relative: Option<RelativeTo>,
    /// Whether each target is a series of its own under one network.
    pub panel: Option<bool>,
    /// Whether series of a panel that are too short for a training window are left out.
    pub drop_short: Option<bool>,
    /// What has the same weight in the loss of a panel; each window by default.
    pub weigh: Option<WeighName>,
    /// Season length of the seasonal naive forecast, in rows.
    pub season: Option<usize>,
    /// The label of the last training row.
    pub train_until: Option<String>,
    /// Shares of training, validation and test; 0.7, 0.15, 0.15 by default.
    pub split: Option<Vec<f64>>,
    /// The validation share of the rows after `train_until`; 0.4 by default.
    pub validation: Option<f64>,
    /// The label of the last test row; by default that of the last row.
    pub test_until: Option<String>,
    /// Scaling of inputs and targets; standard by default.
    pub scale: Option<ScaleName>,
    /// Whether the series of a panel are scaled each by itself, as by default, or all by one scaling.
    pub scale_over: Option<ScaleOverName>,
    /// How missing values are handled; an error by default.
    pub missing: Option<MissingName>,
    /// The decimal mark; detected by default.
    pub decimal: Option<DecimalMark>,
    /// The order of day, month and year; detected by default.
    pub dates: Option<DateOrder>,
    /// The largest input, compressed and in memory; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// The loss; squared by default.
    pub loss: Option<LossConfig>,
    /// Quantiles to forecast, ascending; 0.1, 0.5, 0.9 by default.
    pub quantiles: Option<Vec<f64>>,
    /// Whether the range of each forecast is shifted by its errors in the validation windows.
    pub conformal: Option<bool>,
    /// Which outputs make the prediction: last or mean.
    pub predict: Option<Readout>,
    /// The SHA-256 of the file. Settings with a digest are for this file only.
    pub sha256: Option<String>,
}

/// A text: the next character or byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TextConfig {
    /// The text, in UTF-8.
    pub file: Option<PathBuf>,
    /// Whether tokens are bytes rather than characters.
    pub bytes: Option<bool>,
    /// Minimum count of a known character; 1 by default. Rarer ones are read as unknown.
    pub min_count: Option<u64>,
    /// Number of steps in a window; 64 by default.
    pub window: Option<usize>,
    /// Whether the text is read from beginning to end with the state carried on (truncated BPTT).
    pub carry_state: Option<bool>,
    /// Shares of training, validation and test; 0.9, 0.1, 0 by default.
    pub split: Option<Vec<f64>>,
    /// The embedding size per token; one-hot by default.
    pub embedding: Option<usize>,
    /// Whether the embedding is tied to the head's weights (Press & Wolf 2017).
    pub tied: Option<bool>,
    /// Label smoothing: the share of each target spread over all tokens; 0 by default.
    pub label_smoothing: Option<f64>,
    /// The SHA-256 of the file. Settings with a digest are for this file only.
    pub sha256: Option<String>,
}

/// Labelled sequences: predict a class or a value for each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SequencesConfig {
    /// The sequences: .ts, .tsv, .csv in long form, .npy, .npz or idx.
    pub file: Option<PathBuf>,
    /// The file of the labels, if they are not in `file`.
    pub labels: Option<PathBuf>,
    /// Test sequences, in the same format.
    pub test_file: Option<PathBuf>,
    /// The labels of `test_file`.
    pub test_labels: Option<PathBuf>,
    /// Whether numeric labels are classes or values.
    pub labels_as: Option<LabelsAsName>,
    /// Whether a step is a row of an image or a pixel; rows by default.
    pub read: Option<ReadName>,
    /// Long form: the column of the sequence's name; `id` by default.
    pub id: Option<String>,
    /// Long form: the column that orders the steps; `time` by default.
    pub time: Option<String>,
    /// Long form: the column of labels; `label` by default.
    pub label: Option<String>,
    /// Shares of training, validation and test; 0.7, 0.15, 0.15 by default.
    pub split: Option<Vec<f64>>,
    /// The validation share of `file` beside `test_file`; 0.2 by default.
    pub validation: Option<f64>,
    /// Scaling of each dimension; none by default.
    pub scale: Option<ScaleName>,
    /// How missing values are handled; an error by default.
    pub missing: Option<MissingName>,
    /// The decimal mark; detected by default.
    pub decimal: Option<DecimalMark>,
    /// The order of day, month and year; detected by default.
    pub dates: Option<DateOrder>,
    /// The largest input, compressed and in memory; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// Label smoothing: the share of each target spread over all classes; 0 by default.
    pub label_smoothing: Option<f64>,
    /// The weight of each class in the loss: `balanced`, or `CLASS=WEIGHT`.
    pub class_weights: Option<Names>,
    /// Number of groups of sequences of similar length; 4 by default.
    pub buckets: Option<usize>,
    /// Which outputs make the prediction: last, mean, or every if each step has a label; last by default.
    pub predict: Option<Readout>,
    /// The seed of the split.
    pub split_seed: Option<u64>,
    /// The SHA-256 of the files. Settings with a digest are for these files only.
    pub sha256: Option<String>,
}

/// A folder of texts, one file per class: each line is a sequence of characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClassesConfig {
    /// The folder; a trained model can also read a single file of lines.
    pub file: Option<PathBuf>,
    /// Minimum count of a known character; 1 by default. Rarer ones are read as unknown.
    pub min_count: Option<u64>,
    /// Shares of training, validation and test; 0.8, 0.1, 0.1 by default.
    pub split: Option<Vec<f64>>,
    /// The largest input; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// The embedding size per character; one-hot by default.
    pub embedding: Option<usize>,
    /// Label smoothing: the share of each target spread over all classes; 0 by default.
    pub label_smoothing: Option<f64>,
    /// The weight of each class in the loss: `balanced`, or `CLASS=WEIGHT`.
    pub class_weights: Option<Names>,
    /// Number of groups of lines of similar length; 4 by default.
    pub buckets: Option<usize>,
    /// Which outputs make the prediction: last or mean.
    pub predict: Option<Readout>,
    /// The seed of the split.
    pub split_seed: Option<u64>,
    /// The SHA-256 of the files. Settings with a digest are for these files only.
    pub sha256: Option<String>,
}

/// Piano rolls, or other sets of active keys: predict the next set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RollsConfig {
    /// The piano rolls: .json, or .csv of 0 and 1.
    pub file: Option<PathBuf>,
    /// The lowest and the highest key; by default those that occur.
    pub keys: Option<String>,
    /// Shares of training, validation and test; 0.7, 0.15, 0.15 by default.
    pub split: Option<Vec<f64>>,
    /// The largest input; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// Number of groups of pieces of similar length; 4 by default.
    pub buckets: Option<usize>,
    /// The SHA-256 of the file. Settings with a digest are for this file only.
    pub sha256: Option<String>,
}

/// Audio: two recordings of the same length, from one of which the other is made, as by an amplifier or an effect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AudioConfig {
    /// The dry sound, which is read: .wav.
    pub file: Option<PathBuf>,
    /// The wet sound, which is made of it: .wav of the same rate and length.
    pub wet: Option<PathBuf>,
    /// Number of frames in a step of truncated BPTT; 1024 by default.
    pub window: Option<usize>,
    /// Shares of training, validation and test, in time; 0.8, 0.1, 0.1 by default.
    pub split: Option<Vec<f64>>,
    /// The largest input, as a file and in memory; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// The SHA-256 of the files. Settings with a digest are for these files only.
    pub sha256: Option<String>,
}

/// A synthetic task, whose examples are generated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TaskConfig {
    /// Which task; the adding problem by default.
    pub name: Option<TaskName>,
    /// Steps of the adding problem, 50 by default; delay of the copying problem, 10 by default.
    pub length: Option<usize>,
    /// The embedding size per symbol of the copying problem; one-hot by default.
    pub embedding: Option<usize>,
    /// Which outputs make the prediction.
    pub predict: Option<Readout>,
}

impl Data {
    /// The bundled yearly sunspot numbers.
    pub fn sunspots() -> Self {
        Self::Series(SeriesConfig { file: Some(BUNDLED.into()), ..SeriesConfig::default() })
    }

    /// Data of a kind with no settings.
    pub fn of(kind: DataKind) -> Self {
        match kind {
            DataKind::Series => Self::Series(SeriesConfig::default()),
            DataKind::Text => Self::Text(TextConfig::default()),
            DataKind::Sequences => Self::Sequences(SequencesConfig::default()),
            DataKind::Classes => Self::Classes(ClassesConfig::default()),
            DataKind::Rolls => Self::Rolls(RollsConfig::default()),
            DataKind::Audio => Self::Audio(AudioConfig::default()),
            DataKind::Task => Self::Task(TaskConfig::default()),
        }
    }

    /// Data of a kind from the keys of its section.
    ///
    /// # Errors
    /// Names a key that is not in the section.
    pub fn with_keys(kind: DataKind, keys: Map<String, Value>) -> Result<Self> {
        let of = |keys: Map<String, Value>| {
            let value = Value::Object(keys);
            Ok(match kind {
                DataKind::Series => Self::Series(serde_json::from_value(value)?),
                DataKind::Text => Self::Text(serde_json::from_value(value)?),
                DataKind::Sequences => Self::Sequences(serde_json::from_value(value)?),
                DataKind::Classes => Self::Classes(serde_json::from_value(value)?),
                DataKind::Rolls => Self::Rolls(serde_json::from_value(value)?),
                DataKind::Audio => Self::Audio(serde_json::from_value(value)?),
                DataKind::Task => Self::Task(serde_json::from_value(value)?),
            })
        };
        let alone = |key: &String, value: &Value| of([(key.clone(), value.clone())].into_iter().collect());
        let unknown = keys.iter().find(|(key, value)| alone(key, value).is_err()).map(|(key, _)| key.clone());
        of(keys).map_err(|error: serde_json::Error| {
            Error::Unsupported(match unknown {
                Some(key) => format!("--{key} has no meaning for {kind}"),
                None => error.to_string(),
            })
        })
    }

    /// Whether they name their data.
    pub fn is_named(&self) -> bool {
        match self {
            Self::Task(TaskConfig { name, .. }) => name.is_some(),
            Self::Series(SeriesConfig { file, .. })
            | Self::Text(TextConfig { file, .. })
            | Self::Sequences(SequencesConfig { file, .. })
            | Self::Classes(ClassesConfig { file, .. })
            | Self::Rolls(RollsConfig { file, .. })
            | Self::Audio(AudioConfig { file, .. }) => file.is_some(),
        }
    }

    /// Sets the file or the folder.
    ///
    /// # Errors
    /// If data of this kind are not read from a file.
    pub fn set_file(&mut self, file: Option<PathBuf>) -> Result<()> {
        let kind = self.kind();
        match (self.files().into_iter().next(), file) {
            (Some((_, place)), file) => *place = file,
            (None, None) => {}
            (None, Some(path)) => {
                return Err(Error::Unsupported(format!("{}: {kind} is not read from a file", path_text(&path))));
            }
        }
        Ok(())
    }

    /// The kind of data.
    pub fn kind(&self) -> DataKind {
        match self {
            Self::Series(_) => DataKind::Series,
            Self::Text(_) => DataKind::Text,
            Self::Sequences(_) => DataKind::Sequences,
            Self::Classes(_) => DataKind::Classes,
            Self::Rolls(_) => DataKind::Rolls,
            Self::Audio(_) => DataKind::Audio,
            Self::Task(_) => DataKind::Task,
        }
    }

    /// The files and folders that are read, by their keys.
    pub(crate) fn files(&mut self) -> Vec<(&'static str, &mut Option<PathBuf>)> {
        match self {
            Self::Series(SeriesConfig { file, .. })
            | Self::Text(TextConfig { file, .. })
            | Self::Classes(ClassesConfig { file, .. })
            | Self::Rolls(RollsConfig { file, .. }) => vec![("file", file)],
            Self::Sequences(SequencesConfig { file, labels, test_file, test_labels, .. }) => {
                vec![("file", file), ("test-file", test_file), ("labels", labels), ("test-labels", test_labels)]
            }
            Self::Audio(AudioConfig { file, wet, .. }) => vec![("file", file), ("wet", wet)],
            Self::Task(_) => Vec::new(),
        }
    }

    /// The embedding size, and whether it is tied to the head's weights.
    pub(crate) fn embedding(&self) -> (Option<usize>, bool) {
        match self {
            Self::Text(TextConfig { embedding, tied, .. }) => (*embedding, *tied == Some(true)),
            Self::Classes(ClassesConfig { embedding, .. }) | Self::Task(TaskConfig { embedding, .. }) => {
                (*embedding, false)
            }
            Self::Series(_) | Self::Sequences(_) | Self::Rolls(_) | Self::Audio(_) => (None, false),
        }
    }

    /// Which outputs make the prediction, if set.
    pub(crate) fn predict(&self) -> Option<Readout> {
        match self {
            Self::Series(SeriesConfig { predict, .. })
            | Self::Sequences(SequencesConfig { predict, .. })
            | Self::Classes(ClassesConfig { predict, .. })
            | Self::Task(TaskConfig { predict, .. }) => *predict,
            Self::Text(_) | Self::Rolls(_) | Self::Audio(_) => None,
        }
    }

    /// Number of groups of similar length; 1 if all sequences have one length.
    pub(crate) fn buckets(&mut self) -> usize {
        match self {
            Self::Sequences(SequencesConfig { buckets, .. })
            | Self::Classes(ClassesConfig { buckets, .. })
            | Self::Rolls(RollsConfig { buckets, .. }) => *buckets.get_or_insert(4),
            Self::Series(_) | Self::Text(_) | Self::Audio(_) | Self::Task(_) => 1,
        }
    }
}

/// The input limit, or the default.
pub(crate) fn limit(set: Option<Bytes>) -> InputLimit {
    set.map_or(InputLimit::default(), |Bytes(most)| InputLimit(most))
}
