//! The tilings of matrix products, and the splitting of those with a long inner size.

use super::dispatch::{BUSY, Grid};
use super::{DeviceLimits, MAX_ITERATIONS, vec4s};

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

impl DeviceLimits {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceLimits = DeviceLimits::LEAST_GPU;

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
