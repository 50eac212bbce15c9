//! `bptt predict`.

use std::io::Write;
use std::path::PathBuf;

use bptt::Error;
use bptt::experiment::files::folder::{io_error, unwritten};
use clap::Args;

use super::apply::{Applied, ApplyArgs};
use crate::cli::exit::Failure;
use crate::cli::new_file;
use crate::cli::spreadsheet::PlainFields;
use crate::cli::terminal::printed::{self, TextOut, heading, note};

#[derive(Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    apply: ApplyArgs,
    /// Where to write the comma-separated text; an existing file is left alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Put an apostrophe before labels that begin with =, +, - or @, which a spreadsheet would take for formulas
    #[arg(long)]
    spreadsheet: bool,
}

/// Writes the predictions, as plain text for a spreadsheet where that is asked for.
fn write(applied: &mut Applied, spreadsheet: bool, to: &mut dyn Write) -> Result<(), Error> {
    let Applied { task, network, rows, .. } = applied;
    if !spreadsheet {
        return task.predictions(network.as_mut(), *rows, to);
    }
    let mut fields = PlainFields::new(to);
    task.predictions(network.as_mut(), *rows, &mut fields)?;
    fields.finish().map_err(unwritten)
}

pub(crate) fn predict(args: &PredictArgs) -> Result<(), Failure> {
    new_file::check_table("--out", args.out.as_deref())?;
    let mut applied = Applied::open(&args.apply)?;
    // The run tells how its own data were read.
    if args.apply.data.file.is_some() {
        for (index, line) in applied.task.describe().iter().enumerate() {
            note(heading(if index == 0 { "data" } else { "" }, line));
        }
    }
    // A file is there whole or not at all, and may be larger than memory.
    if let Some(path) = &args.out {
        let in_it = |error| match error {
            Error::Io { source, .. } => io_error(path)(source),
            other => other,
        };
        return Ok(new_file::write_with(path, |file| write(&mut applied, args.spreadsheet, file).map_err(in_it))?);
    }
    // Line by line, since it may be larger than memory: who needs all of it or nothing takes --out.
    match write(&mut applied, args.spreadsheet, &mut TextOut::new()) {
        // Nothing else is written or read here.
        Err(Error::Io { source, .. }) => {
            printed::unwritten(source);
            Ok(())
        }
        written => Ok(written?),
    }
}
