//! The trainer, on the CPU in f32 or f64 or on a GPU.

use std::path::PathBuf;

use bptt::experiment::config::NumberRange;
use bptt::ndarray::Array2;
use bptt::{
    Backend, Batch, Engine, EngineOptions, Error, InputGradient, Parameters, SavedModel, Sequence, StateDict, Targets,
    TrainerOptions, Wait,
};
use numpy::{IntoPyArray, PyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{self, Number, Rows};
use crate::model::{Model, Optimizer};
use crate::numbers::{ANY, SIZES, THREAD_COUNTS, real_within, size_if_any, whole, whole_if_any, within};
use crate::placed::{Make, Place, Placed, on_each};

/// The trainer that is to be made.
struct WantedTrainer {
    model: bptt::Model,
    optimizer: bptt::Optimizer,
    seed: u64,
    options: TrainerOptions,
    weights: Option<StateDict<f64>>,
}

impl Make for WantedTrainer {
    type Made<E: Engine + Send> = bptt::Trainer<E>;

    fn make<B: Backend<Engine: Send>>(self, backend: &B) -> bptt::Result<bptt::Trainer<B::Engine>> {
        let Self { model, optimizer, seed, options, weights } = self;
        match weights {
            Some(weights) => SavedModel::new(model, weights.to::<<B::Engine as Parameters>::Real>())
                .trainer(backend, optimizer, seed, options),
            None => bptt::Trainer::with_options(backend, &model, optimizer, seed, options),
        }
    }
}

/// Trains a model on batches of NumPy arrays.
#[pyclass(frozen, module = "bptt")]
pub(crate) struct Trainer {
    inner: Placed<WantedTrainer>,
    model: bptt::Model,
    device: String,
}

/// A batch as the caller gives it.
struct Given<'a, 'py> {
    x: &'a Bound<'py, PyAny>,
    targets: &'a Bound<'py, PyAny>,
    weights: Option<&'a Bound<'py, PyAny>>,
    rows: Rows<'a, 'py>,
}

impl Given<'_, '_> {
    /// A copy, in the type of the network.
    fn batch<T: Number>(&self, model: &bptt::Model) -> PyResult<Batch<T>> {
        let sequence: Sequence<T> = arrays::sequence(self.x, &self.rows)?;
        let takes_classes = model.head.as_ref().is_some_and(|head| head.loss.takes_classes());
        let each = model.head.as_ref().is_some_and(|head| head.readout == bptt::Readout::PerStep);
        let axes = PredictionAxes { each, batch_first: self.rows.batch_first };
        let batch_first = self.rows.batch_first;
        let targets = if takes_classes {
            Targets::Classes(arrays::indices(&axes.complete(self.targets, "classes", 1)?, batch_first, "classes")?)
        } else {
            let one = model.head.as_ref().is_some_and(|head| head.target_size() == 1);
            let targets = axes.complete(&axes.with_values(self.targets, one)?, "targets", 2)?;
            Targets::Values(arrays::steps(&targets, batch_first, "targets")?)
        };
        let mut batch = Batch::new(sequence, targets);
        if let Some(weights) = self.weights {
            batch = batch.weights(arrays::weights(&axes.complete(weights, "weights", 1)?, batch_first)?);
        }
        Ok(batch)
    }
}

/// The axes of what belongs to predictions, [P, B, ·], or [B, P, ·] if rows come first.
struct PredictionAxes {
    /// Whether each step has a prediction, and not each row.
    each: bool,
    batch_first: bool,
}

impl PredictionAxes {
    /// With the axis of P, which may be left out where each row has one prediction. `axes`: what it has without.
    fn complete<'py>(&self, any: &Bound<'py, PyAny>, what: &str, axes: usize) -> PyResult<Bound<'py, PyAny>> {
        let array = arrays::untyped(any, what)?;
        if self.each || array.ndim() != axes {
            return Ok(array.into_any());
        }
        let numpy = any.py().import("numpy")?;
        numpy.call_method1("expand_dims", (array, usize::from(self.batch_first)))
    }

    /// With the axis of values, which may be left out where a prediction has one. Nothing else has so few axes.
    fn with_values<'py>(&self, any: &Bound<'py, PyAny>, one: bool) -> PyResult<Bound<'py, PyAny>> {
        let array = arrays::untyped(any, "targets")?;
        if !one || array.ndim() != if self.each { 2 } else { 1 } {
            return Ok(array.into_any());
        }
        any.py().import("numpy")?.call_method1("expand_dims", (array, -1))
    }
}

/// What a call returned. After a step that is not finite the library refuses every further one, until it is given
/// weights, so that what is enqueued behind it has no effect; here nothing is, and the exception has told of it. So the
/// trainer goes on with the weights before that step, as it does with another loss of the caller's.
fn going_on<E: bptt::Engine, R>(trainer: &mut bptt::Trainer<E>, result: bptt::Result<R>) -> bptt::Result<R> {
    if let Err(Error::NonFinite { .. }) = result {
        let weights = trainer.state_dict().wait()?;
        trainer.load_state_dict(&weights)?;
    }
    result
}

#[pymethods]
impl Trainer {
    /// Creates a trainer; its weights are drawn from the seed as PyTorch draws them.
    #[new]
    #[pyo3(signature = (model, optimizer=None, *, seed=1, device="auto", threads=None, dtype="float32", micro_batch=None,
                        recompute=false, carry_state=false, ema_decay=None, input_gradient=false, memory=None,
                        max_skipped_updates=0, weights=None))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        model: Model,
        optimizer: Option<Optimizer>,
        #[pyo3(from_py_with = whole)] seed: i128,
        device: &str,
        #[pyo3(from_py_with = whole_if_any)] threads: Option<i128>,
        dtype: &str,
        #[pyo3(from_py_with = whole_if_any)] micro_batch: Option<i128>,
        recompute: bool,
        carry_state: bool,
        ema_decay: Option<f64>,
        input_gradient: bool,
        #[pyo3(from_py_with = whole_if_any)] memory: Option<i128>,
        #[pyo3(from_py_with = whole)] max_skipped_updates: i128,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let seed = within(seed, "seed", ANY)?;
        let threads = size_if_any(threads, "threads", THREAD_COUNTS)?;
        let micro_batch = size_if_any(micro_batch, "micro_batch", SIZES)?;
        let memory = memory.map(|memory| within(memory, "memory", NumberRange::Whole(1, u64::MAX))).transpose()?;
        let skips = within(max_skipped_updates, "max_skipped_updates", NumberRange::Whole(0, u32::MAX.into()))?;
        let ema_decay = ema_decay.map(|decay| real_within(decay, "ema_decay", NumberRange::Below1)).transpose()?;
        let engine = EngineOptions::default()
            .recompute(recompute)
            .ema_decay(ema_decay)
            .input_gradient(input_gradient)
            .memory(memory)
            .max_skipped_updates(skips as u32);
        let options = TrainerOptions::default().micro_batch(micro_batch).carry_state(carry_state).engine(engine);
        let optimizer = optimizer.map_or_else(|| bptt::Optimizer::adam(1e-3), |optimizer| optimizer.0);
        let weights = weights.map(arrays::state_dict).transpose()?;
        let wanted = WantedTrainer { model: model.0.clone(), optimizer, seed, options, weights };
        let (inner, device) = Placed::new(py, wanted, Place { device, threads, dtype })?;
        Ok(Self { inner, model: model.0, device })
    }

    /// One training step on x [T, B, I], or token ids [T, B]. Targets are [P, B, O] or classes [P, B], where P is T for
    /// a head at every step; otherwise the axis of P may be left out, and that of O where a prediction has one value.
    /// With `batch_first=True` rows come first everywhere: [B, T, I], [B, P, O] and [B, P]. It returns the loss of the
    /// batch before the update.
    ///
    /// A loss or gradient norm that is not finite raises `NonFinite`, the weights stay those before it, and later steps go
    /// on from there; with `max_skipped_updates=N`, up to N of these in a row return their loss instead. With
    /// `ema_decay`, the average of the weights begins anew after the exception, and with `carry_state=True` the next
    /// batch should follow `reset_state()`.
    #[pyo3(signature = (x, targets, *, weights=None, lengths=None, initial=None, batch_first=false))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn step(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
        lengths: Option<&Bound<'_, PyAny>>,
        initial: Option<&Bound<'_, PyAny>>,
        batch_first: bool,
    ) -> PyResult<f64> {
        let given = Given { x, targets, weights, rows: Rows { lengths, initial, batch_first } };
        on_each!(self.inner, shared => {
            let batch = given.batch::<_>(&self.model)?;
            shared.compute(py, |trainer| {
                same_type(trainer, &batch);
                let loss = trainer.step(&batch).wait().and_then(|_| last_loss(trainer));
                going_on(trainer, loss)
            })
        })
    }

    /// The loss of a batch, with the weights as they are.
    #[pyo3(signature = (x, targets, *, weights=None, lengths=None, initial=None, batch_first=false))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn loss(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
        lengths: Option<&Bound<'_, PyAny>>,
        initial: Option<&Bound<'_, PyAny>>,
        batch_first: bool,
    ) -> PyResult<f64> {
        let given = Given { x, targets, weights, rows: Rows { lengths, initial, batch_first } };
        on_each!(self.inner, shared => {
            let batch = given.batch::<_>(&self.model)?;
            shared.compute(py, |trainer| {
                same_type(trainer, &batch);
                Ok(trainer.evaluate(&batch).wait()?.loss)
            })
        })
    }

    /// Adds a batch's gradients to those since the last update, without one: several batches make one step.
    #[pyo3(signature = (x, targets, *, weights=None, lengths=None, initial=None, batch_first=false))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn accumulate(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
        lengths: Option<&Bound<'_, PyAny>>,
        initial: Option<&Bound<'_, PyAny>>,
        batch_first: bool,
    ) -> PyResult<()> {
        let given = Given { x, targets, weights, rows: Rows { lengths, initial, batch_first } };
        on_each!(self.inner, shared => {
            let batch = given.batch::<_>(&self.model)?;
            shared.compute(py, |trainer| {
                same_type(trainer, &batch);
                trainer.accumulate(&batch).wait()
            })
        })
    }

    /// Updates the weights from the gradients accumulated since the last update, and returns their loss.
    fn update(&self, py: Python<'_>) -> PyResult<f64> {
        on_each!(self.inner, shared => shared.compute(py, |trainer| {
            let loss = trainer.update().wait().and_then(|_| last_loss(trainer));
            going_on(trainer, loss)
        }))
    }

    /// The gradients of the batches accumulated since the last update, or otherwise of those that it used, by parameter
    /// name, divided as for the update, before clipping.
    fn gradients(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        on_each!(self.inner, shared => {
            let gradients = shared.compute(py, |trainer| trainer.gradients().wait())?;
            arrays::state_dict_out(py, &gradients)
        })
    }

    /// The gradient of the last batch with respect to x and the initial states: dx, then (dh_0, dc_0). The trainer needs
    /// `input_gradient=True`.
    #[pyo3(signature = (*, batch_first=false))]
    fn input_gradient(&self, py: Python<'_>, batch_first: bool) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        on_each!(self.inner, shared => {
            let InputGradient { x, initial, .. } = shared.compute(py, |trainer| trainer.input_gradient().wait())?;
            let x = match x {
                Some(x) => arrays::given_order(x, batch_first).into_pyarray(py).into_any().unbind(),
                None => py.None(),
            };
            Ok((x, arrays::states_out(py, initial)?))
        })
    }

    /// The weights by PyTorch's names.
    fn state_dict(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        on_each!(self.inner, shared => {
            let weights = shared.compute(py, |trainer| trainer.state_dict().wait())?;
            arrays::state_dict_out(py, &weights)
        })
    }

    /// Sets the weights. The optimizer's state stays.
    fn load_state_dict(&self, py: Python<'_>, weights: &Bound<'_, PyAny>) -> PyResult<()> {
        let weights = arrays::state_dict::<f64>(weights)?;
        on_each!(self.inner, shared => shared.compute(py, |trainer| trainer.load_state_dict(&weights)))
    }

    /// The predictions [P, B, O], and with `return_states=True` also the final states (h, c).
    #[pyo3(signature = (x, *, lengths=None, initial=None, batch_first=false, return_states=false))]
    fn predict(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        lengths: Option<&Bound<'_, PyAny>>,
        initial: Option<&Bound<'_, PyAny>>,
        batch_first: bool,
        return_states: bool,
    ) -> PyResult<Py<PyAny>> {
        let rows = Rows { lengths, initial, batch_first };
        on_each!(self.inner, shared => {
            let sequence = arrays::sequence(x, &rows)?;
            let predicted = shared.compute(py, |trainer| {
                same_sequence(trainer, &sequence);
                trainer.predict(&sequence).wait()
            })?;
            let y = arrays::given_order(predicted.y, batch_first).into_pyarray(py).into_any();
            if !return_states {
                return Ok(y.unbind());
            }
            Ok((y, arrays::states_out(py, predicted.states)?).into_pyobject(py)?.into_any().unbind())
        })
    }

    /// The norm of the gradient with respect to h at each step, [layers · directions, T]: where it vanishes. It has no
    /// effect on later steps, and is refused between `accumulate` and `update`.
    #[pyo3(signature = (x, targets, *, weights=None, lengths=None, initial=None, batch_first=false))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn flow(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
        lengths: Option<&Bound<'_, PyAny>>,
        initial: Option<&Bound<'_, PyAny>>,
        batch_first: bool,
    ) -> PyResult<Py<PyArray2<f64>>> {
        let given = Given { x, targets, weights, rows: Rows { lengths, initial, batch_first } };
        let norms: Array2<f64> = on_each!(self.inner, shared => {
            let batch = given.batch::<_>(&self.model)?;
            shared.compute(py, |trainer| {
                same_type(trainer, &batch);
                Ok(trainer.hidden_gradient_norms_of(&batch).wait()?.norms)
            })?
        });
        Ok(norms.into_pyarray(py).unbind())
    }

    /// Writes the model with its weights as a file that `bptt` and `Model.load` read.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        on_each!(self.inner, shared => shared.compute(py, |trainer| trainer.saved_model().wait()?.save(&path)))
    }

    /// Sets the learning rate of later steps.
    fn set_learning_rate(&self, py: Python<'_>, learning_rate: f64) -> PyResult<()> {
        on_each!(self.inner, shared => shared.compute(py, |trainer| trainer.set_learning_rate(learning_rate)))
    }

    /// With `carry_state=True`: the next batch starts from zero.
    fn reset_state(&self, py: Python<'_>) -> PyResult<()> {
        on_each!(self.inner, shared => shared.compute(py, |trainer| trainer.reset_state()))
    }

    /// The number of updates so far.
    fn steps(&self, py: Python<'_>) -> PyResult<u64> {
        on_each!(self.inner, shared => shared.compute(py, |trainer| Ok(trainer.steps())))
    }

    #[getter]
    fn model(&self) -> Model {
        Model(self.model.clone())
    }

    /// The device in words.
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    fn __repr__(&self) -> String {
        format!("Trainer({:?}, parameters={})", self.device, bptt::Layout::new(&self.model).len())
    }
}

/// The loss of the step before.
fn last_loss<E: bptt::Engine>(trainer: &mut bptt::Trainer<E>) -> bptt::Result<f64> {
    // There is one after every step.
    trainer.loss().wait().map(|loss| loss.unwrap_or(f64::NAN))
}

/// Says that a batch has the trainer's number type.
fn same_type<E: bptt::Engine>(_: &bptt::Trainer<E>, _: &Batch<E::Real>) {}

/// Likewise of a sequence.
fn same_sequence<E: bptt::Engine>(_: &bptt::Trainer<E>, _: &Sequence<E::Real>) {}
