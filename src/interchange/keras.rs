//! Weights as Keras's layers have them: `Embedding`, `SimpleRNN`, `LSTM`, and `GRU` with `reset_after=True` (its default),
//! each alone or in a `Bidirectional` that concatenates (its default), and `Dense` as the head.
//!
//! The arrays, in the order of `model.get_weights()`: `embedding/embeddings` \[V, I\] of an embedding; for each layer and
//! direction `l0/kernel` \[I, G·H\], `l0/recurrent_kernel` \[H, G·H\] and `l0/bias` \[G·H\], for the GRU \[2, G·H\]; then
//! `l0_reverse/…` for the second direction and `l1/…` for the second layer; at last `dense/kernel` \[D·H, O\], but not with
//! tied vectors, and `dense/bias` \[O\]. Gates: LSTM i, f, c, o; GRU z, r, h.
//!
//! ```python
//! # names: bptt::interchange::keras::names(&model)
//! safetensors.numpy.save_file(dict(zip(names, model.get_weights())), "keras.safetensors")
//! model.set_weights([arrays[name] for name in names])
//! ```
//!
//! RNN and LSTM have one bias where PyTorch has two: on the way there b_ih and b_hh are added, on the way back b_hh is 0.

use super::gates::GateOrder;
use super::placement::{ExchangeFormat, TensorPlacement};
use crate::error::Result;
use crate::model::{Cell, Model, Recurrent, Role, StateDict, Tensor};

const KERAS: ExchangeFormat = ExchangeFormat { order: GateOrder::Keras, place };

/// The names of the arrays in the order of Keras's `get_weights()`.
pub fn names(model: &Model) -> Vec<String> {
    KERAS.arrays(model).into_iter().map(|(name, _)| name).collect()
}

/// Keras's arrays of a state dict.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing, unexpected and misshaped tensor.
pub fn weights(model: &Model, dict: &StateDict) -> Result<StateDict> {
    KERAS.weights(model, dict)
}

/// The state dict of Keras's arrays.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing, unexpected and misshaped array: a GRU's bias is
/// \[G·H\] with `reset_after=False`, which is another cell.
pub fn state_dict(model: &Model, weights: &StateDict) -> Result<StateDict> {
    KERAS.state_dict(model, weights)
}

fn place(recurrent: &Recurrent, tensor: &Tensor) -> TensorPlacement {
    let two_biases = recurrent.cell == Cell::Gru;
    let layer = |layer_direction: usize, what: &str| {
        let (layer, direction) = (layer_direction / recurrent.directions(), layer_direction % recurrent.directions());
        format!("l{layer}{}/{what}", ["", "_reverse"][direction])
    };
    let bias = |layer_direction, is_recurrent: bool| {
        let place = TensorPlacement::whole(layer(layer_direction, "bias"), tensor);
        match two_biases {
            true => TensorPlacement {
                shape: vec![2, tensor.len()],
                offset: if is_recurrent { tensor.len() } else { 0 },
                ..place
            },
            false => TensorPlacement { added: is_recurrent, ..place },
        }
    };
    match tensor.role {
        Role::WeightIh { layer_direction } => TensorPlacement::transposed(layer(layer_direction, "kernel"), tensor),
        Role::WeightHh { layer_direction } => {
            TensorPlacement::transposed(layer(layer_direction, "recurrent_kernel"), tensor)
        }
        Role::BiasIh { layer_direction } => bias(layer_direction, false),
        Role::BiasHh { layer_direction } => bias(layer_direction, true),
        Role::Embedding => TensorPlacement::whole("embedding/embeddings".into(), tensor),
        Role::HeadWeight => TensorPlacement::transposed("dense/kernel".into(), tensor),
        Role::HeadBias => TensorPlacement::whole("dense/bias".into(), tensor),
    }
}
