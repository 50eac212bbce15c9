//! What a head and the batches for it may be, and what class weights mean.

use crate::common;
use crate::common::{Case, losses};
use bptt::ndarray::{Array2, Array3};
use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Head, Inference, Layers, Loss, Model, Parameters, Readout, Recurrent,
    Sequence, Targets,
};
use pollster::block_on;

fn model(outputs: usize, loss: Loss) -> Model {
    Model::new(Recurrent::new(Cell::Gru, 2, 3), Head::new(outputs, loss, Readout::Final))
}

#[test]
fn meaningless_loss_settings_are_refused_by_name() {
    let huber = |delta| Loss::Huber { delta };
    let quantile = |quantiles: &[f64]| Loss::Quantile { quantiles: quantiles.to_vec() };
    let smoothed = |smoothing| Loss::SmoothedCrossEntropy { smoothing };
    let cases = [
        (huber(0.0), "delta"),
        (huber(-1.0), "delta"),
        (huber(f64::NAN), "delta"),
        (huber(f64::INFINITY), "delta"),
        // Zero in f32, which the GPU computes in.
        (huber(1e-60), "delta"),
        (quantile(&[]), "quantiles: "),
        (quantile(&[0.0, 0.5]), "quantiles[0]"),
        (quantile(&[0.5, 1.0]), "quantiles[1]"),
        (quantile(&[0.5, f64::NAN]), "quantiles[1]"),
        (quantile(&[0.5, 0.25]), "quantiles[1]"),
        (quantile(&[0.25, 0.5, 0.5]), "quantiles[2]"),
        (quantile(&[0.25, 0.5, 0.75, 0.875]), "outputs: expected a multiple of the 4 quantiles"),
        (smoothed(-0.125), "smoothing"),
        (smoothed(1.0), "smoothing"),
        (smoothed(f64::NAN), "smoothing"),
    ];
    for (loss, name) in cases {
        let message = model(6, loss.clone()).validate().unwrap_err().to_string();
        assert!(message.contains(name), "{loss:?}: {message}");
    }
    for loss in losses() {
        model(6, loss).validate().unwrap();
    }
    model(6, smoothed(0.0)).validate().unwrap();
}

#[test]
fn targets_have_one_entry_per_output_or_one_for_all_outputs_of_a_target_and_counts_a_unit_too() {
    let batch = |targets: Targets| Batch::new(Sequence::dense(Array3::zeros((4, 3, 2))), targets);
    let values = |size| batch(Targets::Values(Array3::ones((1, 3, size))));
    let classes = || batch(Targets::Classes(Array2::zeros((1, 3))));
    for loss in losses() {
        let model = model(6, loss.clone());
        if loss.takes_classes() {
            classes().validate(&model).unwrap();
            assert!(values(6).validate(&model).is_err(), "{loss:?}");
            continue;
        }
        let size = match loss {
            Loss::Quantile { .. } | Loss::StudentT => 2,
            Loss::Gaussian => 3,
            _ => 6,
        };
        for other in [2, 3, 6] {
            assert_eq!(values(other).validate(&model).is_ok(), other == size, "{loss:?}, {other}");
        }
        assert!(classes().validate(&model).is_err(), "{loss:?}");
    }
    let message = values(6).validate(&model(6, losses()[5].clone())).unwrap_err().to_string();
    assert!(message.contains("[1, 3, 2]") && message.contains("[1, 3, 6]"), "{message}");
}

#[test]
fn the_serialised_names_of_losses_do_not_change() {
    for (loss, text) in losses().into_iter().zip([
        r#""squared-error""#,
        r#""binary-cross-entropy""#,
        r#""cross-entropy""#,
        r#""absolute-error""#,
        r#"{"huber":{"delta":0.5}}"#,
        r#"{"quantile":{"quantiles":[0.125,0.5,0.75]}}"#,
        r#"{"smoothed-cross-entropy":{"smoothing":0.25}}"#,
        r#""gaussian""#,
        r#""student-t""#,
        r#""negative-binomial""#,
    ]) {
        assert_eq!(serde_json::to_string(&loss).unwrap(), text);
        assert_eq!(serde_json::from_str::<Loss>(text).unwrap(), loss);
    }
}

#[test]
fn outputs_that_are_no_whole_distributions_and_targets_that_are_no_counts_are_refused_by_name() {
    for (outputs, loss, each) in [(3, Loss::Gaussian, 2), (4, Loss::StudentT, 3), (5, Loss::NegativeBinomial, 2)] {
        let message = model(outputs, loss).validate().unwrap_err().to_string();
        assert_eq!(
            message,
            format!("outputs: expected a multiple of the {each} parameters of a distribution, got {outputs}")
        );
    }
    let refused = |place: usize, value: f32| {
        let mut targets = Array3::ones((1, 3, 2));
        targets[[0, 2, place]] = value;
        let batch = Batch::new(Sequence::dense(Array3::zeros((4, 3, 2))), Targets::Values(targets));
        batch
            .clone()
            .weights(Array2::from_elem((1, 3), 1.0) - bptt::ndarray::array![[0.0, 0.0, 1.0]])
            .validate(&model(2, Loss::NegativeBinomial))
            .unwrap();
        batch.validate(&model(2, Loss::NegativeBinomial)).map_err(|error| error.to_string())
    };
    let count = "expected a count: a whole number of at least 0";
    for value in [-1.0, 0.5] {
        assert_eq!(refused(0, value), Err(format!("targets[0, 2, 0]: {count}, got {value}")));
    }
    for value in [0.0, -2.0] {
        let expected = "expected the unit of the count before it: a number above 0";
        assert_eq!(refused(1, value), Err(format!("targets[0, 2, 1]: {expected}, got {value}")));
    }
    assert!(refused(0, f32::NAN).is_err() && refused(1, f32::INFINITY).is_err());
    assert_eq!((refused(0, 0.0), refused(0, 7.0), refused(1, 0.5)), (Ok(()), Ok(()), Ok(())));
}

/// The logits of a case, and the batch's loss as an engine sums it over the batch's divisor.
fn logits_and_mean(case: &Case, batch: &Batch) -> (Array3<f64>, f64) {
    let model = case.model();
    let mut engine = Cpu::<f64>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let logits = block_on(engine.logits(&batch.sequence)).unwrap().logits;
    (logits, block_on(engine.evaluate(batch)).unwrap().loss_sum / batch.total_weight())
}

#[test]
fn a_mean_with_class_weights_divides_by_the_weights_that_occur() {
    let of_class = [0.5, 2.0, 0.0, 0.25];
    for weights in [false, true] {
        let case = Case { loss: Loss::CrossEntropy, ragged: true, weights, ..Case::new(Cell::Gru) };
        let case = case.sizes([5, 4, 2, 3, 4]);
        let plain = case.batch();
        let mut weighted = plain.clone();
        let Targets::Classes(classes) = &mut weighted.targets else { unreachable!() };
        for row in 0..case.rows {
            // A class that does not exist, where there is nothing to predict.
            (plain.sequence.length(row)..case.steps).for_each(|p| classes[[p, row]] = u32::MAX);
        }
        let weighted = weighted.class_weights(&case.model(), &of_class).unwrap();
        let (logits, mean) = logits_and_mean(&case, &weighted);
        let Targets::Classes(classes) = &plain.targets else { unreachable!() };
        let (mut sum, mut total) = (0.0, 0.0);
        for ((p, row), class) in classes.indexed_iter() {
            let a = logits.slice(bptt::ndarray::s![p, row, ..]);
            let weight = f64::from(plain.weight(p, row) * of_class[*class as usize]);
            sum += weight * (a.mapv(f64::exp).sum().ln() - a[*class as usize]);
            total += weight;
        }
        assert!((mean - sum / total).abs() < 1e-13, "{mean} {}", sum / total);
        assert_eq!(weighted.total_weight(), total);
    }
}

#[test]
fn mean_pooling_averages_each_rows_own_steps() {
    for bidirectional in [false, true] {
        let case =
            Case { at: Readout::MeanPool, ragged: true, bidirectional, ..Case::new(Cell::Lstm) }.sizes([5, 9, 2, 3, 2]);
        let model = case.model();
        let mut engine = Cpu::<f64>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
        let parameters: Vec<f64> = case.parameters(&model);
        engine.set_parameters(&parameters).unwrap();
        let output = block_on(engine.forward(&case.sequence())).unwrap().output;
        let logits = block_on(engine.logits(&case.sequence::<f32>())).unwrap().logits;
        let by_name = common::by_name(engine.layout(), &parameters, "");
        let tensor = |name: &str| &by_name.iter().find(|(other, _)| other == name).unwrap().1;
        for (row, length) in case.lengths().unwrap().into_iter().enumerate() {
            for o in 0..case.outputs {
                let features = (0..output.dim().2).map(|j| {
                    tensor("head.weight")[[o, j]] * (0..length).map(|t| output[[t, row, j]]).sum::<f64>()
                        / length as f64
                });
                let want = tensor("head.bias")[[o]] + features.sum::<f64>();
                assert!((logits[[0, row, o]] - want).abs() < 1e-14, "row {row}: {} {want}", logits[[0, row, o]]);
            }
        }
    }
}

#[test]
fn mismatched_class_weights_are_refused_by_name() {
    let case = Case { loss: Loss::CrossEntropy, ..Case::new(Cell::Gru) };
    let refused = |case: &Case, of_class: &[f32], name: &str| {
        let message = case.batch().class_weights(&case.model(), of_class).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    };
    refused(&case, &[1.0], "class_weights");
    refused(&case, &[1.0, -1.0], "class_weights[1]");
    refused(&case, &[f32::NAN, 1.0], "class_weights[0]");
    refused(&Case::new(Cell::Gru), &[1.0, 1.0], "classes");
}
