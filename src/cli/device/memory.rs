//! What memory training takes and may take, and the batch that fits into it.

use bptt::experiment::config::Bytes;
use bptt::experiment::config::agree::unsupported;
use bptt::experiment::model::model_file;
use bptt::experiment::settings::Settings;
use bptt::experiment::tasks::task::{Order, Task};
use bptt::format::{bytes, grouped, path_text};
use bptt::train::KeepWeights;
use bptt::{Batch, BatchShape, Error, Input, Memory, MemoryPart, Model, Result, Targets};
use serde_json::{Map, Value, json};

use super::free_memory::{FreeMemory, most_resident, resident};
use super::opened::{Opened, Planner};
use crate::cli::exit::Failure;

/// What is assumed to be there where nothing tells.
const ASSUMED: u64 = 2 << 30;

/// Batches of more rows than these have a multiple of them, which blocks of rows and tiles of kernels are whole in.
const EVEN: usize = 8;

/// What the program takes of itself after it has planned: code that was not yet read, what the allocator holds back, and the
/// pictures and the report in the end.
const LATER: u64 = 8 << 20;

/// How often what describes the model is there while a file of it is written: as the run keeps it, as it is read and written
/// again for the step, as the note of the file, and in its header.
const DESCRIPTIONS: u64 = 5;

/// What a step takes in the pictures, and the most steps that they tell apart.
const OF_STEP: u64 = 256;
const STEPS: u64 = 1 << 16;

/// One part of so many of a budget is no part of any plan.
const MARGIN: u64 = 16;

/// Those of batches to learn from, to validate and to test with, and of the smaller ones at the end of each.
const SHAPES: usize = 6;

/// The most bytes that training may take, and whence that is known.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) bytes: u64,
    pub(crate) words: String,
}

impl Budget {
    /// What was told, or else what the device has room for. wgpu does not tell what a GPU has; one that shares the
    /// machine's memory may take half of what this program may still take there, as the CPU may.
    fn new(told: Option<u64>, opened: &Opened) -> Self {
        if let Some(told) = told {
            return Self { bytes: told, words: format!("{} (--memory)", bytes(told)) };
        }
        let assumed = |why: &str| Self {
            bytes: ASSUMED,
            words: format!("{}, assumed, since {why}: --memory tells it", bytes(ASSUMED)),
        };
        if !opened.shares_memory() {
            return assumed("the driver does not tell what the GPU has");
        }
        match FreeMemory::now() {
            Some(free) => Self { bytes: free.bytes / 2, words: format!("half of {}", free.words()) },
            None => assumed("the system does not tell what is free"),
        }
    }
}

/// What training takes, and in which parts.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) memory: Memory,
    /// Beside what the network takes, where both are of one memory.
    host: Host,
    /// What the driver of a GPU has of the same memory before it works, where the GPU has none of its own: no part of the plan.
    driver: Option<u64>,
    /// What the machine has left of the memory that the device takes, where that is known.
    free: Option<FreeMemory>,
    /// T of the longest batch.
    steps: usize,
    /// Rows of a batch, and of them at once.
    pub(crate) batch: usize,
    pub(crate) rows: usize,
    recompute: bool,
    pub(crate) budget: Option<Budget>,
    /// The most rows that fit at once into the budget.
    pub(crate) largest: Option<usize>,
}

/// What the program takes beside the network, where the device has no memory of its own.
#[derive(Clone, Copy, Debug, Default)]
struct Host {
    /// What it has when it plans: itself, and its data.
    program: u64,
    /// A batch as it is handed over, and the part of it that is done at once.
    batch: u64,
    /// Copies of the weights, and of what the optimizer keeps of them: what a checkpoint writes at once, the best ones, and
    /// those to go back to; and of what describes the model.
    copies: u64,
    /// What the network says of all that it is measured on.
    results: u64,
}

impl Host {
    fn parts(self) -> [(&'static str, u64); 4] {
        let Self { program, batch, copies, results } = self;
        [("program, data", program), ("batch", batch), ("copies", copies), ("results", results)]
    }

    fn total(self) -> u64 {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Planned {
    pub(crate) fn total(&self) -> u64 {
        self.memory.total() + self.host.total()
    }

    /// What is still to be taken, where it is more than there is, in words.
    pub(crate) fn shortage(&self) -> Option<String> {
        let (wanted, free) = (self.total() - self.host.program, self.free?);
        (wanted > free.bytes).then(|| format!("takes {} more than now, and there is {}", bytes(wanted), free.words()))
    }

    /// Refuses what the machine has no room for, before any of it is taken.
    pub(crate) fn check_free(&self) -> Result<()> {
        match self.shortage() {
            Some(words) => Err(Error::Failed(format!(
                "not enough memory: training {words}: take fewer hidden units, a shorter window, --recompute, a smaller \
                 --batch, or --memory, which does a batch in parts; `bptt plan` tells what takes how much"
            ))),
            None => Ok(()),
        }
    }

    /// Every part that takes any bytes.
    pub(crate) fn parts(&self) -> Vec<(&'static str, u64)> {
        let parts = self.memory.parts().map(|(part, bytes)| (part.name(), bytes));
        parts.chain(self.host.parts()).filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// T × B of what is on the device at once.
    pub(crate) fn shape(&self) -> String {
        format!("{} × {} steps", grouped(self.rows as u64), grouped(self.steps as u64))
    }

    /// A line of what is there whatever the batch, one of what is the batch's, and how it is cut.
    pub(crate) fn describe(&self) -> Vec<String> {
        let of = |of_batch: bool| {
            let parts = self.memory.parts().filter(|(part, bytes)| part.is_of_batch() == of_batch && *bytes > 0);
            let words: Vec<String> = parts.map(|(part, count)| format!("{} {}", part.name(), bytes(count))).collect();
            words.join(", ")
        };
        let host = self.host.total();
        let beside = if host > 0 { format!(", program, data and batch {}", bytes(host)) } else { String::new() };
        let mut lines = vec![format!("{}: {}{beside}", bytes(self.total()), of(false))];
        lines.push(format!("{}: {}", self.shape(), of(true)));
        lines.extend(self.describe_cuts());
        lines.extend(self.describe_driver());
        lines
    }

    /// What is taken of the same memory and is in no plan.
    pub(crate) fn describe_driver(&self) -> Option<String> {
        let driver = bytes(self.driver?);
        Some(format!("beside it the GPU's driver, which takes of the same memory: {driver} before the first step"))
    }

    /// What was beside the plan at most, where a driver takes of the same memory.
    pub(crate) fn describe_peak(&self) -> Option<String> {
        let most = Some(most_resident()).filter(|most| self.driver.is_some() && *most > 0)?;
        let beyond = bytes(most.saturating_sub(self.total()));
        Some(format!("{} at its peak, of which the GPU's driver and what it compiled are some {beyond}", bytes(most)))
    }

    /// How a batch is cut, and why.
    pub(crate) fn describe_cuts(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rows < self.batch {
            let parts = grouped(self.batch.div_ceil(self.rows) as u64);
            lines.push(format!(
                "a batch of {} in {parts} parts of {} rows, with the same result",
                self.batch, self.rows
            ));
        }
        if self.recompute {
            lines.push("recompute: each step goes forward twice, and keeps the states between chunks".into());
        }
        if let (Some(budget), Some(largest)) = (&self.budget, self.largest) {
            lines.push(format!("the largest batch at once is {}, in {}", grouped(largest as u64), budget.words));
        }
        lines
    }

    pub(crate) fn json(&self) -> Map<String, Value> {
        let parts: Map<String, Value> = MemoryPart::ALL
            .into_iter()
            .map(|part| (part.name().replace(' ', "_"), json!(self.memory.of(part))))
            .chain(self.host.parts().map(|(name, bytes)| (name.replace(", ", "_and_"), json!(bytes))))
            .collect();
        let value = json!({
            "steps": self.steps,
            "batch": self.batch,
            "micro_batch": self.rows,
            "recompute": self.recompute,
            "bytes": parts,
            "total_bytes": self.total(),
            "driver_bytes": self.driver,
            "budget_bytes": self.budget.as_ref().map(|budget| budget.bytes),
            "budget": self.budget.as_ref().map(|budget| budget.words.clone()),
            "largest_batch": self.largest,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Plans training, and fills in the batch and the rows at once that `--batch auto` and `--memory` leave open. With
/// `largest` the largest batch is told even without a budget. Nothing of what is planned is taken.
///
/// # Errors
/// Where not even one row fits, or not as many at once as was asked for.
pub(crate) fn settle(
    settings: &mut Settings,
    planner: &Planner<'_>,
    task: &dyn Task,
    largest: bool,
) -> Result<Planned, Failure> {
    let auto = settings.fits_batch();
    if auto && task.carries_state() {
        let reason = "--batch auto with --carry-state: the rows of a batch are the lanes in which the text is read, whose \
                      number changes what is learned; tell it with --batch";
        return Err(Failure::usage(unsupported(reason)));
    }
    let one = task.training(Order { rows: 1, buckets: settings.buckets, seed: settings.seed })?;
    let one = one.ok_or_else(|| unsupported("the split leaves nothing to train on"))?;
    let (examples, row) = (one.per_epoch().min(1 << 24) as usize, one.largest()?);
    let opened = planner.opened;
    // On the CPU path all is of one memory, and with a GPU that has none of its own.
    let (mut host, row_bytes) = match opened.shares_memory() {
        true => (
            Host {
                program: program(opened) + LATER,
                copies: copies(settings, planner.model) + DESCRIPTIONS * model_file::description_bytes(&task.codec()),
                ..Host::default()
            },
            batch_bytes(&row),
        ),
        false => (Host::default(), 0),
    };
    if opened.shares_memory() {
        host.results = task.results_bytes() + OF_STEP * settings.run.steps(one.per_epoch()).min(STEPS);
        check_program(settings, opened)?;
    }
    let beside = host.total();
    let budget = (largest || auto || settings.memory.is_some()).then(|| Budget::new(settings.memory, opened));
    let batch_shape = |rows, batch| BatchShape {
        rows,
        carried: if task.carries_state() { batch } else { 0 },
        shapes: SHAPES,
        // Who is measured on longer sequences takes as much for them.
        steps: row.sequence.shape().0.max(task.longest_measured()),
        ..row.sequence.batch_shape()
    };
    // A batch is there once; of one that is done in parts each part too.
    let fitting = |budget: &Budget, batch: Option<usize>| {
        let whole = batch.map_or(0, |batch| batch as u64 * row_bytes);
        let left = left(budget, opened, beside + whole);
        let most = batch.unwrap_or(examples);
        let found = planner.largest_rows(batch_shape(most, most), left, most, row_bytes);
        found.map_err(|error| too_small(error, opened, budget, beside + whole))
    };
    let at_once = budget.as_ref().map(|budget| fitting(budget, None));
    if let (true, Some(found)) = (auto, &at_once) {
        let rows = match found {
            Ok(rows) if *rows > EVEN => rows - rows % EVEN,
            Ok(rows) => *rows,
            Err(error) => return Err(Failure::usage(unsupported(error.to_string()))),
        };
        settings.set_batch(rows, rows);
    } else if let (Some(budget), None, Some(_)) = (&budget, settings.micro_batch, settings.memory) {
        let batch = settings.batch.min(examples);
        let rows = match &at_once {
            // The whole batch.
            Some(Ok(largest)) if *largest >= batch => batch,
            _ => evenly(batch, fitting(budget, Some(batch)).map_err(Failure::usage)?),
        };
        settings.set_batch(settings.batch, rows);
    }
    let batch = settings.batch.min(examples);
    let rows = settings.micro_batch.unwrap_or(batch).min(batch);
    let memory = planner.plan(batch_shape(rows, batch))?;
    host.batch = row_bytes * (batch + if rows < batch { rows } else { 0 }) as u64;
    let free = if opened.shares_memory() { FreeMemory::now() } else { None };
    let planned = Planned {
        memory,
        host,
        driver: (opened.shares_memory() && !opened.is_cpu()).then_some(opened.driver),
        free,
        steps: batch_shape(rows, batch).steps,
        batch,
        rows,
        recompute: settings.recompute,
        largest: at_once.and_then(Result::ok),
        budget,
    };
    // What the program takes beside differs by little from run to run, which must not refuse one that is repeated.
    match (settings.memory, planned.total() - host.program) {
        (Some(most), total) if total > most => Err(Failure::usage(unsupported(format!(
            "--micro-batch {rows} takes {}, over --memory {}: take fewer rows, or leave it to --memory",
            bytes(total),
            Bytes(most)
        )))),
        _ => Ok(planned),
    }
}

/// The copies of the weights that a run holds beside its network's own, in f32: what a checkpoint writes at once, and those
/// that its settings ask for.
fn copies(settings: &Settings, model: &Model) -> u64 {
    let weights = 4 * model_file::parameters(model);
    let of_state = 1 + settings.optimizer.kind.state_blocks() as u64;
    let best = u64::from(settings.run.keep == KeepWeights::Best);
    let back = if settings.run.max_rollbacks > 0 { of_state } else { 0 };
    // A checkpoint that a run goes on from is taken apart as it goes into the network, before there is anything else of it.
    weights * (1 + best + back)
}

/// What the program itself and its data have, without the driver of a GPU.
fn program(opened: &Opened) -> u64 {
    resident().saturating_sub(opened.driver)
}

/// Refuses a budget below what the largest of the files has, before it is read: on the CPU path it is held as a whole.
pub(crate) fn check_files(settings: &mut Settings) -> Result<(), Failure> {
    let Some(told) = settings.memory.filter(|_| settings.device.eq_ignore_ascii_case("cpu")) else { return Ok(()) };
    match settings.largest_file() {
        Some((path, length)) if length.saturating_add(resident()) > told => Err(Failure::usage(unsupported(format!(
            "to read {} takes the {} that it has and {} of the program itself, and there is {} (--memory): allow \
                 more, or take less data",
            path_text(&path),
            bytes(length),
            bytes(resident()),
            bytes(told)
        )))),
        _ => Ok(()),
    }
}

/// Refuses a budget below what reading the data took.
fn check_program(settings: &Settings, opened: &Opened) -> Result<(), Failure> {
    match (settings.memory, most_resident().saturating_sub(opened.driver)) {
        (Some(told), most) if most > told => Err(Failure::usage(unsupported(format!(
            "the program itself with its data takes {} before it trains, and there is {} (--memory): allow more, or take \
             less data",
            bytes(most),
            bytes(told)
        )))),
        _ => Ok(()),
    }
}

/// The most rows at once of a batch that is there already, with which training stays within a budget.
///
/// # Errors
/// Where not even one row fits.
pub(crate) fn rows_at_once(planner: &Planner<'_>, batch: &Batch, told: u64) -> Result<usize> {
    let opened = planner.opened;
    let budget = Budget::new(Some(told), opened);
    let (rows, bytes) = (batch.sequence.shape().1, batch_bytes(batch));
    // A whole batch goes as it is; of one that is done in parts each part is there beside it.
    let shared = opened.shares_memory();
    let (beside, row_bytes) = if shared { (program(opened), bytes.div_ceil(rows as u64)) } else { (0, 0) };
    let (left, batch_shape) = (left(&budget, opened, beside), batch.sequence.batch_shape());
    let whole = planner.plan(batch_shape).is_ok_and(|planned| planned.total() <= left);
    if whole {
        return Ok(rows);
    }
    let found = planner.largest_rows(batch_shape, left, rows, row_bytes);
    found.map(|most| evenly(rows, most)).map_err(|error| too_small(error, opened, &budget, beside))
}

/// The rows of each part where a batch is cut into as few as `most` rows at once allow: as alike as they can be, since each
/// size is planned for itself.
fn evenly(batch: usize, most: usize) -> usize {
    batch.div_ceil(batch.div_ceil(most)).next_multiple_of(EVEN).min(most)
}

/// What a budget leaves beside so many bytes. What threads and products take for a while is in no plan: on the CPU path a
/// [`MARGIN`]th is left for it.
fn left(budget: &Budget, opened: &Opened, beside: u64) -> u64 {
    let margin = if opened.is_cpu() { budget.bytes / MARGIN } else { 0 };
    budget.bytes.saturating_sub(margin + beside)
}

/// The least budget that leaves so many bytes beside others, in whole MiB so that it can be typed.
fn enough(needed: u64, opened: &Opened, beside: u64) -> String {
    let all = needed.saturating_add(beside);
    let all = if opened.is_cpu() { all.saturating_add(all / (MARGIN - 1)) } else { all };
    // What the program itself takes differs by some pages from one time to the next.
    format!("{}MiB", all.saturating_add(1 << 20).div_ceil(1 << 20))
}

/// That not even one row fits, in words of the program, which takes so many bytes beside the network.
fn too_small(error: Error, opened: &Opened, budget: &Budget, beside: u64) -> Error {
    match error {
        // No network is small enough then.
        Error::Limit { .. } if beside >= budget.bytes => unsupported(format!(
            "the program itself with its data, a batch and copies of the weights takes {}, and there is {}: allow more, or \
             take fewer hidden units or a smaller --batch",
            bytes(beside),
            budget.words
        )),
        Error::Limit { bytes: needed, .. } => unsupported(format!(
            "training one sequence at a time takes {} beside the {} of the program and its batch, and there is {}: \
             --memory {} is enough, or take fewer hidden units, a shorter window, or --recompute",
            bytes(needed),
            bytes(beside),
            budget.words,
            enough(needed, opened, beside)
        )),
        other => other,
    }
}

/// What a batch takes before a network reads it.
fn batch_bytes(batch: &Batch) -> u64 {
    let numbers = match &batch.sequence.input {
        Input::Dense(x) => x.len(),
        Input::Tokens(tokens) => tokens.len(),
    };
    let targets = match &batch.targets {
        Targets::Values(values) => values.len(),
        Targets::Classes(classes) => classes.len(),
    };
    let weights = batch.weights.as_ref().map_or(0, |weights| weights.len());
    // A row alone comes without, and beside shorter ones with them.
    let lengths = batch.sequence.shape().1 * size_of::<usize>();
    let resets = batch.sequence.resets.as_ref().map_or(0, |resets| resets.len());
    (4 * (numbers + targets + weights) + lengths + resets) as u64
}

#[cfg(test)]
mod tests {
    use super::evenly;

    #[test]
    fn a_batch_is_cut_into_as_few_parts_as_fit_and_these_are_alike() {
        assert_eq!(evenly(4096, 2370), 2048);
        assert_eq!(evenly(100, 40), 40);
        assert_eq!(evenly(100, 60), 56);
        assert_eq!(evenly(10, 3), 3);
        assert_eq!(evenly(64, 64), 64);
    }
}
