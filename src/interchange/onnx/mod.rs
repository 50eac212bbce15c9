//! ONNX: weights in the format of the operators `RNN`, `LSTM` and `GRU`, and whole models as files.

mod export;
mod graph;
mod step;
mod weights;

pub use export::{ModelInput, export, write_model};
pub use step::{export_step, write_step};
pub use weights::{state_dict, weights};
