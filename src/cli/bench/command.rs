//! `bptt bench`.

use std::path::PathBuf;
use std::time::Instant;

use bptt::experiment::config::{Bytes, CellName, THREADS};
use bptt::experiment::network::Network;
use bptt::{EngineOptions, Error, Optimizer, RecurrentKernel, Result, TrainerOptions};
use clap::Args;
use serde_json::{Map, Value, json};

use super::basics::basics;
use super::compare::Earlier;
use super::fields::{Fields, median, round};
use super::profile::profile;
use super::sweep::{Doublings, sweep};
use super::work::{MOST, Size, Sizes, Work};
use crate::cli::args::{at_least_0, cell, kernel, whole};
use crate::cli::device::free_memory::{most_resident, resident};
use crate::cli::device::opened::Opened;
use crate::cli::device::{memory, opened};
use crate::cli::exit::Failure;
use crate::cli::new_file;
use crate::cli::terminal::printed::{note, say_json};

/// The most steps or samples of a kind: hours of the smallest network.
const REPEATS: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// The recurrent cell
    #[arg(long, value_parser = cell(), value_name = "CELL", required_unless_present = "basics")]
    cell: Option<CellName>,
    /// The sizes of batch and network
    #[arg(long, value_enum, ignore_case = true, required_unless_present = "basics")]
    size: Option<Size>,
    /// B in place of the size's
    #[arg(long, value_name = "ROWS", value_parser = whole::<1, MOST>)]
    batch: Option<usize>,
    /// T in place of the size's
    #[arg(long, value_name = "STEPS", value_parser = whole::<1, MOST>)]
    steps: Option<usize>,
    /// I in place of the size's: numbers a step, or different tokens
    #[arg(long, value_name = "N", value_parser = whole::<1, MOST>)]
    input: Option<usize>,
    /// H in place of the size's
    #[arg(long, value_name = "UNITS", value_parser = whole::<1, MOST>)]
    hidden: Option<usize>,
    /// O in place of the size's
    #[arg(long, value_name = "N", value_parser = whole::<1, MOST>)]
    outputs: Option<usize>,
    /// Batches from one size to another, each twice the one before, and a line of JSON for each
    #[arg(long, value_name = "B..B", value_parser = Doublings::parse, conflicts_with = "batch")]
    pub(crate) sweep: Option<Doublings>,
    /// Draw how many sequences a second each batch of --sweep comes to, beside those of the same network in --compare
    #[arg(long, value_name = "FILE.svg", requires = "sweep")]
    pub(crate) svg: Option<PathBuf>,
    /// The most memory that training takes, as in 2GiB: larger batches go in parts, as with bptt train --memory
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    memory: Option<Bytes>,
    /// Where it runs: auto, gpu, cpu, or a GPU by its index, its line or a part of its name in `bptt devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// Threads of the CPU path; 0: all cores
    #[arg(long, value_name = "N", value_parser = whole::<0, THREADS>, default_value = "0")]
    threads: usize,
    /// Tell which kernels or phases the time goes to, in further steps that are not timed otherwise
    #[arg(long)]
    profile: bool,
    /// Earlier lines of this command: tell what got slower or faster
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Measure the device itself: matrix products, and what a dispatch costs
    #[arg(long, conflicts_with_all = ["cell", "size", "sweep", "compare", "profile", "memory"])]
    basics: bool,
    /// How a GPU takes the recurrent steps
    #[arg(long, value_parser = kernel(), default_value = "auto")]
    kernel: RecurrentKernel,
    /// Seconds to time, once there are --min-reps samples
    #[arg(long, value_parser = at_least_0, default_value = "4")]
    seconds: f64,
    /// Steps before the timing begins
    #[arg(long, value_name = "N", value_parser = whole::<0, REPEATS>, default_value = "2")]
    warmup: usize,
    /// Seconds before the timing begins
    #[arg(long, value_name = "SECONDS", value_parser = at_least_0, default_value = "0.5")]
    warmup_s: f64,
    /// The fewest samples
    #[arg(long, value_name = "N", value_parser = whole::<1, REPEATS>, default_value = "5")]
    min_reps: usize,
    /// The most samples, unless --min-reps asks for more
    #[arg(long, value_name = "N", value_parser = whole::<1, REPEATS>, default_value = "400")]
    max_reps: usize,
    /// Steps a sample, after which the device is waited for
    #[arg(long, value_name = "N", value_parser = whole::<1, REPEATS>, default_value = "1")]
    sync_every: usize,
    /// The learning rate of plain gradient descent; 2 makes the losses tell wrong gradients
    #[arg(long, value_name = "RATE", value_parser = at_least_0, default_value = "0.01")]
    lr: f64,
    /// Steps whose losses are reported; they are not timed
    #[arg(long, value_name = "N", value_parser = whole::<0, REPEATS>, default_value = "5")]
    check_steps: usize,
}

/// What the machine was doing before there was anything of the work.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    load: f64,
    resident: f64,
}

pub(crate) fn bench(args: &BenchArgs) -> Result<(), Failure> {
    new_file::check_picture("--svg", args.svg.as_deref())?;
    let machine = Machine { load: load(), resident: mebibytes(resident()) };
    let opened = opened::open_for(&args.device, (args.threads > 0).then_some(args.threads), args.kernel, args.profile)?;
    let (Some(cell), Some(size)) = (args.cell, args.size) else {
        print(&basics(&opened, args.seconds)?);
        return Ok(());
    };
    let Sizes { rows, steps, inputs, hidden, outputs, tokens } = size.sizes();
    let sizes = Sizes {
        rows: args.batch.unwrap_or(rows),
        steps: args.steps.unwrap_or(steps),
        inputs: args.input.unwrap_or(inputs),
        hidden: args.hidden.unwrap_or(hidden),
        outputs: args.outputs.unwrap_or(outputs),
        tokens,
    };
    let earlier = args.compare.as_deref().map(Earlier::read).transpose()?;
    let run = |rows: usize| {
        let fields = args.measure(&opened, (cell, size), Sizes { rows, ..sizes }, machine)?;
        print(&fields);
        let line: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match earlier.as_ref().map(|earlier| earlier.compare(&line)) {
            Some(Some(words)) => note(words),
            // A sweep may be drawn beside other devices, of which there is nothing to tell.
            Some(None) if args.sweep.is_none() => note("--compare has no line of this work on this device"),
            _ => {}
        }
        let losses = line["losses"].as_array().map(Vec::as_slice).unwrap_or_default();
        match losses.iter().find(|loss| !loss.as_f64().is_some_and(f64::is_finite)) {
            Some(loss) => Err(Error::Failed(format!("a loss of the first steps is {loss}")).into()),
            None => Ok(line),
        }
    };
    match &args.sweep {
        Some(doublings) => sweep(*doublings, args.svg.as_deref(), earlier.as_ref(), run),
        None => run(sizes.rows).map(|_| ()),
    }
}

impl BenchArgs {
    fn measure(
        &self,
        opened: &Opened,
        (cell, size): (CellName, Size),
        sizes: Sizes,
        machine: Machine,
    ) -> Result<Fields, Failure> {
        sizes.check().map_err(Failure::usage)?;
        // The peak is of this batch, not of one before.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let work = Work::new(cell, sizes);
        let optimizer = Optimizer::sgd(self.lr);
        let options = EngineOptions { optimizer: Some(optimizer.kind), ..EngineOptions::default() };
        let planner = opened.planner(&work.model, options, false)?;
        let rows = match self.memory {
            Some(Bytes(most)) => memory::rows_at_once(&planner, &work.batch, most).map_err(Failure::usage)?,
            None => sizes.rows,
        };
        let micro_batch = (rows < sizes.rows).then_some(rows);
        let options = TrainerOptions { micro_batch, ..TrainerOptions::default() };
        let mut network = opened.network(&work.model, optimizer, 0, options)?;
        let network = network.as_mut();
        network.load_state_dict(&work.weights)?;
        let mut losses = Vec::new();
        let checking = Instant::now();
        for _ in 0..self.check_steps {
            network.step(&work.batch)?;
            losses.extend(network.wait()?.map(|loss| (loss * 1e6).round() / 1e6));
        }
        let check_s = checking.elapsed().as_secs_f64();
        network.load_state_dict(&work.weights)?;

        let (warming, mut warmup) = (Instant::now(), 0);
        while warmup < self.warmup || warming.elapsed().as_secs_f64() < self.warmup_s {
            network.step(&work.batch)?;
            network.wait()?;
            warmup += 1;
        }
        let (samples, cpu_ms) = self.time(network, &work)?;
        let count = samples.len();
        let median = median(&samples);
        let elements = (sizes.steps * sizes.rows) as f64;
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let peak = mebibytes(most_resident());
        let mut fields = vec![
            ("peer", json!("bptt")),
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("cell", json!(cell)),
            ("size", json!(size)),
            ("batch", json!(sizes.rows)),
            ("steps", json!(sizes.steps)),
            ("input", json!(sizes.inputs)),
            ("hidden", json!(sizes.hidden)),
            ("outputs", json!(sizes.outputs)),
            ("micro_batch", json!(rows)),
            ("steps_per_s", round(1e3 / median, 3)),
            ("sequences_per_s", round(sizes.rows as f64 * 1e3 / median, 2)),
            ("elems_per_s", round(elements * 1e3 / median, 1)),
            ("ms_median", round(median, 4)),
            ("ms_min", round(samples[0], 4)),
            ("ms_p90", round(samples[(0.9 * (count - 1) as f64) as usize], 4)),
            ("cpu_ms", round(cpu_ms, 4)),
            ("reps", json!(count)),
            ("sync_every", json!(self.sync_every)),
            ("gflops", round(work.operations / median / 1e6, 2)),
            ("peak_rss_mb", round(peak, 1)),
            ("base_rss_mb", round(machine.resident, 1)),
            ("losses", json!(losses)),
            ("load_before", json!(machine.load)),
            ("load_after", json!(load())),
            ("impl", json!("bptt")),
            ("device", json!(opened.name)),
            ("adapter", json!(opened.describe())),
            ("threads", json!(threads)),
            ("warmup", json!(warmup)),
            ("check_s", round(check_s, 2)),
            ("device_bytes", json!(network.bytes())),
        ];
        if self.profile {
            fields.push(("profile", profile(network, &work.batch, self.min_reps, median, opened.is_cpu())?));
        }
        Ok(fields)
    }

    /// Milliseconds a step of each sample, sorted, and what all threads ran for one.
    fn time(&self, network: &mut dyn Network, work: &Work) -> Result<(Vec<f64>, f64)> {
        let mut samples = Vec::new();
        let (timing, cpu) = (Instant::now(), cpu_seconds());
        while samples.len() < self.min_reps
            || (timing.elapsed().as_secs_f64() < self.seconds && samples.len() < self.max_reps)
        {
            let sample = Instant::now();
            for _ in 0..self.sync_every {
                network.step(&work.batch)?;
            }
            network.wait()?;
            samples.push(sample.elapsed().as_secs_f64() * 1e3 / self.sync_every as f64);
        }
        let cpu_ms = (cpu_seconds() - cpu) * 1e3 / (samples.len() * self.sync_every) as f64;
        samples.sort_by(f64::total_cmp);
        Ok((samples, cpu_ms))
    }
}

/// Prints a line of JSON.
fn print(fields: &Fields) {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    say_json(format!("{{{}}}", fields.join(", ")));
}

/// The mean number of running processes over a minute; −1 where the system does not tell.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(-1.0)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Seconds that all threads of this process have run; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let nanoseconds = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(|thread| nanoseconds(thread.path())).sum::<f64>() / 1e9
}
