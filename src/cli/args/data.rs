//! The flags of each kind of data, which are the keys of its section in a configuration file too.

use std::path::PathBuf;

use bptt::data::{DateOrder, DecimalMark};
use bptt::experiment::config::{
    Bytes, ClassesConfig, Data, Kind, LabelsAsName, LossName, MissingName, Names, ReadName, RollsConfig, SIZE,
    ScaleName, SequencesConfig, SeriesConfig, TaskConfig, TaskName, TextConfig,
};
use bptt::{Error, Readout, Result};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::choices::{labels_as, loss, missing, read, scale, task};
use super::values::{above_0, below_1, count, dates, decimal, names, one_of, quantile, share, whole};

/// The data by their kind.
#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// A series: forecast columns of a table from the rows before
    Series(Box<SeriesArgs>),
    /// A text: predict the next character or byte
    Text(Box<TextArgs>),
    /// Labelled sequences: predict a class or a value for each
    Sequences(Box<SequencesArgs>),
    /// A folder of texts, one for each class: predict the class of a line
    Classes(Box<ClassesArgs>),
    /// Piano rolls, or other sets of active keys: predict the next set
    Rolls(Box<RollsArgs>),
    /// A synthetic task whose answer is known: the adding or the copying problem
    Task(Box<TaskArgs>),
}

impl DataCommand {
    /// The settings of the data.
    pub(crate) fn config(&self) -> Data {
        match self {
            Self::Series(it) => Data::Series(it.config()),
            Self::Text(it) => Data::Text(it.config()),
            Self::Sequences(it) => Data::Sequences(it.config()),
            Self::Classes(it) => Data::Classes(it.config()),
            Self::Rolls(it) => Data::Rolls(it.config()),
            Self::Task(it) => Data::Task(it.config()),
        }
    }
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Series")]
pub(crate) struct SeriesArgs {
    /// The table: text with a header, whose first column is the time
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Columns to forecast, separated by commas; quote a name that has one: '"a, b",c' [default: the second of two]
    #[arg(long, value_parser = names, value_name = "COLUMNS")]
    target: Option<Names>,
    /// Columns that help, known up to the present; all: every other column [default: none]
    #[arg(long, value_parser = names, value_name = "COLUMNS")]
    features: Option<Names>,
    /// Columns whose future values are known too
    #[arg(long, value_parser = names, value_name = "COLUMNS")]
    known: Option<Names>,
    /// Number of rows to forecast at once [default: 1]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "K")]
    horizon: Option<usize>,
    /// Number of rows that the network reads before it forecasts [default: 22]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "T")]
    window: Option<usize>,
    /// Rows of a season, to compare with the seasonal naive forecast
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "ROWS")]
    season: Option<usize>,
    /// Last training row, by its value in the first column [default for the sunspots: 1920]
    #[arg(long, value_name = "LABEL")]
    train_until: Option<String>,
    /// Shares of training, validation and test [default: 0.7,0.15,0.15]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C")]
    split: Option<Vec<f64>>,
    /// With --train-until: share of the other rows that validates [default: 0.4]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    validation: Option<f64>,
    /// Normalization of inputs and targets [default: standard]
    #[arg(long, value_parser = scale(), value_name = "SCALE")]
    scale: Option<ScaleName>,
    /// What to do with missing values [default: error]
    #[arg(long, value_parser = missing(), value_name = "MISSING")]
    missing: Option<MissingName>,
    /// Decimal mark: a point or a comma [default: what the numbers show]
    #[arg(long, value_parser = decimal(), value_name = "MARK")]
    decimal: Option<DecimalMark>,
    /// Order of day, month and year in dates such as 5/3/2021 [default: what the rows show]
    #[arg(long, value_parser = dates(), value_name = "ORDER")]
    dates: Option<DateOrder>,
    /// Largest input, compressed and as it is held, as in 4GiB [default: 1GiB]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    input_limit: Option<Bytes>,
    /// Loss function [default: squared, or that of --huber-delta or --quantiles]
    #[arg(long, value_parser = loss(), value_name = "LOSS")]
    loss: Option<LossName>,
    /// Where Huber's loss turns from a square to a line, in units of the scaled target [default: 1]
    #[arg(long, value_parser = above_0, value_name = "DELTA", allow_negative_numbers = true)]
    huber_delta: Option<f64>,
    /// Quantiles to forecast, ascending; where a network's cross they are put in order [default: 0.1,0.5,0.9]
    #[arg(long, value_parser = quantile, value_delimiter = ',', num_args = 1, value_name = "Q,Q")]
    #[arg(allow_negative_numbers = true)]
    quantiles: Option<Vec<f64>>,
    /// Outputs that make the prediction: the last, or the mean of all [default: last]
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT")]
    predict: Option<Readout>,
}

impl SeriesArgs {
    fn config(&self) -> SeriesConfig {
        let Self {
            file,
            target,
            features,
            known,
            horizon,
            window,
            season,
            train_until,
            split,
            validation,
            scale,
            missing,
            decimal,
            dates,
            input_limit,
            loss,
            huber_delta,
            quantiles,
            predict,
        } = self.clone();
        SeriesConfig {
            file,
            target,
            features,
            known,
            horizon,
            window,
            season,
            train_until,
            split,
            validation,
            scale,
            missing,
            decimal,
            dates,
            input_limit,
            loss,
            huber_delta,
            quantiles,
            predict,
            sha256: None,
        }
    }
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Text")]
pub(crate) struct TextArgs {
    /// The text, in UTF-8
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Predict bytes rather than characters
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    bytes: Option<bool>,
    /// Read characters that occur fewer than N times as unknown [default: 1]
    #[arg(long, value_parser = count, value_name = "N")]
    min_count: Option<u64>,
    /// Number of steps of a window [default: 64]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "T")]
    window: Option<usize>,
    /// Read the text from beginning to end with the state carried on (truncated BPTT), not in random windows
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    carry_state: Option<bool>,
    /// Shares of training, validation and test [default: 0.9,0.1,0]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C")]
    split: Option<Vec<f64>>,
    /// Size of a trained vector for each character [default: none, characters are read one-hot]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    embedding: Option<usize>,
    /// Use the embedding, of the size of the hidden state, as the weights of the head too (Press & Wolf 2017)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    tied: Option<bool>,
    /// Share of each target that is spread over all characters; results are measured without it [default: 0]
    #[arg(long, value_parser = below_1, value_name = "SHARE", allow_negative_numbers = true)]
    label_smoothing: Option<f64>,
    /// Outputs that make the prediction: every one
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT", hide = true)]
    predict: Option<Readout>,
}

impl TextArgs {
    fn config(&self) -> TextConfig {
        let Self { file, bytes, min_count, window, carry_state, split, embedding, tied, label_smoothing, predict } =
            self.clone();
        TextConfig {
            file,
            bytes,
            min_count,
            window,
            carry_state,
            split,
            embedding,
            tied,
            label_smoothing,
            predict,
            sha256: None,
        }
    }
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Sequences")]
pub(crate) struct SequencesArgs {
    /// The sequences: .ts (UEA, UCR), .tsv (UCR), .csv in long form, .npy, .npz, idx (MNIST)
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// File of labels, where they are not in the file of the sequences
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// File of the same kind to test on
    #[arg(long, value_name = "FILE")]
    test_file: Option<PathBuf>,
    /// Labels of --test-file
    #[arg(long, value_name = "FILE")]
    test_labels: Option<PathBuf>,
    /// Whether labels that are numbers name classes or are values [default: what the file says; in doubt it is an error]
    #[arg(long, value_parser = labels_as(), value_name = "LABELS-AS")]
    labels_as: Option<LabelsAsName>,
    /// In idx: what a step is [default: rows]
    #[arg(long, value_parser = read(), value_name = "READ")]
    read: Option<ReadName>,
    /// In .csv: column that tells sequences apart [default: id]
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// In .csv: column that orders the steps [default: time]
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// In .csv: column of labels [default: label]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Shares of training, validation and test [default: 0.7,0.15,0.15]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C")]
    split: Option<Vec<f64>>,
    /// With --test-file: share of the other file that validates [default: 0.2]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    validation: Option<f64>,
    /// Normalization of each dimension [default: none]
    #[arg(long, value_parser = scale(), value_name = "SCALE")]
    scale: Option<ScaleName>,
    /// What to do with missing values [default: error]
    #[arg(long, value_parser = missing(), value_name = "MISSING")]
    missing: Option<MissingName>,
    /// In .csv: decimal mark, a point or a comma [default: what the numbers show]
    #[arg(long, value_parser = decimal(), value_name = "MARK")]
    decimal: Option<DecimalMark>,
    /// In .csv: order of day, month and year in dates such as 5/3/2021 [default: what the rows show]
    #[arg(long, value_parser = dates(), value_name = "ORDER")]
    dates: Option<DateOrder>,
    /// Largest input, compressed and as it is held, as in 4GiB [default: 1GiB]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    input_limit: Option<Bytes>,
    /// Share of each target that is spread over all classes; results are measured without it [default: 0]
    #[arg(long, value_parser = below_1, value_name = "SHARE", allow_negative_numbers = true)]
    label_smoothing: Option<f64>,
    /// Weights of the classes in the loss: balanced, n / (k n_class), or CLASS=WEIGHT,… and 1 for the others; results are
    /// measured without them [default: 1 for all]
    #[arg(long, value_parser = names, value_name = "WEIGHTS")]
    class_weights: Option<Names>,
    /// Number of groups of sequences of similar length, so that little is padded [default: 4]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    buckets: Option<usize>,
    /// Outputs that make the prediction: the last, or the mean of all [default: last]
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT")]
    predict: Option<Readout>,
}

impl SequencesArgs {
    fn config(&self) -> SequencesConfig {
        let Self {
            file,
            labels,
            test_file,
            test_labels,
            labels_as,
            read,
            id,
            time,
            label,
            split,
            validation,
            scale,
            missing,
            decimal,
            dates,
            input_limit,
            label_smoothing,
            class_weights,
            buckets,
            predict,
        } = self.clone();
        SequencesConfig {
            file,
            labels,
            test_file,
            test_labels,
            labels_as,
            read,
            id,
            time,
            label,
            split,
            validation,
            scale,
            missing,
            decimal,
            dates,
            input_limit,
            label_smoothing,
            class_weights,
            buckets,
            predict,
            split_seed: None,
            sha256: None,
        }
    }
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Classes")]
pub(crate) struct ClassesArgs {
    /// The folder, with a text file for each class: every line is a sequence of characters
    #[arg(value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) file: Option<PathBuf>,
    /// Read characters that occur fewer than N times as unknown [default: 1]
    #[arg(long, value_parser = count, value_name = "N")]
    min_count: Option<u64>,
    /// Shares of training, validation and test [default: 0.8,0.1,0.1]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C")]
    split: Option<Vec<f64>>,
    /// Largest input, as in 4GiB [default: 1GiB]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    input_limit: Option<Bytes>,
    /// Size of a trained vector for each character [default: none, characters are read one-hot]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    embedding: Option<usize>,
    /// Share of each target that is spread over all classes; results are measured without it [default: 0]
    #[arg(long, value_parser = below_1, value_name = "SHARE", allow_negative_numbers = true)]
    label_smoothing: Option<f64>,
    /// Weights of the classes in the loss: balanced, n / (k n_class), or CLASS=WEIGHT,… and 1 for the others; results are
    /// measured without them [default: 1 for all]
    #[arg(long, value_parser = names, value_name = "WEIGHTS")]
    class_weights: Option<Names>,
    /// Number of groups of lines of similar length, so that little is padded [default: 4]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    buckets: Option<usize>,
    /// Outputs that make the prediction: the last, or the mean of all [default: last]
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT")]
    predict: Option<Readout>,
}

impl ClassesArgs {
    fn config(&self) -> ClassesConfig {
        let Self { file, min_count, split, input_limit, embedding, label_smoothing, class_weights, buckets, predict } =
            self.clone();
        ClassesConfig {
            file,
            min_count,
            split,
            input_limit,
            embedding,
            label_smoothing,
            class_weights,
            buckets,
            predict,
            split_seed: None,
            sha256: None,
        }
    }
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Rolls")]
pub(crate) struct RollsArgs {
    /// The rolls: .json, or .csv of 0 and 1; a single piece is split in time
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Lowest and highest key [default: those that occur]
    #[arg(long, value_name = "LOW-HIGH")]
    keys: Option<String>,
    /// Shares of training, validation and test [default: 0.7,0.15,0.15]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C")]
    split: Option<Vec<f64>>,
    /// Largest input, as in 4GiB [default: 1GiB]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    input_limit: Option<Bytes>,
    /// Number of groups of pieces of similar length, so that little is padded [default: 4]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    buckets: Option<usize>,
    /// Outputs that make the prediction: every one
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT", hide = true)]
    predict: Option<Readout>,
}

impl RollsArgs {
    fn config(&self) -> RollsConfig {
        let Self { file, keys, split, input_limit, buckets, predict } = self.clone();
        RollsConfig { file, keys, split, input_limit, buckets, predict, sha256: None }
    }
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Task")]
pub(crate) struct TaskArgs {
    /// The task
    #[arg(value_parser = task(), value_name = "NAME")]
    pub(crate) name: Option<TaskName>,
    /// Steps of the adding problem [default: 50]; delay of the copying problem [default: 10]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "T")]
    length: Option<usize>,
    /// Copying: size of a trained vector for each symbol [default: none, symbols are read one-hot]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    embedding: Option<usize>,
    /// Outputs that make the prediction; adding: last or mean, copying: every one
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT")]
    predict: Option<Readout>,
}

impl TaskArgs {
    fn config(&self) -> TaskConfig {
        let Self { name, length, embedding, predict } = self.clone();
        TaskConfig { name, length, embedding, predict }
    }
}

/// How other data are read and split than those that a model was trained on.
#[derive(Args, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data")]
pub(crate) struct ReadArgs {
    /// Other data of the model's kind: a file or, for classes, a folder or a file of lines [default: the run's own]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
    /// Shares of training, validation and test [default: the run's for its own data; all others are test data]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C")]
    pub(crate) split: Option<Vec<f64>>,
    /// Series: last training row, by its value in the first column
    #[arg(long, value_name = "LABEL")]
    pub(crate) train_until: Option<String>,
    /// With --train-until or --test-file: share of the rest that validates
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) validation: Option<f64>,
    /// Series: rows of a season, to compare with the seasonal naive forecast [default: the run's]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "ROWS")]
    pub(crate) season: Option<usize>,
    /// Sequences: file of labels, where they are not in the file of the sequences
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Sequences: file of the same kind to test on
    #[arg(long, value_name = "FILE")]
    pub(crate) test_file: Option<PathBuf>,
    /// Sequences: labels of --test-file
    #[arg(long, value_name = "FILE")]
    pub(crate) test_labels: Option<PathBuf>,
    /// Sequences: whether labels that are numbers name classes or are values
    #[arg(long, value_parser = labels_as(), value_name = "LABELS-AS")]
    pub(crate) labels_as: Option<LabelsAsName>,
    /// Sequences in .csv: column that tells sequences apart [default: id]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id: Option<String>,
    /// Sequences in .csv: column that orders the steps [default: time]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// Sequences in .csv: column of labels [default: label]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Text: number of steps of a window [default: 64]; series: as the model has it
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "T")]
    pub(crate) window: Option<usize>,
    /// What to do with missing values [default: as the model]
    #[arg(long, value_parser = missing(), value_name = "MISSING")]
    pub(crate) missing: Option<MissingName>,
    /// Decimal mark: a point or a comma [default: what the numbers show]
    #[arg(long, value_parser = decimal(), value_name = "MARK")]
    pub(crate) decimal: Option<DecimalMark>,
    /// Order of day, month and year in dates such as 5/3/2021 [default: what the rows show]
    #[arg(long, value_parser = dates(), value_name = "ORDER")]
    pub(crate) dates: Option<DateOrder>,
    /// Largest input, compressed and as it is held, as in 4GiB [default: 1GiB]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    pub(crate) input_limit: Option<Bytes>,
    /// Task: steps of the adding problem, delay of the copying problem
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "T")]
    pub(crate) length: Option<usize>,
}

impl ReadArgs {
    /// The settings of data of a model's kind; `None` where nothing is set.
    ///
    /// # Errors
    /// Names a flag that has no meaning for that kind.
    pub(crate) fn data(&self, kind: Kind) -> Result<Option<Data>> {
        let refused = |error: serde_json::Error| {
            Error::Unsupported(format!("{error}: expected paths in UTF-8, since the settings name them"))
        };
        let Value::Object(mut keys) = serde_json::to_value(self).map_err(refused)? else { return Ok(None) };
        keys.retain(|_, value| !value.is_null());
        if keys.is_empty() && self.file.is_none() {
            return Ok(None);
        }
        let mut data = Data::with_keys(kind, keys)?;
        data.set_file(self.file.clone())?;
        Ok(Some(data))
    }
}
