//! What a trained model is beyond its weights, and the file that has both.

pub mod codec;
pub mod interface;
pub mod label_codec;
pub mod model_file;
pub mod origin;
pub mod sequences_codec;
