//! What the program writes beside other people's files: which names are its own, and what it leaves alone.

use crate::common::program;
use std::fs;
use std::path::Path;

use crate::common::program::{entries, refused, succeeds, train};

/// A run of 6 steps, all of whose checkpoints are kept, before anything was made of its last step.
fn unfinished(folder: &Path) {
    train(folder, "a", "--steps 6 --set training.checkpoint-every=1 --set training.checkpoints=9 --hidden 4 --seed 3");
    fs::remove_file(folder.join("a/checkpoints/finished")).unwrap();
    // Finished, of its checkpoints the last one alone is left; a run before has the others.
    train(folder, "b", "--steps 6 --set training.checkpoint-every=1 --set training.checkpoints=9 --hidden 5 --seed 3");
}

#[test]
fn a_resumed_run_deletes_no_file_that_it_did_not_write() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    unfinished(folder);
    let run = folder.join("a");
    let last = run.join("checkpoints/step-000000000006.ckpt");
    let others = [
        "notes.part",
        "metrics.jsonl.part.part",
        "checkpoints/notes.part",
        "checkpoints/before-edit.ckpt",
        "checkpoints/step-6.ckpt",
        "checkpoints/step-0000000000006.ckpt",
        "checkpoints/step-000000000006.ckpt.bak",
        "checkpoints/step-000000000003 copy.ckpt",
        "checkpoints/x-best.ckpt",
    ];
    for name in others {
        fs::copy(&last, run.join(name)).unwrap();
    }
    // Of its own names, but of another run's contents.
    fs::copy(folder.join("b/checkpoints/step-000000000006.ckpt"), run.join("checkpoints/step-000000000002.ckpt"))
        .unwrap();
    fs::write(run.join("checkpoints/step-000000000001.ckpt"), "what somebody else keeps here").unwrap();
    // What it was at itself when it ended.
    let own = ["checkpoints/step-000000000004.ckpt.part", "model.safetensors.part", "metrics.jsonl.part"];
    own.iter().for_each(|name| fs::write(run.join(name), "half").unwrap());
    let said = succeeds(folder, "train --resume a");
    assert!(said.contains("resumes after step 6\n"), "{said}");
    let left = |name: &str| run.join(name).exists();
    others.iter().for_each(|name| assert!(left(name), "{name} is gone"));
    assert!(left("checkpoints/step-000000000002.ckpt") && left("checkpoints/step-000000000001.ckpt"));
    own.iter().filter(|name| **name != "metrics.jsonl.part").for_each(|name| assert!(!left(name), "{name} is left"));
    assert!(last.exists());
}

#[test]
fn a_run_resumes_from_its_own_latest_checkpoint_among_foreign_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    unfinished(folder);
    let checkpoints = folder.join("a/checkpoints");
    let of_other = folder.join("b/checkpoints/step-000000000006.ckpt");
    for name in ["x-best.ckpt", "step-zzz.ckpt", "step-000000000009.ckpt"] {
        fs::copy(&of_other, checkpoints.join(name)).unwrap();
    }
    let said = succeeds(folder, "train --resume a");
    assert!(said.contains("resumes after step 6\n"), "{said}");
    assert!(
        said.contains("not from a/checkpoints/step-000000000009.ckpt: expected a checkpoint of the run's"),
        "{said}"
    );
    assert!(!said.contains("x-best") && !said.contains("zzz"), "{said}");
    assert!(checkpoints.join("step-000000000009.ckpt").exists());
}

/// The links that a run must not write through, each with the file that it leads to.
#[cfg(unix)]
#[test]
fn a_run_writes_through_no_link_out_of_its_folder() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    unfinished(folder);
    let precious = folder.join("precious");
    let names = [
        "metrics.jsonl",
        "timings.jsonl",
        ".lock",
        "model.safetensors",
        "model.safetensors.part",
        "loss.svg",
        "report.html",
        "checkpoints/model.json.part",
    ];
    for name in names {
        let (path, aside) = (folder.join("a").join(name), folder.join("aside"));
        let had = fs::rename(&path, &aside).is_ok();
        for text in ["precious", ""] {
            // Also one that leads to what is not there yet.
            if !text.is_empty() {
                fs::write(&precious, text).unwrap();
            }
            symlink(&precious, &path).unwrap();
            let output = program::bptt(folder, "train --resume a");
            let stderr = String::from_utf8(output.stderr).unwrap();
            // What is made of the steps in the end is no reason not to end.
            let code = i32::from(!["loss.svg", "report.html"].contains(&name));
            assert_eq!(output.status.code(), Some(code), "{name}: {stderr}");
            let _ = fs::remove_file(folder.join("a/checkpoints/finished"));
            assert!(stderr.contains(name) && stderr.contains("got a link"), "{name}: {stderr}");
            assert!(path.is_symlink(), "{name}");
            match text {
                "" => assert!(!precious.exists(), "{name}"),
                text => {
                    assert_eq!(fs::read_to_string(&precious).unwrap(), text, "{name}");
                    fs::remove_file(&precious).unwrap();
                }
            }
            fs::remove_file(&path).unwrap();
        }
        if had {
            fs::rename(&aside, &path).unwrap();
        }
    }
    // A folder that is a link, too.
    fs::rename(folder.join("a/checkpoints"), folder.join("elsewhere")).unwrap();
    symlink("../elsewhere", folder.join("a/checkpoints")).unwrap();
    let before = entries(&folder.join("elsewhere"));
    refused(folder, "train --resume a", 1, &["a/checkpoints", "got a link"]);
    assert_eq!(entries(&folder.join("elsewhere")), before);
}

/// A pipe that nobody writes into would be waited for.
#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_run_file_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    unfinished(folder);
    fs::remove_file(folder.join("a/model.safetensors")).unwrap();
    let names = ["metrics.jsonl", ".lock", "checkpoints/step-000000000006.ckpt", "checkpoints/model.json"];
    for name in names {
        let (path, aside) = (folder.join("a").join(name), folder.join("aside"));
        fs::rename(&path, &aside).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let output = program::bptt(folder, "train --resume a");
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!((stdout + &stderr).contains("got something else"), "{name}: {stderr}");
        if name.starts_with("checkpoints/") {
            assert!(program::bptt(folder, "eval a --device cpu").status.code().is_some(), "{name}");
        }
        assert!(!path.is_file() && path.exists(), "{name}");
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        let _ = fs::remove_file(folder.join("a/checkpoints/finished"));
        let _ = fs::remove_file(folder.join("a/model.safetensors"));
    }
}

#[cfg(unix)]
#[test]
fn a_hard_link_to_a_run_file_keeps_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    unfinished(folder);
    let (file, backup) = (folder.join("a/metrics.jsonl"), folder.join("backup"));
    let lines = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{lines}half a li")).unwrap();
    fs::hard_link(&file, &backup).unwrap();
    succeeds(folder, "train --resume a");
    assert_eq!(fs::read_to_string(&file).unwrap(), lines);
    assert_eq!(fs::read_to_string(&backup).unwrap(), format!("{lines}half a li"));
}

#[test]
fn only_a_folder_left_before_its_configuration_is_reused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let begun = "bptt: a run that does not have its configuration yet\n";
    // A kill at each moment: behind the folder, its lock, the mark in it, and the files of a longer run.
    let moments: [&[(&str, &str)]; 4] = [
        &[],
        &[(".lock", "")],
        &[(".lock", begun), ("config.toml.part", "[ru")],
        &[
            (".lock", begun),
            ("metrics.jsonl", "1"),
            ("timings.jsonl.part", ""),
            ("checkpoints/model.json", "{}"),
            ("checkpoints/step-000000000006.ckpt", "half"),
        ],
    ];
    for (index, files) in moments.iter().enumerate() {
        let out = format!("run-{index}");
        fs::create_dir_all(folder.join(&out).join("checkpoints")).unwrap();
        if !files.iter().any(|(name, _)| name.contains('/')) {
            fs::remove_dir(folder.join(&out).join("checkpoints")).unwrap();
        }
        files.iter().for_each(|(name, text)| fs::write(folder.join(&out).join(name), text).unwrap());
        train(folder, &out, "--steps 2 --hidden 4");
        assert_eq!(fs::read_to_string(folder.join(&out).join(".lock")).unwrap(), "");
        assert_eq!(entries(&folder.join(&out).join("checkpoints")).len(), 3);
        // Now it is one.
        refused(folder, &format!("train --device cpu --steps 2 --out {out}"), 2, &["--out", "does not exist yet"]);
    }
    let others: [&[(&str, &str)]; 5] = [
        &[("notes.txt", "mine")],
        &[(".lock", ""), ("metrics.jsonl", "mine")],
        &[(".lock", "mine")],
        &[(".lock", begun), ("notes.txt", "mine")],
        &[(".lock", begun), ("config.toml", "")],
    ];
    for (index, files) in others.iter().enumerate() {
        let out = format!("other-{index}");
        fs::create_dir(folder.join(&out)).unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.join(&out).join(name), text).unwrap());
        let before = entries(&folder.join(&out));
        refused(folder, &format!("train --device cpu --steps 2 --out {out}"), 2, &["--out", "or an empty one"]);
        assert_eq!(entries(&folder.join(&out)), before);
        files
            .iter()
            .for_each(|(name, text)| assert_eq!(fs::read_to_string(folder.join(&out).join(name)).unwrap(), *text));
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_partial_output_and_the_name_can_be_reused() {
    use std::process::Command;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "run", "--steps 2 --hidden 64");
    fs::write(folder.join("text.txt"), "abcd ".repeat(400)).unwrap();
    // No file can grow beyond 512 bytes: further ones are refused as on a full disk.
    let cases = [
        ("init c.toml", "c.toml"),
        ("export run m.onnx", "m.onnx"),
        ("export run m.safetensors", "m.safetensors"),
        ("predict run --device cpu --out p.csv", "p.csv"),
        ("forecast run --device cpu --rows 200 --out f.csv", "f.csv"),
        ("forecast run --device cpu --svg f.svg", "f.svg"),
        ("flow run --device cpu --out flow.svg", "flow.svg"),
        ("man --out .", "bptt.1"),
    ];
    for (arguments, file) in cases {
        let before = entries(folder);
        let script = format!("trap '' XFSZ; ulimit -f 1; exec \"$0\" {arguments}");
        let mut command = Command::new("sh");
        let output = command.args(["-c", &script, env!("CARGO_BIN_EXE_bptt")]).current_dir(folder).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
        assert!(stderr.contains(file), "{arguments}: {stderr}");
        assert_eq!(entries(folder), before, "{arguments}");
        succeeds(folder, arguments);
        assert!(folder.join(file).is_file(), "{arguments}");
        let whole = fs::read(folder.join(file)).unwrap();
        refused(folder, arguments, 2, &[file, "does not exist yet"]);
        assert_eq!(fs::read(folder.join(file)).unwrap(), whole);
    }
    assert!(entries(folder).iter().all(|name| !name.ends_with(".part")));
}
