//! The program from outside, as the tests of the program run it.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// `bptt` in `folder`, with arguments that have no spaces in them.
pub fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bptt"));
    command.current_dir(folder).args(arguments.split_whitespace());
    command
}

/// Runs it.
pub fn bptt(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments).output().unwrap()
}

/// Runs it with `input` as its standard input.
pub fn fed(folder: &Path, arguments: &str, input: &[u8]) -> Output {
    let mut command = command(folder, arguments);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // What is refused is not read to its end.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// Runs what must succeed; returns what it says.
#[track_caller]
pub fn succeeds(folder: &Path, arguments: &str) -> String {
    let output = bptt(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same of what says it in JSON.
#[track_caller]
pub fn json(folder: &Path, arguments: &str) -> Value {
    serde_json::from_str(&succeeds(folder, arguments)).unwrap()
}

/// A run of a few steps that must succeed, in the folder `out`.
#[track_caller]
pub fn train(folder: &Path, out: &str, arguments: &str) -> String {
    succeeds(folder, &format!("train --device cpu --out {out} {arguments}"))
}

/// A text file.
#[track_caller]
pub fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// Runs what must be refused with `code`, and every one of `parts` in the message; nothing may come to exist.
#[track_caller]
pub fn refused(folder: &Path, arguments: &str, code: i32, parts: &[&str]) {
    let before = entries(folder);
    let output = bptt(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    assert!(stderr.starts_with("error: "), "{arguments}: {stderr}");
    parts.iter().for_each(|part| assert!(stderr.contains(part), "{arguments}: {part:?} is not in {stderr:?}"));
    assert_eq!(entries(folder), before, "{arguments}");
}

pub fn entries(folder: &Path) -> Vec<String> {
    let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
