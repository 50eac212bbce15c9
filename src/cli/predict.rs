//! `bptt predict`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::apply::{Applied, ApplyArgs};
use super::kind::named;
use super::new_file;
use super::train::heading;

#[derive(Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    apply: ApplyArgs,
    /// Where to write the comma-separated text; an existing file is left alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn predict(args: &PredictArgs) -> Result<(), Failure> {
    new_file::check_table("--out", args.out.as_deref())?;
    let Applied { task, mut network, rows, .. } = Applied::open(&args.apply)?;
    // The run tells how its own data were read.
    if !named(&args.apply.data).is_empty() {
        for (index, line) in task.describe().iter().enumerate() {
            super::note(heading(if index == 0 { "data" } else { "" }, line));
        }
    }
    // Whole before a byte of it is written, so that no error leaves half a file.
    let mut text = Vec::new();
    task.predictions(network.as_mut(), rows, &mut text)?;
    let Some(path) = &args.out else {
        // What it could not take is told in the end.
        super::say_data(&String::from_utf8_lossy(&text));
        return Ok(());
    };
    Ok(new_file::write(path, &text)?)
}
