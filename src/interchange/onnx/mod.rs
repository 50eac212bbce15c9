//! ONNX: weights as its operators `RNN`, `LSTM` and `GRU` take them, and whole models as files.

mod export;
mod graph;
mod weights;

pub use export::{ModelInput, export, write_model};
pub use weights::{state_dict, weights};
