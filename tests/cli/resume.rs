//! Runs that are killed, stopped, damaged and gone on with, from outside.

use crate::common::gpu;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::common::program::{bptt, command, entries, refused, succeeds};
use bptt::train::Checkpoint;

/// A text in which something can be learned, and whose every part differs.
fn text(folder: &Path) {
    let mut text = String::new();
    for number in 0..700 {
        writeln!(text, "{number} and {} are {}.", number * 7 % 13, number + number * 7 % 13).unwrap();
    }
    fs::write(folder.join("text.txt"), text).unwrap();
}

/// Two layers, both dropouts, Adam, a schedule, and the state carried on.
const RUN: &str = "train text text.txt --carry-state --window 12 --batch 4 --hidden 12 --layers 2 --dropout 0.2 \
                   --set model.recurrent-dropout=0.1 --schedule cosine --set training.val-every=60 --keep best --set training.checkpoint-every=1 --json";

fn run(device: &str, steps: u64, out: &str) -> String {
    format!("{RUN} --device {device} --steps {steps} --out {out}")
}

/// The run's checkpoints, the latest last.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let names = entries(&run.join("checkpoints")).into_iter().filter(|name| name.ends_with(".ckpt"));
    names.map(|name| run.join("checkpoints").join(name)).collect()
}

/// Weights, optimizer and all of the run, the time aside that it took.
fn last(run: &Path) -> Checkpoint {
    Checkpoint::from_bytes(&fs::read(checkpoints(run).pop().unwrap()).unwrap()).unwrap().0
}

#[track_caller]
fn assert_same(folder: &Path, a: &str, b: &str) {
    let (a, b) = (folder.join(a), folder.join(b));
    for file in ["model.safetensors", "metrics.jsonl", "loss.svg"] {
        assert!(fs::read(a.join(file)).unwrap() == fs::read(b.join(file)).unwrap(), "{file} is another");
    }
    assert_eq!(last(&a), last(&b));
    assert!(b.join("report.html").is_file());
}

/// Kills a run again and again, goes on with it each time, and lets it end at last: mostly at random moments behind a
/// new checkpoint, of a step or, since there is one at each step, more likely of the next saving; sometimes while it
/// loads. A machine that is fast may be done before the last kill.
fn killed_50_times(device: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    let (steps, run_folder) = (900, folder.join("killed"));
    let (mut kills, mut behind) = (0, 0);
    while kills < 50 {
        let latest = checkpoints_or_none(&run_folder).pop();
        let begun = run_folder.join("config.toml").is_file();
        if !begun {
            let _ = fs::remove_dir_all(&run_folder);
        }
        let arguments = if begun { "train --resume killed --json".into() } else { run(device, steps, "killed") };
        let mut child = command(folder, &arguments).stdout(Stdio::null()).spawn().unwrap();
        let loading = kills % 7 == 3;
        while !loading && child.try_wait().unwrap().is_none() && checkpoints_or_none(&run_folder).pop() == latest {
            sleep(Duration::from_micros(200));
        }
        sleep(Duration::from_secs_f64(random(kills) * if loading { 0.1 } else { 0.012 }));
        let ended = child.try_wait().unwrap();
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        if let Some(file) = checkpoints_or_none(&run_folder).pop() {
            behind = Checkpoint::<f32>::from_bytes(&fs::read(file).unwrap()).unwrap().0.step();
        }
    }
    assert!(kills >= 10 && behind > 0, "{kills} kills, {behind} steps");
    succeeds(folder, "train --resume killed --json");
    succeeds(folder, &run(device, steps, "whole").replace("--set training.checkpoint-every=1 ", ""));
    assert_same(folder, "whole", "killed");
}

fn checkpoints_or_none(run: &Path) -> Vec<PathBuf> {
    if run.join("checkpoints").is_dir() { checkpoints(run) } else { Vec::new() }
}

/// Numbers that look random, from 0 to 1.
fn random(index: u32) -> f64 {
    let mixed = (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / (1u64 << 24) as f64
}

#[test]
fn a_run_killed_50_times_ends_like_an_uninterrupted_one_on_the_cpu() {
    killed_50_times("cpu");
}

#[test]
fn a_run_killed_50_times_ends_like_an_uninterrupted_one_on_the_gpu() {
    if gpu::gpu().is_some() {
        killed_50_times("gpu");
    }
}

#[test]
#[cfg(unix)]
fn a_stopped_run_saves_itself_and_resumes_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let (stopped, steps) = (format!("stopped{signal}"), 1500);
        let mut child = command(folder, &run("cpu", steps, &stopped)).stdout(Stdio::null()).spawn().unwrap();
        while checkpoints_or_none(&folder.join(&stopped)).len() < 2 {
            assert!(child.try_wait().unwrap().is_none(), "the run had ended before it was asked to");
            sleep(Duration::from_millis(2));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        // Not 0: `train && export` is not to go on with what is half learned.
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let behind = last(&folder.join(&stopped)).step();
        assert!(behind < steps);
        assert_eq!(
            fs::read_to_string(folder.join(&stopped).join("metrics.jsonl")).unwrap().lines().count() as u64,
            behind
        );
        succeeds(folder, &format!("train --resume {stopped} --json"));
        succeeds(folder, &run("cpu", steps, &format!("whole{signal}")));
        assert_same(folder, &format!("whole{signal}"), &stopped);
    }
}

/// Rewrites the note of the run's last checkpoint.
fn rewrite_note(run: &Path, change: impl Fn(&mut serde_json::Value)) {
    let path = checkpoints(run).pop().unwrap();
    let (checkpoint, note) = Checkpoint::<f32>::from_bytes(&fs::read(&path).unwrap()).unwrap();
    let mut note = serde_json::from_str(&note).unwrap();
    change(&mut note);
    fs::write(&path, checkpoint.to_bytes(&note.to_string()).unwrap()).unwrap();
}

#[test]
fn resuming_on_other_hardware_reports_what_differs_and_nothing_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let resumed = |arguments: &str| {
        fs::remove_file(folder.join("a/checkpoints/finished")).unwrap();
        succeeds(folder, &format!("train --resume a {arguments}"))
    };
    unfinished(folder);
    fs::write(folder.join("a/checkpoints/finished"), "").unwrap();
    for threads in ["", "--threads 1", "--threads 3"] {
        let said = resumed(threads);
        assert!(said.contains("resumes after step 6\n") && !said.contains("last bits"), "{threads}: {said}");
    }
    // A machine whose instruction set rounds a·b + c otherwise.
    rewrite_note(&folder.join("a"), |note| {
        let rounding = &mut note["arithmetic"]["a·b + c"];
        let other = if rounding == "rounded once" { "rounded twice" } else { "rounded once" };
        *rounding = other.into();
    });
    let said = resumed("");
    let line = said.lines().find(|line| line.contains("last bits")).unwrap();
    assert!(line.contains("a·b + c: rounded ") && !line.contains("order of sums"), "{line}");
    // A file of before this was known.
    rewrite_note(&folder.join("a"), |note| {
        let note = note.as_object_mut().unwrap();
        note.remove("arithmetic");
        note.insert("program".into(), "bptt 0.1.0, CPU, f32, 8 threads".into());
    });
    let said = resumed("");
    assert!(said.contains("by bptt 0.1.0, CPU, f32, 8 threads, does not record what its bits depend on"), "{said}");
    let said = succeeds(folder, "train --resume a --steps 8 --out b");
    assert!(said.contains("does not record what its bits depend on"), "{said}");
}

#[test]
fn a_finished_run_is_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    succeeds(folder, &run("cpu", 5, "a"));
    let all =
        |path: &Path| entries(path).into_iter().map(|name| (fs::read(path.join(&name)).ok(), name)).collect::<Vec<_>>();
    let before = (all(&folder.join("a")), all(&folder.join("a/checkpoints")));
    let said = succeeds(folder, "train --resume a");
    assert!(said.contains("a: the run has finished"), "{said}");
    assert!((all(&folder.join("a")), all(&folder.join("a/checkpoints"))) == before);
}

/// Everything that lies in a folder, and in its folder of checkpoints.
fn contents(run: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let of = |path: &Path| {
        let names = entries(path).into_iter();
        names.map(|name| (name.clone(), fs::read(path.join(name)).ok())).collect::<Vec<_>>()
    };
    [of(run), of(&run.join("checkpoints"))].concat()
}

#[test]
fn an_extended_run_has_the_bits_of_a_longer_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    let text =
        run("cpu", 0, "").replace("--schedule cosine", "").replace("--steps 0 --out ", "--set training.flow-every=40");
    let series = "train series bundled:sunspots --window 8 --hidden 4 --dropout 0.2 --layers 2 --set model.recurrent-dropout=0.1 --warmup 5 --optimizer \
                  momentum --json --device cpu";
    for (name, run, short, long) in
        [("text", text.as_str(), "--steps 60", "--steps 180"), ("series", series, "--epochs 2", "--epochs 5")]
    {
        succeeds(folder, &format!("{run} {short} --out {name}-a"));
        let before = contents(&folder.join(format!("{name}-a")));
        succeeds(folder, &format!("train --resume {name}-a {long} --out {name}-b --json"));
        assert!(contents(&folder.join(format!("{name}-a"))) == before, "the run before is another");
        succeeds(folder, &format!("{run} {long} --out {name}-c"));
        assert_same(folder, &format!("{name}-b"), &format!("{name}-c"));
        let config = |run: &str| fs::read_to_string(folder.join(format!("{name}-{run}/config.toml"))).unwrap();
        let (extended, whole) = (config("b"), config("c"));
        let (settings, whole) = (extended.split_once("\n\n").unwrap().1, whole.split_once("\n\n").unwrap().1);
        assert!(extended.starts_with("# It extends ") && settings == whole, "{extended}");
        // Its own file alone does not repeat it.
        let command = extended.lines().nth(1).unwrap().strip_prefix("# bptt ").unwrap().to_owned();
        assert!(command.ends_with(long) && !extended.contains("--config"), "{extended}");
        let report = fs::read_to_string(folder.join(format!("{name}-b/report.html"))).unwrap();
        assert!(report.contains(&command), "{command}");
        assert_eq!(checkpoints(&folder.join(format!("{name}-b"))).len(), 1);
    }
    let flow = |run: &str| fs::read(folder.join(run).join("flow.jsonl")).unwrap();
    assert!(flow("text-b") == flow("text-c"));
    // The other measure of length does, a folder is found, and a run that was extended is extended again.
    succeeds(folder, "train --resume text-b --epochs 2 --threads 1 --json");
    let metrics = fs::read_to_string(folder.join("runs/text-1/metrics.jsonl")).unwrap();
    assert!(metrics.lines().count() > 180);
}

#[test]
fn an_extension_killed_before_its_first_checkpoint_still_knows_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    let run = run("cpu", 0, "").replace("--schedule cosine", "").replace("--set training.checkpoint-every=1 ", "");
    let run = run.replace("--steps 0 --out ", "");
    succeeds(folder, &format!("{run} --steps 60 --out a"));
    let longer = "train --resume a --steps 2000 --out b --json";
    let mut child = command(folder, longer).stdout(Stdio::null()).spawn().unwrap();
    // With its configuration a folder is a run.
    while !folder.join("b/config.toml").is_file() {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(last(&folder.join("b")).step(), 60);
    succeeds(folder, "eval b --device cpu --json");
    succeeds(folder, "train --resume b --json");
    succeeds(folder, &format!("{run} --steps 2000 --out c"));
    assert_same(folder, "c", "b");
    let report = fs::read_to_string(folder.join("b/report.html")).unwrap();
    assert!(report.contains("bptt train --resume ") && report.contains("--steps 2000"));
}

#[test]
fn a_run_resumes_without_the_file_of_its_initial_weights() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    let run = "--window 8 --batch 4 --steps";
    succeeds(folder, &format!("train text text.txt --hidden 5 --layers 2 --dropout 0.3 {run} 3 --device cpu --out s"));
    for out in ["a", "b"] {
        succeeds(folder, &format!("train text text.txt --init-from s {run} 9 --device cpu --out {out}"));
    }
    fs::remove_dir_all(folder.join("s")).unwrap();
    // As one that was killed before its report.
    let before = fs::read(folder.join("a/model.safetensors")).unwrap();
    fs::remove_file(folder.join("a/checkpoints/finished")).unwrap();
    fs::remove_file(folder.join("a/model.safetensors")).unwrap();
    succeeds(folder, "train --resume a");
    assert!(fs::read(folder.join("a/model.safetensors")).unwrap() == before);
    succeeds(folder, "train --resume a --steps 15 --out longer");
    fs::remove_dir_all(folder.join("b/checkpoints")).unwrap();
    fs::create_dir(folder.join("b/checkpoints")).unwrap();
    refused(folder, "train --resume b", 1, &["init-from: expected an existing file", "--init-from"]);
    refused(folder, "train text text.txt --init-from s --steps 1", 1, &["error: s: "]);
}

#[test]
fn an_impossible_extension_is_refused_and_a_cosine_schedule_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    let bundled = "train series bundled:sunspots --window 8 --hidden 3 --device cpu --json";
    succeeds(folder, &format!("{bundled} --epochs 2 --out a"));
    for (length, part) in [
        ("--epochs 2", "--epochs 2: expected more than the 2 epochs"),
        ("--steps 3", "--steps 3: expected more than the 2 epochs"),
    ] {
        refused(folder, &format!("train --resume a {length}"), 2, &[part, "the total length"]);
    }
    refused(folder, "train --resume a --epochs 4 --lr 0.1", 2, &["--resume", "no other flag"]);
    refused(folder, "train --resume a --epochs 4 --out a", 2, &["--out a", "does not exist"]);
    // Its end is that of the configuration that it had.
    let config = fs::read_to_string(folder.join("a/config.toml")).unwrap();
    fs::write(folder.join("a/config.toml"), format!("{config}# changed\n")).unwrap();
    refused(
        folder,
        "train --resume a --epochs 4",
        1,
        &["a/config.toml", "the run's configuration", "got a changed one"],
    );
    fs::write(folder.join("a/config.toml"), config).unwrap();
    let said = succeeds(folder, "train --resume a");
    assert!(said.contains("the run has finished") && said.contains("--epochs or --steps"), "{said}");
    refused(folder, "train --resume a --lr 0.1", 2, &["--resume", "no other flag"]);
    refused(folder, "train --resume a --out b", 2, &["--resume a", "--out", "--epochs"]);
    succeeds(folder, &format!("{bundled} --epochs 30 --patience 1 --lr 0 --out early"));
    refused(folder, "train --resume early --epochs 60", 2, &["stopped early", "--patience"]);
    succeeds(folder, &run("cpu", 5, "cosine"));
    let said = succeeds(folder, "train --resume cosine --steps 9 --out longer");
    assert!(
        said.contains("extends cosine from step 5") && said.contains("the cosine schedule is that of the whole length"),
        "{said}"
    );
    fs::remove_dir_all(folder.join("a/checkpoints")).unwrap();
    fs::create_dir(folder.join("a/checkpoints")).unwrap();
    fs::write(folder.join("a/checkpoints/finished"), "").unwrap();
    refused(folder, "train --resume a --epochs 4", 1, &["a/checkpoints", "the final checkpoint of the run"]);
}

/// A run of 6 steps that was stopped after its last one, before anything was made of it.
fn unfinished(folder: &Path) {
    text(folder);
    succeeds(folder, &run("cpu", 6, "a"));
    fs::remove_file(folder.join("a/checkpoints/finished")).unwrap();
}

#[test]
fn a_run_killed_before_its_report_writes_it_when_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    unfinished(folder);
    let weights = fs::read(folder.join("a/model.safetensors")).unwrap();
    fs::remove_file(folder.join("a/model.safetensors")).unwrap();
    fs::remove_file(folder.join("a/report.html")).unwrap();
    succeeds(folder, "train --resume a");
    assert!(fs::read(folder.join("a/model.safetensors")).unwrap() == weights);
    assert!(folder.join("a/report.html").is_file());
}

#[test]
fn a_run_that_cannot_be_resumed_is_reported_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    refused(folder, "train --resume nowhere", 1, &["nowhere: expected the folder of a run"]);
    unfinished(folder);
    refused(folder, "train --resume a --lr 0.1", 2, &["--resume", "no other flag"]);
    refused(folder, "train series b.csv --resume a", 2, &["--resume", "no other flag"]);
    refused(folder, "train --resume a --out b", 2, &["--resume", "--out"]);
    refused(folder, "train --resume a --steps 60", 2, &["--resume a", "extend a finished run, and this one is not"]);
    let config = folder.join("a/config.toml");
    let settings = fs::read_to_string(&config).unwrap();
    fs::write(&config, settings.replace("steps = 6", "steps = 60")).unwrap();
    refused(folder, "train --resume a", 1, &["config.toml", "the run began with", "got a changed one"]);
    fs::write(&config, settings).unwrap();
    let data = folder.join("text.txt");
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace('7', "8")).unwrap();
    refused(folder, "train --resume a", 1, &["text.txt", "expected the file of the run"]);
    fs::write(&data, text).unwrap();
    fs::write(folder.join("a/metrics.jsonl"), "").unwrap();
    refused(folder, "train --resume a", 1, &["metrics.jsonl", "that the run had written, got 0"]);
}

/// A run of many steps that was killed after at least `steps`.
fn interrupted(folder: &Path, steps: u64) {
    text(folder);
    let mut child = command(folder, &run("cpu", 100_000, "a")).stdout(Stdio::null()).spawn().unwrap();
    let done = |path: &PathBuf| {
        path.to_str().unwrap() >= format!("{}/a/checkpoints/step-{steps:012}", folder.display()).as_str()
    };
    while !checkpoints_or_none(&folder.join("a")).iter().any(done) {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Goes on with the run and stops it behind its next checkpoint; what it said.
fn a_little_further(folder: &Path, arguments: &str) -> String {
    let latest = checkpoints(&folder.join("a")).pop();
    let mut child = command(folder, arguments).stdout(Stdio::piped()).spawn().unwrap();
    while checkpoints_or_none(&folder.join("a")).pop() <= latest {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_corrupted_checkpoint_is_skipped_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    interrupted(folder, 4);
    let files = checkpoints(&folder.join("a"));
    let (before, latest) = (&files[files.len() - 2], &files[files.len() - 1]);
    let step = Checkpoint::<f32>::from_bytes(&fs::read(before).unwrap()).unwrap().0.step();
    damage(latest);
    let said = a_little_further(folder, "train --resume a");
    assert!(said.contains(&format!("resumes after step {step}\n")), "{said}");
    let name = latest.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(&format!("not from a/checkpoints/{name}: ")), "{said}");
    checkpoints(&folder.join("a")).iter().for_each(|path| damage(path));
    refused(folder, "train --resume a", 1, &["step-0", ".ckpt", "damaged or truncated"]);
}

#[test]
fn a_run_resumes_with_moved_data_and_restarts_without_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    interrupted(folder, 2);
    fs::rename(folder.join("text.txt"), folder.join("moved.txt")).unwrap();
    refused(folder, "train --resume a", 1, &["config.toml, file: expected an existing file", "`text FILE`"]);
    let said = a_little_further(folder, "train text moved.txt --resume a --threads 1");
    assert!(said.contains("resumes after step"), "{said}");
    fs::rename(folder.join("moved.txt"), folder.join("text.txt")).unwrap();
    fs::remove_dir_all(folder.join("a/checkpoints")).unwrap();
    fs::create_dir(folder.join("a/checkpoints")).unwrap();
    fs::write(folder.join("a/checkpoints/step-000000000000.ckpt.part"), "half").unwrap();
    let mut child = command(folder, "train --resume a").stdout(Stdio::piped()).spawn().unwrap();
    while checkpoints_or_none(&folder.join("a")).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("starts from the beginning: it has no checkpoint"), "{said}");
}

#[test]
fn a_second_process_is_locked_out_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    text(folder);
    let mut child = command(folder, &run("cpu", 1_000_000, "a")).stdout(Stdio::null()).spawn().unwrap();
    while checkpoints_or_none(&folder.join("a")).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        sleep(Duration::from_millis(2));
    }
    let output = bptt(folder, "train --resume a");
    child.kill().unwrap();
    child.wait().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("a: expected a run that no other process uses"), "{stderr}");
}
