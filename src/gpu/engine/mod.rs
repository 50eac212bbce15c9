//! The GPU engine.

mod average;
mod device_arrays;
mod hooks;
mod inspection;
mod layers;
mod parameters;
mod pass_cache;
mod passes;
pub(super) mod planned;
mod stage;
mod streaming;
mod training;
mod transfer;
mod updater;

use self::planned::LOSSES;
use self::updater::Updater;
use crate::dropout::DropoutKey;
use crate::engine::calls::{BadStep, LastPass};
use crate::engine::hooks::OptimizerHook;
use crate::engine::parameter_groups::{UpdateRange, update_ranges};
use crate::engine::{EngineHandle, EngineOptions, sealed};
use crate::error::Result;
use crate::gpu::commands::builder::allocate;
use crate::gpu::commands::recorder::Recorder;
use crate::gpu::device::Gpu;
use crate::gpu::pass::Pass;
use crate::gpu::pass::arena::Arena;
use crate::gpu::pass::carried::CarriedStates;
use crate::gpu::weights::DeviceWeights;
use crate::model::plan::TensorSpec;
use crate::model::{Layout, Model, Precision};

pub use self::device_arrays::DeviceArrays;
pub use self::hooks::{GpuPredictions, GpuUpdate};

/// A network on a GPU. Created by [`Backend::engine`](crate::Backend::engine) of [`Gpu`](crate::Gpu).
#[derive(Debug)]
pub struct GpuEngine {
    gpu: Gpu,
    pub(crate) weights: DeviceWeights,
    layout: Layout,
    options: EngineOptions,
    updater: Option<Updater>,
    custom_optimizer: OptimizerHook<Self>,
    /// Whether the parameters and their average are in each other's place.
    exchanged: bool,
    /// What an update changes.
    ranges: Vec<UpdateRange>,
    /// In the order of last use.
    pub(crate) passes: Vec<Pass>,
    arena: Arena,
    carried: Option<CarriedStates>,
    /// The parts of two losses: that of a step in progress while a batch is evaluated, and that batch's.
    losses: wgpu::Buffer,
    /// Whether the parameters have changed since W_hh was last transposed.
    unpacked: bool,
    /// Whether an update has used the gradient sums, so that the next pass starts from zero.
    used: bool,
    /// Whether to clear the gradient sums before they are next read or added to.
    cleared: bool,
    /// What the last pass left available.
    last: LastPass,
    /// Whether backward passes record the norms of dh_t.
    gradient_norms: bool,
    bad_step: BadStep,
    masks: Option<DropoutKey>,
    recorder: Recorder,
    words: Vec<u32>,
    numbers: Vec<f32>,
}

impl sealed::Sealed for GpuEngine {}

impl EngineHandle for GpuEngine {
    type Engine = Self;

    fn engine(&self) -> &Self {
        self
    }

    fn engine_mut(&mut self) -> &mut Self {
        self
    }
}

impl GpuEngine {
    pub(super) fn new(gpu: &Gpu, model: &Model, options: &EngineOptions) -> Result<Self> {
        model.validate()?;
        options.validate(model)?;
        options.kernel.check(&model.recurrent)?;
        gpu.check_cell(model.recurrent.cell)?;
        if options.precision == Precision::F16 {
            gpu.check_halves()?;
        }
        let layout = Layout::new(model);
        let ranges = update_ranges(&options.parameter_groups, &layout)?;
        let weights = DeviceWeights::new(gpu, model, options)?;
        let updater =
            options.optimizer.map(|rule| Updater::new(gpu, &weights, rule, (&layout, &ranges), options)).transpose()?;
        gpu.check()?;
        Ok(Self {
            gpu: gpu.clone(),
            layout,
            ranges,
            weights,
            options: options.clone(),
            updater,
            custom_optimizer: OptimizerHook::NONE,
            exchanged: false,
            passes: Vec::new(),
            arena: Arena::default(),
            carried: None,
            losses: allocate(gpu, &TensorSpec { name: "losses".into(), bytes: LOSSES })?,
            unpacked: true,
            used: false,
            cleared: false,
            last: LastPass::default(),
            gradient_norms: false,
            bad_step: BadStep::default(),
            masks: None,
            recorder: Recorder::with_uploads(gpu)?,
            words: Vec::new(),
            numbers: Vec::new(),
        })
    }
}
