//! The tilings of matrix products, and the splitting of those with a long inner size.

use super::dispatch::{FULL_GPU, Grid};
use super::{DeviceLimits, vec4s};

/// The tiling of a matrix product. All tilings sum in the same order: a chain over k for each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProductTile {
    /// 16 × 16 outputs per thread, in registers only: the fastest on a software driver.
    Registers,
    /// This many rows and columns per workgroup, through workgroup memory.
    Block(usize),
}

impl ProductTile {
    /// All of them, those through workgroup memory from the largest on.
    pub(crate) const ALL: [Self; 4] = [Self::Registers, Self::Block(128), Self::Block(64), Self::Block(32)];

    /// Threads per side of a workgroup. A software driver runs each workgroup on one core, so small ones balance
    /// better.
    pub(crate) const REGISTERS_GROUP: usize = 4;

    /// Rows, and columns, per workgroup.
    fn side(self) -> usize {
        match self {
            Self::Registers => 4 * self.blocks() * Self::REGISTERS_GROUP,
            Self::Block(side) => side,
        }
    }

    /// 4 × 4 blocks of outputs per side of those of a thread.
    pub(crate) fn blocks(self) -> usize {
        match self {
            Self::Registers => 4,
            Self::Block(side) => (side / 32).min(2),
        }
    }

    /// Threads per workgroup.
    pub(crate) fn threads(self) -> usize {
        (self.side() / (4 * self.blocks())).pow(2)
    }

    /// The values of k that a workgroup takes at a time, of which it computes all. A slab's products take as long as the
    /// loads of the next one, which wait in registers: large tiles have more products per value, and fewer registers left.
    pub(crate) fn slab(self) -> usize {
        match self {
            Self::Registers => 4,
            Self::Block(32) => 32,
            Self::Block(_) => 8,
        }
    }

    /// Slabs in workgroup memory. Two, with half as many barriers, where 16 KiB hold them without fewer workgroups at a
    /// time.
    pub(crate) fn slabs(self) -> usize {
        if self == Self::Block(32) { 1 } else { 2 }
    }

    /// The number of workgroups for C \[m, n\].
    fn groups(self, m: usize, n: usize) -> usize {
        m.div_ceil(self.side()).saturating_mul(n.div_ceil(self.side()))
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

/// The number of workgroups of these products.
fn groups(tile: ProductTile, products: &[(usize, usize)]) -> usize {
    products.iter().map(|(m, n)| tile.groups(*m, *n)).fold(0, usize::saturating_add)
}

impl DeviceLimits {
    /// The tiling of products C \[m, n\] that can be split along k into as many parts as `most` allows a tile.
    fn product_tile(&self, products: &[(usize, usize)], most: impl Fn(ProductTile) -> usize) -> ProductTile {
        if self.software {
            return ProductTile::Registers;
        }
        // A tile twice as large reads memory half as often, but must leave the device busy.
        let busy = |tile: &ProductTile| groups(*tile, products).saturating_mul(most(*tile)) >= FULL_GPU;
        [ProductTile::Block(128), ProductTile::Block(64)].into_iter().find(busy).unwrap_or(ProductTile::Block(32))
    }

    /// C \[m, n\] = op(A) · op(B) with inner size k, in one part.
    pub(crate) fn matmul(&self, m: usize, n: usize, k: usize) -> MatmulPlan {
        self.matmul_parts(self.product_tile(&[(m, n)], |_| 1), m, n, k, 1)
    }

    /// The weight gradients that one dispatch may compute. On a GPU a second one fills it up. lavapipe gives each core a
    /// range of workgroups, of which those of the larger product would be one.
    pub(crate) fn products_per_dispatch(&self) -> usize {
        if self.software { 1 } else { 2 }
    }

    /// Weight gradients \[m, n\] in one dispatch, with k = T·B split into parts until the device has enough workgroups.
    pub(crate) fn weight_gradients(&self, products: &[(usize, usize)], k: usize) -> Vec<MatmulPlan> {
        // Each part writes and reads a partial result, so it must have a minimum number of rows. Of a larger tile there
        // are more parts, which must not take the time that its fewer reads save.
        let most = |tile: ProductTile| match tile {
            ProductTile::Registers => k.div_ceil(256),
            ProductTile::Block(side) => k.div_ceil(side.max(64)),
        };
        let tile = self.product_tile(products, most);
        let (wanted, running) = match tile {
            // In threads, which a software driver distributes over the cores.
            ProductTile::Registers => (64, products.iter().map(|(m, n)| m.div_ceil(16) * n.div_ceil(16)).sum()),
            ProductTile::Block(_) => (FULL_GPU, groups(tile, products)),
        };
        let parts = (wanted / running).clamp(1, most(tile)).max(k.div_ceil(4 * self.max_turns));
        products.iter().map(|(m, n)| self.matmul_parts(tile, *m, *n, k, parts)).collect()
    }

    pub(crate) fn matmul_parts(&self, tile: ProductTile, m: usize, n: usize, k: usize, parts: usize) -> MatmulPlan {
        let part = k.div_ceil(parts).next_multiple_of(tile.slab());
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
    fn gpus_use_the_largest_tile_of_which_there_are_enough() {
        let software = DeviceLimits { software: true, ..GPU };
        assert_eq!(software.matmul(8192, 1024, 128).tile, ProductTile::Registers);
        assert_eq!(GPU.matmul(8192, 1024, 128).tile, ProductTile::Block(128));
        assert_eq!(GPU.matmul(2048, 1024, 128).tile, ProductTile::Block(64));
        assert_eq!(GPU.matmul(512, 256, 32).tile, ProductTile::Block(32));
        // Parts along k count too, and there are no more of them than the device needs.
        let of = |m, n, k| GPU.weight_gradients(&[(m, n)], k)[0];
        let plan = of(1024, 256, 8192);
        assert_eq!((plan.tile, plan.parts), (ProductTile::Block(128), 16));
        assert_eq!(of(1024, 256, 1024).tile, ProductTile::Block(64));
        assert_eq!(of(256, 64, 2048).tile, ProductTile::Block(32));
        assert_eq!(of(4096, 1024, 16_384).parts, 1);
        // Two in one dispatch share the device.
        let [first, second] = GPU.weight_gradients(&[(1024, 256), (1024, 128)], 8192)[..] else { panic!() };
        assert_eq!([first.parts, second.parts], [10, 10]);
    }

    #[test]
    fn only_the_last_part_of_a_product_ends_within_a_slab() {
        for (m, n) in [(4, 4), (300, 64), (1024, 256), (2048, 2048)] {
            for k in [5, 333, 4097, 100_000] {
                let plan = GPU.weight_gradients(&[(m, n)], k)[0];
                assert!(plan.parts == 1 || plan.part.is_multiple_of(plan.tile.slab()), "{plan:?}");
            }
        }
    }
}
