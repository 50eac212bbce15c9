//! A network by its settings, planned and on its device.

use bptt::experiment::model::model_file::ModelFile;
use bptt::experiment::network::Network;
use bptt::experiment::settings::Settings;
use bptt::experiment::tasks::load;
use bptt::experiment::tasks::task::Task;
use bptt::{EngineOptions, Error, Model, Result, TrainerOptions};

use super::opened::{Opened, Planner};
use crate::cli::exit::Failure;

/// The network's form, by the settings or as the model has it that the weights begin with.
pub(crate) fn form(settings: &mut Settings, task: &dyn Task, start: Option<&ModelFile>) -> Result<Model, Failure> {
    if let Some(start) = start {
        load::check_fits(start, task)?;
        settings.set_form(&start.model).map_err(Failure::usage)?;
    }
    if let Some(reason) = task.one_direction().filter(|_| settings.bidirectional) {
        return Err(Failure::usage(Error::Unsupported(format!("--bidirectional: {reason}"))));
    }
    if settings.has_embedding() && !task.codec().has_tokens() {
        let reason = "--embedding (model.embedding) is of characters and symbols, and these data are numbers";
        return Err(Failure::usage(Error::Unsupported(reason.into())));
    }
    if settings.recompute && settings.bidirectional {
        let reason = "--recompute (training.recompute) needs a network of one direction, and this one reads in two";
        return Err(Failure::usage(Error::Unsupported(reason.into())));
    }
    let model = settings.network(task.input_size(), task.head());
    settings.check_batch(&model).map_err(Failure::usage)?;
    Ok(model)
}

/// What the network's engine is told.
fn engine_options(opened: &Opened, settings: &Settings) -> EngineOptions {
    EngineOptions {
        optimizer: Some(settings.optimizer.kind),
        max_skipped_updates: settings.skips(),
        recompute: settings.recompute,
        // A GPU lets go of the buffers for other shapes; the CPU path's grow and are the same for all.
        memory: settings.memory.filter(|_| !opened.is_cpu()),
        ..EngineOptions::default()
    }
}

/// What training the network is going to take.
pub(crate) fn planner<'a>(opened: &'a Opened, settings: &Settings, model: &'a Model) -> Result<Planner<'a>> {
    opened.planner(model, engine_options(opened, settings), settings.flow_every.is_some())
}

/// The network on its device, with its first weights.
pub(crate) fn begin(
    opened: &Opened,
    settings: &Settings,
    model: &Model,
    task: &dyn Task,
    start: Option<&ModelFile>,
) -> Result<Box<dyn Network>> {
    let options = TrainerOptions {
        initialisation: settings.initialisation(),
        micro_batch: settings.micro_batch,
        carry_state: task.carries_state(),
        engine: engine_options(opened, settings),
        ..TrainerOptions::default()
    };
    let mut network = opened.network(model, settings.optimizer, settings.seed, options)?;
    if let Some(start) = start {
        network.load_state_dict(&start.weights)?;
    }
    Ok(network)
}
