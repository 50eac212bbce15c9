//! Ctrl-C and SIGTERM: the first signal is a request, the second ends the process at once. SIGUSR1 asks for a checkpoint, as
//! schedulers do before they end a job. SIGHUP keeps its setting: a
//! run under `nohup` outlives its terminal.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bptt::{Error, Result};
use signal_hook::consts::{SIGABRT, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::exit;

/// Whether a signal was received, and which.
#[derive(Default)]
struct Asked {
    asked: Arc<AtomicBool>,
    by: Arc<AtomicUsize>,
    /// Whether SIGUSR1 was received since this was last asked.
    to_save: Arc<AtomicBool>,
}

static ASKED: OnceLock<Asked> = OnceLock::new();

/// From now on the first signal only sets a flag, which [`asked`] returns.
pub(crate) fn listen() -> Result<()> {
    let state = ASKED.get_or_init(Asked::default);
    let Asked { asked, by, .. } = state;
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&state.to_save))
        .map_err(|error| Error::Failed(format!("SIGUSR1: {error}")))?;
    for signal in [SIGINT, SIGTERM] {
        // In this order the first signal does not yet see its own flag. The status is the one that a shell reports.
        let armed = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(asked));
        armed
            .and_then(|_| flag::register_usize(signal, Arc::clone(by), signal as usize))
            .and_then(|_| flag::register(signal, Arc::clone(asked)))
            .map_err(|error| Error::Failed(format!("signal {signal}: {error}")))?;
    }
    Ok(())
}

/// From now on an abort ends the process like an error. Large allocations are checked in advance; if even small ones
/// fail, the standard library prints a message and aborts.
pub(crate) fn end_without_memory() {
    let always = Arc::new(AtomicBool::new(true));
    // If this fails, an abort stays an abort.
    let _ = flag::register_conditional_shutdown(SIGABRT, i32::from(exit::FAILED), always);
}

/// Whether a signal was received.
pub(crate) fn asked() -> bool {
    ASKED.get().is_some_and(|it| it.asked.load(Ordering::Relaxed))
}

/// Whether SIGUSR1 was received since the last call: a request for a checkpoint.
pub(crate) fn asked_to_save() -> bool {
    ASKED.get().is_some_and(|it| it.to_save.swap(false, Ordering::Relaxed))
}

/// The signal that was received.
pub(crate) fn signal() -> i32 {
    let by = ASKED.get().map_or(0, |it| it.by.load(Ordering::Relaxed));
    i32::try_from(by).ok().filter(|signal| *signal > 0).unwrap_or(SIGINT)
}
