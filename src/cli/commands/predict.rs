//! `bptt predict`.

use std::io::Write;
use std::path::PathBuf;

use bptt::Error;
use bptt::experiment::files::folder::unwritten;
use bptt::experiment::files::new_file;
use bptt::experiment::files::new_file::NewFile;
use bptt::experiment::files::spreadsheet::PlainFields;
use bptt::experiment::loaded_model::AppliedModel;
use clap::Args;

use super::model_args::ModelArgs;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{self, TextOut, eprint_line, headings};

#[derive(Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// New CSV file [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Quote labels that a spreadsheet reads as formulas
    ///
    /// They begin with =, +, - or @, and get an apostrophe before them.
    #[arg(long)]
    spreadsheet: bool,
}

/// Writes the predictions, optionally with text that a spreadsheet does not read as formulas.
async fn write(applied: &mut AppliedModel, spreadsheet: bool, to: &mut (dyn Write + Send)) -> Result<(), Error> {
    if !spreadsheet {
        return applied.predict(to).await;
    }
    let mut fields = PlainFields::new(to);
    applied.predict(&mut fields).await?;
    fields.finish().map_err(unwritten)
}

pub(crate) async fn predict(args: &PredictArgs) -> Result<(), Failure> {
    new_file::check_table("--out", args.out.as_deref())?;
    let mut applied = args.model.open().await?;
    // The report has the notes on the run's own data.
    if args.model.data.file.is_some() {
        headings("data", &applied.task.describe()).iter().for_each(eprint_line);
    }
    // The file is written completely or not at all, and may be larger than memory.
    if let Some(path) = &args.out {
        let mut file = NewFile::create(path)?;
        let written = write(&mut applied, args.spreadsheet, &mut file).await;
        return Ok(file.finish(written)?);
    }
    // Line by line, since it may be larger than memory: use --out for all or nothing.
    match write(&mut applied, args.spreadsheet, &mut TextOut::new()).await {
        // Nothing else is written or read here.
        Err(Error::Io { source, .. }) => {
            printed::keep_error(source);
            Ok(())
        }
        written => Ok(written?),
    }
}
