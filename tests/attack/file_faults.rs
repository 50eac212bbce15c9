//! Disks that are full, broken or not for everybody, and processes that end between two calls on files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::case::{Case, each};
use super::preloaded::{CALLS, Fault, KILLED, PART, count};
use super::runs::{OUT, RUNS, Run, Wholes, bring_to_its_end, data, same, same_but};
use super::tree::Tree;

const EIO: i32 = 5;
const EINTR: i32 = 4;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

/// How calls of a letter fail.
fn errors(letter: char) -> &'static [i32] {
    match letter {
        'o' => &[EACCES, EIO, ENOSPC, EMFILE, EROFS],
        'r' => &[EIO, EINTR, PART],
        'w' => &[ENOSPC, ENOSPC, EIO, EDQUOT, EINTR, PART],
        's' => &[EIO, ENOSPC],
        _ => &[EIO, EACCES, ENOSPC, EROFS],
    }
}

/// A fault of a call that a command makes, by the record of one that nothing happened to.
fn fault(case: &Case<'_>, record: &std::path::Path) -> Option<Fault> {
    let made = CALLS.iter().filter(|(letter, _)| count(record, &letter.to_string()) > 0).collect::<Vec<_>>();
    if made.is_empty() {
        return None;
    }
    let letter = made[case.below(made.len())].0;
    let what = case.pick(errors(letter));
    // What is interrupted for ever never goes on.
    let lasts = what != EINTR && case.chance(50);
    let calls = letter.to_string();
    Some(Fault { at: 1 + case.below(count(record, &calls) as usize) as u64, calls, what, lasts })
}

/// The process killed before some call, whichever that may be.
fn killed(case: &Case<'_>, record: &std::path::Path) -> Fault {
    let calls: String = CALLS.iter().map(|(letter, _)| letter).collect();
    Fault { at: 1 + case.below(count(record, &calls) as usize) as u64, calls, what: KILLED, lasts: false }
}

#[test]
fn a_run_whose_disk_fails_at_any_call_ends_with_an_error_and_resumes_to_the_same_bytes() {
    let wholes = Wholes::default();
    each("file faults of runs", 60, |case| {
        let run = case.pick(&RUNS);
        let (whole, _) = wholes.of(run)?;
        data(case.folder());
        let record = case.folder().join("record");
        // Some begin with what a killed process left.
        if case.chance(40) {
            recorded(case, run)?;
            let fault = killed(case, &record);
            begun(case, run).preloaded(None, Some(&fault)).go()?;
        } else {
            recorded(case, run)?;
        }
        let Some(fault) = fault(case, &record) else { return Ok(()) };
        let out = case.folder().join(OUT);
        if out.exists() && !out.join("config.toml").is_file() {
            bring_to_its_end(case, run)?;
            return same(&whole.join(OUT), &out);
        }
        let ended = begun(case, run).preloaded(None, Some(&fault)).go()?;
        let told = |reason: String| format!("{}, {}: {reason}", run.0, fault.in_words());
        match ended.code {
            0 if [EINTR, PART].contains(&fault.what) => {}
            0 if fault.what != KILLED => {}
            1 => {}
            _ => return ended.wrong("expected an error of the disk").map_err(told),
        }
        if [EINTR, PART].contains(&fault.what) && ended.code != 0 && !fault.lasts {
            return ended.wrong("a call that is to be made again was not").map_err(told);
        }
        // What the first process finished the run without, the second one leaves as it is.
        let mut said = ended.stderr;
        if ended.code != 0 {
            said.push_str(&bring_to_its_end(case, run).map_err(told)?.stderr);
        }
        same_but(&whole.join(OUT), &out, &said).map_err(told)
    });
}

/// What begins a run, or goes on with what there is of it.
fn begun<'c>(case: &'c Case<'_>, run: Run) -> super::call::Call<'c> {
    let arguments = if case.folder().join(OUT).join("config.toml").is_file() {
        "train --resume run --threads 1".into()
    } else {
        run.arguments()
    };
    case.bptt(&arguments).changes(OUT)
}

/// Writes down the calls of a run that nothing happens to, in `record`, once for a kind.
fn recorded(case: &Case<'_>, run: Run) -> Result<(), String> {
    thread_local!(static RECORDS: RefCell<BTreeMap<&'static str, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) });
    let record = case.folder().join("record");
    let known = RECORDS.with_borrow(|records| records.get(run.0).cloned());
    let bytes = match known {
        Some(bytes) => bytes,
        None => {
            let folder = super::case::folder();
            data(folder.path());
            let written = folder.path().join("record");
            super::call::Call::new(folder.path())
                .words(&run.arguments())
                .preloaded(Some(&written), None)
                .go()?
                .success()?;
            let bytes = fs::read(written).map_err(|error| error.to_string())?;
            RECORDS.with_borrow_mut(|records| records.insert(run.0, bytes.clone()));
            bytes
        }
    };
    fs::write(record, bytes).map_err(|error| error.to_string())
}

#[test]
fn a_run_killed_before_any_file_call_resumes_to_the_same_bytes() {
    let wholes = Wholes::default();
    each("kills between calls", 40, |case| {
        let run = case.pick(&RUNS);
        let (whole, _) = wholes.of(run)?;
        data(case.folder());
        recorded(case, run)?;
        let record = case.folder().join("record");
        let (mut told, mut said) = (String::new(), String::new());
        for _ in 0..1 + case.below(2) {
            let mut fault = killed(case, &record);
            if case.chance(30) {
                // The first calls make what the others need.
                fault.at = 1 + case.below(12) as u64;
            }
            told = format!("{}, {}", run.0, fault.in_words());
            if !case.folder().join(OUT).exists() || case.folder().join(OUT).join("config.toml").is_file() {
                said.push_str(&begun(case, run).preloaded(None, Some(&fault)).go()?.stderr);
            }
        }
        let ended = bring_to_its_end(case, run).map_err(|reason| format!("{told}: {reason}"))?;
        said.push_str(&ended.stderr);
        same_but(&whole.join(OUT), &case.folder().join(OUT), &ended.stderr)
            .map_err(|reason| format!("{told}: {reason}"))
    });
}

/// Commands that write a file of their own beside a run, and its name.
const WRITERS: [(&str, &[&str]); 8] = [
    ("predict run --device cpu --threads 1 --out p.csv", &["p.csv"]),
    ("forecast run --device cpu --threads 1 --out f.csv --svg f.svg", &["f.csv", "f.svg"]),
    ("export run m.onnx", &["m.onnx"]),
    ("export run w.safetensors --names lstm,fc", &["w.safetensors"]),
    ("flow run --device cpu --threads 1 --out flow.svg", &["flow.svg"]),
    ("init c.toml", &["c.toml"]),
    ("man --out pages", &["pages"]),
    ("flow task adding --length 4 --hidden 3 --steps 2 --batch 2 --device cpu --threads 1 --out o.svg", &["o.svg"]),
];

#[test]
fn a_failed_write_leaves_no_file_and_can_be_retried() {
    let wholes = Wholes::default();
    let written: RefCell<BTreeMap<&str, (PathBuf, tempfile::TempDir)>> = RefCell::default();
    each("file faults of results", 60, |case| {
        let (whole, _) = wholes.of(Run::named("sunspots"))?;
        let (command, outputs) = case.pick(&WRITERS);
        let begin = |folder: &std::path::Path| super::tree::copy(&whole.join(OUT), &folder.join(OUT));
        begin(case.folder());
        let mut written = written.borrow_mut();
        if !written.contains_key(command) {
            let folder = super::case::folder();
            begin(folder.path());
            let record = folder.path().join("record");
            super::call::Call::new(folder.path()).words(command).preloaded(Some(&record), None).go()?.success()?;
            written.insert(command, (record, folder));
        }
        let (record, clean) = &written[command];
        let fault = if case.chance(25) { Some(killed(case, record)) } else { fault(case, record) };
        let Some(fault) = fault else { return Ok(()) };
        let told = |reason: String| format!("{}: {reason}", fault.in_words());
        let is_same = |output: &&str| {
            let (now, clean) = (case.folder().join(output), clean.path().join(output));
            if clean.is_dir() {
                // What could not be removed may lie beside them.
                Tree::of(&clean).changed(&Tree::of(&now), &[]).is_none()
            } else {
                fs::read(now).ok() == fs::read(clean).ok()
            }
        };
        let ended = case.bptt(command).preloaded(None, Some(&fault)).go()?;
        match ended.code {
            0 if outputs.iter().all(is_same) => return Ok(()),
            0 => return ended.wrong("wrote something else, and did not say so").map_err(told),
            1 | 137 => {}
            _ => return ended.wrong("expected an error of the disk").map_err(told),
        }
        // What is there is whole, and is not written again.
        for output in outputs.iter().filter(|output| case.folder().join(output).is_file()) {
            if !is_same(output) {
                return ended.wrong(&format!("left a part of {output}")).map_err(told);
            }
            fs::remove_file(case.folder().join(output)).map_err(|error| error.to_string())?;
        }
        if outputs == ["pages"] {
            // Of a folder some of the pages may be there, each whole.
            let _ = fs::remove_dir_all(case.folder().join("pages"));
        }
        let again = case.bptt(command).go()?.success().map_err(told)?;
        if outputs.iter().all(is_same) { Ok(()) } else { again.wrong("wrote something else").map_err(told) }
    });
}
