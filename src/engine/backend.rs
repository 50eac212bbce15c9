//! The trait of a compute backend.

use super::options::largest_rows;
use super::sealed::Sealed;
use super::{Engine, EngineOptions};
use crate::error::Result;
use crate::memory::{BatchShape, Memory};
use crate::model::{Model, RecurrentKernel};

/// A compute backend on which networks are created: [`Gpu`](crate::Gpu) or [`Cpu`](crate::Cpu).
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Backend: Sealed + Clone {
    /// The backend's engine: a network's weights and buffers on its device.
    type Engine: Engine;

    /// Creates an engine for `model`. Its weights are zero, from which most networks do not train:
    /// [`Parameters::initialise`](crate::Parameters::initialise), [`load_state_dict`](crate::Parameters::load_state_dict) or
    /// [`set_parameters`](crate::Parameters::set_parameters) comes next. [`SavedModel::engine`](crate::SavedModel::engine)
    /// creates an engine with the weights of a file.
    ///
    /// # Errors
    /// Those of [`Model::validate`]; [`Error::Value`](crate::Error::Value) or
    /// [`Error::Unsupported`](crate::Error::Unsupported) for options that the model cannot have;
    /// [`Error::Limit`](crate::Error::Limit), [`Error::OutOfMemory`](crate::Error::OutOfMemory) or
    /// [`Error::NoMemory`](crate::Error::NoMemory) where there is no room for it.
    fn engine(&self, model: &Model, options: &EngineOptions) -> Result<Self::Engine>;

    /// Plans the device memory of an engine with these options after one
    /// [`Training::accumulate`](crate::Training::accumulate) over a batch of this shape. Nothing is allocated. With
    /// `gradient_norms`, includes the memory that
    /// [`Inspection::set_hidden_gradient_norms`](crate::Inspection::set_hidden_gradient_norms) needs. A loss of the
    /// caller takes 4 bytes more on a GPU for each prediction of a chunk of time.
    ///
    /// # Errors
    /// The errors that creating the engine, or a batch of this shape, would return.
    fn plan(
        &self,
        model: &Model,
        options: &EngineOptions,
        batch_shape: BatchShape,
        gradient_norms: bool,
    ) -> Result<Memory>;

    /// [`Inspection::largest_rows`](crate::Inspection::largest_rows) for an engine that does not exist yet, from its
    /// model, options and whether it records `gradient_norms`.
    ///
    /// # Errors
    /// Same as [`Inspection::largest_rows`](crate::Inspection::largest_rows).
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

    /// [`Inspection::kernel`](crate::Inspection::kernel) for an engine that does not exist yet.
    fn planned_kernel(&self, model: &Model, options: &EngineOptions, rows: usize) -> Option<RecurrentKernel>;

    /// A description of the device, for display.
    fn describe(&self) -> String;

    /// Everything besides the model, data, settings and calls that the exact bits of the results depend on, as (name,
    /// value) pairs. With equal pairs, the same calls give the same bits; otherwise the last bits may differ.
    fn arithmetic(&self) -> Vec<(&'static str, String)>;
}

/// The platform whose standard library provides exp, ln, cos and the like. The last bits of losses and schedules depend
/// on it.
pub(crate) fn platform() -> String {
    let abi = match () {
        () if cfg!(target_env = "gnu") => " gnu",
        () if cfg!(target_env = "musl") => " musl",
        () if cfg!(target_env = "msvc") => " msvc",
        () => "",
    };
    format!("{} {}{abi}", std::env::consts::ARCH, std::env::consts::OS)
}
