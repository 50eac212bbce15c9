//! Weights to and from other frameworks, models as ONNX files, and TensorBoard event files.
//!
//! PyTorch weights need no conversion: [`StateDict`](crate::StateDict) reads and writes them, and
//! [`StateDictPrefixes`](crate::StateDictPrefixes) maps module names. Keras and ONNX use arrays of other shapes with
//! another gate order: each module's `weights` converts a state dict to them, and `state_dict` converts back.

pub mod c;
mod gates;
pub mod keras;
pub mod onnx;
mod placement;
mod protobuf;
pub mod rtneural;
pub mod tensorboard;
