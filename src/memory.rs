//! Memory of a network and of a pass over a batch, by use.

use std::ops::{Add, AddAssign};

/// A use of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryPart {
    /// Parameters, and on the CPU their packed copies for matrix products.
    Weights,
    /// The gradient sums.
    Gradients,
    /// Optimizer state and the scratch space of an update.
    Optimizer,
    /// States carried from batch to batch.
    Carried,
    /// x or tokens, lengths, targets and weights, as copied from the host.
    Input,
    /// What a cell keeps of every step: z, then the gates, then their gradients.
    Gates,
    /// h and c at every step and between chunks.
    States,
    /// Each layer's output and its gradient; dx if requested.
    Outputs,
    /// The head's features, logits and losses.
    Head,
    /// Gradients flowing back through time, partial sums, and uniforms.
    Workspace,
}

impl MemoryPart {
    /// All uses, in the order of a training step.
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

    /// The name of this use.
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

    /// Whether it depends on the batch.
    pub fn depends_on_batch(self) -> bool {
        !matches!(self, Self::Weights | Self::Gradients | Self::Optimizer)
    }
}

/// Memory in bytes, by use: what an engine has allocated ([`Inspection::memory`](crate::Inspection::memory)) or plans
/// to allocate ([`Inspection::plan`](crate::Inspection::plan)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory([u64; MemoryPart::ALL.len()]);

impl Memory {
    /// The bytes of one use.
    pub fn of(&self, part: MemoryPart) -> u64 {
        self.0[part as usize]
    }

    /// All uses with their bytes.
    pub fn parts(&self) -> impl Iterator<Item = (MemoryPart, u64)> + '_ {
        MemoryPart::ALL.into_iter().map(|part| (part, self.of(part)))
    }

    /// The total in bytes.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    pub(crate) fn add(&mut self, part: MemoryPart, bytes: u64) {
        self.0[part as usize] = self.of(part).saturating_add(bytes);
    }

    /// Multiplies all bytes by `count`.
    pub(crate) fn times(mut self, count: u64) -> Self {
        self.0.iter_mut().for_each(|bytes| *bytes = bytes.saturating_mul(count));
        self
    }

    /// The larger of both for each use: the size of buffers that grow and never shrink.
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

/// Everything about a batch that determines its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct BatchShape {
    /// T.
    pub steps: usize,
    /// B.
    pub rows: usize,
    /// Whether the input consists of token ids.
    pub tokens: bool,
    /// Whether states are reset within the sequence.
    pub resets: bool,
    /// The number of rows whose states are carried from batch to batch; 0: none.
    pub carried: usize,
    /// The number of different shapes \[T, B\] among the batches; this is the one with the most steps and rows. On the
    /// GPU backend each shape has its own commands, for up to six shapes, on shared buffers. 0 means 1.
    pub shapes: usize,
}

impl BatchShape {
    /// Dense input of T `steps` and B `rows`, without resets and carried states.
    pub fn new(steps: usize, rows: usize) -> Self {
        Self { steps, rows, tokens: false, resets: false, carried: 0, shapes: 1 }
    }

    /// Sets T.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Sets B.
    pub fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// Sets whether the input consists of token ids.
    pub fn tokens(mut self, tokens: bool) -> Self {
        self.tokens = tokens;
        self
    }

    /// Sets whether states are reset within the sequence.
    pub fn resets(mut self, resets: bool) -> Self {
        self.resets = resets;
        self
    }

    /// Sets the number of rows whose states are carried from batch to batch.
    pub fn carried(mut self, carried: usize) -> Self {
        self.carried = carried;
        self
    }

    /// Sets the number of different shapes among the batches.
    pub fn shapes(mut self, shapes: usize) -> Self {
        self.shapes = shapes;
        self
    }
}
