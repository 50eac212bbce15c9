//! A disk that is full, folders that cannot be written into, and numbers beyond what is computed in.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::program::{bptt, entries, train};
use bptt::train::{Checkpoint, Metrics};

/// `bptt` in a folder of which no file can grow beyond so many blocks of 512 bytes: further ones are refused as on a
/// full disk.
fn on_a_small_disk(folder: &Path, blocks: u64, arguments: &str) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {arguments}");
    Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_bptt")]).current_dir(folder).output().unwrap()
}

#[test]
fn a_checkpoint_on_a_full_disk_keeps_the_previous_one_and_the_run_resumes_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // From the first validation on a checkpoint holds the best weights too, and is larger.
    let settings = "--steps 6 --set training.val-every=4 --keep best --set training.checkpoint-every=1 --set training.checkpoints=9 --hidden 32";
    train(folder, "whole", settings);
    // Room for all of it but a part of these weights.
    let last = fs::metadata(folder.join("whole/checkpoints/step-000000000006.ckpt")).unwrap().len();
    let blocks = last / 512 - 8;
    let output = on_a_small_disk(folder, blocks, &format!("train --device cpu --out full {settings}"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("full/checkpoints/step-000000000004.ckpt: "), "{stderr}");
    let mut left = entries(&folder.join("full/checkpoints"));
    left.retain(|name| name.ends_with(".ckpt"));
    assert_eq!(left, [0, 1, 2, 3].map(|step| format!("step-{step:012}.ckpt")));
    for name in &left {
        Checkpoint::<f32>::from_bytes(&fs::read(folder.join("full/checkpoints").join(name)).unwrap()).unwrap();
    }
    let output = bptt(folder, "train --resume full");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["model.safetensors", "metrics.jsonl"] {
        let read = |run: &str| fs::read(folder.join(run).join(file)).unwrap();
        assert!(read("full") == read("whole"), "{file} is another");
    }
}

#[test]
fn a_run_whose_report_does_not_fit_the_disk_finishes_and_lists_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let settings = "train --device cpu --steps 6 --hidden 4 --json";
    let whole = bptt(folder, &format!("{settings} --out whole"));
    let whole: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert!(whole.get("missing").is_none());
    let size = |name: &str| fs::metadata(folder.join("whole").join(name)).unwrap().len();
    // The largest file of all.
    let blocks = size("report.html") / 512 - 1;
    assert!(size("model.safetensors") < blocks * 512 && size("forecast.svg") < blocks * 512);
    let output = on_a_small_disk(folder, blocks, &format!("{settings} --out full"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("missing   report.html: File too large"), "{stderr}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["missing"][0].as_str().unwrap().starts_with("report.html: "), "{summary}");
    assert_eq!(summary["test"], whole["test"]);
    let read = |run: &str, file: &str| fs::read(folder.join(run).join(file)).unwrap();
    assert!(read("full", "model.safetensors") == read("whole", "model.safetensors"));
    assert!(folder.join("full/checkpoints/finished").is_file() && !folder.join("full/report.html").exists());
}

#[test]
fn a_failed_picture_or_measurement_does_not_fail_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "run", "--steps 6 --hidden 4");
    let reopen = || fs::remove_file(folder.join("run/checkpoints/finished")).unwrap();
    // What stands in the way of these names, and of the run's weights as of nothing else.
    reopen();
    let names = ["loss.svg", "forecast.svg", "forecast.csv", "report.html"];
    for name in names {
        fs::remove_file(folder.join("run").join(name)).unwrap();
        fs::create_dir(folder.join("run").join(name)).unwrap();
    }
    let output = bptt(folder, "train --resume run");
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    names.iter().for_each(|name| assert!(stderr.contains(&format!("missing   {name}: ")), "{name}: {stderr}"));
    assert!(stdout.contains("RMSE") && folder.join("run/checkpoints/finished").is_file(), "{stdout}");
    names.iter().for_each(|name| fs::remove_dir(folder.join("run").join(name)).unwrap());
    // As processes leave it that were killed while they measured.
    reopen();
    fs::write(folder.join("run/checkpoints/measuring"), "2\n").unwrap();
    let output = bptt(folder, "train --resume run");
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("missing   results: ") && stderr.contains("`bptt eval run`"), "{stderr}");
    assert!(!stdout.contains("RMSE") && folder.join("run/checkpoints/finished").is_file(), "{stdout}");
    let report = fs::read_to_string(folder.join("run/report.html")).unwrap();
    assert!(report.contains("<dt>missing</dt><dd>results: "), "{report}");
    assert!(!folder.join("run/checkpoints/measuring").exists());
}

/// Before there was one entry for each pair of classes, 2.9 GB of them.
#[test]
#[cfg(target_os = "linux")]
fn thousands_of_classes_are_measured_printed_and_plotted_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (classes, mut rows) = (6000, String::from("id,time,x,label\n"));
    for id in 0..2 * classes {
        rows.push_str(&format!("{id},0,{},class {}\n", id % 97, id % classes));
    }
    fs::write(folder.join("a.csv"), rows).unwrap();
    let bounded = |arguments: &str| {
        let script = format!("ulimit -v 600000; exec \"$0\" {arguments}");
        let output = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_bptt")]).current_dir(folder).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let settings = "sequences a.csv --hidden 2 --epochs 1 --batch 1024 --split 0.5,0,0.5";
    let said = bounded(&format!("train {settings} --device cpu --threads 1 --out a"));
    assert!(said.len() < 4000 && said.contains("6000 classes in training, 1 of each"), "{said}");
    let summary: serde_json::Value = serde_json::from_str(&bounded("eval a --device cpu --threads 1 --json")).unwrap();
    let pairs = summary["test"]["confusion_pairs"].as_array().unwrap();
    assert!(summary["test"].get("confusion").is_none() && pairs.len() <= 6000, "{} pairs", pairs.len());
    let counted: u64 = pairs.iter().map(|pair| pair[2].as_u64().unwrap()).sum();
    assert_eq!(counted, summary["test"]["sequences"].as_u64().unwrap());
    let read = |name: &str| fs::read_to_string(folder.join("a").join(name)).unwrap();
    assert!(read("confusion.svg").contains("the 100 of 6,000 classes with most mistakes"));
    assert!(read("report.html").contains("… and 5,000 more") && read("report.html").len() < 1 << 19);
}

#[test]
fn a_read_only_folder_is_refused_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("file"), "").unwrap();
    let asked = |arguments: &str, path: &str| {
        let output = bptt(folder, arguments);
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
        assert!(stderr.starts_with(&format!("error: {path}: ")), "{stderr}");
        assert!(stdout.is_empty(), "{stdout}");
    };
    asked("train --steps 1 --device cpu --out file/run", "file/run");
    // The system's own folder, into which not even root may write.
    if Path::new("/proc/self").is_dir() {
        asked("train --steps 1 --device cpu --out /proc/run", "/proc/run");
    }
    train(folder, "run", "--steps 2");
    fs::remove_file(folder.join("run/checkpoints/finished")).unwrap();
    // Where the lock should be there is something that is none.
    fs::remove_file(folder.join("run/.lock")).unwrap();
    fs::create_dir(folder.join("run/.lock")).unwrap();
    asked("train --resume run", "run/.lock");
}

#[test]
fn a_value_beyond_f32_stops_skips_or_rolls_back_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let value = |row: u32| if row == 30 { "3e38".into() } else { format!("0.{}", row * 7 % 10) };
    let rows: String = (0..80).map(|row| format!("{row},{}\n", value(row))).collect();
    fs::write(folder.join("a.csv"), format!("t,x\n{rows}")).unwrap();
    let settings = "train series a.csv --device cpu --scale none --window 2 --batch 1 --epochs 1 --set training.val-every=5 --json";
    let run = |on_nan: &str| bptt(folder, &format!("{settings} --out {on_nan} --set training.on-nan={on_nan}"));
    let lines = |run: &str| -> Vec<Metrics> {
        let text = fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    let stopped = run("stop");
    let stderr = String::from_utf8(stopped.stderr).unwrap();
    assert_eq!(stopped.status.code(), Some(1), "{stderr}");
    let step = lines("stop").len() as u64 + 1;
    assert!(
        stderr.contains(&format!("\nerror: step {step}: the ")) && stderr.contains("stop/model.safetensors"),
        "{stderr}"
    );

    for on_nan in ["skip", "back"] {
        let output = run(on_nan);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let lines = lines(on_nan);
        let bad = |metrics: &&Metrics| metrics.skipped;
        assert_eq!(summary["skipped"], lines.iter().filter(bad).count());
        assert_eq!(lines.iter().find(bad).map(|metrics| metrics.step), Some(step));
        assert!(lines.iter().map(|metrics| metrics.step).eq(1..=lines.len() as u64));
        let halved = lines.iter().all(|metrics| {
            let before = lines.iter().filter(|bad| bad.skipped && bad.step < metrics.step).count() as i32;
            metrics.lr == lines[0].lr * if on_nan == "back" { 0.5f64.powi(before) } else { 1.0 }
        });
        assert!(halved, "{on_nan}");
    }
}
