//! Conversion of state dicts between naming schemes.

use super::config::Model;
use super::layout::Layout;
use super::prefixes::StateDictPrefixes;
use super::state_dict::StateDict;
use crate::error::Result;
use crate::real::Real;

impl StateDictPrefixes {
    /// Renames a state dict from these names to this crate's.
    ///
    /// # Errors
    /// [`Error::StateDict`](crate::Error::StateDict) lists every missing or unexpected tensor and every shape mismatch,
    /// by these names.
    pub fn read<R: Real>(&self, model: &Model, dict: &StateDict<R>) -> Result<StateDict<R>> {
        renamed(&Layout::with_names(model, self), &Layout::new(model), dict)
    }

    /// Renames a state dict from this crate's names to these.
    ///
    /// # Errors
    /// [`Error::StateDict`](crate::Error::StateDict) lists every missing or unexpected tensor and every shape mismatch.
    pub fn write<R: Real>(&self, model: &Model, dict: &StateDict<R>) -> Result<StateDict<R>> {
        renamed(&Layout::new(model), &Layout::with_names(model, self), dict)
    }
}

/// Renames the tensors from one layout of a model to another.
fn renamed<R: Real>(from: &Layout, to: &Layout, dict: &StateDict<R>) -> Result<StateDict<R>> {
    let arrays = from.arrays(dict)?;
    Ok(to.named().into_iter().map(|(name, tensor)| (name.to_owned(), arrays[tensor].clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Embedding, Head, Initialisation, Loss, Readout, Recurrent};
    use ndarray::ArrayD;

    fn model() -> Model {
        let recurrent = Recurrent::new(Cell::Gru, 2, 3).layers(2).bidirectional(true);
        Model::new(recurrent, Head::new(4, Loss::CrossEntropy, Readout::Final))
    }

    fn weights(model: &Model) -> StateDict {
        Layout::new(model).to_state_dict(&Initialisation::default().draw(model, 3).unwrap())
    }

    #[test]
    fn any_module_attributes_are_written_and_read() {
        let (model, own) = (model(), weights(&model()));
        for (names, inner, outer) in [
            (StateDictPrefixes::new("encoder.lstm.", "fc."), "encoder.lstm.weight_hh_l1_reverse", "fc.bias"),
            (StateDictPrefixes::new("", "classifier.0."), "weight_hh_l1_reverse", "classifier.0.bias"),
            (StateDictPrefixes::new("0.", ""), "0.weight_hh_l1_reverse", "bias"),
        ] {
            let theirs = names.write(&model, &own).unwrap();
            assert_eq!(theirs.get(inner), own.get("rnn.weight_hh_l1_reverse"));
            assert_eq!(theirs.get(outer), own.get("head.bias"));
            assert_eq!(theirs.iter().count(), own.iter().count());
            assert_eq!(names.read(&model, &theirs).unwrap(), own);
        }
        assert_eq!(StateDictPrefixes::default().write(&model, &own).unwrap(), own);
    }

    #[test]
    fn tied_embeddings_are_written_under_two_names_and_read_under_either() {
        let recurrent = Recurrent::new(Cell::Gru, 6, 3).bidirectional(true);
        let head = Head::new(5, Loss::CrossEntropy, Readout::PerStep);
        let model = Model::new(recurrent, head).embedding(Embedding::tied(5));
        let (own, names) = (weights(&model), StateDictPrefixes::new("gru.", "fc.").embedding("emb."));
        let theirs = names.write(&model, &own).unwrap();
        assert_eq!(theirs.get("emb.weight"), own.get("embedding.weight"));
        assert_eq!(theirs.get("fc.weight"), own.get("head.weight"));
        assert_eq!(theirs.get("fc.weight"), theirs.get("emb.weight"));
        for left_out in ["", "fc.weight", "emb.weight"] {
            let some = theirs.iter().filter(|(name, _)| *name != left_out);
            let some: StateDict = some.map(|(name, array)| (name.to_owned(), array.clone())).collect();
            assert_eq!(names.read(&model, &some).unwrap(), own);
        }
        let refused = |tensors: Vec<(&str, ArrayD<f32>)>| {
            let rest = theirs.iter().filter(|(name, _)| name.starts_with("gru.") || *name == "fc.bias");
            let rest = rest.map(|(name, array)| (name, array.clone()));
            let dict = rest.chain(tensors).map(|(name, array)| (name.to_owned(), array));
            let error = names.read(&model, &dict.collect()).unwrap_err();
            let crate::Error::StateDict(lines) = error else { panic!("{error}") };
            lines
        };
        let vectors = theirs.get("emb.weight").unwrap().clone();
        let doubled = refused(vec![("emb.weight", vectors.clone()), ("fc.weight", 2.0 * vectors.clone())]);
        assert_eq!(doubled, ["different: emb.weight and fc.weight, which are tied"]);
        assert_eq!(refused(vec![]), ["missing: emb.weight [5, 6]"]);
        let turned = refused(vec![("fc.weight", vectors.reversed_axes())]);
        assert_eq!(turned, ["shape mismatch: fc.weight: expected [5, 6], got [6, 5]"]);
    }

    #[test]
    fn wrapper_prefixes_of_pytorch_are_ignored() {
        let (model, own) = (model(), weights(&model()));
        let names = StateDictPrefixes::new("gru.", "fc.");
        let theirs = names.write(&model, &own).unwrap();
        let renamed = |rename: &dyn Fn(&str) -> String| -> StateDict {
            theirs.iter().map(|(name, array)| (rename(name), array.clone())).collect()
        };
        for wrapped in [
            renamed(&|name| format!("module.{name}")),
            renamed(&|name| format!("_orig_mod.{name}")),
            renamed(&|name| format!("module._orig_mod.{name}")),
            renamed(&|name| format!("_orig_mod.module.{name}")),
            // One module alone was compiled.
            renamed(&|name| name.replace("gru.", "gru._orig_mod.")),
        ] {
            assert_eq!(names.read(&model, &wrapped).unwrap(), own);
        }
        // An attribute that is called so is no wrapper.
        let inner = StateDictPrefixes::new("module.gru.", "module.fc.");
        assert_eq!(inner.read(&model, &inner.write(&model, &own).unwrap()).unwrap(), own);
        // What is wrong behind a wrapper is told by the names that were asked for.
        let cut = theirs.iter().filter(|(name, _)| *name != "fc.bias");
        let cut = cut.map(|(name, array)| (format!("module.{name}"), array.clone())).collect();
        let error = names.read(&model, &cut).unwrap_err().to_string();
        assert!(error.contains("missing: fc.bias") && !error.contains("unexpected"), "{error}");
    }

    #[test]
    fn tensors_have_the_same_names_with_and_without_a_head() {
        let recurrent = Recurrent::new(Cell::Lstm, 2, 3);
        let model = Model::headless(recurrent.clone());
        let own = weights(&model);
        let names = |model: &Model| -> Vec<String> { weights(model).iter().map(|(name, _)| name.to_owned()).collect() };
        let with_head = Model::new(recurrent, Head::new(1, Loss::SquaredError, Readout::Final));
        assert_eq!(names(&with_head)[2..], names(&model));
        assert!(own.get("rnn.weight_ih_l0").is_some());
        // torch.nn.LSTM's own state dict.
        let theirs = StateDictPrefixes::recurrent_alone().write(&model, &own).unwrap();
        assert!(theirs.get("weight_ih_l0").is_some());
        assert_eq!(StateDictPrefixes::recurrent_alone().read(&model, &theirs).unwrap(), own);
    }

    #[test]
    fn all_missing_unexpected_and_mismatched_tensors_are_listed_at_once() {
        let (model, names) = (model(), StateDictPrefixes::new("gru.", "fc."));
        let theirs = names.write(&model, &weights(&model)).unwrap();
        let changed = theirs.iter().filter(|(name, _)| *name != "gru.bias_hh_l1").map(|(name, array)| match name {
            "fc.weight" => (name.to_owned(), array.t().to_owned()),
            _ => (name.to_owned(), array.clone()),
        });
        let other = ("embedding.weight".to_owned(), ndarray::ArrayD::zeros(vec![5, 2]));
        let error = names.read(&model, &changed.chain([other]).collect()).unwrap_err();
        let crate::Error::StateDict(lines) = error else { panic!("{error}") };
        let expected = [
            "missing: gru.bias_hh_l1 [9]",
            "shape mismatch: fc.weight: expected [4, 6], got [6, 4]",
            "unexpected: embedding.weight [5, 2]",
        ];
        assert_eq!(lines, expected);
    }
}
