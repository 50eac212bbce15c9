//! A whole model as ONNX.

use std::io::{self, Write};

use ndarray::ArrayD;

use super::graph::{Attribute, AxisSize, ElementType, Graph};
use super::weights::weights;
use crate::error::{Error, Result};
use crate::interchange::protobuf::Message;
use crate::model::{Activation, Cell, Head, Layout, Loss, Model, Readout, Recurrent, StateDict};

/// What an exported model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelInput {
    /// `x`, float \[T, B, I\].
    Dense,
    /// `tokens`, int64 \[T, B\], ids below the vocabulary.
    Tokens,
}

impl ModelInput {
    /// The input's name.
    fn name(self) -> &'static str {
        match self {
            Self::Dense => "x",
            Self::Tokens => "tokens",
        }
    }
}

/// The axes that each call brings.
const T: AxisSize = AxisSize::Free("T");
const B: AxisSize = AxisSize::Free("B");

/// For whoever opens the file.
const DOC: &str = "Time major: T time steps, B rows. lengths: each row's number of steps, what lies beyond is not read. \
                   h_0, c_0: the states that the rows start from, zeros or the final states of the piece before.";

/// The bytes of an ONNX file (operator set 17) of the whole model, head and output function included. It computes what
/// [`Trainer::predict`](crate::Trainer::predict) and [`Inference::logits`](crate::Inference::logits) do. `notes` become the
/// file's `metadata_props`.
///
/// Inputs, of which none may be left out: what `reads` says; `lengths`, int32 \[B\], from 1 to T; `h_0` and for an LSTM
/// `c_0`, \[L·D, B, H\], zeros or the final states of the piece before. Outputs: `y`, which is ŷ = g(a), and `logits`, a,
/// both \[P, B, O\]; `h_n` and for an LSTM `c_n`, \[L·D, B, H\], each row's own. T and B are free. A model without a head
/// has `output`, \[T, B, D·H\], in the place of `y` and `logits`.
///
/// At padding `logits` and `output` are 0, and `y` is g(0), whatever lies there. A token beyond the vocabulary, which this
/// crate refuses, is read as an x of zeros; with an embedding as the nearest token that there is. Sequences that start anew
/// within a row have no input of their own: cut them into rows.
///
/// # Errors
/// [`Error::Unsupported`] for x as the input of a model with an embedding. [`Error::StateDict`] lists every missing,
/// unexpected and misshaped tensor. [`Error::Limit`] where the file would be
/// over the 2 GiB of a protobuf message.
pub fn export(model: &Model, dict: &StateDict, reads: ModelInput, notes: &[(&str, &str)]) -> Result<Vec<u8>> {
    Ok(message(model, dict, reads, notes)?.into_bytes())
}

/// Writes the bytes that [`export`] returns; beside the state dict one copy of the weights is held.
///
/// # Errors
/// Those of [`export`]; [`Error::Io`], without a file's name, where `to` fails.
pub fn write_model(
    model: &Model,
    dict: &StateDict,
    reads: ModelInput,
    notes: &[(&str, &str)],
    to: &mut impl Write,
) -> Result<()> {
    let unwritten = |source: io::Error| Error::Io { path: "the model".into(), source };
    message(model, dict, reads, notes)?.write(to).map_err(unwritten)
}

/// What the file has.
fn message(model: &Model, dict: &StateDict, reads: ModelInput, notes: &[(&str, &str)]) -> Result<Message> {
    check_size(4 * Layout::new(model).len())?;
    // All of it by name, so that nothing that a model comes to have is forgotten here.
    let Model { embedding, recurrent, head } = model;
    if embedding.is_some() && reads == ModelInput::Dense {
        return Err(Error::Unsupported("a model with an embedding reads tokens, not x".into()));
    }
    let mut graph = Graph::default();
    weights(model, dict)?.into_tensors().for_each(|(name, array)| graph.floats(&name, array));
    let sizes = [AxisSize::Known(recurrent.num_layer_directions()), B, AxisSize::Known(recurrent.hidden_size)];
    match reads {
        ModelInput::Dense => {
            graph.input(reads.name(), ElementType::Float, &[T, B, AxisSize::Known(recurrent.input_size)])
        }
        ModelInput::Tokens => graph.input(reads.name(), ElementType::Int64, &[T, B]),
    }
    graph.input("lengths", ElementType::Int32, &[B]);
    letters(recurrent).iter().for_each(|letter| graph.input(&format!("{letter}_0"), ElementType::Float, &sizes));
    match head {
        Some(Head { readout: Readout::PerStep, outputs, loss, .. }) => {
            let features = stack(&mut graph, model, reads, true);
            predict(&mut graph, model, &features, loss, Some(reads));
            predictions(&mut graph, T, *outputs);
        }
        Some(Head { readout: Readout::Final, outputs, loss, .. }) => {
            stack(&mut graph, model, reads, false);
            let features = final_features(&mut graph, recurrent);
            predict(&mut graph, model, features, loss, None);
            predictions(&mut graph, AxisSize::Known(1), *outputs);
        }
        Some(Head { readout: Readout::MeanPool, outputs, loss, .. }) => {
            let output = stack(&mut graph, model, reads, true);
            let features = mean_features(&mut graph, reads, &output);
            predict(&mut graph, model, features, loss, None);
            predictions(&mut graph, AxisSize::Known(1), *outputs);
        }
        None => {
            let features = stack(&mut graph, model, reads, true);
            mask(&mut graph, reads, &features, "output");
            graph.output("output", ElementType::Float, &[T, B, AxisSize::Known(recurrent.output_size())]);
        }
    }
    letters(recurrent).iter().for_each(|letter| graph.output(&format!("{letter}_n"), ElementType::Float, &sizes));
    let message = graph.into_model(recurrent.cell.name(), DOC, notes);
    check_size(message.len())?;
    Ok(message)
}

fn check_size(bytes: usize) -> Result<()> {
    let limit_bytes = i32::MAX as u64;
    match bytes as u64 > limit_bytes {
        true => Err(Error::Limit {
            tensor: "the model as ONNX".into(),
            bytes: bytes as u64,
            limit: "the size of a protobuf message",
            limit_bytes,
            remedy: "keep it as safetensors",
        }),
        false => Ok(()),
    }
}

/// The states that the cell has.
fn letters(recurrent: &Recurrent) -> &'static [&'static str] {
    if recurrent.cell.has_cell_state() { &["h", "c"] } else { &["h"] }
}

/// The name of a layer's initial (`0`) or final (`n`) state. A single layer's is the model's own.
fn state(recurrent: &Recurrent, letter: &str, end: &str, layer: usize) -> String {
    match recurrent.layers {
        1 => format!("{letter}_{end}"),
        _ => format!("{letter}_{end}_l{layer}"),
    }
}

/// All layers. Returns the name of the last one's output, \[T, B, D·H\], which is made where it is needed.
fn stack(graph: &mut Graph, model: &Model, reads: ModelInput, output: bool) -> String {
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
        below = layer(graph, recurrent, index, below, output || index + 1 < layers);
    }
    if layers > 1 {
        for letter in letters(recurrent) {
            let whole = format!("{letter}_n");
            graph.node("Concat", &states(letter, "n"), &[whole], &[("axis", Attribute::Int(0))]);
        }
    }
    below
}

/// What the first layer's product reads. ONNX's recurrent operators take no indices, so that tokens without vectors become
/// ones and zeros, T·B·I of them.
fn read(graph: &mut Graph, model: &Model, reads: ModelInput) -> &'static str {
    if reads == ModelInput::Dense {
        return reads.name();
    }
    let vocabulary = model.vocabulary() as i64;
    if model.embedding.is_some() {
        // A runtime stops at an index out of range, and at padding any number may stand.
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

/// One layer, in one or two directions, over `below`. Returns the name of its output, \[T, B, D·H\], which is made where
/// it is needed.
fn layer(graph: &mut Graph, recurrent: &Recurrent, index: usize, below: String, output: bool) -> String {
    let name = |stem: &str| format!("{stem}_l{index}");
    // The name of an input or an output that is left out.
    let none = String::new;
    let bias = if recurrent.bias { name("B") } else { none() };
    let mut inputs = vec![below, name("W"), name("R"), bias, "lengths".into()];
    let mut outputs = vec![if output { name("Y") } else { none() }];
    for letter in letters(recurrent) {
        inputs.push(state(recurrent, letter, "0", index));
        outputs.push(state(recurrent, letter, "n", index));
    }
    let (operator, attributes) = operator(recurrent);
    graph.node(operator, &inputs, &outputs, &attributes);
    if !output {
        return none();
    }
    // [T, D, B, H] with the directions side by side.
    graph.node("Transpose", &[name("Y")], &[name("by_row")], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))]);
    graph.node("Reshape", &[name("by_row"), "side_by_side".into()], &[name("output")], &[]);
    name("output")
}

/// ONNX's operator of the cell.
fn operator(recurrent: &Recurrent) -> (&'static str, Vec<(&'static str, Attribute)>) {
    let directions = recurrent.directions();
    let direction = if recurrent.bidirectional { "bidirectional" } else { "forward" };
    let mut attributes =
        vec![("hidden_size", Attribute::Int(recurrent.hidden_size as i64)), ("direction", Attribute::Text(direction))];
    let operator = match recurrent.cell {
        Cell::Lstm => "LSTM",
        Cell::Gru => {
            // r after the recurrent product, b_hn included.
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
    };
    (operator, attributes)
}

/// The last layer's final states, both directions side by side: \[1, B, D·H\].
fn final_features(graph: &mut Graph, recurrent: &Recurrent) -> &'static str {
    graph.ints("one_prediction", &[3], &[1, -1, recurrent.output_size() as i64]);
    let last = state(recurrent, "h", "n", recurrent.layers - 1);
    graph.node("Transpose", &[last], &["final_by_row"], &[("perm", Attribute::Ints(vec![1, 0, 2]))]);
    graph.node("Reshape", &["final_by_row", "one_prediction"], &["features"], &[]);
    "features"
}

/// The mean of `output` over each row's own steps: \[1, B, D·H\].
fn mean_features(graph: &mut Graph, reads: ModelInput, output: &str) -> &'static str {
    mask(graph, reads, output, "own_steps");
    graph.ints("time", &[1], &[0]);
    graph.node("ReduceSum", &["own_steps", "time"], &["sum"], &[]);
    graph.node("Cast", &["ends"], &["counts"], &[("to", Attribute::Int(ElementType::Float as i64))]);
    graph.node("Div", &["sum", "counts"], &["features"], &[]);
    "features"
}

/// a and g(a). Where there is padding, `masked` says what tells T.
fn predict(graph: &mut Graph, model: &Model, features: &str, loss: &Loss, masked: Option<ModelInput>) {
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
    match loss {
        Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. } | Loss::Quantile { .. } => {
            graph.node("Identity", &["logits"], &["y"], &[]);
        }
        Loss::BinaryCrossEntropy => graph.node("Sigmoid", &["logits"], &["y"], &[]),
        Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => {
            graph.node("Softmax", &["logits"], &["y"], &[("axis", Attribute::Int(-1))])
        }
    }
}

/// `y` and `logits`, \[P, B, O\].
fn predictions(graph: &mut Graph, p: AxisSize, outputs: usize) {
    ["y", "logits"].iter().for_each(|name| graph.output(name, ElementType::Float, &[p, B, AxisSize::Known(outputs)]));
}

/// `from`, \[T, B, …\], with 0 at padding, whatever lies there.
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
