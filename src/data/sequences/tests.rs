//! Labelled sequences as batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, array};

use super::*;
use crate::batch::{Input, Sequence, Targets};
use crate::data::{Examples, PackedSequences, Scaling};
use crate::model::{Cell, Head, Loss, Model, Readout, Recurrent};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).into()).collect()
}

fn three(labels: Labels) -> Arc<LabelledSequences> {
    let sequences = vec![array![[1.0, 10.0]], array![[2.0, 20.0], [3.0, 30.0]], array![[4.0, 40.0]]];
    Arc::new(LabelledSequences::new(SequenceInputs::dense(sequences), labels))
}

#[test]
fn a_batch_holds_its_sequences_with_lengths_and_zero_padding() {
    let labelled = three(Labels::Classes { names: names(&["a", "b", "c"]), of: vec![2, 0, 1] });
    let subset = Subset::new(labelled, vec![2, 1]).unwrap();
    let batch = subset.batch(&[1, 0], 3).unwrap();
    let x = array![[[2.0, 20.0], [4.0, 40.0]], [[3.0, 30.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]];
    assert_eq!(batch.sequence, Sequence::dense(x).lengths(vec![2, 1]));
    assert_eq!(batch.targets, Targets::Classes(array![[0, 1]]));
    assert_eq!(subset.batch(&[0], 1).unwrap().sequence.lengths, None);
}

#[test]
fn a_sequence_has_the_weight_of_its_class() {
    for classes in [&["a", "b"][..], &["a", "b", "c"]] {
        let labelled = three(Labels::Classes { names: names(classes), of: vec![1, 0, 1] });
        let subset = Subset::new(labelled, vec![2, 1]).unwrap();
        assert_eq!(subset.batch(&[0, 1], 2).unwrap().weights, None);
        let of_class = [4.0, 0.5, 2.0][..classes.len()].to_vec();
        let weighted = subset.clone().class_weights(of_class.clone()).unwrap().batch(&[1, 0], 2).unwrap();
        assert_eq!(weighted.weights, Some(array![[4.0, 0.5]]));
        let unweighted = subset.batch(&[1, 0], 2).unwrap();
        assert_eq!(weighted.targets, unweighted.targets);
        if classes.len() == 3 {
            let labels = Labels::Classes { names: names(classes), of: Vec::new() };
            let model = Model::new(Recurrent::new(Cell::Gru, 2, 1), labels.head().unwrap());
            assert_eq!(weighted, unweighted.class_weights(&model, &of_class).unwrap());
        }
    }
    let subset = |labels| Subset::new(three(labels), vec![0]).unwrap();
    let classes = || subset(Labels::Classes { names: names(&["a", "b"]), of: vec![1, 0, 1] });
    assert!(classes().class_weights(vec![1.0]).is_err());
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        let error = classes().class_weights(vec![1.0, weight]).unwrap_err().to_string();
        assert!(error.starts_with("class_weights[1]: expected a finite number"), "{error}");
    }
    assert!(subset(Labels::Values(array![[1.0], [2.0], [3.0]])).class_weights(vec![1.0]).is_err());
}

#[test]
fn smoothing_moves_binary_targets_towards_each_other() {
    let labelled = three(Labels::Classes { names: names(&["a", "b"]), of: vec![1, 0, 1] });
    let subset = Subset::new(labelled, vec![0, 1]).unwrap();
    let smoothed = subset.clone().smoothing(0.2).unwrap().batch(&[0, 1], 2).unwrap();
    assert_eq!(smoothed.targets, Targets::Values(array![[[0.9], [0.1]]]));
    for smoothing in [-0.1, 1.0, f64::NAN] {
        assert!(subset.clone().smoothing(smoothing).is_err());
    }
}

#[test]
fn tokens_are_padded_too() {
    let input = SequenceInputs::Tokens(vec![vec![5, 6, 7], vec![8]]);
    let subset = Subset::new(Arc::new(LabelledSequences::new(input, Labels::None)), vec![0, 1]).unwrap();
    let batch = subset.batch(&[0, 1], 3).unwrap();
    assert_eq!(batch.sequence.input, Input::Tokens(array![[5, 8], [6, 0], [7, 0]]));
    assert_eq!(batch.total_weight(), 0.0);
}

#[test]
fn every_kind_of_label_fits_its_head() {
    let kinds = [
        (Labels::from_names(&["no", "yes", "no"]), Loss::BinaryCrossEntropy, 1),
        (Labels::from_names(&["a", "b", "c"]), Loss::CrossEntropy, 3),
        (Labels::Values(array![[1.0, -2.0], [0.5, 3.0], [0.0, 0.0]]), Loss::SquaredError, 2),
    ];
    for (labels, loss, outputs) in kinds {
        let head = labels.head().unwrap();
        assert_eq!(head, Head::new(outputs, loss, Readout::Final));
        let subset = Subset::new(three(labels), vec![0, 1, 2]).unwrap();
        let model = Model::new(Recurrent::new(Cell::Gru, 2, 3), head);
        subset.batch(&[2, 0, 1], 2).unwrap().validate(&model).unwrap();
    }
    assert!(Labels::from_names(&["a", "a"]).head().unwrap_err().to_string().contains("at least 2"));
    assert!(Labels::None.head().is_err());
}

#[test]
fn two_classes_are_predicted_by_the_probability_of_the_second() {
    let subset = Subset::new(three(Labels::from_names(&["yes", "no", "no"])), vec![1, 0]).unwrap();
    assert_eq!(subset.batch(&[0, 1], 2).unwrap().targets, Targets::Values(array![[[0.0], [1.0]]]));
}

#[test]
fn values_belong_to_their_sequences() {
    let values = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
    let subset = Subset::new(three(Labels::Values(values)), vec![2, 0]).unwrap();
    let targets = Targets::Values(array![[[1.0, 2.0], [5.0, 6.0]]]);
    assert_eq!(subset.batch(&[1, 0], 1).unwrap().targets, targets);
}

#[test]
fn numeric_names_sort_as_numbers() {
    let order = |of: &[&str]| match Labels::from_names(of) {
        Labels::Classes { names, .. } => names,
        other => panic!("{other:?}"),
    };
    assert_eq!(order(&["10", "9", "-1", "9"]), ["-1", "9", "10"]);
    assert_eq!(order(&["10", "9", "x"]), ["10", "9", "x"]);
}

#[test]
fn renumbered_labels_keep_their_names() {
    let mut labels = Labels::from_names(&["b", "c", "b"]);
    labels.renumber(&names(&["c", "a", "b"])).unwrap();
    assert_eq!(labels, Labels::Classes { names: names(&["c", "a", "b"]), of: vec![2, 0, 2] });
    let error = labels.renumber(&names(&["a", "b"])).unwrap_err().to_string();
    assert_eq!(error, "the label of sequence 2: expected one of a, b, got \"c\"");
    assert!(Labels::Values(array![[1.0]]).renumber(&[]).is_err());
    Labels::None.renumber(&[]).unwrap();
}

#[test]
fn counts_cover_only_the_subset() {
    let labelled = three(Labels::Classes { names: names(&["a", "b", "unused"]), of: vec![0, 1, 1] });
    let subset = Subset::new(labelled.clone(), vec![1, 2]).unwrap();
    assert_eq!(subset.class_counts(), [0, 2, 0]);
    assert_eq!(subset.lengths(), BTreeMap::from([(1, 1), (2, 1)]));
    assert_eq!(Subset::new(labelled.clone(), vec![]).unwrap().class_counts(), [0, 0, 0]);
    let error = Subset::new(labelled, vec![0, 3]).unwrap_err().to_string();
    assert_eq!(error, "a sequence of the subset: expected an index below 3, got 3");
}

#[test]
fn each_dimension_is_scaled_separately() {
    let labelled = three(Labels::None);
    assert_eq!(labelled.input.values(&[1, 2], 1).collect::<Vec<_>>(), [20.0, 30.0, 40.0]);
    let [one, two] = [(1.0, 1.0), (10.0, 5.0)].map(|(offset, unit)| Scaling { offset, unit });
    let steps = LabelledSequences::clone(&labelled).scaled(&[one, two]).unwrap().input;
    assert_eq!(steps.values(&[0, 1], 0).collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
    assert_eq!(steps.values(&[0, 1], 1).collect::<Vec<_>>(), [0.0, 2.0, 4.0]);
    assert_eq!(steps.values(&[0, 9], 2).count(), 0);
    assert!(LabelledSequences::clone(&labelled).scaled(&[one]).unwrap_err().to_string().contains("the scalings"));
}

#[test]
fn small_differences_of_large_numbers_survive_scaling() {
    let numbers = array![[1e8, 1e300], [1e8 + 1.0, f64::NAN], [1e8 + 2.0, -1e300]];
    let labelled = LabelledSequences::new(SequenceInputs::wide(vec![numbers]), Labels::None);
    let [one, two] = [(1e8, 2.0), (0.0, 1e300)].map(|(offset, unit)| Scaling { offset, unit });
    let mut scaled = labelled.clone().scaled(&[one, two]).unwrap();
    scaled.mask();
    let expected = array![[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 1.0], [1.0, -1.0, 0.0, 0.0]];
    assert_eq!(scaled.input, SequenceInputs::dense(vec![expected]));
    let named = LabelledSequences { ids: names(&["x"]), dimensions: names(&["a", "b"]), ..labelled.clone() };
    let error = named.scaled(&[one, one]).unwrap_err().to_string();
    assert!(error.starts_with("sequence 1 (id \"x\"), step 1, dimension \"b\": expected a number"), "{error}");
    let error = labelled.scaled(&[one, one]).unwrap_err().to_string();
    assert!(
        error.starts_with("sequence 1, step 1, dimension 2: expected a number within f32 in units of 2"),
        "{error}"
    );
}

#[test]
fn batches_convert_the_values_read_to_f32() {
    let steps = SequenceInputs::wide(vec![array![[0.1], [0.2]], array![[0.3]]]);
    let subset = Subset::new(Arc::new(LabelledSequences::new(steps, Labels::None)), vec![0, 1]).unwrap();
    let x = array![[[0.1], [0.3]], [[0.2], [0.0]]];
    assert_eq!(subset.batch(&[0, 1], 2).unwrap().sequence, Sequence::dense(x).lengths(vec![2, 1]));
    let refused =
        |input, labels| Subset::new(Arc::new(LabelledSequences::new(input, labels)), vec![0]).unwrap_err().to_string();
    let beyond = refused(SequenceInputs::wide(vec![array![[1.0], [1e39]]]), Labels::None);
    assert!(beyond.starts_with("sequence 1, step 2, dimension 1: expected a number within f32"), "{beyond}");
    let beyond = refused(SequenceInputs::wide(vec![array![[1.0]]]), Labels::Values(array![[-1e39]]));
    assert!(beyond.starts_with("the label of sequence 1: expected a number within f32"), "{beyond}");
}

#[test]
fn dimensions_are_matched_by_name_if_they_have_names() {
    let mut labelled =
        LabelledSequences::new(SequenceInputs::dense(vec![array![[1.0, 2.0], [3.0, 4.0]]]), Labels::None);
    labelled.arrange(&names(&["b", "a"])).unwrap();
    labelled.dimensions = names(&["a", "b"]);
    labelled.arrange(&[]).unwrap();
    labelled.arrange(&names(&["b", "a"])).unwrap();
    assert_eq!(labelled.input, SequenceInputs::dense(vec![array![[2.0, 1.0], [4.0, 3.0]]]));
    assert_eq!(labelled.dimensions, ["b", "a"]);
    for known in [&["b"][..], &["b", "c"], &["b", "a", "c"]] {
        let error = labelled.arrange(&names(known)).unwrap_err().to_string();
        assert_eq!(error, format!("the dimensions: expected {}, got b, a", known.join(", ")));
    }
}

#[test]
fn a_mask_separates_missing_values_from_0() {
    let mut labelled =
        LabelledSequences::new(SequenceInputs::dense(vec![array![[0.0, f32::NAN], [f32::NAN, 5.0]]]), Labels::None);
    labelled.dimensions = names(&["a", "b"]);
    assert!(labelled.validate().unwrap_err().to_string().contains("step 1, dimension 2: expected a finite number"));
    labelled.mask();
    assert_eq!(labelled.input, SequenceInputs::dense(vec![array![[0.0, 0.0, 0.0, 1.0], [0.0, 5.0, 1.0, 0.0]]]));
    assert_eq!(labelled.dimensions, ["a", "b", "a, missing", "b, missing"]);
    labelled.validate().unwrap();
}

#[test]
fn mismatched_inputs_are_refused() {
    let refused = |sequences: Vec<Array2<f32>>, labels: Labels| {
        let labelled = LabelledSequences::new(SequenceInputs::dense(sequences), labels);
        Subset::new(Arc::new(labelled), vec![]).unwrap_err().to_string()
    };
    let one = || vec![array![[1.0]]];
    assert_eq!(refused(vec![Array2::zeros((0, 1))], Labels::None), "sequence 1: expected at least 1 step, got 0");
    assert!(refused(vec![Array2::zeros((1, 0))], Labels::None).contains("at least 1"));
    let wide = PackedSequences::try_from(vec![array![[1.0]], array![[1.0, 2.0]]]).unwrap_err().to_string();
    assert_eq!(wide, "sequence 2: expected shape [1, 1], got [1, 2]");
    let infinite = refused(vec![array![[1.0], [f32::INFINITY]]], Labels::None);
    assert_eq!(infinite, "sequence 1, step 2, dimension 1: expected a finite number, got inf");
    assert!(refused(one(), Labels::from_names(&["a", "b"])).contains("one for each of 1 sequences, got 2"));
    let outside = refused(one(), Labels::Classes { names: names(&["a", "b"]), of: vec![2] });
    assert_eq!(outside, "the label of sequence 1: expected a class below 2, got 2");
    assert!(refused(one(), Labels::Values(array![[1.0], [2.0]])).contains("[2, 1]"));
    assert!(refused(one(), Labels::Values(array![[f64::NAN]])).contains("NaN"));
    let named = LabelledSequences {
        ids: names(&["a", "b"]),
        ..LabelledSequences::new(SequenceInputs::dense(one()), Labels::None)
    };
    assert_eq!(named.validate().unwrap_err().to_string(), "the ids: expected none or 1, got 2");
}

/// Sequences of 1, 2 and 1 steps with a label at each.
fn at_steps(labels: Labels) -> LabelledSequences {
    Arc::unwrap_or_clone(three(labels)).labels_per(LabelsPer::Step)
}

#[test]
fn a_step_has_its_own_target_and_a_missing_one_has_weight_0() {
    const MISSING: u32 = Labels::MISSING;
    let labelled = |names_of: &[&str], of: Vec<u32>| at_steps(Labels::Classes { names: names(names_of), of });
    let subset = |labelled: LabelledSequences| Subset::new(Arc::new(labelled), vec![0, 1, 2]).unwrap();
    let whole = subset(labelled(&["a", "b", "c"], vec![2, 0, 1, 2]));
    let batch = whole.batch(&[2, 1], 2).unwrap();
    assert_eq!((batch.targets, batch.weights), (Targets::Classes(array![[2, 0], [0, 1]]), None));
    let gaps = labelled(&["a", "b", "c"], vec![MISSING, MISSING, 1, 2]);
    let head = gaps.head().unwrap();
    assert_eq!(head, Head::new(3, Loss::CrossEntropy, Readout::PerStep));
    let gaps = subset(gaps);
    let batch = gaps.batch(&[1, 2], 2).unwrap();
    batch.validate(&Model::new(Recurrent::new(Cell::Gru, 2, 3), head)).unwrap();
    assert_eq!(batch.targets, Targets::Classes(array![[0, 2], [1, 0]]));
    assert_eq!((batch.total_weight(), batch.weight(0, 0), batch.weight(1, 0)), (2.0, 0.0, 1.0));
    assert_eq!((gaps.class_counts(), gaps.label_count()), (vec![0, 1, 1], 2));
    assert_eq!(gaps.clone().labelled_only().sequences(), [1, 2]);
    let weighted = gaps.class_weights(vec![1.0, 3.0, 0.5]).unwrap().batch(&[1, 2], 2).unwrap();
    assert_eq!(weighted.weights, Some(array![[0.0, 0.5], [3.0, 0.0]]));
    let two = subset(labelled(&["a", "b"], vec![1, MISSING, 1, 0])).batch(&[1, 0], 2).unwrap();
    assert_eq!(two.targets, Targets::Values(array![[[0.0], [1.0]], [[1.0], [0.0]]]));
    let nan = f64::NAN;
    let values = subset(at_steps(Labels::Values(array![[1.0, 2.0], [nan, nan], [3.0, 4.0], [5.0, 6.0]])));
    let batch = values.batch(&[1], 2).unwrap();
    assert_eq!(
        (batch.targets, batch.weights),
        (Targets::Values(array![[[0.0, 0.0]], [[3.0, 4.0]]]), Some(array![[0.0], [1.0]]))
    );
}

#[test]
fn wrong_labels_of_steps_are_named_by_sequence_and_step() {
    let error = |labels: Labels| at_steps(labels).validate().unwrap_err().to_string();
    let classes = |of: Vec<u32>| Labels::Classes { names: names(&["a", "b"]), of };
    assert_eq!(error(classes(vec![0, 1, 0])), "the labels: expected one for each of 4 steps, got 3");
    assert_eq!(error(classes(vec![0, 1, 2, 0])), "the label of sequence 2, step 2: expected a class below 2, got 2");
    let nan = f64::NAN;
    let some = error(Labels::Values(array![[0.0, 0.0], [nan, 1.0], [0.0, 0.0], [0.0, 0.0]]));
    assert_eq!(some, "the label of sequence 2, step 1: expected a finite number, got NaN");
    at_steps(classes(vec![0, Labels::MISSING, 1, 0])).validate().unwrap();
    // A sequence as a whole has a label.
    let whole = three(classes(vec![0, Labels::MISSING, 1]));
    assert!(whole.validate().unwrap_err().to_string().starts_with("the label of sequence 2: expected a class below 2"));
    assert!(three(Labels::Values(array![[0.0], [nan], [0.0]])).validate().is_err());
}

#[test]
fn a_missing_label_decides_neither_classes_nor_values() {
    let nan = f64::NAN;
    let steps = |values: &[f64]| {
        let input = SequenceInputs::dense(vec![Array2::zeros((values.len(), 1))]);
        let values = Array2::from_shape_vec((values.len(), 1), values.to_vec()).unwrap();
        LabelledSequences::new(input, Labels::Values(values)).labels_per(LabelsPer::Step)
    };
    let classes = steps(&[1.0, nan, 0.0, 1.0]).labels_as(None).unwrap();
    assert_eq!(classes.labels, Labels::Classes { names: names(&["0", "1"]), of: vec![1, Labels::MISSING, 0, 1] });
    let values = steps(&[1.0, nan, 0.5, 1.0]).labels_as(None).unwrap();
    assert!(matches!(&values.labels, Labels::Values(values) if values[[1, 0]].is_nan() && values[[2, 0]] == 0.5));
    let mut renumbered = classes.labels;
    renumbered.renumber(&names(&["1", "0"])).unwrap();
    assert_eq!(renumbered, Labels::Classes { names: names(&["1", "0"]), of: vec![0, Labels::MISSING, 1, 0] });
    assert_eq!(steps(&[nan, nan]).labels_as(None).unwrap().labels, Labels::None);
}
