//! Labelled sequences of any length: a class or values for each, or for each of their steps.

pub(super) mod label_index;
pub(super) mod label_kind;
pub(super) mod labelled;
pub(super) mod labels;
mod packed_sequences;
pub(super) mod sequence_inputs;
mod stratified_split;
mod subset;
#[cfg(test)]
mod tests;

#[cfg(feature = "experiment")]
pub(crate) use label_index::LabelIndex;
pub use label_index::LabelsPer;
pub use label_kind::LabelKind;
pub use labelled::LabelledSequences;
pub use labels::Labels;
pub use packed_sequences::PackedSequences;
pub use sequence_inputs::SequenceInputs;
pub use subset::Subset;
