//! The data arguments of a command: their kind and how they are read.

use std::path::PathBuf;

use bptt::experiment::config::{Data, DataKind};
use bptt::{Error, Result};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueHint};
use serde_json::{Map, Value};

use super::sections::section;
use super::setting::{Setting, typed};
use super::{SetArgs, flags};

/// One subcommand per kind of data.
pub(crate) struct DataCommand {
    pub(crate) data: Data,
    /// The settings after the kind.
    pub(crate) set: SetArgs,
}

/// The name of a kind in the help, and what is predicted.
fn described(kind: DataKind) -> (&'static str, &'static str) {
    match kind {
        DataKind::Series => ("Series", "Time series: forecast columns of a table"),
        DataKind::Text => ("Text", "Text: predict the next character or byte"),
        DataKind::Sequences => ("Sequences", "Labelled sequences: predict a class or a value for each"),
        DataKind::Classes => ("Classes", "Folder of texts, one per class: predict the class of a line"),
        DataKind::Rolls => ("Rolls", "Piano rolls: predict the next set of keys"),
        DataKind::Audio => ("Audio", "Two recordings: learn what an amplifier or effect does"),
        DataKind::Task => ("Task", "Synthetic task: the adding or the copying problem"),
    }
}

/// A flag that all kinds share, with the help of one.
pub(crate) fn help_of_kind(kind: DataKind, arg: Arg) -> Arg {
    let settings = ["run", "model", "training"].into_iter().filter_map(section).flatten();
    let setting = settings.into_iter().find(|setting| arg.get_id() == setting.key);
    match setting.and_then(|setting| setting.help_of(kind)) {
        Some(help) => arg.help(help.clone()).long_help(help),
        None => arg,
    }
}

fn settings(kind: DataKind) -> Vec<Setting> {
    section(kind.section()).unwrap_or_default()
}

impl Subcommand for DataCommand {
    fn augment_subcommands(command: Command) -> Command {
        let of = |kind: DataKind| {
            let (heading, about) = described(kind);
            flags(Command::new(kind.section()).about(about), heading, &settings(kind))
        };
        command.subcommands(DataKind::ALL.map(of))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        DataKind::ALL.iter().any(|kind| kind.section() == name)
    }
}

impl FromArgMatches for DataCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let named = matches
            .subcommand()
            .and_then(|(name, matches)| Some((*DataKind::ALL.iter().find(|kind| kind.section() == name)?, matches)));
        let Some((kind, matches)) = named else {
            return Err(clap::Error::raw(ErrorKind::MissingSubcommand, "expected a kind of data\n"));
        };
        let data = Data::with_keys(kind, typed(&settings(kind), matches));
        let data = data.map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")))?;
        Ok(Self { data, set: SetArgs::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Settings of a series that a backtest sets itself or refuses: its help does not show them.
const NOT_OF_BACKTEST: [&str; 5] = ["train-until", "split", "test-until", "now", "carry-state"];

/// The settings of a series without a word before them.
#[derive(Clone, Default)]
pub(crate) struct SeriesArgs(Map<String, Value>);

impl SeriesArgs {
    /// As after `series`; `None` if nothing is set.
    ///
    /// # Errors
    /// Those of the settings' values.
    pub(crate) fn data(&self) -> Result<Option<DataCommand>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let data = Data::with_keys(DataKind::Series, self.0.clone())?;
        Ok(Some(DataCommand { data, set: SetArgs::default() }))
    }
}

impl Args for SeriesArgs {
    fn augment_args(command: Command) -> Command {
        let command = flags(command, described(DataKind::Series).0, &settings(DataKind::Series));
        let command = command.mut_arg("validation", |arg| {
            let help = "Validation share of the rows before each origin [default: 0.2]";
            arg.help(help).long_help(format!("{help}. By default it is at least the horizon; 0 is for none."))
        });
        NOT_OF_BACKTEST.into_iter().fold(command, |command, key| command.mut_arg(key, |arg| arg.hide(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SeriesArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(typed(&settings(DataKind::Series), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The settings that say how other data are read and split than those that a model was trained on: the section whose
/// form each has, its key, its help and its default.
const READ: [(&str, &str, &str, &str); 18] = [
    ("series", "split", "Train, validation, test", "all test"),
    ("series", "train-until", "Series: last training row, by its first column", ""),
    ("series", "validation", "Validation share after --train-until", ""),
    ("series", "season", "Series: season length of the naive baseline", ""),
    ("sequences", "labels", "Sequences: labels, if they have their own file", ""),
    ("sequences", "test-file", "Sequences: test sequences, in the same format", ""),
    ("sequences", "test-labels", "Sequences: labels of --test-file", ""),
    ("sequences", "labels-as", "Sequences: numeric labels are classes or values", ""),
    ("sequences", "id", "CSV sequences: name column", "id"),
    ("sequences", "time", "CSV sequences: order column", "time"),
    ("sequences", "label", "CSV sequences: label column", "label"),
    ("audio", "wet", "Audio: the sound that is to be made of FILE", ""),
    ("text", "window", "Text: number of steps in a window", "64"),
    ("series", "missing", "Missing values: error, ffill or mask", ""),
    ("series", "decimal", "Decimal mark: . or ,", "detected"),
    ("series", "dates", "Date order: day-first, month-first, year-first", ""),
    ("series", "input-limit", "Largest input, as in 4GiB", "1GiB"),
    ("task", "length", "Task: steps of adding, delay of copy", ""),
];

/// Settings for reading and splitting data that the model was not trained on.
#[derive(Clone, Default)]
pub(crate) struct ReadArgs {
    pub(crate) file: Option<PathBuf>,
    keys: Map<String, Value>,
}

fn read_settings() -> Vec<Setting> {
    let of = |(of, key, help, default): (&str, &str, &'static str, &'static str)| {
        section(of)?.into_iter().find(|setting| setting.key == key).map(|setting| setting.into_flag(help, default))
    };
    READ.into_iter().filter_map(of).collect()
}

impl Args for ReadArgs {
    fn augment_args(command: Command) -> Command {
        let file = clap::Arg::new("file")
            .value_name("FILE")
            .value_hint(ValueHint::AnyPath)
            .value_parser(clap::value_parser!(PathBuf))
            .help("Other data of the same kind [default: the run's]")
            .long_help(
                "Other data of the same kind: a file or, for classes, a folder or a file of lines [default: the run's]. The \
                 file that the model was trained on is split as it was then; other data are test data, unless --split is \
                 given",
            );
        flags(command.arg(file), "Data", &read_settings())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ReadArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { file: matches.get_one::<PathBuf>("file").cloned(), keys: typed(&read_settings(), matches) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ReadArgs {
    /// Only another file.
    pub(crate) fn of_file(file: Option<PathBuf>) -> Self {
        Self { file, keys: Map::new() }
    }

    /// The settings for data of the model's kind; `None` if nothing is set.
    ///
    /// # Errors
    /// Names a flag that does not apply to that kind.
    pub(crate) fn data(&self, kind: DataKind) -> Result<Option<Data>, Error> {
        if self.keys.is_empty() && self.file.is_none() {
            return Ok(None);
        }
        let mut data = Data::with_keys(kind, self.keys.clone())?;
        data.set_file(self.file.clone())?;
        Ok(Some(data))
    }
}
