//! The flags of `bptt flow`.

use std::path::PathBuf;

use bptt::experiment::config::{BatchSize, Config};
use bptt::experiment::loaded_model::AppliedModel;
use clap::{Args, ValueHint};

use crate::cli::args::{DataCommand, Flags, ReadArgs, SettingsArgs, ShowArgs};
use crate::cli::commands::model_args::ModelArgs;
use crate::cli::exit::Failure;

#[derive(Args)]
pub(crate) struct FlowArgs {
    /// Folder of a run, or a model.safetensors; several with --compare
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) runs: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) data: Option<DataCommand>,
    /// Other data of the same kind [default: the run's]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    data_file: Option<PathBuf>,
    /// Draw several networks in one picture
    ///
    /// They are those of the runs. Without runs they are a tanh RNN, an IRNN, an LSTM and a GRU of the same size,
    /// before and after training with the other flags.
    #[arg(long)]
    pub(crate) compare: bool,
    /// Gradient of the loss of every step, not of the last alone
    ///
    /// It makes a difference where the network predicts at each step.
    #[arg(long)]
    pub(crate) whole_loss: bool,
    /// New SVG file with the picture
    #[arg(long, value_name = "FILE.svg", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// The first run on its device, with the data, batch and device of the flags.
pub(crate) async fn open(args: &FlowArgs, given: &Config) -> Result<AppliedModel, Failure> {
    let data = ReadArgs::of_file(args.data_file.clone());
    let batch = given.training.batch.and_then(BatchSize::rows);
    ModelArgs { run: args.runs[0].clone(), batch, on: Flags(given.run.clone()), data }.open().await
}
