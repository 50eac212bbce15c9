//! Export of a whole model to ONNX.

use std::io::{self, Write};

use ndarray::{Array1, ArrayD};

use super::graph::{Attribute, AxisSize, ElementType, Graph};
use super::weights::weights;
use crate::error::{Error, Result};
use crate::interchange::gates::GateOrder;
use crate::interchange::protobuf::Message;
use crate::model::likelihood::Link;
use crate::model::{Activation, Cell, Direction, Head, Layout, Loss, Model, Readout, Recurrent, StateDict};

/// The input of an exported model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelInput {
    /// `x`, float \[T, B, I\].
    Dense,
    /// `tokens`, int64 \[T, B\], ids below the vocabulary.
    Tokens,
}

impl ModelInput {
    /// The input's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dense => "x",
            Self::Tokens => "tokens",
        }
    }
}

/// The symbolic axes.
const T: AxisSize = AxisSize::Free("T");
pub(super) const B: AxisSize = AxisSize::Free("B");

/// The name of the rows' lengths.
const LENGTHS: &str = "lengths";

/// The description in the file.
const DOC: &str = "Time major: T time steps, B rows. lengths: each row's number of steps, what lies beyond is not read. \
                   h_0, c_0: the states that the rows start from, zeros or the final states of the piece before.";

/// Exports the whole model, including head and output function, as the bytes of an ONNX file (operator set 17). It
/// computes the same as [`Trainer::predict`](crate::Trainer::predict) and
/// [`Inference::logits`](crate::Inference::logits). `notes` become the file's `metadata_props`.
///
/// Inputs, all required: `x` or `tokens` as set by `reads`; `lengths`, int32 \[B\], from 1 to T; `h_0` and for an LSTM
/// `c_0`, \[L·D, B, H\], either zeros or the final states of the previous piece. Outputs: `y`, which is ŷ = g(a), and
/// `logits`, which is a, both \[P, B, O\]; `h_n` and for an LSTM `c_n`, \[L·D, B, H\], the final states of each row. T
/// and B are symbolic. A model without a head has `output`, \[T, B, D·H\], instead of `y` and `logits`.
///
/// At padding, `logits` and `output` are 0 and `y` is g(0), whatever the input. A token beyond the vocabulary, which
/// this crate rejects, is read as x = 0, or with an embedding as the nearest valid token. There is no input for resets
/// within a row: split such sequences into rows.
///
/// # Errors
/// [`Error::Unsupported`] for x as the input of a model with an embedding. [`Error::StateDict`] lists every missing or
/// unexpected tensor and every shape mismatch. [`Error::Limit`] if the file would exceed the 2 GiB of a protobuf
/// message.
pub fn export(model: &Model, dict: &StateDict, reads: ModelInput, notes: &[(&str, &str)]) -> Result<Vec<u8>> {
    Ok(message(model, dict, reads, notes)?.into_bytes())
}

/// Writes the bytes that [`export`] returns. Holds one copy of the weights besides the state dict.
///
/// # Errors
/// The errors of [`export`]; [`Error::Io`], without a file name, if `to` fails.
pub fn write_model(
    model: &Model,
    dict: &StateDict,
    reads: ModelInput,
    notes: &[(&str, &str)],
    to: &mut impl Write,
) -> Result<()> {
    write(message(model, dict, reads, notes)?, to)
}

/// Writes a file.
pub(super) fn write(message: Message, to: &mut impl Write) -> Result<()> {
    let unwritten = |source: io::Error| Error::Io { path: "the model".into(), source };
    message.write(to).map_err(unwritten)
}

/// A graph with the weights and the input of `steps` steps.
pub(super) fn begin(model: &Model, dict: &StateDict, reads: ModelInput, steps: AxisSize) -> Result<Graph> {
    check_size(4 * Layout::new(model).len())?;
    if model.embedding.is_some() && reads == ModelInput::Dense {
        return Err(Error::Unsupported("a model with an embedding reads tokens, not x".into()));
    }
    let mut graph = Graph::default();
    weights(model, dict)?.into_tensors().for_each(|(name, array)| graph.floats(&name, array));
    match reads {
        ModelInput::Dense => {
            let inputs = AxisSize::Known(model.recurrent.input_size);
            graph.input(reads.name(), ElementType::Float, &[steps, B, inputs]);
        }
        ModelInput::Tokens => graph.input(reads.name(), ElementType::Int64, &[steps, B]),
    }
    Ok(graph)
}

/// The contents of the file.
fn message(model: &Model, dict: &StateDict, reads: ModelInput, notes: &[(&str, &str)]) -> Result<Message> {
    let mut graph = begin(model, dict, reads, T)?;
    // Destructured by name, so that a new field of a model cannot be forgotten here.
    let Model { embedding: _, recurrent, head } = model;
    let sizes = [AxisSize::Known(recurrent.num_layer_directions()), B, AxisSize::Known(recurrent.hidden_size)];
    graph.input(LENGTHS, ElementType::Int32, &[B]);
    letters(recurrent).iter().for_each(|letter| graph.input(&format!("{letter}_0"), ElementType::Float, &sizes));
    match head {
        Some(head @ Head { readout: Readout::PerStep, outputs, .. }) => {
            let features = recurrent_layers(&mut graph, model, reads, LENGTHS, true)?;
            predict(&mut graph, model, &features, head, Some(reads));
            predictions(&mut graph, T, *outputs);
        }
        Some(head @ Head { readout: Readout::Final, outputs, .. }) => {
            recurrent_layers(&mut graph, model, reads, LENGTHS, false)?;
            let features = final_features(&mut graph, recurrent);
            predict(&mut graph, model, features, head, None);
            predictions(&mut graph, AxisSize::Known(1), *outputs);
        }
        Some(head @ Head { readout: Readout::MeanPool, outputs, .. }) => {
            let output = recurrent_layers(&mut graph, model, reads, LENGTHS, true)?;
            let features = mean_features(&mut graph, reads, &output);
            predict(&mut graph, model, features, head, None);
            predictions(&mut graph, AxisSize::Known(1), *outputs);
        }
        None => {
            let features = recurrent_layers(&mut graph, model, reads, LENGTHS, true)?;
            mask(&mut graph, reads, &features, "output");
            graph.output("output", ElementType::Float, &[T, B, AxisSize::Known(recurrent.output_size())]);
        }
    }
    letters(recurrent).iter().for_each(|letter| graph.output(&format!("{letter}_n"), ElementType::Float, &sizes));
    let message = graph.into_model(recurrent.cell.name(), DOC, notes);
    check_size(message.len())?;
    Ok(message)
}

pub(super) fn check_size(bytes: usize) -> Result<()> {
    let limit_bytes = i32::MAX as u64;
    if bytes as u64 > limit_bytes {
        Err(Error::Limit {
            tensor: "the model as ONNX".into(),
            bytes: bytes as u64,
            limit: "the size of a protobuf message",
            limit_bytes,
            remedy: "keep it as safetensors",
        })
    } else {
        Ok(())
    }
}

/// The names of the cell's states.
pub(super) fn letters(recurrent: &Recurrent) -> &'static [&'static str] {
    if recurrent.cell.has_cell_state() { &["h", "c"] } else { &["h"] }
}

/// The name of a layer's initial (`0`) or final (`n`) state. With a single layer it is the model's own.
fn state(recurrent: &Recurrent, letter: &str, end: &str, layer: usize) -> String {
    match recurrent.layers {
        1 => format!("{letter}_{end}"),
        _ => format!("{letter}_{end}_l{layer}"),
    }
}

/// Adds all layers. `lengths` is the name of the rows' lengths, or empty if all are of T steps. Returns the name of the last layer's output, \[T, B, D·H\], which is created if needed.
pub(super) fn recurrent_layers(
    graph: &mut Graph,
    model: &Model,
    reads: ModelInput,
    lengths: &str,
    output: bool,
) -> Result<String> {
    let recurrent = &model.recurrent;
    let layers = recurrent.layers;
    let states = |letter, end| (0..layers).map(|layer| state(recurrent, letter, end, layer)).collect::<Vec<_>>();
    if layers > 1 {
        graph.ints("directions", &[layers], &vec![recurrent.directions() as i64; layers]);
        for letter in letters(recurrent) {
            let whole = format!("{letter}_0");
            graph.node("Split", &[whole.as_str(), "directions"], &states(letter, "0"), &[("axis", Attribute::Int(0))]);
        }
    }
    if output || layers > 1 {
        graph.ints("side_by_side", &[3], &[0, 0, recurrent.output_size() as i64]);
    }
    let mut below = read(graph, model, reads).to_owned();
    for index in 0..layers {
        let inputs = [below, lengths.to_owned()];
        below = layer(graph, recurrent, index, inputs, output || index + 1 < layers)?;
    }
    if layers > 1 {
        for letter in letters(recurrent) {
            let whole = format!("{letter}_n");
            graph.node("Concat", &states(letter, "n"), &[whole], &[("axis", Attribute::Int(0))]);
        }
    }
    Ok(below)
}

/// Adds the input of the first layer's product. ONNX's recurrent operators take no indices, so tokens without an
/// embedding become one-hot vectors, T·B·I numbers.
fn read(graph: &mut Graph, model: &Model, reads: ModelInput) -> &'static str {
    if reads == ModelInput::Dense {
        return reads.name();
    }
    let vocabulary = model.vocabulary() as i64;
    if model.embedding.is_some() {
        // Runtimes reject an index out of range, and padding may contain any number.
        graph.ints("first_token", &[], &[0]);
        graph.ints("last_token", &[], &[vocabulary - 1]);
        graph.node("Clip", &[reads.name(), "first_token", "last_token"], &["ids"], &[]);
        graph.node("Gather", &["vectors", "ids"], &["x"], &[]);
        return "x";
    }
    graph.ints("vocabulary", &[], &[vocabulary]);
    graph.floats("off_and_on", ndarray::arr1(&[0.0, 1.0]).into_dyn());
    graph.node("OneHot", &[reads.name(), "vocabulary", "off_and_on"], &["one_hot"], &[("axis", Attribute::Int(-1))]);
    "one_hot"
}

/// Adds one layer, in one or two directions, above `below`. Returns the name of its output, \[T, B, D·H\], which is
/// created if needed.
fn layer(
    graph: &mut Graph,
    recurrent: &Recurrent,
    index: usize,
    [below, lengths]: [String; 2],
    output: bool,
) -> Result<String> {
    let name = |stem: &str| format!("{stem}_l{index}");
    // The name of an omitted input or output.
    let none = String::new;
    let bias = if recurrent.bias { name("B") } else { none() };
    let mut inputs = vec![below, name("W"), name("R"), bias, lengths];
    let mut outputs = vec![if output { name("Y") } else { none() }];
    for letter in letters(recurrent) {
        inputs.push(state(recurrent, letter, "0", index));
        outputs.push(state(recurrent, letter, "n", index));
    }
    let (operator, attributes) = operator(recurrent)?;
    graph.node(operator, &inputs, &outputs, &attributes);
    if !output {
        return Ok(none());
    }
    // [T, D, B, H] with the directions side by side.
    graph.node("Transpose", &[name("Y")], &[name("by_row")], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))]);
    graph.node("Reshape", &[name("by_row"), "side_by_side".into()], &[name("output")], &[]);
    Ok(name("output"))
}

/// The ONNX operator of the cell, with its attributes.
fn operator(recurrent: &Recurrent) -> Result<(&'static str, Vec<(&'static str, Attribute)>)> {
    let directions = recurrent.directions();
    let direction = match recurrent.direction {
        Direction::Forward => "forward",
        Direction::Reverse => "reverse",
        Direction::Both => "bidirectional",
    };
    let mut attributes =
        vec![("hidden_size", Attribute::Int(recurrent.hidden_size as i64)), ("direction", Attribute::Text(direction))];
    let operator = match recurrent.cell {
        Cell::Lstm => "LSTM",
        Cell::Gru => {
            // Applies r after the recurrent product, including b_hn.
            attributes.push(("linear_before_reset", Attribute::Int(1)));
            "GRU"
        }
        Cell::Rnn(activation) => {
            let name = match activation {
                Activation::Tanh => "Tanh",
                Activation::Relu => "Relu",
                Activation::Sigmoid => "Sigmoid",
                // α·z + β.
                Activation::Identity => "Affine",
            };
            attributes.push(("activations", Attribute::Texts(vec![name; directions])));
            if activation == Activation::Identity {
                attributes.push(("activation_alpha", Attribute::Floats(vec![1.0; directions])));
                attributes.push(("activation_beta", Attribute::Floats(vec![0.0; directions])));
            }
            "RNN"
        }
        Cell::Custom(_) => return Err(GateOrder::Onnx.lacks(recurrent.cell)),
    };
    Ok((operator, attributes))
}

/// Adds the last layer's final states with both directions concatenated: \[1, B, D·H\].
fn final_features(graph: &mut Graph, recurrent: &Recurrent) -> &'static str {
    graph.ints("one_prediction", &[3], &[1, -1, recurrent.output_size() as i64]);
    let last = state(recurrent, "h", "n", recurrent.layers - 1);
    graph.node("Transpose", &[last], &["final_by_row"], &[("perm", Attribute::Ints(vec![1, 0, 2]))]);
    graph.node("Reshape", &["final_by_row", "one_prediction"], &["features"], &[]);
    "features"
}

/// Adds the mean of `output` over each row's steps: \[1, B, D·H\].
fn mean_features(graph: &mut Graph, reads: ModelInput, output: &str) -> &'static str {
    mask(graph, reads, output, "own_steps");
    graph.ints("time", &[1], &[0]);
    graph.node("ReduceSum", &["own_steps", "time"], &["sum"], &[]);
    graph.node("Cast", &["ends"], &["counts"], &[("to", Attribute::Int(ElementType::Float as i64))]);
    graph.node("Div", &["sum", "counts"], &["features"], &[]);
    "features"
}

/// Adds a and g(a). `masked`: the input that provides T, if there is padding.
pub(super) fn predict(graph: &mut Graph, model: &Model, features: &str, head: &Head, masked: Option<ModelInput>) {
    if model.is_tied() {
        graph.node("Transpose", &["vectors"], &["W_head"], &[("perm", Attribute::Ints(vec![1, 0]))]);
    }
    graph.node("MatMul", &[features, "W_head"], &["product"], &[]);
    match masked {
        Some(reads) => {
            graph.node("Add", &["product", "B_head"], &["unmasked"], &[]);
            mask(graph, reads, "unmasked", "logits");
        }
        None => graph.node("Add", &["product", "B_head"], &["logits"], &[]),
    }
    match &head.loss {
        Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. } | Loss::Quantile { .. } => {
            graph.node("Identity", &["logits"], &["y"], &[]);
        }
        Loss::Gaussian | Loss::StudentT | Loss::NegativeBinomial => parameters(graph, head.loss.links(), head.outputs),
        Loss::BinaryCrossEntropy => graph.node("Sigmoid", &["logits"], &["y"], &[]),
        Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => {
            graph.node("Softmax", &["logits"], &["y"], &[("axis", Attribute::Int(-1))])
        }
    }
}

/// Adds y of a distribution: each logit, or its softplus and the least value of that parameter.
fn parameters(graph: &mut Graph, links: &[Link], outputs: usize) {
    let links = || links.iter().cycle().take(outputs);
    let chosen: Vec<i64> = links().map(|link| i64::from(*link != Link::Identity)).collect();
    let least = links().map(|link| if let Link::Softplus { least } = link { *least as f32 } else { 0.0 });
    graph.ints("chosen", &[outputs], &chosen);
    graph.floats("least", Array1::from_iter(least).into_dyn());
    graph.node("Softplus", &["logits"], &["positive"], &[]);
    graph.node("Add", &["positive", "least"], &["above_least"], &[]);
    graph.node("Cast", &["chosen"], &["is_softplus"], &[("to", Attribute::Int(ElementType::Bool as i64))]);
    graph.node("Where", &["is_softplus", "above_least", "logits"], &["y"], &[]);
}

/// `y` and `logits`, \[P, B, O\].
pub(super) fn predictions(graph: &mut Graph, p: AxisSize, outputs: usize) {
    ["y", "logits"].iter().for_each(|name| graph.output(name, ElementType::Float, &[p, B, AxisSize::Known(outputs)]));
}

/// Adds `from`, \[T, B, …\], with padding set to 0.
fn mask(graph: &mut Graph, reads: ModelInput, from: &str, to: &str) {
    graph.ints("zero", &[], &[0]);
    graph.ints("one", &[], &[1]);
    graph.ints("as_column", &[3], &[-1, 1, 1]);
    graph.ints("as_rows", &[2], &[-1, 1]);
    graph.floats("padding", ArrayD::zeros(vec![]));
    graph.node("Shape", &[reads.name()], &["shape"], &[]);
    graph.node("Gather", &["shape", "zero"], &["T"], &[]);
    graph.node("Range", &["zero", "T", "one"], &["t"], &[]);
    graph.node("Reshape", &["t", "as_column"], &["steps"], &[]);
    graph.node("Cast", &["lengths"], &["wide_lengths"], &[("to", Attribute::Int(ElementType::Int64 as i64))]);
    graph.node("Reshape", &["wide_lengths", "as_rows"], &["ends"], &[]);
    graph.node("Less", &["steps", "ends"], &["alive"], &[]);
    graph.node("Where", &["alive", from, "padding"], &[to], &[]);
}
