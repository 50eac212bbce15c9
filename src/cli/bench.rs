//! `bptt bench`.

use std::time::Instant;

use bptt::{Error, Optimizer, RecurrentKernel, Result, TrainerOptions};
use clap::Args;
use serde_json::{Value, json};

use super::args::{CellName, THREADS, at_least_0, kernel, whole};
use super::bench_work::{Size, Work};
use super::device;

/// The most steps or samples of a kind: hours of the smallest network.
const REPEATS: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// The recurrent cell
    #[arg(long, value_enum)]
    cell: CellName,
    /// The sizes of batch and network
    #[arg(long, value_enum, ignore_case = true)]
    size: Size,
    /// Where it runs: auto, gpu, cpu, an index of `bptt devices`, or a part of a GPU's name
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// Threads of the CPU path; 0: all cores
    #[arg(long, value_name = "N", value_parser = whole::<0, THREADS>, default_value = "0")]
    threads: usize,
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

/// What the machine was doing, before and after.
struct Machine {
    load: f64,
    resident: f64,
}

pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    let machine = Machine { load: load(), resident: status("VmRSS:") };
    let opened = device::open(&args.device, (args.threads > 0).then_some(args.threads), args.kernel)?;
    let work = Work::new(args.cell, args.size);
    let mut network = opened.network(&work.model, Optimizer::sgd(args.lr), 0, TrainerOptions::default())?;
    network.load_state_dict(&work.weights)?;
    let mut losses = Vec::new();
    let checking = Instant::now();
    for _ in 0..args.check_steps {
        network.step(&work.batch)?;
        losses.extend(network.wait()?.map(|loss| (loss * 1e6).round() / 1e6));
    }
    let check_s = checking.elapsed().as_secs_f64();
    network.load_state_dict(&work.weights)?;

    let (warming, mut warmup) = (Instant::now(), 0);
    while warmup < args.warmup || warming.elapsed().as_secs_f64() < args.warmup_s {
        network.step(&work.batch)?;
        network.wait()?;
        warmup += 1;
    }
    let mut samples = Vec::new();
    let (timing, cpu) = (Instant::now(), cpu_seconds());
    while samples.len() < args.min_reps
        || (timing.elapsed().as_secs_f64() < args.seconds && samples.len() < args.max_reps)
    {
        let sample = Instant::now();
        for _ in 0..args.sync_every {
            network.step(&work.batch)?;
        }
        network.wait()?;
        samples.push(sample.elapsed().as_secs_f64() * 1e3 / args.sync_every as f64);
    }
    let cpu_ms = (cpu_seconds() - cpu) * 1e3 / (samples.len() * args.sync_every) as f64;
    samples.sort_by(f64::total_cmp);
    let count = samples.len();
    let median = (samples[(count - 1) / 2] + samples[count / 2]) / 2.0;
    let sizes = args.size.sizes();
    let elements = (sizes.steps * sizes.rows) as f64;
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    // The order is that of the programs that this is compared with, whence a list.
    let fields = [
        ("peer", json!("bptt")),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("cell", json!(args.cell)),
        ("size", json!(args.size)),
        ("steps_per_s", round(1e3 / median, 3)),
        ("elems_per_s", round(elements * 1e3 / median, 1)),
        ("ms_median", round(median, 4)),
        ("ms_min", round(samples[0], 4)),
        ("ms_p90", round(samples[(0.9 * (count - 1) as f64) as usize], 4)),
        ("cpu_ms", round(cpu_ms, 4)),
        ("reps", json!(count)),
        ("sync_every", json!(args.sync_every)),
        ("gflops", round(work.operations / median / 1e6, 2)),
        ("peak_rss_mb", round(status("VmHWM:"), 1)),
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
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    super::say(format!("{{{}}}", fields.join(", ")));
    match losses.iter().find(|loss| !loss.is_finite()) {
        Some(loss) => Err(Error::Unsupported(format!("a loss of the first steps is {loss}"))),
        None => Ok(()),
    }
}

fn round(value: f64, digits: i32) -> Value {
    let power = 10f64.powi(digits);
    json!((value * power).round() / power)
}

/// The mean number of running processes over a minute; −1 where the system does not tell.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(-1.0)
}

/// A size in MiB out of the system's own account of this process; 0 where there is none.
fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
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
