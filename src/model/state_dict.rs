//! Named tensors. Their file form is in `safetensors.rs`.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayD;

use crate::error::{Error, Result};

/// What `torch.nn.DataParallel` and `DistributedDataParallel` put before every name.
const PARALLEL: &str = "module.";

/// What `torch.compile` puts behind the name of the module that it compiled.
const COMPILED: &str = "_orig_mod.";

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

    /// The tensors themselves, by name.
    pub(crate) fn into_tensors(self) -> impl Iterator<Item = (String, ArrayD<f32>)> {
        self.0.into_iter()
    }

    /// The tensors by name, none of them copied.
    pub(crate) fn views(&self) -> Views<'_> {
        Views(self.0.iter().map(|(name, array)| (name.clone(), array)).collect())
    }

    /// Refuses any other tensors than those of these names and shapes.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every missing, unexpected and misshaped tensor.
    pub(crate) fn check<'a>(&self, expected: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<()> {
        self.views().check(expected)
    }
}

/// The tensors of a state dict, under its names or others.
pub(crate) struct Views<'a>(BTreeMap<String, &'a ArrayD<f32>>);

impl<'a> Views<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&'a ArrayD<f32>> {
        self.0.get(name).copied()
    }

    /// The tensors under the names that they had before PyTorch's wrappers renamed them: `DataParallel` and its like put
    /// `module.` before every name, and `torch.compile` puts `_orig_mod.` behind the module that it compiled. `None` where
    /// none of it is there, where the names that are `expected` have it, or where two names would become one.
    pub(crate) fn unwrapped<'n>(&self, expected: impl Iterator<Item = &'n str>) -> Option<Self> {
        let is_wrapped = |name: &str| name.starts_with(PARALLEL) || name.contains(COMPILED);
        let mut expected = expected;
        if !self.0.keys().any(|name| is_wrapped(name)) || expected.any(is_wrapped) {
            return None;
        }
        let plain = |name: &str| {
            let name = name.replace(COMPILED, "");
            name.trim_start_matches(PARALLEL).to_owned()
        };
        let tensors: BTreeMap<_, _> = self.0.iter().map(|(name, array)| (plain(name), *array)).collect();
        (tensors.len() == self.0.len()).then_some(Self(tensors))
    }

    /// Refuses any other tensors than those of these names and shapes.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every missing, unexpected and misshaped tensor.
    pub(super) fn check<'n>(&self, expected: impl Iterator<Item = (&'n str, &'n [usize])>) -> Result<()> {
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
        let unexpected = self.0.iter().filter(|(name, _)| !known.contains(name.as_str()));
        differences.extend(unexpected.map(|(name, array)| format!("unexpected: {name} {:?}", array.shape())));
        if differences.is_empty() { Ok(()) } else { Err(Error::StateDict(differences)) }
    }
}
