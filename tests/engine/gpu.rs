//! The GPU backend against the CPU backend in f64, which finite differences and PyTorch vouch for.

use crate::common;
use crate::common::gpu::{gpu, open};
use crate::common::{
    CELLS, Case, assert_all_close, assert_close, assert_same_bits, fill, masks, raw, table, trained, wide,
};
use bptt::gpu::{GpuOptions, Tiles};
use bptt::ndarray::ArrayD;
use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Error, Inference, Input, Inspection, Layers, Loss, Optimizer,
    OptimizerKind, Parameters, Readout, RecurrentKernel, Reduction, Sequence, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

/// f32 has 6e-8; a sum over K·T terms of a few units loses some hundred times that, and lavapipe's tanh is right to
/// 1.4e-7 of 1 rather than of its own value, which is what the floor is for: it grows with x.
const RELATIVE: f64 = 5e-5;
const FLOOR: f64 = 0.2;

fn reference() -> Cpu<f64> {
    Cpu::with_threads(2).unwrap()
}

/// Outputs, states and every gradient of the stack alone.
fn stack_equals_the_cpu_in_f64(of: impl Fn(Cell) -> bool, chunk: Option<usize>) {
    let Some(gpu) = gpu() else { return };
    for case in table().into_iter().filter(|case| of(case.cell)) {
        let want = raw(&reference(), &case, None);
        assert_all_close(&case, &raw(&gpu, &case, chunk), &want, RELATIVE, FLOOR * case.scale);
    }
}

#[test]
fn rnn_forward_and_backward_equal_the_cpu_in_f64() {
    stack_equals_the_cpu_in_f64(|cell| matches!(cell, Cell::Rnn(_)), None);
}

#[test]
fn lstm_forward_and_backward_equal_the_cpu_in_f64() {
    stack_equals_the_cpu_in_f64(|cell| cell == Cell::Lstm, None);
}

#[test]
fn gru_forward_and_backward_equal_the_cpu_in_f64() {
    stack_equals_the_cpu_in_f64(|cell| cell == Cell::Gru, None);
}

#[test]
fn states_and_their_gradients_cross_chunks_of_1_step() {
    stack_equals_the_cpu_in_f64(|_| true, Some(1));
}

#[test]
fn states_and_their_gradients_cross_chunks_of_3_steps() {
    stack_equals_the_cpu_in_f64(|_| true, Some(3));
}

#[test]
fn losses_logits_and_head_gradients_equal_the_cpu_in_f64() {
    let Some(gpu) = gpu() else { return };
    for case in table() {
        let want = trained(&reference(), &case, None, Optimizer::sgd(0.0), 0);
        let got = trained(&gpu, &case, None, Optimizer::sgd(0.0), 0);
        assert_all_close(&case, &got, &want, RELATIVE, FLOOR * case.scale);
    }
}

#[test]
fn every_readout_and_reduction_equals_the_cpu_in_f64_in_one_and_two_directions() {
    let Some(gpu) = gpu() else { return };
    for loss in common::losses() {
        for at in common::PLACES {
            let reductions = [(Reduction::Mean, true), (Reduction::Sum, false), (Reduction::SumOverOutputs, false)];
            for (reduction, bidirectional) in reductions {
                // 70 outputs share a prediction among several threads.
                let case = Case { at, reduction, bidirectional, ragged: true, weights: true, ..Case::new(Cell::Gru) };
                let case = case.sizes([4, 6, 3, 5, 70]).with_loss(loss.clone());
                let want = trained(&reference(), &case, None, Optimizer::sgd(0.0), 0);
                assert_all_close(&case, &trained(&gpu, &case, Some(3), Optimizer::sgd(0.0), 0), &want, RELATIVE, FLOOR);
            }
        }
    }
}

fn optimizers() -> Vec<Optimizer> {
    let sgd =
        |momentum, dampening, nesterov| Optimizer::new(OptimizerKind::Sgd { momentum, dampening, nesterov }, 0.05);
    let rmsprop = |momentum, centered| {
        Optimizer::new(OptimizerKind::RmsProp { alpha: 0.99, eps: 1e-4, momentum, centered }, 0.01)
    };
    vec![
        sgd(0.0, 0.0, false),
        sgd(0.9, 0.0, false).weight_decay(0.1),
        sgd(0.9, 0.3, false).clip_norm(0.05),
        sgd(0.9, 0.0, true),
        rmsprop(0.0, false),
        rmsprop(0.9, false),
        rmsprop(0.0, true),
        rmsprop(0.9, true).clip_norm(0.1),
        Optimizer::adam(0.01).clip_value(0.01),
        Optimizer::adam(0.01).weight_decay(0.1),
        Optimizer::adamw(0.01).clip_norm(0.1),
    ]
}

#[test]
fn parameters_after_ten_steps_of_every_optimizer_equal_the_cpu_in_f64() {
    let Some(gpu) = gpu() else { return };
    let case = Case { ragged: true, weights: true, ..Case::new(Cell::Lstm) }.sizes([5, 6, 3, 7, 2]);
    for optimizer in optimizers() {
        let want = trained(&reference(), &case, None, optimizer, 10);
        let got = trained(&gpu, &case, Some(2), optimizer, 10);
        for ((name, got), (_, want)) in got.iter().zip(&want) {
            assert_close(&format!("{optimizer:?}: {name}"), got, want, 4.0 * RELATIVE, FLOOR);
        }
    }
}

#[test]
fn a_bidirectional_gru_with_ragged_rows_chunks_and_micro_batches_equals_finite_differences() {
    let Some(gpu) = gpu() else { return };
    let case = Case { bidirectional: true, ragged: true, weights: true, layers: 2, ..Case::new(Cell::Gru) };
    let case = case.sizes([7, 5, 2, 3, 2]);
    let (model, batch) = (case.model(), case.batch());
    let options = TrainerOptions::default().micro_batch(3).engine(EngineOptions::default().chunk(3));
    let mut trainer = Trainer::with_options(&gpu, &model, Optimizer::sgd(0.0), 1, options).unwrap();
    let parameters: Vec<f64> = case.parameters(&model);
    trainer.engine().set_parameters(&parameters.iter().map(|w| *w as f32).collect::<Vec<_>>()).unwrap();
    block_on(trainer.step(&batch)).unwrap();
    let got = block_on(trainer.gradients()).unwrap();

    let mut engine = reference().engine(&model, &EngineOptions::default()).unwrap();
    let mut loss = |parameters: &[f64]| {
        engine.set_parameters(parameters).unwrap();
        block_on(engine.evaluate(&batch)).unwrap().loss_sum / batch.total_weight()
    };
    let step = 1e-5;
    let differences: Vec<f64> = (0..parameters.len())
        .map(|i| {
            let mut moved = parameters.clone();
            moved[i] = parameters[i] + step;
            let up = loss(&moved);
            moved[i] = parameters[i] - step;
            (up - loss(&moved)) / (2.0 * step)
        })
        .collect();
    for (name, want) in common::by_name(&bptt::Layout::new(&model), &differences, "") {
        assert_close(&name, &wide(got.get(&name).unwrap()), &want, RELATIVE, FLOOR);
    }
}

/// The same sequence with NaN, or tokens that do not exist, in its padding.
fn with_garbage(sequence: &Sequence) -> Sequence {
    let mut sequence = sequence.clone();
    let (steps, rows) = sequence.shape();
    let lengths: Vec<usize> = (0..rows).map(|row| sequence.length(row)).collect();
    for row in 0..rows {
        for t in lengths[row]..steps {
            match &mut sequence.input {
                Input::Dense(x) => x.slice_mut(bptt::ndarray::s![t, row, ..]).fill(f32::NAN),
                Input::Tokens(tokens) => tokens[[t, row]] = u32::MAX,
                _ => unreachable!("the crate has no third kind"),
            }
        }
    }
    sequence
}

#[test]
fn garbage_in_padding_changes_no_bit() {
    let Some(gpu) = gpu() else { return };
    for cell in CELLS {
        let case = Case { ragged: true, bidirectional: true, ..Case::new(cell) };
        let case = case.sizes([6, 4, 3, 5, 3]).with_loss(Loss::CrossEntropy);
        for case in [
            case.clone(),
            Case { tokens: true, ..case.clone() },
            Case { at: Readout::MeanPool, ..case.clone() },
            case.clone().embedded(7),
            case.tied(7),
        ] {
            let model = case.model();
            let run = |batch: &Batch| {
                let options = EngineOptions::default().input_gradient(true);
                let mut engine = gpu.engine(&model, &options).unwrap();
                engine.set_parameters(&case.parameters(&model)).unwrap();
                block_on(engine.accumulate(batch, None)).unwrap();
                let sums = block_on(engine.gradients()).unwrap();
                let mut named = common::by_name(engine.layout(), &sums, "");
                let gradient = block_on(engine.input_gradient()).unwrap();
                named.extend(gradient.x.iter().map(|x| ("dx".into(), wide(x))));
                named.push(("dh_0".into(), wide(&gradient.initial.h)));
                named.push(("logits".into(), wide(&block_on(engine.logits(&batch.sequence)).unwrap().logits)));
                named
            };
            let clean = case.batch();
            let garbage = Batch { sequence: with_garbage(&clean.sequence), ..clean.clone() };
            assert_same_bits(&case, &run(&garbage), &run(&clean));
        }
    }
}

#[test]
fn repeated_runs_and_bounds_checked_shaders_give_the_same_bits() {
    let Some(gpu) = gpu() else { return };
    let Some(checked) = open(GpuOptions::default().checked(true)) else { return };
    for cell in CELLS {
        let case = Case { ragged: true, bidirectional: true, weights: true, layers: 2, ..Case::new(cell) };
        let case = Case { dropout: (0.2, 0.3), ..case }.sizes([9, 33, 5, 17, 3]);
        let first = trained(&gpu, &case, Some(4), Optimizer::adam(1e-2), 3);
        for _ in 0..3 {
            assert_same_bits(&case, &trained(&gpu, &case, Some(4), Optimizer::adam(1e-2), 3), &first);
        }
        assert_same_bits(&case, &trained(&checked, &case, Some(4), Optimizer::adam(1e-2), 3), &first);
    }
}

#[test]
fn bounds_checked_shaders_give_the_same_bits_for_every_cell_embedding_and_dropout() {
    let Some(gpu) = gpu() else { return };
    let Some(checked) = open(GpuOptions::default().checked(true)) else { return };
    for case in table() {
        // Between layers, where there are several.
        let case = Case { dropout: (if case.layers > 1 { 0.2 } else { 0.0 }, 0.3), ..case };
        let [with, without] = [&checked, &gpu].map(|gpu| trained(gpu, &case, Some(3), Optimizer::adam(1e-2), 2));
        assert_same_bits(&case, &with, &without);
    }
}

/// Submissions and mappings of ten steps behind a first one, each with a batch of its own.
fn counted(gpu: &bptt::Gpu, case: &Case, in_flight: usize) -> (u64, u64) {
    let options = TrainerOptions::default().in_flight(in_flight);
    let mut trainer = Trainer::with_options(gpu, &case.model(), Optimizer::adam(1e-3), 1, options).unwrap();
    let batch = case.batch();
    block_on(trainer.step(&batch)).unwrap();
    let mut reports = block_on(trainer.finish()).unwrap().len();
    let before = gpu.counters();
    for _ in 0..10 {
        reports += usize::from(block_on(trainer.step(&batch)).unwrap().is_some());
    }
    reports += block_on(trainer.finish()).unwrap().len();
    assert!(reports == 11 || in_flight == 1);
    let after = gpu.counters();
    (after.submits - before.submits, after.maps - before.maps)
}

#[test]
fn a_step_is_one_submission_and_maps_only_its_report() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let long = Case { ragged: true, ..Case::new(Cell::Lstm) }.sizes([32, 64, 64, 64, 4]);
    assert_eq!(counted(&gpu, &long, 3), (10, 10));
    let short = Case { ragged: true, layers: 2, ..Case::new(Cell::Lstm) }.sizes([20, 4, 3, 8, 2]);
    assert_eq!(counted(&gpu, &short, 1), (10, 10));
}

#[test]
fn four_short_steps_share_a_submission_and_reports_arrive_with_three_in_flight() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let case = Case { ragged: true, layers: 2, dropout: (0.2, 0.0), ..Case::new(Cell::Lstm) }.sizes([20, 4, 3, 8, 2]);
    assert_eq!(counted(&gpu, &case, 3), (3, 10));
    let options = TrainerOptions::default().in_flight(3);
    let mut trainer = Trainer::with_options(&gpu, &case.model(), Optimizer::adam(1e-3), 1, options).unwrap();
    let before = gpu.counters();
    for step in 1..=12u64 {
        let report = block_on(trainer.step(&case.batch())).unwrap();
        assert_eq!(report.map(|report| report.step), (step > 8).then(|| step - 8));
    }
    assert_eq!(gpu.counters().submits - before.submits, 3);
    assert_eq!(block_on(trainer.finish()).unwrap().len(), 8);
    assert_eq!(gpu.counters().submits - before.submits, 3);
}

#[test]
fn repeated_inference_is_one_submission_and_creates_no_bind_group() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let case = Case { tokens: true, layers: 2, ..Case::new(Cell::Lstm) }.sizes([1, 1, 7, 8, 7]);
    let mut engine = gpu.engine(&case.model(), &EngineOptions::default()).unwrap();
    let mut batch = case.batch();
    let mut step = |gpu: &bptt::Gpu| {
        batch.sequence.initial = Some(block_on(engine.logits(&batch.sequence)).unwrap().states);
        batch.sequence.initial = Some(block_on(engine.evaluate(&batch)).unwrap().states);
        gpu.device().poll(bptt::wgpu::PollType::wait_indefinitely()).unwrap();
        let hal = gpu.device().get_internal_counters().hal;
        (gpu.counters(), hal.bind_groups.read(), hal.buffers.read(), engine.bytes())
    };
    let (first, again) = (step(&gpu), step(&gpu));
    assert_eq!((again.0.submits - first.0.submits, again.0.maps - first.0.maps), (2, 2));
    assert_eq!((again.1, again.2, again.3), (first.1, first.2, first.3));
}

#[test]
fn the_plan_agrees_with_wgpus_buffer_count_within_2_percent() {
    for dropout in [(0.0, 0.0), (0.2, 0.3)] {
        let Some(gpu) = open(GpuOptions::default()) else { return };
        let case = Case { layers: 2, bidirectional: true, dropout, ..Case::new(Cell::Lstm) };
        let case = case.sizes([64, 32, 48, 64, 32]);
        let counted = || gpu.device().get_internal_counters().hal.buffer_memory.read() as f64;
        let before = counted();
        let mut trainer = Trainer::new(&gpu, &case.model(), Optimizer::adam(1e-3), 1).unwrap();
        let before_it = trainer.engine().planned_bytes(&case.sequence::<f32>()).unwrap() as f64;
        block_on(trainer.step(&case.batch())).unwrap();
        block_on(trainer.finish()).unwrap();
        // Staging memory of finished writes is given back at the next poll.
        gpu.device().poll(bptt::wgpu::PollType::wait_indefinitely()).unwrap();
        let (planned, counted) = (trainer.engine().bytes() as f64, counted() - before);
        assert!((planned / counted - 1.0).abs() < 0.02, "planned {planned}, counted {counted}");
        assert!((before_it / counted - 1.0).abs() < 0.02, "planned {before_it} before it, counted {counted}");
    }
}

#[test]
fn the_first_50_losses_agree_with_the_cpu_within_1e_4() {
    let Some(gpu) = gpu() else { return };
    for cell in CELLS {
        let case = Case { ragged: true, ..Case::new(cell) }.sizes([12, 16, 3, 16, 2]);
        let batch = case.batch();
        fn losses<B: Backend>(backend: &B, case: &Case, batch: &Batch) -> Vec<f64> {
            let optimizer = Optimizer::adam(5e-3).clip_norm(1.0);
            let mut trainer = Trainer::new(backend, &case.model(), optimizer, 3).unwrap();
            let mut reports: Vec<_> = (0..50).filter_map(|_| block_on(trainer.step(batch)).unwrap()).collect();
            reports.extend(block_on(trainer.finish()).unwrap());
            reports.iter().map(|report| report.loss).collect()
        }
        let (got, want) = (losses(&gpu, &case, &batch), losses(&Cpu::new(), &case, &batch));
        assert_eq!(got.len(), 50);
        let array = |losses: Vec<f64>| ArrayD::from_shape_vec(vec![50], losses).unwrap();
        assert_close(&format!("{case}: losses"), &array(got), &array(want), 1e-4, 0.0);
    }
}

#[test]
fn carried_state_and_micro_batches_over_two_windows_equal_one_long_pass() {
    let Some(gpu) = gpu() else { return };
    for cell in [Cell::Rnn(bptt::Activation::Tanh), Cell::Lstm, Cell::Gru] {
        let case = Case { initial: false, layers: 2, ..Case::new(cell) }.sizes([8, 5, 3, 6, 2]);
        let options = TrainerOptions::default().carry_state(true).micro_batch(2);
        let mut trainer = Trainer::with_options(&gpu, &case.model(), Optimizer::sgd(0.0), 1, options).unwrap();
        let whole: Sequence = case.sequence();
        let Input::Dense(x) = &whole.input else { unreachable!("the case is dense") };
        let half = Case { steps: 4, ..case.clone() };
        for window in [0..4, 4..8] {
            let x = x.slice(bptt::ndarray::s![window, .., ..]).to_owned();
            block_on(trainer.step(&Batch { sequence: Sequence::dense(x), ..half.batch() })).unwrap();
        }
        let got = block_on(trainer.states()).unwrap().unwrap();
        let mut stack = gpu.engine(&case.headless(), &EngineOptions::default()).unwrap();
        let block = block_on(trainer.engine().parameters()).unwrap();
        let recurrent = stack.layout().len();
        stack.set_parameters(&block[..recurrent]).unwrap();
        let want = block_on(stack.forward(&whole)).unwrap().states;
        assert_close("h_n", &wide(&got.h), &wide(&want.h), RELATIVE, FLOOR);
        assert_eq!(got.c.is_some(), want.c.is_some());
        got.c.iter().zip(&want.c).for_each(|(got, want)| assert_close("c_n", &wide(got), &wide(want), RELATIVE, FLOOR));
        trainer.reset_state().unwrap();
        assert!(block_on(trainer.states()).unwrap().is_none());
    }
}

#[test]
fn the_first_non_finite_loss_latches_and_keeps_the_last_good_weights() {
    let Some(gpu) = gpu() else { return };
    let case = Case { initial: false, ..Case::new(Cell::Gru) };
    let mut trainer = Trainer::new(&gpu, &case.model(), Optimizer::adam(1e-2), 1).unwrap();
    let good = case.batch();
    let mut bad = good.clone();
    bad.sequence = Sequence::dense(fill::<f32, _>((4, 3, 2), 1).mapv_into(|_| f32::NAN));
    block_on(trainer.step(&good)).unwrap();
    block_on(trainer.finish()).unwrap();
    let weights = block_on(trainer.state_dict()).unwrap();
    block_on(trainer.step(&bad)).unwrap();
    block_on(trainer.step(&good)).unwrap();
    for _ in 0..2 {
        let error = block_on(trainer.finish()).unwrap_err();
        assert!(matches!(error, Error::NonFinite { step: 2, what: "loss" }), "{error}");
    }
    assert_eq!(block_on(trainer.state_dict()).unwrap(), weights);
}

/// A batch over the budget is refused; in micro-batches the same batch fits.
fn the_memory_budget_holds<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru).sizes([64, 64, 8, 32, 2]);
    let engine = EngineOptions::default().memory(2 << 20);
    let options = TrainerOptions::default().engine(engine);
    let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options.clone()).unwrap();
    let error = block_on(trainer.step(&case.batch())).unwrap_err();
    assert!(matches!(error, Error::Limit { limit: "the memory budget", .. }), "{error}");
    // In micro-batches the same batch fits.
    let options = options.micro_batch(8);
    let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap();
    block_on(trainer.step(&case.batch())).unwrap();
    assert!(trainer.engine().bytes() <= 2 << 20);
}

#[test]
fn a_pass_over_the_memory_budget_is_refused_with_its_bytes() {
    the_memory_budget_holds(&Cpu::<f32>::with_threads(2).unwrap());
    gpu().iter().for_each(the_memory_budget_holds);
}

#[test]
fn every_cell_equals_the_cpu_in_f64_at_every_size_of_every_axis() {
    let Some(gpu) = gpu() else { return };
    const SIZES: [usize; 7] = [1, 3, 17, 33, 64, 65, 130];
    for (c, cell) in CELLS.into_iter().enumerate() {
        for (i, hidden) in SIZES.into_iter().enumerate() {
            let size = |axis: usize| SIZES[(i + c + axis) % SIZES.len()];
            let case = Case { tokens: i % 3 == 2, ..Case::new(cell) };
            // Without a bound, 130 units over many steps grow beyond what f32 can be held to.
            let steps = [3, 5, 9][i % 3];
            let case = case.sizes([steps, size(1), size(3), hidden, size(5)]).with_loss(common::losses()[i].clone());
            let want = trained(&reference(), &case, None, Optimizer::sgd(0.0), 0);
            let got = trained(&gpu, &case, None, Optimizer::sgd(0.0), 0);
            for ((name, got), (_, want)) in got.iter().zip(&want) {
                // Sums over all rows are as exact as their largest terms.
                let largest = want.iter().fold(FLOOR, |largest, value| largest.max(value.abs()));
                assert_close(&format!("{case}: {name}"), got, want, RELATIVE, largest);
            }
        }
    }
}

#[test]
fn one_dispatch_per_step_and_one_per_sequence_give_the_same_bits() {
    let Some(gpu) = gpu() else { return };
    // The sequence kernel does not project h.
    for (i, case) in table().into_iter().enumerate().filter(|(_, case)| case.proj_size.is_none()) {
        let run = |kernel| {
            let chunk = [None, Some(3)][i % 2];
            let options = EngineOptions::default().kernel(kernel).chunk(chunk).input_gradient(true);
            let mut engine = gpu.engine(&case.model(), &options).unwrap();
            engine.set_parameters(&case.parameters(&case.model())).unwrap();
            engine.set_dropout(masks(1));
            block_on(engine.accumulate(&case.batch(), None)).unwrap();
            let gradients = block_on(engine.gradients()).unwrap();
            let initial = block_on(engine.input_gradient()).unwrap().initial;
            let mut named = common::by_name(engine.layout(), &gradients, "d ");
            named.push(("dh_0".into(), wide(&initial.h)));
            named.extend(initial.c.iter().map(|c| ("dc_0".into(), wide(c))));
            named.push(("logits".into(), wide(&block_on(engine.logits(&case.batch().sequence)).unwrap().logits)));
            named
        };
        assert_same_bits(&case, &run(RecurrentKernel::Step), &run(RecurrentKernel::Sequence));
    }
    let model = Case::new(Cell::Gru).sizes([1, 1, 1, 1025, 1]).headless();
    let options = EngineOptions::default().kernel(RecurrentKernel::Sequence);
    let error = gpu.engine(&model, &options).unwrap_err().to_string();
    assert!(error.contains("at most 1024 hidden units") && error.contains("has 1025"), "{error}");
}

#[test]
fn the_tiles_of_both_kinds_of_device_equal_the_cpu_in_f64() {
    for tiles in [Tiles::Hardware, Tiles::Software] {
        let Some(gpu) = open(GpuOptions::default().tiles(tiles)) else { return };
        for (i, case) in table().into_iter().enumerate() {
            let want = trained(&reference(), &case, None, Optimizer::sgd(0.0), 0);
            let got = trained(&gpu, &case, [None, Some(3)][i % 2], Optimizer::sgd(0.0), 0);
            assert_all_close(&case, &got, &want, RELATIVE, FLOOR * case.scale);
        }
    }
}

#[test]
fn more_shapes_than_are_cached_give_the_results_of_each_alone() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(Cell::Gru);
    let mut engine = gpu.engine(&case.headless(), &EngineOptions::default()).unwrap();
    engine.set_parameters(&case.parameters(&case.headless())).unwrap();
    let outputs = |engine: &mut bptt::gpu::GpuEngine| -> Vec<_> {
        (1..=9)
            .map(|steps| block_on(engine.forward(&case.clone().sizes([steps, 2, 2, 3, 2]).sequence())).unwrap())
            .collect()
    };
    let first = outputs(&mut engine);
    assert_eq!(outputs(&mut engine), first);
}

#[test]
fn passes_over_many_shapes_hold_the_planned_memory_of_the_largest() {
    let Some(gpu) = gpu() else { return };
    let case = Case { layers: 2, ..Case::new(Cell::Lstm) };
    let of = |steps, rows| case.clone().sizes([steps, rows, 5, 64, 3]);
    let model = of(1, 1).model();
    let engine = |memory| {
        let mut engine = gpu.engine(&model, &EngineOptions::default().memory(memory)).unwrap();
        engine.set_parameters(&of(1, 1).parameters(&model)).unwrap();
        engine
    };
    let gradients = |engine: &mut bptt::gpu::GpuEngine, case: &Case| {
        engine.clear_gradients();
        block_on(engine.accumulate(&case.batch(), None)).unwrap();
        common::gradients(engine)
    };
    let smaller = [(20, 13), (7, 20), (20, 1), (1, 20), (12, 3)];
    let largest = engine(None).planned_bytes(&of(20, 20).sequence::<f32>()).unwrap();
    let alone = engine(None).bytes();
    // The uniforms of the further shapes' kernels are no part of it.
    let most = largest + (largest - alone) / 10;
    for memory in [None, Some(most)] {
        let mut shared = engine(memory);
        for (steps, rows) in [(20, 20)].into_iter().chain(smaller).chain([(20, 20)]) {
            let case = of(steps, rows);
            let planned = shared.planned_bytes(&case.sequence::<f32>()).unwrap();
            assert_same_bits(&case, &gradients(&mut shared, &case), &gradients(&mut engine(None), &case));
            let held = shared.bytes();
            assert!(held <= most, "{case}: {held} bytes, {largest} planned for the largest");
            let right = held.abs_diff(planned) <= (largest - alone) / 20;
            assert!(right, "{case}: {held} bytes, {planned} planned for it");
            block_on(shared.evaluate(&case.batch())).unwrap();
            block_on(shared.logits(&case.sequence::<f32>())).unwrap();
            assert!(shared.bytes() <= most);
        }
    }
    // Each larger than the one before, and none over the budget although each asks for larger buffers.
    let mut growing = engine(Some(most));
    for (steps, rows) in smaller.into_iter().rev().chain([(20, 20)]) {
        let case = of(steps, rows);
        assert_same_bits(&case, &gradients(&mut growing, &case), &gradients(&mut engine(None), &case));
        assert!(growing.bytes() <= most, "{case}");
    }
}

#[test]
fn settings_that_would_ruin_the_weights_are_refused() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(Cell::Gru);
    let rule = Some(Optimizer::adam(0.1).kind);
    let mut engine = gpu.engine(&case.model(), &EngineOptions::default().optimizer(rule)).unwrap();
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    let good = bptt::OptimizerStep::new(Optimizer::adam(0.1), 1, 1.0);
    for bad in [
        bptt::OptimizerStep::new(Optimizer::adam(f64::NAN), 1, 1.0),
        bptt::OptimizerStep::new(Optimizer::sgd(0.1), 1, 1.0),
        bptt::OptimizerStep::new(good.optimizer, 0, 1.0),
        good.divisor(0.0),
    ] {
        assert!(block_on(engine.update(&bad)).is_err(), "{bad:?}");
    }
    let carry = bptt::StatefulRows { first_row: usize::MAX, rows: 4 };
    assert!(block_on(engine.accumulate(&case.batch(), Some(carry))).is_err());
    block_on(engine.update(&good)).unwrap();
}
