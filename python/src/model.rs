//! The form of a network, and the optimizer.

use std::path::PathBuf;

use bptt::{OptimizerKind, SavedModel, StateDictPrefixes};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::arrays::{state_dict, state_dict_out, value};
use crate::errors::{BpttError, OrRaise};
use crate::numbers::{SIZES, STACKED, size, size_if_any, whole, whole_if_any};

/// Reads a name with its settings as configuration files do.
fn named<T: DeserializeOwned>(what: &str, json: Value) -> PyResult<T> {
    let got = json.to_string();
    serde_json::from_value(json).or_else(|error| value(what, &error.to_string(), got))
}

/// The kind of a recurrent cell: "lstm", "gru" or "rnn", an rnn with its activation.
#[pyclass(frozen, eq, hash, from_py_object, module = "bptt")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cell(pub(crate) bptt::Cell);

#[pymethods]
impl Cell {
    #[new]
    #[pyo3(signature = (name, activation=None))]
    fn new(name: &str, activation: Option<&str>) -> PyResult<Self> {
        let cell = match (name, activation) {
            ("rnn", activation) => named("activation", json!({"rnn": activation.unwrap_or("tanh")}))?,
            ("lstm", None) => bptt::Cell::Lstm,
            ("gru", None) => bptt::Cell::Gru,
            ("lstm" | "gru", Some(_)) => return value("activation", "none: only the rnn cell has one", name),
            _ => return value("cell", "lstm, gru or rnn", name),
        };
        Ok(Self(cell))
    }

    /// The name: lstm, gru or rnn.
    #[getter]
    fn name(&self) -> &'static str {
        if matches!(self.0, bptt::Cell::Rnn(_)) { "rnn" } else { self.0.name() }
    }

    /// The activation of an rnn.
    #[getter]
    fn activation(&self) -> Option<String> {
        match self.0 {
            bptt::Cell::Rnn(activation) => {
                serde_json::to_value(activation).ok().and_then(|name| name.as_str().map(Into::into))
            }
            _ => None,
        }
    }

    fn __repr__(&self) -> String {
        match self.activation() {
            Some(activation) => format!("Cell('rnn', activation='{activation}')"),
            None => format!("Cell('{}')", self.name()),
        }
    }
}

/// A cell, or its name.
#[derive(FromPyObject)]
enum CellOrName {
    Cell(Cell),
    Name(String),
}

/// A linear layer on the recurrent layers' output, with its loss.
#[pyclass(frozen, eq, from_py_object, module = "bptt")]
#[derive(Clone, PartialEq)]
pub(crate) struct Head(pub(crate) bptt::Head);

#[pymethods]
impl Head {
    #[new]
    #[pyo3(signature = (outputs, loss="squared-error", *, readout="last", reduction="mean", delta=None, quantiles=None, smoothing=None))]
    fn new(
        #[pyo3(from_py_with = whole)] outputs: i128,
        loss: &str,
        readout: &str,
        reduction: &str,
        delta: Option<f64>,
        quantiles: Option<Vec<f64>>,
        smoothing: Option<f64>,
    ) -> PyResult<Self> {
        let own =
            [("huber", "delta", delta.map(|it| json!(it))), ("quantile", "quantiles", quantiles.map(|it| json!(it)))];
        let own = own.into_iter().chain([("smoothed-cross-entropy", "smoothing", smoothing.map(|it| json!(it)))]);
        let mut settings = Map::new();
        for (of, key, given) in own {
            match given {
                Some(given) if of == loss => drop(settings.insert(key.into(), given)),
                Some(_) => return value(key, &format!("none: only the loss {of} has it"), loss),
                None => {}
            }
        }
        let loss = if settings.is_empty() { json!(loss) } else { json!({loss: settings}) };
        let outputs = size(outputs, "outputs", SIZES)?;
        let (loss, readout) = (named("loss", loss)?, named("readout", json!(readout))?);
        let head = bptt::Head::new(outputs, loss, readout).reduction(named("reduction", json!(reduction))?);
        head.validate().or_raise()?;
        Ok(Self(head))
    }

    /// O, the number of outputs per prediction.
    #[getter]
    fn outputs(&self) -> usize {
        self.0.outputs
    }

    fn __repr__(&self) -> String {
        let text = serde_json::to_string(&self.0).unwrap_or_default();
        format!("Head({text})")
    }
}

/// The form of a network: recurrent layers, with an embedding before and a head behind them if there are any.
#[pyclass(frozen, eq, from_py_object, module = "bptt")]
#[derive(Clone, PartialEq)]
pub(crate) struct Model(pub(crate) bptt::Model);

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (cell, input_size, hidden_size, head=None, *, layers=1, direction="forward", bias=true, dropout=0.0,
                        recurrent_dropout=0.0, proj_size=None, vocabulary=None, tied=false))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        cell: CellOrName,
        #[pyo3(from_py_with = whole)] input_size: i128,
        #[pyo3(from_py_with = whole)] hidden_size: i128,
        head: Option<Head>,
        #[pyo3(from_py_with = whole)] layers: i128,
        direction: &str,
        bias: bool,
        dropout: f64,
        recurrent_dropout: f64,
        #[pyo3(from_py_with = whole_if_any)] proj_size: Option<i128>,
        #[pyo3(from_py_with = whole_if_any)] vocabulary: Option<i128>,
        tied: bool,
    ) -> PyResult<Self> {
        let cell = match cell {
            CellOrName::Cell(cell) => cell,
            CellOrName::Name(name) => Cell::new(&name, None)?,
        };
        let (input_size, hidden_size) =
            (size(input_size, "input_size", SIZES)?, size(hidden_size, "hidden_size", SIZES)?);
        let vocabulary = size_if_any(vocabulary, "vocabulary", SIZES)?;
        let recurrent = bptt::Recurrent::new(cell.0, input_size, hidden_size)
            .layers(size(layers, "layers", STACKED)?)
            .direction(named("direction", json!(direction))?)
            .bias(bias)
            .dropout(dropout)
            .recurrent_dropout(recurrent_dropout)
            .proj_size(size_if_any(proj_size, "proj_size", SIZES)?);
        let mut model = bptt::Model::headless(recurrent);
        model.head = head.map(|head| head.0);
        model.embedding = match (vocabulary, tied) {
            (Some(size), false) => Some(bptt::Embedding::new(size)),
            (Some(size), true) => Some(bptt::Embedding::tied(size)),
            (None, true) => return value("tied", "False without a vocabulary", "True"),
            (None, false) => None,
        };
        model.validate().or_raise()?;
        Ok(Self(model))
    }

    /// The model of JSON text: what `to_json` writes.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        let model: bptt::Model = serde_json::from_str(text).or_else(|error| value("a model", "its JSON", error))?;
        model.validate().or_raise()?;
        Ok(Self(model))
    }

    /// The model as JSON text.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.0).map_err(|error| BpttError::new_err(error.to_string()))
    }

    #[getter]
    fn cell(&self) -> Cell {
        Cell(self.0.recurrent.cell)
    }

    #[getter]
    fn head(&self) -> Option<Head> {
        self.0.head.clone().map(Head)
    }

    #[getter]
    fn input_size(&self) -> usize {
        self.0.recurrent.input_size
    }

    #[getter]
    fn hidden_size(&self) -> usize {
        self.0.recurrent.hidden_size
    }

    #[getter]
    fn layers(&self) -> usize {
        self.0.recurrent.layers
    }

    /// D·S, the numbers of the output at each step.
    #[getter]
    fn output_size(&self) -> usize {
        self.0.recurrent.output_size()
    }

    /// The number of parameters.
    #[getter]
    fn parameters(&self) -> usize {
        bptt::Layout::new(&self.0).len()
    }

    /// Tensors of the model under PyTorch modules' names, from those under this package's (`rnn.`, `head.`,
    /// `embedding.`) or another module's.
    #[pyo3(signature = (tensors, recurrent="rnn.", head="head.", embedding="embedding.", *, from_recurrent="rnn.",
                        from_head="head.", from_embedding="embedding."))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn rename(
        &self,
        py: Python<'_>,
        tensors: &Bound<'_, PyAny>,
        recurrent: &str,
        head: &str,
        embedding: &str,
        from_recurrent: &str,
        from_head: &str,
        from_embedding: &str,
    ) -> PyResult<Py<PyDict>> {
        let from = StateDictPrefixes::new(from_recurrent, from_head).embedding(from_embedding);
        let to = StateDictPrefixes::new(recurrent, head).embedding(embedding);
        let own = from.read(&self.0, &state_dict::<f32>(tensors)?).or_raise()?;
        let block = bptt::Layout::new(&self.0).to_block(&own).or_raise()?;
        state_dict_out(py, &bptt::Layout::with_names(&self.0, &to).to_state_dict(&block))
    }

    /// Writes the model with its weights as a file that `bptt` and `Model.load` read.
    fn save(&self, path: PathBuf, weights: &Bound<'_, PyAny>) -> PyResult<()> {
        SavedModel::new(self.0.clone(), state_dict::<f32>(weights)?).save(path).or_raise()
    }

    /// Reads a model with its weights.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<(Self, Py<PyDict>)> {
        let saved = SavedModel::load(path).or_raise()?;
        Ok((Self(saved.model().clone()), state_dict_out(py, &saved.weights)?))
    }

    fn __repr__(&self) -> String {
        format!("Model({})", serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// An optimizer: its rule, learning rate, weight decay and clipping, after PyTorch's.
#[pyclass(frozen, eq, from_py_object, module = "bptt")]
#[derive(Clone, PartialEq)]
pub(crate) struct Optimizer(pub(crate) bptt::Optimizer);

#[pymethods]
impl Optimizer {
    #[new]
    #[pyo3(signature = (rule="adam", learning_rate=1e-3, *, weight_decay=None, momentum=None, nesterov=false, clip_norm=None,
                        clip_value=None))]
    fn new(
        rule: &str,
        learning_rate: f64,
        weight_decay: Option<f64>,
        momentum: Option<f64>,
        nesterov: bool,
        clip_norm: Option<f64>,
        clip_value: Option<f64>,
    ) -> PyResult<Self> {
        let mut optimizer = match rule {
            "sgd" => bptt::Optimizer::sgd(learning_rate),
            "rmsprop" => bptt::Optimizer::rmsprop(learning_rate),
            "adam" => bptt::Optimizer::adam(learning_rate),
            "adamw" => bptt::Optimizer::adamw(learning_rate),
            _ => return value("rule", "sgd, rmsprop, adam or adamw", rule),
        };
        if let Some(momentum) = momentum {
            if let OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. } = optimizer.kind {
                return value("momentum", "None: only sgd and rmsprop have it", format!("{momentum} for {rule}"));
            }
            optimizer = optimizer.momentum(momentum);
        }
        match &mut optimizer.kind {
            OptimizerKind::Sgd { nesterov: own, .. } => *own = nesterov,
            _ if nesterov => return value("nesterov", "False: only sgd has it", rule),
            _ => {}
        }
        if let Some(decay) = weight_decay {
            optimizer = optimizer.weight_decay(decay);
        }
        let optimizer = optimizer.clip_norm(clip_norm).clip_value(clip_value);
        optimizer.validate().or_raise()?;
        Ok(Self(optimizer))
    }

    #[getter]
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate
    }

    fn __repr__(&self) -> String {
        format!("Optimizer({})", serde_json::to_string(&self.0).unwrap_or_default())
    }
}
