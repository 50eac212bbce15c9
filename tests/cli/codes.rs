//! Exit codes, from outside: the same mistake has the same one in every command, and 0 is for finished work alone.

use crate::common::program;
use std::fs;
use std::path::Path;

use crate::common::program::{bptt, succeeds, train};

/// A folder with runs of a series, `s`, and of a text, `t`, with their data.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows: String = (0..60).map(|row| format!("{row},{:.3}\n", (f64::from(row) * 0.7).sin())).collect();
    fs::write(path.join("s.csv"), format!("t,level\n{rows}")).unwrap();
    fs::write(path.join("t.txt"), "to be or not to be ".repeat(60)).unwrap();
    train(path, "s", "series s.csv --target level --window 5 --hidden 3 --steps 2");
    train(path, "t", "text t.txt --window 8 --batch 4 --hidden 3 --steps 2");
    folder
}

#[track_caller]
fn ends(folder: &Path, arguments: &str, code: i32) {
    let output = bptt(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    assert_eq!(stderr.contains("error: "), code != 0, "{arguments}: {stderr}");
}

#[test]
fn every_command_exits_with_0_on_success() {
    let folder = folder();
    let bench = "bench --device cpu --cell rnn --size S --seconds 0 --warmup 0 --warmup-s 0 --min-reps 1";
    for arguments in [
        "train --resume s",
        "plan series s.csv --target level --device cpu",
        "eval s --device cpu",
        "predict s --device cpu",
        "forecast s --device cpu",
        "sample t --device cpu --length 5",
        "flow s --device cpu",
        "gradcheck --device cpu --hidden 2 --length 3 --elements 5",
        "inspect s",
        "export s s.onnx",
        "devices",
        bench,
        "init",
        "completions bash",
        "man",
        "--help",
        "--version",
        "train --help",
    ] {
        ends(folder.path(), arguments, 0);
    }
}

#[test]
fn a_missing_or_wrong_file_exits_with_1_in_every_command() {
    let folder = folder();
    fs::write(folder.path().join("wrong.csv"), "t,level\n1,a\n2,b\n").unwrap();
    for arguments in [
        "train series none.csv",
        "train --config none.toml",
        "train --resume none",
        "train series s.csv --init-from none",
        "train series wrong.csv --target level",
        "plan none",
        "plan series none.csv",
        "eval none",
        "eval s none.csv",
        "predict none",
        "forecast none",
        "forecast s wrong.csv",
        "sample none",
        "flow none",
        "flow --compare s t",
        "gradcheck none",
        "inspect none",
        "inspect s.csv",
        "export none x.onnx",
        "bench --cell rnn --size S --compare none.jsonl",
        "train --device abacus",
    ] {
        ends(folder.path(), &format!("{arguments}{}", on_cpu(arguments)), 1);
    }
}

fn on_cpu(arguments: &str) -> &'static str {
    let takes = ["train", "plan", "eval", "predict", "forecast", "sample", "stream", "flow", "gradcheck", "bench"];
    let named = arguments.contains("--device") || arguments.contains("--resume");
    let takes = takes.iter().any(|command| arguments.split(' ').next() == Some(command));
    if takes && !named { " --device cpu" } else { "" }
}

#[test]
fn an_invalid_flag_or_key_exits_with_2_in_every_command() {
    let folder = folder();
    let path = folder.path();
    let keys = [
        ("unknown.toml", "[model]\nhiden = 3\n"),
        ("range.toml", "[model]\nhidden = 0\n"),
        ("type.toml", "[model]\nhidden = \"many\"\n"),
        ("syntax.toml", "[model\n"),
        ("meaning.toml", "[model]\ncell = \"gru\"\nactivation = \"relu\"\n"),
    ];
    for (name, text) in keys {
        fs::write(path.join(name), text).unwrap();
        ends(path, &format!("train --config {name}"), 2);
        ends(path, &format!("plan --config {name}"), 2);
    }
    assert_eq!(bptt(path, "").status.code(), Some(2), "help alone is not what was asked for");
    for arguments in [
        "trian",
        "train --hiden 3",
        "train --hidden 0",
        "train --cell gru --set model.activation=relu",
        "train --split 0.5,0.6,0.1",
        "train --split 0,0,1",
        "plan --batch auto --set training.micro-batch=3",
        "plan --memory 1KiB --device cpu",
        "eval s --window 0",
        "eval s/model.safetensors",
        "predict s --season 0",
        "predict t --device cpu",
        "forecast t",
        "forecast s --rows 0",
        "sample s",
        "sample t --temperature -1",
        "flow",
        "flow s t",
        "flow s --hidden 3",
        "gradcheck --cell gru --set model.activation=relu",
        "gradcheck s --cell gru",
        "inspect",
        "export s s.txt",
        "export s s.safetensors --names a",
        "devices --what",
        "bench",
        "bench --cell rnn --size S --batch 0",
        "bench --cell rnn --size L --batch 1000000 --steps 1000000",
        "init a b",
        "completions abacus",
        "man --what",
    ] {
        ends(path, arguments, 2);
    }
}

#[test]
fn an_existing_output_exits_with_2_and_is_kept() {
    let folder = folder();
    let path = folder.path();
    for name in ["x.csv", "x.svg", "x.onnx", "x.safetensors", "bptt.toml", "x.toml"] {
        fs::write(path.join(name), "mine").unwrap();
    }
    succeeds(path, "man --out pages");
    for arguments in [
        "train --device cpu --out s",
        "train --device cpu --out x.csv",
        "predict s --device cpu --out x.csv",
        "forecast s --device cpu --out x.csv",
        "forecast s --device cpu --svg x.svg",
        "flow s --device cpu --out x.svg",
        "export s x.onnx",
        "export s x.safetensors",
        "bench --device cpu --cell rnn --size S --sweep 1..2 --svg x.svg",
        "init",
        "init x.toml",
        "man --out pages",
    ] {
        ends(path, arguments, 2);
        let said = String::from_utf8(bptt(path, arguments).stderr).unwrap();
        assert!(said.contains("does not exist yet") && said.contains("nothing was written"), "{arguments}: {said}");
    }
    for name in ["x.csv", "x.svg", "x.onnx", "x.safetensors", "bptt.toml", "x.toml"] {
        assert_eq!(fs::read_to_string(path.join(name)).unwrap(), "mine");
    }
}

#[test]
fn numbers_that_are_not_finite_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows: String = (0..40).map(|row| format!("{row},{}\n", if row == 20 { "3e38" } else { "0.5" })).collect();
    fs::write(path.join("a.csv"), format!("t,x\n{rows}")).unwrap();
    ends(path, "train series a.csv --device cpu --scale none --window 2 --batch 1 --epochs 1", 1);
}

/// What a shell reports: a command that does not keep anything ends by the signal itself.
#[cfg(unix)]
#[test]
fn a_signal_ends_every_long_command_with_130_or_143() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // A shell's background job begins with SIGINT ignored, and so would whatever it starts; a signal that is handled
    // here has its default in there.
    signal_hook::flag::register(signal_hook::consts::SIGINT, std::sync::Arc::default()).unwrap();
    let long = [
        "flow task adding --device cpu --length 30 --steps 100000000 --out flow.svg",
        "gradcheck --device cpu --hidden 40 --length 400 --batch 40 --elements 1000000",
        "bench --device cpu --cell rnn --size S --sweep 1..8192 --seconds 1000 --svg sweep.svg",
        "sample --device cpu --length 100000000 t",
    ];
    fs::write(path.join("t.txt"), "to be or not to be ".repeat(60)).unwrap();
    train(path, "t", "text t.txt --window 8 --batch 4 --hidden 3 --steps 2");
    let before = program::entries(path);
    for (arguments, (signal, code)) in long.iter().zip([("-INT", 130), ("-TERM", 143)].into_iter().cycle()) {
        let mut child = program::command(path, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // By then it is a process of its own, wherever it stands in its work.
        while fs::read_to_string(format!("/proc/{}/comm", child.id())).is_ok_and(|name| name.trim() != "bptt") {}
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code().or(status.signal().map(|signal| 128 + signal)), Some(code), "{arguments}");
        assert_eq!(program::entries(path), before, "{arguments}");
    }
}

/// A run that is asked to end a second time does so at once: what it had stored is what `--resume` goes on from.
#[cfg(unix)]
#[test]
fn a_second_signal_ends_a_run_at_once_and_it_can_be_resumed() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // One step takes long enough for both signals, since the first waits for it.
    let run = "train task adding --device cpu --length 400 --hidden 64 --batch 64 --steps 4000 --set training.checkpoint-every=1";
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let out = format!("a{signal}");
        let mut child = program::command(path, &format!("{run} --out {out}")).stdout(Stdio::null()).spawn().unwrap();
        while !path.join(&out).join("checkpoints/step-000000000001.ckpt").exists() {
            assert!(child.try_wait().unwrap().is_none(), "the run had ended before it was asked to");
        }
        for _ in 0..2 {
            // The second may find the process gone, where the first had been obeyed by then.
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
        }
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(!path.join(&out).join("checkpoints/finished").exists());
    }
}

/// As schedulers do before they end a job.
#[cfg(unix)]
#[test]
fn sigusr1_saves_a_checkpoint_and_the_run_goes_on() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let run = "train task adding --device cpu --length 10 --hidden 4 --batch 4 --steps 100000000 --set \
               training.checkpoint-every=100000000 --out a";
    let mut child = program::command(path, run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoints = || {
        let files = fs::read_dir(path.join("a/checkpoints")).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|of| of == "ckpt")).count()
    };
    while !path.join("a/metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0) {}
    let before = checkpoints();
    let send = |signal: &str| {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success())
    };
    send("-USR1");
    while checkpoints() <= before {}
    send("-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// Each of them would train the whole network, and with MPI the commands that nothing shares out would do the same work.
#[test]
fn processes_of_a_launcher_that_cannot_share_a_run_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for variable in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let run = |arguments: &str| {
            let output = program::command(path, arguments).env(variable, "4").output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, said) = run("devices");
        assert!(code == Some(2) && said.contains("got 4 processes of a launcher"), "{said}");
        if cfg!(not(feature = "mpi")) {
            let (code, said) = run("train --device cpu --steps 1");
            assert!(code == Some(2) && said.contains("build it with --features mpi"), "{said}");
        }
    }
    assert!(program::entries(path).is_empty());
}
