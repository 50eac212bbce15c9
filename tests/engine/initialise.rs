//! How parameters begin, and how large a model may be.

use bptt::model::Role;
use bptt::{
    Activation, Backend, Cell, Cpu, Embedding, EngineOptions, Head, Initialisation, Layout, Loss, Model, Optimizer,
    Parameters, Readout, Real, Recurrent, RecurrentInit, Trainer, TrainerOptions, Wait,
};

fn model(cell: Cell) -> Model {
    Model::new(
        Recurrent::new(cell, 3, 16).layers(2).bidirectional(true),
        Head::new(2, Loss::SquaredError, Readout::PerStep),
    )
}

/// The gates of every W_hh.
fn recurrent_gates(model: &Model, initialisation: Initialisation) -> Vec<Vec<f32>> {
    let (layout, block) = (Layout::new(model), initialisation.draw(model, 7).unwrap());
    let weights = (0..4).map(|stack| layout.find(Role::WeightHh { layer_direction: stack }).unwrap().range());
    weights.flat_map(|range| block[range].chunks(16 * 16).map(<[f32]>::to_vec).collect::<Vec<_>>()).collect()
}

#[test]
fn uniform_weights_fill_their_bounds_as_in_pytorch() {
    let model = model(Cell::Lstm);
    let (layout, block) = (Layout::new(&model), Initialisation::default().draw(&model, 7).unwrap());
    for tensor in layout.tensors() {
        // 1/√H, and 1/√(D·H) for the head.
        let bound = if tensor.name.starts_with("head") { 32f32.sqrt().recip() } else { 16f32.sqrt().recip() };
        let values = &block[tensor.range()];
        assert!(values.iter().all(|value| value.abs() <= bound), "{}", tensor.name);
        let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        assert!(values.len() < 30 || largest > 0.9 * bound, "{}: {largest} of {bound}", tensor.name);
    }
    assert_eq!(block, Initialisation::default().draw(&model, 7).unwrap());
    assert_ne!(block, Initialisation::default().draw(&model, 8).unwrap());
}

#[test]
fn an_embedding_starts_from_a_standard_normal_and_a_tied_one_as_the_head() {
    let drawn = |tied| {
        let embedding = if tied { Embedding::tied(200) } else { Embedding::new(200) };
        let head = Head::new(200, Loss::CrossEntropy, Readout::PerStep);
        let model = Model::new(Recurrent::new(Cell::Gru, 16, 16), head).embedding(embedding);
        let vectors = Layout::new(&model).find(Role::Embedding).unwrap().range();
        Initialisation::default().draw(&model, 7).unwrap()[vectors].to_vec()
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
    let plain = Initialisation::default().draw(&model, 7).unwrap();
    let biased = Initialisation::default().forget_bias(1.0).draw(&model, 7).unwrap();
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
fn weights_are_not_drawn_for_an_invalid_model_or_a_bias_beyond_f32() {
    // Gram–Schmidt would look for 12 orthogonal vectors of 4 numbers for ever.
    let wide = Model::headless(Recurrent::new(Cell::Lstm, 2, 4).proj_size(12));
    let orthogonal = Initialisation::default().recurrent(RecurrentInit::Orthogonal);
    let refused =
        |initialisation: Initialisation, model: &Model| initialisation.draw(model, 7).unwrap_err().to_string();
    assert_eq!(refused(orthogonal, &wide), wide.validate().unwrap_err().to_string());
    let enormous = Model::headless(Recurrent::new(Cell::Lstm, usize::MAX, usize::MAX));
    assert_eq!(refused(orthogonal, &enormous), enormous.validate().unwrap_err().to_string());
    for (bias, shown) in [(f64::NAN, "NaN"), (1e39, "1000000000000000000000000000000000000000")] {
        let refused = refused(Initialisation::default().forget_bias(bias), &model(Cell::Lstm));
        assert_eq!(refused, format!("forget_bias: expected a number that is finite in f32, got {shown}"));
    }
}

/// An engine starts from zero, and is initialised as the trainer is.
fn hold_an_engine<B: Backend>(backend: &B) {
    let initialisation = Initialisation::default().recurrent(RecurrentInit::Orthogonal).forget_bias(1.0);
    let options = TrainerOptions::default().initialisation(initialisation);
    let model = model(Cell::Lstm);
    let mut trainer = Trainer::with_options(backend, &model, Optimizer::sgd(0.1), 7, options).unwrap();
    let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
    assert!(engine.parameters().wait().unwrap().iter().all(|weight| weight.as_f64() == 0.0));
    engine.initialise(initialisation, 7).unwrap();
    assert_eq!(engine.parameters().wait().unwrap(), trainer.engine().parameters().wait().unwrap());
    let weight = trainer.parameter("rnn.weight_hh_l0").wait().unwrap();
    assert_eq!(weight, engine.parameter("rnn.weight_hh_l0").wait().unwrap());
    assert_eq!((trainer.model(), trainer.layout().len()), (&model, engine.layout().len()));
    assert_eq!(trainer.options().initialisation, initialisation);
    let before = engine.parameters().wait().unwrap();
    let refused = engine.initialise(initialisation.forget_bias(f64::NAN), 8).unwrap_err().to_string();
    assert!(refused.starts_with("forget_bias"), "{refused}");
    assert_eq!(engine.parameters().wait().unwrap(), before);
}

#[test]
fn an_engine_is_initialised_as_a_trainer_is() {
    hold_an_engine(&Cpu::<f32>::new());
    hold_an_engine(&Cpu::<f64>::default());
    let Some(gpu) = crate::common::gpu::gpu() else { return };
    hold_an_engine(&gpu);
}

#[test]
fn a_model_with_too_many_parameters_to_count_is_refused() {
    let enormous = Model::headless(Recurrent::new(Cell::Lstm, 1 << 24, 1 << 24).layers(Recurrent::LAYERS));
    assert!(enormous.validate().unwrap_err().to_string().starts_with("the model: expected at most 2^30 parameters"));
    let empty = Model::headless(Recurrent::new(Cell::Lstm, 3, 0));
    assert_eq!(empty.validate().unwrap_err().to_string(), "hidden_size: expected 1 to 16777216, got 0");
}
