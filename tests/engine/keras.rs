//! Weights from Keras and to it, held against what Keras computes: the fixture of `tests/fixtures/make_keras.py`.

use crate::common::fixtures::{Case, Fixtures};
use crate::common::{CELLS, assert_close, wide};
use bptt::interchange::keras::{names, state_dict, weights};
use bptt::{
    Backend, Cell, Cpu, EngineOptions, Error, Head, Inference, Initialisation, Layout, Loss, Model, Parameters,
    Readout, Recurrent, Sequence, StateDict,
};
use pollster::block_on;

/// The model of a case: T 5, B 3, I 3, H 4, O 2.
fn model(case: Case<'_>) -> Model {
    let recurrent = Recurrent::new(case.cell(), 3, 4).layers(case.setting("layers"));
    let recurrent = recurrent.bidirectional(case.setting("bidirectional"));
    Model::new(recurrent, Head::new(2, Loss::SquaredError, case.setting("at")))
}

/// Keras's arrays by this crate's names, from the order of `get_weights()`.
fn arrays(case: Case<'_>, model: &Model) -> StateDict {
    let named = names(model).into_iter().enumerate();
    let named = named.map(|(i, name)| (name, case.get(&i.to_string()).mapv(|value| value as f32)));
    named.collect()
}

#[test]
fn a_network_with_keras_weights_computes_what_keras_computes() {
    let fixtures = Fixtures::read("keras");
    assert_eq!(fixtures.cases().count(), 8);
    for case in fixtures.cases() {
        let model = model(case);
        let dict = state_dict(&model, &arrays(case, &model)).unwrap();
        assert!(case.find(&names(&model).len().to_string()).is_none(), "{}: an array is left over", case.name);
        let mut engine = Cpu::<f64>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
        let block = Layout::new(&model).to_block(&dict).unwrap();
        engine.set_parameters(&block.iter().map(|value| f64::from(*value)).collect::<Vec<_>>()).unwrap();
        let got = block_on(engine.logits(&Sequence::dense(case.array3::<f32>("x")))).unwrap();
        // Keras computes in f32.
        assert_close(case.name, &wide(&got.logits), case.get("y"), 2e-6, 1.0);
    }
}

#[test]
fn keras_arrays_survive_a_round_trip() {
    let fixtures = Fixtures::read("keras");
    for case in fixtures.cases() {
        let model = model(case);
        let arrays = arrays(case, &model);
        assert_eq!(weights(&model, &state_dict(&model, &arrays).unwrap()).unwrap(), arrays, "{}", case.name);
    }
}

#[test]
fn a_state_dict_survives_keras_except_for_biases_that_keras_merges() {
    for cell in CELLS {
        for bias in [true, false] {
            let recurrent = Recurrent::new(cell, 2, 3).layers(2).bidirectional(true).bias(bias);
            let model = Model::new(recurrent, Head::new(4, Loss::CrossEntropy, Readout::PerStep));
            let dict = Layout::new(&model).to_state_dict(&Initialisation::default().draw(&model, 1).unwrap());
            let back = state_dict(&model, &weights(&model, &dict).unwrap()).unwrap();
            for (name, array) in dict.iter() {
                let got = back.get(name).unwrap();
                match (cell, name.contains("bias_ih"), name.contains("bias_hh")) {
                    (Cell::Gru, ..) | (_, false, false) => assert_eq!(got, array, "{cell:?}: {name}"),
                    (_, true, _) => {
                        let other = dict.get(&name.replace("_ih_", "_hh_")).unwrap();
                        assert_eq!(*got, array + other, "{cell:?}: {name}");
                    }
                    _ => assert!(got.iter().all(|value| *value == 0.0), "{cell:?}: {name}"),
                }
            }
        }
    }
}

#[test]
fn gates_are_in_the_order_of_keras() {
    // One unit: PyTorch's gates are 1, 2, 3, 4 in weight_ih.
    let numbered = |cell| {
        let model = Model::headless(Recurrent::new(cell, 1, 1));
        let block: Vec<f32> = (1..=Layout::new(&model).len()).map(|number| number as f32).collect();
        weights(&model, &Layout::new(&model).to_state_dict(&block)).unwrap()
    };
    let row = |dict: &StateDict, name: &str| dict.get(name).unwrap().iter().copied().collect::<Vec<_>>();
    let lstm = numbered(Cell::Lstm);
    assert_eq!(row(&lstm, "l0/kernel"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(row(&lstm, "l0/bias"), [9.0 + 13.0, 10.0 + 14.0, 11.0 + 15.0, 12.0 + 16.0]);
    // r, z, n there; z, r, h here.
    let gru = numbered(Cell::Gru);
    assert_eq!(row(&gru, "l0/kernel"), [2.0, 1.0, 3.0]);
    assert_eq!(row(&gru, "l0/recurrent_kernel"), [5.0, 4.0, 6.0]);
    assert_eq!(row(&gru, "l0/bias"), [8.0, 7.0, 9.0, 11.0, 10.0, 12.0]);
}

#[test]
fn a_gru_without_reset_after_is_refused_by_the_shape_of_its_bias() {
    let model = Model::headless(Recurrent::new(Cell::Gru, 2, 3));
    let dict = Layout::new(&model).to_state_dict(&Initialisation::default().draw(&model, 1).unwrap());
    let theirs = weights(&model, &dict).unwrap();
    let before = theirs.iter().map(|(name, array)| match name {
        "l0/bias" => (name.to_owned(), array.index_axis(bptt::ndarray::Axis(0), 0).to_owned()),
        _ => (name.to_owned(), array.clone()),
    });
    let Err(Error::StateDict(lines)) = state_dict(&model, &before.collect()) else { panic!() };
    assert_eq!(lines, ["shape mismatch: l0/bias: expected [2, 9], got [9]"]);
}
