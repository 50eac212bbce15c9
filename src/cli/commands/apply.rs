//! `bptt apply`.

use std::path::PathBuf;

use bptt::data::{WavFormat, WavReader};
use bptt::experiment::apply::BLOCK;
use bptt::experiment::config::RunConfig;
use bptt::experiment::device::open::DeviceOptions;
use bptt::experiment::files::new_file;
use bptt::experiment::files::new_file::NewFile;
use clap::{Args, ValueHint};

use super::model_args::open_model;
use crate::cli::args::{Flags, sample_format};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{eprint_line, print_line};

#[derive(Args)]
pub(crate) struct ApplyArgs {
    /// Folder of a run, or a model.safetensors, of audio
    #[arg(value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// Sound that the network reads: .wav
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// New wav file for the sound that it makes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: PathBuf,
    /// Bits per sample: 16, 24, 32 or float [default: FILE's]
    #[arg(long, value_parser = sample_format, value_name = "BITS")]
    bits: Option<WavFormat>,
    #[command(flatten)]
    on: Flags<RunConfig>,
}

pub(crate) async fn apply(args: &ApplyArgs) -> Result<(), Failure> {
    new_file::check_sound("--out", &args.out)?;
    let model = open_model(&args.run)?;
    let mut from = WavReader::open(&args.file)?;
    model.check_sound(from.spec(), &args.file)?;
    let device = DeviceOptions::from(&args.on.0);
    // The file is written completely or not at all, and may be larger than memory.
    let mut file = NewFile::create(&args.out)?;
    let applied = model.apply_to_sound(&device, &mut from, &mut file, args.bits, BLOCK).await;
    let (written, applied) = match applied {
        Ok(applied) => (Ok(()), Some(applied)),
        Err(error) => (Err(error), None),
    };
    file.finish(written)?;
    if let Some(applied) = applied {
        applied.note().iter().for_each(eprint_line);
        print_line(applied.line());
    }
    Ok(())
}
