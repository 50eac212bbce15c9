//! f64 from end to end: batches, losses, gradients, parameters and files, without a rounding to f32.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, wide};
use bptt::ndarray::{ArrayD, IxDyn, arr1, arr2, arr3};
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, EngineOptions, Head, Layers, Loss, Model, Optimizer, Parameters, Readout,
    Real, Recurrent, Reduction, SafetensorsFile, Sequence, StateDict, Targets, Trainer, Training, Wait,
};

const THIRD: f64 = 1.0 / 3.0;

/// y = W_hy · W_ih · x + b_y, all of one unit, whose only bias is b_y.
fn line() -> Model {
    let recurrent = Recurrent::new(Cell::Rnn(Activation::Identity), 1, 1).bias(false);
    Model::new(recurrent, Head::new(1, Loss::SquaredError, Readout::Final).reduction(Reduction::Sum))
}

fn weights(w_ih: f64, b_y: f64) -> StateDict<f64> {
    let square = |value: f64| arr2(&[[value]]).into_dyn();
    let named = [
        ("rnn.weight_ih_l0", square(w_ih)),
        ("rnn.weight_hh_l0", square(0.0)),
        ("head.weight", square(1.0)),
        ("head.bias", arr1(&[b_y]).into_dyn()),
    ];
    named.into_iter().map(|(name, array)| (name.to_owned(), array)).collect()
}

/// x, its target and its weight, none of which f32 can represent.
fn batch() -> Batch<f64> {
    Batch::new(Sequence::dense(arr3(&[[[THIRD]]])), Targets::Values(arr3(&[[[0.1]]]))).weights(arr2(&[[0.7]]))
}

#[test]
fn x_targets_weights_and_parameters_in_f64_are_not_rounded() {
    let mut trainer = Trainer::new(&Cpu::<f64>::default(), &line(), Optimizer::sgd(0.3), 1).unwrap();
    trainer.load_state_dict(&weights(0.9, 0.2)).unwrap();
    let error = 0.9 * THIRD + 0.2 - 0.1;
    let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-15, "{got} where {want} is due");
    near(trainer.evaluate(&batch()).wait().unwrap().loss, 0.7 * error * error);
    near(trainer.predict(&batch().sequence).wait().unwrap().y[[0, 0, 0]], error + 0.1);
    trainer.accumulate(&batch()).wait().unwrap();
    near(trainer.accumulated_loss().wait().unwrap(), 0.7 * error * error);
    let gradients = trainer.gradients().wait().unwrap();
    near(gradients.get("head.bias").unwrap()[[0]], 1.4 * error);
    near(gradients.get("rnn.weight_ih_l0").unwrap()[[0, 0]], 1.4 * error * THIRD);
    trainer.update().wait().unwrap();
    let after = trainer.state_dict().wait().unwrap();
    near(after.get("head.bias").unwrap()[[0]], 0.2 - 0.3 * 1.4 * error);
}

#[test]
fn a_state_dict_in_f64_comes_back_from_a_file_to_the_bit() {
    let model = line();
    let mut trainer = Trainer::new(&Cpu::<f64>::default(), &model, Optimizer::sgd(0.3), 1).unwrap();
    trainer.load_state_dict(&weights(THIRD, 0.1)).unwrap();
    let dict = trainer.state_dict().wait().unwrap();
    assert_eq!(dict, weights(THIRD, 0.1));
    let bytes = dict.to_safetensors(None).unwrap();
    let mut streamed = Vec::new();
    trainer.write_safetensors(&mut streamed, None).wait().unwrap();
    assert_eq!(streamed, bytes);
    let read = || SafetensorsFile::open(&bytes[..], bytes.len() as u64).unwrap();
    assert_eq!(read().state_dict_in::<f64>().unwrap(), dict);
    // Read as f32, it is rounded once, and f32 is exact in f64.
    assert_eq!(read().state_dict().unwrap(), dict.to::<f32>());
    let narrow = dict.to::<f32>().to_safetensors(None).unwrap();
    let narrow = SafetensorsFile::open(&narrow[..], narrow.len() as u64).unwrap();
    assert_eq!(narrow.state_dict_in::<f64>().unwrap(), dict.to::<f32>().to::<f64>());
    assert_ne!(dict.to::<f32>().to::<f64>(), dict);
    let layout = trainer.engine().layout().clone();
    assert_eq!(layout.to_block(&dict).unwrap(), trainer.engine().parameters().wait().unwrap());
}

/// The batch in f64, whose numbers f32 can represent.
fn widened(batch: &Batch) -> Batch<f64> {
    let targets = match &batch.targets {
        Targets::Values(values) => Targets::Values(values.mapv(f64::from)),
        Targets::Classes(classes) => Targets::Classes(classes.clone()),
        _ => unreachable!("the crate has no third kind"),
    };
    let weights = batch.weights.as_ref().map(|weights| weights.mapv(f64::from));
    Batch { sequence: batch.sequence.to(), targets, weights }
}

fn the_type_of_a_batch_does_not_matter<B: Backend>(backend: &B) {
    for cell in CELLS {
        for loss in [Loss::SquaredError, Loss::CrossEntropy] {
            let case =
                Case { ragged: true, weights: true, initial: true, resets: true, ..Case::new(cell) }.with_loss(loss);
            let model = case.model();
            let mut engine = backend.engine(&model, &EngineOptions::default().input_gradient(true)).unwrap();
            engine.set_parameters(&case.parameters(&model)).unwrap();
            let batch = case.batch();
            let bits = |named: [ArrayD<f64>; 4]| named.map(|array| array.mapv(f64::to_bits));
            engine.accumulate(&batch, None).wait().unwrap();
            let narrow = bits(results(&mut engine, &batch));
            engine.clear_gradients();
            let batch = widened(&batch);
            engine.accumulate(&batch, None).wait().unwrap();
            assert!(narrow == bits(results(&mut engine, &batch)), "{case}");
        }
    }
}

/// What an engine computes from a batch that was accumulated.
fn results<E: bptt::Engine, S: Real>(engine: &mut E, batch: &Batch<S>) -> [ArrayD<f64>; 4] {
    let gradients = engine.gradients().wait().unwrap();
    let sum = engine.loss_sum().wait().unwrap();
    let evaluated = engine.evaluate(batch).wait().unwrap().loss_sum;
    [
        ArrayD::from_shape_vec(IxDyn(&[gradients.len()]), gradients.iter().map(|g| g.as_f64()).collect()).unwrap(),
        ArrayD::from_elem(IxDyn(&[]), sum),
        ArrayD::from_elem(IxDyn(&[]), evaluated),
        wide(&engine.logits(&batch.sequence).wait().unwrap().logits),
    ]
}

#[test]
fn a_batch_in_f64_of_numbers_that_f32_represents_gives_the_bits_of_that_in_f32() {
    the_type_of_a_batch_does_not_matter(&Cpu::<f64>::default());
    the_type_of_a_batch_does_not_matter(&Cpu::new());
    gpu().iter().for_each(the_type_of_a_batch_does_not_matter);
}

/// The refusals of a target and of a weight beyond the numbers of f32.
fn refusals<B: Backend>(backend: &B) -> [Option<String>; 2] {
    let mut engine = backend.engine(&line(), &EngineOptions::default()).unwrap();
    let mut target = batch();
    target.targets = Targets::Values(arr3(&[[[-1e39]]]));
    let weight = batch().weights(arr2(&[[1e39]]));
    [target, weight].map(|batch| engine.accumulate(&batch, None).wait().err().map(|error| error.to_string()))
}

#[test]
fn numbers_beyond_the_type_of_a_backend_are_refused_by_it_alone() {
    let want = [
        "targets[0, 0, 0]: expected a number from -3.4028235e38 to 3.4028235e38, got -1000000000000000000000000000000000000000",
        "weights[0, 0]: expected a finite number of at least 0, got 1000000000000000000000000000000000000000",
    ];
    assert_eq!(refusals(&Cpu::new()), want.map(|text| Some(text.to_owned())));
    gpu().iter().for_each(|gpu| assert_eq!(refusals(gpu), want.map(|text| Some(text.to_owned()))));
    assert_eq!(refusals(&Cpu::<f64>::default()), [None, None]);
}
