//! What a network is trained for, by the kind of its data.

pub mod class_weights;
pub mod classes;
pub mod fingerprints;
pub mod generate;
pub mod labelled;
pub mod labelled_predictions;
pub mod load;
pub mod objective;
pub mod relation;
pub mod rolled;
pub mod rolls;
pub mod sequences;
pub mod series;
pub mod series_data;
pub mod synthetic;
pub mod task;
pub mod text;
