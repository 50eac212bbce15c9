//! The root of the chain of trust: the CPU backend in f64 against central differences of its own loss.

use crate::common::{CELLS, Case, Named, PLACES, assert_close, by_name, losses, masks, pairwise, projected, trained};
use bptt::ndarray::ArrayD;
use bptt::{
    Backend, Batch, Cell, Cpu, CpuEngine, EngineOptions, Input, Layers, Loss, Optimizer, OptimizerStep, Parameters,
    States, Training,
};
use pollster::block_on;

/// The step, exact beside the f32 inputs. What a central difference leaves out is of the order of its square, 6e-11;
/// its rounding, of 1e-16 over it. It is also far below the distance of this data from relu's kink.
const STEP: f64 = 1.0 / 131_072.0;

/// Relative to elements of at least 1e-3: what lies below is rounding of the difference.
const RELATIVE: f64 = 1e-6;
const FLOOR: f64 = 1e-3;

/// (f(+step) − f(−step)) / 2·step, for each element of the array that `place` finds.
fn differences<T>(
    subject: &mut T,
    len: usize,
    nudge: impl Fn(&mut T, usize, f64),
    loss: impl Fn(&mut T) -> f64,
) -> Vec<f64> {
    let mut difference = |index| {
        nudge(subject, index, STEP);
        let above = loss(subject);
        nudge(subject, index, -2.0 * STEP);
        let below = loss(subject);
        nudge(subject, index, STEP);
        (above - below) / (2.0 * STEP)
    };
    (0..len).map(&mut difference).collect()
}

/// Σ w·loss through the masks of the first step, where training reads it: an evaluation drops nothing.
fn evaluate(engine: &mut CpuEngine<f64>, batch: &Batch) -> f64 {
    engine.set_dropout(masks(1));
    block_on(engine.accumulate(batch, None)).unwrap();
    block_on(engine.update(&OptimizerStep::new(Optimizer::sgd(0.0), 1, 1.0))).unwrap();
    block_on(engine.report()).unwrap().unwrap().loss
}

/// Every named gradient, dx, dh_0 and dc_0, under the names that [`trained`] gives them.
fn by_differences(case: &Case) -> Named {
    let model = case.model();
    let options = EngineOptions::default().optimizer(Optimizer::sgd(0.0).kind);
    let mut engine = Cpu::<f64>::with_threads(1).unwrap().engine(&model, &options).unwrap();
    let (mut block, mut batch): (Vec<f64>, _) = (case.parameters(&model), case.batch());
    engine.set_parameters(&block).unwrap();
    let mut named = Named::new();
    {
        let len = block.len();
        let loss = |block: &mut Vec<f64>, engine: &mut CpuEngine<f64>| {
            engine.set_parameters(block).unwrap();
            evaluate(engine, &batch)
        };
        let mut subject = (&mut block, &mut engine);
        let nudge = |subject: &mut (&mut Vec<f64>, &mut CpuEngine<f64>), index, by| subject.0[index] += by;
        let gradient = differences(&mut subject, len, nudge, |(block, engine)| loss(block, engine));
        named.extend(by_name(engine.layout(), &gradient, "d "));
    }
    let shaped = |shape: &[usize], values| ArrayD::from_shape_vec(shape, values).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let engine = std::cell::RefCell::new(engine);
    let loss = |batch: &mut Batch| evaluate(&mut engine.borrow_mut(), batch);
    if let Input::Dense(x) = &batch.sequence.input {
        let (shape, len) = (x.shape().to_vec(), x.len());
        let nudge = |batch: &mut Batch, index, by: f64| match &mut batch.sequence.input {
            Input::Dense(x) => x.as_slice_mut().unwrap()[index] += by as f32,
            _ => unreachable!("dx is that of numbers"),
        };
        named.push(("dx".into(), shaped(&shape, differences(&mut batch, len, nudge, loss))));
    }
    let states: States<f32> = case.states(2);
    let nudge_h = |batch: &mut Batch, index: usize, by: f64| {
        batch.sequence.initial.as_mut().unwrap().h.as_slice_mut().unwrap()[index] += by as f32;
    };
    named.push(("dh_0".into(), shaped(states.h.shape(), differences(&mut batch, states.h.len(), nudge_h, loss))));
    if let Some(c) = &states.c {
        let nudge_c = |batch: &mut Batch, index: usize, by: f64| {
            batch.sequence.initial.as_mut().unwrap().c.as_mut().unwrap().as_slice_mut().unwrap()[index] += by as f32;
        };
        named.push(("dc_0".into(), shaped(c.shape(), differences(&mut batch, c.len(), nudge_c, loss))));
    }
    named
}

pub(crate) fn check(case: &Case) {
    let analytic = trained(&Cpu::<f64>::with_threads(1).unwrap(), case, None, Optimizer::sgd(0.1), 0);
    for (name, want) in by_differences(case) {
        let (_, got) = analytic.iter().find(|(other, _)| *other == name).unwrap();
        // A likelihood of counts sums more and larger terms, and rounds more.
        let floor = if case.loss == Loss::NegativeBinomial { 4.0 * FLOOR } else { FLOOR };
        assert_close(&format!("{case}: {name}"), got, &want, RELATIVE, floor);
    }
}

/// Directions, layers, rows of one and of several lengths, dropout, losses and places in full.
fn check_all(cell: Cell) {
    for (bidirectional, ragged, dropped) in (0..8).map(|bits| (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0)) {
        for layers in 1..=3 {
            for loss in losses() {
                for at in PLACES {
                    let between = if layers > 1 { 0.3 } else { 0.0 };
                    let dropout = if dropped { (between, 0.4) } else { (0.0, 0.0) };
                    // Weights go with two layers, so that each is also seen without the other.
                    let weights = layers == 2;
                    let case = Case { bidirectional, layers, ragged, at, weights, dropout, ..Case::new(cell) };
                    check(&case.with_loss(loss.clone()));
                }
            }
        }
    }
}

#[test]
fn gradients_of_projected_lstms_equal_finite_differences() {
    let small = |case: Case| {
        let (hidden, proj_size) = (case.hidden.min(6), case.proj_size.map(|size| size.min(5)));
        Case { steps: case.steps.min(5), rows: case.rows.min(3), hidden, proj_size, initial: true, ..case }
    };
    for case in projected() {
        let case = small(case);
        check(&if case.is_tied() { case.tied(5) } else { case });
    }
}

#[test]
fn tanh_rnn_gradients_equal_finite_differences() {
    check_all(CELLS[0]);
}

#[test]
fn relu_rnn_gradients_equal_finite_differences() {
    check_all(CELLS[1]);
}

#[test]
fn sigmoid_rnn_gradients_equal_finite_differences() {
    check_all(CELLS[2]);
}

#[test]
fn linear_rnn_gradients_equal_finite_differences() {
    check_all(CELLS[3]);
}

#[test]
fn lstm_gradients_equal_finite_differences() {
    check_all(CELLS[4]);
}

#[test]
fn gru_gradients_equal_finite_differences() {
    check_all(CELLS[5]);
}

#[test]
fn gradients_with_resets_equal_finite_differences() {
    for cell in CELLS {
        for bidirectional in [false, true] {
            for ragged in [false, true] {
                let case = Case { resets: true, layers: 2, bidirectional, ragged, ..Case::new(cell) };
                check(&case.sizes([6, 3, 2, 3, 2]));
            }
        }
    }
}

#[test]
fn gradients_of_the_reverse_direction_equal_finite_differences() {
    for cell in CELLS {
        let reverse = Case { reverse: true, ..Case::new(cell) };
        for (ragged, layers) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
            for at in PLACES {
                check(&Case { ragged, layers, at, weights: true, ..reverse.clone() });
            }
        }
        let more = Case { ragged: true, layers: 3, ..reverse };
        check(&Case { resets: true, dropout: (0.3, 0.4), ..more.clone() }.sizes([6, 3, 2, 3, 2]));
        check(&more.clone().sizes([5, 3, 3, 2, 2]).embedded(4));
        check(&more.sizes([5, 3, 3, 2, 2]).tied(4));
    }
}

#[test]
fn gradients_from_tokens_equal_finite_differences() {
    for cell in CELLS {
        for ragged in [false, true] {
            check(&Case { tokens: true, ragged, bidirectional: true, ..Case::new(cell) }.sizes([5, 3, 4, 3, 2]));
        }
    }
}

#[test]
fn embedding_gradients_equal_finite_differences() {
    for cell in CELLS {
        for bidirectional in [false, true] {
            for ragged in [false, true] {
                for at in PLACES {
                    let case = Case { bidirectional, ragged, at, layers: 2, ..Case::new(cell) };
                    let case = Case { dropout: (0.3, 0.2), ..case }.sizes([5, 3, 3, 2, 2]);
                    check(&case.clone().embedded(4));
                    check(&case.tied(4));
                }
            }
        }
    }
}

#[test]
fn gradients_through_masks_with_several_documents_per_row_equal_finite_differences() {
    for cell in CELLS {
        for bidirectional in [false, true] {
            let case = Case { resets: true, ragged: true, layers: 3, bidirectional, ..Case::new(cell) };
            check(&Case { dropout: (0.4, 0.3), ..case }.sizes([5, 3, 2, 5, 2]));
        }
    }
}

#[test]
fn gradients_of_every_pair_of_options_equal_finite_differences() {
    for case in pairwise([4, 3, 3, 3, 2]) {
        check(&Case { initial: true, ..case });
    }
}

#[test]
fn the_table_covers_every_pair_of_options() {
    // Each choice by a name and its number; what cannot be together is left out.
    let choices = |case: &Case| {
        let place = |list: &[bool]| list.iter().position(|it| *it).unwrap();
        let losses = losses();
        [
            place(&CELLS.map(|cell| cell == case.cell)),
            place(&losses.map(|loss| loss == case.loss)),
            place(&PLACES.map(|at| at == case.at)),
            case.layers - 1,
            case.reduction as usize,
            usize::from(case.bidirectional),
            usize::from(case.bias),
            usize::from(case.ragged),
            usize::from(case.resets),
            usize::from(case.tokens) + usize::from(case.embedding.is_some()),
            usize::from(case.weights),
            usize::from(case.initial),
            usize::from(case.dropout.0 > 0.0),
            usize::from(case.dropout.1 > 0.0),
        ]
    };
    let counts = [6, 7, 3, 3, 3, 2, 2, 2, 2, 3, 2, 2, 2, 2];
    let rows: Vec<_> = pairwise([4, 3, 3, 3, 2]).iter().map(choices).collect();
    for (first, second) in (0..counts.len()).flat_map(|second| (0..second).map(move |first| (first, second))) {
        for (one, other) in (0..counts[first]).flat_map(|one| (0..counts[second]).map(move |other| (one, other))) {
            // One layer and dropout between layers.
            let possible = (first, one, second, other) != (3, 0, 12, 1);
            let there = rows.iter().any(|row| row[first] == one && row[second] == other);
            assert_eq!(there, possible, "choices {first} = {one} and {second} = {other}");
        }
    }
}
