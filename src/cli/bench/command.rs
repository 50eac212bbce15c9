//! `bptt bench`.

use std::path::PathBuf;

use bptt::Error;
use bptt::experiment::bench::basics::{Basics, ProductTime, measure_basics};
use bptt::experiment::bench::compare::{EarlierMeasurements, Measurement};
use bptt::experiment::bench::machine::load;
use bptt::experiment::bench::statistics::round;
use bptt::experiment::bench::sweep::{Doublings, picture};
use bptt::experiment::bench::timing::{Timing, TimingOptions, time_training};
use bptt::experiment::bench::workload::{MOST, Sizes, WorkloadSize};
use bptt::experiment::config::{Bytes, CellName, THREADS};
use bptt::experiment::device::free_memory::resident;
use bptt::experiment::device::open::{DeviceOptions, OpenDevice};
use bptt::experiment::files::new_file;
use bptt::{Precision, RecurrentKernel};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use serde_json::{Value, json};

use super::profile::{profile_json, profile_lines};
use super::sweep::table;
use crate::cli::args::{CELLS, KERNELS, PRECISIONS, at_least_0, one_of, whole};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{eprint_line, print_json};

/// Maximum number of steps or samples: hours with the smallest network.
const REPEATS: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Recurrent cell: rnn, lstm or gru
    #[arg(long, value_parser = one_of::<CellName>(CELLS), hide_possible_values = true, value_name = "CELL", required_unless_present = "basics")]
    cell: Option<CellName>,
    /// Sizes of batch and network: S, M, L or C
    #[arg(long, value_parser = size(), ignore_case = true, hide_possible_values = true, value_name = "SIZE", required_unless_present = "basics")]
    size: Option<WorkloadSize>,
    /// Batch size, instead of that of --size
    #[arg(long, value_name = "ROWS", value_parser = whole::<1, MOST>)]
    batch: Option<usize>,
    /// Number of time steps, instead of that of --size
    #[arg(long, value_name = "STEPS", value_parser = whole::<1, MOST>)]
    steps: Option<usize>,
    /// Number of inputs, instead of that of --size
    ///
    /// Numbers per step or, for C, different tokens.
    #[arg(long, value_name = "N", value_parser = whole::<1, MOST>)]
    input: Option<usize>,
    /// Number of hidden units, instead of that of --size
    #[arg(long, value_name = "UNITS", value_parser = whole::<1, MOST>)]
    hidden: Option<usize>,
    /// Number of outputs, instead of that of --size
    #[arg(long, value_name = "N", value_parser = whole::<1, MOST>)]
    outputs: Option<usize>,
    /// Batch sizes to time, as in 16..8192
    ///
    /// Each is twice the previous one and has its own line of JSON.
    #[arg(long, value_name = "B..B", value_parser = Doublings::parse, conflicts_with = "batch")]
    pub(crate) sweep: Option<Doublings>,
    /// New SVG file with the throughput of --sweep
    ///
    /// The lines of --compare of the same network are drawn beside it.
    #[arg(long, value_name = "FILE.svg", requires = "sweep", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
    /// Memory limit, as in 2GiB [default: none]
    ///
    /// A larger batch is computed in micro-batches, as with bptt train --memory.
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    memory: Option<Bytes>,
    /// auto, gpu, cpu or part of a GPU's name
    ///
    /// `bptt devices` lists names and indices; an index is accepted too.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// Number of CPU threads, 0: all cores
    #[arg(long, value_name = "N", value_parser = whole::<0, THREADS>, default_value = "0")]
    threads: usize,
    /// Print the time of each kernel or phase
    ///
    /// It is measured in additional steps.
    #[arg(long)]
    profile: bool,
    /// Compare with earlier lines of this command
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    compare: Option<PathBuf>,
    /// Time matrix products and dispatches of the device
    #[arg(long, conflicts_with_all = ["cell", "size", "sweep", "compare", "profile", "memory"])]
    basics: bool,
    /// GPU kernel: auto, sequence or step
    #[arg(long, value_parser = one_of::<RecurrentKernel>(KERNELS), hide_possible_values = true, default_value = "auto")]
    kernel: RecurrentKernel,
    /// How a GPU stores z and h: f32 or f16
    #[arg(long, value_parser = one_of::<Precision>(PRECISIONS), hide_possible_values = true, default_value = "f32")]
    precision: Precision,
    /// Seconds to time, beyond --min-reps samples
    #[arg(long, value_parser = at_least_0, default_value = "4")]
    seconds: f64,
    /// Steps of warmup
    #[arg(long, value_name = "N", value_parser = whole::<0, REPEATS>, default_value = "2")]
    warmup: usize,
    /// Seconds of warmup
    #[arg(long, value_name = "SECONDS", value_parser = at_least_0, default_value = "0.5")]
    warmup_s: f64,
    /// Minimum number of samples
    #[arg(long, value_name = "N", value_parser = whole::<1, REPEATS>, default_value = "5")]
    min_reps: usize,
    /// Maximum number of samples, unless --min-reps is larger
    #[arg(long, value_name = "N", value_parser = whole::<1, REPEATS>, default_value = "400")]
    max_reps: usize,
    /// Steps per sample, before a wait for the device
    #[arg(long, value_name = "N", value_parser = whole::<1, REPEATS>, default_value = "1")]
    sync_every: usize,
    /// Learning rate of plain gradient descent
    ///
    /// A rate of 2 makes wrong gradients visible in the losses.
    #[arg(long, value_name = "RATE", value_parser = at_least_0, default_value = "0.01")]
    lr: f64,
    /// Steps whose losses are reported, untimed
    #[arg(long, value_name = "N", value_parser = whole::<0, REPEATS>, default_value = "5")]
    check_steps: usize,
}

/// The help on the named sizes.
fn size() -> impl TypedValueParser<Value = WorkloadSize> {
    let values = WorkloadSize::ALL.map(|size| {
        let Sizes { rows, steps, inputs, hidden, outputs, tokens } = size.sizes();
        let inputs = if tokens { format!("{inputs} tokens") } else { format!("I {inputs}") };
        PossibleValue::new(size.name()).help(format!("B {rows}, T {steps}, {inputs}, H {hidden}, O {outputs}"))
    });
    PossibleValuesParser::new(values).try_map(|name| WorkloadSize::by_name(&name).ok_or("expected a size"))
}

/// The fields of a line of JSON, as a list: their order is that of the programs that this is compared with.
type Fields = Vec<(&'static str, Value)>;

/// The state of the machine before the work.
#[derive(Clone, Copy)]
struct Machine {
    load: f64,
    resident: f64,
}

pub(crate) async fn bench(args: &BenchArgs) -> Result<(), Failure> {
    new_file::check_picture("--svg", args.svg.as_deref())?;
    let machine = Machine { load: load(), resident: mebibytes(resident()) };
    let device = OpenDevice::open(&DeviceOptions {
        name: args.device.clone(),
        threads: (args.threads > 0).then_some(args.threads),
        kernel: args.kernel,
        precision: args.precision,
        profile: args.profile,
        place: None,
    })
    .await?;
    let (Some(cell), Some(size)) = (args.cell, args.size) else {
        print(&basics(&device, measure_basics(&device, args.seconds)?));
        return Ok(());
    };
    let earlier = args.compare.as_deref().map(EarlierMeasurements::read).transpose()?;
    let sizes = args.sizes(size.sizes());
    let batches = args.sweep.map_or(vec![sizes.rows], |doublings| doublings.batches().collect());
    let mut lines = Vec::new();
    for rows in batches {
        let sizes = Sizes { rows, ..sizes };
        let timing = time_training(&device, cell, sizes, &args.timing()).await?;
        let fields = args.fields(&device, (cell, size), sizes, machine, &timing);
        print(&fields);
        let line: Measurement = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match earlier.as_ref().map(|earlier| earlier.compare(&line)) {
            Some(Some(words)) => eprint_line(words),
            // A sweep may be plotted beside other devices, without a comparison.
            Some(None) if args.sweep.is_none() => eprint_line("--compare has no line of this workload on this device"),
            _ => {}
        }
        lines.push(line);
        if let Some(loss) = timing.losses.iter().find(|loss| !loss.is_finite()) {
            return Err(Error::Failed(format!("a loss of the first steps is {}", json!(loss))).into());
        }
    }
    let Some(doublings) = args.sweep else { return Ok(()) };
    table(&lines).into_iter().for_each(eprint_line);
    if let Some(path) = &args.svg {
        new_file::write(path, picture(doublings, &lines, earlier.as_ref()).file().as_bytes())?;
    }
    Ok(())
}

impl BenchArgs {
    /// The named size, with the sizes that flags override.
    fn sizes(&self, named: Sizes) -> Sizes {
        Sizes {
            rows: self.batch.unwrap_or(named.rows),
            steps: self.steps.unwrap_or(named.steps),
            inputs: self.input.unwrap_or(named.inputs),
            hidden: self.hidden.unwrap_or(named.hidden),
            outputs: self.outputs.unwrap_or(named.outputs),
            tokens: named.tokens,
        }
    }

    fn timing(&self) -> TimingOptions {
        TimingOptions {
            memory: self.memory.map(|memory| memory.0),
            learning_rate: self.lr,
            check_steps: self.check_steps,
            warmup: self.warmup,
            warmup_seconds: self.warmup_s,
            seconds: self.seconds,
            min_samples: self.min_reps,
            max_samples: self.max_reps,
            sync_every: self.sync_every,
            profile: self.profile,
        }
    }

    fn fields(
        &self,
        device: &OpenDevice,
        (cell, size): (CellName, WorkloadSize),
        sizes: Sizes,
        machine: Machine,
        timing: &Timing,
    ) -> Fields {
        let (samples, median) = (&timing.samples, timing.median());
        let count = samples.len();
        let elements = (sizes.steps * sizes.rows) as f64;
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let losses: Vec<Value> = timing.losses.iter().map(|loss| round(*loss, 6)).collect();
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
            ("micro_batch", json!(timing.rows)),
            ("steps_per_s", round(1e3 / median, 3)),
            ("sequences_per_s", round(sizes.rows as f64 * 1e3 / median, 2)),
            ("elems_per_s", round(elements * 1e3 / median, 1)),
            ("ms_median", round(median, 4)),
            ("ms_min", round(samples[0], 4)),
            ("ms_p90", round(samples[(0.9 * (count - 1) as f64) as usize], 4)),
            ("cpu_ms", round(timing.cpu_ms, 4)),
            ("reps", json!(count)),
            ("sync_every", json!(self.sync_every)),
            ("gflops", round(timing.gflops, 2)),
            ("peak_rss_mb", round(mebibytes(timing.peak_bytes), 1)),
            ("base_rss_mb", round(machine.resident, 1)),
            ("losses", json!(losses)),
            ("load_before", json!(machine.load)),
            ("load_after", json!(timing.load_after)),
            ("impl", json!("bptt")),
            ("device", json!(device.name)),
            ("adapter", json!(device.describe())),
            ("threads", json!(threads)),
            ("warmup", json!(timing.warmup)),
            ("check_s", round(timing.check_seconds, 2)),
            ("device_bytes", json!(timing.device_bytes)),
        ];
        if let Some(profile) = &timing.profile {
            profile_lines(profile, median, device.is_cpu()).into_iter().for_each(eprint_line);
            fields.push(("profile", profile_json(profile, device.is_cpu())));
        }
        fields
    }
}

/// Prints the basics of a device as text, and returns them for JSON.
fn basics(device: &OpenDevice, basics: Basics) -> Fields {
    let mut products = Vec::new();
    for ProductTime { sizes: [m, n, k], ms, gflops } in basics.products {
        eprint_line(format!("A · Bᵀ, {m} × {n} × {k}: {ms:.3} ms, {gflops:.0} GFLOP/s"));
        products.push(json!({"m": m, "n": n, "k": k, "ms": round(ms, 4), "gflops": round(gflops, 1)}));
    }
    if let Some(microseconds) = basics.dispatch_us {
        eprint_line(format!("a dependent dispatch: {microseconds:.2} µs"));
    }
    vec![
        ("peer", json!("bptt")),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("basics", json!(true)),
        ("device", json!(device.name)),
        ("adapter", json!(device.describe())),
        ("products", json!(products)),
        ("dispatch_us", basics.dispatch_us.map_or(Value::Null, |microseconds| round(microseconds, 3))),
    ]
}

/// Prints a line of JSON.
fn print(fields: &Fields) {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    print_json(format!("{{{}}}", fields.join(", ")));
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
