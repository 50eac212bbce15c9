//! A search over settings: many trials, each an ordinary run in a folder of its own, ranked by their validation split.
//!
//! Everything that is known is in files of the sweep's folder, which several workers may share: what a trial is
//! (`rounds`), who runs it (`claims`), and what became of it (`results`). So a sweep can be killed anywhere, and goes on.

mod claim;
mod draw;
mod driver;
mod plan;
mod record;
mod results;
mod standing;
mod tpe;
mod worker;

pub use driver::Sweep;
pub use results::SweepResults;
pub use worker::{Watch, WorkOptions};
