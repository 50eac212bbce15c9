//! Checkpoints, and other files of a run, that are not as the run wrote them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::case::{Case, each, folder};
use super::changes::{Tensors, change_bytes, change_value};
use super::runs::{OUT, Run, Wholes, data, same};
use super::tree::copy;

/// Runs whose checkpoints differ in what they hold.
const RUNS: [&str; 5] = ["sunspots", "lanes of a text", "lines in classes", "values beyond f32", "event files"];

/// Runs that were killed when they had checkpoints.
#[derive(Default)]
pub(crate) struct Interrupted(RefCell<BTreeMap<&'static str, TempDir>>);

impl Interrupted {
    /// The folder in which such a run lies, with its data.
    pub(crate) fn of(&self, run: Run) -> PathBuf {
        let mut runs = self.0.borrow_mut();
        let folder = runs.entry(run.0).or_insert_with(|| (0..50).find_map(|_| interrupted(run)).unwrap());
        folder.path().into()
    }
}

/// Begins a run and kills it once it has two checkpoints; `None`: it was over before that.
fn interrupted(run: Run) -> Option<TempDir> {
    let folder = folder();
    data(folder.path());
    let program = std::env::var_os("BPTT_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_bptt").into());
    let mut child = Command::new(program)
        .args(run.arguments().split_whitespace())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() && checkpoints(&folder.path().join(OUT)).len() < 2 {
        sleep(Duration::from_micros(100));
    }
    let _ = child.kill();
    child.wait().unwrap();
    let run = folder.path().join(OUT);
    (!run.join("checkpoints/finished").exists() && checkpoints(&run).len() == 2).then_some(folder)
}

/// A run's checkpoints, the latest last.
pub(crate) fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "ckpt"));
    paths.sort();
    paths
}

/// Bytes before the tensors of a checkpoint, and where its digest begins in these.
const HEADER: usize = 64;
const DIGEST: usize = 32;

/// Gives changed bytes the length and the digest that they should have.
fn seal(bytes: &mut [u8]) {
    let Some((header, body)) = bytes.split_at_mut_checked(HEADER) else { return };
    header[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
    let mut hash = hmac_sha256::Hash::new();
    hash.update(&header[..DIGEST]);
    hash.update(&body);
    header[DIGEST..].copy_from_slice(&hash.finalize());
}

/// What can be done with a run that is not over.
const COMMANDS: [&str; 7] = [
    "eval run --device cpu --threads 1 --json",
    "predict run --device cpu --threads 1",
    "inspect run",
    "inspect run --json",
    "export run out.onnx",
    "flow run --device cpu --threads 1 --json",
    "train --config run/config.toml --init-from run --steps 1 --device cpu --threads 1 --out other",
];

#[test]
fn a_corrupted_checkpoint_is_skipped_or_refused() {
    let (wholes, interrupted) = (Wholes::default(), Interrupted::default());
    each("forged checkpoints", 80, |case| {
        let run = Run::named(case.pick(&RUNS));
        let (whole, _) = wholes.of(run)?;
        copy(&interrupted.of(run), case.folder());
        let out = case.folder().join(OUT);
        let files = checkpoints(&out);
        let [before, latest] = files.as_slice() else { return Err("expected two checkpoints".into()) };
        // The other is of the same run or of another one, whose digest is right.
        let other = if case.chance(50) {
            before.clone()
        } else {
            checkpoints(&interrupted.of(Run::named(case.pick(&RUNS))).join(OUT)).remove(1)
        };
        let other = fs::read(other).unwrap();
        let mut bytes = fs::read(latest).unwrap();
        let original = bytes.clone();
        if case.chance(10) {
            bytes = other
        } else {
            (0..1 + case.below(3)).for_each(|_| change_bytes(&mut bytes, &other, case))
        }
        fs::write(latest, &bytes).unwrap();
        if case.chance(25) {
            // Both, so that there is none to go back to.
            let mut bytes = fs::read(before).unwrap();
            change_bytes(&mut bytes, &original, case);
            fs::write(before, bytes).unwrap();
        }
        if case.chance(40) {
            let command = case.pick(&COMMANDS);
            case.bptt(command).go()?;
            return Ok(());
        }
        let resumed = case.bptt("train --resume run --threads 1 --json").changes(OUT).go()?;
        match resumed.code {
            0 => same(&whole.join(OUT), &out).map_err(|reason| format!("{}: {reason}", run.0)),
            1 => Ok(()),
            _ => resumed.wrong("expected the bytes of a run that nothing happened to, or a refusal of the file"),
        }
    });
}

#[test]
fn a_forged_checkpoint_with_a_valid_digest_is_used_or_refused() {
    let interrupted = Interrupted::default();
    each("sealed checkpoints", 100, |case| {
        let run = Run::named(case.pick(&RUNS));
        copy(&interrupted.of(run), case.folder());
        let latest = checkpoints(&case.folder().join(OUT)).pop().unwrap();
        let mut bytes = fs::read(&latest).unwrap();
        let original = bytes.clone();
        seal(&mut bytes);
        assert!(bytes == original, "the file form of checkpoints is another than this test knows");
        let mut tensors = Tensors::of(&bytes[HEADER..]).ok_or("expected tensors in a checkpoint")?;
        for _ in 0..1 + case.below(2) {
            match case.below(3) {
                0 => tensors.change_tensor(case),
                // What is said of the run, or of where its files stood.
                within => {
                    let text = tensors.header["__metadata__"]["run"].as_str().unwrap_or("{}").to_owned();
                    let mut note: Value = serde_json::from_str(&text).unwrap_or_default();
                    let inner = note["note"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
                    match inner.filter(|_| within == 1) {
                        Some(mut inner) => {
                            change_value(&mut inner, case);
                            note["note"] = inner.to_string().into();
                        }
                        None => change_value(&mut note, case),
                    }
                    tensors.header["__metadata__"] = serde_json::json!({"run": note.to_string()});
                }
            }
        }
        let mut bytes = [&original[..HEADER], &tensors.to_bytes()].concat();
        seal(&mut bytes);
        fs::write(&latest, bytes).unwrap();
        if case.chance(30) {
            let command = case.pick(&COMMANDS);
            case.bptt(command).go()?;
        } else {
            // What it says may make a run that does not end.
            let call = case.bptt("train --resume run --threads 1").changes(OUT);
            call.signal(Duration::from_secs(5), "INT").go()?;
        }
        Ok(())
    });
}

#[test]
fn a_run_with_other_corrupted_files_resumes_or_is_refused() {
    let interrupted = Interrupted::default();
    each("forged runs", 80, |case| {
        let run = Run::named(case.pick(&RUNS));
        copy(&interrupted.of(run), case.folder());
        let out = case.folder().join(OUT);
        let names = ["config.toml", "metrics.jsonl", "timings.jsonl", "checkpoints/model.json", ".lock", "flow.jsonl"];
        let names: Vec<&str> = names.into_iter().filter(|name| out.join(name).is_file()).collect();
        let name = case.pick(&names);
        let path = out.join(name);
        let mut bytes = fs::read(&path).unwrap();
        let json = serde_json::from_slice::<Value>(&bytes).ok().filter(|_| case.chance(80));
        match json {
            Some(mut value) => {
                change_value(&mut value, case);
                bytes = value.to_string().into_bytes();
            }
            None => change_bytes(&mut bytes, &fs::read(out.join(case.pick(&names))).unwrap(), case),
        }
        fs::write(&path, bytes).unwrap();
        let ended = if case.chance(30) {
            case.bptt(case.pick(&COMMANDS)).go()
        } else {
            let call = case.bptt("train --resume run --threads 1").changes(OUT);
            call.signal(Duration::from_secs(5), "INT").go()
        };
        ended.map(drop).map_err(|reason| format!("{}, {name}: {reason}", run.0))
    });
}

/// As of a run that is over, which a longer one begins with.
#[test]
fn extending_a_corrupted_run_works_or_is_refused() {
    let wholes = Wholes::default();
    each("forged ends", 40, |case: &Case<'_>| {
        let run = Run::named(case.pick(&["windows of a text", "sunspots", "event files"]));
        let (whole, _) = wholes.of(run)?;
        copy(&whole, case.folder());
        let out = case.folder().join(OUT);
        let checkpoint = checkpoints(&out).remove(0);
        let path = match case.below(3) {
            0 => out.join("metrics.jsonl"),
            1 => out.join("checkpoints/model.json"),
            _ => checkpoint,
        };
        let mut bytes = fs::read(&path).unwrap();
        change_bytes(&mut bytes, b"another file", case);
        fs::write(&path, bytes).unwrap();
        let longer = if run.0 == "windows of a text" { "--steps 14" } else { "--epochs 4" };
        case.bptt(&format!("train --resume run {longer} --threads 1 --out longer")).go()?;
        Ok(())
    });
}
