//! `bptt sample`.

use std::path::PathBuf;

use bptt::experiment::config::{COUNT, RunConfig, SIZE};
use bptt::experiment::device::open::DeviceOptions;
use bptt::experiment::files::folder::io_error;
use bptt::train::Sampling;
use clap::{Args, ValueHint};

use super::model_args::open_model;
use crate::cli::args::{Flags, at_least_0, whole};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{TextOut, eprint_line};

#[derive(Args)]
pub(crate) struct SampleArgs {
    /// Folder of a run, or a model.safetensors, of a text
    #[arg(value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// Text to continue [default: the start of a line]
    ///
    /// An empty text is the start of a line too.
    #[arg(long, value_name = "TEXT")]
    prime: Option<String>,
    /// Number of characters
    #[arg(long, value_parser = whole::<1, COUNT>, value_name = "N", default_value = "500")]
    length: usize,
    /// Sampling temperature
    ///
    /// 1 samples from the network's probabilities. Lower temperatures favour the most probable characters, and 0 always
    /// takes the most probable one.
    #[arg(long, value_parser = at_least_0, value_name = "T", default_value = "0.8")]
    temperature: f64,
    /// Sample from the K most probable characters
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "K")]
    top_k: Option<usize>,
    /// Sample from the top characters of total probability P
    #[arg(long, value_parser = nucleus, value_name = "P")]
    top_p: Option<f64>,
    #[command(flatten)]
    on: Flags<RunConfig>,
}

pub(crate) async fn sample(args: &SampleArgs) -> Result<(), Failure> {
    let sampling = Sampling::default().temperature(args.temperature).top_k(args.top_k).top_p(args.top_p);
    sampling.validate()?;
    let model = open_model(&args.run)?;
    let prompt = model.prompt(args.prime.as_deref())?;
    prompt.note.iter().for_each(eprint_line);
    let mut out = TextOut::new();
    let mut put = |bytes: &[u8]| out.put(bytes).map_err(io_error("standard output".as_ref()));
    if !put(args.prime.as_deref().unwrap_or_default().as_bytes())? {
        return Ok(());
    }
    // A software driver would be slower for such small steps: `auto` takes a GPU if there is one.
    let device = DeviceOptions::from(&args.on.0);
    let mut ends_line = false;
    let mut each = |bytes: &[u8]| {
        ends_line = bytes == b"\n";
        put(bytes)
    };
    model.sample(&device, &prompt, args.length, (sampling, args.on.0.seed.unwrap_or(1)), &mut each).await?;
    // A shell prompt should start on a new line.
    if !ends_line {
        put(b"\n")?;
    }
    Ok(())
}

fn nucleus(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    number.ok_or_else(|| "expected a number above 0 and at most 1".into())
}
