//! Execution profiles.

use crate::error::Error;

/// Time spent in an engine's passes and updates, by kernel on the GPU backend and by phase on the CPU backend: see
/// [`Inspection::profile`](crate::Inspection::profile).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// In the order of their first run.
    pub parts: Vec<ProfilePart>,
    /// Bytes copied from the host to the device. 0 on the CPU backend.
    pub uploaded: u64,
    /// Bytes copied from the device to the host, without timestamps. 0 on the CPU backend.
    pub downloaded: u64,
}

/// A kernel or a phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfilePart {
    /// The kernel's entry point, with the transposed operands of a matrix product (`nt` is A · Bᵀ), or the phase.
    pub name: String,
    /// The number of dispatches, or of times a thread entered the phase.
    pub calls: u64,
    /// Seconds on the device, including gaps between consecutive dispatches of the kernel. On the CPU backend, the sum
    /// over all threads. `None` if the device has no timestamps.
    pub seconds: Option<f64>,
    /// Planned arithmetic operations; 0 if not counted.
    pub operations: u64,
    /// Planned bytes read and written by workgroups, cached or not; 0 if not counted.
    pub bytes: u64,
}

impl Profile {
    pub(crate) fn none() -> Error {
        Error::Unsupported("a profile needs set_profile(true) before the passes".into())
    }

    /// Adds to the part of the same name. The sum has no seconds if either side has none.
    pub(crate) fn add(&mut self, part: ProfilePart) {
        match self.parts.iter_mut().find(|other| other.name == part.name) {
            Some(other) => {
                other.calls += part.calls;
                other.seconds = other.seconds.zip(part.seconds).map(|(a, b)| a + b);
                other.operations += part.operations;
                other.bytes += part.bytes;
            }
            None => self.parts.push(part),
        }
    }
}
