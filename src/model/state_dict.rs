//! Named tensors, and safetensors as their file form.

use std::collections::{BTreeMap, HashMap};

use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};

/// Tensors by name, as PyTorch's `state_dict()` names them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict(BTreeMap<String, ArrayD<f32>>);

impl FromIterator<(String, ArrayD<f32>)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, ArrayD<f32>)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

impl StateDict {
    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.0.get(name)
    }

    /// The tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.0.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// The bytes of a safetensors file, with a note under a name in its metadata. (One, since several would be written
    /// in no fixed order.)
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the format refuses a name.
    pub fn to_safetensors(&self, note: Option<(&str, &str)>) -> Result<Vec<u8>> {
        let bytes: Vec<Vec<u8>> =
            self.0.values().map(|array| array.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
        let views = self.0.iter().zip(&bytes).map(|((name, array), bytes)| {
            TensorView::new(Dtype::F32, array.shape().to_vec(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(unsupported)?;
        let metadata = note.map(|(name, text)| HashMap::from([(name.to_owned(), text.to_owned())]));
        safetensors::serialize(views, metadata).map_err(unsupported)
    }

    /// The note under `name` in the metadata of a safetensors file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the bytes are no safetensors file.
    pub fn safetensors_note(bytes: &[u8], name: &str) -> Result<Option<String>> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unsupported)?;
        Ok(metadata.metadata().as_ref().and_then(|metadata| metadata.get(name).cloned()))
    }

    /// Reads the bytes of a safetensors file; every tensor must be f32.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the bytes are no safetensors file, [`Error::Value`] for another element type.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(unsupported)?;
        let tensors = file.iter().map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(Error::value(name, "element type F32", format!("{:?}", view.dtype())));
            }
            let (words, _) = view.data().as_chunks::<4>();
            let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
            Ok((name.to_owned(), array.map_err(|error| Error::Unsupported(format!("{name}: {error}")))?))
        });
        tensors.collect()
    }
}

fn unsupported(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("safetensors: {error}"))
}
