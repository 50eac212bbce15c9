//! Weights in the format of Keras layers: `Embedding`, `SimpleRNN`, `LSTM`, and `GRU` with `reset_after=True` (the
//! default), each alone or in a `Bidirectional` that concatenates (the default), and `Dense` as the head.
//!
//! The arrays, in the order of `model.get_weights()`: `embedding/embeddings` \[V, I\] for an embedding; for each layer
//! and direction `l0/kernel` \[I, G·H\], `l0/recurrent_kernel` \[H, G·H\] and `l0/bias` \[G·H\] (GRU: \[2, G·H\]), with
//! the prefix `l0_reverse/` for the second direction and `l1/` for the second layer; finally `dense/kernel` \[D·H, O\],
//! unless it is tied to the embedding, and `dense/bias` \[O\]. Gate order: LSTM i, f, c, o; GRU z, r, h.
//!
//! [`Direction::Reverse`](crate::Direction::Reverse) is `go_backwards=True`. Keras returns the sequence of such a layer
//! in the order in which it was read: reverse it before the next layer.
//!
//! ```python
//! # names: bptt::interchange::keras::names(&model)
//! safetensors.numpy.save_file(dict(zip(names, model.get_weights())), "keras.safetensors")
//! model.set_weights([arrays[name] for name in names])
//! ```
//!
//! RNN and LSTM have one bias where PyTorch has two: exporting adds b_ih and b_hh, importing sets b_hh to 0.

use super::gates::GateOrder;
use super::placement::{ExchangeFormat, TensorPlacement};
use crate::error::Result;
use crate::model::{Cell, Model, Recurrent, Role, StateDict, Tensor};

const KERAS: ExchangeFormat = ExchangeFormat { order: GateOrder::Keras, placement };

/// The names of the arrays in the order of Keras's `get_weights()`.
pub fn names(model: &Model) -> Vec<String> {
    KERAS.arrays(model).into_iter().map(|(name, _)| name).collect()
}

/// Converts a state dict to Keras arrays.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing or unexpected tensor and every shape mismatch;
/// [`Error::Unsupported`](crate::Error::Unsupported) for a cell that the format does not have, or a projected h.
pub fn weights(model: &Model, dict: &StateDict) -> Result<StateDict> {
    KERAS.weights(model, dict)
}

/// Converts Keras arrays to a state dict.
///
/// # Errors
/// [`Error::StateDict`](crate::Error::StateDict) lists every missing or unexpected array and every shape mismatch. A
/// GRU bias of shape \[G·H\] comes from `reset_after=False`, which is a different cell.
pub fn state_dict(model: &Model, weights: &StateDict) -> Result<StateDict> {
    KERAS.state_dict(model, weights)
}

fn placement(recurrent: &Recurrent, tensor: &Tensor) -> TensorPlacement {
    let two_biases = recurrent.cell == Cell::Gru;
    let layer = |layer_direction: usize, what: &str| {
        // A layer that goes backwards alone has the names of any layer alone.
        let (layer, place) = (layer_direction / recurrent.directions(), layer_direction % recurrent.directions());
        format!("l{layer}{}/{what}", ["", "_reverse"][place])
    };
    let bias = |layer_direction, is_recurrent: bool| {
        let placement = TensorPlacement::whole(layer(layer_direction, "bias"), tensor);
        if two_biases {
            TensorPlacement {
                shape: vec![2, tensor.len()],
                offset: if is_recurrent { tensor.len() } else { 0 },
                ..placement
            }
        } else {
            TensorPlacement { added: is_recurrent, ..placement }
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
        // No cell that these formats have has parameters of its own, or a projection.
        Role::CellParameter { .. } | Role::WeightHr { .. } => TensorPlacement::whole(tensor.name.clone(), tensor),
        Role::HeadWeight => TensorPlacement::transposed("dense/kernel".into(), tensor),
        Role::HeadBias => TensorPlacement::whole("dense/bias".into(), tensor),
    }
}
