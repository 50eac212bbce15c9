//! An optimizer of the caller: SGD written as one gives the bits of this crate's, and its state is that of the engine.

use std::io::Cursor;
use std::sync::Arc;

use crate::common::Case;
use crate::common::gpu::gpu;
use bptt::data::{AddingTask, ShuffledBatches};
use bptt::gpu::GpuEngine;
use bptt::ndarray::Array3;
use bptt::train::{
    Checkpoint, Metrics, Observer, RunLength, RunOptions, StepCounts, TrainerState, WriteSeek, resume, run,
};
use bptt::{
    Backend, Batch, Cell, Cpu, CpuEngine, CpuUpdate, CustomOptimizer, EngineOptions, Gpu, GpuUpdate, Model, Optimizer,
    OptimizerStep, ParameterGroup, Parameters, Real, Recurrent, StepReport, Targets, Trainer, TrainerOptions, Training,
    Wait, wgpu,
};

const MOMENTUM: f64 = 0.9;

/// SGD, plain or with momentum; on a GPU its kernel.
#[derive(Clone)]
struct Sgd {
    momentum: bool,
    kernel: Option<wgpu::ComputePipeline>,
}

impl Sgd {
    fn new(momentum: bool, gpu: Option<&Gpu>) -> Self {
        let (binding, step) = if momentum {
            (
                "@group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;",
                "let b = 0.9 * velocity[i] + g; velocity[i] = b; parameters[i] = w - learning_rate() * b;",
            )
        } else {
            ("", "parameters[i] = w - learning_rate() * g;")
        };
        let main = "@compute @workgroup_size(GROUP)
            fn sgd(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
                let i = linear(id, groups);
                if is_skipped(i) { return; }
                let w = parameters[i];
                let g = gradient(i) + weight_decay() * w;";
        let wgsl = format!("{}{binding}{main}{step}}}", GpuUpdate::WGSL);
        Self { momentum, kernel: gpu.map(|gpu| gpu.compute_pipeline(&wgsl).unwrap()) }
    }

    /// The same as an optimizer of this crate, and as one of the caller.
    fn settings(&self) -> [Optimizer; 2] {
        let of = |optimizer: Optimizer| optimizer.weight_decay(0.1).clip_norm(0.05).clip_value(0.01);
        let momentum = if self.momentum { MOMENTUM } else { 0.0 };
        [Optimizer::sgd(0.3).momentum(momentum), Optimizer::custom("own sgd", usize::from(self.momentum), 0.3)].map(of)
    }
}

impl<R: Real> CustomOptimizer<CpuEngine<R>> for Sgd {
    fn update(&self, update: CpuUpdate<'_, R>) {
        let CpuUpdate { parameters, gradient_sums, state: [velocity, ..], scale, learning_rate, weight_decay, .. } =
            update;
        for (i, (w, g)) in parameters.iter_mut().zip(gradient_sums).enumerate() {
            let mut g = scale.gradient(*g) + weight_decay * *w;
            if self.momentum {
                velocity[i] = R::from_f64(MOMENTUM) * velocity[i] + g;
                g = velocity[i];
            }
            *w -= learning_rate * g;
        }
    }
}

impl CustomOptimizer<GpuEngine> for Sgd {
    fn update(&self, mut update: GpuUpdate<'_>) {
        assert_eq!(update.state.len(), usize::from(self.momentum));
        update.dispatch(self.kernel.as_ref().unwrap(), &[]);
    }
}

fn case() -> Case {
    Case { initial: false, layers: 2, ..Case::new(Cell::Gru) }.sizes([4, 3, 3, 31, 5])
}

/// Reports and state after five steps.
fn five_steps<E: bptt::Engine>(mut trainer: Trainer<E>) -> (Vec<StepReport>, TrainerState<E::Real>) {
    for _ in 0..5 {
        trainer.step(&case().batch()).wait().unwrap();
    }
    (trainer.finish().wait().unwrap(), trainer.state().wait().unwrap())
}

fn hold_sgd<B: Backend>(backend: &B, gpu: Option<&Gpu>)
where
    Sgd: CustomOptimizer<B::Engine>,
{
    let groups = vec![
        ParameterGroup::new("rnn.weight_ih_l0").frozen(),
        ParameterGroup::new("head.*").learning_rate_factor(4.0).weight_decay(0.0),
    ];
    for momentum in [false, true] {
        for (groups, ema_decay) in [(Vec::new(), None), (groups.clone(), Some(0.5))] {
            let engine = EngineOptions::default().parameter_groups(groups).ema_decay(ema_decay);
            let options = TrainerOptions::default().engine(engine).in_flight(8);
            let sgd = Sgd::new(momentum, gpu);
            let [built_in, own] = sgd.settings().map(|optimizer| {
                Trainer::with_options(backend, &case().model(), optimizer, 1, options.clone()).unwrap()
            });
            let (reports, mut state) = five_steps(own.custom_optimizer(sgd).unwrap());
            assert_eq!(state.optimizer.as_deref(), Some("own sgd"));
            state.optimizer = Some(built_in.optimizer().kind.name().to_owned());
            assert_eq!((reports, state), five_steps(built_in), "{momentum}");
        }
    }
}

#[test]
fn sgd_of_the_caller_gives_the_bits_of_the_built_in_one_on_the_cpu() {
    hold_sgd(&Cpu::<f32>::with_threads(2).unwrap(), None);
    hold_sgd(&Cpu::<f64>::default(), None);
}

#[test]
fn sgd_of_the_caller_gives_the_bits_of_the_built_in_one_on_the_gpu() {
    let Some(gpu) = gpu() else { return };
    hold_sgd(&gpu, Some(&gpu));
}

/// Keeps the checkpoint of a step, and stops there.
struct StopAt(u64, Cursor<Vec<u8>>);

impl Observer for StopAt {
    fn step(&mut self, _: &Metrics, _: StepCounts) -> bptt::Result<()> {
        Ok(())
    }

    fn stop(&mut self, _step: u64) -> bool {
        self.0 -= 1;
        self.0 == 0
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        step == 5
    }

    fn checkpoint(&mut self, _: u64) -> bptt::Result<Option<(&mut dyn WriteSeek, String)>> {
        Ok(Some((&mut self.1, String::new())))
    }
}

fn hold_resume<B: Backend>(backend: &B, gpu: Option<&Gpu>)
where
    Sgd: CustomOptimizer<B::Engine>,
{
    let task = AddingTask { length: 6 };
    let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 5), task.head());
    let batches = ShuffledBatches::new(task.examples(1, 0, 32).unwrap(), 8, 1, 1).unwrap();
    let options = RunOptions::new(RunLength::Steps(11));
    let make = |optimizer: Optimizer| Trainer::new(backend, &model, optimizer, 1).unwrap();
    let sgd = Sgd::new(true, gpu);
    let [_, optimizer] = sgd.settings();
    let own = || make(optimizer).custom_optimizer(sgd.clone()).unwrap();

    let mut whole = own();
    run(&mut whole, &batches, None, &options, &mut ()).wait().unwrap();
    let mut observer = StopAt(5, Cursor::default());
    run(&mut own(), &batches, None, &options, &mut observer).wait().unwrap();
    let file = observer.1.into_inner();
    let checkpoint = || Checkpoint::from_bytes(&file).unwrap().0;
    let mut second = own();
    resume(&mut second, checkpoint(), &batches, None, &options, &mut ()).wait().unwrap();
    assert_eq!(second.state().wait().unwrap(), whole.state().wait().unwrap());

    let refused = |optimizer: Optimizer| {
        let mut trainer = make(optimizer);
        resume(&mut trainer, checkpoint(), &batches, None, &options, &mut ()).wait().unwrap_err().to_string()
    };
    let words = |state: &str, trainer: &str| {
        format!("the optimizer state is that of {state}, and this trainer's optimizer is {trainer}: ")
    };
    let another = refused(Optimizer::custom("lion", 1, 0.1));
    assert!(another.starts_with(&words("own sgd", "lion")), "{another}");
    let of_crate = refused(Optimizer::sgd(0.1).momentum(0.9));
    assert!(of_crate.starts_with(&words("own sgd", "SGD with momentum")), "{of_crate}");
    assert_eq!(refused(Optimizer::custom("own sgd", 2, 0.1)), "the optimizer state: expected 2 blocks, got 1");
    let mut state = make(Optimizer::sgd(0.1)).state().wait().unwrap();
    for (name, got) in [(Some("SGD".to_owned()), "SGD"), (None, "an optimizer of this crate")] {
        state.optimizer = name;
        let refused = own().restore(&state).unwrap_err().to_string();
        assert!(refused.starts_with(&words(got, "own sgd")), "{refused}");
    }
}

#[test]
fn a_run_with_an_optimizer_of_the_caller_goes_on_from_a_checkpoint_to_the_bit_and_with_no_other_one() {
    hold_resume(&Cpu::new(), None);
    let Some(gpu) = gpu() else { return };
    hold_resume(&gpu, Some(&gpu));
}

/// Writes the number of updates as the state of each weight.
#[derive(Clone)]
struct Count(Option<wgpu::ComputePipeline>);

impl Count {
    fn on(gpu: &Gpu) -> Self {
        let kernel = "@group(0) @binding(4) var<storage, read_write> count: array<vec4f>;
            @compute @workgroup_size(GROUP)
            fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
                let i = linear(id, groups);
                if is_skipped(i) { return; }
                count[i] = vec4f(f32(updates())) + 0.0 * gradient(i);
                parameters[i] += 0.0 * learning_rate();
            }";
        Self(Some(gpu.compute_pipeline(&format!("{}{kernel}", GpuUpdate::WGSL)).unwrap()))
    }
}

impl CustomOptimizer<CpuEngine> for Count {
    fn update(&self, update: CpuUpdate<'_>) {
        let [count, unused @ ..] = update.state;
        assert!(unused.iter().all(|block| block.is_empty()));
        count.fill(update.updates as f32);
    }
}

impl CustomOptimizer<GpuEngine> for Count {
    fn update(&self, mut update: GpuUpdate<'_>) {
        update.dispatch(self.0.as_ref().unwrap(), &[]);
    }
}

/// The state after five steps, the third of which has a loss beyond f32.
fn counted<B: Backend>(backend: &B, count: Count) -> Vec<f64>
where
    Count: CustomOptimizer<B::Engine>,
{
    let options = TrainerOptions::default().in_flight(8).engine(EngineOptions::default().max_skipped_updates(1));
    let optimizer = Optimizer::custom("count", 1, 0.1);
    let trainer = Trainer::with_options(backend, &case().model(), optimizer, 1, options).unwrap();
    let mut trainer = trainer.custom_optimizer(count).unwrap();
    let far = Targets::Values(Array3::from_elem((4, 3, 5), 1e30));
    for step in 0..5 {
        let batch = if step == 2 { Batch { targets: far.clone(), ..case().batch() } } else { case().batch() };
        trainer.step(&batch).wait().unwrap();
    }
    let skipped: Vec<bool> = trainer.finish().wait().unwrap().iter().map(|report| report.skipped).collect();
    assert_eq!(skipped, [false, false, true, false, false]);
    let state = trainer.state().wait().unwrap().optimizer_state;
    state.concat().into_iter().map(|count| count.as_f64()).collect()
}

#[test]
fn an_optimizer_of_the_caller_counts_only_the_updates_that_were_made() {
    let on_cpu = counted(&Cpu::new(), Count(None));
    assert_eq!(on_cpu, vec![4.0; on_cpu.len()]);
    let Some(gpu) = gpu() else { return };
    assert_eq!(counted(&gpu, Count::on(&gpu)), on_cpu);
}

/// A step without the optimizer is refused, and the next one with it is the first.
fn a_refused_step_leaves_no_gradients<B: Backend>(backend: &B, count: Count)
where
    Count: CustomOptimizer<B::Engine>,
{
    let of = |refused: bool| {
        let mut trainer = Trainer::new(backend, &case().model(), Optimizer::custom("count", 1, 0.1), 1).unwrap();
        if refused {
            let far = Targets::Values(Array3::from_elem((4, 3, 5), 1e30));
            let error = trainer.step(&Batch { targets: far, ..case().batch() }).wait().unwrap_err();
            assert!(error.to_string().contains("set_custom_optimizer"), "{error}");
        }
        let mut trainer = trainer.custom_optimizer(count.clone()).unwrap();
        trainer.step(&case().batch()).wait().unwrap();
        (trainer.finish().wait().unwrap(), trainer.state().wait().unwrap())
    };
    assert_eq!(of(true), of(false));
}

#[test]
fn a_step_refused_for_a_missing_optimizer_leaves_no_gradients_on_both_backends() {
    a_refused_step_leaves_no_gradients(&Cpu::new(), Count(None));
    let Some(gpu) = gpu() else { return };
    a_refused_step_leaves_no_gradients(&gpu, Count::on(&gpu));
}

/// What is refused, in words.
fn refusals<B: Backend>(backend: &B) -> Vec<String>
where
    Count: CustomOptimizer<B::Engine>,
{
    let model = case().model();
    let words = |error: bptt::Error| error.to_string();
    let mut refused = Vec::new();
    let own = Optimizer::custom("count", 1, 0.1);
    let mut trainer = Trainer::new(backend, &model, own, 1).unwrap();
    let before = trainer.state().wait().unwrap();
    trainer.accumulate(&case().batch()).wait().unwrap();
    refused.push(trainer.update().wait().err().map(words).unwrap());
    assert_eq!(trainer.engine().parameters().wait().unwrap(), before.parameters);
    let adam = Optimizer::adam(0.1);
    let trainer = Trainer::new(backend, &model, adam, 1).unwrap();
    refused.push(trainer.custom_optimizer(Count(None)).err().map(words).unwrap());
    let options = |optimizer: Optimizer| EngineOptions::default().optimizer(optimizer.kind);
    let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
    refused.push(engine.set_custom_optimizer(Arc::new(Count(None))).err().map(words).unwrap());
    let mut engine = backend.engine(&model, &options(own)).unwrap();
    for other in [Optimizer::custom("count", 2, 0.1), Optimizer::custom("lion", 1, 0.1), adam] {
        refused.push(engine.update(&OptimizerStep::new(other, 1, 1.0)).wait().err().map(words).unwrap());
    }
    refused.push(Trainer::new(backend, &model, Optimizer::custom("five", 5, 0.1), 1).err().map(words).unwrap());
    let five = options(Optimizer::custom("five", 5, 0.1));
    refused.push(backend.engine(&model, &five).err().map(words).unwrap());
    let momentum = own.momentum(0.9);
    refused.push(Trainer::new(backend, &model, momentum, 1).err().map(words).unwrap());
    refused.push(backend.engine(&model, &options(momentum)).err().map(words).unwrap());
    refused
}

#[test]
fn both_backends_refuse_an_optimizer_of_the_caller_in_the_same_words() {
    let refused = refusals(&Cpu::new());
    let not_given = "the custom optimizer 'count' has not been given: call Trainer::custom_optimizer, or on an engine \
                     Training::set_custom_optimizer, before the first update";
    assert_eq!(refused[0], not_given);
    assert!(refused[1].contains("needs settings of Optimizer::custom"), "{}", refused[1]);
    assert_eq!(refused[6], "state_blocks of the optimizer 'five': expected at most 4, got 5");
    assert_eq!(refused[7], refused[6]);
    assert!(
        refused[8].starts_with("Optimizer::momentum does not reach the custom optimizer 'count'"),
        "{}",
        refused[8]
    );
    assert_eq!(refused[9], refused[8]);
    let Some(gpu) = gpu() else { return };
    assert_eq!(refusals(&gpu), refused);
}
