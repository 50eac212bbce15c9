//! The recurrent layers alone, forward and backward.

use bptt::{
    Backend, CpuEngine, DropoutKey, Engine, EngineOptions, GpuEngine, Initialisation, InputGradient, Layers, Output,
    OutputGradient, Parameters, Wait,
};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{self, Number, Rows, value};
use crate::compute::{self, Shared};
use crate::errors::OrRaise;
use crate::model::Model;
use crate::trainer::cpu;

#[derive(Debug)]
enum AnyEngine {
    Single(Box<Shared<CpuEngine<f32>>>),
    Double(Box<Shared<CpuEngine<f64>>>),
    Gpu(Box<Shared<GpuEngine>>),
}

/// The same expression for each engine.
macro_rules! with_engine {
    ($layers:expr, $shared:ident => $body:expr) => {
        match &$layers.inner {
            AnyEngine::Single($shared) => $body,
            AnyEngine::Double($shared) => $body,
            AnyEngine::Gpu($shared) => $body,
        }
    };
}

/// The recurrent layers of a model, for a head and a loss of the caller's own.
#[pyclass(frozen, module = "bptt")]
pub(crate) struct Recurrent {
    inner: AnyEngine,
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
        seed: u64,
        device: &str,
        threads: Option<usize>,
        dtype: &str,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut model = model.0;
        // The head computes nothing here.
        model.head = None;
        model.validate().or_raise()?;
        let (inner, device) = match dtype {
            "float32" => match compute::gpu(py, device)? {
                Some(gpu) => {
                    let engine = py.detach(|| drawn(&gpu, &model, seed)).or_raise()?;
                    (AnyEngine::Gpu(Box::new(Shared::new(engine, true, None))), gpu.describe())
                }
                None => {
                    let (cpu, pool) = cpu::<f32>(py, threads)?;
                    let engine = py.detach(|| pool.install(|| drawn(&cpu, &model, seed))).or_raise()?;
                    (AnyEngine::Single(Box::new(Shared::new(engine, false, threads))), cpu.describe())
                }
            },
            "float64" if device.eq_ignore_ascii_case("gpu") => {
                return value("dtype", "float32: a GPU computes in no other", dtype);
            }
            "float64" => {
                let (cpu, pool) = cpu::<f64>(py, threads)?;
                let engine = py.detach(|| pool.install(|| drawn(&cpu, &model, seed))).or_raise()?;
                (AnyEngine::Double(Box::new(Shared::new(engine, false, threads))), cpu.describe())
            }
            _ => return value("dtype", "float32 or float64", dtype),
        };
        let made = Self { inner, model, device };
        if let Some(weights) = weights {
            made.load_state_dict(py, weights)?;
        }
        Ok(made)
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
        dropout: Option<(u64, u64)>,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let rows = Rows { lengths, initial, batch_first };
        let masks = dropout.map(|(seed, step)| DropoutKey { seed, step, first_row: 0 });
        with_engine!(self, shared => {
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
        with_engine!(self, shared => {
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
        with_engine!(self, shared => {
            let gradients = shared.compute(py, |engine| {
                let numbers = engine.gradients().wait()?;
                Ok(engine.layout().to_state_dict(&numbers))
            })?;
            arrays::state_dict_out(py, &gradients)
        })
    }

    /// Sets the gradient sums to 0.
    fn clear_gradients(&self, py: Python<'_>) -> PyResult<()> {
        with_engine!(self, shared => shared.compute(py, |engine| {
            engine.clear_gradients();
            Ok(())
        }))
    }

    /// The weights by PyTorch's names.
    fn state_dict(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        with_engine!(self, shared => {
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
        with_engine!(self, shared => shared.compute(py, |engine| engine.load_state_dict(&weights)))
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

/// An engine with weights drawn from a seed.
fn drawn<T: Number, B: Backend>(backend: &B, model: &bptt::Model, seed: u64) -> bptt::Result<B::Engine>
where
    B::Engine: Engine<Real = T>,
{
    let mut engine = backend.engine(model, &EngineOptions::default())?;
    engine.initialise(Initialisation::default(), seed)?;
    Ok(engine)
}
