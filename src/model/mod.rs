//! The form of a network, its parameters, their initialisation and their file format.

mod config;
pub(crate) mod description;
mod distribution;
mod head;
mod initialise;
mod layout;
pub(crate) mod likelihood;
pub(crate) mod plan;
mod prefixes;
mod renaming;
pub(crate) mod safetensors;
pub(crate) mod saved_model;
mod state_dict;
mod writer;

pub use crate::cells::{Activation, Cell, CustomCell};
pub use config::{Direction, Embedding, Model, Precision, Recurrent, RecurrentKernel};
pub use distribution::Distribution;
pub use head::{Head, Loss, Readout, Reduction};
pub(crate) use initialise::uniform;
pub use initialise::{Initialisation, RecurrentInit};
pub use layout::{Layout, Role, Tensor};
pub use plan::DeviceLimits;
pub use prefixes::StateDictPrefixes;
pub use safetensors::{SafetensorsFile, StoredTensor};
pub use saved_model::SavedModel;
pub use state_dict::StateDict;
