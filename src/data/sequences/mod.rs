//! Labelled sequences of any length: a class or values for each.

pub(super) mod label_kind;
pub(super) mod labelled;
pub(super) mod number_sequences;
pub(super) mod steps;
mod stratified_split;

pub use label_kind::LabelsAs;
pub use labelled::{Labelled, Labels, Subset};
pub use number_sequences::Sequences;
pub use steps::Steps;
