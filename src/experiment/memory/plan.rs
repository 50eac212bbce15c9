//! The memory plan of training, by category.

use super::budget::{Budget, EVEN, check_program, evenly};
use super::host::{BYTES_OF_STEP, DESCRIPTIONS, HostMemory, LATER, STEPS, batch_bytes, copies, program};
use crate::data::Batches;
use crate::experiment::config::Bytes;
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::free_memory::FreeMemory;
use crate::experiment::device::open::{NetworkPlanner, OpenDevice};
use crate::experiment::model::model_file;
use crate::experiment::settings::Settings;
use crate::experiment::tasks::task::{Order, Task};
use crate::format::bytes;
use crate::{Batch, BatchShape, Memory, Result};

/// The shapes of training, validation and test batches, and of the smaller ones at the end of each.
const SHAPES: usize = 6;

/// The planned memory of training in bytes, by category.
#[derive(Clone, Debug)]
pub struct MemoryPlan {
    /// Of the network.
    pub memory: Memory,
    /// Of the program besides, if both use the machine's memory.
    pub(super) host: HostMemory,
    /// Memory of a GPU driver at opening, if the GPU has no memory of its own. It is not planned.
    pub(super) driver_bytes: Option<u64>,
    /// The free memory of the device, if known.
    pub(super) free: Option<FreeMemory>,
    /// T of the longest batch.
    pub(super) steps: usize,
    /// Rows of a batch.
    pub batch: usize,
    /// The number of ranks that a batch is shared out to.
    pub(super) ranks: usize,
    /// Rows on the device at once.
    pub rows: usize,
    pub(super) recompute: bool,
    /// The memory budget, if it limits the batch.
    pub budget: Option<Budget>,
    /// The maximum number of rows at once within the budget.
    pub largest: Option<usize>,
}

impl MemoryPlan {
    /// All planned bytes.
    pub fn total(&self) -> u64 {
        self.memory.total() + self.host.total()
    }
}

/// What is known before the batch is chosen.
struct Planning<'a> {
    planner: &'a NetworkPlanner<'a>,
    device: &'a OpenDevice,
    /// The longest example, as a batch of one row.
    row: Batch,
    /// The number of training examples.
    examples: usize,
    /// T of the longest batch.
    steps: usize,
    carries_state: bool,
    host: HostMemory,
    /// Bytes per row on the host, if the device shares its memory.
    row_bytes: u64,
}

impl<'a> Planning<'a> {
    fn new(
        settings: &Settings,
        planner: &'a NetworkPlanner<'_>,
        task: &dyn Task,
        training: &dyn Batches,
    ) -> Result<Self> {
        let (row, device) = (training.largest()?, planner.device);
        let (mut host, mut row_bytes) = (HostMemory::default(), 0);
        if device.shares_memory() {
            host.program = program(device) + LATER;
            host.copies = copies(settings, planner.model) + DESCRIPTIONS * model_file::description_bytes(&task.codec());
            row_bytes = batch_bytes(&row);
            host.results = task.results_bytes() + BYTES_OF_STEP * settings.run.steps(training.per_epoch()).min(STEPS);
            check_program(settings, device)?;
        }
        Ok(Self {
            planner,
            device,
            examples: training.per_epoch().min(1 << 24) as usize,
            // Measuring on longer sequences needs as much memory for them.
            steps: row.sequence.shape().0.max(task.longest_measured()),
            carries_state: task.carries_state(),
            row,
            host,
            row_bytes,
        })
    }

    fn batch_shape(&self, rows: usize, batch: usize) -> BatchShape {
        BatchShape {
            rows,
            carried: if self.carries_state { batch } else { 0 },
            shapes: SHAPES,
            steps: self.steps,
            ..self.row.sequence.batch_shape()
        }
    }

    /// The maximum number of rows at once. A batch exists once, and each micro-batch as a copy.
    fn fitting(&self, budget: &Budget, batch: Option<usize>) -> Result<usize> {
        let beside = self.host.total() + batch.map_or(0, |batch| batch as u64 * self.row_bytes);
        let left = budget.left(self.device, beside);
        let most = batch.unwrap_or(self.examples);
        let found = self.planner.largest_rows(self.batch_shape(most, most), left, most, self.row_bytes);
        found.map_err(|error| budget.too_small(error, self.device, beside))
    }
}

/// Plans training on one of `ranks` ranks, and fills in the batch and the rows at once that `--batch auto` and `--memory`
/// leave open. With `find_largest` the largest batch is found even without a budget. Allocates nothing.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) if not even one row fits, or not the configured number of rows.
pub fn plan_memory(
    settings: &mut Settings,
    planner: &NetworkPlanner<'_>,
    task: &dyn Task,
    ranks: usize,
    find_largest: bool,
) -> Result<MemoryPlan> {
    let auto = settings.fits_batch();
    if auto && ranks > 1 {
        let reason =
            "--batch auto is what fits one device, and the ranks may have others: set the batch of all with --batch";
        return Err(unsupported(reason));
    }
    if auto && task.carries_state() {
        return Err(unsupported(
            "--batch auto with --carry-state: the rows of a batch are the streams in which the text is read, \
             whose number changes the result; set it with --batch",
        ));
    }
    let training = task.training(Order { rows: 1, buckets: settings.buckets, seed: settings.seed })?;
    let training = training.ok_or_else(|| unsupported("the split leaves no training data"))?;
    let mut planning = Planning::new(settings, planner, task, training.as_ref())?;
    let (device, examples) = (planner.device, planning.examples);
    let budget = (find_largest || auto || settings.memory.is_some()).then(|| Budget::new(settings.memory, device));
    let at_once = budget.as_ref().map(|budget| planning.fitting(budget, None));
    if let (true, Some(found)) = (auto, &at_once) {
        let rows = match found {
            Ok(rows) if *rows > EVEN => rows - rows % EVEN,
            Ok(rows) => *rows,
            Err(error) => return Err(unsupported(error.to_string())),
        };
        settings.set_batch(rows, rows);
    } else if let (Some(budget), None, Some(_)) = (&budget, settings.micro_batch, settings.memory) {
        // The rows of this rank.
        let batch = settings.batch.min(examples).div_ceil(ranks);
        let rows = match &at_once {
            // The whole batch.
            Some(Ok(largest)) if *largest >= batch => batch,
            _ => evenly(batch, planning.fitting(budget, Some(batch))?),
        };
        settings.set_batch(settings.batch, rows);
    }
    let batch = settings.batch.min(examples);
    let rows = settings.micro_batch.unwrap_or(batch).min(batch.div_ceil(ranks));
    let memory = planner.plan(planning.batch_shape(rows, batch))?;
    planning.host.batch = planning.row_bytes * (batch + if rows < batch { rows } else { 0 }) as u64;
    let plan = MemoryPlan {
        memory,
        host: planning.host,
        driver_bytes: (device.shares_memory() && !device.is_cpu()).then_some(device.driver_bytes),
        free: if device.shares_memory() { FreeMemory::now() } else { None },
        steps: planning.steps,
        batch,
        ranks,
        rows,
        recompute: settings.recompute,
        largest: at_once.and_then(Result::ok),
        budget,
    };
    // Memory besides the plan varies a little between runs, which must not refuse a repeated one.
    match (settings.memory, plan.total() - plan.host.program) {
        (Some(most), total) if total > most => Err(unsupported(format!(
            "training.micro-batch {rows} needs {}, more than --memory {}: set fewer rows, or remove it",
            bytes(total),
            Bytes(most)
        ))),
        _ => Ok(plan),
    }
}
