//! The network of a run: its form from the settings, its memory, and the network itself.

use super::device::network::Network;
use super::device::open::{NetworkPlanner, OpenDevice};
use super::measure::loss;
use super::model::model_file::ModelFile;
use super::settings::Settings;
use super::tasks::load;
use super::tasks::task::Task;
use crate::engine::parameter_groups::update_ranges;
use crate::{Direction, EngineOptions, Error, Layout, Model, Optimizer, Result, StateDict, TrainerOptions};

/// The network's form, from the settings or from the model of the initial weights.
///
/// # Errors
/// If the settings do not fit the data or that model.
pub fn build_model(settings: &mut Settings, task: &dyn Task, start: Option<&ModelFile>) -> Result<Model> {
    if let Some(start) = start {
        load::check_fits(start, task)?;
        settings.set_form(&start.model)?;
    }
    if let Some(reason) = task.forward_only().filter(|_| settings.direction != Direction::Forward) {
        let flag = if settings.direction == Direction::Both { "--bidirectional" } else { "model.direction reverse" };
        return Err(Error::Unsupported(format!("{flag}: {reason}")));
    }
    if settings.has_embedding() && !task.codec().has_tokens() {
        let reason = "--embedding is for characters and symbols; these data are numbers";
        return Err(Error::Unsupported(reason.into()));
    }
    if settings.recompute && settings.direction != Direction::Forward {
        let reason = "--recompute (training.recompute) needs a network that reads forward only; this one has a reverse direction";
        return Err(Error::Unsupported(reason.into()));
    }
    let model = settings.network(task.input_size(), task.head());
    settings.check_batch(&model)?;
    match update_ranges(&settings.parameter_groups, &Layout::new(&model)) {
        Ok(_) => Ok(model),
        Err(error) => Err(Error::Unsupported(format!("training.groups: {error}"))),
    }
}

/// What an engine needs to know of the settings.
pub(super) fn engine_options(device: &OpenDevice, settings: &Settings) -> EngineOptions {
    EngineOptions {
        optimizer: Some(settings.optimizer.kind),
        parameter_groups: settings.parameter_groups.clone(),
        ema_decay: settings.ema_decay,
        max_skipped_updates: settings.max_skipped_updates(),
        recompute: settings.recompute,
        // A GPU frees the buffers of other shapes; those of the CPU backend grow and are shared by all shapes.
        memory: settings.memory.filter(|_| !device.is_cpu()),
        ..EngineOptions::default()
    }
}

/// Plans the memory of training the model.
///
/// # Errors
/// See [`OpenDevice::planner`].
pub fn training_planner<'a>(
    device: &'a OpenDevice,
    settings: &Settings,
    model: &'a Model,
) -> Result<NetworkPlanner<'a>> {
    device.planner(model, engine_options(device, settings), settings.flow_every.is_some())
}

/// The network for training, with its initial weights.
///
/// # Errors
/// If the device has not enough memory.
pub fn new_network(
    device: &OpenDevice,
    settings: &Settings,
    model: &Model,
    task: &dyn Task,
    start: Option<&ModelFile>,
) -> Result<Network> {
    let options = TrainerOptions {
        initialisation: settings.initialisation(),
        micro_batch: settings.micro_batch,
        carry_state: task.carries_state(),
        engine: engine_options(device, settings),
        ..TrainerOptions::default()
    };
    let mut network = device.network(model, settings.optimizer, settings.seed, options)?;
    if let Some(start) = start {
        network.load_state_dict(&start.weights)?;
    }
    Ok(network)
}

/// A network with these weights for measurement, without label smoothing and class weights.
///
/// # Errors
/// If the device has not enough memory, or the weights do not fit the model.
pub fn trained_network(device: &OpenDevice, model: &Model, weights: &StateDict) -> Result<Network> {
    let model = loss::measured(model);
    let mut network = device.network(&model, Optimizer::sgd(0.0), 0, TrainerOptions::default())?;
    network.load_state_dict(weights)?;
    Ok(network)
}
