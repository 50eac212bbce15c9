//! Workgroup counts and sizes, and the splitting of sums over rows.

use super::DeviceLimits;

/// Threads per workgroup in elementwise kernels.
pub(crate) const GROUP: usize = 64;

/// Threads per side of a workgroup in kernels over rows and columns.
const SIDE: usize = 8;

/// Columns per workgroup of `column_sum`.
const COLUMN_GROUP: usize = 16;

/// vec4 per workgroup of `norm_partial` and `gradient_norms`.
pub(super) const NORM_RANGE: usize = 4096;

/// The most workgroups of the loss, each of which has a sum of its own: four for every thread of the kernel `norm`.
pub(crate) const LOSS_SUMS: usize = 1024;

/// Threads of the largest workgroup that every device supports.
pub(super) const MAX_GROUP: usize = 256;

/// Workgroups in x, y, z.
pub(crate) type Grid = [u32; 3];

/// Workgroups that fill a large GPU, with about two for each multiprocessor, so that one computes while another waits: an
/// H100 has 132 of them, a Radeon RX 6800 XT 72.
pub(super) const FULL_GPU: usize = 256;

/// Column sums on the device, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnSumPlan {
    pub(crate) grid: Grid,
    pub(crate) parts: usize,
    /// Rows of each part but the last.
    pub(crate) part: usize,
}

impl DeviceLimits {
    /// The sum over `rows` rows of `n4` vec4 columns.
    pub(crate) fn column_sum(&self, rows: usize, n4: usize) -> ColumnSumPlan {
        let groups = n4.div_ceil(COLUMN_GROUP);
        let parts = if self.software {
            (16 / n4).clamp(1, rows.div_ceil(1024))
        } else {
            // Short parts, and shorter ones until the device is busy.
            rows.div_ceil(256).max((FULL_GPU / groups).min(rows.div_ceil(64)))
        };
        let part = rows.div_ceil(parts.max(rows.div_ceil(self.max_turns)));
        let parts = rows.div_ceil(part);
        ColumnSumPlan { grid: [groups as u32, parts as u32, 1], parts, part }
    }

    /// One thread per element.
    pub(crate) fn elements(&self, count: usize) -> Grid {
        self.groups(count.div_ceil(GROUP))
    }

    /// One thread per column of `rows` × `columns`. Rows beyond the grid are handled by the same threads in a loop.
    pub(crate) fn rows_and_columns(&self, rows: usize, columns: usize) -> Grid {
        [columns.div_ceil(SIDE) as u32, rows.div_ceil(SIDE).min(self.max_groups as usize) as u32, 1]
    }

    /// One thread per vec4 of `others`, and behind them one per 4 × 4 block of `count` matrices of `rows4` × `columns4`
    /// blocks, in workgroups of 8 × 8.
    pub(crate) fn with_blocks(&self, others: usize, count: usize, [rows4, columns4]: [usize; 2]) -> Grid {
        self.groups(others.div_ceil(GROUP) + count * rows4.div_ceil(SIDE) * columns4.div_ceil(SIDE))
    }

    /// `lanes` threads per prediction. Predictions beyond the grid are handled by the same threads in a loop.
    pub(crate) fn predictions(&self, count: usize, lanes: usize) -> Grid {
        [count.div_ceil(GROUP / lanes).clamp(1, LOSS_SUMS) as u32, 1, 1]
    }

    fn groups(&self, groups: usize) -> Grid {
        let x = groups.min(self.max_groups as usize).max(1);
        [x as u32, groups.div_ceil(x).max(1) as u32, 1]
    }

    /// The number of workgroups, and so of partial sums, of the norm over `n4` vec4.
    pub(crate) fn norm_groups(&self, n4: usize) -> usize {
        n4.div_ceil(NORM_RANGE)
    }

    /// Threads that share the outputs of a prediction: about eight outputs each.
    pub(crate) fn loss_lanes(&self, outputs: usize) -> usize {
        outputs.div_ceil(8).next_power_of_two().min(GROUP)
    }

    /// Planned operations per submission, limited so that neither a watchdog nor other programs wait long.
    pub(crate) fn submission(&self) -> u64 {
        if self.software { 20_000_000_000 } else { 200_000_000_000 }
    }
}
