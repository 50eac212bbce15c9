//! `bptt predict`.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use bptt::Error;
use clap::Args;

use super::Failure;
use super::apply::{Applied, ApplyArgs};
use super::folder::io_error;

#[derive(Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    apply: ApplyArgs,
    /// Where to write the comma-separated text; an existing file is left alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn predict(args: &PredictArgs) -> Result<(), Failure> {
    if let Some(path) = args.out.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        let message = format!("--out {}: expected a file that does not exist yet", path.display());
        return Err(Failure::usage(Error::Unsupported(message)));
    }
    let Applied { task, mut network, rows, .. } = Applied::open(&args.apply)?;
    // Whole before a byte of it is written, so that no error leaves half a file.
    let mut text = Vec::new();
    task.predictions(network.as_mut(), rows, &mut text)?;
    let Some(path) = &args.out else {
        return match io::stdout().write_all(&text) {
            // A reader that went away, as `head` does, had enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(io_error("standard output".as_ref())(error).into())
            }
            _ => Ok(()),
        };
    };
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(io_error(path))?;
    let mut file = BufWriter::new(file);
    file.write_all(&text).and_then(|()| file.flush()).map_err(io_error(path))?;
    Ok(())
}
