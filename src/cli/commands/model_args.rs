//! A trained model and the data that it reads: the common flags of `eval`, `predict` and `flow`.

use std::path::{Path, PathBuf};

use bptt::experiment::config::{BatchSize, RunConfig, SIZE};
use bptt::experiment::loaded_model::{AppliedModel, LoadedModel};
use clap::Args;

use crate::cli::args::{Flags, ReadArgs, whole};
use crate::cli::config_file;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::eprint_line;

#[derive(Args)]
pub(crate) struct ModelArgs {
    /// Folder of a run, or a model.safetensors
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub(crate) run: PathBuf,
    /// Sequences per batch [default: the run's, or 32]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "B")]
    pub(crate) batch: Option<usize>,
    #[command(flatten)]
    pub(crate) on: Flags<RunConfig>,
    #[command(flatten)]
    pub(crate) data: ReadArgs,
}

impl ModelArgs {
    /// The model on its device, with the data of the flags or of its run.
    pub(crate) async fn open(&self) -> Result<AppliedModel, Failure> {
        let model = open_model(&self.run)?;
        let mut config = model.config(&self.on.0, self.data.data(model.file.codec.kind())?)?;
        config.training.batch = self.batch.map(BatchSize::Rows).or(config.training.batch);
        Ok(model.apply(config).await?)
    }
}

/// The model in a run's folder or a file. For an unfinished run, a note names the weights that are used.
pub(crate) fn open_model(run: &Path) -> bptt::Result<LoadedModel> {
    let model = LoadedModel::open_with(run, config_file::read)?;
    model.file.note.iter().for_each(eprint_line);
    Ok(model)
}
