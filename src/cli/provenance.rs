//! When, where and how a result was computed, for the report and for JSON.

use std::path::Path;
use std::process::Command;

use bptt::VERSION;
use bptt::format::shell_quoted;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// What is known at the end of a command, by name.
pub(crate) fn provenance() -> [(&'static str, String); 4] {
    [("date", date()), ("host", host()), ("version", VERSION.into()), ("command", command())]
}

/// The same for the JSON summary.
pub(crate) fn to_json() -> Map<String, Value> {
    provenance().into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// In UTC, to the second.
fn date() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The host name.
fn host() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let asked = || Some(String::from_utf8_lossy(&Command::new("hostname").output().ok()?.stdout).into_owned());
    let name = text.or_else(asked).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".into())
}

/// As typed, with the quotes that a shell needs.
fn command() -> String {
    let words = std::env::args_os().skip(1).map(|word| shell_quoted(Path::new(&word)));
    std::iter::once("bptt".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
