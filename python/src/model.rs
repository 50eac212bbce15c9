//! The form of a network, and the optimizer.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use bptt::{OptimizerKind, SafetensorsFile, SavedModel, StateDictPrefixes};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::arrays::{Number, has_doubles, state_dict, state_dict_out, value};
use crate::errors::{BpttError, OrRaise};
use crate::numbers::{SIZES, STACKED, size, size_if_any, whole, whole_if_any};
use crate::words;

/// Reads a name with its settings as configuration files do. `got`: the name.
fn named<T: DeserializeOwned>(what: &str, json: Value, got: &str) -> PyResult<T> {
    serde_json::from_value(json).or_else(|error| value(what, &words::expected(&error), format!("{got:?}")))
}

/// A name of the library as configuration files have it, and its settings if it has any.
fn name_and_settings(of: &impl Serialize) -> (String, Map<String, Value>) {
    match serde_json::to_value(of) {
        Ok(Value::String(name)) => (name, Map::new()),
        Ok(Value::Object(named)) => match named.into_iter().next() {
            Some((name, Value::Object(settings))) => (name, settings),
            Some((name, _)) => (name, Map::new()),
            None => Default::default(),
        },
        _ => Default::default(),
    }
}

/// The hash of what an object is equal by, or of a part of it.
fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
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
            ("rnn", activation) => {
                let activation = activation.unwrap_or("tanh");
                named("activation", json!({"rnn": activation}), activation)?
            }
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

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.arguments(py)?.call("Cell")
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        self.arguments(py)?.reduce(py.get_type::<Self>())
    }
}

impl Cell {
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Arguments<'py>> {
        Arguments::new(py).with(self.name())?.named("activation", self.activation(), None)
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
        let with_settings = if settings.is_empty() { json!(loss) } else { json!({loss: settings}) };
        let outputs = size(outputs, "outputs", SIZES)?;
        let loss = named("loss", with_settings, loss)?;
        let readout = named("readout", json!(readout), readout)?;
        let reduction = named("reduction", json!(reduction), reduction)?;
        let head = bptt::Head::new(outputs, loss, readout).reduction(reduction);
        head.validate().or_raise()?;
        Ok(Self(head))
    }

    /// O, the number of outputs per prediction.
    #[getter]
    fn outputs(&self) -> usize {
        self.0.outputs
    }

    /// The name of the loss.
    #[getter]
    fn loss(&self) -> String {
        name_and_settings(&self.0.loss).0
    }

    /// When it predicts: last, every or mean.
    #[getter]
    fn readout(&self) -> String {
        name_and_settings(&self.0.readout).0
    }

    /// How the losses are reduced to one number.
    #[getter]
    fn reduction(&self) -> String {
        name_and_settings(&self.0.reduction).0
    }

    /// The distance at which the Huber loss becomes linear; None for other losses.
    #[getter]
    fn delta(&self) -> Option<f64> {
        if let bptt::Loss::Huber { delta } = self.0.loss { Some(delta) } else { None }
    }

    /// The quantiles of the quantile loss; None for other losses.
    #[getter]
    fn quantiles(&self) -> Option<Vec<f64>> {
        if let bptt::Loss::Quantile { quantiles } = &self.0.loss { Some(quantiles.clone()) } else { None }
    }

    /// The label smoothing of smoothed-cross-entropy; None for other losses.
    #[getter]
    fn smoothing(&self) -> Option<f64> {
        if let bptt::Loss::SmoothedCrossEntropy { smoothing } = self.0.loss { Some(smoothing) } else { None }
    }

    fn __hash__(&self) -> u64 {
        hash((self.0.outputs, self.loss(), self.0.readout, self.0.reduction))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.arguments(py)?.call("Head")
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        self.arguments(py)?.reduce(py.get_type::<Self>())
    }
}

impl Head {
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Arguments<'py>> {
        Arguments::new(py)
            .with(self.0.outputs)?
            .with(self.loss())?
            .named("readout", self.readout(), "last".into())?
            .named("reduction", self.reduction(), "mean".into())?
            .named("delta", self.delta(), None)?
            .named("quantiles", self.quantiles(), None)?
            .named("smoothing", self.smoothing(), None)
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
            .direction(named("direction", json!(direction), direction)?)
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

    /// forward, reverse or both.
    #[getter]
    fn direction(&self) -> String {
        name_and_settings(&self.0.recurrent.direction).0
    }

    #[getter]
    fn bias(&self) -> bool {
        self.0.recurrent.bias
    }

    #[getter]
    fn dropout(&self) -> f64 {
        self.0.recurrent.dropout
    }

    #[getter]
    fn recurrent_dropout(&self) -> f64 {
        self.0.recurrent.recurrent_dropout
    }

    /// The size of a projected h; None without a projection.
    #[getter]
    fn proj_size(&self) -> Option<usize> {
        self.0.recurrent.proj_size
    }

    /// The number of tokens of the embedding; None without one.
    #[getter]
    fn vocabulary(&self) -> Option<usize> {
        self.0.embedding.as_ref().map(|embedding| embedding.vocabulary)
    }

    /// Whether the head has the embedding's weights.
    #[getter]
    fn tied(&self) -> bool {
        self.0.embedding.as_ref().is_some_and(|embedding| embedding.tied)
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
    /// `embedding.`) or another module's. They are float64 if one that is given is, otherwise float32.
    #[pyo3(signature = (tensors, recurrent="rnn.", head="head.", embedding="embedding.", *, from_recurrent="rnn.",
                        from_head="head.", from_embedding="embedding."))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn rename(
        &self,
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
        let (from, to) = (&from, &to);
        if has_doubles(tensors)? {
            self.renamed::<f64>(tensors, from, to)
        } else {
            self.renamed::<f32>(tensors, from, to)
        }
    }

    /// Writes the model with its weights as a file that `bptt` and `Model.load` read: in double precision if one of the
    /// weights is float64, otherwise in single precision.
    fn save(&self, path: PathBuf, weights: &Bound<'_, PyAny>) -> PyResult<()> {
        let model = self.0.clone();
        if has_doubles(weights)? {
            SavedModel::new(model, state_dict::<f64>(weights)?).save(path).or_raise()
        } else {
            SavedModel::new(model, state_dict::<f32>(weights)?).save(path).or_raise()
        }
    }

    /// Reads a model with its weights, which are float64 if the file has them in double precision, otherwise float32.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<(Self, Py<PyDict>)> {
        if stores_doubles(&path) { Self::loaded::<f64>(py, &path) } else { Self::loaded::<f32>(py, &path) }
    }

    fn __hash__(&self) -> u64 {
        let of = &self.0.recurrent;
        hash((of.cell, of.input_size, of.hidden_size, of.layers, of.direction, of.proj_size, self.vocabulary()))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.arguments(py)?.call("Model")
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        self.arguments(py)?.reduce(py.get_type::<Self>())
    }
}

impl Model {
    fn renamed<T: Number>(
        &self,
        tensors: &Bound<'_, PyAny>,
        from: &StateDictPrefixes,
        to: &StateDictPrefixes,
    ) -> PyResult<Py<PyDict>> {
        let own = from.read(&self.0, &state_dict::<T>(tensors)?).or_raise()?;
        let block = bptt::Layout::new(&self.0).to_block(&own).or_raise()?;
        state_dict_out(tensors.py(), &bptt::Layout::with_names(&self.0, to).to_state_dict(&block))
    }

    fn loaded<T: Number>(py: Python<'_>, path: &Path) -> PyResult<(Self, Py<PyDict>)> {
        let saved = SavedModel::<T>::load_in(path).or_raise()?;
        Ok((Self(saved.model().clone()), state_dict_out(py, &saved.weights)?))
    }

    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Arguments<'py>> {
        let cell = self.cell();
        let arguments = Arguments::new(py);
        // A name says all of a cell without an activation.
        let arguments =
            if cell.activation().is_some() { arguments.with(cell)? } else { arguments.with(cell.name())? };
        let arguments = arguments.with(self.input_size())?.with(self.hidden_size())?;
        let arguments = if let Some(head) = self.head() { arguments.with(head)? } else { arguments };
        arguments
            .named("layers", self.layers(), 1)?
            .named("direction", self.direction(), "forward".into())?
            .named("bias", self.bias(), true)?
            .named("dropout", self.dropout(), 0.0)?
            .named("recurrent_dropout", self.recurrent_dropout(), 0.0)?
            .named("proj_size", self.proj_size(), None)?
            .named("vocabulary", self.vocabulary(), None)?
            .named("tied", self.tied(), false)
    }
}

/// Whether a model file has weights in double precision. What is wrong with a file is told when it is read.
fn stores_doubles(path: &Path) -> bool {
    let Ok((true, length)) = path.metadata().map(|of| (of.is_file(), of.len())) else { return false };
    let Ok(file) = File::open(path) else { return false };
    let Ok(file) = SafetensorsFile::open(file, length) else { return false };
    let mut has_doubles = false;
    let read = file.each(|tensor| {
        has_doubles |= tensor.element_type() == "F64";
        Ok(())
    });
    read.is_ok() && has_doubles
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

    /// sgd, rmsprop, adam or adamw.
    #[getter]
    fn rule(&self) -> &'static str {
        match self.0.kind {
            OptimizerKind::RmsProp { .. } => "rmsprop",
            OptimizerKind::Adam { .. } => "adam",
            OptimizerKind::AdamW { .. } => "adamw",
            // No other is made here.
            _ => "sgd",
        }
    }

    #[getter]
    fn weight_decay(&self) -> f64 {
        self.0.weight_decay
    }

    /// The momentum of sgd and rmsprop; None for the others.
    #[getter]
    fn momentum(&self) -> Option<f64> {
        match self.0.kind {
            OptimizerKind::Sgd { momentum, .. } | OptimizerKind::RmsProp { momentum, .. } => Some(momentum),
            _ => None,
        }
    }

    #[getter]
    fn nesterov(&self) -> bool {
        matches!(self.0.kind, OptimizerKind::Sgd { nesterov: true, .. })
    }

    #[getter]
    fn clip_norm(&self) -> Option<f64> {
        self.0.clip_norm
    }

    #[getter]
    fn clip_value(&self) -> Option<f64> {
        self.0.clip_value
    }

    fn __hash__(&self) -> u64 {
        // 0 and -0 are equal.
        hash((self.rule(), (self.0.learning_rate + 0.0).to_bits()))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.arguments(py)?.call("Optimizer")
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        self.arguments(py)?.reduce(py.get_type::<Self>())
    }
}

impl Optimizer {
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Arguments<'py>> {
        let decay = if self.rule() == "adamw" { bptt::Optimizer::adamw(1.0).weight_decay } else { 0.0 };
        Arguments::new(py)
            .with(self.rule())?
            .with(self.0.learning_rate)?
            .named("weight_decay", self.0.weight_decay, decay)?
            .named("momentum", self.momentum().unwrap_or(0.0), 0.0)?
            .named("nesterov", self.nesterov(), false)?
            .named("clip_norm", self.0.clip_norm, None)?
            .named("clip_value", self.0.clip_value, None)
    }
}
