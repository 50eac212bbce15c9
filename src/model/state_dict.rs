//! Named tensors. Their file format is in `safetensors/`.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayD;

use crate::error::{Error, Result};
use crate::real::Real;

/// The prefix that `torch.nn.DataParallel` and `DistributedDataParallel` add to every name.
const PARALLEL: &str = "module.";

/// The infix that `torch.compile` adds after the name of a compiled module.
const COMPILED: &str = "_orig_mod.";

/// Tensors by name, as PyTorch's `state_dict()` names them, in `f32` or `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct StateDict<R = f32>(BTreeMap<String, ArrayD<R>>);

impl<R> Default for StateDict<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R> FromIterator<(String, ArrayD<R>)> for StateDict<R> {
    fn from_iter<I: IntoIterator<Item = (String, ArrayD<R>)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

impl<R: Real> StateDict<R> {
    /// The same tensors in another type. f64 is rounded to f32.
    pub fn to<S: Real>(&self) -> StateDict<S> {
        self.iter().map(|(name, array)| (name.to_owned(), array.mapv(|value| S::from_f64(value.as_f64())))).collect()
    }

    /// The tensor with this name.
    pub fn get(&self, name: &str) -> Option<&ArrayD<R>> {
        self.0.get(name)
    }

    /// The tensors in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<R>)> {
        self.0.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// The tensors in the order of their names, by value.
    pub(crate) fn into_tensors(self) -> impl Iterator<Item = (String, ArrayD<R>)> {
        self.0.into_iter()
    }

    /// Borrows all tensors.
    pub(crate) fn views(&self) -> Views<'_, R> {
        Views(self.0.iter().map(|(name, array)| (name.clone(), array)).collect())
    }

    /// Checks for exactly the tensors with these names and shapes.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every missing or unexpected tensor and every shape mismatch.
    pub(crate) fn check<'a>(&self, expected: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<()> {
        self.views().check(expected)
    }
}

/// Borrowed tensors of a state dict, possibly renamed.
pub(crate) struct Views<'a, R>(BTreeMap<String, &'a ArrayD<R>>);

impl<'a, R> Views<'a, R> {
    pub(crate) fn get(&self, name: &str) -> Option<&'a ArrayD<R>> {
        self.0.get(name).copied()
    }

    /// The tensors under the names from before PyTorch's wrappers renamed them: without `module.` (`DataParallel` and
    /// the like) and `_orig_mod.` (`torch.compile`). `None` if no name contains these, if the `expected` names contain
    /// them, or if two names would become equal.
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

    /// Checks for exactly the tensors with these names and shapes.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every missing or unexpected tensor and every shape mismatch.
    pub(super) fn check<'n>(&self, expected: impl Iterator<Item = (&'n str, &'n [usize])>) -> Result<()> {
        let (mut differences, mut known) = (Vec::new(), BTreeSet::new());
        for (name, shape) in expected {
            known.insert(name);
            match self.get(name) {
                None => differences.push(format!("missing: {name} {shape:?}")),
                Some(array) if array.shape() != shape => {
                    differences.push(format!("shape mismatch: {name}: expected {shape:?}, got {:?}", array.shape()));
                }
                Some(_) => {}
            }
        }
        let unexpected = self.0.iter().filter(|(name, _)| !known.contains(name.as_str()));
        differences.extend(unexpected.map(|(name, array)| format!("unexpected: {name} {:?}", array.shape())));
        if differences.is_empty() { Ok(()) } else { Err(Error::StateDict(differences)) }
    }
}
