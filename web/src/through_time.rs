//! Room 3: four networks learn the adding problem, and ‖∂L/∂h_t‖ shows how much of the gradient reaches each step.

use bptt::data::{AddingTask, Batches, Examples, ShuffledBatches, SyntheticExamples};
use bptt::train::{GradientDecay, recurrent_radii};
use bptt::{
    Activation, Batch, Cell, Error, Initialisation, Model, Optimizer, Recurrent, RecurrentInit, Result, TrainerOptions,
};
use serde::{Deserialize, Serialize};

use super::device::Device;
use super::limits::{self, Progress};
use super::network::{BatchGradient, Network, clip_factor};

/// Examples of training, which are generated on demand; as many as the program has.
const TRAINING: usize = 100_000;

/// The settings of the room.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThroughTimeOptions {
    /// T.
    pub length: usize,
    /// H.
    pub hidden: usize,
    /// B.
    pub batch: usize,
    /// η of Adam.
    pub learning_rate: f64,
    /// The largest norm of a gradient.
    #[serde(default)]
    pub clip: Option<f64>,
    /// What the weights and the examples are drawn from.
    pub seed: u64,
}

/// The four networks.
pub struct ThroughTime {
    networks: Vec<(&'static str, Network)>,
    training: ShuffledBatches<SyntheticExamples<AddingTask>>,
    /// What the gradient is examined on.
    examined: Batch,
    clip: Option<f64>,
    /// How many of the networks have told which kernels they need.
    prepared: usize,
}

/// A training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepNumbers {
    /// The number of steps so far.
    pub step: u64,
    /// The loss of the last one.
    pub loss: f64,
    /// The norm of its gradient, before clipping.
    pub gradient_norm: f64,
    /// The factor that clipping has scaled it by; 1 without.
    pub clip_factor: f64,
}

/// How much of the gradient reaches each step, over a batch that no network is trained on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReachingGradient {
    /// ‖∂L/∂h_t‖, t = 1 … T.
    pub norms: Vec<f64>,
    /// The factor of a step back in time.
    pub factor: Option<f64>,
    /// The spectral radius of each gate's block of W_hh, with the gate's name; the RNN's has none.
    pub radii: Vec<(&'static str, f64)>,
    /// The mean loss of the batch.
    pub loss: f64,
    /// The norm of its whole gradient.
    pub gradient_norm: f64,
    /// The factor that clipping would scale it by.
    pub clip_factor: f64,
}

impl ThroughTime {
    /// The networks of these settings: those that `bptt flow task adding` compares.
    ///
    /// # Errors
    /// [`Error::Value`] for sizes out of range; those of the device.
    pub fn new(device: &Device, options: &ThroughTimeOptions) -> Result<Self> {
        let ThroughTimeOptions { length, hidden, batch, learning_rate, clip, seed } = *options;
        let length = limits::within("length", length, 2..=1000)?;
        let hidden = limits::within("hidden", hidden, 1..=512)?;
        let rows = limits::within("batch", batch, 1..=1024)?;
        let optimizer = Optimizer::adam(limits::learning_rate(learning_rate)?).clip_norm(clip);
        let task = AddingTask { length };
        let network = |cell, initialisation| -> Result<Network> {
            let model = Model::new(Recurrent::new(cell, AddingTask::INPUTS, hidden), task.head());
            let options = TrainerOptions::default().initialisation(initialisation);
            Network::new(device, &model, optimizer, seed, options)
        };
        let as_pytorch = Initialisation::default();
        let networks = vec![
            ("tanh RNN", network(Cell::Rnn(Activation::Tanh), as_pytorch)?),
            ("IRNN", network(Cell::Rnn(Activation::Relu), as_pytorch.recurrent(RecurrentInit::Identity))?),
            ("LSTM", network(Cell::Lstm, as_pytorch.forget_bias(1.0))?),
            ("GRU", network(Cell::Gru, as_pytorch)?),
        ];
        let training = ShuffledBatches::new(task.examples(seed, 0, TRAINING)?, rows, 1, seed)?;
        let held_back = task.examples(seed, TRAINING as u64, rows)?;
        let examined = held_back.batch(&(0..rows).collect::<Vec<_>>(), length)?;
        Ok(Self { networks, training, examined, clip, prepared: 0 })
    }

    /// The names of the networks.
    pub fn names(&self) -> Vec<&'static str> {
        self.networks.iter().map(|(name, _)| *name).collect()
    }

    /// Compiles one more kernel.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn prepare(&mut self) -> Result<Progress> {
        let batch = self.training.batch(0)?;
        let mut progress = Progress { done: 0, total: 0 };
        // All must be known before their number is.
        let last = self.networks.len() - 1;
        for (_, network) in &mut self.networks[self.prepared.min(last)..] {
            progress = network.compile(&batch, true).await?;
        }
        self.prepared = last;
        Ok(progress)
    }

    /// Takes steps with one network.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss beyond all numbers; those of the device.
    pub async fn step(&mut self, network: usize, steps: usize) -> Result<StepNumbers> {
        let steps = limits::within("steps", steps, 1..=10_000)?;
        let (_, trained) = get(&mut self.networks, network)?;
        let reports = trained.train(&self.training, steps).await?;
        let last = *reports.last().ok_or_else(|| Error::Failed("a step without a report".into()))?;
        let clip_factor = clip_factor(last.norm, self.clip);
        Ok(StepNumbers { step: last.step, loss: last.loss, gradient_norm: last.norm, clip_factor })
    }

    /// How much of the gradient reaches each step in one network.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn gradient(&mut self, network: usize) -> Result<ReachingGradient> {
        let (_, network) = get(&mut self.networks, network)?;
        let BatchGradient { loss, gradient_norm, norms } = network.examine(&self.examined).await?;
        let weights = network.state_dict().await?;
        let factors = GradientDecay::of(&norms, network.model(), &self.examined)?;
        let radii = recurrent_radii(network.model(), &weights)?;
        Ok(ReachingGradient {
            norms: norms.norms.row(0).to_vec(),
            factor: factors.into_iter().flatten().next().map(|decay| decay.factor),
            radii: radii.into_iter().next().unwrap_or_default(),
            loss,
            gradient_norm,
            clip_factor: clip_factor(gradient_norm, self.clip),
        })
    }

    /// Sets the largest norm of a gradient; `None`: no clipping.
    ///
    /// # Errors
    /// [`Error::Value`] for one that is not above 0.
    pub fn set_clip(&mut self, clip: Option<f64>) -> Result<()> {
        self.networks.iter_mut().try_for_each(|(_, network)| network.set_clip_norm(clip))?;
        self.clip = clip;
        Ok(())
    }

    /// Sets η.
    ///
    /// # Errors
    /// [`Error::Value`] for a rate that is negative or not finite.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        let rate = limits::learning_rate(rate)?;
        self.networks.iter_mut().try_for_each(|(_, network)| network.set_learning_rate(rate))
    }
}

fn get<T>(all: &mut [T], index: usize) -> Result<&mut T> {
    limits::within("the network", index, 0..=all.len().saturating_sub(1))?;
    all.get_mut(index).ok_or_else(|| Error::Failed("no networks".into()))
}
