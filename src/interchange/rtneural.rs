//! [RTNeural](https://github.com/jatinchowdhury18/RTNeural)'s JSON: networks for real-time audio in C++.
//!
//! The file has `in_shape` and `layers`, each with `type`, `activation`, `shape` and `weights`, as RTNeural's Python
//! scripts write those of Keras: for an LSTM the kernel \[I, 4·H\], the recurrent kernel \[H, 4·H\] and the bias \[4·H\] with
//! the gates i, f, c, o; for a GRU with `reset_after` the kernels with 3·H columns and the biases \[2, 3·H\] with the gates
//! z, r, h; for the head the kernel \[H, O\] and the bias \[O\] of a dense layer. RTNeural's gates are those of
//! [`Cell::Lstm`] and [`Cell::Gru`].

use std::collections::BTreeMap;
use std::io::Write;

use ndarray::{ArrayD, Axis};
use serde::Serialize;
use serde_json::Value;

use super::keras;
use crate::error::{Error, Result};
use crate::model::{Cell, Direction, Loss, Model, Readout, StateDict};

/// Writes a network as RTNeural reads it: each step in, each output out, from states of zero. `notes` are further keys of
/// the file, which RTNeural ignores.
///
/// # Errors
/// [`Error::Unsupported`] for what RTNeural does not have: other cells than LSTM and GRU, a projected h, a reverse
/// direction, tokens with an embedding, a network without a head, a head on the mean over time, and the parameters of a
/// distribution; [`Error::Value`] for a weight that is no number; [`Error::StateDict`] if the weights are not those of the
/// model; [`Error::Io`], without a file name, if `to` fails.
pub fn write_model(model: &Model, dict: &StateDict, notes: &[(&str, Value)], to: &mut impl Write) -> Result<()> {
    let activation = check(model)?;
    let arrays = keras::weights(model, dict)?;
    // JSON has no others, and would have null in their places.
    for (name, array) in arrays.iter() {
        if let Some(value) = array.iter().find(|value| !value.is_finite()) {
            return Err(Error::value(name, "finite weights", value));
        }
    }
    let matrix = |name: &str| Weights::Matrix(arrays.get(name).map(rows).unwrap_or_default());
    let vector = |name: &str| Weights::Vector(arrays.get(name).into_iter().flatten().copied().collect());
    let r = &model.recurrent;
    let shape = |size: usize| (None, None, size);
    let mut layers = Vec::new();
    for layer in 0..r.layers {
        let bias = format!("l{layer}/bias");
        let bias = match (r.bias, r.cell) {
            (true, Cell::Gru) => matrix(&bias),
            (true, _) => vector(&bias),
            // Without biases they are zeros.
            (false, Cell::Gru) => Weights::Matrix(vec![vec![0.0; 3 * r.hidden_size]; 2]),
            (false, _) => Weights::Vector(vec![0.0; 4 * r.hidden_size]),
        };
        let [kernel, recurrent] = ["kernel", "recurrent_kernel"].map(|name| matrix(&format!("l{layer}/{name}")));
        let weights = vec![kernel, recurrent, bias];
        layers.push(Layer { kind: r.cell.name(), activation: "tanh", shape: shape(r.hidden_size), weights });
    }
    let outputs = model.head.as_ref().map_or(0, |head| head.outputs);
    let weights = vec![matrix("dense/kernel"), vector("dense/bias")];
    layers.push(Layer { kind: "dense", activation, shape: shape(outputs), weights });
    let notes = notes.iter().map(|(key, value)| (*key, value)).collect();
    let file = File { in_shape: shape(r.input_size), layers, notes };
    let unwritten = |source: std::io::Error| Error::Io { path: "the model".into(), source };
    serde_json::to_writer(&mut *to, &file).map_err(|error| unwritten(error.into()))?;
    to.write_all(b"\n").map_err(unwritten)
}

/// The shape of a batch of sequences: rows and steps are free.
type Shape = (Option<usize>, Option<usize>, usize);

#[derive(Serialize)]
struct File<'a> {
    in_shape: Shape,
    layers: Vec<Layer>,
    #[serde(flatten)]
    notes: BTreeMap<&'a str, &'a Value>,
}

#[derive(Serialize)]
struct Layer {
    #[serde(rename = "type")]
    kind: &'static str,
    activation: &'static str,
    shape: Shape,
    weights: Vec<Weights>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Weights {
    Matrix(Vec<Vec<f32>>),
    Vector(Vec<f32>),
}

/// Refuses what RTNeural does not have. Returns the activation of the dense layer.
fn check(model: &Model) -> Result<&'static str> {
    let refuse = |what: &str| {
        let message = format!("RTNeural's format has LSTM and GRU layers with a dense layer behind them; {what}");
        Err(Error::Unsupported(message + ": export it as a C header or as ONNX"))
    };
    let r = &model.recurrent;
    if !matches!(r.cell, Cell::Lstm | Cell::Gru) {
        return refuse(&format!("the network's cell is {}", r.cell.name()));
    }
    if r.proj_size.is_some() {
        return refuse("its LSTM projects no h, and the network's does");
    }
    if r.direction != Direction::Forward {
        return refuse("it reads forward, and the network also from the end of a sequence");
    }
    if model.embedding.is_some() {
        return refuse("it reads numbers, and the network tokens with an embedding");
    }
    let Some(head) = &model.head else { return refuse("the network has no head") };
    if head.readout == Readout::MeanPool {
        return refuse("the network predicts from the mean over time");
    }
    match &head.loss {
        Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. } | Loss::Quantile { .. } => Ok(""),
        Loss::BinaryCrossEntropy => Ok("sigmoid"),
        Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => Ok("softmax"),
        Loss::Gaussian | Loss::StudentT | Loss::NegativeBinomial => {
            refuse("the network predicts the parameters of a distribution, whose softplus it lacks")
        }
    }
}

/// The rows of a matrix.
fn rows(array: &ArrayD<f32>) -> Vec<Vec<f32>> {
    array.axis_iter(Axis(0)).map(|row| row.iter().copied().collect()).collect()
}
