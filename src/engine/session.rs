//! Streaming inference.

use std::collections::VecDeque;
use std::sync::Arc;

use ndarray::{ArrayView3, ArrayViewMut3, s};

use super::Engine;
use super::options::StatefulRows;
use super::parameters::Parameters;
use super::sealed::Sealed;
use super::streaming::Streaming;
use crate::batch::{Sequence, States, Validated};
use crate::error::{Error, Result};
use crate::model::Model;

/// An engine, or a mutable reference to one: what a [`Session`] runs on.
pub trait EngineHandle: Sealed {
    /// The engine.
    type Engine: Engine;

    /// Borrows the engine.
    fn engine(&self) -> &Self::Engine;

    /// Borrows the engine mutably.
    fn engine_mut(&mut self) -> &mut Self::Engine;
}

impl<E: Engine> Sealed for &mut E {}

impl<E: Engine> EngineHandle for &mut E {
    type Engine = E;

    fn engine(&self) -> &E {
        self
    }

    fn engine_mut(&mut self) -> &mut E {
        self
    }
}

/// The number type of a session's engine.
type RealOf<H> = <<H as EngineHandle>::Engine as Parameters>::Real;

/// Inference on a stream: B rows whose states stay on the device from step to step.
///
/// A step takes the next T time steps of every row, from one upwards, and returns the outputs:
///
/// | Network | Outputs |
/// |---|---|
/// | with a head at every step | the logits a, \[T, B, O\]; 0 at padding |
/// | with a head at each row's last step | the logits a, \[1, B, O\] |
/// | with a head on the mean over time | the logits a of the mean over the time steps of this call, \[1, B, O\] |
/// | without a head | the last layer's h, \[T, B, S\]; 0 at padding |
///
/// [`Loss::output`](crate::Loss::output) turns logits into ŷ. There is no dropout. The gradient sums, and the states
/// that training carries, stay as they are.
///
/// ```
/// use bptt::ndarray::Array3;
/// use bptt::{Backend, Cell, Cpu, EngineOptions, Head, Initialisation, Loss, Model, Parameters, Readout, Recurrent};
/// use bptt::{Sequence, Session, Wait};
///
/// let model = Model::new(Recurrent::new(Cell::Lstm, 2, 8), Head::new(3, Loss::CrossEntropy, Readout::PerStep));
/// let mut engine = Cpu::new().engine(&model, &EngineOptions::default())?; // or Gpu; or Trainer::into_session
/// engine.initialise(Initialisation::default(), 1)?;
///
/// let mut session = Session::new(engine, 4)?; // 4 rows, which start from zero
/// for t in 0..10 {
///     let x = Array3::from_elem((1, 4, 2), t as f32 * 0.1); // [T, B, I]
///     let logits = session.step(&Sequence::dense(x)).wait()?; // [T, B, O], borrowed from the session
///     assert_eq!(logits.dim(), (1, 4, 3));
/// }
/// session.reset_row(2)?; // another stream begins in this row
/// let states = session.states().wait()?; // on the host, to be stored
/// session.set_states(&states)?;
/// # Ok::<(), bptt::Error>(())
/// ```
///
/// # What waits, and what is copied
///
/// [`step`](Self::step) [waits](crate#waiting) for its outputs. [`enqueue`](Self::enqueue) does not: a program can enqueue several steps
/// and read the outputs later, oldest first, with [`outputs`](Self::outputs). On a GPU a few short steps share one
/// submission. A step copies x or the tokens, one flag per time step and row, and the outputs between host and device,
/// and no states; [`Profile::uploaded`](crate::Profile::uploaded) and
/// [`Profile::downloaded`](crate::Profile::downloaded) count the bytes. [`states`](Self::states) waits and copies the
/// states to the host; [`snapshot`](Self::snapshot) copies them on the device and does not wait.
///
/// The buffers are kept: after the first step of a shape, a step on the CPU backend with one thread allocates nothing.
///
/// # Bits
///
/// Steps of any length give the bits of the whole sequence in one call, on either backend (except for the mean over time,
/// which is that of a call).
#[derive(Debug)]
pub struct Session<H: EngineHandle> {
    engine: H,
    rows: usize,
    states: <H::Engine as Streaming>::DeviceStates,
    /// Steps whose outputs have not been read, oldest first.
    pending: VecDeque<PendingStep<H::Engine>>,
    /// The buffers of steps that have been read.
    free: Vec<PendingStep<H::Engine>>,
    /// The outputs read last.
    numbers: Vec<RealOf<H>>,
    /// Shared with the snapshots.
    identity: Arc<()>,
}

/// A step whose outputs have not been read.
#[derive(Debug)]
struct PendingStep<E: Engine> {
    outputs: E::DeviceOutputs,
    shape: (usize, usize, usize),
    /// The length of each row; empty if all are full.
    lengths: Vec<usize>,
}

/// The states of a [`Session`] at one time, on its device. Made by [`Session::snapshot`].
#[derive(Debug)]
pub struct Snapshot<E: Engine> {
    states: E::DeviceStates,
    session: Arc<()>,
}

impl<H: EngineHandle> Session<H> {
    /// Creates a session of `rows` rows, which start from zero, on an engine by value or by mutable reference.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a network with a reverse direction; [`Error::Value`] for 0 rows; [`Error::Limit`] and the like
    /// for more rows than the device can hold.
    pub fn new(mut engine: H, rows: usize) -> Result<Self> {
        if rows == 0 {
            return Err(Error::value("the rows of the session", "at least 1", 0));
        }
        StatefulRows { first_row: 0, rows }.check(engine.engine().model(), rows, None)?;
        let states = engine.engine_mut().zero_states(rows)?;
        let (pending, free) = (VecDeque::new(), Vec::new());
        Ok(Self { engine, rows, states, pending, free, numbers: Vec::new(), identity: Arc::new(()) })
    }

    /// B, the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The network.
    pub fn model(&self) -> &Model {
        self.engine.engine().model()
    }

    /// The engine.
    pub fn engine(&self) -> &H::Engine {
        self.engine.engine()
    }

    /// Ends the session and returns its engine. Outputs that have not been read are lost.
    pub fn into_engine(self) -> H {
        self.engine
    }

    /// Runs the next time steps of every row, and [waits](crate#waiting) for the outputs; see the table above for their shape. Rows start
    /// from the session's states, or from [`Sequence::initial`] if it is given. Rows may have different
    /// [lengths](Sequence::lengths), and [`Sequence::resets`] starts rows from zero within the step.
    ///
    /// # Errors
    /// The errors of [`Sequence::validate`], and [`Error::Value`] if the sequence does not have the session's rows, which
    /// leave the states unchanged; [`Error::Unsupported`] if outputs of [`enqueue`](Self::enqueue) have not been read.
    pub async fn step(&mut self, sequence: &Sequence<RealOf<H>>) -> Result<ArrayView3<'_, RealOf<H>>> {
        if !self.pending.is_empty() {
            let unread = self.pending.len();
            let reason = format!(
                "step returns its own outputs, and those of {unread} enqueued steps have not been read: call outputs first"
            );
            return Err(Error::Unsupported(reason));
        }
        let step = self.advance(sequence)?;
        self.read(step).await
    }

    /// Like [`step`](Self::step), but does not wait: [`outputs`](Self::outputs) returns the outputs. Every step that is
    /// enqueued and not yet read holds a buffer of its own for them.
    ///
    /// # Errors
    /// Same as [`step`](Self::step), but outputs that have not been read are no error.
    pub fn enqueue(&mut self, sequence: &Sequence<RealOf<H>>) -> Result<()> {
        let step = self.advance(sequence)?;
        self.pending.push_back(step);
        Ok(())
    }

    /// Checks and enqueues a step.
    fn advance(&mut self, sequence: &Sequence<RealOf<H>>) -> Result<PendingStep<H::Engine>> {
        let sequence = Validated::sequence(sequence, self.model())?;
        let (steps, rows) = sequence.shape();
        if rows != self.rows {
            let expected = format!("{}, the rows of the session", self.rows);
            return Err(Error::value("the rows of the sequence", expected, rows));
        }
        let shape = self.model().output_shape(steps, rows);
        let mut step =
            self.free.pop().unwrap_or_else(|| PendingStep { outputs: Default::default(), shape, lengths: Vec::new() });
        step.shape = shape;
        step.lengths.clear();
        step.lengths.extend(sequence.lengths.iter().flatten());
        self.engine.engine_mut().advance(sequence, &mut self.states, &mut step.outputs)?;
        Ok(step)
    }

    /// [Waits](crate#waiting) for the outputs of the oldest step enqueued and not yet read; see the table above for their shape. `None` if
    /// all have been read.
    ///
    /// # Errors
    /// Those of the device; the outputs are then lost.
    pub async fn outputs(&mut self) -> Result<Option<ArrayView3<'_, RealOf<H>>>> {
        match self.pending.pop_front() {
            Some(step) => self.read(step).await.map(Some),
            None => Ok(None),
        }
    }

    /// The number of steps enqueued whose outputs have not been read.
    pub fn unread(&self) -> usize {
        self.pending.len()
    }

    /// Waits for the outputs of a step, and keeps its buffer.
    async fn read(&mut self, mut step: PendingStep<H::Engine>) -> Result<ArrayView3<'_, RealOf<H>>> {
        self.engine.engine_mut().read_outputs(&mut step.outputs, &mut self.numbers).await?;
        let (predictions, rows, size) = step.shape;
        let failed = |error: ndarray::ShapeError| Error::Failed(error.to_string());
        let numbers = self.numbers.get_mut(..predictions * rows * size).unwrap_or_default();
        let mut outputs = ArrayViewMut3::from_shape(step.shape, numbers).map_err(failed)?;
        // A single prediction per row is never padding.
        for (row, length) in step.lengths.iter().enumerate().filter(|(_, length)| **length < predictions) {
            if predictions > 1 {
                outputs.slice_mut(s![*length.., row, ..]).fill(Default::default());
            }
        }
        self.free.push(step);
        let numbers = &self.numbers[..predictions * rows * size];
        ArrayView3::from_shape((predictions, rows, size), numbers).map_err(failed)
    }

    /// The bytes that the session holds besides its engine: the states, and the outputs of steps. Those of its passes
    /// are in [`Inspection::bytes`](crate::Inspection::bytes), those of a snapshot are as many as the states' and in
    /// neither.
    pub fn bytes(&self) -> u64 {
        let steps = self.pending.iter().chain(&self.free);
        let outputs: u64 = steps.map(|step| H::Engine::outputs_bytes(&step.outputs)).sum();
        let read = self.numbers.capacity() * size_of::<RealOf<H>>();
        H::Engine::states_bytes(&self.states) + outputs + read as u64
    }

    /// Resets all rows: they start from zero. Does not wait.
    pub fn reset(&mut self) {
        self.engine.engine_mut().clear_states(&mut self.states, None);
    }

    /// Resets one row: it starts from zero. Does not wait.
    ///
    /// # Errors
    /// [`Error::Value`] if there is no such row.
    pub fn reset_row(&mut self, row: usize) -> Result<()> {
        if row >= self.rows {
            return Err(Error::value("the row to reset", format!("a row below {}", self.rows), row));
        }
        self.engine.engine_mut().clear_states(&mut self.states, Some(row));
        Ok(())
    }

    /// The states h, \[L, B, S\], and c, \[L, B, H\], that the next step starts from. [Waits](crate#waiting) for all enqueued steps, and copies the states
    /// to the host.
    ///
    /// # Errors
    /// [`Error::NoMemory`], and those of the device.
    pub async fn states(&mut self) -> Result<States<RealOf<H>>> {
        self.engine.engine_mut().read_states(&self.states).await
    }

    /// Replaces the states h, \[L, B, S\], and c, \[L, B, H\], that the next step starts from. Copies them to the device.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Unsupported`] if they do not fit the network and the rows.
    pub fn set_states(&mut self, states: &States<RealOf<H>>) -> Result<()> {
        states.check(&self.model().recurrent, self.rows, "0")?;
        self.engine.engine_mut().write_states(states, &mut self.states)
    }

    /// Copies the states on the device, for [`restore`](Self::restore). Does not wait. To keep states longer than the
    /// session lives, use [`states`](Self::states).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::NoMemory`].
    pub fn snapshot(&mut self) -> Result<Snapshot<H::Engine>> {
        let engine = self.engine.engine_mut();
        let mut states = engine.zero_states(self.rows)?;
        engine.copy_states(&self.states, &mut states);
        Ok(Snapshot { states, session: self.identity.clone() })
    }

    /// Replaces the states by those of a snapshot, which can be restored again. Copies on the device, and does not wait.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a snapshot of another session.
    pub fn restore(&mut self, snapshot: &Snapshot<H::Engine>) -> Result<()> {
        if !Arc::ptr_eq(&snapshot.session, &self.identity) {
            let reason = "a snapshot can be restored in its own session only: pass states to another with set_states";
            return Err(Error::Unsupported(reason.into()));
        }
        self.engine.engine_mut().copy_states(&snapshot.states, &mut self.states);
        Ok(())
    }
}
