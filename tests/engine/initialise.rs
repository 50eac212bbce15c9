//! How parameters begin, and how large a model may be.

use bptt::model::Role;
use bptt::{Activation, Cell, Embedding, Head, Initialisation, Layout, Loss, Model, Readout, Recurrent, RecurrentInit};

fn model(cell: Cell) -> Model {
    Model::new(
        Recurrent::new(cell, 3, 16).layers(2).bidirectional(true),
        Head::new(2, Loss::SquaredError, Readout::PerStep),
    )
}

/// The gates of every W_hh.
fn recurrent_gates(model: &Model, initialisation: Initialisation) -> Vec<Vec<f32>> {
    let (layout, block) = (Layout::new(model), initialisation.draw(model, 7));
    let weights = (0..4).map(|stack| layout.find(Role::WeightHh { layer_direction: stack }).unwrap().range());
    weights.flat_map(|range| block[range].chunks(16 * 16).map(<[f32]>::to_vec).collect::<Vec<_>>()).collect()
}

#[test]
fn uniform_weights_fill_their_bounds_as_in_pytorch() {
    let model = model(Cell::Lstm);
    let (layout, block) = (Layout::new(&model), Initialisation::default().draw(&model, 7));
    for tensor in layout.tensors() {
        // 1/√H, and 1/√(D·H) for the head.
        let bound = if tensor.name.starts_with("head") { 32f32.sqrt().recip() } else { 16f32.sqrt().recip() };
        let values = &block[tensor.range()];
        assert!(values.iter().all(|value| value.abs() <= bound), "{}", tensor.name);
        let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        assert!(values.len() < 30 || largest > 0.9 * bound, "{}: {largest} of {bound}", tensor.name);
    }
    assert_eq!(block, Initialisation::default().draw(&model, 7));
    assert_ne!(block, Initialisation::default().draw(&model, 8));
}

#[test]
fn an_embedding_starts_from_a_standard_normal_and_a_tied_one_as_the_head() {
    let drawn = |tied| {
        let embedding = if tied { Embedding::tied(200) } else { Embedding::new(200) };
        let head = Head::new(200, Loss::CrossEntropy, Readout::PerStep);
        let model = Model::new(Recurrent::new(Cell::Gru, 16, 16), head).embedding(embedding);
        let vectors = Layout::new(&model).find(Role::Embedding).unwrap().range();
        Initialisation::default().draw(&model, 7)[vectors].to_vec()
    };
    let own = drawn(false);
    let mean = own.iter().sum::<f32>() / 3200.0;
    let variance = own.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 3200.0;
    // Of 3200 numbers the mean is off by 0.018 and the variance by 0.025, one time in three.
    assert!(mean.abs() < 0.06 && (variance - 1.0).abs() < 0.08, "{mean}, {variance}");
    let tied = drawn(true);
    assert!(tied.iter().all(|value| value.abs() <= 0.25) && tied.iter().any(|value| value.abs() > 0.24));
}

#[test]
fn orthogonal_gates_preserve_the_length_of_every_state() {
    for gate in recurrent_gates(&model(Cell::Gru), Initialisation::default().recurrent(RecurrentInit::Orthogonal)) {
        for i in 0..16 {
            for j in 0..16 {
                let dot: f32 = (0..16).map(|k| gate[16 * i + k] * gate[16 * j + k]).sum();
                assert!((dot - f32::from(i == j)).abs() < 1e-6, "rows {i} and {j}: {dot}");
            }
        }
    }
}

#[test]
fn identity_initialisation_gives_an_irnn() {
    let initialisation = Initialisation::default().recurrent(RecurrentInit::Identity);
    for gate in recurrent_gates(&model(Cell::Rnn(Activation::Relu)), initialisation) {
        assert!((0..256).all(|i| gate[i] == f32::from(i / 16 == i % 16)));
    }
}

#[test]
fn the_forget_bias_is_the_sum_of_both_biases_in_that_gate_only() {
    let model = model(Cell::Lstm);
    let layout = Layout::new(&model);
    let plain = Initialisation::default().draw(&model, 7);
    let biased = Initialisation::default().forget_bias(1.0).draw(&model, 7);
    for stack in 0..4 {
        let ih = layout.find(Role::BiasIh { layer_direction: stack }).unwrap().offset;
        let hh = layout.find(Role::BiasHh { layer_direction: stack }).unwrap().offset;
        for unit in 0..64 {
            match unit / 16 {
                1 => assert_eq!(biased[ih + unit] + biased[hh + unit], 1.0),
                _ => assert_eq!((biased[ih + unit], biased[hh + unit]), (plain[ih + unit], plain[hh + unit])),
            }
        }
    }
}

#[test]
fn a_model_with_too_many_parameters_to_count_is_refused() {
    let enormous = Model::headless(Recurrent::new(Cell::Lstm, 1 << 24, 1 << 24).layers(Recurrent::LAYERS));
    assert!(enormous.validate().unwrap_err().to_string().starts_with("the model: expected at most 2^30 parameters"));
    let empty = Model::headless(Recurrent::new(Cell::Lstm, 3, 0));
    assert_eq!(empty.validate().unwrap_err().to_string(), "hidden_size: expected 1 to 16777216, got 0");
}
