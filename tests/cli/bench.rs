//! `bptt bench` from outside.

use crate::common;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::program::{bptt, refused};
use serde_json::Value;

const QUICK: &str = "--seconds 0 --warmup 0 --warmup-s 0 --min-reps 2 --check-steps 2";

fn bench(folder: &Path, arguments: &str) -> Output {
    let output = bptt(folder, &format!("bench --device cpu {QUICK} {arguments}"));
    assert!(output.status.success(), "{arguments}: {}", told(&output));
    output
}

/// Standard output is lines of JSON alone.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn sizes_can_be_set_and_sequences_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = "--batch 6 --steps 5 --input 3 --hidden 7 --outputs 4";
    let output = bench(folder.path(), &format!("--cell lstm --size S {sizes}"));
    let line = &lines(&output)[0];
    for (key, size) in [("batch", 6), ("steps", 5), ("input", 3), ("hidden", 7), ("outputs", 4), ("micro_batch", 6)] {
        assert_eq!(line[key], size, "{key}");
    }
    let (rate, ms) = (line["sequences_per_s"].as_f64().unwrap(), line["ms_median"].as_f64().unwrap());
    assert!((rate * ms / 6e3 - 1.0).abs() < 0.05, "{rate} a second, {ms} ms per step");
    // 2·T·B·(G·H·(I + H) + H·O), and twice that on the way back.
    let operations = 6.0 * 30.0 * (28.0 * 10.0 + 28.0);
    let expected = operations / ms / 1e6;
    assert!((line["gflops"].as_f64().unwrap() - expected).abs() <= 0.01 + 0.01 * expected);
    // Tokens stay tokens.
    assert_eq!(lines(&bench(folder.path(), "--cell rnn --size C --batch 2 --steps 3 --hidden 8"))[0]["input"], 96);
    refused(folder.path(), "bench --cell rnn --size S --batch 0", 2, &["--batch", "from 1 to"]);
    let beyond = "bench --device cpu --cell rnn --size S --batch 1048576 --steps 1048576";
    refused(folder.path(), beyond, 2, &["x would be", "--batch"]);
    refused(folder.path(), "bench --cell rnn --device cpu", 2, &["--size"]);
}

#[test]
fn a_memory_budget_splits_the_batch_and_keeps_the_losses() {
    let folder = tempfile::tempdir().unwrap();
    let network = "--cell gru --size S --batch 512 --steps 64";
    let whole = &lines(&bench(folder.path(), network))[0];
    let cut = &lines(&bench(folder.path(), &format!("{network} --memory 64MiB")))[0];
    let rows = cut["micro_batch"].as_u64().unwrap();
    assert!((1..512).contains(&rows), "{rows}");
    for (a, b) in whole["losses"].as_array().unwrap().iter().zip(cut["losses"].as_array().unwrap()) {
        assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 2e-6, "{a} {b}");
    }
    assert!(cut["peak_rss_mb"].as_f64().unwrap() < 64.0, "{cut}");
    assert!(whole["peak_rss_mb"].as_f64().unwrap() > 64.0, "{whole}");
    refused(folder.path(), &format!("bench --device cpu {network} --memory 1MiB"), 2, &["--memory"]);
}

#[test]
fn the_reported_memory_is_that_of_the_work_and_not_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let line = &lines(&bench(folder.path(), "--cell lstm --size S --batch 512 --steps 128"))[0];
    let of = |key: &str| line[key].as_f64().unwrap();
    let (work, held) = (of("peak_rss_mb") - of("base_rss_mb"), of("device_bytes") / f64::from(1 << 20));
    // x and the classes are the host's.
    let host = (4 * 512 * 128 * (32 + 1)) as f64 / f64::from(1 << 20);
    assert!((held + host..1.3 * (held + host) + 16.0).contains(&work), "{work} MiB for {held} and {host}");
}

#[test]
fn a_sweep_doubles_the_batch_and_plots_it_beside_earlier_results() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let network = "--cell rnn --size S --steps 4 --threads 1";
    let output = bench(path, &format!("{network} --sweep 2..9 --svg rates.svg"));
    let batches: Vec<u64> = lines(&output).iter().map(|line| line["batch"].as_u64().unwrap()).collect();
    assert_eq!(batches, [2, 4, 8]);
    assert!(
        told(&output).contains("sequences/s") && told(&output).contains("no batch") | told(&output).contains("less")
    );
    let svg = fs::read_to_string(path.join("rates.svg")).unwrap();
    assert!(svg.contains("RNN of 64 units over 4 steps") && svg.contains(">8<") && !svg.contains("before"), "{svg}");
    fs::write(path.join("old.jsonl"), &output.stdout).unwrap();
    bench(path, &format!("{network} --sweep 2..4 --svg both.svg --compare old.jsonl"));
    assert!(fs::read_to_string(path.join("both.svg")).unwrap().contains("cpu, 1 thread, before"));
    // What is there is never overwritten, and nothing is measured for it.
    let flags = format!("bench --device cpu {network} --sweep 2..4 --svg rates.svg");
    refused(path, &flags, 2, &["--svg", "does not exist yet"]);
    refused(path, "bench --cell rnn --size S --sweep 8..4", 2, &["--sweep", "16..8192"]);
    refused(path, "bench --cell rnn --size S --svg x.svg", 2, &["--sweep"]);
    refused(path, "bench --cell rnn --size S --sweep 1..2 --batch 3", 2, &["--batch"]);
}

#[test]
fn changes_in_speed_are_reported_with_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let network = "--cell gru --size S --threads 1";
    let line = lines(&bench(path, network)).remove(0);
    let compare = |ms: f64| {
        let mut line = line.clone();
        for key in ["ms_median", "ms_min", "ms_p90"] {
            line[key] = ms.into();
        }
        fs::write(path.join("old.jsonl"), format!("# earlier\n{line}\n")).unwrap();
        let output = bench(path, &format!("{network} --compare old.jsonl"));
        assert_eq!(lines(&output).len(), 1);
        told(&output)
    };
    assert!(compare(1e-6).trim().ends_with("slower"));
    assert!(compare(1e6).trim().ends_with("faster"));
    let other = told(&bench(path, "--cell rnn --size S --threads 1 --compare old.jsonl"));
    assert!(other.contains("no line of this work"), "{other}");
    fs::write(path.join("broken.jsonl"), "{\"cell\":\n").unwrap();
    let flags = format!("bench --device cpu {network} --compare");
    refused(path, &format!("{flags} broken.jsonl"), 1, &["broken.jsonl, line 1"]);
    refused(path, &format!("{flags} absent.jsonl"), 1, &["absent.jsonl"]);
}

#[test]
fn a_profile_is_printed_as_a_table_and_in_json_and_its_shares_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut devices = vec![("cpu", "steps backward", "all threads together")];
    if common::gpu::gpu().is_some() {
        devices.push(("gpu", "gru_backward", "the host hands it over in"));
    }
    for (device, part, last) in devices {
        let output = bptt(folder.path(), &format!("bench --device {device} {QUICK} --cell gru --size S --profile"));
        let (line, told) = (lines(&output).remove(0), told(&output));
        assert!(told.contains(part) && told.contains(last) && told.contains("GFLOP/s"), "{told}");
        assert_eq!(told.contains("copied per step: "), device == "gpu", "{told}");
        let profile = &line["profile"];
        let copied = ["uploaded_bytes", "downloaded_bytes"].map(|key| profile[key].as_u64().is_some_and(|n| n > 0));
        assert_eq!(copied, [device == "gpu"; 2], "{line}");
        let parts = line["profile"]["parts"].as_array().unwrap();
        assert!(parts.iter().any(|of| of["name"] == part && of["calls"].as_f64().unwrap() >= 1.0), "{line}");
        let shares: Vec<f64> = parts.iter().filter_map(|part| part["share"].as_f64()).collect();
        assert!(shares.is_empty() || (shares.iter().sum::<f64>() - 1.0).abs() < 1e-2, "{shares:?}");
        assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
    }
    assert!(lines(&bench(folder.path(), "--cell rnn --size S"))[0].get("profile").is_none());
}

#[test]
fn the_basics_need_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let output = bptt(folder.path(), "bench --basics --device cpu --seconds 0");
    let line = lines(&output).remove(0);
    let products = line["products"].as_array().unwrap();
    assert_eq!(products.len(), 2);
    assert!(products.iter().all(|product| product["gflops"].as_f64().unwrap() > 0.0), "{line}");
    assert!(line["dispatch_us"].is_null(), "the CPU backend has no dispatches");
    refused(folder.path(), "bench --basics --cell rnn", 2, &["--cell"]);
}
