//! The C compiler of the machine, which Rust links with as well, and programs that run headers.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What every header must be compiled with, without a warning.
const STRICT: [&str; 5] = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"];

/// Compiles `main.c` with this text in `folder`, against the headers there.
#[track_caller]
pub fn compile(folder: &Path, text: &str) -> PathBuf {
    std::fs::write(folder.join("main.c"), text).unwrap();
    let program = folder.join("main");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.current_dir(folder).args(STRICT).args(["-O1", "-o"]).arg(&program).args(["main.c", "-lm"]);
    let output = compiler.output().expect("a C compiler, `cc` or that of CC");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Runs it with `input` on its standard input; returns its standard output.
#[track_caller]
pub fn run(program: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    output.stdout
}

/// Numbers as the program reads them.
pub fn bytes(numbers: impl IntoIterator<Item = f32>) -> Vec<u8> {
    numbers.into_iter().flat_map(f32::to_ne_bytes).collect()
}

/// Numbers as the program writes them.
pub fn floats(bytes: &[u8]) -> Vec<f64> {
    let floats = bytes.chunks_exact(4).map(|bytes| f32::from_ne_bytes(bytes.try_into().unwrap()));
    floats.map(f64::from).collect()
}
