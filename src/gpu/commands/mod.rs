//! GPU commands: definition, construction, submission and timing.

pub(crate) mod builder;
pub(crate) mod product;
pub(crate) mod profiler;
pub(crate) mod program;
pub(crate) mod recorder;
pub(crate) mod uniforms;
