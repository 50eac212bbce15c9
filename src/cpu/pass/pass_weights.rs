//! The shared inputs of all blocks in a pass.

use super::mapped_model::MappedModel;
use super::packed_weights::PackedWeights;
use crate::cpu::gemm::shared::SharedBlock;
use crate::cpu::parallel::clock::Clock;

/// The shared inputs of all blocks in a pass.
pub(crate) struct PassWeights<'a, R> {
    pub(crate) model: &'a MappedModel,
    pub(crate) parameters: &'a [R],
    pub(crate) prepared: &'a PackedWeights<R>,
    pub(crate) shared: SharedBlock<'a>,
    pub(crate) clock: &'a Clock,
}
