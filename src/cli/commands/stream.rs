//! `bptt stream`.

use std::io::{BufReader, stdin};
use std::path::PathBuf;
use std::time::Instant;

use bptt::data::DecimalMark;
use bptt::experiment::config::RunConfig;
use bptt::experiment::device::open::DeviceOptions;
use bptt::experiment::files::folder::io_error;
use bptt::experiment::{Items, Latencies, Prediction, Stream};
use clap::builder::StyledStr;
use clap::{Arg, Args, ValueHint};

use super::model_args::open_model;
use crate::cli::args::{DECIMAL, Flags, one_of};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{TextOut, eprint_line, heading, json_line};
use crate::cli::terminal::profile_table;

#[derive(Args)]
pub(crate) struct StreamArgs {
    /// Folder of a run, or a model.safetensors
    #[arg(value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// Write JSON, an object a line [default: CSV]
    #[arg(long)]
    json: bool,
    /// Decimal mark of the lines: . or , [default: that of the training]
    #[arg(long, value_parser = one_of::<DecimalMark>(DECIMAL), hide_possible_values = true, value_name = "MARK")]
    decimal: Option<DecimalMark>,
    /// Print how long the predictions took, at the end
    ///
    /// From a line that is read to what it predicts, written, where it predicts anything; and each kernel or phase of the
    /// network.
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    on: Flags<RunConfig>,
}

/// The flag of the device with the default of this command.
pub(crate) fn by_default_the_cpu(device: Arg) -> Arg {
    let cpu = |help: Option<&StyledStr>| help.map(|help| help.to_string().replace("[default: auto]", "[default: cpu]"));
    let (short, long) = (cpu(device.get_help()), cpu(device.get_long_help()));
    device.help(short.unwrap_or_default()).long_help(long.unwrap_or_default())
}

/// Where predictions go, line by line.
struct Answers {
    out: TextOut,
    json: bool,
    /// Times from what was read to what it predicts, written.
    latencies: Latencies,
}

impl Answers {
    /// Writes a line. `false` if its reader is gone.
    fn put(&mut self, line: &str) -> bptt::Result<bool> {
        self.out.put(line.as_bytes()).map_err(io_error("standard output".as_ref()))
    }

    /// Writes the predictions of what was read at a moment, if there are any. `false` if their reader is gone.
    fn answer(&mut self, predictions: &[Prediction], columns: &[String], read: Instant) -> bptt::Result<bool> {
        for prediction in predictions {
            let line = if self.json { json_line(&prediction.to_json(columns)) + "\n" } else { prediction.to_csv()? };
            if !self.put(&line)? {
                return Ok(false);
            }
        }
        if !predictions.is_empty() {
            self.latencies.add(read.elapsed());
        }
        Ok(true)
    }
}

pub(crate) async fn stream(args: &StreamArgs) -> Result<(), Failure> {
    let model = open_model(&args.run)?;
    // One row a step is too little for a GPU: the way there and back takes longer than the step.
    let on = RunConfig { device: args.on.0.device.clone().or(Some("cpu".into())), ..args.on.0.clone() };
    let profile = args.profile;
    let mut network = model.network(&DeviceOptions { profile, ..DeviceOptions::from(&on) }).await?;
    if profile {
        network.set_profile(true)?;
    }
    let mut stream = model.stream(&mut network, args.decimal)?;
    let mut answers = Answers { out: TextOut::new(), json: args.json, latencies: Latencies::default() };
    let items = read(&mut stream, &mut answers).await;
    // What was read before an error counts.
    stream.unknown().iter().for_each(eprint_line);
    let items = items?;
    if profile {
        eprint_line(heading("latency", &answers.latencies.line()));
        let profile = network.profile().await?;
        let is_cpu = on.device.as_deref() == Some("cpu");
        profile_table::table(&profile_table::rows(&profile, items.max(1) as f64), is_cpu).iter().for_each(eprint_line);
    }
    Ok(())
}

/// Reads standard input to its end, or until nobody reads the predictions. Returns the number of items.
async fn read(stream: &mut Stream<'_>, answers: &mut Answers) -> Result<u64, Failure> {
    let [what, then] = stream.words();
    eprint_line(heading("reads", what));
    eprint_line(heading("predicts", then));
    let mut goes_on = answers.json || answers.put(&stream.header()?)?;
    let mut items = Items::new(BufReader::new(stdin().lock()), stream.item());
    let mut count = 0;
    while goes_on {
        let Some(item) = items.read()? else { break };
        let now = Instant::now();
        let predictions = stream.read(item).await?;
        stream.note().iter().for_each(eprint_line);
        goes_on = answers.answer(&predictions, stream.columns(), now)?;
        count += 1;
    }
    if goes_on {
        let now = Instant::now();
        let predictions = stream.end().await?;
        answers.answer(&predictions, stream.columns(), now)?;
    }
    Ok(count)
}
