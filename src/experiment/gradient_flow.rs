//! How much of the gradient reaches each step: ‖∂L/∂h_t‖ of every (layer, direction).

use ndarray::{Axis, s};

use super::device::network::Network;
use super::device::open::OpenDevice;
use super::setup::{new_network, trained_network};
use super::tasks::task::{Order, Task};
use super::training::Experiment;
use crate::format::short;
use crate::plot::GradientLine;
use crate::train::{GradientDecay, Observer, last_alone, mean_derivative, recurrent_radii};
use crate::{
    Backend, Batch, Cell, Cpu, Embedding, EngineOptions, Error, Layers, Layout, Model, Parameters, Readout, Result,
    Sequence, StateDict,
};

/// The hidden gradient norms of one network.
pub struct GradientFlow {
    /// The name of the network.
    pub name: String,
    /// The mean loss of the batch.
    pub loss: f64,
    /// The norm of the whole gradient, before clipping.
    pub gradient_norm: f64,
    /// The factor of clipping.
    pub clip_factor: f64,
    /// By (layer, direction).
    pub layers: Vec<LayerFlow>,
    /// D.
    directions: usize,
}

/// The norms of one (layer, direction).
pub struct LayerFlow {
    /// The suffix of PyTorch's names: `l0`, `l0_reverse`.
    pub name: String,
    /// ‖∂L/∂h_t‖ by t, \[T\].
    pub norms: Vec<f64>,
    /// The factor per step back in time.
    pub factor: Option<GradientDecay>,
    /// The spectral radius of each gate's block of W_hh.
    pub radii: Vec<(&'static str, f64)>,
    /// Whether it reads rows from their ends.
    pub is_reverse: bool,
    /// The mean of f′, for the vanilla RNN.
    pub mean_derivative: Option<f64>,
}

impl GradientFlow {
    /// Measures a network on a batch, in one training step whose update changes nothing: the network comes from
    /// [`trained_network`]. `clip`: the maximum gradient norm.
    ///
    /// # Errors
    /// If the batch does not fit the network, and errors of the device.
    pub async fn measure(network: &mut Network, name: String, batch: &Batch, clip: Option<f64>) -> Result<Self> {
        let (norms, report) = network.hidden_gradient_norms(batch).await?;
        let (model, weights) = (network.model().clone(), network.state_dict().await?);
        let factors = GradientDecay::of(&norms, &model, batch)?;
        let radii = recurrent_radii(&model, &weights)?;
        let derivatives = mean_derivatives(&model, &weights, &batch.sequence).await?;
        let norms = norms.norms.axis_iter(Axis(0)).map(|norms| norms.to_vec());
        let layers = norms.zip(factors).zip(radii).enumerate().map(|(index, ((norms, factor), radii))| LayerFlow {
            name: model.recurrent.suffix(index),
            norms,
            factor,
            radii,
            is_reverse: model.recurrent.is_reverse(index),
            mean_derivative: derivatives.get(index).copied(),
        });
        // As in PyTorch.
        let clip_factor = clip.map_or(1.0, |clip| (clip / (report.norm + 1e-6)).min(1.0));
        Ok(Self {
            name,
            loss: report.loss,
            gradient_norm: report.norm,
            clip_factor,
            layers: layers.collect(),
            directions: model.recurrent.directions(),
        })
    }

    /// The first direction of the last layer, which represents a network in a comparison.
    pub fn last_forward(&self) -> &LayerFlow {
        &self.layers[self.layers.len() - self.directions]
    }

    /// The chart lines, one per (layer, direction).
    pub fn lines(&self) -> Vec<GradientLine> {
        let line = |(index, layer): (usize, &LayerFlow)| GradientLine {
            name: with_factor(&layer.name, layer.factor),
            colour: index / self.directions,
            is_reverse: layer.is_reverse,
            norms: layer.norms.clone(),
            clip_factor: self.clip_factor,
        };
        self.layers.iter().enumerate().map(line).collect()
    }

    /// The chart line of the network in a comparison, in the colour with this number.
    pub fn line_of_network(&self, colour: usize) -> GradientLine {
        let layer = self.last_forward();
        GradientLine {
            name: with_factor(&self.name, layer.factor),
            colour,
            is_reverse: layer.is_reverse,
            norms: layer.norms.clone(),
            clip_factor: self.clip_factor,
        }
    }
}

/// The norms of a network before and after training.
pub struct TrainedFlow {
    /// At initialisation.
    pub before: GradientFlow,
    /// After training, or before the step that stopped it.
    pub after: GradientFlow,
    /// The steps of training.
    pub steps: u64,
    /// Why training stopped early, if a step was not finite.
    pub stopped: Option<String>,
}

impl TrainedFlow {
    /// Trains a new network of the experiment without storing it, and measures it on `batch` before and after.
    ///
    /// # Errors
    /// Those of the data, the device and the observer.
    pub async fn train(
        experiment: &Experiment,
        device: &OpenDevice,
        (name, batch): (&str, &Batch),
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let Experiment { settings, task, model, .. } = experiment;
        let mut network = new_network(device, settings, model, task.as_ref(), None)?;
        let clip = settings.optimizer.clip_norm;
        let mut initial = trained_network(device, model, &network.state_dict().await?)?;
        let before = GradientFlow::measure(&mut initial, name.into(), batch, clip).await?;
        drop(initial);
        let training = experiment.batches()?;
        let validation = experiment.validation(settings.rows_at_once())?;
        let (training, validation) = (training.as_ref(), validation.as_deref());
        let (steps, stopped) = match network.run(None, training, validation, &settings.run, observer).await {
            Ok(outcome) => (outcome.last.step, None),
            // The weights are those before the failed step; the picture names the reason.
            Err(Error::NonFinite { step, what }) => {
                (step.saturating_sub(1), Some(Error::NonFinite { step, what }.to_string()))
            }
            Err(error) => return Err(error),
        };
        let mut trained = trained_network(device, model, &network.state_dict().await?)?;
        let after = GradientFlow::measure(&mut trained, name.into(), batch, clip).await?;
        Ok(Self { before, after, steps, stopped })
    }
}

/// The measured batch of a task, `rows` sequences, with a description. If every step has a prediction, only the loss of
/// each row's last step counts, or with `whole_loss` that of all steps.
///
/// # Errors
/// If the task has neither validation nor training examples.
pub fn measured_batch(task: &dyn Task, rows: usize, whole_loss: bool) -> Result<(Batch, String)> {
    let order = Order { rows, buckets: 1, seed: 1 };
    let (part, batch) = match (task.validation(rows)?, task.training(order)?) {
        (Some(validation), _) => ("validation", validation.batch(0)?),
        (None, Some(training)) => ("training", training.batch(0)?),
        (None, None) => {
            return Err(Error::Unsupported("neither the validation nor the training split has an example".into()));
        }
    };
    let (steps, rows) = batch.sequence.shape();
    let every = task.head().readout == Readout::PerStep;
    let (batch, of) = match (every, whole_loss) {
        (true, false) => (last_alone(batch), ", the loss of each row's last step"),
        (true, true) => (batch, ", the loss of every step"),
        (false, _) => (batch, ""),
    };
    Ok((batch, format!("{rows} sequences of the {part} split, {steps} steps{of}")))
}

/// The mean of f′ of each (layer, direction) of a vanilla RNN, and nothing for other cells. The output of a layer is
/// that of the network truncated after it.
async fn mean_derivatives(model: &Model, weights: &StateDict, sequence: &Sequence) -> Result<Vec<f64>> {
    let Cell::Rnn(activation) = model.recurrent.cell else { return Ok(Vec::new()) };
    let layout = Layout::new(model);
    let block = layout.to_block(weights)?;
    let hidden = model.recurrent.hidden_size;
    let mut means = Vec::new();
    for layers in 1..=model.recurrent.layers {
        // Tied weights need a head; dropout does not apply, and is not allowed with one layer.
        let recurrent = model.recurrent.clone().layers(layers).dropout(0.0).recurrent_dropout(0.0);
        let embedding = model.embedding.as_ref().map(|embedding| Embedding::new(embedding.vocabulary));
        let cut = Model { embedding, ..Model::headless(recurrent) };
        let mut engine = Cpu::new().engine(&cut, &EngineOptions::default())?;
        let of_cut = Layout::new(&cut);
        let whole = |role| layout.tensors().iter().find(|tensor| tensor.role == role);
        let parts =
            of_cut.tensors().iter().filter_map(|tensor| whole(tensor.role)).map(|tensor| &block[tensor.range()]);
        engine.set_parameters(&parts.flatten().copied().collect::<Vec<f32>>())?;
        let output = engine.forward(sequence).await?.output;
        for direction in 0..model.recurrent.directions() {
            let own = output.slice(s![.., .., direction * hidden..(direction + 1) * hidden]);
            means.push(mean_derivative(activation, own, sequence));
        }
    }
    Ok(means)
}

/// A name with the factor per step.
fn with_factor(name: &str, factor: Option<GradientDecay>) -> String {
    match factor {
        Some(factor) => format!("{name} ×{} per step", short_factor(factor.factor)),
        None => name.into(),
    }
}

/// A factor with two decimals, or as many as distinguish it from 1.
pub fn short_factor(factor: f64) -> String {
    match (factor - 1.0).abs() {
        near if near > 0.9 => short(factor),
        near if near >= 0.095 => format!("{factor:.2}"),
        near if near >= 0.0095 => format!("{factor:.3}"),
        _ => format!("{factor:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use pollster::block_on;

    use super::*;
    use crate::experiment::config::{Config, Data, RunConfig, ScheduleConfig, TaskConfig, TaskName, TrainingConfig};
    use crate::experiment::settings::Settings;
    use crate::experiment::training::{Missing, TrainingRun};
    use crate::train::{Metrics, StepCounts};

    /// The metrics of every step.
    #[derive(Clone, Default)]
    struct Steps(Arc<Mutex<Vec<Metrics>>>);

    impl Observer for Steps {
        fn step(&mut self, metrics: &Metrics, _: StepCounts) -> Result<()> {
            self.0.lock().unwrap().push(*metrics);
            Ok(())
        }
    }

    #[test]
    fn a_network_that_is_trained_for_its_gradient_flow_takes_the_steps_of_a_run_on_a_plateau_too() {
        let adding = TaskConfig { name: Some(TaskName::Adding), length: Some(6), ..TaskConfig::default() };
        // With this rate no weight changes, and no validation is better than the one before.
        let training = TrainingConfig {
            schedule: Some(ScheduleConfig::Plateau { patience: 1, factor: 0.5 }),
            val_every: Some(2),
            steps: Some(8),
            lr: Some(1e-30),
            ..TrainingConfig::default()
        };
        let run = RunConfig { device: Some("cpu".into()), threads: Some(1), ..RunConfig::default() };
        let given = Config { data: Some(Data::Task(adding)), run, training, ..Config::default() };
        let load = || Experiment::load(Settings::new(given.clone()).unwrap()).unwrap();
        let (folder, [of_run, of_flow]) = (tempfile::tempdir().unwrap(), [(); 2].map(|()| Steps::default()));

        let mut experiment = load();
        let out = folder.path().join("run");
        let (run, mut network) = block_on(TrainingRun::open(&mut experiment, None, Some(&out), None)).unwrap();
        block_on(run.train(&mut network, |_, _| Ok(of_run.clone()), &mut Missing::default())).unwrap();

        let experiment = load();
        let device = block_on(OpenDevice::open(&experiment.settings.device_options())).unwrap();
        let (batch, _) = measured_batch(experiment.task.as_ref(), 4, false).unwrap();
        block_on(TrainedFlow::train(&experiment, &device, ("lstm", &batch), &mut of_flow.clone())).unwrap();

        let [of_flow, of_run] = [of_flow, of_run].map(|steps| std::mem::take(&mut *steps.0.lock().unwrap()));
        assert_eq!(of_flow, of_run);
        let rates: Vec<f64> = of_flow.iter().map(|metrics| metrics.lr).collect();
        assert!(rates.len() == 8 && rates[7] < rates[0], "{rates:?}");
    }
}
