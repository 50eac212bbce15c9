//! What dropout claims beside its gradients: which masks there are, that every path, kernel and cut draws the same
//! ones, and that nothing but training sees them.

use crate::common;
use crate::common::gpu::{gpu, open};
use crate::common::{CELLS, Case, Named, assert_all_close, assert_close, assert_same_bits, masks, raw, wide};
use bptt::gpu::{GpuOptions, Tiles};
use bptt::ndarray::{Array2, Array3, ArrayD, Axis, Zip, s};
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, DropoutKey, EngineOptions, Inference, Layers, Layout, Model, Optimizer,
    Parameters, Real, Recurrent, RecurrentKernel, Sequence, StatefulRows, States, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

const MASKS: DropoutKey = DropoutKey { seed: 0xfeed_beef_0123_4567, step: 3, first_row: 5 };

/// A flat block, 0 but for what `set` writes into the tensor of each name, \[rows, columns\] or \[1, ·\].
fn block<R: Real>(model: &Model, set: impl Fn(&str, &mut Array2<R>)) -> Vec<R> {
    let tensors = Layout::new(model).tensors().to_vec();
    let blocks = tensors.iter().flat_map(|tensor| {
        let columns = *tensor.shape.last().unwrap();
        let mut values = Array2::from_elem((tensor.len() / columns, columns), R::zero());
        set(&tensor.name, &mut values);
        values.into_iter()
    });
    blocks.collect()
}

/// Which outputs of layer `layer` reach the layer above, \[T, B, D·H\]: that layer puts out 1 everywhere, and the one
/// above, the last, hands on what it reads, each direction its part.
fn kept_between<B: Backend>(
    backend: &B,
    [layer, steps, rows, hidden]: [usize; 4],
    options: &EngineOptions,
    masks: DropoutKey,
) -> Array3<bool> {
    let recurrent = Recurrent::new(Cell::Rnn(Activation::Identity), 1, hidden).layers(layer + 2).bidirectional(true);
    let model = Model::headless(recurrent.dropout(0.5));
    let mut engine = backend.engine(&model, options).unwrap();
    let (below, above) = (format!("l{layer}"), format!("l{}", layer + 1));
    engine
        .set_parameters(&block(&model, |name, values| {
            let one = <B::Engine as Parameters>::Real::from_f64(1.0);
            if name.starts_with("rnn.bias_ih") && name.contains(&below) {
                values.fill(one);
            } else if name.starts_with("rnn.weight_ih") && name.contains(&above) {
                let first = if name.ends_with("reverse") { hidden } else { 0 };
                values.slice_mut(s![.., first..first + hidden]).diag_mut().fill(one);
            }
        }))
        .unwrap();
    engine.set_dropout(Some(masks));
    let x = Array3::from_elem((steps, rows, 1), <B::Engine as Parameters>::Real::from_f64(0.0));
    let output = block_on(engine.forward(&Sequence::dense(x))).unwrap().output;
    output.mapv(|value| {
        // 0, or 1 / (1 − ½).
        assert!(value.as_f64() == 0.0 || value.as_f64() == 2.0, "{value:?}");
        value.as_f64() != 0.0
    })
}

/// Which units of h_{t−1} enter the product at each step, \[T, B, D·H\]: each unit hands its own on to itself, from 1,
/// and stays at 0 once it was dropped.
fn kept_recurrent<B: Backend>(
    backend: &B,
    cell: Cell,
    [steps, rows, hidden]: [usize; 3],
    options: &EngineOptions,
    masks: DropoutKey,
) -> Array3<bool> {
    let real = <B::Engine as Parameters>::Real::from_f64;
    let recurrent = Recurrent::new(cell, 1, hidden).bidirectional(true).recurrent_dropout(0.5);
    let model = Model::headless(recurrent.clone());
    let mut engine = backend.engine(&model, options).unwrap();
    // The gate that h goes through, and those that are held open or closed.
    let (through, held): (usize, &[(usize, f64)]) = match cell {
        Cell::Rnn(_) => (0, &[]),
        Cell::Lstm => (2, &[(0, 100.0), (1, -100.0), (3, 100.0)]),
        Cell::Gru => (2, &[(1, -100.0)]),
        other => unreachable!("{other:?}"),
    };
    engine
        .set_parameters(&block(&model, |name, values| {
            if name.starts_with("rnn.weight_hh") {
                values.slice_mut(s![through * hidden..(through + 1) * hidden, ..]).diag_mut().fill(real(1.0));
            } else if name.starts_with("rnn.bias_hh") {
                for (gate, bias) in held {
                    values.slice_mut(s![.., gate * hidden..(gate + 1) * hidden]).fill(real(*bias));
                }
            }
        }))
        .unwrap();
    let ones = || Array3::from_elem((recurrent.num_layer_directions(), rows, hidden), real(1.0));
    let initial = States { h: ones(), c: recurrent.cell.has_cell_state().then(ones) };
    engine.set_dropout(Some(masks));
    let x = Array3::from_elem((steps, rows, 1), real(0.0));
    let output = block_on(engine.forward(&Sequence::dense(x).initial(initial))).unwrap().output;
    output.mapv(|value| {
        // A driver's tanh(0) need not be 0, but it is nowhere near what a kept unit comes to.
        assert!(value.as_f64().abs() < 1e-6 || value.as_f64() > 0.1, "{value:?}");
        value.as_f64() > 0.1
    })
}

/// The GPU backends that there are: either kind of tiles.
fn gpus() -> Vec<bptt::Gpu> {
    let of = |tiles| open(GpuOptions::default().tiles(tiles));
    [Tiles::Hardware, Tiles::Software].into_iter().filter_map(of).collect()
}

/// 33 rows and 37 units fill neither a tile nor a vec4.
#[test]
fn masks_between_layers_are_the_same_on_every_backend_for_any_chunk_length() {
    for layer in [0, 1] {
        let sizes = [layer, 5, 33, 37];
        let want = kept_between(&Cpu::<f64>::default(), sizes, &EngineOptions::default(), MASKS);
        assert_eq!(kept_between(&Cpu::<f32>::default(), sizes, &EngineOptions::default(), MASKS), want);
        for gpu in gpus() {
            for chunk in [None, Some(1), Some(3)] {
                let options = EngineOptions::default().chunk(chunk);
                assert_eq!(kept_between(&gpu, sizes, &options, MASKS), want, "layer {layer}, chunk {chunk:?}");
            }
        }
    }
}

#[test]
fn recurrent_masks_are_the_same_on_every_backend_cell_kernel_and_step() {
    let sizes = [4, 33, 37];
    let plain = EngineOptions::default();
    let want = kept_recurrent(&Cpu::<f64>::default(), CELLS[3], sizes, &plain, MASKS);
    let (first, last) = (want.index_axis(Axis(0), 0), want.index_axis(Axis(0), 3));
    assert_eq!(first, last, "a mask is the same at every step, and in both directions a unit is dropped at the first");
    for cell in [CELLS[0], CELLS[3], Cell::Lstm, Cell::Gru] {
        assert_eq!(kept_recurrent(&Cpu::<f64>::default(), cell, sizes, &plain, MASKS), want, "{cell:?}");
        assert_eq!(kept_recurrent(&Cpu::<f32>::default(), cell, sizes, &plain, MASKS), want, "{cell:?}");
        for gpu in gpus() {
            for (kernel, chunk) in [
                (RecurrentKernel::Step, None),
                (RecurrentKernel::Step, Some(3)),
                (RecurrentKernel::Sequence, None),
                (RecurrentKernel::Sequence, Some(1)),
            ] {
                let options = EngineOptions::default().kernel(kernel).chunk(chunk);
                let got = kept_recurrent(&gpu, cell, sizes, &options, MASKS);
                assert_eq!(got, want, "{cell:?} {kernel:?} {chunk:?}");
            }
        }
    }
}

/// Fails where the share of `true` is further from ½ than 5 standard deviations.
#[track_caller]
fn assert_half(what: &str, kept: impl ExactSizeIterator<Item = bool>) {
    let count = kept.len() as f64;
    let share = kept.filter(|kept| *kept).count() as f64 / count;
    assert!((share - 0.5).abs() < 5.0 * 0.5 / count.sqrt(), "{what}: {share} of {count}");
}

#[test]
fn half_of_the_units_are_kept_and_masks_are_independent() {
    let cpu = Cpu::<f32>::default();
    let between = |layer, masks| kept_between(&cpu, [layer, 40, 24, 32], &EngineOptions::default(), masks);
    let recurrent = |masks| {
        let kept = kept_recurrent(&cpu, CELLS[3], [1, 200, 64], &EngineOptions::default(), masks);
        kept.index_axis_move(Axis(0), 0)
    };
    fn agree<D: bptt::ndarray::Dimension>(
        what: &str,
        a: bptt::ndarray::ArrayView<'_, bool, D>,
        b: bptt::ndarray::ArrayView<'_, bool, D>,
    ) {
        let same = Zip::from(a).and(b).map_collect(|a, b| a == b);
        assert_half(what, same.into_iter());
    }
    let kept = between(0, MASKS);
    assert_half("between layers", kept.clone().into_iter());
    for (axis, name) in [(0, "steps"), (1, "rows"), (2, "units")] {
        let last = kept.len_of(Axis(axis)) as isize;
        let [first, next] = [0..last - 1, 1..last].map(|range| kept.slice_axis(Axis(axis), range.into()));
        agree(name, first, next);
    }
    let [forward, reverse] = [0..32, 32..64].map(|units| kept.slice(s![.., .., units]));
    agree("directions", forward, reverse);
    agree("layers", kept.view(), between(1, MASKS).view());
    agree("steps of training", kept.view(), between(0, DropoutKey { step: 4, ..MASKS }).view());
    agree("steps of training far apart", kept.view(), between(0, DropoutKey { step: 3 + (1 << 32), ..MASKS }).view());
    agree("seeds", kept.view(), between(0, DropoutKey { seed: MASKS.seed ^ (1 << 63), ..MASKS }).view());
    let kept = recurrent(MASKS);
    assert_half("recurrent", kept.clone().into_iter());
    let both = kept_between(&cpu, [0, 1, 200, 64], &EngineOptions::default(), MASKS);
    agree("between layers and recurrent", kept.view(), both.index_axis(Axis(0), 0));
    agree("directions of the recurrent", kept.slice(s![.., ..64]), kept.slice(s![.., 64..]));
}

#[test]
fn the_share_of_dropped_units_is_the_rate() {
    let hidden = 64;
    for rate in [0.05, 0.3, 0.9] {
        let recurrent = Recurrent::new(Cell::Rnn(Activation::Identity), 1, hidden).recurrent_dropout(rate);
        let model = Model::headless(recurrent);
        let mut engine = Cpu::<f64>::default().engine(&model, &EngineOptions::default()).unwrap();
        engine
            .set_parameters(&block(&model, |name, values: &mut Array2<f64>| {
                if name.starts_with("rnn.weight_hh") {
                    values.diag_mut().fill(1.0);
                }
            }))
            .unwrap();
        engine.set_dropout(Some(MASKS));
        let initial = States { h: Array3::ones((1, 1000, hidden)), c: None };
        let output = block_on(engine.forward(&Sequence::dense(Array3::zeros((1, 1000, 1))).initial(initial))).unwrap();
        let dropped = output.output.iter().filter(|value| **value == 0.0).count() as f64 / 64_000.0;
        assert!((dropped - rate).abs() < 5.0 * (rate * (1.0 - rate) / 64_000.0f64).sqrt(), "{rate}: {dropped}");
        // What is left has the size of what there was.
        let mean = output.output.mean().unwrap();
        assert!((mean - 1.0).abs() < 5.0 * (rate / (1.0 - rate) / 64_000.0f64).sqrt(), "{rate}: mean {mean}");
    }
}

/// Cases with dropout of both kinds, and the same ones without.
fn with_and_without() -> Vec<(Case, Case)> {
    let cells = [CELLS[0], CELLS[1], Cell::Lstm, Cell::Gru];
    let cases = cells.into_iter().enumerate().map(|(index, cell)| {
        let case = Case { layers: 2, bidirectional: true, ragged: true, resets: index % 2 == 0, ..Case::new(cell) };
        let case = case.sizes([5, 9, 3, 6, 2]);
        (Case { dropout: (0.3, 0.4), ..case.clone() }, case)
    });
    cases.collect()
}

fn without_masks_an_engine_gives_the_bits_of_a_network_without_dropout<B: Backend>(backend: &B) {
    for (dropping, plain) in with_and_without() {
        let run = |case: &Case| {
            let model = case.model();
            let options = EngineOptions::default().input_gradient(true);
            let mut engine = backend.engine(&model, &options).unwrap();
            engine.set_parameters(&case.parameters(&model)).unwrap();
            block_on(engine.accumulate(&case.batch(), None)).unwrap();
            let mut named = common::gradients(&mut engine);
            named.push(("dh_0".into(), wide(&block_on(engine.input_gradient()).unwrap().initial.h)));
            let output = block_on(engine.forward(&case.sequence())).unwrap();
            named.push(("output".into(), wide(&output.output)));
            named
        };
        assert_same_bits(&dropping, &run(&dropping), &run(&plain));
    }
}

#[test]
fn without_masks_an_engine_gives_the_bits_of_a_network_without_dropout_on_both_backends() {
    without_masks_an_engine_gives_the_bits_of_a_network_without_dropout(&Cpu::<f32>::default());
    without_masks_an_engine_gives_the_bits_of_a_network_without_dropout(&Cpu::<f64>::default());
    gpu().iter().for_each(without_masks_an_engine_gives_the_bits_of_a_network_without_dropout);
}

fn masks_that_drop_nothing_change_no_bit<B: Backend>(backend: &B) {
    for (dropping, plain) in with_and_without() {
        // Less than one of 2³² words, and 1 to every bit of f32.
        let nearly = Case { dropout: (1e-12, 1e-12), ..dropping };
        assert_same_bits(&plain, &raw(backend, &nearly, Some(2)), &raw(backend, &plain, Some(2)));
    }
}

#[test]
fn masks_that_drop_nothing_change_no_bit_on_both_backends() {
    masks_that_drop_nothing_change_no_bit(&Cpu::<f32>::default());
    gpu().iter().for_each(masks_that_drop_nothing_change_no_bit);
}

fn logits_and_evaluation_drop_nothing_during_training<B: Backend>(backend: &B) {
    for (dropping, plain) in with_and_without() {
        let run = |case: &Case| {
            let model = case.model();
            let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
            engine.set_parameters(&case.parameters(&model)).unwrap();
            engine.set_dropout(masks(1));
            let batch = case.batch();
            block_on(engine.accumulate(&batch, None)).unwrap();
            let logits = block_on(engine.logits(&batch.sequence)).unwrap();
            let evaluated = block_on(engine.evaluate(&batch)).unwrap();
            let loss = ArrayD::from_elem(vec![], evaluated.loss_sum);
            let named: Named = vec![
                ("logits".into(), wide(&logits.logits)),
                ("h_n".into(), wide(&logits.states.h)),
                ("loss".into(), loss),
            ];
            (named, common::gradients(&mut engine))
        };
        let ((got, dropped), (want, whole)) = (run(&dropping), run(&plain));
        assert_same_bits(&dropping, &got, &want);
        assert!(dropped.iter().zip(&whole).any(|(a, b)| a.1 != b.1), "{dropping}: training drops");
    }
}

#[test]
fn logits_and_evaluation_drop_nothing_during_training_on_both_backends() {
    logits_and_evaluation_drop_nothing_during_training(&Cpu::<f32>::default());
    gpu().iter().for_each(logits_and_evaluation_drop_nothing_during_training);
}

fn a_repeated_step_repeats_its_bits_and_another_step_seed_or_row_does_not<B: Backend>(backend: &B) {
    for (case, _) in with_and_without() {
        let model = case.headless();
        let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
        engine.set_parameters(&case.parameters(&model)).unwrap();
        let mut forward = |masks| {
            engine.set_dropout(Some(masks));
            wide(&block_on(engine.forward(&case.sequence())).unwrap().output)
        };
        let first = forward(MASKS);
        let others = [
            DropoutKey { seed: 1, ..MASKS },
            DropoutKey { step: MASKS.step + 1, ..MASKS },
            DropoutKey { first_row: MASKS.first_row + 1, ..MASKS },
        ];
        assert!(others.into_iter().all(|masks| forward(masks) != first), "{case}");
        assert_eq!(forward(MASKS), first, "{case}");
    }
}

#[test]
fn a_repeated_step_repeats_its_bits_and_another_step_seed_or_row_does_not_on_both_backends() {
    a_repeated_step_repeats_its_bits_and_another_step_seed_or_row_does_not(&Cpu::<f64>::default());
    gpu().iter().for_each(a_repeated_step_repeats_its_bits_and_another_step_seed_or_row_does_not);
}

/// The masks of a forward pass are its backward pass's, whatever is set in between.
fn backward_uses_the_masks_of_its_forward_pass<B: Backend>(backend: &B) {
    for (case, _) in with_and_without() {
        let model = case.headless();
        let run = |between: Option<DropoutKey>| {
            let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
            engine.set_parameters(&case.parameters(&model)).unwrap();
            engine.set_dropout(Some(MASKS));
            block_on(engine.forward(&case.sequence())).unwrap();
            engine.set_dropout(between);
            block_on(engine.backward(&case.output_gradient())).unwrap();
            common::gradients(&mut engine)
        };
        assert_same_bits(&case, &run(None), &run(Some(MASKS)));
    }
}

#[test]
fn backward_uses_the_masks_of_its_forward_pass_on_both_backends() {
    backward_uses_the_masks_of_its_forward_pass(&Cpu::<f32>::default());
    gpu().iter().for_each(backward_uses_the_masks_of_its_forward_pass);
}

/// Parameters and losses after three updates, each by all of `batches`.
fn steps<B: Backend>(backend: &B, case: &Case, batches: &[Batch], micro_batch: Option<usize>) -> Named {
    let options = TrainerOptions::default().micro_batch(micro_batch);
    let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap();
    let mut losses = Vec::new();
    for _ in 0..3 {
        batches.iter().for_each(|batch| block_on(trainer.accumulate(batch)).unwrap());
        block_on(trainer.update()).unwrap();
        losses.push(block_on(trainer.loss()).unwrap().unwrap());
    }
    let parameters = block_on(trainer.engine().parameters()).unwrap();
    let mut named = common::by_name(trainer.engine().layout(), &parameters, "");
    named.push(("losses".into(), ArrayD::from_shape_vec(vec![3], losses).unwrap()));
    named
}

fn micro_batches_and_accumulation_drop_the_same_units<B: Backend>(backend: &B, relative: f64) {
    for (case, _) in with_and_without() {
        let case = Case { weights: true, ..case }.sizes([5, 19, 3, 6, 2]);
        let batch = case.batch();
        let want = steps(backend, &case, std::slice::from_ref(&batch), None);
        let got = steps(backend, &case, std::slice::from_ref(&batch), Some(4));
        assert_all_close(&case, &got, &want, relative, 1.0);
        let parts = [0..5, 5..6, 6..19].map(|rows| batch.rows(rows));
        assert_all_close(&case, &steps(backend, &case, &parts, Some(3)), &want, relative, 1.0);
    }
}

#[test]
fn micro_batches_and_accumulation_drop_the_same_units_on_the_cpu() {
    micro_batches_and_accumulation_drop_the_same_units(&Cpu::<f64>::default(), 1e-12);
}

#[test]
fn micro_batches_and_accumulation_drop_the_same_units_on_the_gpu() {
    gpu().iter().for_each(|gpu| micro_batches_and_accumulation_drop_the_same_units(gpu, 1e-5));
}

fn carried_state_passes_through_no_mask<B: Backend>(backend: &B, relative: f64) {
    for cell in [CELLS[0], Cell::Lstm, Cell::Gru] {
        let case = Case { initial: false, layers: 2, dropout: (0.3, 0.4), ..Case::new(cell) }.sizes([4, 9, 2, 5, 2]);
        let model = case.model();
        let batch = case.batch();
        let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
        engine.set_parameters(&case.parameters(&model)).unwrap();
        let (first, second) = (MASKS, DropoutKey { step: MASKS.step + 1, ..MASKS });
        for masks in [first, second] {
            engine.set_dropout(Some(masks));
            block_on(engine.accumulate(&batch, Some(StatefulRows { first_row: 0, rows: 9 }))).unwrap();
        }
        let carried = block_on(engine.states()).unwrap().unwrap();
        let mut sequence: Sequence<<B::Engine as Parameters>::Real> = case.sequence();
        for masks in [first, second] {
            engine.set_dropout(Some(masks));
            sequence.initial = Some(block_on(engine.forward(&sequence)).unwrap().states);
        }
        let want = sequence.initial.unwrap();
        assert_close(&format!("{case}: h_n"), &wide(&carried.h), &wide(&want.h), relative, 1.0);
        for (got, want) in carried.c.iter().zip(&want.c) {
            assert_close(&format!("{case}: c_n"), &wide(got), &wide(want), relative, 1.0);
        }
    }
}

#[test]
fn carried_state_passes_through_no_mask_on_both_backends() {
    carried_state_passes_through_no_mask(&Cpu::<f64>::default(), 1e-13);
    gpu().iter().for_each(|gpu| carried_state_passes_through_no_mask(gpu, 1e-6));
}

#[test]
fn rows_beyond_the_counter_are_refused() {
    fn refused<B: Backend>(backend: &B) {
        let case = Case { dropout: (0.0, 0.5), ..Case::new(Cell::Gru) };
        let mut engine = backend.engine(&case.model(), &EngineOptions::default()).unwrap();
        engine.set_dropout(Some(DropoutKey { first_row: u32::MAX as usize - 1, ..MASKS }));
        let error = block_on(engine.accumulate(&case.batch(), None)).unwrap_err().to_string();
        assert_eq!(error, "DropoutKey::first_row: expected at most 4294967293, got 4294967294");
    }
    refused(&Cpu::<f32>::default());
    gpu().iter().for_each(refused);
}
