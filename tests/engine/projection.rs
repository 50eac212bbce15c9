//! What is claimed of a projected h beside its numbers, which PyTorch, finite differences and the tables of cases hold.

use bptt::interchange::{keras, onnx};
use bptt::model::Role;
use bptt::{
    Activation, Backend, Cell, Cpu, EngineOptions, Head, Initialisation, Inspection, Layers, Layout, Loss, Model,
    Readout, Recurrent, RecurrentInit, RecurrentKernel, SavedModel, Sequence, StateDictPrefixes, States,
};
use pollster::block_on;

use crate::common::Case;
use crate::common::gpu::gpu;

fn projected() -> Recurrent {
    Recurrent::new(Cell::Lstm, 3, 7).proj_size(4)
}

#[test]
fn a_projection_that_does_not_make_h_smaller_or_of_another_cell_is_refused() {
    let refused = |recurrent| Model::headless(recurrent).validate().unwrap_err().to_string();
    for size in [0, 7, 8, usize::MAX] {
        let expected = format!("proj_size: expected at least 1 and below hidden_size, which is 7, got {size}");
        assert_eq!(refused(projected().proj_size(size)), expected);
    }
    for cell in [Cell::Gru, Cell::Rnn(Activation::Tanh)] {
        let error = refused(Recurrent::new(cell, 3, 7).proj_size(4));
        let reason = "proj_size projects the h of the LSTM only, as in PyTorch";
        assert!(error.starts_with(reason) && error.contains(cell.name()), "{error}");
    }
    Model::headless(projected().proj_size(6)).validate().unwrap();
    Model::headless(projected().proj_size(None)).validate().unwrap();
}

#[test]
fn weights_have_pytorchs_names_shapes_and_first_values() {
    let model = Model::headless(projected().layers(2).bidirectional(true).bias(false));
    let layout = Layout::with_names(&model, &StateDictPrefixes::recurrent_alone());
    let shapes: Vec<(&str, &[usize])> =
        layout.tensors().iter().map(|tensor| (tensor.name.as_str(), &tensor.shape[..])).collect();
    let of_layer: [(&str, &[usize]); 4] = [
        ("weight_hr_l0_reverse", &[4, 7]),
        ("weight_ih_l1", &[28, 8]),
        ("weight_hh_l1", &[28, 4]),
        ("weight_hr_l1", &[4, 7]),
    ];
    assert_eq!(shapes[5..9], of_layer);
    let block = Initialisation::default().draw(&model, 1).unwrap();
    let bound = 7f32.sqrt().recip();
    assert!(block.iter().all(|value| value.abs() <= bound) && block.iter().any(|value| value.abs() > 0.95 * bound));
}

#[test]
fn orthogonal_gates_have_orthonormal_columns_and_identity_gates_the_units_that_are_there() {
    let model = Model::headless(projected());
    let layout = Layout::new(&model);
    let gates = |recurrent| {
        let block = Initialisation::default().recurrent(recurrent).draw(&model, 7).unwrap();
        let weight = layout.find(Role::WeightHh { layer_direction: 0 }).unwrap();
        block[weight.range()].chunks(7 * 4).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    for gate in gates(RecurrentInit::Orthogonal) {
        for (i, j) in (0..16).map(|pair| (pair / 4, pair % 4)) {
            let dot: f32 = (0..7).map(|row| gate[4 * row + i] * gate[4 * row + j]).sum();
            assert!((dot - f32::from(i == j)).abs() < 1e-6, "columns {i} and {j}: {dot}");
        }
    }
    for gate in gates(RecurrentInit::Identity) {
        assert!(gate.iter().enumerate().all(|(at, value)| *value == f32::from(at / 4 == at % 4)));
    }
}

#[test]
fn states_of_another_size_than_that_of_h_or_c_are_refused_by_name() {
    let model = Model::headless(projected());
    let mut engine = Cpu::<f32>::new().engine(&model, &EngineOptions::default()).unwrap();
    let case = Case { initial: false, ..Case::new(Cell::Lstm) }.sizes([4, 2, 3, 7, 1]).projected(4);
    let mut refused = |states: States| {
        let sequence = Sequence { initial: Some(states), ..case.sequence() };
        block_on(engine.forward(&sequence)).unwrap_err().to_string()
    };
    let (right, plain) = (States::zeros(&model.recurrent, 2), States::zeros(&Recurrent::new(Cell::Lstm, 3, 7), 2));
    assert_eq!((right.h.dim(), right.c.as_ref().unwrap().dim()), ((1, 2, 4), (1, 2, 7)));
    let of_h = refused(plain.clone());
    assert!(of_h.starts_with("h_0") && of_h.contains("[1, 2, 4]") && of_h.contains("[1, 2, 7]"), "{of_h}");
    let of_c = refused(States { c: Some(right.h.clone()), ..right.clone() });
    assert!(of_c.starts_with("c_0") && of_c.contains("[1, 2, 4]") && of_c.contains("[1, 2, 7]"), "{of_c}");
}

#[test]
fn formats_without_a_projection_refuse_it_with_the_reason() {
    let head = Head::new(2, Loss::SquaredError, Readout::Final);
    let model = Model::new(projected(), head);
    let dict = Layout::new(&model).to_state_dict(&Initialisation::default().draw(&model, 1).unwrap());
    let expected = |format: &str| {
        format!(
            "the LSTM of {format} has no weight that projects h, and the network's projects it to 4 (proj_size); PyTorch's \
             LSTM has one"
        )
    };
    let refused = [
        onnx::export(&model, &dict, onnx::ModelInput::Dense, &[]).unwrap_err().to_string(),
        onnx::state_dict(&model, &dict).unwrap_err().to_string(),
    ];
    assert_eq!(refused, [expected("ONNX"), expected("ONNX")]);
    let refused = [keras::weights(&model, &dict), keras::state_dict(&model, &dict)];
    assert_eq!(refused.map(|error| error.unwrap_err().to_string()), [expected("Keras"), expected("Keras")]);
}

#[test]
fn a_saved_model_keeps_its_projection_and_one_without_has_no_such_key() {
    for (recurrent, is_named) in [(projected(), true), (projected().proj_size(None), false)] {
        let model = Model::new(recurrent, Head::new(2, Loss::SquaredError, Readout::Final));
        let text = serde_json::to_string(&model).unwrap();
        assert_eq!(text.contains("\"proj_size\":4"), is_named, "{text}");
        let dict = Layout::new(&model).to_state_dict(&Initialisation::default().draw(&model, 1).unwrap());
        let mut file = Vec::new();
        SavedModel::new(model.clone(), dict.clone()).write_to(&mut file).unwrap();
        assert_eq!(*SavedModel::<f32>::read_from(&file[..], file.len() as u64).unwrap().model(), model);
    }
}

#[test]
fn the_kernel_of_whole_sequences_refuses_a_projection_and_auto_takes_steps() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(Cell::Lstm).sizes([6, 16, 3, 8, 2]);
    let options = |kernel| EngineOptions::default().kernel(kernel);
    let auto = |case: &Case| gpu.engine(&case.model(), &options(RecurrentKernel::Auto)).unwrap().kernel(16);
    assert_eq!(auto(&case), Some(RecurrentKernel::Sequence));
    let case = case.projected(4);
    assert_eq!(auto(&case), Some(RecurrentKernel::Step));
    assert_eq!(gpu.planned_kernel(&case.model(), &options(RecurrentKernel::Auto), 16), Some(RecurrentKernel::Step));
    let refused = gpu.engine(&case.model(), &options(RecurrentKernel::Sequence)).err().unwrap().to_string();
    assert_eq!(refused, "the kernel sequence does not project h (proj_size); use step or auto");
    // The CPU backend ignores the choice.
    Cpu::<f32>::new().engine(&case.model(), &options(RecurrentKernel::Sequence)).unwrap();
}
