//! What comes from files of any kind is bounded: what is no file is refused by what it is, small files take little
//! memory, and what files tell is held to the bounds that flags have.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::program::{bptt, train};

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// What is said of what must be refused.
#[track_caller]
fn refusal(folder: &Path, arguments: &str) -> String {
    let output = bptt(folder, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)) && told.starts_with("error: "), "{arguments}: {told}");
    told
}

/// A safetensors file of no tensors with this description.
fn described(description: &str) -> Vec<u8> {
    let header = format!(r#"{{"__metadata__":{{"bptt":{}}}}}"#, serde_json::to_string(description).unwrap());
    [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
}

fn description(sizes: &str, outputs: usize, data: &str) -> String {
    let recurrent = format!(r#"{{"cell":"lstm",{sizes}}}"#);
    let head = format!(r#"{{"outputs":{outputs},"loss":"squared-error","readout":"last"}}"#);
    format!(r#"{{"format":2,"bptt":"0.1.0","model":{{"recurrent":{recurrent},"head":{head}}},"data":{data}}}"#)
}

const ADDING: &str = r#"{"task":{"name":"adding"}}"#;

#[test]
fn a_model_file_is_held_to_the_limits_of_the_flags() {
    let folder = folder("cli_inputs_model");
    let keys = |end: u32| format!(r#"{{"rolls":{{"keys":{{"numbers":{{"start":0,"end":{end}}}}}}}}}"#);
    let cases = [
        (r#""input_size":2,"hidden_size":1,"layers":16777216"#, ADDING.to_owned(), "layers: expected 1 to 64"),
        (r#""input_size":2,"hidden_size":16777217,"layers":1"#, ADDING.to_owned(), "hidden_size: expected 1"),
        (r#""input_size":2,"hidden_size":1,"layers":1"#, keys(u32::MAX), "expected a network of 4294967296"),
        (r#""input_size":2,"hidden_size":1,"layers":1"#, keys(3), "expected a network of 4 inputs and 4 out"),
    ];
    for (sizes, data, expected) in cases {
        fs::write(folder.join("a.safetensors"), described(&description(sizes, 1, &data))).unwrap();
        for command in ["inspect a.safetensors", "eval a.safetensors x.csv", "export a.safetensors a.onnx"] {
            let told = refusal(&folder, command);
            assert!(told.contains("a.safetensors: the model's description: ") && told.contains(expected), "{told}");
        }
    }
}

#[cfg(unix)]
#[test]
fn special_files_are_refused_by_every_command_that_reads_one() {
    let folder = folder("cli_inputs_kinds");
    assert!(std::process::Command::new("mkfifo").arg(folder.join("fifo")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", folder.join("zeros")).unwrap();
    fs::write(folder.join("a.csv"), "t,x\n1,2\n2,3\n").unwrap();
    for (file, what) in [("fifo", "a pipe"), ("zeros", "a device")] {
        for command in [
            "train text",
            "train series",
            "train sequences",
            "train classes",
            "train rolls",
            "train series a.csv --init-from",
            "train --config",
            "plan --config",
            "inspect",
            "eval",
            "sample",
            "stream",
            "gradcheck",
            "bench --cell lstm --size S --compare",
            "train sequences a.csv --labels",
        ] {
            let told = refusal(&folder, &format!("{command} {file}"));
            let expected = format!(": expected a regular file, got {what}");
            assert!(told.contains(&expected), "{command}: {told}");
        }
    }
}

#[test]
fn the_input_limit_is_named_and_can_be_raised() {
    let folder = folder("cli_inputs_limit");
    let rows: String = (0..200).fold("t,x\n".into(), |mut text, n| {
        writeln!(text, "{n},{}", n * n % 17).unwrap();
        text
    });
    fs::write(folder.join("a.csv"), &rows).unwrap();
    let told = refusal(&folder, "train series a.csv --set series.input-limit=1000");
    let expected = format!(
        "a.csv: expected at most 1000 bytes, got {} in the file; an input-limit of 1MiB allows them",
        rows.len()
    );
    assert!(told.contains(&expected), "{told}");
    train(&folder, "raised", "series a.csv --window 4 --steps 1 --set series.input-limit=1MiB");
    // The configuration has it too.
    fs::write(folder.join("a.toml"), "[series]\nfile = \"a.csv\"\ninput-limit = 1000\n").unwrap();
    assert!(refusal(&folder, "train --config a.toml").contains("expected at most 1000 bytes"));
}

#[test]
fn many_and_long_names_are_read_in_linear_time_and_shown_in_part() {
    let folder = folder("cli_inputs_names");
    // One name against all others would be some ten thousand million comparisons.
    let columns = 100_000;
    let mut text = String::from("t");
    (0..columns).for_each(|n| write!(text, ",column{n}").unwrap());
    for row in 0..3 {
        write!(text, "\n{row}").unwrap();
        (0..columns).for_each(|n| write!(text, ",{}", (row * n) % 7).unwrap());
    }
    fs::write(folder.join("wide.csv"), &text).unwrap();
    let told = refusal(&folder, "plan series wide.csv --target none");
    assert!(told.len() < 4000 && told.contains("column38 and ") && told.contains(" more"), "{told}");
    let told = refusal(&folder, "plan series wide.csv");
    assert!(told.len() < 4000 && told.contains(" more"), "{told}");
    let output =
        bptt(&folder, "plan series wide.csv --device cpu --target column1 --features all --window 1 --hidden 1");
    // Read whole, and refused for what its three rows are too few for, if at all.
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.len() < 4000, "{told}");
    let classes: String = (0..60_000).fold("@classLabel true".into(), |mut text, n| {
        write!(text, " class{n}").unwrap();
        text
    });
    fs::write(folder.join("a.ts"), format!("{classes}\n@data\n1,2:class1\n1,2:other\n")).unwrap();
    let told = refusal(&folder, "plan sequences a.ts");
    assert!(told.len() < 4000 && told.contains("class39 and 59960 more, got \"other\""), "{told}");
    // A name of a million letters, through the pictures and the report of a run.
    let name = "ab".repeat(500_000);
    let rows: String = (0..60).fold(format!("t,{name}\n"), |mut text, n| {
        writeln!(text, "{n},{}", n * n % 17).unwrap();
        text
    });
    fs::write(folder.join("long.csv"), rows).unwrap();
    train(&folder, "long", "series long.csv --window 4 --steps 1");
    let told = refusal(&folder, &format!("plan series long.csv --target {}", &name[..1000]));
    assert!(told.len() < 8000, "{} bytes", told.len());
}

#[test]
fn a_list_in_a_configuration_is_checked_in_linear_time() {
    let folder = folder("cli_inputs_list");
    let list = |last: &str| {
        let mut text = String::from("[series]\nfile = \"a.csv\"\nfeatures = [");
        (0..100_000).for_each(|n| writeln!(text, "\"column{n}\",").unwrap());
        writeln!(text, "{last}]").unwrap();
        text
    };
    fs::write(folder.join("a.toml"), list("\"b\"")).unwrap();
    let output = bptt(&folder, "train --config a.toml --dump-config");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("line "), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(
        folder.join("a.toml"),
        "[series]\nfile = \"a.csv\"\nsplit = [0.5, 0.25, 0.25]\n\nquantiles = [0.1, 0.5, 7.0]\n",
    )
    .unwrap();
    let told = refusal(&folder, "train --config a.toml");
    assert!(told.contains("line 5, series.quantiles: expected numbers above 0 and below 1, got 7.0"), "{told}");
}

/// The most bytes that a plan of a file takes, what it tells of them, and those of the file; `None` where the system
/// does not tell.
#[cfg(target_os = "linux")]
fn taken(folder: &Path, kind: &str, file: &str, arguments: &str) -> i64 {
    use std::process::{Command, Stdio};
    let arguments = format!("plan {kind} {file} --json --device cpu --threads 1 --hidden 2 --batch 2{arguments}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bptt"));
    command.args(arguments.split(' ')).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let most = std::thread::spawn(move || {
        let mut most = 0;
        let now = |text: String| -> Option<i64> {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        while let Some(kilobytes) = fs::read_to_string(&status).ok().and_then(now) {
            most = kilobytes;
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        most * 1024
    });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let planned: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let planned = planned["total_bytes"].as_i64().unwrap();
    let size = fs::metadata(folder.join(file)).unwrap().len() as i64;
    most.join().unwrap() - planned - 2 * size
}

#[cfg(target_os = "linux")]
#[test]
fn reading_needs_the_planned_memory_and_twice_the_file() {
    let folder = folder("cli_inputs_rows");
    // Of one step each: a byte of the array, and one of its labels.
    let npy = |shape: String, data: Vec<u8>| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &data].concat()
    };
    let day = |n: usize| format!("{}-{:02}-{:02}", 2000 + n / 336, 1 + n / 28 % 12, 1 + n % 28);
    let row = |kind: &str, n: usize| match kind {
        "series" => format!("{n},{}\n", n * n % 17),
        // In no order, and with numbers that f32 does not hold.
        "long" => format!("{},{},{},{}.1,{}\n", n % 5000, day(n / 5000 * 37 % 101), n % 5000 % 2, n % 17, n % 13),
        _ => format!("{},{},{},{},{}\n", n / 20, n % 20, n / 20 % 2, n % 17, n % 13),
    };
    for (rows, kind, head, arguments) in [
        ("series", "series", "t,x\n", " --window 4"),
        ("long", "sequences", "id,time,label,x,y\n", ""),
        ("short", "sequences", "id,time,label,x,y\n", ""),
        ("bytes", "sequences", "", " --labels y.npy"),
    ] {
        let beyond = [1_000_000, 8_000_000].map(|size| {
            if rows == "bytes" {
                let n = size / 4;
                fs::write(folder.join("y.npy"), npy(format!("{n},"), (0..n).map(|n| (n % 2) as u8).collect())).unwrap();
                fs::write(folder.join("a.npy"), npy(format!("{n}, 1"), vec![1; n])).unwrap();
                return taken(&folder, kind, "a.npy", arguments);
            }
            let mut text = String::from(head);
            for n in 0.. {
                text += &row(rows, n);
                if text.len() > size {
                    break;
                }
            }
            fs::write(folder.join("a.csv"), text).unwrap();
            taken(&folder, kind, "a.csv", arguments)
        });
        assert!(beyond[1] < 100_000_000 && beyond[1] - beyond[0] < 10_000_000, "{rows}: {beyond:?}");
    }
}
