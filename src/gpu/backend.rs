//! The GPU as a compute backend.

use super::device::Gpu;
use super::engine::GpuEngine;
use super::engine::planned::planned;
use crate::engine::{Backend, EngineOptions, platform, sealed};
use crate::error::Result;
use crate::memory::{BatchShape, Memory};
use crate::model::plan::vec4s;
use crate::model::{Model, RecurrentKernel};

/// The version of the order of sums on this backend. Increased with every change of a shader, a plan or wgpu that
/// changes the bits of a run on the same device and driver.
const ORDER_OF_SUMS: u32 = 4;

impl sealed::Sealed for Gpu {}

impl Backend for Gpu {
    type Engine = GpuEngine;

    fn engine(&self, model: &Model, options: &EngineOptions) -> Result<GpuEngine> {
        GpuEngine::new(self, model, options)
    }

    fn plan(
        &self,
        model: &Model,
        options: &EngineOptions,
        batch_shape: BatchShape,
        gradient_norms: bool,
    ) -> Result<Memory> {
        planned(&self.limits(), model, options, gradient_norms, batch_shape)
    }

    fn planned_kernel(&self, model: &Model, options: &EngineOptions, rows: usize) -> Option<RecurrentKernel> {
        let recurrent = &model.recurrent;
        let widths = [recurrent.hidden_size, recurrent.state_size()].map(|units| vec4s(units).max(1));
        let gates = recurrent.cell.recurrent_gates();
        Some(self.limits().steps(rows, widths, gates, options.kernel.for_network(recurrent)).kernel)
    }

    fn describe(&self) -> String {
        let info = self.info();
        format!("{} ({}, {})", info.name, info.backend, info.driver_info)
    }

    fn arithmetic(&self) -> Vec<(&'static str, String)> {
        let info = self.info();
        // Long sums are split differently there. Other tile and kernel choices change no order.
        let cut = if self.limits().software { "for a software driver" } else { "for a GPU" };
        vec![
            ("device", info.name.clone()),
            ("numbers", "f32".into()),
            ("interface", info.backend.to_string()),
            ("driver", format!("{} {}", info.driver, info.driver_info)),
            ("order of sums", format!("{ORDER_OF_SUMS}, {cut}")),
            ("elementary functions", platform()),
        ]
    }
}
