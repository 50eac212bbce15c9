//! Workgroups: how many, how large, and how a long sum is cut.

use super::{DeviceLimits, MAX_ITERATIONS, vec4s};

/// Batch rows × hidden units that a thread of a recurrent step owns.
pub(crate) const STEP_TILE: usize = 4;

/// Rows × columns that a thread of a matrix product owns.
const MATMUL_TILE: usize = 8;

/// Threads of the kernels that go over elements one by one.
pub(crate) const GROUP: usize = 64;

/// Columns of a workgroup of `column_sum`.
const COLUMN_GROUP: usize = 16;

/// vec4 that a workgroup of `norm_partial` sums.
const NORM_RANGE: usize = 4096;

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

impl DeviceLimits {
    /// Threads of a workgroup of the recurrent step (units, rows of tiles) and of the matrix product. A software driver
    /// runs a workgroup on one core, so there small ones spread the work.
    pub(crate) fn step_group(&self) -> (usize, usize) {
        if self.software { (8, 1) } else { (16, 4) }
    }

    pub(crate) fn matmul_group(&self) -> (usize, usize) {
        if self.software { (4, 4) } else { (8, 8) }
    }

    /// A recurrent step over `rows` rows and `h4` vec4 of hidden units.
    pub(crate) fn step_grid(&self, rows: usize, h4: usize) -> Grid {
        let (x, y) = self.step_group();
        [h4.div_ceil(x) as u32, rows.div_ceil(STEP_TILE * y) as u32, 1]
    }

    /// C \[m, n\] = op(A) · op(B) with the inner size k, not cut.
    pub(crate) fn matmul(&self, m: usize, n: usize, k: usize) -> MatmulPlan {
        self.matmul_parts(m, n, k, 1)
    }

    /// The same with k = T·B, a weight gradient: cut into parts until the device has enough threads.
    pub(crate) fn weight_gradient(&self, m: usize, n: usize, k: usize) -> MatmulPlan {
        let threads = m.div_ceil(MATMUL_TILE) * n.div_ceil(MATMUL_TILE);
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
            grid: [n.div_ceil(MATMUL_TILE * x) as u32, m.div_ceil(MATMUL_TILE * y) as u32, parts as u32],
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
