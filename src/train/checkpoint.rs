//! A run between two of its steps: all that the next ones depend on, and its file form.

use std::collections::HashMap;

use ndarray::Array3;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::run::{Best, RunOptions};
use super::schedule::Decay;
use super::trainer::{Trainer, TrainerState};
use crate::backend::{Engine, Skipped};
use crate::batch::States;
use crate::error::{Error, Result};
use crate::model::{Layout, Model, StateDict};
use crate::real::Real;

/// What the steps so far have brought, beside the trainer's own state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress<R> {
    /// The last step as it was reported.
    pub(super) last: Option<Metrics>,
    /// The lowest validation loss, and the parameters that had it where these are kept.
    pub(super) best: Option<Best>,
    #[serde(skip)]
    pub(super) best_parameters: Option<Vec<R>>,
    /// Validations since the best.
    without_improvement: u64,
    /// The same since the rate last fell on a plateau.
    since_fall: u64,
    /// Falls so far.
    pub(super) plateaus: u32,
    /// How often the run went back, and what it goes back to.
    pub(super) backs: u32,
    #[serde(skip)]
    pub(super) back: Option<Weights<R>>,
}

/// Parameters and the optimizer's slots, and how many updates these have seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights<R> {
    pub(super) parameters: Vec<R>,
    pub(super) slots: Vec<Vec<R>>,
    pub(super) updates: u64,
}

impl<R> Default for Progress<R> {
    fn default() -> Self {
        let (last, best, best_parameters, back) = (None, None, None, None);
        let (without_improvement, since_fall, plateaus, backs) = (0, 0, 0, 0);
        Self { last, best, best_parameters, without_improvement, since_fall, plateaus, backs, back }
    }
}

impl<R> Progress<R> {
    /// Takes a validation in, and tells whether it is the best so far.
    pub(super) fn measured(&mut self, options: &RunOptions, now: Best) -> bool {
        // A loss that is no number is no improvement, not even over nothing.
        if now.val_loss.is_finite() && self.best.is_none_or(|best| now.val_loss < best.val_loss) {
            self.best = Some(now);
            (self.without_improvement, self.since_fall) = (0, 0);
            return true;
        }
        self.without_improvement += 1;
        self.since_fall += 1;
        if let Decay::Plateau { patience, .. } = options.schedule.decay
            && patience == self.since_fall
        {
            self.plateaus += 1;
            self.since_fall = 0;
        }
        false
    }

    /// Whether the patience is over.
    pub(super) fn is_over(&self, options: &RunOptions) -> bool {
        options.patience.is_some_and(|patience| self.without_improvement >= patience)
    }
}

impl<R: Real> Weights<R> {
    /// Those of a trainer, between two of its steps.
    pub(super) async fn of<E: Engine<Real = R>>(trainer: &mut Trainer<E>) -> Result<Self> {
        let steps = trainer.steps();
        let engine = trainer.engine();
        let updates = steps.saturating_sub(engine.skipped().await?.in_all);
        Ok(Self { parameters: engine.parameters().await?, slots: engine.slots().await?, updates })
    }
}

/// A run as it was between two of its steps: [`resume`](super::resume) goes on from it as if nothing had happened. An
/// [`Observer`](super::Observer) asks for one.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<R = f32> {
    pub(super) trainer: TrainerState<R>,
    pub(super) progress: Progress<R>,
}

/// What a file begins with.
const MAGIC: [u8; 8] = *b"bpttckpt";

/// The version of the file form. A file of another is refused.
const VERSION: u32 = 2;

/// Bytes before the tensors: magic, version, 4 of zero, the tensors' length, 8 of zero, the digest.
const HEADER: usize = 64;

/// Where the digest begins.
const DIGEST: usize = 32;

/// The tensors' file's one note.
const NOTE: &str = "run";

/// The note as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    step: u64,
    skipped: u32,
    skipped_in_all: u64,
    /// Of what the run goes back to.
    back_updates: Option<u64>,
    progress: serde_json::Value,
    note: String,
}

impl<R: Real> Checkpoint<R> {
    pub(super) async fn of<E: Engine<Real = R>>(trainer: &mut Trainer<E>, progress: &Progress<R>) -> Result<Self> {
        Ok(Self { trainer: trainer.state().await?, progress: progress.clone() })
    }

    /// The steps that it has behind it.
    pub fn step(&self) -> u64 {
        self.trainer.step
    }

    /// The weights that the run would end with if it ended here, and the step that they are of: those of the lowest
    /// validation loss where the run keeps these and has measured any, else those of [`Self::step`].
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the checkpoint is of a model with another number of parameters.
    pub fn weights(&self, model: &Model) -> Result<(StateDict, u64)> {
        let best = self.progress.best_parameters.as_ref().zip(self.progress.best.map(|best| best.step));
        let (parameters, step) = best.unwrap_or((&self.trainer.parameters, self.trainer.step));
        let layout = Layout::new(model);
        let (expected, got) = (layout.len(), parameters.len());
        match expected == got {
            true => Ok((layout.to_state_dict(parameters), step)),
            false => Err(unreadable(format!("expected the {expected} parameters of the model, got {got}"))),
        }
    }

    /// The bytes of a file, with a note of the caller's own: a version, a SHA-256 over everything else, and a
    /// safetensors file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a number of it cannot be written.
    pub fn to_bytes(&self, note: &str) -> Result<Vec<u8>> {
        let progress = serde_json::to_value(&self.progress).map_err(unwritable)?;
        let Skipped { in_row, in_all } = self.trainer.skipped;
        let note = Note {
            step: self.trainer.step,
            skipped: in_row,
            skipped_in_all: in_all,
            back_updates: self.progress.back.as_ref().map(|back| back.updates),
            progress,
            note: note.into(),
        };
        let note = serde_json::to_string(&note).map_err(unwritable)?;
        let TrainerState { parameters, slots, carried, .. } = &self.trainer;
        let mut tensors = weights("", parameters, slots);
        if let Some(Weights { parameters, slots, .. }) = &self.progress.back {
            tensors.extend(weights("back ", parameters, slots));
        }
        if let Some(States { h, c }) = carried {
            for (name, state) in [("h", Some(h)), ("c", c.as_ref())] {
                tensors.extend(state.map(|state| tensor(name, state.shape().to_vec(), state)));
            }
        }
        let best = self.progress.best_parameters.iter();
        tensors.extend(best.map(|best| tensor("best parameters", vec![best.len()], best)));
        let views = tensors.iter().map(|(name, shape, bytes)| {
            TensorView::new(dtype::<R>(), shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(unwritable)?;
        let body = safetensors::serialize(views, Some(HashMap::from([(NOTE.into(), note)]))).map_err(unwritable)?;
        let mut file = Vec::with_capacity(HEADER + body.len());
        file.extend(MAGIC);
        file.extend(VERSION.to_le_bytes());
        file.extend([0; 4]);
        file.extend((body.len() as u64).to_le_bytes());
        file.extend([0; 8]);
        file.extend(digest(&file, &body));
        file.extend(body);
        Ok(file)
    }

    /// The checkpoint and the caller's note that a file holds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the bytes are no checkpoint, of another version, cut off or changed anywhere, or of a
    /// path that computes in another type.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, String)> {
        let body = body(bytes)?;
        let (_, metadata) = SafeTensors::read_metadata(body).map_err(unreadable)?;
        let note = metadata.metadata().as_ref().and_then(|notes| notes.get(NOTE));
        let note: Note = serde_json::from_str(note.map_or("", String::as_str)).map_err(unreadable)?;
        let mut progress: Progress<R> = serde_json::from_value(note.progress).map_err(unreadable)?;
        let file = SafeTensors::deserialize(body).map_err(unreadable)?;
        let block = |name: &str| file.tensor(name).ok().map(|view| numbers::<R>(name, &view)).transpose();
        let weights = |which: &str, updates: u64| -> Result<Option<Weights<R>>> {
            let Some(parameters) = block(&format!("{which}parameters"))? else { return Ok(None) };
            let slot = |index: u32| block(&format!("{which}slot {index}")).transpose();
            Ok(Some(Weights { parameters, slots: (0..).map_while(slot).collect::<Result<_>>()?, updates }))
        };
        let whole = weights("", note.step)?.ok_or_else(|| unreadable("it has no parameters"))?;
        let Weights { parameters, slots, .. } = whole;
        progress.back = weights("back ", note.back_updates.unwrap_or_default())?;
        let states = |name: &str| -> Result<Option<Array3<R>>> {
            let Ok(view) = file.tensor(name) else { return Ok(None) };
            let shape: [usize; 3] = view.shape().try_into().map_err(unreadable)?;
            Array3::from_shape_vec(shape, numbers(name, &view)?).map(Some).map_err(unreadable)
        };
        let c = states("c")?;
        let carried = states("h")?.map(|h| States { h, c });
        progress.best_parameters = block("best parameters")?;
        let skipped = Skipped { in_row: note.skipped, in_all: note.skipped_in_all };
        let trainer = TrainerState { step: note.step, parameters, slots, carried, skipped };
        Ok((Self { trainer, progress }, note.note))
    }
}

/// A tensor's name, shape and bytes.
type Tensor = (String, Vec<usize>, Vec<u8>);

/// Parameters and slots, whose names begin with `which`.
fn weights<R: Real>(which: &str, parameters: &[R], slots: &[Vec<R>]) -> Vec<Tensor> {
    let slots = slots.iter().enumerate().map(|(index, slot)| (format!("{which}slot {index}"), slot.as_slice()));
    let all = std::iter::once((format!("{which}parameters"), parameters)).chain(slots);
    all.map(|(name, numbers)| tensor(&name, vec![numbers.len()], numbers)).collect()
}

fn tensor<'a, R: Real>(name: &str, shape: Vec<usize>, numbers: impl IntoIterator<Item = &'a R>) -> Tensor {
    let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * size_of::<R>());
    numbers.into_iter().for_each(|number| number.put_le_bytes(&mut bytes));
    (name.into(), shape, bytes)
}

fn dtype<R>() -> Dtype {
    if size_of::<R>() == 8 { Dtype::F64 } else { Dtype::F32 }
}

fn numbers<R: Real>(name: &str, view: &TensorView<'_>) -> Result<Vec<R>> {
    match view.dtype() == dtype::<R>() {
        true => Ok(view.data().chunks_exact(size_of::<R>()).map(R::from_le_bytes).collect()),
        false => Err(unreadable(format!("{name}: expected element type {:?}, got {:?}", dtype::<R>(), view.dtype()))),
    }
}

/// The safetensors file within, once it is known to be whole.
fn body(bytes: &[u8]) -> Result<&[u8]> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(unreadable(format!("expected {HEADER} bytes or more, got {}", bytes.len())));
    };
    if header[..8] != MAGIC {
        return Err(unreadable("its first bytes are not those of a checkpoint"));
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != VERSION {
        return Err(unreadable(format!("expected version {VERSION}, got {version}: another version of bptt wrote it")));
    }
    if digest(&header[..DIGEST], body) != header[DIGEST..] {
        return Err(unreadable("damaged or cut off, by its checksum"));
    }
    Ok(body)
}

fn digest(header: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hash = hmac_sha256::Hash::new();
    hash.update(header);
    hash.update(body);
    hash.finalize()
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("the checkpoint cannot be written: {error}"))
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("no usable checkpoint: {error}"))
}
