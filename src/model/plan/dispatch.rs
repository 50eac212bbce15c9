//! Workgroup counts and sizes, and the splitting of long sums.

use super::{DeviceLimits, MAX_ITERATIONS, vec4s};
use crate::model::RecurrentKernel;
use crate::sizes::Count;

/// Threads per workgroup in elementwise kernels.
pub(crate) const GROUP: usize = 64;

/// Threads per side of a workgroup in kernels over rows and columns.
const SIDE: usize = 8;

/// Columns per workgroup of `column_sum`.
const COLUMN_GROUP: usize = 16;

/// vec4 per workgroup of `norm_partial` and `gradient_norms`.
pub(super) const NORM_RANGE: usize = 4096;

/// Threads of the largest workgroup that every device supports.
const MAX_GROUP: usize = 256;

/// Workgroups in x, y, z.
pub(crate) type Grid = [u32; 3];

/// Workgroups that keep a large GPU busy: about two per multiprocessor.
const BUSY: usize = 256;

/// vec4 of workgroup memory that every device supports: 16 KiB.
const MAX_SHARED: usize = 1024;

/// The tiling of a matrix product. All tilings sum in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProductTile {
    /// 16 × 16 outputs per thread, in registers only: the fastest on a software driver.
    Registers,
    /// This many rows and columns per workgroup, through workgroup memory.
    Block(usize),
}

impl ProductTile {
    /// Threads per side of a workgroup. A software driver runs each workgroup on one core, so small ones balance
    /// better.
    pub(crate) const REGISTERS_GROUP: usize = 4;

    /// Rows, and columns, per workgroup.
    fn side(self) -> usize {
        match self {
            Self::Registers => 16 * Self::REGISTERS_GROUP,
            Self::Block(side) => side,
        }
    }

    /// The number of workgroups for C \[m, n\].
    fn groups(self, m: usize, n: usize) -> usize {
        m.div_ceil(self.side()) * n.div_ceil(self.side())
    }
}

/// A matrix product on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatmulPlan {
    pub(crate) tile: ProductTile,
    pub(crate) grid: Grid,
    /// The number of parts that the inner size is split into.
    pub(crate) parts: usize,
    /// The inner size of each part but the last.
    pub(crate) part: usize,
    /// The inner size of the last part.
    pub(crate) last: usize,
    /// Bytes for the partial results, if there are several parts.
    pub(crate) scratch: u64,
}

/// How the recurrent steps of a chunk are dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepPlan {
    /// Never [`RecurrentKernel::Auto`].
    pub(crate) kernel: RecurrentKernel,
    /// Batch rows per thread: 1, 2, 4 or 8.
    pub(crate) tile: usize,
    /// Threads per workgroup: vec4 of hidden units × row tiles.
    pub(crate) group: (usize, usize),
    /// The maximum number of steps per dispatch.
    pub(crate) count: usize,
    pub(crate) grid: Grid,
    /// vec4 of workgroup memory for two steps' product operands, forward and backward; 0: they stay in storage.
    pub(crate) shared_vec4s: [usize; 2],
}

impl StepPlan {
    /// The grid over the vec4 of a projected h instead of hidden units.
    pub(crate) fn state_grid(&self, state4: usize) -> Grid {
        [state4.div_ceil(self.group.0) as u32, self.grid[1], 1]
    }
}

impl DeviceLimits {
    /// The dispatch of recurrent steps over `rows` rows with h4 vec4 of hidden units and G gates. For `Sequence`,
    /// [`RecurrentKernel::check`] must have passed.
    pub(crate) fn steps(&self, rows: usize, h4: usize, gates: usize, kernel: RecurrentKernel) -> StepPlan {
        let products = Count::from(rows) * gates * 16usize * h4 * h4;
        let worth_it = if self.software {
            // A software driver runs a workgroup on one core and needs tens of microseconds per dispatch: one workgroup
            // for the whole sequence pays if there are enough of them or little to compute.
            rows >= 16 || products.get() <= 1 << 16
        } else {
            // Every workgroup streams W_hh at each step, which pays while it is small.
            64 * gates * h4 * h4 <= 400_000
        };
        let kernel = match kernel {
            RecurrentKernel::Auto if 4 * h4 <= RecurrentKernel::SEQUENCE_UNITS && worth_it => RecurrentKernel::Sequence,
            RecurrentKernel::Auto => RecurrentKernel::Step,
            told => told,
        };
        let sequence = kernel == RecurrentKernel::Sequence;
        let groups = |tile: usize, (x, y): (usize, usize)| (h4.div_ceil(x), rows.div_ceil(tile * y));
        let (tile, group) = if self.software {
            // It reads memory lane by lane, so the larger tile is faster if every core gets one.
            (if rows >= 32 || !sequence { 8 } else { 4 }, if sequence { (h4, 1) } else { (8, 1) })
        } else {
            // A larger tile reads W_hh less often, but its threads take longer, which is worse than more workgroups
            // while the device has room for them.
            let group = if sequence { (h4, (64 / h4).max(4).min(MAX_GROUP / h4)) } else { (16, 4) };
            let busy = |tile: &usize| {
                let (x, y) = groups(*tile, group);
                x.saturating_mul(y) >= BUSY
            };
            ([4, 2].into_iter().find(busy).unwrap_or(1), group)
        };
        let (x, y) = groups(tile, group);
        let shared_vec4s = |numbers: usize| {
            let both = 2 * numbers * tile * group.1 * h4;
            if sequence && !self.software && both <= MAX_SHARED { both } else { 0 }
        };
        let count = if sequence { (MAX_ITERATIONS / (gates * h4 + 16)).max(1) } else { 1 };
        StepPlan {
            kernel,
            tile,
            group,
            count,
            grid: [x as u32, y as u32, 1],
            shared_vec4s: [shared_vec4s(gates.min(1)), shared_vec4s(gates)],
        }
    }

    /// Whether forward steps read a transposed copy of W_hh, in which neighbouring threads read neighbouring addresses.
    /// A software driver reads lane by lane either way.
    pub(crate) fn packs_weights(&self) -> bool {
        !self.software
    }

    /// The tiling of a product C \[m, n\] in `parts` parts.
    fn product_tile(&self, m: usize, n: usize, parts: usize) -> ProductTile {
        let large = ProductTile::Block(64);
        if self.software {
            ProductTile::Registers
        } else if large.groups(m, n) * parts >= BUSY {
            // The larger tile reads memory half as often.
            large
        } else {
            ProductTile::Block(32)
        }
    }

    /// C \[m, n\] = op(A) · op(B) with inner size k, in one part.
    pub(crate) fn matmul(&self, m: usize, n: usize, k: usize) -> MatmulPlan {
        self.matmul_parts(self.product_tile(m, n, 1), m, n, k, 1)
    }

    /// A weight gradient, with k = T·B split into parts until the device has enough workgroups.
    pub(crate) fn weight_gradient(&self, m: usize, n: usize, k: usize) -> MatmulPlan {
        // Each part writes and reads a partial result, so it must have a minimum number of rows.
        let (wanted, least) = if self.software { (64, 256) } else { (BUSY, 64) };
        let most = k.div_ceil(least);
        let tile = self.product_tile(m, n, most);
        let running = match tile {
            // In threads, which a software driver distributes over the cores.
            ProductTile::Registers => m.div_ceil(16) * n.div_ceil(16),
            ProductTile::Block(_) => tile.groups(m, n),
        };
        let parts = (wanted / running).clamp(1, most);
        self.matmul_parts(tile, m, n, k, parts.max(k.div_ceil(4 * MAX_ITERATIONS)))
    }

    pub(crate) fn matmul_parts(&self, tile: ProductTile, m: usize, n: usize, k: usize, parts: usize) -> MatmulPlan {
        let part = k.div_ceil(parts).next_multiple_of(4);
        let parts = k.div_ceil(part);
        MatmulPlan {
            tile,
            grid: [n.div_ceil(tile.side()) as u32, m.div_ceil(tile.side()) as u32, parts as u32],
            parts,
            part,
            last: k - (parts - 1) * part,
            scratch: if parts > 1 { 16 * (parts * m * vec4s(n)) as u64 } else { 0 },
        }
    }

    /// The sum over `rows` rows of `n4` vec4 columns: the grid, rows per part and scratch bytes.
    pub(crate) fn column_sum(&self, rows: usize, n4: usize) -> (Grid, usize, u64) {
        let (wanted, least) = if self.software { (16, 1024) } else { (2048, 64) };
        let parts = (wanted / n4).clamp(1, rows.div_ceil(least)).max(rows.div_ceil(MAX_ITERATIONS));
        let part = rows.div_ceil(parts);
        let parts = rows.div_ceil(part);
        let scratch = if parts > 1 { 16 * (parts * n4) as u64 } else { 0 };
        ([n4.div_ceil(COLUMN_GROUP) as u32, parts as u32, 1], part, scratch)
    }

    /// One thread per element.
    pub(crate) fn elements(&self, count: usize) -> Grid {
        self.groups(count.div_ceil(GROUP))
    }

    /// One thread per column of `rows` × `columns`. Rows beyond the grid are handled by the same threads in a loop.
    pub(crate) fn rows_and_columns(&self, rows: usize, columns: usize) -> Grid {
        [columns.div_ceil(SIDE) as u32, rows.div_ceil(SIDE).min(self.max_groups as usize) as u32, 1]
    }

    /// `lanes` threads per prediction.
    pub(crate) fn predictions(&self, count: usize, lanes: usize) -> Grid {
        self.groups(count.div_ceil(GROUP / lanes))
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

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceLimits =
        DeviceLimits { max_binding: 1 << 31, max_buffer: 1 << 32, max_groups: 65_535, software: false };
    const KERNELS: [RecurrentKernel; 3] = [RecurrentKernel::Auto, RecurrentKernel::Sequence, RecurrentKernel::Step];

    #[test]
    fn step_workgroups_cover_all_rows_and_units_within_device_limits() {
        for software in [true, false] {
            let limits = DeviceLimits { software, ..GPU };
            for h4 in [1, 2, 5, 16, 17, 32, 39, 64, 100, 129, 255, 256] {
                for rows in [1, 3, 4, 16, 33, 130, 512, 5000, 200_000] {
                    for (gates, kernel) in [1, 3, 4].into_iter().flat_map(|gates| KERNELS.map(|kernel| (gates, kernel)))
                    {
                        let plan = limits.steps(rows, h4, gates, kernel);
                        let what = format!("{rows} rows, {h4} vec4, {gates} gates, {software}: {plan:?}");
                        let ((x, y), [wide, high, _]) = (plan.group, plan.grid);
                        assert!(plan.kernel != RecurrentKernel::Auto && (1..=256).contains(&(x * y)), "{what}");
                        assert!(wide as usize * x >= h4 && (wide as usize - 1) * x < h4, "{what}");
                        let tall = plan.tile * y;
                        assert!(high as usize * tall >= rows && (high as usize - 1) * tall < rows, "{what}");
                        assert!(high <= 65_535, "{what}");
                        // A workgroup alone can part the steps of a dispatch.
                        assert!(plan.count == 1 || wide == 1, "{what}");
                        assert!(plan.shared_vec4s.iter().all(|shared_vec4s| 16 * shared_vec4s <= 16 * 1024), "{what}");
                        assert!(plan.count > 1 || plan.shared_vec4s == [0, 0], "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn more_workgroups_give_each_gpu_thread_more_rows() {
        let of = |rows, hidden: usize, kernel| GPU.steps(rows, hidden / 4, 4, kernel);
        // One after the other a thread's rows take time that other multiprocessors have.
        assert_eq!(of(16, 64, RecurrentKernel::Auto).grid, [1, 4, 1]);
        assert_eq!(of(16, 64, RecurrentKernel::Auto).tile, 1);
        assert_eq!(of(4096, 64, RecurrentKernel::Auto).tile, 4);
        assert_eq!([64, 128, 512].map(|rows| of(rows, 1024, RecurrentKernel::Step).tile), [1, 2, 4]);
        // Where W_hh is small enough for a dispatch a sequence, what the steps hand on finds room in a workgroup.
        for (gates, widest) in [(1, 79), (3, 45), (4, 39)] {
            for h4 in 1..=widest {
                let plan = GPU.steps(16, h4, gates, RecurrentKernel::Auto);
                assert_eq!(plan.kernel, RecurrentKernel::Sequence, "{gates} gates, {h4} vec4");
                assert!(plan.shared_vec4s[0] > 0, "{plan:?}");
            }
            assert_eq!(GPU.steps(16, widest + 1, gates, RecurrentKernel::Auto).kernel, RecurrentKernel::Step);
        }
    }

    #[test]
    fn gpus_use_the_large_tile_if_there_are_enough_of_them() {
        let software = DeviceLimits { software: true, ..GPU };
        assert_eq!(software.matmul(8192, 1024, 128).tile, ProductTile::Registers);
        assert_eq!(GPU.matmul(8192, 1024, 128).tile, ProductTile::Block(64));
        assert_eq!(GPU.matmul(512, 256, 32).tile, ProductTile::Block(32));
        // Parts along k count too, and there are no more of them than the device needs.
        let plan = GPU.weight_gradient(1024, 256, 8192);
        assert_eq!((plan.tile, plan.parts), (ProductTile::Block(64), 4));
        assert_eq!(GPU.weight_gradient(4096, 1024, 16_384).parts, 1);
    }
}
