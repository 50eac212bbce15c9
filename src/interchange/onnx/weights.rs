//! Weights as ONNX's operators take them.

use crate::error::Result;
use crate::interchange::gates::GateOrder;
use crate::interchange::placement::{ExchangeFormat, TensorPlacement};
use crate::model::{Model, Recurrent, Role, StateDict, Tensor};

const ONNX: ExchangeFormat = ExchangeFormat { order: GateOrder::Onnx, place };

/// ONNX's arrays of a state dict, as the operators `RNN`, `LSTM` and `GRU` (with `linear_before_reset` 1) take them: for
/// each layer `W_l0` \[D, G·H, I\], `R_l0` \[D, G·H, H\] and `B_l0` \[D, 2·G·H\], which has b_ih and then b_hh;
/// `W_head` \[D·H, O\] and `B_head` \[O\] for `MatMul` and `Add`; and of an embedding `vectors` \[V, I\] for `Gather`,
/// which stand for `W_head` too where they are tied. Gates: LSTM i, o, f, c; GRU z, r, h.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing, unexpected and misshaped tensor.
pub fn weights(model: &Model, dict: &StateDict) -> Result<StateDict> {
    ONNX.weights(model, dict)
}

/// The state dict of the arrays that [`weights`] makes.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing, unexpected and misshaped array.
pub fn state_dict(model: &Model, weights: &StateDict) -> Result<StateDict> {
    ONNX.state_dict(model, weights)
}

fn place(recurrent: &Recurrent, tensor: &Tensor) -> TensorPlacement {
    let directions = recurrent.directions();
    // The part of a layer's array that a direction has, and where in it the tensor begins.
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
        Role::HeadWeight => TensorPlacement::transposed("W_head".into(), tensor),
        Role::HeadBias => TensorPlacement::whole("B_head".into(), tensor),
    }
}
