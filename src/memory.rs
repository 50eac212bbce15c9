//! The bytes of a network and of a pass over a batch, by what they hold.

use std::ops::{Add, AddAssign};

/// What bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryPart {
    /// The parameters, and on the CPU their packed forms, which the products read.
    Weights,
    /// The gradient sums.
    Gradients,
    /// What the rule keeps of each parameter, and what an update needs.
    Optimizer,
    /// The states that are carried from batch to batch.
    Carried,
    /// x or tokens, lengths, targets and weights, as the host hands them over.
    Input,
    /// z, then the gates, then their gradients: what a cell keeps of every step.
    Gates,
    /// h and c at every step, and where chunks of time begin.
    States,
    /// What each layer hands on, and the gradient of that; dx where it is asked for.
    Outputs,
    /// The head's features, logits and losses.
    Head,
    /// What is on its way back through time, results of sums that are cut, and uniforms.
    Workspace,
}

impl MemoryPart {
    /// Every part, in the order of a step.
    pub const ALL: [Self; 10] = [
        Self::Weights,
        Self::Gradients,
        Self::Optimizer,
        Self::Carried,
        Self::Input,
        Self::Gates,
        Self::States,
        Self::Outputs,
        Self::Head,
        Self::Workspace,
    ];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Gradients => "gradients",
            Self::Optimizer => "optimizer",
            Self::Carried => "carried states",
            Self::Input => "input",
            Self::Gates => "gates",
            Self::States => "states",
            Self::Outputs => "outputs",
            Self::Head => "head",
            Self::Workspace => "workspace",
        }
    }

    /// Whether it grows with the batch.
    pub fn is_of_batch(self) -> bool {
        !matches!(self, Self::Weights | Self::Gradients | Self::Optimizer)
    }
}

/// Bytes by part: what an engine holds ([`Inspection::memory`](crate::Inspection::memory)) or is going to hold
/// ([`Inspection::plan`](crate::Inspection::plan)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory([u64; MemoryPart::ALL.len()]);

impl Memory {
    /// The bytes of a part.
    pub fn of(&self, part: MemoryPart) -> u64 {
        self.0[part as usize]
    }

    /// Every part with its bytes.
    pub fn parts(&self) -> impl Iterator<Item = (MemoryPart, u64)> + '_ {
        MemoryPart::ALL.into_iter().map(|part| (part, self.of(part)))
    }

    /// The bytes of all parts.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    pub(crate) fn add(&mut self, part: MemoryPart, bytes: u64) {
        self.0[part as usize] = self.of(part).saturating_add(bytes);
    }

    /// The same so many times.
    pub(crate) fn times(mut self, count: u64) -> Self {
        self.0.iter_mut().for_each(|bytes| *bytes = bytes.saturating_mul(count));
        self
    }

    /// The larger of both, part by part: what buffers come to that grow and are never given back.
    pub(crate) fn max(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(bytes, other)| *bytes = (*bytes).max(other));
        self
    }
}

impl AddAssign for Memory {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(bytes, other)| *bytes = bytes.saturating_add(other));
    }
}

impl Add for Memory {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// A batch as far as its memory goes: nothing of it has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchShape {
    /// T.
    pub steps: usize,
    /// B.
    pub rows: usize,
    /// Whether the input is token ids.
    pub tokens: bool,
    /// Whether states are reset within the sequence.
    pub resets: bool,
    /// All rows whose states are carried from batch to batch; 0: none are.
    pub carried: usize,
    /// How many shapes \[T, B\] batches have, of which this one has the most steps and the most rows: on the GPU path
    /// each has commands of its own, up to six of them, on buffers that all share. 0 stands for 1.
    pub shapes: usize,
}
