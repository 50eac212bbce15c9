//! What training will use, by its use.

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

/// The shapes of batches to learn from, to validate and to test with, and of the smaller ones at the end of each.
const SHAPES: usize = 6;

/// What training will use, in bytes by their use.
#[derive(Clone, Debug)]
pub struct MemoryPlan {
    /// The network's.
    pub memory: Memory,
    /// The program's beside it, where both use the machine's memory.
    pub(super) host: HostMemory,
    /// What the driver of a GPU used of the machine's memory when it was opened, where the GPU has none of its own. It is in
    /// no plan.
    pub(super) driver_bytes: Option<u64>,
    /// What is left of the memory that the device uses, where that is known.
    pub(super) free: Option<FreeMemory>,
    /// T of the longest batch.
    pub(super) steps: usize,
    /// Rows of a batch.
    pub batch: usize,
    /// Rows on the device at once.
    pub rows: usize,
    pub(super) recompute: bool,
    /// The bytes that training may use, where these bound the batch.
    pub budget: Option<Budget>,
    /// The most rows at once that fit into the budget.
    pub largest: Option<usize>,
}

impl MemoryPlan {
    /// All bytes of the plan.
    pub fn total(&self) -> u64 {
        self.memory.total() + self.host.total()
    }
}

/// What is known before the batch is.
struct Planning<'a> {
    planner: &'a NetworkPlanner<'a>,
    device: &'a OpenDevice,
    /// The largest example, as a batch of one row.
    row: Batch,
    /// Examples of the training part.
    examples: usize,
    /// T of the longest batch.
    steps: usize,
    carries_state: bool,
    host: HostMemory,
    /// Bytes of a row on the host, where the device shares its memory.
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
            // A network that is measured on longer sequences uses as much for them.
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

    /// The most rows at once. A batch exists once; of one that is computed in parts each part too.
    fn fitting(&self, budget: &Budget, batch: Option<usize>) -> Result<usize> {
        let beside = self.host.total() + batch.map_or(0, |batch| batch as u64 * self.row_bytes);
        let left = budget.left(self.device, beside);
        let most = batch.unwrap_or(self.examples);
        let found = self.planner.largest_rows(self.batch_shape(most, most), left, most, self.row_bytes);
        found.map_err(|error| budget.too_small(error, self.device, beside))
    }
}

/// Plans training, and fills in the batch and the rows at once that `--batch auto` and `--memory` leave open. With
/// `find_largest` the largest batch is found even without a budget. Nothing is allocated.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) where not even one row fits, or not as many at once as were asked for.
pub fn plan_memory(
    settings: &mut Settings,
    planner: &NetworkPlanner<'_>,
    task: &dyn Task,
    find_largest: bool,
) -> Result<MemoryPlan> {
    let auto = settings.fits_batch();
    if auto && task.carries_state() {
        return Err(unsupported(
            "--batch auto with --carry-state: the rows of a batch are the lanes in which the text is read, whose \
             number changes what is learned; set it with --batch",
        ));
    }
    let training = task.training(Order { rows: 1, buckets: settings.buckets, seed: settings.seed })?;
    let training = training.ok_or_else(|| unsupported("the split leaves nothing to train on"))?;
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
        let batch = settings.batch.min(examples);
        let rows = match &at_once {
            // The whole batch.
            Some(Ok(largest)) if *largest >= batch => batch,
            _ => evenly(batch, planning.fitting(budget, Some(batch))?),
        };
        settings.set_batch(settings.batch, rows);
    }
    let batch = settings.batch.min(examples);
    let rows = settings.micro_batch.unwrap_or(batch).min(batch);
    let memory = planner.plan(planning.batch_shape(rows, batch))?;
    planning.host.batch = planning.row_bytes * (batch + if rows < batch { rows } else { 0 }) as u64;
    let plan = MemoryPlan {
        memory,
        host: planning.host,
        driver_bytes: (device.shares_memory() && !device.is_cpu()).then_some(device.driver_bytes),
        free: if device.shares_memory() { FreeMemory::now() } else { None },
        steps: planning.steps,
        batch,
        rows,
        recompute: settings.recompute,
        largest: at_once.and_then(Result::ok),
        budget,
    };
    // What the program uses beside differs by little from run to run, which must not refuse one that is repeated.
    match (settings.memory, plan.total() - plan.host.program) {
        (Some(most), total) if total > most => Err(unsupported(format!(
            "training.micro-batch {rows} takes {}, over --memory {}: take fewer rows, or leave it to --memory",
            bytes(total),
            Bytes(most)
        ))),
        _ => Ok(plan),
    }
}
