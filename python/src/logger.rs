//! What the library logs, as records of Python's `logging`, under the name `bptt`.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

struct Logger;

/// The level in Python's numbers.
fn level(level: Level) -> u8 {
    match level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug => 10,
        Level::Trace => 5,
    }
}

fn log(py: Python<'_>, level: u8, words: &str) -> PyResult<()> {
    let logger = py.import("logging")?.call_method1("getLogger", ("bptt",))?;
    logger.call_method1("log", (level, "%s", words))?;
    Ok(())
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("bptt")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // A handler that fails must not stop the computation.
        let _ = Python::try_attach(|py| log(py, level(record.level()), &record.args().to_string()));
    }

    fn flush(&self) {}
}

/// Passes the library's records on to Python.
pub(crate) fn listen() {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A warning, once for each text.
pub(crate) fn warn_once(py: Python<'_>, words: &str) -> PyResult<()> {
    let is_new = WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert(words.to_owned());
    if is_new { log(py, 30, words) } else { Ok(()) }
}
