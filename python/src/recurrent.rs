//! The recurrent layers alone, forward and backward.

use bptt::{
    Backend, DropoutKey, Engine, EngineOptions, Initialisation, InputGradient, Layers, Output, OutputGradient,
    Parameters, StateDict, Wait,
};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{self, Rows};
use crate::errors::OrRaise;
use crate::model::Model;
use crate::numbers::{ANY, THREAD_COUNTS, size_if_any, whole, whole_if_any, within};
use crate::placed::{Make, Place, Placed, on_each};

/// The layers that are to be made.
struct WantedLayers {
    model: bptt::Model,
    seed: u64,
    weights: Option<StateDict<f64>>,
}

impl Make for WantedLayers {
    type Made<E: Engine + Send> = E;

    fn make<B: Backend<Engine: Send>>(self, backend: &B) -> bptt::Result<B::Engine> {
        let mut engine = backend.engine(&self.model, &EngineOptions::default())?;
        match self.weights {
            Some(weights) => engine.load_state_dict(&weights)?,
            None => engine.initialise(Initialisation::default(), self.seed)?,
        }
        Ok(engine)
    }
}

/// The recurrent layers of a model, for a head and a loss of the caller's own.
#[pyclass(frozen, module = "bptt")]
pub(crate) struct Recurrent {
    inner: Placed<WantedLayers>,
    model: bptt::Model,
    device: String,
}

#[pymethods]
impl Recurrent {
    /// Creates the layers; their weights are drawn from the seed as PyTorch draws them.
    #[new]
    #[pyo3(signature = (model, *, seed=1, device="auto", threads=None, dtype="float32", weights=None))]
    fn new(
        py: Python<'_>,
        model: Model,
        #[pyo3(from_py_with = whole)] seed: i128,
        device: &str,
        #[pyo3(from_py_with = whole_if_any)] threads: Option<i128>,
        dtype: &str,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let seed = within(seed, "seed", ANY)?;
        let threads = size_if_any(threads, "threads", THREAD_COUNTS)?;
        let mut model = model.0;
        // The head computes nothing here.
        model.head = None;
        model.validate().or_raise()?;
        let weights = weights.map(arrays::state_dict).transpose()?;
        let wanted = WantedLayers { model: model.clone(), seed, weights };
        let (inner, device) = Placed::new(py, wanted, Place { device, threads, dtype })?;
        Ok(Self { inner, model, device })
    }

    /// Runs forward over x [T, B, I], or token ids [T, B]: the output [T, B, D·S], and the final states (h, c). With
    /// `dropout=(seed, step)`, dropout is on, with the masks of that step.
    #[pyo3(signature = (x, *, lengths=None, initial=None, batch_first=false, dropout=None))]
    fn forward(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        lengths: Option<&Bound<'_, PyAny>>,
        initial: Option<&Bound<'_, PyAny>>,
        batch_first: bool,
        dropout: Option<(i128, i128)>,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let rows = Rows { lengths, initial, batch_first };
        let key = |(seed, step)| {
            let (seed, step) = (within(seed, "the seed of dropout", ANY)?, within(step, "the step of dropout", ANY)?);
            Ok::<_, PyErr>(DropoutKey { seed, step, first_row: 0 })
        };
        let masks = dropout.map(key).transpose()?;
        on_each!(self.inner, shared => {
            let sequence = arrays::sequence(x, &rows)?;
            let Output { output, states, .. } = shared.compute(py, |engine| {
                engine.set_dropout(masks);
                engine.forward(&sequence).wait()
            })?;
            let output = arrays::given_order(output, batch_first).into_pyarray(py).into_any().unbind();
            Ok((output, arrays::states_out(py, states)?))
        })
    }

    /// Runs the last `forward` backward, from the gradients of a loss with respect to its output and final states; None
    /// is zero. It adds to the weights' gradients, and returns dx and (dh_0, dc_0).
    #[pyo3(signature = (output=None, *, h_n=None, c_n=None, batch_first=false))]
    fn backward(
        &self,
        py: Python<'_>,
        output: Option<&Bound<'_, PyAny>>,
        h_n: Option<&Bound<'_, PyAny>>,
        c_n: Option<&Bound<'_, PyAny>>,
        batch_first: bool,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        on_each!(self.inner, shared => {
            let gradient = OutputGradient {
                output: output.map(|it| arrays::steps(it, batch_first, "d_output")).transpose()?,
                h_n: h_n.map(|it| arrays::array(it, "d_h_n")).transpose()?,
                c_n: c_n.map(|it| arrays::array(it, "d_c_n")).transpose()?,
            };
            let InputGradient { x, initial, .. } = shared.compute(py, |engine| engine.backward(&gradient).wait())?;
            let x = match x {
                Some(x) => arrays::given_order(x, batch_first).into_pyarray(py).into_any().unbind(),
                None => py.None(),
            };
            Ok((x, arrays::states_out(py, initial)?))
        })
    }

    /// The sums of the weights' gradients since `clear_gradients`, by parameter name.
    fn gradients(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        on_each!(self.inner, shared => {
            let gradients = shared.compute(py, |engine| {
                let numbers = engine.gradients().wait()?;
                Ok(engine.layout().to_state_dict(&numbers))
            })?;
            arrays::state_dict_out(py, &gradients)
        })
    }

    /// Sets the gradient sums to 0.
    fn clear_gradients(&self, py: Python<'_>) -> PyResult<()> {
        on_each!(self.inner, shared => shared.compute(py, |engine| {
            engine.clear_gradients();
            Ok(())
        }))
    }

    /// The weights by PyTorch's names.
    fn state_dict(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        on_each!(self.inner, shared => {
            let weights = shared.compute(py, |engine| {
                let numbers = engine.parameters().wait()?;
                Ok(engine.layout().to_state_dict(&numbers))
            })?;
            arrays::state_dict_out(py, &weights)
        })
    }

    /// Sets the weights.
    fn load_state_dict(&self, py: Python<'_>, weights: &Bound<'_, PyAny>) -> PyResult<()> {
        let weights = arrays::state_dict::<f64>(weights)?;
        on_each!(self.inner, shared => shared.compute(py, |engine| engine.load_state_dict(&weights)))
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
        format!("Recurrent({:?}, parameters={})", self.device, bptt::Layout::new(&self.model).len())
    }
}
