//! Long signals: inputs with targets of the same times, read by windows or from end to end.

mod lanes;
mod signal;
mod windows;

pub use lanes::SignalLanes;
pub use signal::Signal;
pub use windows::SignalWindows;
