//! Plans the memory of training before it is allocated, and finds the batch that fits.

mod budget;
mod describe;
mod host;
mod plan;

pub use budget::{Budget, check_files, rows_at_once};
pub use plan::{MemoryPlan, plan_memory};
