//! The flags of `bptt flow`.

use std::path::PathBuf;

use bptt::experiment::config::{BatchSize, Config};
use bptt::experiment::loaded_model::AppliedModel;
use clap::Args;

use crate::cli::args::{DataCommand, Flags, ReadArgs, SettingsArgs, ShowArgs};
use crate::cli::commands::apply::ApplyArgs;
use crate::cli::exit::Failure;

#[derive(Args)]
pub(crate) struct FlowArgs {
    /// A run's folder, or a model.safetensors alone; with --compare several, or none: they are then trained
    pub(crate) runs: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) data: Option<DataCommand>,
    /// Other data of the run's kind than its own
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,
    /// Draw several networks in one picture: those of the runs, or without runs a tanh RNN, an IRNN, an LSTM and a GRU of
    /// the same size, as they begin and after training by the other flags
    #[arg(long)]
    pub(crate) compare: bool,
    /// Where each step has a prediction: the gradient of all of them, not of each row's last alone
    #[arg(long)]
    pub(crate) whole_loss: bool,
    /// Write the picture, which must not exist yet
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) out: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// The first run on its device, with the data, batch and device that flags set.
pub(crate) async fn open(args: &FlowArgs, given: &Config) -> Result<AppliedModel, Failure> {
    let data = ReadArgs::of_file(args.data_file.clone());
    let batch = given.training.batch.and_then(BatchSize::rows);
    ApplyArgs { run: args.runs[0].clone(), batch, on: Flags(given.run.clone()), data }.open().await
}
