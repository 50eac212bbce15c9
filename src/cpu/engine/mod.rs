//! The CPU engine.

use crate::engine::{EngineHandle, EngineOptions, Layers, SkippedUpdates, StepReport};
mod inspection;
mod layers;
mod parameters;
mod passes;
mod plan;
mod streaming;
mod training;

use std::collections::VecDeque;

use self::plan::{averaged, carried, fixed, of_batch, squares};
use crate::allocate;
use crate::batch::States;
use crate::cpu::kernels::update::OptimizerState;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::pass::PassContext;
use crate::cpu::pass::block::RowBlock;
use crate::cpu::pass::mapped_model::MappedModel;
use crate::dropout::DropoutKey;
use crate::engine::calls::{BadStep, LastPass};
use crate::engine::hooks::OptimizerHook;
use crate::engine::parameter_groups::{UpdateRange, update_ranges};
use crate::engine::sealed::Sealed;
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;
use crate::memory::{BatchShape, Memory};
use crate::model::{Layout, Model, Precision};
use crate::real::Real;
use crate::sizes::ON_HOST;

/// A network on the CPU. Created by [`Backend::engine`](crate::Backend::engine) of [`Cpu`](crate::Cpu).
#[derive(Debug)]
pub struct CpuEngine<R: Real = f32> {
    model: Model,
    layout: Layout,
    options: EngineOptions,
    passes: PassContext<R>,
    gradients: Vec<R>,
    /// Σ w·loss that belongs to the gradients.
    loss: f64,
    /// Whether an update has used the sums, so that the next pass starts from zero.
    used: bool,
    optimizer_state: OptimizerState<R>,
    custom_optimizer: OptimizerHook<Self>,
    /// The moving average of the parameters; empty without one.
    averaged: Vec<R>,
    /// Whether the parameters are in its place.
    exchanged: bool,
    /// What an update changes.
    ranges: Vec<UpdateRange>,
    squares: Vec<f64>,
    blocks: Vec<RowBlock<R>>,
    /// What the last pass left available in the blocks.
    last: LastPass,
    masks: Option<DropoutKey>,
    /// Whether backward passes record the norms of dh_t.
    takes_gradient_norms: bool,
    /// The norms of the last pass.
    gradient_norms: Option<HiddenGradientNorms>,
    carried: Option<States<R>>,
    reports: VecDeque<StepReport>,
    /// The update that stopped updating, and what was not finite.
    refused: Option<(u64, &'static str)>,
    refusals: usize,
    /// The skipped updates.
    skipped: SkippedUpdates,
    bad_step: BadStep,
}

impl<R: Real> CpuEngine<R> {
    pub(super) fn new(threads: Threads, model: &Model, options: &EngineOptions) -> Result<Self> {
        model.validate()?;
        options.validate(model)?;
        check_precision(options)?;
        let layout = Layout::new(model);
        let ranges = update_ranges(&options.parameter_groups, &layout)?;
        let mapped = MappedModel::new(model, &layout);
        Ok(Self {
            optimizer_state: OptimizerState::new(options.optimizer, layout.len())?,
            custom_optimizer: OptimizerHook::NONE,
            averaged: allocate::zeros(averaged(&layout, options), "the average of the parameters")?,
            exchanged: false,
            squares: allocate::zeros(squares(&layout, &ranges), "the norm's sums")?,
            ranges,
            gradients: allocate::zeros(layout.len(), "the gradients")?,
            passes: PassContext::new(threads, mapped, &layout)?,
            loss: 0.0,
            used: false,
            blocks: Vec::new(),
            last: LastPass::default(),
            masks: None,
            takes_gradient_norms: false,
            gradient_norms: None,
            carried: None,
            reports: VecDeque::new(),
            refused: None,
            refusals: 0,
            skipped: SkippedUpdates::default(),
            bad_step: BadStep::default(),
            model: model.clone(),
            options: options.clone(),
            layout,
        })
    }

    /// The memory of a new engine after a batch of this shape; with `gradient_norms` including the norms of dh_t.
    pub(super) fn planned(
        threads: &Threads,
        model: &Model,
        options: &EngineOptions,
        gradient_norms: bool,
        batch_shape: BatchShape,
    ) -> Result<Memory> {
        model.validate()?;
        options.validate(model)?;
        check_precision(options)?;
        batch_shape.check(model, ON_HOST)?;
        let layout = Layout::new(model);
        let ranges = update_ranges(&options.parameter_groups, &layout)?;
        let mapped = MappedModel::new(model, &layout);
        let of_extent =
            of_batch::<R>(&mapped, options, gradient_norms, batch_shape) + carried::<R>(&mapped, batch_shape.carried);
        Ok(fixed::<R>(&mapped, &layout, (options, &ranges), threads.count()) + of_extent)
    }

    /// Resets the sums if an update has used them.
    pub(super) fn open_sums(&mut self) {
        if self.used {
            self.clear_gradients();
        }
    }

    pub(super) fn carried_rows(&self) -> Option<usize> {
        self.carried.as_ref().map(|states| states.h.shape()[1])
    }
}

impl<R: Real> Sealed for CpuEngine<R> {}

impl<R: Real> EngineHandle for CpuEngine<R> {
    type Engine = Self;

    fn engine(&self) -> &Self {
        self
    }

    fn engine_mut(&mut self) -> &mut Self {
        self
    }
}

/// Refuses half precision: what the CPU backend stores is of its own number type.
fn check_precision(options: &EngineOptions) -> Result<()> {
    if options.precision == Precision::F16 {
        let reason = "precision f16 is how the GPU backend stores z and h, and the CPU backend stores what it computes with: \
                      take f32";
        return Err(Error::Unsupported(reason.into()));
    }
    Ok(())
}
