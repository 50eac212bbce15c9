//! Named tensors. Their file form is in `safetensors.rs`.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayD;

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

    /// Refuses any other tensors than those of these names and shapes.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every missing, unexpected and misshaped tensor.
    pub(crate) fn check<'a>(&self, expected: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<()> {
        let (mut differences, mut known) = (Vec::new(), BTreeSet::new());
        for (name, shape) in expected {
            known.insert(name);
            match self.get(name) {
                None => differences.push(format!("missing: {name} {shape:?}")),
                Some(array) if array.shape() != shape => {
                    differences.push(format!("misshaped: {name}: expected {shape:?}, got {:?}", array.shape()));
                }
                Some(_) => {}
            }
        }
        let unexpected = self.iter().filter(|(name, _)| !known.contains(name));
        differences.extend(unexpected.map(|(name, array)| format!("unexpected: {name} {:?}", array.shape())));
        if differences.is_empty() { Ok(()) } else { Err(Error::StateDict(differences)) }
    }
}
