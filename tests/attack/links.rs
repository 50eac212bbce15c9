//! What other people have put into a run's folder, or where links out of it lead.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::case::{Case, each};
use super::forged::{Interrupted, checkpoints};
use super::runs::{OUT, Run, Wholes, same};
use super::tree::copy;

/// Names that no run gives its files.
const OTHERS: [&str; 11] = [
    "notes.part",
    "checkpoints/notes.part",
    "checkpoints/before-edit.ckpt",
    "checkpoints/x-best.ckpt",
    "checkpoints/zz.ckpt",
    "checkpoints/step-1.ckpt",
    "checkpoints/step-000000000002.ckpt.bak",
    "model.safetensors.bak",
    "data.csv",
    ".hidden.part",
    "checkpoints/step-000000000002 (copy).ckpt",
];

#[test]
fn resuming_leaves_foreign_files_unchanged() {
    let (wholes, interrupted) = (Wholes::default(), Interrupted::default());
    each("other people's files", 30, |case| {
        let run = Run::named(case.pick(&["sunspots", "lanes of a text"]));
        let (whole, _) = wholes.of(run)?;
        let is_over = case.chance(30);
        if is_over {
            copy(&whole, case.folder())
        } else {
            copy(&interrupted.of(run), case.folder())
        }
        let out = case.folder().join(OUT);
        let own = checkpoints(&out);
        let mut planted = Vec::new();
        for _ in 0..1 + case.below(4) {
            let name = case.pick(&OTHERS);
            let contents = match case.below(3) {
                0 => b"mine".to_vec(),
                // A copy made by hand, of the latest or of the one before.
                _ => fs::read(&own[case.below(own.len())]).unwrap(),
            };
            fs::write(out.join(name), &contents).unwrap();
            planted.retain(|(other, _)| *other != name);
            planted.push((name, contents));
        }
        let ended = case.bptt("train --resume run --threads 1").changes(OUT).go()?.success()?;
        for (name, contents) in planted {
            if fs::read(out.join(name)).ok() != Some(contents) {
                return ended.wrong(&format!("{name} is not as it was"));
            }
            fs::remove_file(out.join(name)).unwrap();
        }
        same(&whole.join(OUT), &out)
    });
}

/// Files that a run writes when it goes on, or reads.
const OWN: [&str; 16] = [
    "metrics.jsonl",
    "timings.jsonl",
    "config.toml",
    "checkpoints",
    "checkpoints/model.json",
    "checkpoints/latest",
    "checkpoints/finished",
    "checkpoints/finished.part",
    "model.safetensors",
    "model.safetensors.part",
    "report.html",
    "report.html.part",
    "loss.svg",
    "loss.svg.part",
    ".lock",
    "flow.jsonl",
];

/// Puts something else in the place of a file of a run: a link out of its folder, a pipe, a folder.
fn replaced(case: &Case<'_>, path: &Path) {
    let precious = case.folder().join("precious");
    let contents = fs::read(path).unwrap_or_else(|_| b"mine".to_vec());
    let is_folder = path.is_dir();
    if is_folder {
        copy(path, &precious);
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::write(&precious, contents).unwrap();
        let _ = fs::remove_file(path);
    }
    let up = if path.parent().is_some_and(|parent| parent.ends_with("checkpoints")) {
        "../../precious"
    } else {
        "../precious"
    };
    match case.below(10) {
        0 => fs::create_dir(path).unwrap(),
        1 | 2 => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        // To what is not there: it would come to exist.
        3 => symlink("../created", path).unwrap(),
        4 => symlink(path.file_name().unwrap(), path).unwrap(),
        _ => symlink(up, path).unwrap(),
    }
}

#[test]
fn links_in_a_run_folder_are_not_followed_and_pipes_do_not_block() {
    let (wholes, interrupted) = (Wholes::default(), Interrupted::default());
    each("links in runs", 60, |case| {
        let run = Run::named(case.pick(&["sunspots", "event files"]));
        let is_over = case.chance(20);
        if is_over {
            copy(&wholes.of(run)?.0, case.folder())
        } else {
            copy(&interrupted.of(run), case.folder())
        }
        let out = case.folder().join(OUT);
        let name = case.pick(&OWN);
        let path = match name {
            "checkpoints/latest" => checkpoints(&out).pop().unwrap(),
            name => out.join(name),
        };
        let told = |reason: String| format!("{}, {name}: {reason}", run.0);
        replaced(case, &path);
        let cpu = "--device cpu --threads 1";
        let calls = [
            case.bptt("train --resume run --threads 1").changes(OUT),
            case.bptt(&format!("eval run {cpu}")),
            case.bptt("inspect run"),
            case.bptt(&format!("train --resume run --epochs 4 {cpu} --out longer")),
        ];
        let mut calls: Vec<_> = calls.into_iter().collect();
        let call = calls.swap_remove(if case.chance(70) { 0 } else { case.below(4) });
        let ended = call.go().map_err(told)?;
        match case.folder().join("created").symlink_metadata() {
            Ok(_) => ended.wrong("wrote through a link out of the run's folder").map_err(told),
            Err(_) => Ok(()),
        }
    });
}
