//! Room for gradients whose sums are in parts.

use std::collections::BTreeSet;

use super::{DeviceLimits, ParameterPlan, Vec4Sizes};
use crate::model::Model;
use crate::model::Role::{self, HeadWeight, WeightHh, WeightHr, WeightIh};

/// The bytes of all parts of a layer's gradients over chunks of so many steps of all rows, or of the head's over so many
/// predictions, whichever needs the most.
pub(super) fn bytes(
    model: &Model,
    sizes: &Vec4Sizes,
    parameters: &ParameterPlan,
    limits: &DeviceLimits,
    chunks: &BTreeSet<usize>,
    predictions: impl Iterator<Item = usize>,
) -> u64 {
    let full = sizes.storage.is_full();
    let products = |roles: &[Role], k: usize| {
        let of = |role: &Role| (parameters.get(*role).rows(), 4 * parameters.get(*role).ld());
        let sizes: Vec<_> = roles.iter().map(of).collect();
        let at_once = |most: usize| {
            let products = sizes.chunks(most).flat_map(|sizes| limits.weight_gradients(sizes, k));
            products.map(|product| product.scratch).sum::<u64>()
        };
        // Those whose operands are not stored alike are in dispatches of their own.
        at_once(limits.products_per_dispatch()).max(if full { 0 } else { at_once(1) })
    };
    let sums = |columns: usize, k: usize| 16 * (limits.column_sum(k, columns).parts * columns) as u64;
    let of_layer = |layer_direction: usize, k: usize| {
        let (input, recurrent) = (WeightIh { layer_direction }, WeightHh { layer_direction });
        // Tokens have no product for W_ih.
        let weights = match sizes.recurrent4 {
            0 => products(&[input], k),
            _ => products(&[recurrent, input], k).max(products(&[recurrent], k)),
        };
        let projection = model.recurrent.proj_size.map_or(0, |_| products(&[WeightHr { layer_direction }], k));
        weights + projection + sums(sizes.z4, k)
    };
    let layers = (0..model.recurrent.num_layer_directions())
        .flat_map(|layer_direction| chunks.iter().map(move |k| (layer_direction, *k)))
        .map(|(layer_direction, k)| of_layer(layer_direction, k));
    let head = predictions.map(|rows| products(&[HeadWeight], rows) + sums(sizes.o4, rows));
    layers.chain(head).max().unwrap_or(0)
}
