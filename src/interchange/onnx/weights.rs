//! Weights in the format of ONNX operators.

use crate::error::Result;
use crate::interchange::gates::GateOrder;
use crate::interchange::placement::{ExchangeFormat, TensorPlacement};
use crate::model::{Model, Recurrent, Role, StateDict, Tensor};

const ONNX: ExchangeFormat = ExchangeFormat { order: GateOrder::Onnx, placement };

/// Converts a state dict to the arrays of the ONNX operators `RNN`, `LSTM` and `GRU` (with `linear_before_reset` 1):
/// for each layer `W_l0` \[D, G·H, I\], `R_l0` \[D, G·H, H\] and `B_l0` \[D, 2·G·H\], which is b_ih followed by b_hh;
/// `W_head` \[D·H, O\] and `B_head` \[O\] for `MatMul` and `Add`; and for an embedding `vectors` \[V, I\] for `Gather`,
/// which also replaces `W_head` if tied. Gate order: LSTM i, o, f, c; GRU z, r, h.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing or unexpected tensor and every shape mismatch;
/// [`Error::Unsupported`](crate::Error::Unsupported) for a cell that the format does not have, or a projected h.
pub fn weights(model: &Model, dict: &StateDict) -> Result<StateDict> {
    ONNX.weights(model, dict)
}

/// Converts the arrays of [`weights`] back to a state dict.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing or unexpected array and every shape mismatch.
pub fn state_dict(model: &Model, weights: &StateDict) -> Result<StateDict> {
    ONNX.state_dict(model, weights)
}

fn placement(recurrent: &Recurrent, tensor: &Tensor) -> TensorPlacement {
    let directions = recurrent.directions();
    // The part of a layer's array for one direction; `begin` is the tensor's offset in it.
    let part = |name: &str, layer_direction: usize, rest: &[usize], begin: usize| TensorPlacement {
        shape: [&[directions], rest].concat(),
        offset: layer_direction % directions * rest.iter().product::<usize>() + begin,
        ..TensorPlacement::whole(format!("{name}_l{}", layer_direction / directions), tensor)
    };
    match tensor.role {
        Role::WeightIh { layer_direction } => part("W", layer_direction, &tensor.shape, 0),
        Role::WeightHh { layer_direction } => part("R", layer_direction, &tensor.shape, 0),
        Role::BiasIh { layer_direction } => part("B", layer_direction, &[2 * tensor.len()], 0),
        Role::BiasHh { layer_direction } => part("B", layer_direction, &[2 * tensor.len()], tensor.len()),
        Role::Embedding => TensorPlacement::whole("vectors".into(), tensor),
        // No cell that these formats have has parameters of its own, or a projection.
        Role::CellParameter { .. } | Role::WeightHr { .. } => TensorPlacement::whole(tensor.name.clone(), tensor),
        Role::HeadWeight => TensorPlacement::transposed("W_head".into(), tensor),
        Role::HeadBias => TensorPlacement::whole("B_head".into(), tensor),
    }
}
