//! Room 4: a network learns a text character by character, and continues it.

use std::path::Path;
use std::sync::Arc;

use bptt::data::{Batches, RandomWindows, Text, TextSplit, TextUnit, Vocabulary};
use bptt::experiment::Codec;
use bptt::train::Sampling;
use bptt::{Direction, Error, Head, Loss, Model, Optimizer, Readout, Recurrent, Result, SavedModel, TrainerOptions};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::device::Device;
use super::limits::{self, Progress};
use super::network::Network;
use super::series::CellName;

/// The shares of training, validation and test.
const SHARES: [f64; 3] = [0.9, 0.1, 0.0];

/// The largest norm of a gradient.
const CLIP: f64 = 1.0;

/// Batches of a validation.
const VALIDATED: u64 = 4;

/// The settings of the room.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextOptions {
    /// The cell.
    pub cell: CellName,
    /// H.
    pub hidden: usize,
    /// L.
    pub layers: usize,
    /// T, in characters.
    pub window: usize,
    /// B.
    pub batch: usize,
    /// η of Adam.
    pub learning_rate: f64,
    /// What the weights and the windows are drawn from.
    pub seed: u64,
}

type Windows = RandomWindows<Arc<Text>, Arc<Vocabulary>>;

/// A network that continues a text.
pub struct TextRoom {
    network: Network,
    vocabulary: Arc<Vocabulary>,
    /// The text; a model from a file has none.
    learned: Option<Learned>,
}

struct Learned {
    characters: u64,
    training: Windows,
    validation: Option<Windows>,
}

/// The text and the network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextDescription {
    /// The length of the text; `None` for a model from a file.
    pub characters: Option<u64>,
    /// The characters that the network knows; of a model of bytes nothing.
    pub vocabulary: Vec<String>,
    /// The number of parameters.
    pub parameters: usize,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextStep {
    /// The number of steps so far.
    pub step: u64,
    /// The mean loss of the steps of this call, in nats a character.
    pub loss: f64,
    /// e to the loss: among how many characters the network seems to guess.
    pub perplexity: f64,
    /// The loss of every step of this call.
    pub losses: Vec<f64>,
}

impl TextRoom {
    /// A network for a text.
    ///
    /// # Errors
    /// [`Error::Data`] for bytes that are not UTF-8, and for a text that is too short for its window; [`Error::Value`] for
    /// sizes out of range; those of the device.
    pub fn new(device: &Device, text: Vec<u8>, options: &TextOptions) -> Result<Self> {
        let TextOptions { cell, hidden, layers, window, batch, learning_rate, seed } = *options;
        limits::file("the text", text.len())?;
        let hidden = limits::within("hidden", hidden, 1..=1024)?;
        let layers = limits::within("layers", layers, 1..=4)?;
        let window = limits::within("window", window, 1..=1024)?;
        let rows = limits::within("batch", batch, 1..=256)?;
        let optimizer = Optimizer::adam(limits::learning_rate(learning_rate)?).clip_norm(CLIP);
        let text = Text::from_bytes(text, Path::new("the text"), TextUnit::Characters)?;
        let characters = text.len();
        // Validation needs a window and the next character too.
        let least = (10 * (window as u64 + 2)).max(20);
        if characters < least {
            return Err(Error::Unsupported(format!(
                "the text has {characters} character{}, and windows of {window} need at least {least}: take a longer text or a \
                 shorter window",
                if characters == 1 { "" } else { "s" }
            )));
        }
        let split = TextSplit::shares(characters, window, SHARES)?;
        let vocabulary = Arc::new(Vocabulary::characters(&text.histogram(split.train.clone())?, 1)?);
        let text = Arc::new(text);
        let windows = |part, seed| RandomWindows::new(text.clone(), vocabulary.clone(), part, window, rows, seed);
        let training = windows(split.train, seed)?;
        let validation = windows(split.validation, seed.wrapping_add(1)).ok();
        let size = vocabulary.len();
        let head = Head::new(size, Loss::CrossEntropy, Readout::PerStep);
        let model = Model::new(Recurrent::new(cell.into(), size, hidden).layers(layers), head);
        let network = Network::new(device, &model, optimizer, seed, TrainerOptions::default())?;
        Ok(Self { network, vocabulary, learned: Some(Learned { characters, training, validation }) })
    }

    /// A network from a model file, to sample from.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a file that is none of a text; those of [`SavedModel::read_from`] and of the device.
    pub fn from_model(device: &Device, bytes: &[u8]) -> Result<Self> {
        limits::file("the model", bytes.len())?;
        let saved = SavedModel::read_from(bytes, bytes.len() as u64)?;
        let Some(Codec::Text { vocabulary }) = saved.codec()? else {
            let reason =
                "this model is not one of a text: take a model.safetensors of `bptt train text`, or of this page";
            return Err(Error::Unsupported(reason.into()));
        };
        if saved.model().recurrent.direction != Direction::Forward {
            let reason = "sampling needs a network that reads forward only, and this one has a reverse direction";
            return Err(Error::Unsupported(reason.into()));
        }
        let network = Network::of(device, &saved)?;
        Ok(Self { network, vocabulary: Arc::new(vocabulary), learned: None })
    }

    /// The text and the network.
    ///
    /// # Errors
    /// None for a vocabulary that was made.
    pub fn describe(&self) -> Result<TextDescription> {
        let known = self.vocabulary.unknown().unwrap_or_default();
        let character = |id| Ok(String::from_utf8_lossy(&self.vocabulary.decode(&[id])?).into_owned());
        Ok(TextDescription {
            characters: self.learned.as_ref().map(|learned| learned.characters),
            vocabulary: (0..known).map(character).collect::<Result<_>>()?,
            parameters: self.network.parameters(),
        })
    }

    fn learned(learned: Option<&Learned>) -> Result<&Learned> {
        let reason = "a model from a file has no text to learn: it only continues one";
        learned.ok_or_else(|| Error::Unsupported(reason.into()))
    }

    /// Compiles one more kernel.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn prepare(&mut self) -> Result<Progress> {
        match &self.learned {
            Some(learned) => self.network.compile(&learned.training.batch(0)?, false).await,
            None => Ok(Progress { done: 0, total: 0 }),
        }
    }

    /// Takes steps.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss beyond all numbers; those of the device.
    pub async fn step(&mut self, steps: usize) -> Result<TextStep> {
        let steps = limits::within("steps", steps, 1..=10_000)?;
        let learned = Self::learned(self.learned.as_ref())?;
        let reports = self.network.train(&learned.training, steps).await?;
        let losses: Vec<f64> = reports.iter().map(|report| report.loss).collect();
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        Ok(TextStep { step: self.network.steps(), loss, perplexity: loss.exp(), losses })
    }

    /// The loss of the last tenth of the text, over a few windows; `None` if it is too short.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn validate(&mut self) -> Result<Option<f64>> {
        let learned = Self::learned(self.learned.as_ref())?;
        let Some(validation) = &learned.validation else { return Ok(None) };
        let (mut sum, mut weight) = (0.0, 0.0);
        for number in 0..validation.per_epoch().min(VALIDATED) {
            let batch = validation.batch(number)?;
            let of_batch = batch.total_weight();
            if of_batch > 0.0 {
                sum += of_batch * self.network.evaluate(&batch).await?;
                weight += of_batch;
            }
        }
        Ok((weight > 0.0).then(|| sum / weight))
    }

    /// Continues `prime` by `length` characters. An empty prime is the start of a line, as in `bptt sample`.
    ///
    /// # Errors
    /// [`Error::Value`] for a temperature that is negative or not finite, and for more than 10,000 characters; those of the
    /// device.
    pub async fn sample(&mut self, prime: &str, length: usize, temperature: f64, seed: u64) -> Result<String> {
        let length = limits::within("the length of the sample", length, 0..=10_000)?;
        let temperature = limits::within("the temperature", temperature, 0.0..=100.0)?;
        let (sampling, mut rng) = (Sampling::default().temperature(temperature), ChaCha8Rng::seed_from_u64(seed));
        let prompt = self.vocabulary.encode(if prime.is_empty() { "\n" } else { prime });
        let unknown = self.vocabulary.unknown().map(|id| id as usize);
        let mut drawn = Vec::new();
        if length > 0 {
            let next = |logits: &[f32]| {
                let id = sampling.pick(logits, unknown, &mut rng)? as u32;
                drawn.push(id);
                Ok((drawn.len() < length).then_some(id))
            };
            self.network.stream(&prompt, next).await?;
        }
        Ok(String::from_utf8_lossy(&self.vocabulary.decode(&drawn)?).into_owned())
    }

    /// A model file that `bptt sample` and [`from_model`](Self::from_model) take.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn model_file(&mut self) -> Result<Vec<u8>> {
        let codec = Codec::Text { vocabulary: (*self.vocabulary).clone() };
        let (saved, mut bytes) = (self.network.saved_model().await?.with_codec(&codec)?, Vec::new());
        saved.write_to(&mut bytes)?;
        Ok(bytes)
    }
}
