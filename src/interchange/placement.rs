//! Conversion between PyTorch tensors and another format's arrays, by the placement of each tensor.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};

use super::gates::GateOrder;
use crate::error::Result;
use crate::model::{Layout, Model, Recurrent, Role, StateDict, Tensor};

/// The placement of a PyTorch tensor in another format.
pub(super) struct TensorPlacement {
    /// The name of the array.
    pub(super) name: String,
    /// The shape of the array.
    pub(super) shape: Vec<usize>,
    /// Whether the array holds the transposed tensor.
    pub(super) transposed: bool,
    /// The index of the tensor's first element in the array.
    pub(super) offset: usize,
    /// Whether the tensor is added to another one there. Importing then sets it to 0.
    pub(super) added: bool,
}

impl TensorPlacement {
    /// An array of the same shape as the tensor.
    pub(super) fn whole(name: String, tensor: &Tensor) -> Self {
        Self { name, shape: tensor.shape.clone(), transposed: false, offset: 0, added: false }
    }

    /// An array of the transposed tensor.
    pub(super) fn transposed(name: String, tensor: &Tensor) -> Self {
        Self { name, shape: tensor.shape.iter().rev().copied().collect(), transposed: true, offset: 0, added: false }
    }
}

/// A format: its gate order and the placement of each tensor.
pub(super) struct ExchangeFormat {
    pub(super) order: GateOrder,
    pub(super) placement: fn(&Recurrent, &Tensor) -> TensorPlacement,
}

impl ExchangeFormat {
    /// The names and shapes of the arrays, in tensor order.
    pub(super) fn arrays(&self, model: &Model) -> Vec<(String, Vec<usize>)> {
        let mut arrays: Vec<(String, Vec<usize>)> = Vec::new();
        for tensor in Layout::new(model).tensors() {
            let TensorPlacement { name, shape, .. } = (self.placement)(&model.recurrent, tensor);
            if arrays.iter().all(|(known, _)| *known != name) {
                arrays.push((name, shape));
            }
        }
        arrays
    }

    /// Converts a state dict to arrays.
    pub(super) fn weights(&self, model: &Model, dict: &StateDict) -> Result<StateDict> {
        self.order.check_projection(&model.recurrent)?;
        let layout = Layout::new(model);
        let mut arrays: BTreeMap<String, ArrayD<f32>> = BTreeMap::new();
        for (tensor, values) in layout.tensors().iter().zip(layout.arrays(dict)?) {
            let placement = (self.placement)(&model.recurrent, tensor);
            let array = arrays.entry(placement.name).or_insert_with(|| ArrayD::zeros(IxDyn(&placement.shape)));
            let to = array.iter_mut().skip(placement.offset);
            // Nearly all arrays are in standard layout already; those are not copied.
            let values = values.as_standard_layout();
            let values = values.as_slice().unwrap_or_default();
            match (has_gates(tensor.role), placement.transposed) {
                (true, false) => add(to, self.order.apply(model.recurrent.cell, values)?),
                (true, true) => {
                    let ordered: Vec<f32> = self.order.apply(model.recurrent.cell, values)?.collect();
                    add(to, transposed(&ordered, &tensor.shape));
                }
                (false, true) => add(to, transposed(values, &tensor.shape)),
                (false, false) => add(to, values.iter().copied()),
            }
        }
        Ok(arrays.into_iter().collect())
    }

    /// Converts arrays to a state dict.
    pub(super) fn state_dict(&self, model: &Model, weights: &StateDict) -> Result<StateDict> {
        self.order.check_projection(&model.recurrent)?;
        let arrays = self.arrays(model);
        weights.check(arrays.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())))?;
        let layout = Layout::new(model);
        let mut block = vec![0.0; layout.len()];
        for tensor in layout.tensors() {
            let placement = (self.placement)(&model.recurrent, tensor);
            if placement.added {
                continue;
            }
            let array = weights.get(&placement.name).into_iter().flatten();
            let mut values: Vec<f32> = array.skip(placement.offset).take(tensor.len()).copied().collect();
            if placement.transposed {
                values = transposed(&values, &placement.shape);
            }
            if has_gates(tensor.role) {
                values = self.order.undo(model.recurrent.cell, &values)?;
            }
            block[tensor.range()].copy_from_slice(&values);
        }
        Ok(layout.to_state_dict(&block))
    }
}

/// Adds `values` elementwise.
fn add<'a>(to: impl Iterator<Item = &'a mut f32>, values: impl IntoIterator<Item = f32>) {
    to.zip(values).for_each(|(to, from)| *to += from);
}

fn has_gates(role: Role) -> bool {
    !matches!(
        role,
        Role::CellParameter { .. } | Role::WeightHr { .. } | Role::Embedding | Role::HeadWeight | Role::HeadBias
    )
}

/// Transposes a row-major matrix of `shape`.
fn transposed(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let columns = shape.get(1).copied().unwrap_or(1);
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}
