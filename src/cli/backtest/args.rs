//! The flags of `bptt backtest`.

use std::path::PathBuf;

use bptt::experiment::config::BacktestConfig;
use clap::{Args, ValueHint};

use crate::cli::args::{Flags, SeriesArgs, SettingsArgs, ShowArgs};

#[derive(Args)]
pub(crate) struct BacktestArgs {
    #[command(flatten)]
    pub(crate) folds: Flags<BacktestConfig>,
    #[command(flatten)]
    pub(crate) series: SeriesArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Read settings from a file; flags override them
    ///
    /// Every backtest keeps such a file, backtest.toml. That of a run of a series will do too, without its cuts.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Continue a backtest that was stopped
    ///
    /// Only --device, --threads and a new location of its file can be set. The same command with the same --out
    /// continues it too.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["config", "out", "set"], value_hint = ValueHint::DirPath)]
    pub(crate) resume: Option<PathBuf>,
    /// New folder, or one to continue [default: runs/NAME-backtest-N]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    /// Print nothing but a summary, as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}
