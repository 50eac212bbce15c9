//! Ctrl-C, and being asked to end: the first is a request, the second is obeyed at once.

use std::sync::atomic::{AtomicBool, Ordering};

use bptt::{Error, Result};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on the first signal only sets a mark, which [`asked`] tells of.
pub(crate) fn listen() -> Result<()> {
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) {
            // As a shell reports a program that an interrupt ended.
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Error::Unsupported(format!("Ctrl-C: {error}")))
}

/// Whether the end was asked for.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
