//! Kernels that are compiled one by one.

use super::{Gpu, lock};
use crate::engine::Compilation;
use crate::error::{Error, Result};

impl Gpu {
    /// Compiles the next of the kernels that engines on this device need and that are not compiled. Waits until the driver
    /// has done so; a browser may go on with other work meanwhile.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the compiler's message, and those of the device.
    pub(crate) async fn compile_next(&self) -> Result<Compilation> {
        let (next, before) = {
            let kernels = lock(&self.0.kernels);
            let next = kernels.values().find(|kernel| !kernel.is_compiled()).cloned();
            let compiled = kernels.values().filter(|kernel| kernel.is_compiled()).count();
            (next, Compilation { compiled, kernels: kernels.len() })
        };
        let Some(kernel) = next else { return self.check().map(|()| before) };
        let compiled = {
            let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::Validation);
            kernel.pipeline(&self.0.device);
            scope.pop()
        };
        if let Some(error) = compiled.await {
            return Err(Error::Unsupported(format!("the kernel {}: {error}", kernel.compiled.name)));
        }
        self.check()?;
        Ok(Compilation { compiled: before.compiled + 1, ..before })
    }
}
