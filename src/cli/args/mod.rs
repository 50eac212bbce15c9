//! The settings of a run as flags, which override the keys of a configuration file.

mod data;
mod sections;
mod set;
mod setting;
mod space;
mod toml_value;
mod units;
mod values;

use std::path::PathBuf;

use bptt::Result;
use bptt::experiment::config::{BacktestConfig, Config, ModelConfig, RunConfig, SweepConfig, TrainingConfig};
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueHint};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use data::{DataCommand, ReadArgs, SeriesArgs, help_of_kind};
pub(crate) use sections::{SECTIONS, section};
pub(crate) use set::with_sets;
pub(crate) use setting::Setting;
pub(crate) use space::check_space;
pub(crate) use toml_value::{element_text, unknown};
pub(crate) use units::{bandwidth, duration, seconds};
pub(crate) use values::*;

/// A command with settings as flags, under a heading.
fn flags(command: Command, heading: &'static str, settings: &[Setting]) -> Command {
    settings.iter().filter_map(Setting::arg).fold(command, |command, arg| {
        let heading = (!arg.is_positional()).then_some(heading);
        command.arg(arg.help_heading(heading))
    })
}

/// A section of a configuration file.
pub(crate) trait Section: DeserializeOwned {
    const NAME: &'static str;
    /// The heading of its flags.
    const HEADING: &'static str;
}

impl Section for RunConfig {
    const NAME: &'static str = "run";
    const HEADING: &'static str = "Run";
}

impl Section for ModelConfig {
    const NAME: &'static str = "model";
    const HEADING: &'static str = "Model";
}

impl Section for TrainingConfig {
    const NAME: &'static str = "training";
    const HEADING: &'static str = "Training";
}

impl Section for BacktestConfig {
    const NAME: &'static str = "backtest";
    const HEADING: &'static str = "Backtest";
}

impl Section for SweepConfig {
    const NAME: &'static str = "sweep";
    const HEADING: &'static str = "Sweep";
}

/// The flags of a section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags<T>(pub(crate) T);

impl<T: Section> Args for Flags<T> {
    fn augment_args(command: Command) -> Command {
        flags(command, T::HEADING, &section(T::NAME).unwrap_or_default())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Section> FromArgMatches for Flags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = setting::typed(&section(T::NAME).unwrap_or_default(), matches);
        let section = serde_json::from_value(Value::Object(typed));
        section.map(Self).map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

// No doc comment: clap would use it as that of the command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Run")]
pub(crate) struct SetArgs {
    /// Any other setting, as in training.accumulate=4
    ///
    /// The keys are those of a configuration file; `bptt init` writes one with every key. The flag can be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// How training progress is shown. These are not settings of the run, which does not depend on them.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ShowArgs {
    /// Steps between lines of progress [default: by time]
    ///
    /// The lines go to standard error. By default there is one about every 10 seconds, or on a terminal a progress bar
    /// instead.
    #[arg(long, value_parser = count, value_name = "N", conflicts_with = "quiet")]
    pub(crate) log_every: Option<u64>,
    /// Print nothing but errors
    ///
    /// With --json, the line of JSON is still printed.
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// The settings of a run other than its data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    model: Flags<ModelConfig>,
    #[command(flatten)]
    training: Flags<TrainingConfig>,
    #[command(flatten)]
    run: Flags<RunConfig>,
    #[command(flatten)]
    set: SetArgs,
    /// Those of the one command that has folds.
    #[arg(skip)]
    pub(crate) backtest: BacktestConfig,
    /// Those of the one command that has trials.
    #[arg(skip)]
    pub(crate) sweep: SweepConfig,
}

impl SettingsArgs {
    /// Those of a sweep, which has all others in its file.
    pub(crate) fn of_sweep(run: Flags<RunConfig>, set: SetArgs, sweep: SweepConfig) -> Self {
        Self { run, set, sweep, ..Self::default() }
    }

    /// The settings from the flags, with those of the data.
    ///
    /// # Errors
    /// See [`with_sets`].
    pub(crate) fn config(&self, data: Option<&DataCommand>) -> Result<Config> {
        let Self { model, training, run, set, backtest, sweep } = self.clone();
        let flags = Config {
            data: data.map(|command| command.data.clone()),
            applies: false,
            run: run.0,
            model: model.0,
            training: training.0,
            backtest,
            sweep,
        };
        let sets: Vec<String> =
            set.set.into_iter().chain(data.iter().flat_map(|command| command.set.set.clone())).collect();
        with_sets(flags, &sets, &[], data.map(|command| command.data.kind()))
    }
}

#[derive(Args)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    pub(crate) data: Option<DataCommand>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Read settings from a file; flags override them
    ///
    /// `bptt init` writes such a file, and every run keeps one.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Continue a run that was stopped
    ///
    /// Only --device, --threads and new locations of its files can be set. --epochs or --steps, the new total length,
    /// extends a finished run in a new folder.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "dump_config", "set"], value_hint = ValueHint::DirPath)]
    pub(crate) resume: Option<PathBuf>,
    /// New folder for the run [default: runs/NAME-N]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    /// Print nothing but a summary, as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    /// Print all settings as a configuration file and exit
    #[arg(long)]
    pub(crate) dump_config: bool,
    /// How ranks (mpirun) add up their gradients
    #[arg(long, value_enum, value_name = "ORDER", default_value_t, hide_short_help = true)]
    pub(crate) rank_sums: RankSums,
}
