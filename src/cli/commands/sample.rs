//! `bptt sample`.

use std::path::PathBuf;

use bptt::data::Vocabulary;
use bptt::experiment::config::{COUNT, RunConfig, SIZE};
use bptt::experiment::device::open::{DeviceOptions, OpenDevice};
use bptt::experiment::files::folder::io_error;
use bptt::experiment::model::codec::Codec;
use bptt::experiment::setup::trained_network;
use bptt::experiment::tasks::generate::generate;
use bptt::format::{grouped, path_text};
use bptt::train::Sampling;
use bptt::{Error, Result};
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::apply::open_model;
use crate::cli::args::{Flags, at_least_0, whole};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{TextOut, note};

#[derive(Args)]
pub(crate) struct SampleArgs {
    /// A run's folder, or a model.safetensors alone, of a text
    run: PathBuf,
    /// The text to go on with; an empty one is the beginning of a line [default: the beginning of a line]
    #[arg(long, value_name = "TEXT")]
    prime: Option<String>,
    /// How many characters
    #[arg(long, value_parser = whole::<1, COUNT>, value_name = "N", default_value = "500")]
    length: usize,
    /// 1: as probable as the network says; less: the more probable the more often; 0: always the most probable
    #[arg(long, value_parser = at_least_0, value_name = "T", default_value = "0.8")]
    temperature: f64,
    /// Only among so many of the most probable
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "K")]
    top_k: Option<usize>,
    /// Only among the most probable whose probabilities add up to this
    #[arg(long, value_parser = nucleus, value_name = "P")]
    top_p: Option<f64>,
    #[command(flatten)]
    on: Flags<RunConfig>,
}

pub(crate) async fn sample(args: &SampleArgs) -> Result<(), Failure> {
    let sampling = Sampling { temperature: args.temperature, top_k: args.top_k, top_p: args.top_p };
    sampling.validate()?;
    let model = open_model(&args.run)?;
    let Codec::Text { vocabulary } = &model.codec else {
        let message = format!("sampling goes on with a text; {} is of {}", path_text(&model.path), model.codec.kind());
        return Err(Error::Unsupported(message).into());
    };
    if model.model.recurrent.bidirectional {
        let reason = "sampling goes forward, character by character; this network reads in two directions";
        return Err(Error::Unsupported(reason.into()).into());
    }
    let prime = match args.prime.as_deref().filter(|prime| !prime.is_empty()) {
        Some(prime) => {
            let prime = vocabulary.encode(prime);
            let unknown = prime.iter().filter(|id| Some(**id) == vocabulary.unknown()).count();
            if unknown > 0 {
                let count = grouped(unknown as u64);
                note(format!("note: {count} characters of --prime are unknown to the vocabulary"));
            }
            prime
        }
        None => beginning(vocabulary, args.prime.is_some()),
    };
    // Small as its steps are, a software driver would only be slower: `auto` takes a GPU where there is one.
    let name = args.on.0.device.clone().unwrap_or_else(|| "auto".into());
    let (threads, kernel) = (args.on.0.threads, args.on.0.kernel.unwrap_or_default());
    let device = OpenDevice::open(&DeviceOptions { name, threads, kernel, profile: false }).await?;
    let mut network = trained_network(&device, &model.model, &model.weights)?;
    let mut rng = ChaCha8Rng::seed_from_u64(args.on.0.seed.unwrap_or(1));
    let mut out = TextOut::new();
    let mut put = |bytes: &[u8]| out.put(bytes).map_err(io_error("standard output".as_ref()));
    if !put(args.prime.as_deref().unwrap_or_default().as_bytes())? {
        return Ok(());
    }
    let mut last = Vec::new();
    let mut each = |id| {
        last = vocabulary.decode(&[id])?;
        put(&last)
    };
    generate(&mut network, vocabulary, &prime, args.length, sampling, &mut rng, &mut each).await?;
    // A prompt is not to stand in the middle of a line.
    if last != b"\n" {
        put(b"\n")?;
    }
    Ok(())
}

/// What the network reads before the first character where there is no text to go on with: a line end or, where its text
/// had none, the character that stands for what it does not know. `asked`: an empty text was given.
fn beginning(vocabulary: &Vocabulary, asked: bool) -> Vec<u32> {
    let line = vocabulary.encode("\n");
    let known = line.iter().all(|id| Some(*id) != vocabulary.unknown());
    match (known, asked) {
        (true, true) => note("note: --prime is empty: the sample begins as a line does"),
        (true, false) => {}
        (false, _) => note(
            "note: nothing to go on with, and the text of the training has no line ends: the sample begins as after a \
             character that the network does not know",
        ),
    }
    line
}

fn nucleus(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    number.ok_or_else(|| "expected a number above 0 and at most 1".into())
}
