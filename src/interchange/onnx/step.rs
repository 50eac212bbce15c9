//! Export of a single time step to ONNX, for streams.

use std::io::Write;

use super::export::{B, ModelInput, begin, check_size, letters, predict, predictions, recurrent_layers, write};
use super::graph::{AxisSize, ElementType, Graph};
use crate::error::{Error, Result};
use crate::interchange::protobuf::Message;
use crate::model::{Model, Readout, StateDict};

/// The description in the file.
const DOC: &str = "One time step of B rows. The states that a step returns (with n) are those that the next one takes (with \
                   0): zeros at the start of a sequence.";

/// One step.
const ONE: AxisSize = AxisSize::Known(1);

/// Exports one time step as the bytes of an ONNX file (operator set 17), for streams: it computes what
/// [`Session::step`](crate::Session::step) computes, but for a head on the mean over time, which takes it over all steps
/// since the start.
///
/// Inputs, all required: `x` \[1, B, I\] or `tokens`, int64 \[1, B\], as set by `reads`; `h_0` and for an LSTM `c_0`,
/// \[L, B, H\]; for a head on the mean over time also `mean_0` \[1, B, H\] and `count_0` \[1, B, 1\], of what has been read so
/// far. Outputs: `y`, which is ŷ = g(a), and `logits`, which is a, both \[1, B, O\], of the sequence up to this step; and
/// each state, with `n` in place of `0`. B is symbolic. A model without a head has `output`, \[1, B, H\], instead of `y` and
/// `logits`.
///
/// # Errors
/// [`Error::Unsupported`] for a network with a reverse direction, which reads from the end of a sequence; the errors of
/// [`export`](super::export()).
pub fn export_step(model: &Model, dict: &StateDict, reads: ModelInput, notes: &[(&str, &str)]) -> Result<Vec<u8>> {
    Ok(message(model, dict, reads, notes)?.into_bytes())
}

/// Writes the bytes that [`export_step`] returns. Holds one copy of the weights besides the state dict.
///
/// # Errors
/// The errors of [`export_step`]; [`Error::Io`], without a file name, if `to` fails.
pub fn write_step(
    model: &Model,
    dict: &StateDict,
    reads: ModelInput,
    notes: &[(&str, &str)],
    to: &mut impl Write,
) -> Result<()> {
    write(message(model, dict, reads, notes)?, to)
}

fn message(model: &Model, dict: &StateDict, reads: ModelInput, notes: &[(&str, &str)]) -> Result<Message> {
    let Model { embedding: _, recurrent, head } = model;
    if recurrent.has_reverse() {
        return Err(Error::Unsupported(
            "one step at a time needs a network that reads forward, and this one also reads from the end of a sequence: \
             export the whole sequence"
                .into(),
        ));
    }
    let mut graph = begin(model, dict, reads, ONE)?;
    let size = AxisSize::Known(recurrent.hidden_size);
    let mut states: Vec<(&str, [AxisSize; 3])> =
        letters(recurrent).iter().map(|letter| (*letter, [AxisSize::Known(recurrent.layers), B, size])).collect();
    let has_mean = head.as_ref().is_some_and(|head| head.readout == Readout::MeanPool);
    if has_mean {
        states.extend([("mean", [ONE, B, size]), ("count", [ONE, B, ONE])]);
    }
    states.iter().for_each(|(name, axes)| graph.input(&format!("{name}_0"), ElementType::Float, axes));
    let output = recurrent_layers(&mut graph, model, reads, "", true)?;
    match head {
        Some(head) => {
            let features = if has_mean { mean_so_far(&mut graph, &output) } else { &output };
            predict(&mut graph, model, features, head, None);
            predictions(&mut graph, ONE, head.outputs);
        }
        None => {
            graph.node("Identity", &[output.as_str()], &["output"], &[]);
            graph.output("output", ElementType::Float, &[ONE, B, size]);
        }
    }
    states.iter().for_each(|(name, axes)| graph.output(&format!("{name}_n"), ElementType::Float, axes));
    let message = graph.into_model(recurrent.cell.name(), DOC, notes);
    check_size(message.len())?;
    Ok(message)
}

/// Adds a step to the mean over time, and returns it. A sum in f32 stops growing after some millions of steps.
fn mean_so_far(graph: &mut Graph, output: &str) -> &'static str {
    graph.floats("one_step", ndarray::arr3(&[[[1.0]]]).into_dyn());
    graph.node("Add", &["count_0", "one_step"], &["count_n"], &[]);
    graph.node("Sub", &[output, "mean_0"], &["distance"], &[]);
    graph.node("Div", &["distance", "count_n"], &["change"], &[]);
    graph.node("Add", &["mean_0", "change"], &["mean_n"], &[]);
    "mean_n"
}
