//! Checkpoints: everything that the remaining steps of a run depend on, and the file format.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use ndarray::{Array3, ArrayD, IxDyn};
use serde::{Deserialize, Serialize};

use super::progress::{RunProgress, Snapshot};
use super::state::TrainerState;
use super::trainer::Trainer;
use crate::batch::States;
use crate::engine::{Engine, FlatBlock, LossScale, SkippedUpdates};
use crate::error::{Error, Result};
use crate::model::safetensors::{SafetensorsHeader, TensorEntry, begin, dtype, read_numbers, write_numbers};
use crate::model::{Layout, Model, StateDict};
use crate::real::Real;

/// The state of a run between two steps. [`resume`](super::resume) continues from it exactly as if the run had not been
/// interrupted. Written where an [`Observer`](super::Observer) requests it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<R = f32> {
    pub(super) trainer: TrainerState<R>,
    pub(super) progress: RunProgress<R>,
}

/// A destination for checkpoints. Seekable, because the checksum precedes the data.
pub trait WriteSeek: Write + Seek + Send {}

impl<W: Write + Seek + Send + ?Sized> WriteSeek for W {}

/// The first bytes of a file.
const MAGIC: [u8; 8] = *b"bpttckpt";

/// The version of the file format. Files of other versions are rejected.
const VERSION: u32 = 2;

/// Bytes before the tensors: magic, version, 4 zero bytes, the length of the tensors, 8 zero bytes, the digest.
const HEADER: usize = 64;

/// The offset of the digest.
const DIGEST: usize = 32;

/// The name of the metadata entry in the tensors' file.
const NOTE: &str = "run";

/// The names of the tensors.
const PARAMETERS: &str = "parameters";
const AVERAGED: &str = "averaged parameters";
const BEST: &str = "best parameters";
const BACK: &str = "back ";

/// The metadata entry, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonNote {
    step: u64,
    skipped: u32,
    skipped_in_all: u64,
    /// At half precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss_scale: Option<LossScale>,
    /// The number of updates of the rollback snapshot.
    back_updates: Option<u64>,
    /// The name of the optimizer. The first files of this version have only that of a custom one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    optimizer: Option<String>,
    progress: serde_json::Value,
    note: String,
}

/// Weights read from a checkpoint, with the step they belong to and the step of the checkpoint.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedWeights<R = f32> {
    /// The weights, by PyTorch's names.
    pub weights: StateDict<R>,
    /// The step of the weights.
    pub weights_step: u64,
    /// The step of the checkpoint.
    pub step: u64,
}

impl<R: Real> Checkpoint<R> {
    /// The number of steps completed.
    pub fn step(&self) -> u64 {
        self.trainer.step
    }

    /// The weights that the run would end with if it ended here, and their step: those of the lowest validation loss if
    /// the run keeps the best and has validated, otherwise the current ones, or their average if there is one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model has a different number of parameters.
    pub fn weights(&self, model: &Model) -> Result<(StateDict<R>, u64)> {
        let best = self.progress.best_parameters.as_ref().zip(self.progress.best.map(|best| best.step));
        let TrainerState { step, parameters, averaged, .. } = &self.trainer;
        let (parameters, step) = best.unwrap_or((averaged.as_ref().unwrap_or(parameters), *step));
        let layout = Layout::new(model);
        check_length(&layout, parameters.len() as u64)?;
        Ok((layout.to_state_dict(parameters), step))
    }

    /// Writes a file at the current position of `to`, with a note of the caller: a version, a SHA-256 over the rest,
    /// and a safetensors file. Buffers no more than a piece of one tensor.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a number cannot be represented in the file; [`Error::Io`], without a file name, if
    /// `to` fails.
    pub fn write_to(&self, to: &mut (impl Write + Seek), note: &str) -> Result<()> {
        let TrainerState { step, parameters, optimizer, optimizer_state, averaged, carried, skipped } = &self.trainer;
        let blocks = optimizer_state.iter().enumerate().map(|(index, numbers)| (name_of(index), numbers));
        let blocks = blocks.chain(averaged.iter().map(|numbers| (AVERAGED.to_owned(), numbers)));
        let blocks = blocks.chain([(PARAMETERS.to_owned(), parameters)]);
        let parts =
            blocks.map(|(name, numbers)| TensorToWrite::of(name, TensorData::Here(numbers), numbers.len())).collect();
        let parts = with_others(parts, &self.progress, carried.as_ref());
        let mut file = Writer::begin(to, &parts, &self.progress.note(*step, *skipped, optimizer.as_deref(), note)?)?;
        parts.iter().try_for_each(|part| file.put(&part.numbers))?;
        file.end()
    }

    /// The bytes of a file: see [`write_to`](Self::write_to).
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a number cannot be represented in the file.
    pub fn to_bytes(&self, note: &str) -> Result<Vec<u8>> {
        let mut file = io::Cursor::new(Vec::new());
        self.write_to(&mut file, note)?;
        Ok(file.into_inner())
    }

    /// Reads a checkpoint and the caller's note from a file of `length` bytes. Sizes in the file are checked against
    /// its length before memory is allocated.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is not a checkpoint, has another version, is truncated or modified, or was written
    /// with another number type; [`Error::NoMemory`] if memory runs out; [`Error::Io`], without a file name, if it
    /// cannot be read.
    pub fn read_from(from: impl Read, length: u64) -> Result<(Self, String)> {
        read(from, length, |contents, body| {
            let FileContents { note, mut progress, header } = contents;
            let mut blocks: HashMap<String, (Vec<usize>, Vec<R>)> = HashMap::new();
            for TensorEntry { name, shape, bytes, .. } in header.tensors {
                let numbers = read_numbers(&name, body, bytes)?;
                blocks.insert(name, (shape, numbers));
            }
            let weights = |blocks: &mut HashMap<_, _>, which: &str, updates: u64| {
                let mut block = |name: String| blocks.remove(&name).map(|(_, numbers): (Vec<usize>, Vec<R>)| numbers);
                let parameters = block(format!("{which}{PARAMETERS}"))?;
                let averaged = block(format!("{which}{AVERAGED}"));
                let optimizer_state = (0..).map_while(|index| block(format!("{which}{}", name_of(index)))).collect();
                Some(Snapshot { parameters, optimizer_state, averaged, updates })
            };
            let whole = weights(&mut blocks, "", note.step).ok_or_else(|| unreadable("it has no parameters"))?;
            progress.back = weights(&mut blocks, BACK, note.back_updates.unwrap_or_default());
            let mut states = |name: &str| -> Result<Option<Array3<R>>> {
                let Some((shape, numbers)) = blocks.remove(name) else { return Ok(None) };
                let shape: [usize; 3] = shape.as_slice().try_into().map_err(unreadable)?;
                Array3::from_shape_vec(shape, numbers).map(Some).map_err(unreadable)
            };
            let c = states("c")?;
            let carried = states("h")?.map(|h| States { h, c });
            progress.best_parameters = blocks.remove(BEST).map(|(_, numbers)| numbers);
            let skipped =
                SkippedUpdates { in_row: note.skipped, in_all: note.skipped_in_all, loss_scale: note.loss_scale };
            let Snapshot { parameters, optimizer_state, averaged, .. } = whole;
            let (step, optimizer) = (note.step, note.optimizer);
            let trainer = TrainerState { step, parameters, optimizer, optimizer_state, averaged, carried, skipped };
            Ok((Self { trainer, progress }, note.note))
        })
    }

    /// Reads a checkpoint and the caller's note from the bytes of a file: see [`read_from`](Self::read_from).
    ///
    /// # Errors
    /// Same as [`read_from`](Self::read_from).
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, String)> {
        Self::read_from(bytes, bytes.len() as u64)
    }

    /// Reads the number of completed steps and the caller's note from a file of `length` bytes. Verifies the checksum
    /// of the whole file, but keeps nothing else.
    ///
    /// # Errors
    /// Same as [`read_from`](Self::read_from).
    pub fn read_note(from: impl Read, length: u64) -> Result<(u64, String)> {
        read(from, length, |FileContents::<R> { note, .. }, _| Ok((note.step, note.note)))
    }

    /// Reads the [`weights`](Self::weights) of the checkpoint in a file of `length` bytes, and nothing else.
    ///
    /// # Errors
    /// The errors of [`read_from`](Self::read_from) and [`weights`](Self::weights).
    pub fn read_weights(from: impl Read, length: u64, model: &Model) -> Result<SavedWeights<R>> {
        read(from, length, |FileContents::<R> { note, progress, header }, body| {
            let has = |name: &str| header.tensors.iter().any(|entry| entry.name == name);
            let best = progress.best.filter(|_| has(BEST)).map(|best| (BEST, best.step));
            let last = if has(AVERAGED) { AVERAGED } else { PARAMETERS };
            let (name, weights_step) = best.unwrap_or((last, note.step));
            let layout = Layout::new(model);
            let before = header.tensors.iter().take_while(|entry| entry.name != name);
            let before = before.map(|entry| entry.bytes).sum();
            let Some(entry) = header.tensors.iter().find(|entry| entry.name == name) else {
                return Err(unreadable("it has no parameters"));
            };
            check_length(&layout, entry.bytes / size_of::<R>() as u64)?;
            io::copy(&mut Read::take(&mut *body, before), &mut io::sink()).map_err(unread)?;
            let (named, mut weights) = (layout.named(), Vec::new());
            for (index, tensor) in layout.tensors().iter().enumerate() {
                let numbers: Vec<R> = read_numbers(&tensor.name, body, (tensor.len() * size_of::<R>()) as u64)?;
                let array = ArrayD::from_shape_vec(IxDyn(&tensor.shape), numbers).map_err(unreadable)?;
                // A tied embedding has two names.
                let second = named.iter().find(|(name, of)| *of == index && *name != tensor.name);
                weights.extend(second.map(|(name, _)| ((*name).to_owned(), array.clone())));
                weights.push((tensor.name.clone(), array));
            }
            Ok(SavedWeights { weights: weights.into_iter().collect(), weights_step, step: note.step })
        })
    }
}

/// Writes the checkpoint of a trainer between two steps, tensor by tensor from the engine, with the carried states of all rows.
pub(super) async fn write<E: Engine>(
    trainer: &mut Trainer<E>,
    progress: &RunProgress<E::Real>,
    carried: Option<&States<E::Real>>,
    mut to: &mut dyn WriteSeek,
    note: &str,
) -> Result<()> {
    trainer.check_between_steps()?;
    let (step, averages) = (trainer.steps(), trainer.averages());
    let optimizer = Some(trainer.optimizer().kind.name());
    let engine = trainer.engine();
    let (skipped, parameters) = (engine.skipped().await?, engine.layout().len());
    let blocks = (0..engine.optimizer_blocks()).map(|index| (name_of(index), FlatBlock::OptimizerState(index)));
    let averaged = averages.then(|| (AVERAGED.to_owned(), FlatBlock::AveragedParameters));
    let blocks = blocks.chain(averaged).chain([(PARAMETERS.to_owned(), FlatBlock::Parameters)]);
    let parts = blocks.map(|(name, block)| TensorToWrite::of(name, TensorData::Engine(block), parameters)).collect();
    let parts = with_others(parts, progress, carried);
    let mut file = Writer::begin(&mut to, &parts, &progress.note(step, skipped, optimizer, note)?)?;
    let tensors = engine.layout().tensors().len();
    for part in &parts {
        match part.numbers {
            TensorData::Engine(block) => {
                engine.read_tensors(block, 0..tensors, &mut |piece| file.numbers(piece)).await?
            }
            TensorData::Here(_) | TensorData::States(_) => file.put(&part.numbers)?,
        }
    }
    file.end()
}

impl<R: Real> RunProgress<R> {
    /// The JSON of the metadata entry.
    fn note(&self, step: u64, skipped: SkippedUpdates, optimizer: Option<&str>, note: &str) -> Result<String> {
        let note = JsonNote {
            step,
            skipped: skipped.in_row,
            skipped_in_all: skipped.in_all,
            loss_scale: skipped.loss_scale,
            back_updates: self.back.as_ref().map(|back| back.updates),
            optimizer: optimizer.map(str::to_owned),
            progress: serde_json::to_value(self).map_err(unwritable)?,
            note: note.into(),
        };
        serde_json::to_string(&note).map_err(unwritable)
    }
}

/// A tensor to be written.
struct TensorToWrite<'a, R> {
    name: String,
    shape: Vec<usize>,
    numbers: TensorData<'a, R>,
}

/// Where the numbers of a tensor come from.
enum TensorData<'a, R> {
    Here(&'a [R]),
    States(&'a Array3<R>),
    Engine(FlatBlock),
}

impl<'a, R> TensorToWrite<'a, R> {
    fn of(name: String, numbers: TensorData<'a, R>, length: usize) -> Self {
        Self { name, shape: vec![length], numbers }
    }
}

fn name_of(index: usize) -> String {
    format!("slot {index}")
}

/// The trainer's tensors and the run's other tensors, in file order.
fn with_others<'a, R>(
    mut parts: Vec<TensorToWrite<'a, R>>,
    progress: &'a RunProgress<R>,
    carried: Option<&'a States<R>>,
) -> Vec<TensorToWrite<'a, R>> {
    let mut here =
        |name: String, numbers: &'a [R]| parts.push(TensorToWrite::of(name, TensorData::Here(numbers), numbers.len()));
    if let Some(Snapshot { parameters, optimizer_state, averaged, .. }) = &progress.back {
        here(format!("{BACK}{PARAMETERS}"), parameters);
        averaged.iter().for_each(|averaged| here(format!("{BACK}{AVERAGED}"), averaged));
        optimizer_state
            .iter()
            .enumerate()
            .for_each(|(index, numbers)| here(format!("{BACK}{}", name_of(index)), numbers));
    }
    progress.best_parameters.iter().for_each(|best| here(BEST.into(), best));
    if let Some(States { h, c }) = carried {
        for (name, states) in [("h", Some(h)), ("c", c.as_ref())] {
            let part = |states: &'a Array3<R>| {
                let (name, shape) = (name.into(), states.shape().to_vec());
                TensorToWrite { name, shape, numbers: TensorData::States(states) }
            };
            parts.extend(states.map(part));
        }
    }
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    parts
}

/// A file being written.
struct Writer<'a, W> {
    to: HashingStream<&'a mut W>,
    /// The position at which the file begins.
    begin: u64,
}

impl<'a, W: Write + Seek> Writer<'a, W> {
    /// Writes everything before the first number.
    fn begin<R>(to: &'a mut W, parts: &[TensorToWrite<'_, R>], note: &str) -> Result<Self> {
        let shapes = parts.iter().map(|part| (part.name.as_str(), part.shape.as_slice()));
        let header = self::begin(dtype::<R>(), shapes, Some((NOTE, note)))?;
        let numbers: usize = parts.iter().map(|part| part.shape.iter().product::<usize>()).sum();
        let length = (header.len() + numbers * size_of::<R>()) as u64;
        let begin = to.stream_position().map_err(unwritten)?;
        let mut to = HashingStream::new(to);
        let head = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4], &length.to_le_bytes(), &[0; 8]];
        head.iter().try_for_each(|bytes| to.write_all(bytes)).map_err(unwritten)?;
        // Placeholder for the digest, which is not known yet.
        to.inner.write_all(&[0; HEADER - DIGEST]).map_err(unwritten)?;
        to.write_all(&header).map_err(unwritten)?;
        Ok(Self { to, begin })
    }

    fn numbers<R: Real>(&mut self, numbers: &[R]) -> Result<()> {
        write_numbers(&mut self.to, numbers.iter().copied()).map_err(unwritten)
    }

    /// Writes numbers that are in memory.
    fn put<R: Real>(&mut self, numbers: &TensorData<'_, R>) -> Result<()> {
        match numbers {
            TensorData::Here(numbers) => self.numbers(numbers),
            TensorData::States(states) => write_numbers(&mut self.to, states.iter().copied()).map_err(unwritten),
            TensorData::Engine(_) => Err(unwritable("a block of the engine is not at hand")),
        }
    }

    fn end(self) -> Result<()> {
        let Self { to: HashingStream { inner: to, hash }, begin } = self;
        let mut end = || {
            let end = to.stream_position()?;
            to.seek(SeekFrom::Start(begin + DIGEST as u64))?;
            to.write_all(&hash.finalize())?;
            to.seek(SeekFrom::Start(end))?;
            to.flush()
        };
        end().map_err(unwritten)
    }
}

/// Computes a SHA-256 of everything read or written.
struct HashingStream<T> {
    inner: T,
    hash: hmac_sha256::Hash,
}

impl<T> HashingStream<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: hmac_sha256::Hash::new() }
    }
}

impl<T: Write> Write for HashingStream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for HashingStream<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }
}

/// A file's contents before the numbers.
struct FileContents<R> {
    note: JsonNote,
    progress: RunProgress<R>,
    /// The header, with a checkpoint's tensors.
    header: SafetensorsHeader,
}

/// Calls `take` with the contents of a file and a reader of its numbers, and returns its result if the file is intact.
fn read<R: Real, F: Read, T>(
    mut from: F,
    length: u64,
    take: impl FnOnce(FileContents<R>, &mut dyn Read) -> Result<T>,
) -> Result<T> {
    let mut head = Vec::new();
    (&mut from).take(HEADER as u64).read_to_end(&mut head).map_err(unread)?;
    let Some((head, digest)) = head.split_first_chunk::<DIGEST>().filter(|_| head.len() == HEADER) else {
        return Err(unreadable(format!("expected at least {HEADER} bytes, got {}", head.len())));
    };
    if head[..8] != MAGIC {
        return Err(unreadable("its first bytes are not those of a checkpoint"));
    }
    let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if version != VERSION {
        return Err(unreadable(format!("expected version {VERSION}, got {version}: another version of bptt wrote it")));
    }
    let body = length.saturating_sub(HEADER as u64);
    let mut file = HashingStream::new(from.take(body));
    file.hash.update(head);
    let taken = contents(&mut file, body).and_then(|contents| take(contents, &mut file));
    if let Err(Error::Io { source, .. }) = &taken
        && source.kind() != io::ErrorKind::UnexpectedEof
    {
        return taken;
    }
    // An error within a damaged file is meaningless; the checksum is verified first.
    io::copy(&mut file, &mut io::sink()).map_err(unread)?;
    if file.hash.finalize()[..] == *digest {
        taken
    } else {
        Err(unreadable("its checksum does not match: it is damaged or truncated"))
    }
}

fn contents<R: Real>(file: &mut impl Read, length: u64) -> Result<FileContents<R>> {
    let header = SafetensorsHeader::read(file, length).map_err(|error| match error {
        Error::Unsupported(message) => unreadable(message),
        other => other,
    })?;
    let note = header.notes.get(NOTE).map_or("", String::as_str);
    let note: JsonNote = serde_json::from_str(note).map_err(unreadable)?;
    let progress: RunProgress<R> = serde_json::from_value(note.progress.clone()).map_err(unreadable)?;
    for TensorEntry { name, kind, .. } in &header.tensors {
        if *kind != dtype::<R>() {
            return Err(unreadable(format!("{name}: expected element type {:?}, got {kind:?}", dtype::<R>())));
        }
    }
    Ok(FileContents { note, progress, header })
}

/// Checks the number of parameters against a model.
fn check_length(layout: &Layout, got: u64) -> Result<()> {
    if layout.len() as u64 == got {
        Ok(())
    } else {
        Err(unreadable(format!("expected the {} parameters of the model, got {got}", layout.len())))
    }
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("the checkpoint cannot be written: {error}"))
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("no usable checkpoint: {error}"))
}

fn unwritten(source: io::Error) -> Error {
    Error::Io { path: "the checkpoint".into(), source }
}

fn unread(source: io::Error) -> Error {
    Error::Io { path: "the checkpoint".into(), source }
}
