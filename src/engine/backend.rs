//! A place where networks can be made.

use super::options::largest_rows;
use super::sealed::Sealed;
use super::{Engine, EngineOptions};
use crate::error::Result;
use crate::memory::{BatchShape, Memory};
use crate::model::{Model, RecurrentKernel};

/// A place where networks can be made: [`Gpu`](crate::Gpu) or [`Cpu`](crate::Cpu).
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Backend: Sealed + Clone {
    /// What holds a network's weights and buffers there.
    type Engine: Engine;

    /// Allocates a network with weights of zero.
    fn engine(&self, model: &Model, options: &EngineOptions) -> Result<Self::Engine>;

    /// What an engine with these options holds on its device once a batch of this shape went through
    /// [`Training::accumulate`](crate::Training::accumulate), by the plan: neither an engine nor anything of it is
    /// made. With `gradient_norms` also what
    /// [`Inspection::set_hidden_gradient_norms`](crate::Inspection::set_hidden_gradient_norms) takes.
    ///
    /// # Errors
    /// Those with which such an engine, or the batch for its sizes, would be refused.
    fn plan(
        &self,
        model: &Model,
        options: &EngineOptions,
        batch_shape: BatchShape,
        gradient_norms: bool,
    ) -> Result<Memory>;

    /// [`Inspection::largest_rows`](crate::Inspection::largest_rows) of an engine of such a model, with such options
    /// and with or without `gradient_norms`.
    ///
    /// # Errors
    /// As there.
    fn largest_rows(
        &self,
        (model, options, gradient_norms): (&Model, &EngineOptions, bool),
        batch_shape: BatchShape,
        budget: u64,
        most: usize,
        beside: u64,
    ) -> Result<usize> {
        largest_rows(
            |rows| self.plan(model, options, BatchShape { rows, ..batch_shape }, gradient_norms),
            budget,
            most,
            beside,
        )
    }

    /// [`Inspection::kernel`](crate::Inspection::kernel) of such an engine.
    fn planned_kernel(&self, model: &Model, options: &EngineOptions, rows: usize) -> Option<RecurrentKernel>;

    /// The device in words.
    fn describe(&self) -> String;

    /// What the bits of results depend on beside the model, the data, the settings and the calls, as names and values. Where
    /// all of them are equal the same calls give the same bits; elsewhere the last bits may differ.
    fn arithmetic(&self) -> Vec<(&'static str, String)>;
}

/// Where exp, ln, cos and the like of the standard library come from, on whose last bits losses and schedules depend.
pub(crate) fn platform() -> String {
    let abi = match () {
        () if cfg!(target_env = "gnu") => " gnu",
        () if cfg!(target_env = "musl") => " musl",
        () if cfg!(target_env = "msvc") => " msvc",
        () => "",
    };
    format!("{} {}{abi}", std::env::consts::ARCH, std::env::consts::OS)
}
