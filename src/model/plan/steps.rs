//! Recurrent steps: which kernel, and how the threads of its workgroups divide the product with W_hh.

use super::dispatch::{FULL_GPU, Grid, MAX_GROUP};
use super::{DeviceLimits, Vec4Sizes};
use crate::model::RecurrentKernel;
use crate::sizes::Count;

/// vec4 of W_hh that a thread may read one after the other at each step of a sequence. A read from a large GPU's second cache
/// takes about 0.15 µs, of which none begins before the one before has come; with more of them, a dispatch per step, at 2.5 to
/// 5 µs, and more threads for each result take less time.
const MAX_DEPENDENT_READS: usize = 24;

/// 4 × 4 blocks of W_hh that a thread of a workgroup of 256 can keep where it has 255 registers: half of them. What a step
/// needs besides takes up to 64.
pub(crate) const MAX_HELD_WEIGHTS: usize = 8;

/// Workgroups of a tiled step from which on it takes less time than threads that share k: on an H100 half of the
/// multiprocessors. The time of a read no longer counts then, but the bytes that are read of W_hh, once for 64 rows instead of
/// for 4.
const HALF_GPU: usize = 64;

/// How the threads of a step kernel divide its products: see `shaders/step_product.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepForm {
    /// A thread owns this many rows of a vec4 of units: 1, 2, 4 or 8.
    Whole { rows: usize },
    /// The threads of a workgroup share the sum over k.
    Split {
        /// Batch rows of a workgroup: 1, 2 or 4.
        rows: usize,
        /// The number of 4 × 4 blocks of W_hh that a thread keeps in registers from step to step; 0: it reads them at each
        /// step.
        held_weights: usize,
    },
    /// A workgroup computes a [`StepTile`] through workgroup memory.
    Tiled,
}

impl StepForm {
    /// The form in which a cell of another crate is compiled to check its WGSL.
    pub(crate) const DEFAULT: Self = Self::Whole { rows: 1 };

    /// Forms of every kind, for tests: with the fewest and the most rows and weights.
    pub(crate) fn all() -> Vec<Self> {
        let whole = [1, 4, 8].map(|rows| Self::Whole { rows });
        let split =
            [1, 2, 4].map(|rows| [0, 1, MAX_HELD_WEIGHTS].map(|held_weights| Self::Split { rows, held_weights }));
        whole.into_iter().chain(split.into_iter().flatten()).chain([Self::Tiled]).collect()
    }

    /// The rows of a thread.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Whole { rows } | Self::Split { rows, .. } => rows,
            Self::Tiled => StepTile::THREAD_ROWS,
        }
    }

    /// Whether threads meet in workgroup memory.
    pub(crate) fn is_shared(self) -> bool {
        !matches!(self, Self::Whole { .. })
    }
}

/// The division of a workgroup that computes the products of many rows and units: see `shaders/step_tiled.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepTile {
    /// Products of a unit.
    results: usize,
    /// Parts of k that are summed at the same time.
    pub(crate) shares: usize,
    /// vec4 of k of each of these parts that are in workgroup memory at a time.
    pub(crate) slab: usize,
}

impl StepTile {
    /// Rows of a thread.
    const THREAD_ROWS: usize = 8;

    /// Threads that divide the rows.
    pub(crate) const ROW_TILES: usize = 8;

    /// Rows of a workgroup.
    const ROWS: usize = Self::ROW_TILES * Self::THREAD_ROWS;

    /// vec4 of units of a workgroup.
    pub(crate) const UNITS: usize = 4;

    /// A workgroup of about 128 threads, whatever the number of results.
    pub(crate) fn of(results: usize) -> Self {
        let shares = (4 / results.max(1)).max(1);
        Self { results, shares, slab: (4 / shares).max(2) }
    }

    fn threads(&self) -> usize {
        Self::UNITS * self.results * Self::ROW_TILES * self.shares
    }

    /// vec4 of a slab of the operand.
    fn operand_slab(&self) -> usize {
        self.shares * Self::ROWS * self.slab
    }

    /// vec4 of a slab of W_hh.
    fn weights_slab(&self) -> usize {
        self.shares * 4 * self.slab * self.results * Self::UNITS
    }

    /// vec4 of workgroup memory: two slabs, with room for what all threads load, and in the same place the parts of the
    /// products.
    fn shared_vec4s(&self) -> usize {
        let products = self.shares * self.results * Self::ROWS * Self::UNITS;
        let [operand_loads, weights_loads, _] = self.shares_of_thread();
        products.max((operand_loads + weights_loads) * self.threads())
    }

    /// The slabs that a workgroup takes one after the other.
    fn turns(&self, parts: usize, part: usize) -> usize {
        parts.div_ceil(self.shares) * part.div_ceil(self.slab)
    }

    /// The vec4 of the operand's slab, and of W_hh's, that a thread loads, and the vec4 of units of a row with which it goes
    /// on from the products; the last of each not in all threads.
    pub(crate) fn shares_of_thread(&self) -> [usize; 3] {
        [self.operand_slab(), self.weights_slab(), Self::ROWS * Self::UNITS]
            .map(|all| all.div_ceil(self.threads().max(1)))
    }
}

/// The dispatch of a step in one direction of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepShape {
    pub(crate) form: StepForm,
    /// Threads per workgroup: vec4 of units; results, or row tiles if they share nothing; parts of k that they share, times
    /// the row tiles of a [`StepTile`].
    pub(crate) group: [usize; 3],
    /// The number of parts in which the products are summed.
    pub(crate) parts: usize,
    /// vec4 of k per part but the last, each of which waits for the one before.
    pub(crate) part: usize,
    /// Whether the operand of the next step's product is passed on in workgroup memory.
    pub(crate) staged: bool,
    /// vec4 of workgroup memory.
    pub(crate) shared_vec4s: usize,
    pub(crate) grid: Grid,
}

/// What a recurrent step asks of a device in one direction of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepDemand {
    /// The number of workgroups.
    pub workgroups: u64,
    /// The number of times that a thread waits for something from memory before it can ask for the next.
    pub dependent_reads: u64,
    /// The bytes of W_hh that all workgroups read together, cached or not.
    pub weight_bytes: u64,
}

impl StepShape {
    /// What a step with this product asks for.
    fn demand(&self, product: &StepProduct) -> StepDemand {
        let [columns, rows, _] = self.grid.map(u64::from);
        let blocks = (4 * product.units * product.results * product.k4) as u64;
        let (dependent_reads, readers) = match self.form {
            StepForm::Whole { .. } => (self.parts * self.part, rows * self.group[1] as u64),
            StepForm::Split { held_weights: 0, .. } => (self.part, rows),
            StepForm::Split { .. } => (0, 0),
            StepForm::Tiled => (StepTile::of(product.results).turns(self.parts, self.part), rows),
        };
        StepDemand {
            workgroups: columns * rows,
            dependent_reads: dependent_reads as u64,
            weight_bytes: 16 * readers * blocks,
        }
    }

    /// The rows of a workgroup.
    fn rows(&self) -> usize {
        match self.form {
            StepForm::Whole { rows } => rows * self.group[1],
            StepForm::Split { rows, .. } => rows,
            StepForm::Tiled => StepTile::ROWS,
        }
    }
}

/// How the recurrent steps of a chunk are dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepPlan {
    /// Never [`RecurrentKernel::Auto`].
    pub(crate) kernel: RecurrentKernel,
    /// The maximum number of steps per dispatch.
    pub(crate) count: usize,
    pub(crate) forward: StepShape,
    /// The backward step, or if h is projected the product alone.
    pub(crate) backward: StepShape,
    /// The backward step of a cell whose h is projected, which has no product.
    pub(crate) projected_backward: StepShape,
}

impl StepPlan {
    /// The number of rows for which the device has workgroups enough.
    pub(crate) fn most_rows(&self, limits: &DeviceLimits) -> usize {
        let least = [&self.forward, &self.backward, &self.projected_backward].into_iter().map(StepShape::rows).min();
        least.unwrap_or(1) * limits.max_groups as usize
    }
}

/// The recurrent product of a row in one direction of time.
#[derive(Clone, Copy, Debug)]
struct StepProduct {
    rows: usize,
    /// vec4 of units.
    units: usize,
    /// Results per unit: the blocks of W_hh forward, 1 backward, and 0 without W_hh.
    results: usize,
    /// vec4 of k.
    k4: usize,
}

impl StepProduct {
    /// vec4 of units per workgroup that does not own all of them.
    const UNITS: usize = 8;

    /// Those of a step forward, of a step backward, and of the backward step of a cell whose h is projected, which has none.
    fn of(rows: usize, [h4, state4]: [usize; 2], gates: usize) -> [Self; 3] {
        [
            Self { rows, units: h4, results: gates, k4: state4 },
            Self { rows, units: state4, results: gates.min(1), k4: gates * h4 },
            Self { rows, units: h4, results: 0, k4: 0 },
        ]
    }

    /// The parts of k, and the vec4 of each but the last, with which `units` vec4 of units give each thread of a workgroup
    /// one part of one result.
    fn parts(&self, units: usize) -> (usize, usize) {
        let most = (MAX_GROUP / (units * self.results).max(1)).clamp(1, self.k4.max(1));
        let part = self.k4.div_ceil(most).max(1);
        (self.k4.div_ceil(part).max(1), part)
    }

    /// A workgroup whose threads share the products of `units` vec4 of units. `sequence`: it owns all units, and passes the
    /// next operand on.
    fn split(&self, units: usize, (parts, part): (usize, usize), sequence: bool, limits: &DeviceLimits) -> StepShape {
        let threads = units * self.results * parts;
        let per_row = threads + if sequence { self.k4 } else { 0 };
        let enough = self.rows.min(4).next_power_of_two();
        // Each row has a thread for each vec4 of units that goes on from its products.
        let fits = |rows: &usize| {
            16 * rows * per_row <= limits.max_shared as usize && rows * units <= threads && *rows <= enough
        };
        let rows = [4, 2, 1].into_iter().find(fits).unwrap_or(1);
        StepShape {
            form: StepForm::Split {
                rows,
                held_weights: if sequence && part <= limits.held_weights { part } else { 0 },
            },
            group: [units, self.results, parts],
            parts,
            part,
            staged: sequence,
            shared_vec4s: rows * per_row,
            grid: [self.units.div_ceil(units) as u32, self.rows.div_ceil(rows) as u32, 1],
        }
    }

    /// Workgroups of many rows and units, if the device has room for one and there are enough of them.
    fn tiled(&self, (parts, part): (usize, usize), limits: &DeviceLimits) -> Option<StepShape> {
        let tile = StepTile::of(self.results);
        let (wide, high) = (self.units.div_ceil(StepTile::UNITS), self.rows.div_ceil(StepTile::ROWS));
        let fits = tile.threads() <= MAX_GROUP && 16 * tile.shared_vec4s() <= limits.max_shared as usize;
        (fits && wide.saturating_mul(high) >= HALF_GPU).then(|| StepShape {
            form: StepForm::Tiled,
            group: [StepTile::UNITS, self.results, StepTile::ROW_TILES * tile.shares],
            parts,
            part,
            staged: false,
            shared_vec4s: tile.shared_vec4s(),
            grid: [wide as u32, high as u32, 1],
        })
    }

    /// Threads that share nothing, in workgroups of x vec4 of units × y row tiles.
    fn whole(&self, rows: usize, [x, y]: [usize; 2], (parts, part): (usize, usize)) -> StepShape {
        StepShape {
            form: StepForm::Whole { rows },
            group: [x, y, 1],
            parts,
            part,
            staged: false,
            shared_vec4s: 0,
            grid: [self.units.div_ceil(x) as u32, self.rows.div_ceil(rows * y) as u32, 1],
        }
    }
}

impl DeviceLimits {
    /// What a step of a recurrent network over `rows` rows asks for, forward and backward: of the product with W_hh, without
    /// those of a projection.
    pub(crate) fn step_demand(
        &self,
        rows: usize,
        sizes: &Vec4Sizes,
        gates: usize,
        kernel: RecurrentKernel,
    ) -> [StepDemand; 2] {
        let [forward, backward, _] = StepProduct::of(rows, [sizes.h4, sizes.state4], gates);
        let plan = self.steps(rows, [sizes.h4, sizes.state4], gates, kernel);
        [plan.forward.demand(&forward), plan.backward.demand(&backward)]
    }

    /// The dispatch of recurrent steps over `rows` rows with h4 vec4 of hidden units, state4 of h and G gates. For
    /// `Sequence`, [`RecurrentKernel::check`] must have passed.
    pub(crate) fn steps(
        &self,
        rows: usize,
        [h4, state4]: [usize; 2],
        gates: usize,
        kernel: RecurrentKernel,
    ) -> StepPlan {
        let [forward, backward, projected_backward] = StepProduct::of(rows, [h4, state4], gates);
        // The parts are those of a workgroup that owns all units, if there can be one, whichever kernel runs.
        let [of_all, of_some] = [h4, StepProduct::UNITS].map(|units| [forward.parts(units), backward.parts(units)]);
        let owns_all =
            h4 == state4 && h4 * gates <= MAX_GROUP && of_all.iter().all(|(_, part)| *part <= MAX_DEPENDENT_READS);
        let products = Count::from(rows) * gates * 16usize * h4 * h4;
        let worth_it = if self.software {
            // A software driver runs a workgroup on one core and needs tens of microseconds per dispatch: one workgroup
            // for the whole sequence pays if there are enough of them or little to compute.
            4 * h4 <= RecurrentKernel::SEQUENCE_UNITS && (rows >= 16 || products.get() <= 1 << 16)
        } else {
            owns_all
        };
        let kernel = match kernel {
            RecurrentKernel::Auto if worth_it => RecurrentKernel::Sequence,
            RecurrentKernel::Auto => RecurrentKernel::Step,
            told => told,
        };
        let sequence = kernel == RecurrentKernel::Sequence;
        let shape = |product: &StepProduct, parts: (usize, usize)| {
            if self.software {
                // It reads memory lane by lane, so the larger tile is faster if every core gets one.
                let tile = if rows >= 32 || !sequence { 8 } else { 4 };
                return product.whole(tile, if sequence { [product.units, 1] } else { [8, 1] }, (1, product.k4.max(1)));
            }
            if product.results == 0 || (sequence && !owns_all) {
                // A larger tile reads W_hh less often, but its threads take longer, which is worse than more workgroups
                // while the device has room for them.
                let units = product.units;
                let group = if sequence { [units, (64 / units).max(4).min(MAX_GROUP / units)] } else { [16, 4] };
                let busy = |tile: &usize| {
                    let (x, y) = (units.div_ceil(group[0]), rows.div_ceil(tile * group[1]));
                    x.saturating_mul(y) >= FULL_GPU
                };
                return product.whole([4, 2].into_iter().find(busy).unwrap_or(1), group, parts);
            }
            let units = if sequence { product.units } else { product.units.min(StepProduct::UNITS) };
            let tiled = if sequence { None } else { product.tiled(parts, self) };
            tiled.unwrap_or_else(|| product.split(units, parts, sequence, self))
        };
        let [forward_parts, backward_parts] = if owns_all { of_all } else { of_some };
        let count = if sequence { (self.max_turns / (gates * h4 + 16)).max(1) } else { 1 };
        StepPlan {
            kernel,
            count,
            forward: shape(&forward, forward_parts),
            backward: shape(&backward, backward_parts),
            projected_backward: shape(&projected_backward, (1, 1)),
        }
    }

    /// Whether forward steps read a transposed copy of W_hh, in which neighbouring threads read neighbouring addresses.
    /// A software driver reads lane by lane either way.
    pub(crate) fn packs_weights(&self) -> bool {
        !self.software
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::{Cell, Head, Loss, Model, Precision, Readout, Recurrent};

    const GPU: DeviceLimits = DeviceLimits::LEAST_GPU;
    const KERNELS: [RecurrentKernel; 3] = [RecurrentKernel::Auto, RecurrentKernel::Sequence, RecurrentKernel::Step];

    #[test]
    fn step_workgroups_cover_all_rows_and_units_within_device_limits() {
        for (software, max_shared) in [(true, 16 * 1024), (false, 16 * 1024), (false, 48 * 1024)] {
            let limits = DeviceLimits { software, max_shared, ..GPU };
            for (h4, state4) in [1usize, 2, 5, 16, 17, 32, 39, 64, 100, 129, 255, 256]
                .into_iter()
                .flat_map(|h4| [(h4, h4), (h4, h4.div_ceil(3))])
            {
                for rows in [1, 3, 4, 16, 33, 130, 512, 5000, 200_000] {
                    for (gates, kernel) in (0..=4).flat_map(|gates| KERNELS.map(|kernel| (gates, kernel))) {
                        if state4 != h4 && kernel != RecurrentKernel::Step {
                            continue;
                        }
                        let plan = limits.steps(rows, [h4, state4], gates, kernel);
                        let what = format!("{rows} rows, {h4} vec4, {gates} gates, {software}: {plan:?}");
                        assert_ne!(plan.kernel, RecurrentKernel::Auto, "{what}");
                        for (shape, units, k4) in [
                            (plan.forward, h4, if gates > 0 { state4 } else { 0 }),
                            (plan.backward, state4, gates * h4),
                            (plan.projected_backward, h4, 0),
                        ] {
                            let ([x, y, z], [wide, high, _]) = (shape.group, shape.grid.map(|groups| groups as usize));
                            assert!((1..=MAX_GROUP).contains(&(x * y * z)), "{what}");
                            assert!(wide * x >= units && (wide - 1) * x < units, "{what}");
                            let tall = shape.rows();
                            assert!(high * tall >= rows && (high - 1) * tall < rows, "{what}");
                            assert!(high <= 65_535 || rows > plan.most_rows(&limits), "{what}");
                            assert!(k4 == 0 || (shape.parts * shape.part >= k4 && (shape.parts - 1) * shape.part < k4));
                            assert!(!matches!(shape.form, StepForm::Split { .. }) || z == shape.parts, "{what}");
                            assert!(16 * shape.shared_vec4s <= max_shared as usize, "{what}");
                            // A workgroup alone can part the steps of a dispatch.
                            assert!(plan.count == 1 || wide == 1, "{what}");
                            assert!(plan.count > 1 || !shape.staged, "{what}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_parts_of_a_sum_depend_on_its_sizes_alone() {
        for gates in 1..=4 {
            for h4 in 1..=256 {
                let parts = |rows, kernel| {
                    let plan = GPU.steps(rows, [h4, h4], gates, kernel);
                    [plan.forward, plan.backward].map(|shape| (shape.parts, shape.part))
                };
                let expected = parts(1, RecurrentKernel::Auto);
                for kernel in KERNELS {
                    for rows in [4, 64, 5000] {
                        assert_eq!(parts(rows, kernel), expected, "{gates} gates, {h4} vec4, {rows} rows, {kernel:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_sequence_is_one_dispatch_if_its_threads_read_few_weights_each() {
        for (gates, widest) in [(1, 72), (3, 42), (4, 32)] {
            for h4 in 1..=widest {
                let plan = GPU.steps(16, [h4, h4], gates, RecurrentKernel::Auto);
                assert_eq!(plan.kernel, RecurrentKernel::Sequence, "{gates} gates, {h4} vec4");
                assert!(plan.forward.staged && plan.backward.staged, "{plan:?}");
            }
            let wider = GPU.steps(16, [widest + 1; 2], gates, RecurrentKernel::Auto);
            assert_eq!(wider.kernel, RecurrentKernel::Step);
        }
        // A step of an LSTM of 256 units, of 512, and of 1024 with 128 rows.
        let demand = |rows, hidden| {
            let recurrent = Recurrent::new(Cell::Lstm, 8, hidden);
            let model = Model::new(recurrent, Head::new(1, Loss::SquaredError, Readout::Final));
            GPU.step_demand(rows, &Vec4Sizes::new(&model, Precision::F32), 4, RecurrentKernel::Auto)
        };
        let [m, c, l] = [demand(64, 256), demand(64, 512), demand(128, 1024)];
        assert_eq!(m.map(|m| (m.workgroups, m.dependent_reads)), [(128, 8); 2]);
        assert_eq!(c.map(|c| c.dependent_reads), [16; 2]);
        assert_eq!(l.map(|l| l.weight_bytes), [2 * 4 * (4 << 20); 2]);
        assert_eq!(l.map(|l| l.workgroups), [128; 2]);
    }

    #[test]
    fn a_large_step_is_a_tiled_product_that_reads_w_hh_once_for_64_rows() {
        for gates in 1..=4 {
            for (rows, h4, tiled) in
                [(128, 256, true), (64, 256, true), (63, 240, false), (64, 64, false), (256, 64, true)]
            {
                let plan = GPU.steps(rows, [h4, h4], gates, RecurrentKernel::Step);
                for shape in [plan.forward, plan.backward] {
                    assert_eq!(
                        shape.form == StepForm::Tiled,
                        tiled,
                        "{gates} gates, {rows} rows, {h4} vec4: {shape:?}"
                    );
                    assert!(!tiled || shape.grid == [h4 as u32 / 4, rows as u32 / 64, 1], "{shape:?}");
                }
            }
        }
        // More results than a workgroup has threads for.
        assert!(GPU.steps(128, [256, 256], 9, RecurrentKernel::Step).forward.form != StepForm::Tiled);
    }

    #[test]
    fn small_weights_stay_in_registers_where_a_device_has_enough() {
        for (gates, widest) in [(1, 42), (3, 24), (4, 21)] {
            for h4 in 1..=widest + 1 {
                let held = |limits: DeviceLimits| {
                    let plan = limits.steps(64, [h4, h4], gates, RecurrentKernel::Auto);
                    [plan.forward, plan.backward].map(|shape| match shape.form {
                        StepForm::Split { held_weights, .. } => (held_weights, shape.part),
                        form => panic!("{form:?}"),
                    })
                };
                let all = held(GPU).iter().all(|(held, part)| held == part);
                assert_eq!(all, h4 <= widest, "{gates} gates, {h4} vec4: {:?}", held(GPU));
                assert!(held(DeviceLimits { held_weights: 0, ..GPU }).iter().all(|(held, _)| *held == 0));
            }
        }
    }
}
