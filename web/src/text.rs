//! Room 4: a network learns a text character by character, and continues it.

use std::path::Path;
use std::sync::Arc;

use bptt::data::{Batches, RandomWindows, Text, TextSplit, TextUnit, Vocabulary};
use bptt::experiment::Codec;
use bptt::train::Sampling;
use bptt::{Error, Head, Loss, Model, Optimizer, Readout, Recurrent, Result, TrainerOptions};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::device::Device;
use super::limits::{self, FILES, Progress};
use super::network::{Network, mean_loss};
use super::series::CellName;

/// The shares of training, validation and test.
const SHARES: [f64; 3] = [0.9, 0.1, 0.0];

/// The largest norm of a gradient.
const CLIP: f64 = 1.0;

/// Batches of a validation.
const VALIDATED: u64 = 4;

/// The most different characters: the logits of a batch are as many times as large as it.
const CHARACTERS: usize = 8192;

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
    characters: u64,
    training: Windows,
    validation: Option<Windows>,
}

/// The text and the network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextDescription {
    /// The length of the text.
    pub characters: u64,
    /// The characters that the network knows.
    pub vocabulary: Vec<String>,
    /// The number of parameters.
    pub parameters: usize,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextStep {
    /// The number of steps so far.
    pub step: u64,
    /// The mean loss of the steps of this call, in nats per character.
    pub loss: f64,
}

/// A validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TextValidation {
    /// The number of steps before it.
    pub step: u64,
    /// The loss of the last tenth of the text, over a few windows; `None` if it is too short.
    pub loss: Option<f64>,
}

impl TextRoom {
    /// A network for a text.
    ///
    /// # Errors
    /// [`Error::Data`] for bytes that are not UTF-8, and for a text that is too short for its window; [`Error::Value`] for
    /// sizes out of range; those of the device.
    pub fn new(device: &Device, text: Vec<u8>, options: &TextOptions) -> Result<Self> {
        let TextOptions { cell, hidden, layers, window, batch, learning_rate, seed } = *options;
        limits::file("the text", text.len(), FILES.text)?;
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
        check_characters(vocabulary.unknown().unwrap_or_default() as usize)?;
        let text = Arc::new(text);
        let windows = |part, seed| RandomWindows::new(text.clone(), vocabulary.clone(), part, window, rows, seed);
        let training = windows(split.train, seed)?;
        let validation = windows(split.validation, seed.wrapping_add(1)).ok();
        let size = vocabulary.len();
        let head = Head::new(size, Loss::CrossEntropy, Readout::PerStep);
        let model = Model::new(Recurrent::new(cell.into(), size, hidden).layers(layers), head);
        let network = Network::new(device, &model, optimizer, seed, TrainerOptions::default())?;
        Ok(Self { network, vocabulary, characters, training, validation })
    }

    /// The text and the network.
    ///
    /// # Errors
    /// None for a vocabulary that was made.
    pub fn describe(&self) -> Result<TextDescription> {
        let known = self.vocabulary.unknown().unwrap_or_default();
        let character = |id| Ok(String::from_utf8_lossy(&self.vocabulary.decode(&[id])?).into_owned());
        Ok(TextDescription {
            characters: self.characters,
            vocabulary: (0..known).map(character).collect::<Result<_>>()?,
            parameters: self.network.parameters(),
        })
    }

    /// Compiles one more kernel.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn prepare(&mut self) -> Result<Progress> {
        self.network.compile(&self.training.batch(0)?, false).await
    }

    /// Takes steps.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss beyond all numbers; those of the device.
    pub async fn step(&mut self, steps: usize) -> Result<TextStep> {
        let steps = limits::within("steps", steps, 1..=10_000)?;
        let reports = self.network.train(&self.training, steps).await?;
        Ok(TextStep { step: self.network.steps(), loss: mean_loss(&reports) })
    }

    /// Sets η of later steps.
    ///
    /// # Errors
    /// [`Error::Value`] for a rate that is negative or not finite.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        self.network.set_learning_rate(limits::learning_rate(rate)?)
    }

    /// The loss of the part that the network does not train on.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn validate(&mut self) -> Result<TextValidation> {
        let step = self.network.steps();
        let Some(validation) = &self.validation else { return Ok(TextValidation { step, loss: None }) };
        let (mut sum, mut weight) = (0.0, 0.0);
        for number in 0..validation.per_epoch().min(VALIDATED) {
            let batch = validation.batch(number)?;
            let share = batch.total_weight();
            if share > 0.0 {
                sum += share * self.network.evaluate(&batch).await?;
                weight += share;
            }
        }
        Ok(TextValidation { step, loss: (weight > 0.0).then(|| sum / weight) })
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

    /// A model file that `bptt sample` takes.
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

/// Refuses a text with too many different characters.
fn check_characters(different: usize) -> Result<()> {
    if different <= CHARACTERS {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "the text has {different} different characters, and this page takes at most {CHARACTERS}: take a part of it, or the \
         program bptt"
    )))
}
