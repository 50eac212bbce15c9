//! Workgroup counts and sizes, and the splitting of sums over rows.

use super::{DeviceLimits, MAX_ITERATIONS};
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
pub(super) const BUSY: usize = 256;

/// vec4 of W_hh that a thread may read one after the other at each step of a sequence: above, a dispatch per step, with
/// more threads for each result, takes less time.
const MAX_TURNS: usize = 24;

/// 4 × 4 blocks of W_hh that a thread of a workgroup of 256 can keep where it has 255 registers: half of them. What a step
/// needs besides takes up to 64.
pub(crate) const MAX_HELD_WEIGHTS: usize = 8;

/// Rows and vec4 of hidden units from which on a step has more work than its loads take time.
const MANY_ROWS: usize = 64;
const MANY_UNITS: usize = 128;

/// How the threads of a step kernel divide its products: see `shaders/step_product.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepForm {
    /// Batch rows of a workgroup if it is split, and otherwise of a thread: 1, 2, 4, or without a split 8.
    pub(crate) rows: usize,
    /// Whether threads share the sum over k.
    pub(crate) split: bool,
    /// The number of 4 × 4 blocks of W_hh that a thread keeps in registers from step to step; 0: it reads them at each step.
    pub(crate) held_weights: usize,
}

impl StepForm {
    /// The form in which a cell of another crate is compiled to check its WGSL.
    pub(crate) const DEFAULT: Self = Self { rows: 1, split: false, held_weights: 0 };

    /// Forms of every kind, for tests: with the fewest and the most rows and weights.
    pub(crate) fn all() -> Vec<Self> {
        let form = |rows, split, held_weights| Self { rows, split, held_weights };
        let whole = [1, 4, 8].map(|rows| form(rows, false, 0));
        let split = [1, 2, 4].map(|rows| [0, 1, MAX_HELD_WEIGHTS].map(|held| form(rows, true, held)));
        whole.into_iter().chain(split.into_iter().flatten()).collect()
    }
}

/// The dispatch of a step in one direction of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepShape {
    pub(crate) form: StepForm,
    /// Threads per workgroup: vec4 of units; results, or row tiles if they share nothing; parts of k that they share.
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
        let rows =
            |shape: &StepShape| if shape.form.split { shape.form.rows } else { shape.form.rows * shape.group[1] };
        let least = [&self.forward, &self.backward, &self.projected_backward].into_iter().map(rows).min();
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
            form: StepForm {
                rows,
                split: true,
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

    /// Threads that share nothing, in workgroups of x vec4 of units × y row tiles.
    fn whole(&self, rows: usize, [x, y]: [usize; 2], (parts, part): (usize, usize)) -> StepShape {
        StepShape {
            form: StepForm { rows, split: false, held_weights: 0 },
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
    /// The dispatch of recurrent steps over `rows` rows with h4 vec4 of hidden units, state4 of h and G gates. For
    /// `Sequence`, [`RecurrentKernel::check`] must have passed.
    pub(crate) fn steps(
        &self,
        rows: usize,
        [h4, state4]: [usize; 2],
        gates: usize,
        kernel: RecurrentKernel,
    ) -> StepPlan {
        let forward = StepProduct { rows, units: h4, results: gates, k4: state4 };
        let backward = StepProduct { rows, units: state4, results: gates.min(1), k4: gates * h4 };
        let projected_backward = StepProduct { rows, units: h4, results: 0, k4: 0 };
        // The parts are those of a workgroup that owns all units, if there can be one, whichever kernel runs.
        let [of_all, of_some] = [h4, StepProduct::UNITS].map(|units| [forward.parts(units), backward.parts(units)]);
        let owns_all = h4 == state4 && h4 * gates <= MAX_GROUP && of_all.iter().all(|(_, part)| *part <= MAX_TURNS);
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
            let many = rows >= MANY_ROWS && h4 >= MANY_UNITS;
            if self.software {
                // It reads memory lane by lane, so the larger tile is faster if every core gets one.
                let tile = if rows >= 32 || !sequence { 8 } else { 4 };
                product.whole(tile, if sequence { [product.units, 1] } else { [8, 1] }, (1, product.k4.max(1)))
            } else if product.results == 0 || many || (sequence && !owns_all) {
                // A larger tile reads W_hh less often, but its threads take longer, which is worse than more workgroups
                // while the device has room for them.
                let units = product.units;
                let group = if sequence { [units, (64 / units).max(4).min(MAX_GROUP / units)] } else { [16, 4] };
                let busy = |tile: &usize| {
                    let (x, y) = (units.div_ceil(group[0]), rows.div_ceil(tile * group[1]));
                    x.saturating_mul(y) >= BUSY
                };
                product.whole([4, 2].into_iter().find(busy).unwrap_or(1), group, parts)
            } else {
                let units = if sequence { product.units } else { product.units.min(StepProduct::UNITS) };
                product.split(units, parts, sequence, self)
            }
        };
        let [forward_parts, backward_parts] = if owns_all { of_all } else { of_some };
        let count = if sequence { (MAX_ITERATIONS / (gates * h4 + 16)).max(1) } else { 1 };
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
                            let tall = if shape.form.split { shape.form.rows } else { shape.form.rows * y };
                            assert!(high * tall >= rows && (high - 1) * tall < rows, "{what}");
                            assert!(high <= 65_535 || rows > plan.most_rows(&limits), "{what}");
                            assert!(k4 == 0 || (shape.parts * shape.part >= k4 && (shape.parts - 1) * shape.part < k4));
                            assert!(!shape.form.split || z == shape.parts, "{what}");
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
        // A step of an LSTM of 256 units: 128 workgroups, whose threads read 8 vec4 of k one after the other.
        let plan = GPU.steps(64, [64, 64], 4, RecurrentKernel::Auto);
        assert_eq!([plan.forward.grid, plan.backward.grid], [[8, 16, 1]; 2]);
        assert_eq!([plan.forward.part, plan.backward.part], [8, 8]);
    }

    #[test]
    fn small_weights_stay_in_registers_where_a_device_has_enough() {
        for (gates, widest) in [(1, 42), (3, 24), (4, 21)] {
            for h4 in 1..=widest + 1 {
                let held = |limits: DeviceLimits| {
                    let plan = limits.steps(64, [h4, h4], gates, RecurrentKernel::Auto);
                    [plan.forward, plan.backward].map(|shape| (shape.form.held_weights, shape.part))
                };
                let all = held(GPU).iter().all(|(held, part)| held == part);
                assert_eq!(all, h4 <= widest, "{gates} gates, {h4} vec4: {:?}", held(GPU));
                assert!(held(DeviceLimits { held_weights: 0, ..GPU }).iter().all(|(held, _)| *held == 0));
            }
        }
    }
}
