//! The flags of `bptt sweep`.

use std::path::PathBuf;

use bptt::experiment::config::{RunConfig, SweepConfig};
use clap::{Args, ValueHint};

use crate::cli::args::{Flags, SetArgs, ShowArgs, jobs};

#[derive(Args)]
pub(crate) struct SweepArgs {
    /// Configuration with [sweep] and [sweep.space]
    ///
    /// A configuration file as of `bptt train --config`, with the settings that all trials share, and beside them [sweep]
    /// and [sweep.space], the settings that vary. Every sweep keeps one, sweep.toml.
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "worker")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sweep: Flags<SweepConfig>,
    #[command(flatten)]
    pub(crate) run: Flags<RunConfig>,
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// Work on the sweep in a folder, beside others or after a stop
    ///
    /// On this machine or on another that has the same folder, as a job of a cluster. Only --device, --threads, --jobs and
    /// how progress is shown can be set.
    #[arg(long, visible_alias = "resume", value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    #[arg(conflicts_with_all = ["file", "out", "set"])]
    pub(crate) worker: Option<PathBuf>,
    /// Number of runs at a time on this machine [default: 1]
    ///
    /// They share its cores, unless --threads says how many each has, and its device.
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<usize>,
    /// New folder, or one to continue [default: runs/NAME-N]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    /// Print nothing but a summary, as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}
