//! Where the time goes: what an engine took, part by part.

use crate::error::Error;

/// What an engine's passes and updates took, by kernel on the GPU path and by phase on the CPU path: see
/// [`Inspection::profile`](crate::Inspection::profile).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// In the order in which they first ran.
    pub parts: Vec<ProfilePart>,
}

/// A kernel or a phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfilePart {
    /// The kernel's entry point, of a matrix product with the sides that are stored transposed: `nt` is A · Bᵀ. Or the phase.
    pub name: String,
    /// Dispatches, or how often a thread went into the phase.
    pub calls: u64,
    /// Seconds on the device, those between the dispatches of one kernel included; on the CPU path of all threads together.
    /// `None` where the device has no timestamps.
    pub seconds: Option<f64>,
    /// Planned operations; 0 where they are not counted.
    pub operations: u64,
    /// Bytes that the workgroups read and write by the plan, whichever cache they come from; 0 where they are not counted.
    pub bytes: u64,
}

impl Profile {
    pub(crate) fn none() -> Error {
        Error::Unsupported("a profile is that of the passes since set_profile(true)".into())
    }

    /// Adds to the part of that name. Seconds that one of both lacks are not known of their sum.
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
