//! A pass that keeps only the states between chunks, and makes the rest again, gives the same bits as one that keeps
//! all.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, Named, PLACES, assert_all_close, assert_same_bits, gradients, masks, wide};
use bptt::ndarray::ArrayD;
use bptt::{
    Backend, BatchShape, Cell, Cpu, EngineOptions, Inference, Inspection, Layers, Loss, MemoryPart, Optimizer,
    Parameters, Readout, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

/// Everything that an engine computes: raw, for training, and aside.
pub(crate) fn all<B: Backend>(backend: &B, case: &Case, recompute: bool, chunk: usize) -> Named {
    let mut named = Named::new();
    let options = EngineOptions::default().recompute(recompute).chunk(chunk).input_gradient(true);
    let model = case.headless();
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine.set_dropout(masks(1));
    engine.set_hidden_gradient_norms(true);
    let output = block_on(engine.forward(&case.sequence())).unwrap();
    named.push(("output".into(), wide(&output.output)));
    named.push(("h_n".into(), wide(&output.states.h)));
    let raw = block_on(engine.backward(&case.output_gradient())).unwrap();
    named.extend(raw.x.iter().map(|x| ("raw dx".into(), wide(x))));
    named.push(("raw dh_0".into(), wide(&raw.initial.h)));
    named.push(("raw flow".into(), wide(&block_on(engine.hidden_gradient_norms()).unwrap().norms)));
    named.extend(gradients(&mut engine));

    let (model, batch) = (case.model(), case.batch());
    let rule = Some(Optimizer::sgd(0.1).kind);
    let mut engine = backend.engine(&model, &options.optimizer(rule)).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine.set_dropout(masks(1));
    named.push(("logits".into(), wide(&block_on(engine.logits(&batch.sequence)).unwrap().logits)));
    let evaluation = block_on(engine.evaluate(&batch)).unwrap();
    named.push(("loss".into(), ArrayD::from_elem(vec![], evaluation.loss_sum)));
    named.push(("its h_n".into(), wide(&evaluation.states.h)));
    let carry = Some(bptt::StatefulRows { first_row: 1, rows: case.rows + 2 });
    for flow in [true, false] {
        engine.set_hidden_gradient_norms(flow);
        block_on(engine.accumulate(&batch, carry)).unwrap();
        if flow {
            named.push(("flow".into(), wide(&block_on(engine.hidden_gradient_norms()).unwrap().norms)));
        }
        let input = block_on(engine.input_gradient()).unwrap();
        named.extend(input.x.iter().map(|x| ("dx".into(), wide(x))));
        named.push(("dh_0".into(), wide(&input.initial.h)));
        named.extend(input.initial.c.iter().map(|c| ("dc_0".into(), wide(c))));
    }
    named.push(("carried h".into(), wide(&block_on(engine.states()).unwrap().unwrap().h)));
    let update = bptt::OptimizerStep::new(Optimizer::sgd(0.1), 1, 3.0);
    block_on(engine.update(&update)).unwrap();
    let report = block_on(engine.report()).unwrap().unwrap();
    named.push(("loss of the step".into(), ArrayD::from_elem(vec![], report.loss)));
    named.extend(gradients(&mut engine));
    named
}

/// Every cell with every place of the head and what else there is, over several chunks and a rest.
fn cases(steps: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, cell) in CELLS.into_iter().enumerate() {
        for (j, at) in PLACES.into_iter().enumerate() {
            let case =
                Case { cell, at, ragged: (i + j) % 2 == 0, resets: j != 1, layers: 1 + (i + j) % 3, ..Case::new(cell) };
            let dropout = [(0.0, 0.0), (0.3, 0.0), (0.2, 0.3)][i % 3];
            let dropout = if case.layers == 1 { (0.0, dropout.1) } else { dropout };
            // A dense batch begins from states of its own, one of tokens from the carried ones.
            let case = Case { dropout, initial: j == 0, weights: i % 2 == 0, scale: 0.5, ..case };
            let case = case.sizes([steps, 11, 3, 5, 4]);
            cases.push(match (i + 2 * j) % 4 {
                0 => Case { tokens: true, ..case },
                1 => case.embedded(7),
                2 if at == Readout::PerStep => case.tied(7),
                _ => case.with_loss(Loss::CrossEntropy),
            });
        }
    }
    for (at, dropout) in PLACES.into_iter().zip([(0.0, 0.0), (0.0, 0.3), (0.3, 0.2)]) {
        let case = Case { at, dropout, layers: 2, initial: false, scale: 0.5, ..Case::new(Cell::Lstm) };
        cases.push(case.sizes([steps, 11, 3, 6, 4]).projected(5));
    }
    cases
}

fn same_bits<B: Backend>(backend: &B, steps: usize, chunk: usize) {
    for case in cases(steps) {
        assert_same_bits(&case, &all(backend, &case, true, chunk), &all(backend, &case, false, chunk));
    }
}

#[test]
fn recompute_gives_the_bits_of_a_kept_pass_on_the_cpu() {
    same_bits(&Cpu::<f32>::with_threads(2).unwrap(), 150, 64);
    same_bits(&Cpu::<f64>::with_threads(1).unwrap(), 129, 1);
}

#[test]
fn recompute_gives_the_bits_of_a_kept_pass_on_the_gpu() {
    gpu().iter().for_each(|gpu| same_bits(gpu, 11, 4));
}

#[test]
fn recompute_on_the_gpu_equals_the_cpu_in_f64() {
    let Some(gpu) = gpu() else { return };
    let cpu = Cpu::<f64>::with_threads(2).unwrap();
    for case in cases(11) {
        assert_all_close(&case, &all(&gpu, &case, true, 4), &all(&cpu, &case, false, 64), 5e-5, 0.2 * case.scale);
    }
}

#[test]
fn on_the_cpu_no_bit_depends_on_the_chunk() {
    let case = Case { layers: 2, ..Case::new(Cell::Lstm) }.sizes([300, 9, 3, 5, 4]);
    let cpu = Cpu::<f32>::with_threads(1).unwrap();
    let want = all(&cpu, &case, false, 1);
    for chunk in [1, 65, 1000] {
        assert_same_bits(&case, &all(&cpu, &case, true, chunk), &want);
    }
}

fn a_long_sequence_takes_little<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Lstm).sizes([20_000, 16, 2, 256, 1]);
    let batch_shape = BatchShape::new(20_000, 16);
    let planned = |recompute| {
        let options = EngineOptions::default().recompute(recompute).optimizer(Optimizer::adam(0.1).kind);
        backend.engine(&case.model(), &options).unwrap().plan(batch_shape).unwrap()
    };
    let (all, borders) = (planned(false), planned(true));
    assert!(all.total() > 2 << 30, "{all:?}");
    assert!(borders.total() < 64 << 20, "{borders:?}");
    for part in [MemoryPart::Weights, MemoryPart::Gradients, MemoryPart::Optimizer, MemoryPart::Carried] {
        assert_eq!(all.of(part), borders.of(part));
    }
}

#[test]
fn twenty_thousand_steps_of_256_units_are_planned_in_64_mib() {
    a_long_sequence_takes_little(&Cpu::<f32>::new());
    gpu().iter().for_each(a_long_sequence_takes_little);
}

fn the_plan_is_what_is_held<B: Backend>(backend: &B, exactly: bool) {
    for case in cases(150).into_iter().filter(|case| !case.ragged) {
        for recompute in [false, true] {
            let rule = Some(Optimizer::adam(0.1).kind);
            let options = EngineOptions::default().recompute(recompute).optimizer(rule);
            let mut engine = backend.engine(&case.model(), &options).unwrap();
            let planned = engine.plan(case.batch().sequence.batch_shape()).unwrap();
            block_on(engine.accumulate(&case.batch(), None)).unwrap();
            let held = engine.memory();
            for ((part, planned), (_, held)) in planned.parts().zip(held.parts()) {
                // Uniforms are planned by a rule of thumb, and are of no weight in a network of a useful size.
                if exactly || part != MemoryPart::Workspace {
                    assert_eq!(planned, held, "{case}, recompute {recompute}: {}", part.name());
                }
            }
            assert_eq!(held.total(), engine.bytes());
        }
    }
}

#[test]
fn the_plan_equals_the_memory_held_in_every_category() {
    the_plan_is_what_is_held(&Cpu::<f64>::with_threads(1).unwrap(), true);
    gpu().iter().for_each(|gpu| the_plan_is_what_is_held(gpu, false));
}

fn the_largest_rows_fit_and_one_more_does_not<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru).sizes([64, 64, 8, 32, 2]);
    let engine = backend.engine(&case.model(), &EngineOptions::default()).unwrap();
    let batch_shape = case.sequence::<f32>().batch_shape();
    let budget = 1 << 20;
    let rows = engine.largest_rows(batch_shape, budget, 1000, 0).unwrap();
    let bytes = |rows| engine.plan(batch_shape.rows(rows)).unwrap().total();
    assert!(bytes(rows) <= budget && bytes(rows + 1) > budget, "{rows} rows");
    assert_eq!(engine.largest_rows(batch_shape, budget, 3, 0).unwrap(), 3);
    let error = engine.largest_rows(batch_shape, 1000, 3, 0).unwrap_err().to_string();
    assert!(error.contains("one row") && error.contains("1000 bytes"), "{error}");
}

#[test]
fn the_largest_batch_of_a_budget_fits_and_one_more_row_does_not() {
    the_largest_rows_fit_and_one_more_does_not(&Cpu::<f32>::new());
    gpu().iter().for_each(the_largest_rows_fit_and_one_more_does_not);
}

#[test]
fn recompute_is_refused_with_a_reverse_direction() {
    for (bidirectional, reverse) in [(true, false), (false, true)] {
        let case = Case { bidirectional, reverse, ..Case::new(Cell::Lstm) };
        let options = EngineOptions::default().recompute(true);
        let error = Cpu::<f32>::new().engine(&case.model(), &options).err().unwrap().to_string();
        assert_eq!(error, "recompute needs a network that reads forward only; this one has a reverse direction");
    }
}

/// A batch eight times larger than the budget has room for.
#[test]
fn micro_batches_within_a_budget_give_the_losses_of_the_large_batch_over_50_steps() {
    let case = Case { ragged: true, dropout: (0.0, 0.2), ..Case::new(Cell::Lstm) }.sizes([20, 64, 3, 16, 2]);
    let batch = case.batch();
    let cpu = Cpu::<f32>::with_threads(1).unwrap();
    let losses = |memory: Option<u64>| {
        let mut options = TrainerOptions::default();
        options.engine.memory = memory;
        if let Some(budget) = memory {
            let optimizer = Optimizer::adam(5e-3);
            let planner = cpu.engine(&case.model(), &EngineOptions::default().optimizer(optimizer.kind));
            options.micro_batch =
                Some(planner.unwrap().largest_rows(batch.sequence.batch_shape(), budget, 64, 0).unwrap());
            assert_eq!(options.micro_batch, Some(8));
        }
        let optimizer = Optimizer::adam(5e-3).clip_norm(1.0);
        let mut trainer = Trainer::with_options(&cpu, &case.model(), optimizer, 3, options).unwrap();
        let mut reports: Vec<_> = (0..50).filter_map(|_| block_on(trainer.step(&batch)).unwrap()).collect();
        reports.extend(block_on(trainer.finish()).unwrap());
        reports.iter().map(|report| report.loss).collect::<Vec<_>>()
    };
    let engine = cpu.engine(&case.model(), &EngineOptions::default().optimizer(Optimizer::adam(5e-3).kind));
    let budget = engine.unwrap().plan(batch.sequence.batch_shape().rows(8)).unwrap().total();
    let (parts, whole) = (losses(Some(budget)), losses(None));
    assert_eq!(parts.len(), 50);
    for (step, (parts, whole)) in parts.iter().zip(&whole).enumerate() {
        assert!((parts - whole).abs() < 1e-5, "step {}: {parts} in parts, {whole} whole", step + 1);
    }
}
