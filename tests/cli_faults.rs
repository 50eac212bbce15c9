//! A disk that is full, and folders that cannot be written into.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bptt::train::Checkpoint;
use program::{bptt, entries, train};

/// `bptt` in a folder of which no file can grow beyond so many blocks of 512 bytes: further ones are refused as on a full
/// disk.
fn on_a_small_disk(folder: &Path, blocks: u64, arguments: &str) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {arguments}");
    Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_bptt")]).current_dir(folder).output().unwrap()
}

#[test]
fn a_checkpoint_that_finds_no_room_leaves_the_one_before_it_and_the_run_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // From the first validation on a checkpoint holds the best weights too, and is larger.
    let settings = "--steps 6 --val-every 4 --keep best --checkpoint-every 1 --checkpoints 9 --hidden 32";
    train(folder, "whole", settings);
    let size = |step| fs::metadata(folder.join(format!("whole/checkpoints/step-{step:012}.ckpt"))).unwrap().len();
    let (before, after) = (size(3), size(4));
    let blocks = (before.div_ceil(512) + after / 512) / 2;
    assert!(512 * blocks >= before && 512 * blocks < after, "{before} {after}");
    let output = on_a_small_disk(folder, blocks, &format!("train --device cpu --out full {settings}"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("full/checkpoints/step-000000000004.ckpt: "), "{stderr}");
    let left = entries(&folder.join("full/checkpoints"));
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
fn a_folder_that_cannot_be_written_into_is_told_before_any_step() {
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
