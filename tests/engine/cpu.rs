//! What the CPU backend claims beside being right: precision, determinism, and that nothing which must not matter does.

use crate::common;
use crate::common::{CELLS, Case, assert_all_close, assert_close, assert_same_bits, raw, table, trained, wide};
use crate::{cells, recompute};
use bptt::ndarray::{Array2, Array3, ArrayD, Axis, concatenate, s};
use bptt::{
    Backend, Batch, Cell, Cpu, CpuEngine, EngineOptions, Error, Inference, Input, Inspection, Layers, Loss, Optimizer,
    OptimizerStep, OutputGradient, Parameters, Readout, Sequence, StatefulRows, Targets, Trainer, TrainerOptions,
    Training,
};
use pollster::block_on;

fn one_thread() -> Cpu<f64> {
    Cpu::with_threads(1).unwrap()
}

fn engine(case: &Case, options: &EngineOptions) -> CpuEngine<f64> {
    let model = case.model();
    let mut engine = one_thread().engine(&model, options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine
}

#[test]
fn f32_follows_f64_to_its_own_rounding() {
    let single = Cpu::<f32>::with_threads(1).unwrap();
    for case in table() {
        // Sums of K = T·B terms of size about 1 lose √K · 2⁻²⁴ or so; the chain of T products multiplies that, and x of
        // 100 puts terms of that size into every z.
        let terms = (case.steps * case.rows * case.hidden.max(case.inputs)) as f64;
        let relative = 1e-6 * terms.sqrt().max(4.0) * case.scale.max(1.0);
        assert_all_close(&case, &raw(&single, &case, None), &raw(&one_thread(), &case, None), relative, 1.0);
        let optimizer = Optimizer::sgd(0.01);
        let (got, want) =
            (trained(&single, &case, None, optimizer, 3), trained(&one_thread(), &case, None, optimizer, 3));
        assert_all_close(&case, &got, &want, relative, 1.0);
    }
}

/// A change of these bits is one of `ORDER_OF_SUMS` in `src/cpu/arithmetic.rs` too: a run that is resumed across it is
/// then told of it.
#[test]
fn the_bits_are_those_of_the_recorded_order_of_sums() {
    let cpu = Cpu::<f32>::with_threads(1).unwrap();
    let value = |name: &str| cpu.arithmetic().into_iter().find(|(known, _)| *known == name).unwrap().1;
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    // The reverse direction alone, projections and likelihoods are younger than the record; the first sums in the order
    // of the other two.
    let is_likelihood = |loss: &Loss| matches!(loss, Loss::Gaussian | Loss::StudentT | Loss::NegativeBinomial);
    let recorded = |case: &Case| !case.reverse && case.proj_size.is_none() && !is_likelihood(&case.loss);
    for case in table().into_iter().filter(recorded) {
        // The platform's logarithm is in losses, and in nothing else here.
        let named = trained(&cpu, &case, None, Optimizer::sgd(0.01), 2).into_iter();
        for (_, values) in named.filter(|(name, _)| !name.starts_with("loss")) {
            for byte in values.iter().flat_map(|value| value.to_bits().to_le_bytes()) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    let expected = match value("a·b + c").as_str() {
        "rounded once" => 0xc574_0a50_f41c_2ec6,
        _ => 0x3147_b6fe_59ff_acfa,
    };
    assert_eq!((value("order of sums").as_str(), hash), ("1", expected));
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    // In the last two the threads share the products of each step.
    for (rows, hidden) in [(1, 70), (3, 70), (5, 70), (17, 70), (1, 520), (3, 300)] {
        let projected = Case::new(Cell::Lstm).projected(hidden / 2);
        for case in [CELLS[0], Cell::Lstm, Cell::Gru].map(Case::new).into_iter().chain([projected]) {
            let case = Case { ragged: true, bidirectional: true, layers: 2, ..case };
            let case = Case { dropout: (0.2, 0.3), ..case }.sizes([6, rows, 5, hidden, 4]);
            let run = |threads| {
                let cpu = Cpu::<f32>::with_threads(threads).unwrap();
                (raw(&cpu, &case, None), trained(&cpu, &case, None, Optimizer::adam(0.01), 3))
            };
            let one = run(1);
            let arithmetic = |threads| Cpu::<f32>::with_threads(threads).unwrap().arithmetic();
            for threads in 2..=4 {
                let many = run(threads);
                assert_eq!(arithmetic(threads), arithmetic(1));
                assert_same_bits(&case, &many.0, &one.0);
                assert_same_bits(&case, &many.1, &one.1);
            }
        }
    }
}

#[test]
fn threads_that_share_the_rows_of_a_step_change_no_bit() {
    // Few rows of many units: both the products and the cell of a step are shared. In two chunks and in one, with norms
    // of dh_t and without. A cell without W_hh has no recurrent dropout.
    let dropped = |cell| Case { dropout: (0.0, 0.3), ..Case::new(cell) };
    let own = [CELLS[0], Cell::Lstm, Cell::Gru].map(dropped);
    for case in own.into_iter().chain(cells::outside().map(Case::new)) {
        let case = Case { ragged: true, resets: true, ..case }.sizes([66, 3, 5, 700, 4]);
        for recompute in [false, true] {
            let run = |threads| recompute::all(&Cpu::<f32>::with_threads(threads).unwrap(), &case, recompute, 64);
            let one = run(1);
            (2..=4).for_each(|threads| assert_same_bits(&case, &run(threads), &one));
        }
    }
}

/// Everything that padding holds, replaced by what would show.
fn poison(case: &Case, batch: &mut Batch) {
    for row in 0..case.rows {
        for t in batch.sequence.length(row)..case.steps {
            match &mut batch.sequence.input {
                Input::Dense(x) => x.slice_mut(s![t, row, ..]).fill(f32::NAN),
                Input::Tokens(tokens) => tokens[[t, row]] = u32::MAX,
                _ => unreachable!("the crate has no third kind"),
            }
            if let Some(resets) = &mut batch.sequence.resets {
                resets[[t, row]] ^= true;
            }
            if case.at == Readout::PerStep {
                match &mut batch.targets {
                    Targets::Values(values) => values.slice_mut(s![t, row, ..]).fill(f32::NAN),
                    Targets::Classes(classes) => classes[[t, row]] = u32::MAX,
                    _ => unreachable!("the crate has no third kind"),
                }
            }
        }
    }
}

#[test]
fn garbage_in_padding_changes_no_bit() {
    for case in table().into_iter().filter(|case| case.ragged) {
        let options = EngineOptions::default().input_gradient(true);
        let run = |batch: &Batch| {
            let mut engine = engine(&case, &options);
            block_on(engine.accumulate(batch, None)).unwrap();
            let input = block_on(engine.input_gradient()).unwrap();
            let mut arrays = common::gradients(&mut engine);
            arrays.push(("dh_0".into(), wide(&input.initial.h)));
            arrays.extend(input.x.map(|x| ("dx".into(), wide(&x))));
            arrays.push(("logits".into(), wide(&block_on(engine.logits(&batch.sequence)).unwrap().logits)));
            arrays
        };
        let clean = case.batch();
        let mut poisoned = clean.clone();
        poison(&case, &mut poisoned);
        let arrays = run(&clean);
        assert!(arrays.iter().all(|(_, array)| array.iter().all(|value| value.is_finite())), "{case}");
        assert_same_bits(&case, &run(&poisoned), &arrays);
    }
}

#[test]
fn garbage_in_the_padding_of_d_output_changes_no_bit() {
    for case in table().into_iter().filter(|case| case.ragged) {
        let run = |gradient: &OutputGradient<f64>| {
            let mut engine = engine(&case, &EngineOptions::default());
            block_on(engine.forward(&case.sequence())).unwrap();
            let input = block_on(engine.backward(gradient)).unwrap();
            let mut arrays = common::gradients(&mut engine);
            arrays.push(("dh_0".into(), wide(&input.initial.h)));
            arrays
        };
        let clean = case.output_gradient();
        let mut poisoned = clean.clone();
        let lengths = case.lengths().unwrap();
        for (row, length) in lengths.into_iter().enumerate() {
            poisoned.output.as_mut().unwrap().slice_mut(s![length.., row, ..]).fill(f64::NAN);
        }
        assert_same_bits(&case, &run(&poisoned), &run(&clean));
    }
}

#[test]
fn a_prediction_of_weight_0_is_not_read() {
    for loss in common::losses() {
        let case = Case::new(Cell::Gru).with_loss(loss);
        let mut batch = case.batch().weights(Array2::from_shape_fn((4, 3), |(p, _)| f32::from(p != 1)));
        let run = |batch: &Batch| {
            let mut engine = engine(&case, &EngineOptions::default());
            block_on(engine.accumulate(batch, None)).unwrap();
            common::gradients(&mut engine)
        };
        let clean = run(&batch);
        match &mut batch.targets {
            Targets::Values(values) => values.slice_mut(s![1, .., ..]).fill(f32::NAN),
            Targets::Classes(classes) => classes.slice_mut(s![1, ..]).fill(u32::MAX),
            _ => unreachable!("the crate has no third kind"),
        }
        assert_same_bits(&case, &run(&batch), &clean);
    }
}

#[test]
fn micro_batches_add_up_to_the_large_batch() {
    for case in table().into_iter().filter(|case| case.rows > 1) {
        let gradients = |part: usize| {
            let mut engine = engine(&case, &EngineOptions::default());
            let batch = case.batch();
            for first in (0..case.rows).step_by(part) {
                let rows = batch.rows(first..case.rows.min(first + part));
                // Some parts have weights of 0 alone: they add nothing.
                block_on(engine.accumulate(&rows, None)).unwrap();
            }
            common::gradients(&mut engine)
        };
        let whole = gradients(case.rows);
        for part in [1, 2, case.rows - 1] {
            assert_all_close(&case, &gradients(part), &whole, 1e-12, case.scale * case.rows as f64);
        }
    }
}

#[test]
fn a_reset_starts_a_new_sequence() {
    for cell in CELLS {
        let case = Case { initial: false, at: Readout::PerStep, ..Case::new(cell) }.sizes([7, 3, 2, 5, 2]);
        let mut batch = case.batch();
        batch.sequence.resets = Some(Array2::from_shape_fn((7, 3), |(t, _)| t == 3));
        let Input::Dense(x) = &batch.sequence.input else { unreachable!() };
        let Targets::Values(y) = &batch.targets else { unreachable!() };
        let part = |range: std::ops::Range<usize>| {
            let x = x.slice(s![range.clone(), .., ..]).to_owned();
            Batch::new(Sequence::dense(x), Targets::Values(y.slice(s![range, .., ..]).to_owned()))
        };
        let run = |batches: &[Batch]| {
            let mut engine = engine(&case, &EngineOptions::default());
            let logits: Vec<_> = batches.iter().map(|b| block_on(engine.logits(&b.sequence)).unwrap().logits).collect();
            batches.iter().for_each(|batch| block_on(engine.accumulate(batch, None)).unwrap());
            let mut arrays = common::gradients(&mut engine);
            let views: Vec<_> = logits.iter().map(|array| array.view()).collect();
            arrays.push(("logits".into(), concatenate(Axis(0), &views).unwrap().into_dyn()));
            arrays
        };
        let separate = run(&[part(0..3), part(3..7)]);
        assert_all_close(&case, &run(&[batch]), &separate, 1e-12, 1.0);
    }
}

#[test]
fn carrying_state_over_two_windows_equals_one_long_pass() {
    for cell in CELLS {
        let case = Case { initial: false, layers: 2, ..Case::new(cell) }.sizes([8, 11, 2, 5, 2]);
        let batch = case.batch();
        let Input::Dense(x) = &batch.sequence.input else { unreachable!() };
        let Targets::Values(y) = &batch.targets else { unreachable!() };
        let mut engine = engine(&case, &EngineOptions::default());
        // In parts of 4 rows, as micro-batches take them.
        for window in [0..4, 4..8] {
            for first in (0..11).step_by(4) {
                let rows = first..11.min(first + 4);
                let x = x.slice(s![window.clone(), rows.clone(), ..]).to_owned();
                let y = y.slice(s![window.clone(), rows, ..]).to_owned();
                let part = Batch::new(Sequence::dense(x), Targets::Values(y));
                block_on(engine.accumulate(&part, Some(StatefulRows { first_row: first, rows: 11 }))).unwrap();
            }
        }
        let carried = block_on(engine.states()).unwrap().unwrap();
        let long = block_on(engine.forward(&Sequence::dense(x.mapv(f64::from)))).unwrap();
        assert_close(&format!("{case}: h_n"), &wide(&carried.h), &wide(&long.states.h), 1e-13, 1.0);
        if let (Some(carried), Some(long)) = (carried.c, long.states.c) {
            assert_close(&format!("{case}: c_n"), &wide(&carried), &wide(&long), 1e-13, 1.0);
        }
        engine.set_states(None).unwrap();
        assert!(block_on(engine.states()).unwrap().is_none());
    }
}

#[test]
fn a_non_finite_loss_latches_and_keeps_the_last_good_weights() {
    let case = Case::new(Cell::Lstm);
    let optimizer = Optimizer::adam(0.01);
    let mut engine = engine(&case, &EngineOptions::default().optimizer(optimizer.kind));
    let good = case.batch();
    let mut bad = good.clone();
    bad.sequence.input = Input::Dense(Array3::from_elem((4, 3, 2), f32::NAN));
    let mut step = 0;
    let mut run = |engine: &mut CpuEngine<f64>, batch: &Batch| {
        step += 1;
        block_on(engine.accumulate(batch, None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, step, 1.0))).unwrap();
    };
    run(&mut engine, &good);
    let kept = block_on(engine.parameters()).unwrap();
    run(&mut engine, &bad);
    run(&mut engine, &good);
    assert_eq!(block_on(engine.parameters()).unwrap(), kept);
    assert_eq!(engine.unreported(), 3);
    assert_eq!(block_on(engine.report()).unwrap().unwrap().step, 1);
    for _ in 0..2 {
        let error = block_on(engine.report()).unwrap_err();
        assert!(matches!(error, Error::NonFinite { step: 2, what: "loss" }), "{error}");
    }
}

#[test]
fn gradients_stay_readable_after_an_update_until_the_next_batch() {
    let case = Case::new(Cell::Gru);
    let optimizer = Optimizer::sgd(0.0);
    let mut engine = engine(&case, &EngineOptions::default().optimizer(optimizer.kind));
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    let sums = block_on(engine.gradients()).unwrap();
    block_on(engine.update(&OptimizerStep::new(optimizer, 1, 3.0))).unwrap();
    assert_eq!(block_on(engine.gradients()).unwrap(), sums);
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    assert_eq!(block_on(engine.gradients()).unwrap(), sums);
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    let doubled: Vec<f64> = sums.iter().map(|sum| 2.0 * sum).collect();
    let array = |values| ArrayD::from_shape_vec(vec![sums.len()], values).unwrap();
    assert_close("two batches", &array(block_on(engine.gradients()).unwrap()), &array(doubled), 1e-13, 1e-3);
}

#[test]
fn training_in_micro_batches_follows_training_in_whole_batches() {
    let case = Case { ragged: true, weights: true, ..Case::new(Cell::Lstm) }.sizes([5, 6, 3, 4, 2]);
    let run = |micro_batch| {
        let options = TrainerOptions::default().micro_batch(micro_batch);
        let optimizer = Optimizer::adamw(0.01).clip_norm(0.1);
        let mut trainer = Trainer::with_options(&one_thread(), &case.model(), optimizer, 1, options).unwrap();
        for _ in 0..5 {
            block_on(trainer.step(&case.batch())).unwrap();
        }
        block_on(trainer.engine().parameters()).unwrap()
    };
    let array = |values: Vec<f64>| ArrayD::from_shape_vec(vec![values.len()], values).unwrap();
    assert_close("parameters", &array(run(Some(3))), &array(run(None)), 1e-11, 1e-2);
}

#[test]
fn the_bytes_planned_before_a_batch_are_those_held_after_it() {
    for case in table().into_iter().filter(|case| !case.ragged && !case.resets) {
        let mut engine = engine(&case, &EngineOptions::default());
        let planned = engine.planned_bytes(&case.sequence::<f32>()).unwrap();
        block_on(engine.accumulate(&case.batch(), None)).unwrap();
        assert_eq!(planned, engine.bytes(), "{case}");
    }
}

#[test]
fn calls_out_of_order_or_with_the_wrong_shape_are_refused() {
    let case = Case::new(Cell::Gru);
    let mut engine = engine(&case, &EngineOptions::default());
    let refused = |result: Result<(), Error>, word: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    };
    refused(block_on(engine.backward(&case.output_gradient())).map(drop), "forward");
    refused(engine.set_parameters(&[0.0]), "parameters");
    refused(block_on(engine.input_gradient()).map(drop), "input_gradient");
    let update = OptimizerStep::new(Optimizer::sgd(0.1), 1, 1.0);
    refused(block_on(engine.update(&update)), "created for another optimizer");
    refused(
        block_on(engine.accumulate(&case.batch(), Some(StatefulRows { first_row: 1, rows: 3 }))),
        "carry.first_row",
    );
    block_on(engine.forward(&case.sequence())).unwrap();
    let wrong = OutputGradient { output: Some(Array3::zeros((1, 1, 1))), ..OutputGradient::default() };
    refused(block_on(engine.backward(&wrong)).map(drop), "d_output");
    // A refused gradient leaves the forward pass in place; a used one does not.
    block_on(engine.backward(&case.output_gradient())).unwrap();
    refused(block_on(engine.backward(&case.output_gradient())).map(drop), "forward");
    refused(Cpu::<f32>::with_threads(0).map(drop), "threads");
}

#[test]
fn a_trainer_works_in_larger_and_smaller_thread_pools_than_its_own() {
    let case = Case { ragged: true, ..Case::new(Cell::Lstm) }.sizes([9, 40, 33, 65, 17]);
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let steps = |trainer: &mut Trainer<CpuEngine<f32>>| {
        for _ in 0..3 {
            block_on(trainer.step(&case.batch())).unwrap();
        }
        block_on(trainer.engine().parameters()).unwrap()
    };
    let make = || Trainer::new(&Cpu::new(), &case.model(), Optimizer::adam(0.01), 1).unwrap();
    let want =
        steps(&mut Trainer::new(&Cpu::with_threads(1).unwrap(), &case.model(), Optimizer::adam(0.01), 1).unwrap());
    for (made_in, stepped_in) in [(2, 16), (4, 3), (3, 4)] {
        let mut trainer = pool(made_in).install(make);
        assert!(pool(stepped_in).install(|| steps(&mut trainer)) == want, "{made_in} threads, then {stepped_in}");
    }
}
