//! Workgroups: how many, how large, and how a long sum is cut.

use super::{DeviceLimits, MAX_ITERATIONS, vec4s};
use crate::error::{Error, Result};
use crate::model::RecurrentKernel;

/// Threads of the kernels that go over elements one by one.
pub(crate) const GROUP: usize = 64;

/// Threads of each side of the kernels that go over rows and columns.
const SIDE: usize = 8;

/// Columns of a workgroup of `column_sum`.
const COLUMN_GROUP: usize = 16;

/// vec4 that a workgroup of `norm_partial`, and of `flow`, sums.
pub(super) const NORM_RANGE: usize = 4096;

/// Threads of the largest workgroup that every device has.
const MAX_GROUP: usize = 256;

/// Workgroups in x, y, z.
pub(crate) type Grid = [u32; 3];

/// A matrix product on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatmulPlan {
    pub(crate) grid: Grid,
    /// Products that the inner size is cut into.
    pub(crate) parts: usize,
    /// The inner size of each but the last.
    pub(crate) part: usize,
    /// And of the last.
    pub(crate) last: usize,
    /// Bytes of the parts' results, where there are several.
    pub(crate) scratch: u64,
}

/// How the recurrent steps of a chunk are dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepPlan {
    /// Batch rows that a thread owns: 4 or 8.
    pub(crate) tile: usize,
    /// Threads of a workgroup: vec4 of hidden units, and row tiles.
    pub(crate) group: (usize, usize),
    /// The most steps of a dispatch.
    pub(crate) count: usize,
    pub(crate) grid: Grid,
}

impl DeviceLimits {
    /// How the recurrent steps over `rows` rows, h4 vec4 of hidden units and G gates are dispatched.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a whole sequence is asked for and H is beyond a workgroup.
    pub(crate) fn steps(&self, rows: usize, h4: usize, gates: usize, kernel: RecurrentKernel) -> Result<StepPlan> {
        let products = rows * gates * 16 * h4 * h4;
        let fits = h4 <= MAX_GROUP;
        let worth_it = match self.software {
            // A software driver runs a workgroup on one core and takes tens of microseconds for a dispatch: a workgroup
            // for the whole sequence pays where there are enough of them, or little to compute.
            true => rows >= 16 || products <= 1 << 16,
            // W_hh streams through every workgroup at each step, which pays while it is small.
            false => 64 * gates * h4 * h4 <= 400_000,
        };
        let sequence = match kernel {
            RecurrentKernel::Auto => fits && worth_it,
            RecurrentKernel::Sequence if !fits => {
                let most = 4 * MAX_GROUP;
                return Err(Error::Unsupported(format!("a dispatch a sequence holds at most {most} hidden units")));
            }
            other => other == RecurrentKernel::Sequence,
        };
        // A software driver reads memory lane by lane, so there the larger tile is the faster one, if all cores get one.
        let tile = if self.software && (rows >= 32 || !sequence) { 8 } else { 4 };
        let group = match (sequence, self.software) {
            (true, true) => (h4, 1),
            (true, false) => (h4, (64 / h4).clamp(1, rows.div_ceil(tile))),
            (false, true) => (8, 1),
            (false, false) => (16, 4),
        };
        let count = if sequence { (MAX_ITERATIONS / (gates * h4 + 16)).max(1) } else { 1 };
        let grid = [h4.div_ceil(group.0) as u32, rows.div_ceil(tile * group.1) as u32, 1];
        Ok(StepPlan { tile, group, count, grid })
    }

    /// Rows and columns that a thread of a matrix product owns; see [`steps`](Self::steps).
    pub(crate) fn matmul_tile(&self) -> usize {
        if self.software { 16 } else { 8 }
    }

    /// Threads of a workgroup of the matrix product. A software driver runs a workgroup on one core, so there small ones
    /// spread the work.
    pub(crate) fn matmul_group(&self) -> (usize, usize) {
        if self.software { (4, 4) } else { (8, 8) }
    }

    /// C \[m, n\] = op(A) · op(B) with the inner size k, not cut.
    pub(crate) fn matmul(&self, m: usize, n: usize, k: usize) -> MatmulPlan {
        self.matmul_parts(m, n, k, 1)
    }

    /// The same with k = T·B, a weight gradient: cut into parts until the device has enough threads.
    pub(crate) fn weight_gradient(&self, m: usize, n: usize, k: usize) -> MatmulPlan {
        let threads = m.div_ceil(self.matmul_tile()) * n.div_ceil(self.matmul_tile());
        // A part costs a write and a read of the result, so it gets at least this many rows.
        let (wanted, least) = if self.software { (64, 256) } else { (16_384, 64) };
        let parts = (wanted / threads).clamp(1, k.div_ceil(least));
        self.matmul_parts(m, n, k, parts.max(k.div_ceil(4 * MAX_ITERATIONS)))
    }

    fn matmul_parts(&self, m: usize, n: usize, k: usize, parts: usize) -> MatmulPlan {
        let (x, y) = self.matmul_group();
        let part = k.div_ceil(parts).next_multiple_of(4);
        let parts = k.div_ceil(part);
        MatmulPlan {
            grid: [n.div_ceil(self.matmul_tile() * x) as u32, m.div_ceil(self.matmul_tile() * y) as u32, parts as u32],
            parts,
            part,
            last: k - (parts - 1) * part,
            scratch: if parts > 1 { 16 * (parts * m * vec4s(n)) as u64 } else { 0 },
        }
    }

    /// The sum over `rows` rows of `n4` vec4 columns: the grid, the rows of a part and the scratch bytes.
    pub(crate) fn column_sum(&self, rows: usize, n4: usize) -> (Grid, usize, u64) {
        let (wanted, least) = if self.software { (16, 1024) } else { (2048, 64) };
        let parts = (wanted / n4).clamp(1, rows.div_ceil(least)).max(rows.div_ceil(MAX_ITERATIONS));
        let part = rows.div_ceil(parts);
        let parts = rows.div_ceil(part);
        let scratch = if parts > 1 { 16 * (parts * n4) as u64 } else { 0 };
        ([n4.div_ceil(COLUMN_GROUP) as u32, parts as u32, 1], part, scratch)
    }

    /// One thread for each of `count` elements.
    pub(crate) fn elements(&self, count: usize) -> Grid {
        self.groups(count.div_ceil(GROUP))
    }

    /// One thread for each column of `rows` × `columns`; rows beyond the grid are the same threads' again.
    pub(crate) fn rows_and_columns(&self, rows: usize, columns: usize) -> Grid {
        [columns.div_ceil(SIDE) as u32, rows.div_ceil(SIDE).min(self.max_groups as usize) as u32, 1]
    }

    /// `lanes` threads for each of `count` predictions.
    pub(crate) fn predictions(&self, count: usize, lanes: usize) -> Grid {
        self.groups(count.div_ceil(GROUP / lanes))
    }

    fn groups(&self, groups: usize) -> Grid {
        let x = groups.min(self.max_groups as usize).max(1);
        [x as u32, groups.div_ceil(x).max(1) as u32, 1]
    }

    /// Workgroups, and so partial sums, of the norm over `n4` vec4.
    pub(crate) fn norm_groups(&self, n4: usize) -> usize {
        n4.div_ceil(NORM_RANGE)
    }

    /// The threads that share the outputs of a prediction: about eight outputs each.
    pub(crate) fn loss_lanes(&self, outputs: usize) -> usize {
        outputs.div_ceil(8).next_power_of_two().min(GROUP)
    }

    /// Planned operations of a submission, so that no watchdog and no other program waits long for it.
    pub(crate) fn submission(&self) -> u64 {
        if self.software { 20_000_000_000 } else { 200_000_000_000 }
    }
}
