//! Checkpoints and models go to their files and come from them tensor by tensor: what is held beside the network is a
//! piece of one, and the bytes are those that a whole file in memory would have.

#![allow(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

use bptt::{
    Backend, Cell, Cpu, Embedding, Engine, Error, FlatBlock, Head, Loss, Model, Optimizer, Parameters, Readout,
    Recurrent, Result, SafetensorsFile, StateDict, StateDictPrefixes, Trainer,
};
#[allow(unreachable_pub, dead_code, reason = "shared with tests that use more of it")]
#[path = "common/counting.rs"]
mod counting;
#[allow(unreachable_pub, dead_code, reason = "shared with tests that use more of it")]
#[path = "common/gpu.rs"]
mod gpu;

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::atomic::Ordering;

use bptt::data::{AddingTask, Examples, SequentialBatches};
use bptt::interchange::onnx::{ModelInput, export, write_model};
use bptt::train::{
    Checkpoint, KeepWeights, Metrics, Observer, RunLength, RunOptions, StepCounts, WriteSeek, resume, run,
};
use counting::{HELD, MOST};
use pollster::block_on;
use safetensors::SafeTensors;

/// Begins to count; what it returns tells how many bytes more than now were held at once since.
fn counting() -> impl Fn() -> usize {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    move || MOST.load(Ordering::Relaxed).saturating_sub(before)
}

/// What is written is counted and let go of, or refused from some byte on, as on a full disk.
#[derive(Default)]
struct Sink {
    at: u64,
    length: u64,
    room: Option<u64>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room.is_some_and(|room| self.at + bytes.len() as u64 > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.at += bytes.len() as u64;
        self.length = self.length.max(self.at);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let SeekFrom::Start(at) = to {
            self.at = at;
        }
        Ok(self.at)
    }
}

const TASK: AddingTask = AddingTask { length: 2 };

fn trainer<B: Backend>(backend: &B, hidden: usize) -> Trainer<B::Engine> {
    let model = Model::new(Recurrent::new(Cell::Lstm, AddingTask::INPUTS, hidden), TASK.head());
    Trainer::new(backend, &model, Optimizer::adam(0.01), 1).unwrap()
}

/// Writes every checkpoint into `file`, and keeps what was held meanwhile and what came of it.
struct Watch<W> {
    file: W,
    most: Vec<usize>,
    written: Vec<Result<()>>,
    count: Option<Box<dyn Fn() -> usize + Send>>,
}

impl<W> Watch<W> {
    fn new(file: W) -> Self {
        Self { file, most: Vec::new(), written: Vec::new(), count: None }
    }
}

impl<W: WriteSeek> Observer for Watch<W> {
    fn step(&mut self, _: &Metrics, _: StepCounts) -> Result<()> {
        Ok(())
    }

    fn wants_checkpoint(&mut self, _: u64) -> bool {
        true
    }

    fn checkpoint(&mut self, _: u64) -> Result<Option<(&mut dyn WriteSeek, String)>> {
        self.count = Some(Box::new(counting()));
        self.file.seek(SeekFrom::Start(0)).unwrap();
        Ok(Some((&mut self.file, "a note".into())))
    }

    fn checkpoint_written(&mut self, written: Result<()>) -> Result<()> {
        self.most.extend(self.count.take().map(|count| count()));
        let failed = written.as_ref().err().map(ToString::to_string);
        self.written.push(written);
        failed.map_or(Ok(()), |error| Err(Error::Failed(error)))
    }
}

/// One step with its validation, the best weights and those to go back to kept: eight blocks of parameters in a
/// checkpoint.
fn one_step<E: Engine>(trainer: &mut Trainer<E>, observer: &mut dyn Observer) -> Result<bptt::train::Outcome> {
    let examples = TASK.examples(1, 0, 1).unwrap();
    let batches = SequentialBatches::new(&examples as &dyn Examples, 1).unwrap();
    let (duration, keep) = (RunLength::Steps(1), KeepWeights::Best);
    let options = RunOptions::new(duration).keep(keep).validate_every(1).max_rollbacks(1);
    block_on(run(trainer, &batches, Some(&batches), &options, observer))
}

/// What is held beside the engine while a checkpoint and a model's file are written is at most `piece` bytes.
fn nothing_but_a_piece_is_held<B: Backend>(backend: &B, hidden: usize, piece: usize) {
    let mut trainer = trainer(backend, hidden);
    let mut watch = Watch::new(Sink::default());
    one_step(&mut trainer, &mut watch).unwrap();
    let block = 4 * trainer.engine().layout().len();
    assert!(watch.file.length as usize > 7 * block && watch.most.len() == 2);
    assert!(watch.most.iter().all(|most| *most < piece), "{:?} bytes at once, for blocks of {block}", watch.most);
    let (mut file, count) = (Sink::default(), counting());
    block_on(trainer.write_safetensors(&mut file, Some(("a", "note")))).unwrap();
    let most = count();
    assert!(file.length as usize > block && most < piece, "{most} bytes at once, for {block}");
}

fn a_checkpoint_that_is_read_is_held_once_and_its_note_alone_hardly_at_all() {
    let mut trainer = trainer(&Cpu::<f32>::new(), 256);
    let mut watch = Watch::new(Cursor::new(Vec::new()));
    one_step(&mut trainer, &mut watch).unwrap();
    let file = watch.file.into_inner();
    let length = file.len() as u64;
    let small = file.len() / 20;
    let count = counting();
    let (step, note) = Checkpoint::<f32>::read_note(&file[..], length).unwrap();
    assert!((step, note.as_str()) == (1, "a note") && count() < small, "{} bytes for the note", count());
    let block = 4 * trainer.engine().layout().len();
    let count = counting();
    let saved = Checkpoint::<f32>::read_weights(&file[..], length, trainer.engine().model()).unwrap();
    assert!(count() < block + small, "{} bytes for the weights", count());
    assert_eq!((saved.weights_step, saved.step, &saved.weights), (1, 1, &block_on(trainer.state_dict()).unwrap()));
    let count = counting();
    let (checkpoint, _) = Checkpoint::<f32>::read_from(&file[..], length).unwrap();
    assert!(count() < file.len() + small, "{} bytes for {length}", count());
    // It is taken apart as it goes into an engine.
    let mut other = self::trainer(&Cpu::<f32>::new(), 256);
    let examples = TASK.examples(1, 0, 1).unwrap();
    let batches = SequentialBatches::new(&examples as &dyn Examples, 1).unwrap();
    let options = RunOptions::new(RunLength::Steps(1));
    let count = counting();
    block_on(resume(&mut other, checkpoint, &batches, None, &options, &mut ())).unwrap();
    assert!(count() < small, "{} bytes for taking {length} over", count());
    assert_eq!(block_on(other.state_dict()).unwrap(), block_on(trainer.state_dict()).unwrap());
    let weights = saved.weights.to_safetensors(None).unwrap();
    let count = counting();
    let read = SafetensorsFile::open(&weights[..], weights.len() as u64).unwrap().state_dict().unwrap();
    assert!(count() < weights.len() + small, "{} bytes for weights of {}", count(), weights.len());
    let count = counting();
    other.load_state_dict(&read).unwrap();
    assert!(count() < small, "{} bytes for loading {}", count(), weights.len());
}

fn an_exported_model_is_held_once_beside_the_weights() {
    let mut trainer = trainer(&Cpu::<f32>::new(), 512);
    let (model, dict) = (trainer.engine().model().clone(), block_on(trainer.state_dict()).unwrap());
    let notes = [("a", "note")];
    let whole = export(&model, &dict, ModelInput::Dense, &notes).unwrap();
    let (mut file, count) = (Sink::default(), counting());
    write_model(&model, &dict, ModelInput::Dense, &notes, &mut file).unwrap();
    // The arrays as ONNX has them.
    let (most, block) = (count(), whole.len());
    assert!(file.length as usize == block && most < block + block / 20, "{most} bytes at once, for {block}");
    let mut file = Vec::new();
    write_model(&model, &dict, ModelInput::Dense, &notes, &mut file).unwrap();
    assert!(file == whole);
    let count = counting();
    StateDictPrefixes::new("lstm.", "fc.").write(&model, &dict).unwrap();
    assert!(count() < block + block / 20, "{} bytes at once, for {block} under other names", count());
    let full = &mut Sink { room: Some(block as u64 / 2), ..Sink::default() };
    assert!(matches!(write_model(&model, &dict, ModelInput::Dense, &notes, full), Err(Error::Io { .. })));
}

/// A checkpoint's file as safetensors itself would write it, around what it holds.
fn written_whole(file: &[u8]) -> Vec<u8> {
    let (head, body) = file.split_at(64);
    let (_, metadata) = SafeTensors::read_metadata(body).unwrap();
    let tensors = SafeTensors::deserialize(body).unwrap();
    let body = safetensors::serialize(tensors.tensors(), metadata.metadata().clone()).unwrap();
    let head = [&head[..16], &(body.len() as u64).to_le_bytes(), &[0; 8]].concat();
    let mut hash = hmac_sha256::Hash::new();
    hash.update(&head);
    hash.update(&body);
    [&head[..], &hash.finalize(), &body].concat()
}

fn the_bytes_are_those_of_a_file_that_was_written_whole() {
    let mut trainer = trainer(&Cpu::<f32>::new(), 5);
    let mut watch = Watch::new(Cursor::new(Vec::new()));
    one_step(&mut trainer, &mut watch).unwrap();
    let file = watch.file.into_inner();
    assert!(file == written_whole(&file));
    let (checkpoint, note) = Checkpoint::<f32>::from_bytes(&file).unwrap();
    assert!(checkpoint.to_bytes(&note).unwrap() == file, "out of the engine it is as it is out of memory");
    // One behind something else in the same file.
    let mut behind = Cursor::new(b"before".to_vec());
    behind.seek(SeekFrom::End(0)).unwrap();
    checkpoint.write_to(&mut behind, &note).unwrap();
    assert!(behind.into_inner() == [b"before", &file[..]].concat());

    let tied =
        Model::new(Recurrent::new(Cell::Gru, 5, 5).layers(2), Head::new(7, Loss::CrossEntropy, Readout::PerStep))
            .embedding(Embedding::tied(7));
    let mut trainer = Trainer::new(&Cpu::<f64>::with_threads(1).unwrap(), &tied, Optimizer::sgd(0.1), 1).unwrap();
    let weights = block_on(trainer.state_dict()).unwrap();
    let bytes: Vec<_> = weights.iter().map(|(name, array)| (name, array.shape().to_vec(), bytes_of(array))).collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F64, shape.clone(), bytes).unwrap())
    });
    let whole = safetensors::serialize(views, Some([("a".to_owned(), "note".to_owned())].into())).unwrap();
    let mut streamed = Vec::new();
    block_on(trainer.write_safetensors(&mut streamed, Some(("a", "note")))).unwrap();
    assert!(streamed == whole && weights.to_safetensors(Some(("a", "note"))).unwrap() == whole);
}

fn bytes_of(array: &bptt::ndarray::ArrayD<f64>) -> Vec<u8> {
    array.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn files_of_before_are_read_and_written_as_they_were() {
    let file = include_bytes!("fixtures/run.ckpt");
    let (checkpoint, note) = Checkpoint::<f32>::from_bytes(file).unwrap();
    assert_eq!(checkpoint.step(), 5);
    assert!(checkpoint.to_bytes(&note).unwrap() == file);
    let file = include_bytes!("fixtures/run.safetensors");
    let note = StateDict::safetensors_note(file, "bptt").unwrap().unwrap();
    let weights = StateDict::from_safetensors(file).unwrap();
    assert!(weights.to_safetensors(Some(("bptt", &note))).unwrap() == file);
}

/// Fails, or ends, after so many bytes.
struct Broken<'a>(&'a [u8], bool);

impl Read for Broken<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.0.read(to)? {
            0 if self.1 => Err(io::Error::other("the disk is gone")),
            count => Ok(count),
        }
    }
}

fn a_file_that_fails_or_ends_midway_is_an_error_wherever_it_does() {
    let file = &include_bytes!("fixtures/run.ckpt")[..];
    let weights = &include_bytes!("fixtures/run.safetensors")[..];
    for at in 0..file.len() {
        let read = |fails| Checkpoint::<f32>::read_from(Broken(&file[..at], fails), file.len() as u64).unwrap_err();
        assert!(matches!(read(true), Error::Io { source, .. } if source.to_string() == "the disk is gone"), "{at}");
        assert!(matches!(read(false), Error::Unsupported(_)), "{at}");
    }
    for at in 0..weights.len() {
        let read = |fails| {
            let file = SafetensorsFile::open(Broken(&weights[..at], fails), weights.len() as u64);
            file.and_then(SafetensorsFile::state_dict).unwrap_err()
        };
        assert!(matches!(read(true), Error::Io { source, .. } if source.to_string() == "the disk is gone"), "{at}");
        assert!(matches!(read(false), Error::Io { .. } | Error::Unsupported(_)), "{at}");
    }
}

fn a_checkpoint_that_cannot_be_written_ends_the_run_and_leaves_the_trainer_as_it_was() {
    let mut whole = trainer(&Cpu::<f32>::new(), 5);
    let mut watch = Watch::new(Sink::default());
    one_step(&mut whole, &mut watch).unwrap();
    let length = watch.file.length;
    for room in [0, 63, 64, length / 2, length - 1] {
        let mut trainer = trainer(&Cpu::<f32>::new(), 5);
        let begins = block_on(trainer.state()).unwrap();
        let mut watch = Watch::new(Sink { room: Some(room), ..Sink::default() });
        let error = one_step(&mut trainer, &mut watch).unwrap_err();
        assert!(matches!(&watch.written[..], [.., Err(Error::Io { .. })]), "{room}: {:?}", watch.written);
        assert!(error.to_string().contains("the checkpoint: "), "{error}");
        // The one before the first step is smaller, without the best weights.
        let expected = if watch.written.len() == 1 { begins } else { block_on(whole.state()).unwrap() };
        assert_eq!(block_on(trainer.state()).unwrap(), expected, "{room}");
    }
}

/// The numbers of one tensor after the other are those of the whole block, and come back as they were filled in.
fn tensors_go_to_and_fro_one_by_one<B: Backend>(backend: &B) {
    for cell in [Cell::Lstm, Cell::Gru] {
        let recurrent = Recurrent::new(cell, 5, 7).layers(2).bidirectional(true);
        let head = Head::new(11, Loss::CrossEntropy, Readout::Final);
        let model = Model::new(recurrent, head).embedding(Embedding::new(11));
        let mut trainer = Trainer::new(backend, &model, Optimizer::adam(0.1), 1).unwrap();
        let engine = trainer.engine();
        let (layout, parameters) = (engine.layout().clone(), block_on(engine.parameters()).unwrap());
        let (count, mut one) = (layout.tensors().len(), Vec::new());
        for index in 0..count {
            let mut take = |piece: &[<B::Engine as Parameters>::Real]| {
                one.extend_from_slice(piece);
                Ok(())
            };
            block_on(engine.read_tensors(FlatBlock::Parameters, index..index + 1, &mut take)).unwrap();
        }
        assert_eq!(one, parameters);
        let (last, mut rest) = (&layout.tensors()[count - 2..], parameters.iter().rev());
        let mut fill = |piece: &mut [_]| {
            piece.iter_mut().zip(&mut rest).for_each(|(to, from)| *to = *from);
            Ok(())
        };
        engine.write_tensors(FlatBlock::OptimizerState(1), count - 2..count, &mut fill).unwrap();
        let optimizer_state = block_on(engine.optimizer_state()).unwrap();
        let from = last[0].offset;
        assert!(optimizer_state[1][from..].iter().eq(parameters.iter().rev().take(layout.len() - from)));
        assert!(optimizer_state.concat()[..layout.len() + from].iter().all(|value| *value == Default::default()));
        for (block, tensors) in [(FlatBlock::OptimizerState(2), 0..1), (FlatBlock::Parameters, 0..count + 1)] {
            let read = block_on(engine.read_tensors(block, tensors.clone(), &mut |_| Ok(())));
            let written = engine.write_tensors(block, tensors, &mut |_| Ok(()));
            assert!(matches!((read, written), (Err(Error::Value { .. }), Err(Error::Value { .. }))));
        }
    }
}

// The one test of this file: what another one allocated beside it would be counted too.
#[test]
fn streamed_checkpoints_and_models_have_the_same_bytes() {
    nothing_but_a_piece_is_held(&Cpu::<f32>::with_threads(1).unwrap(), 512, 256 << 10);
    a_checkpoint_that_is_read_is_held_once_and_its_note_alone_hardly_at_all();
    the_bytes_are_those_of_a_file_that_was_written_whole();
    an_exported_model_is_held_once_beside_the_weights();
    files_of_before_are_read_and_written_as_they_were();
    a_file_that_fails_or_ends_midway_is_an_error_wherever_it_does();
    a_checkpoint_that_cannot_be_written_ends_the_run_and_leaves_the_trainer_as_it_was();
    tensors_go_to_and_fro_one_by_one(&Cpu::<f64>::with_threads(1).unwrap());
    if let Some(gpu) = gpu::gpu() {
        tensors_go_to_and_fro_one_by_one(&gpu);
        // A piece is of 8 MiB there, and comes over as it lies on the device; a block is of 17 MB.
        nothing_but_a_piece_is_held(&gpu, 1024, 3 * (8 << 20));
    }
}
