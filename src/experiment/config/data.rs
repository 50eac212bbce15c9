//! The settings of each kind of data: a section of a configuration file, named after the kind.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BUNDLED, Bytes, LabelsAsName, LossConfig, MissingName, Names, ReadName, ScaleName, TaskName};
use crate::Readout;
use crate::data::{DateOrder, DecimalMark, InputLimit};
use crate::error::{Error, Result};
use crate::format::path_text;

/// The data of a run, and what is learned of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A series from a table.
    Series(SeriesConfig),
    /// A text, token by token.
    Text(TextConfig),
    /// Labelled sequences of numbers.
    Sequences(SequencesConfig),
    /// A folder of texts, one for each class.
    Classes(ClassesConfig),
    /// Piano rolls.
    Rolls(RollsConfig),
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
    /// A folder of texts, one for each class.
    Classes,
    /// Piano rolls.
    Rolls,
    /// A synthetic task.
    Task,
}

impl DataKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [Self::Series, Self::Text, Self::Sequences, Self::Classes, Self::Rolls, Self::Task];

    /// The name of the section in a configuration file.
    pub fn section(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Text => "text",
            Self::Sequences => "sequences",
            Self::Classes => "classes",
            Self::Rolls => "rolls",
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
            Self::Task => "a synthetic task",
        })
    }
}

/// A series: the next values of columns of a table from a window of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SeriesConfig {
    /// The table, as comma-separated text whose first column is the time.
    pub file: Option<PathBuf>,
    /// Columns to forecast; by default the second of two.
    pub target: Option<Names>,
    /// Columns that help, known up to the present; `all`: every other.
    pub features: Option<Names>,
    /// Columns whose future values are known too.
    pub known: Option<Names>,
    /// Rows to forecast at once; 1 by default.
    pub horizon: Option<usize>,
    /// Rows that the network reads before it forecasts; 22 by default.
    pub window: Option<usize>,
    /// Rows of a season, for the seasonal naive forecast.
    pub season: Option<usize>,
    /// The label of the last training row.
    pub train_until: Option<String>,
    /// Shares of training, validation and test; 0.7, 0.15, 0.15 by default.
    pub split: Option<Vec<f64>>,
    /// With `train_until`: the share of the other rows that validates; 0.4 by default.
    pub validation: Option<f64>,
    /// Normalization of inputs and targets; standard by default.
    pub scale: Option<ScaleName>,
    /// What stands for missing values; they are an error by default.
    pub missing: Option<MissingName>,
    /// The decimal mark; by default what the numbers show.
    pub decimal: Option<DecimalMark>,
    /// The order of day, month and year; by default what the dates show.
    pub dates: Option<DateOrder>,
    /// The largest input, compressed and as it is held; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// The loss; squared by default.
    pub loss: Option<LossConfig>,
    /// Quantiles to forecast, ascending; 0.1, 0.5, 0.9 by default.
    pub quantiles: Option<Vec<f64>>,
    /// Which outputs make the prediction: last or mean.
    pub predict: Option<Readout>,
    /// The digest of the file: settings that have it are for these data alone.
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
    /// Characters that occur less often are read as unknown; 1 by default.
    pub min_count: Option<u64>,
    /// Steps of a window; 64 by default.
    pub window: Option<usize>,
    /// Whether the text is read from beginning to end with the state carried on (truncated BPTT).
    pub carry_state: Option<bool>,
    /// Shares of training, validation and test; 0.9, 0.1, 0 by default.
    pub split: Option<Vec<f64>>,
    /// The size of a trained vector for each token; by default tokens are read one-hot.
    pub embedding: Option<usize>,
    /// Whether the embedding is the head's weights too (Press & Wolf 2017).
    pub tied: Option<bool>,
    /// The share of each target that is spread over all tokens; 0 by default.
    pub label_smoothing: Option<f64>,
    /// The digest of the file: settings that have it are for these data alone.
    pub sha256: Option<String>,
}

/// Labelled sequences: a class or a value for each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SequencesConfig {
    /// The sequences: .ts, .tsv, .csv in long form, .npy, .npz or idx.
    pub file: Option<PathBuf>,
    /// A file of labels, where they are not in the file of the sequences.
    pub labels: Option<PathBuf>,
    /// A file of the same kind to test on.
    pub test_file: Option<PathBuf>,
    /// The labels of `test_file`.
    pub test_labels: Option<PathBuf>,
    /// Whether labels that are numbers name classes or are values.
    pub labels_as: Option<LabelsAsName>,
    /// Whether a step is a row of an image or a pixel; rows by default.
    pub read: Option<ReadName>,
    /// Long form: the column that tells sequences apart; `id` by default.
    pub id: Option<String>,
    /// Long form: the column that orders the steps; `time` by default.
    pub time: Option<String>,
    /// Long form: the column of labels; `label` by default.
    pub label: Option<String>,
    /// Shares of training, validation and test; 0.7, 0.15, 0.15 by default.
    pub split: Option<Vec<f64>>,
    /// With `test_file`: the share of the other file that validates; 0.2 by default.
    pub validation: Option<f64>,
    /// Normalization of each dimension; none by default.
    pub scale: Option<ScaleName>,
    /// What stands for missing values; they are an error by default.
    pub missing: Option<MissingName>,
    /// The decimal mark; by default what the numbers show.
    pub decimal: Option<DecimalMark>,
    /// The order of day, month and year; by default what the dates show.
    pub dates: Option<DateOrder>,
    /// The largest input, compressed and as it is held; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// The share of each target that is spread over all classes; 0 by default.
    pub label_smoothing: Option<f64>,
    /// The weight of each class in the loss: `balanced`, or `CLASS=WEIGHT`.
    pub class_weights: Option<Names>,
    /// Groups of sequences of similar length, so that little is padded; 4 by default.
    pub buckets: Option<usize>,
    /// Which outputs make the prediction: last or mean.
    pub predict: Option<Readout>,
    /// The seed that the split was drawn from.
    pub split_seed: Option<u64>,
    /// The digest of the files: settings that have it are for these data alone.
    pub sha256: Option<String>,
}

/// Texts in a folder, one file for each class: each line is a sequence of characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClassesConfig {
    /// The folder; a trained model also predicts a file of lines.
    pub file: Option<PathBuf>,
    /// Characters that occur less often are read as unknown; 1 by default.
    pub min_count: Option<u64>,
    /// Shares of training, validation and test; 0.8, 0.1, 0.1 by default.
    pub split: Option<Vec<f64>>,
    /// The largest input; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// The size of a trained vector for each character; by default characters are read one-hot.
    pub embedding: Option<usize>,
    /// The share of each target that is spread over all classes; 0 by default.
    pub label_smoothing: Option<f64>,
    /// The weight of each class in the loss: `balanced`, or `CLASS=WEIGHT`.
    pub class_weights: Option<Names>,
    /// Groups of lines of similar length, so that little is padded; 4 by default.
    pub buckets: Option<usize>,
    /// Which outputs make the prediction: last or mean.
    pub predict: Option<Readout>,
    /// The seed that the split was drawn from.
    pub split_seed: Option<u64>,
    /// The digest of the files: settings that have it are for these data alone.
    pub sha256: Option<String>,
}

/// Piano rolls, or other sets of active keys: the set of the next step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RollsConfig {
    /// The rolls: .json, or .csv of 0 and 1.
    pub file: Option<PathBuf>,
    /// The lowest and the highest key; by default those that occur.
    pub keys: Option<String>,
    /// Shares of training, validation and test; 0.7, 0.15, 0.15 by default.
    pub split: Option<Vec<f64>>,
    /// The largest input; 1 GiB by default.
    pub input_limit: Option<Bytes>,
    /// Groups of pieces of similar length, so that little is padded; 4 by default.
    pub buckets: Option<usize>,
    /// The digest of the file: settings that have it are for these data alone.
    pub sha256: Option<String>,
}

/// A synthetic task, whose examples are drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TaskConfig {
    /// Which task; the adding problem by default.
    pub name: Option<TaskName>,
    /// Steps of the adding problem, 50 by default; the delay of the copying problem, 10 by default.
    pub length: Option<usize>,
    /// Copying: the size of a trained vector for each symbol; by default symbols are read one-hot.
    pub embedding: Option<usize>,
    /// Which outputs make the prediction.
    pub predict: Option<Readout>,
}

impl Data {
    /// The bundled yearly sunspot numbers.
    pub fn sunspots() -> Self {
        Self::Series(SeriesConfig { file: Some(BUNDLED.into()), ..SeriesConfig::default() })
    }

    /// Data of a kind, with nothing set.
    pub fn of(kind: DataKind) -> Self {
        match kind {
            DataKind::Series => Self::Series(SeriesConfig::default()),
            DataKind::Text => Self::Text(TextConfig::default()),
            DataKind::Sequences => Self::Sequences(SequencesConfig::default()),
            DataKind::Classes => Self::Classes(ClassesConfig::default()),
            DataKind::Rolls => Self::Rolls(RollsConfig::default()),
            DataKind::Task => Self::Task(TaskConfig::default()),
        }
    }

    /// Data of a kind by the keys of its section.
    ///
    /// # Errors
    /// Names a key that the section does not have.
    pub fn with_keys(kind: DataKind, keys: Map<String, Value>) -> Result<Self> {
        let of = |keys: Map<String, Value>| {
            let value = Value::Object(keys);
            Ok(match kind {
                DataKind::Series => Self::Series(serde_json::from_value(value)?),
                DataKind::Text => Self::Text(serde_json::from_value(value)?),
                DataKind::Sequences => Self::Sequences(serde_json::from_value(value)?),
                DataKind::Classes => Self::Classes(serde_json::from_value(value)?),
                DataKind::Rolls => Self::Rolls(serde_json::from_value(value)?),
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

    /// Whether they say which data they are.
    pub fn is_named(&self) -> bool {
        match self {
            Self::Task(TaskConfig { name, .. }) => name.is_some(),
            Self::Series(SeriesConfig { file, .. })
            | Self::Text(TextConfig { file, .. })
            | Self::Sequences(SequencesConfig { file, .. })
            | Self::Classes(ClassesConfig { file, .. })
            | Self::Rolls(RollsConfig { file, .. }) => file.is_some(),
        }
    }

    /// Sets the file or the folder.
    ///
    /// # Errors
    /// Where the data are none of a file.
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

    /// What kind of data they are.
    pub fn kind(&self) -> DataKind {
        match self {
            Self::Series(_) => DataKind::Series,
            Self::Text(_) => DataKind::Text,
            Self::Sequences(_) => DataKind::Sequences,
            Self::Classes(_) => DataKind::Classes,
            Self::Rolls(_) => DataKind::Rolls,
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
            Self::Task(_) => Vec::new(),
        }
    }

    /// The size of the embedding, and whether it is the head's weights too.
    pub(crate) fn embedding(&self) -> (Option<usize>, bool) {
        match self {
            Self::Text(TextConfig { embedding, tied, .. }) => (*embedding, *tied == Some(true)),
            Self::Classes(ClassesConfig { embedding, .. }) | Self::Task(TaskConfig { embedding, .. }) => {
                (*embedding, false)
            }
            Self::Series(_) | Self::Sequences(_) | Self::Rolls(_) => (None, false),
        }
    }

    /// Which outputs make the prediction, where that is set.
    pub(crate) fn predict(&self) -> Option<Readout> {
        match self {
            Self::Series(SeriesConfig { predict, .. })
            | Self::Sequences(SequencesConfig { predict, .. })
            | Self::Classes(ClassesConfig { predict, .. })
            | Self::Task(TaskConfig { predict, .. }) => *predict,
            Self::Text(_) | Self::Rolls(_) => None,
        }
    }

    /// Groups of similar length; 1 where all sequences have one length.
    pub(crate) fn buckets(&mut self) -> usize {
        match self {
            Self::Sequences(SequencesConfig { buckets, .. })
            | Self::Classes(ClassesConfig { buckets, .. })
            | Self::Rolls(RollsConfig { buckets, .. }) => *buckets.get_or_insert(4),
            Self::Series(_) | Self::Text(_) | Self::Task(_) => 1,
        }
    }
}

/// The limit that is set, or the default.
pub(crate) fn limit(set: Option<Bytes>) -> InputLimit {
    set.map_or(InputLimit::default(), |Bytes(most)| InputLimit(most))
}
