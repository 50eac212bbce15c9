//! Weights for other programs and from them, whole models as ONNX, and a run's numbers for TensorBoard.
//!
//! PyTorch's weights are this crate's own: [`StateDict`](crate::StateDict) reads and writes them, and
//! [`StateDictPrefixes`](crate::StateDictPrefixes) tells what a module calls its layers. Keras and ONNX keep the same
//! numbers in arrays of other shapes, with the gates in another order: `weights` makes these of a state dict,
//! `state_dict` the other way round.

mod gates;
pub mod keras;
pub mod onnx;
mod placement;
mod protobuf;
pub mod tensorboard;
