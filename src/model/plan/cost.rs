//! The cost of a dispatch in operations and bytes. Submissions are split by operations; profiles divide both by time.

use super::{Grid, MatmulPlan, Storage, Vec4Sizes};

/// Planned operations, and bytes read and written by workgroups. Data that several workgroups read, such as the weights
/// of a recurrent step, counts once per workgroup, cached or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) operations: u64,
    pub(crate) bytes: u64,
}

impl Cost {
    fn new(operations: usize, vec4s: usize) -> Self {
        Self { operations: operations as u64, bytes: 16 * vec4s as u64 }
    }

    /// With `vec4s` that are stored in a form of their own.
    fn and_stored(self, storage: Storage, vec4s: usize) -> Self {
        Self { bytes: self.bytes + storage.bytes(4 * vec4s as u64), ..self }
    }

    /// `operations` for each of `numbers`, each of which reads or writes `touched` numbers.
    pub(crate) fn each(numbers: usize, operations: usize, touched: usize) -> Self {
        Self { operations: (operations * numbers) as u64, bytes: 4 * (touched * numbers) as u64 }
    }

    /// Summing `vec4s` vec4 into `results` vec4.
    pub(crate) fn sums(vec4s: usize, results: usize) -> Self {
        Self::new(4 * vec4s, vec4s + 2 * results)
    }

    /// C \[m, 4·n4\] (+)= op(A) · op(B) with inner size k, stored like this. Each column of workgroups reads B, each row of
    /// them A.
    pub(crate) fn product(m: usize, n4: usize, plan: &MatmulPlan, [a, b, c]: [Storage; 3], accumulate: bool) -> Self {
        let k = plan.part * (plan.parts - 1) + plan.last;
        let [columns, rows, _] = plan.grid.map(|groups| groups as usize);
        let results = m * n4 * plan.parts * (1 + usize::from(accumulate));
        Self::new(8 * m * n4 * k, 0)
            .and_stored(a, (columns * m * k).div_ceil(4))
            .and_stored(b, rows * k * n4)
            .and_stored(c, results)
    }

    /// A recurrent step forward with these workgroups: W_hh, entering states, gates in place, and leaving states.
    pub(crate) fn forward_steps(grid: Grid, rows: usize, sizes: &Vec4Sizes, has_c: bool) -> Self {
        let [columns, groups, _] = grid.map(|groups| groups as usize);
        let weights = 4 * groups * sizes.recurrent4 * sizes.state4;
        let of_row = sizes.input4 + sizes.z4 + columns * sizes.state4 + sizes.h4;
        Self::new(32 * rows * sizes.recurrent4 * sizes.state4, rows * 2 * sizes.h4 * usize::from(has_c))
            .and_stored(sizes.storage, weights + rows * of_row)
    }

    /// A recurrent step backward: W_hh, dz of the previous step, dy, gates in place, history and carries.
    pub(crate) fn backward_steps(grid: Grid, rows: usize, sizes: &Vec4Sizes, has_c: bool) -> Self {
        let [columns, groups, _] = grid.map(|groups| groups as usize);
        let weights = 4 * groups * sizes.recurrent4 * sizes.h4;
        let of_row = columns * sizes.recurrent4 + 2 * sizes.z4 + sizes.h4;
        Self::new(32 * rows * sizes.recurrent4 * sizes.h4, rows * sizes.h4 * (3 + 2 * usize::from(has_c)))
            .and_stored(sizes.storage, weights + rows * of_row)
    }

    /// The first part of a backward step whose h is projected: W_hh, dz of the previous step, dy and the carry.
    pub(crate) fn step_dh(grid: Grid, rows: usize, sizes: &Vec4Sizes) -> Self {
        let [columns, groups, _] = grid.map(|groups| groups as usize);
        let weights = 4 * groups * sizes.recurrent4 * sizes.state4;
        Self::new(32 * rows * sizes.recurrent4 * sizes.state4, rows * 4 * sizes.state4)
            .and_stored(sizes.storage, weights + rows * columns * sizes.recurrent4)
    }

    /// The last part: gates in place, c before, and the gradients of m and c.
    pub(crate) fn projected_cell(rows: usize, sizes: &Vec4Sizes, has_c: bool) -> Self {
        Self::new(4 * rows * sizes.z4, rows * sizes.h4 * (1 + 3 * usize::from(has_c)))
            .and_stored(sizes.storage, rows * 2 * sizes.z4)
    }

    /// Multiplies both by `count`.
    pub(crate) fn times(self, count: usize) -> Self {
        Self { operations: self.operations * count as u64, bytes: self.bytes * count as u64 }
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::ProductTile;

    #[test]
    fn a_product_in_one_workgroup_reads_each_operand_once() {
        // 8 × 8 outputs with k = 8: 2·8·8·8 operations, and three matrices of 64 numbers.
        let tile = ProductTile::Registers;
        let plan = MatmulPlan { tile, grid: [1, 1, 1], parts: 1, part: 8, last: 8, scratch: 0 };
        let full = [Storage::Full; 3];
        assert_eq!(Cost::product(8, 2, &plan, full, false), Cost { operations: 1024, bytes: 3 * 256 });
        assert_eq!(Cost::product(8, 2, &plan, full, true).bytes, 4 * 256);
        assert_eq!(Cost::product(8, 2, &plan, [Storage::Halves, Storage::Full, Storage::Full], false).bytes, 5 * 128);
        // Of two columns of workgroups each reads A.
        let plan = MatmulPlan { grid: [2, 1, 1], ..plan };
        assert_eq!(Cost::product(8, 2, &plan, full, false).bytes, 4 * 256);
        // Cut along k, each part has a result.
        let plan = MatmulPlan { tile, grid: [1, 1, 2], parts: 2, part: 4, last: 4, scratch: 0 };
        assert_eq!(Cost::product(8, 2, &plan, full, false), Cost { operations: 1024, bytes: 4 * 256 });
    }
}
