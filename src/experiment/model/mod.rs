//! A trained model beyond its weights, and its file.

pub mod audio_codec;
pub mod c_interface;
pub mod codec;
pub mod interface;
pub mod label_codec;
pub mod model_file;
pub mod origin;
pub mod sequences_codec;
