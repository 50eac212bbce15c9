//! Searches over settings, from outside: kills, several workers, ranks, and what fails.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::common::program::{bptt, command, json, read, refused, succeeds, train};

/// A folder with `s.csv`, 90 rows of a wave, and `s.toml`, which forecasts it with `sweep` behind it.
fn folder(sweep: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| format!("{},{}\n", 1900 + row, (9.0 * (row as f64 * 0.52).sin()).round() + 20.0);
    let rows: String = (0..90).map(row).collect();
    fs::write(folder.path().join("s.csv"), format!("year,a\n{rows}")).unwrap();
    fs::write(folder.path().join("s.toml"), format!("{FIXED}{sweep}")).unwrap();
    folder
}

const FIXED: &str = "[series]\nfile = \"s.csv\"\nwindow = 6\n[run]\ndevice = \"cpu\"\nthreads = 1\n[training]\nsteps = 18\n\
                     val-every = 2\nbatch = 16\ncheckpoint-every = 1\n";

const SPACE: &str = "[sweep.space]\ntraining.lr = { log-uniform = [1e-4, 1e-1] }\nmodel.hidden = { integers = [2, 5] }\n\
                     model.cell = [\"gru\", \"lstm\"]\n";

fn halving(trials: usize) -> String {
    format!("[sweep]\ntrials = {trials}\nhalving = 3\nrungs = 3\n{SPACE}")
}

/// The lines of a sweep's table as maps from the names of its columns.
fn table(folder: &Path, sweep: &str) -> Vec<HashMap<String, String>> {
    let text = read(folder, &format!("{sweep}/sweep.csv"));
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    lines.map(|line| names.iter().cloned().zip(line).collect()).collect()
}

#[track_caller]
fn assert_same_results(folder: &Path, a: &str, b: &str) {
    let [one, other] = [a, b].map(|sweep| read(folder, &format!("{sweep}/sweep.csv")));
    assert_eq!(one, other);
    // The names of the sweeps are all that differs.
    let [one, other] = [a, b].map(|sweep| {
        let mut summary: Value = serde_json::from_str(&read(folder, &format!("{sweep}/metrics.json"))).unwrap();
        summary["sweep"].take();
        summary["winner"]["command"].take();
        summary
    });
    assert_eq!(one, other);
}

/// The number of files in a folder of the sweep whose names end so.
fn count(folder: &Path, within: &str, ending: &str) -> usize {
    let entries = folder.join(within).read_dir().into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(ending)).count()
}

fn start(folder: &Path, arguments: &str) -> Child {
    command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[track_caller]
fn wait_until(child: &mut Child, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert!(child.try_wait().unwrap().is_none(), "it had ended before it could be killed");
        sleep(Duration::from_millis(1));
    }
}

/// The files of all runs that must not depend on kills.
fn runs(folder: &Path, sweep: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for trial in folder.join(sweep).read_dir().unwrap().flatten() {
        if !trial.file_name().to_string_lossy().starts_with("trial-") {
            continue;
        }
        for seed in trial.path().read_dir().unwrap().flatten() {
            for file in ["model.safetensors", "metrics.jsonl", "config.toml", "forecast.csv"] {
                let path = seed.path().join(file);
                let name = path.strip_prefix(folder.join(sweep)).unwrap().to_owned();
                found.push((name, fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_sweep_of_24_trials_with_halving_that_was_killed_five_times_ends_like_one_that_was_not() {
    let folder = folder(&halving(24));
    let path = folder.path();
    succeeds(path, "sweep s.toml --out whole");
    for kill in 0..5 {
        let mut child = start(path, "sweep s.toml --out killed");
        let done = count(path, "killed/results", ".json");
        wait_until(&mut child, || count(path, "killed/results", ".json") > done + 2 + kill);
        // In the midst of a run: it is claimed, and has no result.
        let claimed = count(path, "killed/claims", ".claim-1");
        wait_until(&mut child, || count(path, "killed/claims", ".claim-1") > claimed);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!path.join("killed/sweep.csv").exists(), "it had ended");
    }
    succeeds(path, "sweep --worker killed");
    assert_same_results(path, "whole", "killed");
    assert!(runs(path, "whole") == runs(path, "killed"), "the runs differ");
    let trials = table(path, "killed");
    let of_rung = |rung: &str| trials.iter().filter(|trial| trial["rung"] == rung).count();
    assert_eq!([of_rung("1"), of_rung("2"), of_rung("3")], [16, 6, 2]);
    // Each step of a run is in its log once, up to the end of its rung.
    for (steps, trial) in trials.iter().map(|trial| (trial["steps"].parse::<u64>().unwrap(), &trial["trial"])) {
        let log = read(path, &format!("killed/trial-{trial:0>3}/seed-1/metrics.jsonl"));
        let of_line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap();
        assert_eq!(log.lines().map(of_line).collect::<Vec<_>>(), (1..=steps).collect::<Vec<_>>());
    }
}

#[test]
fn the_winner_is_the_run_of_its_command_line_to_the_bit() {
    let folder = folder(&halving(6));
    let path = folder.path();
    let summary = json(path, "sweep s.toml --out s --json");
    let winner = &summary["winner"];
    let line = winner["command"].as_str().unwrap();
    assert!(line.starts_with("bptt train --config s/base.toml --set model.cell="), "{line}");
    let arguments = line.strip_prefix("bptt ").unwrap();
    succeeds(path, &format!("{arguments} --out again"));
    let run = format!("s/{}", winner["runs"][0].as_str().unwrap());
    for file in ["model.safetensors", "metrics.jsonl", "forecast.csv"] {
        let [one, other] = [&run, "again"].map(|folder| fs::read(path.join(folder).join(file)).unwrap());
        assert!(one == other, "{file} differs");
    }
    // The loss in the table is that of the run, and the test split is shown for the winner alone.
    let printed = json(path, "eval again --device cpu --json");
    let test = &winner["test_by_seed"][0];
    assert_eq!(test["rmse"], printed["test"]["rmse"]);
    assert!(summary["trials"].as_array().unwrap().iter().all(|trial| !trial.to_string().contains("test")), "{summary}");
    let last = read(path, "again/metrics.jsonl").lines().last().map(serde_json::from_str::<Value>).unwrap().unwrap();
    assert_eq!(winner["val_loss"]["mean"], last["val_loss"]);
}

#[test]
fn of_two_workers_on_one_folder_one_may_be_killed() {
    let folder = folder(&halving(9));
    let path = folder.path();
    succeeds(path, "sweep s.toml --out alone");
    let mut first = start(path, "sweep s.toml --out shared");
    wait_until(&mut first, || path.join("shared/base.toml").is_file());
    let mut second = start(path, "sweep --worker shared");
    // Each has a run.
    let [claimed, done] = [("claims", ".claim-1"), ("results", ".json")];
    let of = |(within, ending): (&str, &str)| count(path, &format!("shared/{within}"), ending);
    wait_until(&mut first, || of(claimed) >= of(done) + 2);
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(first.wait().unwrap().success());
    assert_same_results(path, "alone", "shared");
    assert!(runs(path, "alone") == runs(path, "shared"), "the runs differ");
}

#[test]
#[cfg(unix)]
fn a_stopped_sweep_tells_how_to_go_on() {
    let folder = folder(&halving(6));
    let path = folder.path();
    for (signal, code, call) in [("-INT", 130, "sweep s.toml --out s"), ("-TERM", 143, "sweep --resume s")] {
        let mut child = command(path, call).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let done = count(path, "s/results", ".json");
        wait_until(&mut child, || count(path, "s/results", ".json") > done);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{printed}");
        assert!(printed.ends_with("resume    bptt sweep --worker s\n"), "{printed}");
    }
    let printed = succeeds(path, "sweep s.toml --out s");
    assert!(printed.contains("winner: trial "), "{printed}");
}

#[test]
fn a_grid_with_seeds_is_averaged_and_any_number_of_jobs_finds_the_same() {
    let grid = "[sweep]\nmethod = \"grid\"\nseeds = 3\n[sweep.space]\nmodel.cell = [\"gru\", \"rnn\"]\n\
                training.lr = { range = [0.01, 0.03], step = 0.02 }\n";
    let folder = folder(grid);
    let path = folder.path();
    let printed = succeeds(path, "sweep s.toml --out s");
    succeeds(path, "sweep s.toml --out jobs --jobs 3");
    assert_same_results(path, "s", "jobs");
    let trials = table(path, "s");
    let settings = |trial: &HashMap<String, String>| format!("{} {}", trial["model.cell"], trial["training.lr"]);
    let mut all: Vec<String> = trials.iter().map(settings).collect();
    all.sort();
    assert_eq!(all, ["gru 0.01", "gru 0.03", "rnn 0.01", "rnn 0.03"]);
    let number = |trial: &HashMap<String, String>, column: &str| trial[column].parse::<f64>().unwrap();
    let mut before = f64::NEG_INFINITY;
    for trial in &trials {
        let losses = [1, 2, 3].map(|seed| {
            let log = read(path, &format!("s/trial-00{}/seed-{seed}/metrics.jsonl", trial["trial"]));
            let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
            assert_eq!(number(trial, &format!("val_loss_seed_{seed}")), last["val_loss"].as_f64().unwrap());
            last["val_loss"].as_f64().unwrap()
        });
        let mean = losses.iter().sum::<f64>() / 3.0;
        let deviation = (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        assert!((number(trial, "val_loss") - mean).abs() < 1e-12);
        assert!(deviation > 0.0, "each run has a seed of its own");
        assert!((number(trial, "val_loss_deviation") - deviation).abs() < 1e-12);
        assert!(mean >= before, "the best are first");
        before = mean;
    }
    for part in ["the spread of the seeds", "over 3 seeds", "±", "the runner-up, trial "] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert!(read(path, "s/report.html").contains("The trials, the best first"));
}

#[test]
fn trials_are_ranked_by_another_metric_in_its_direction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows =
        (0..120).flat_map(|id| (0..3).map(move |time| format!("{id},{time},{},{}\n", id % 2, id % 2 * 2 + time)));
    fs::write(path.join("c.csv"), format!("id,time,label,x\n{}", rows.collect::<String>())).unwrap();
    let text = "[sequences]\nfile = \"c.csv\"\nlabels-as = \"classes\"\n[run]\ndevice = \"cpu\"\n[model]\nhidden = 4\n\
                [training]\nepochs = 3\n[sweep]\nmethod = \"grid\"\n[sweep.space]\ntraining.lr = [0.0, 0.05]\n";
    fs::write(path.join("s.toml"), text).unwrap();
    let printed = succeeds(path, "sweep s.toml --out s --metric accuracy");
    let trials = table(path, "s");
    let accuracies: Vec<f64> = trials.iter().map(|trial| trial["accuracy"].parse().unwrap()).collect();
    assert!(accuracies[0] > accuracies[1] && trials[0]["training.lr"] == "0.05", "{accuracies:?}");
    assert!(printed.contains("the highest accuracy of the validation split wins"), "{printed}");
    // A metric that these data do not have is told with those that there are.
    let output = bptt(path, "sweep s.toml --out t --metric rmse");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no rmse of the validation split: it has accuracy, "), "{stderr}");
}

#[test]
fn a_trial_that_fails_is_a_row_with_its_reason_and_if_all_do_the_sweep_does() {
    let space = "[model]\nhidden = 4\n[sweep]\nmethod = \"grid\"\n[sweep.space]\n";
    let some = folder(&format!("{space}model.proj-size = [2, 8]\ntraining.lr = [0.01, 1e30]\n"));
    let path = some.path();
    let printed = succeeds(path, "sweep s.toml --out s");
    let trials = table(path, "s");
    let of = |size: &str, lr: &str| {
        let has = |trial: &&HashMap<String, String>| trial["model.proj-size"] == size && trial["training.lr"] == lr;
        trials.iter().find(has).unwrap()
    };
    assert_eq!((of("2", "0.01")["rank"].as_str(), of("2", "0.01")["state"].as_str()), ("1", "trained"));
    assert!(printed.contains("failed: ") && printed.contains(" of 4 trials failed"), "{printed}");
    let states = read(path, "s/sweep.csv");
    assert!(states.contains("not finite") && states.contains("proj"), "{states}");
    let none = folder(&format!("{space}training.lr = [1e30, 2e30]\n"));
    let output = bptt(none.path(), "sweep s.toml --out s");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("all 2 trials failed") && stderr.contains("not finite"), "{stderr}");
}

#[test]
fn a_run_that_stops_early_is_not_trained_on_at_later_rungs() {
    let early = "patience = 1\n[sweep]\ntrials = 4\nhalving = 2\nrungs = 2\n[sweep.space]\ntraining.lr = [0.0]\n";
    let folder = folder(early);
    let path = folder.path();
    succeeds(path, "sweep s.toml --out s");
    for trial in table(path, "s") {
        assert_eq!(trial["steps"], "4", "the second validation is no better than the first");
        assert!(path.join(format!("s/trial-00{}/seed-1/checkpoints/finished", trial["trial"])).is_file());
    }
}

#[test]
fn other_settings_and_other_folders_are_refused_and_nothing_is_written() {
    let folder = folder(&halving(3));
    let path = folder.path();
    succeeds(path, "sweep s.toml --out s");
    refused(path, "sweep s.toml --out s --seed 2", 2, &["run.seed is 1 there, and 2 here", "nothing was written"]);
    refused(path, "sweep s.toml --out s --trials 4", 2, &["sweep.trials is 3 there, and 4 here"]);
    refused(path, "sweep --worker s --trials 4", 2, &["--worker keeps the sweep's own settings"]);
    refused(path, "sweep --worker s --seed 4", 2, &["--worker keeps the sweep's own settings"]);
    refused(path, "sweep s", 1, &["got the folder of a sweep; `bptt sweep --worker s` continues it"]);
    train(path, "r", "--steps 1 --hidden 2");
    refused(path, "sweep --worker r", 1, &["expected the folder of a sweep, with sweep.toml", "bptt train --resume"]);
    refused(path, "sweep s.toml --out r", 2, &["--out r: expected a folder that does not exist yet"]);
    refused(path, "train --config s.toml --out t", 2, &["[sweep] has the trials of `bptt sweep`"]);
    // The data of a trial are those of all: what has changed is no failure of a trial.
    let text = read(path, "s.csv");
    fs::remove_dir_all(path.join("s/results")).unwrap();
    fs::remove_dir_all(path.join("s/trial-001")).unwrap();
    fs::write(path.join("s.csv"), text.replacen("1900,", "1899,", 1)).unwrap();
    let output = bptt(path, "sweep --worker s");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("SHA-256"), "{stderr}");
}

#[test]
fn a_space_is_checked_like_flags_and_its_line_named() {
    for (space, parts) in [
        (
            "training.lr = { log-uniform = [0, 1] }",
            &["line 15, sweep.space, training.lr", "with A above 0", "[0, 1]"][..],
        ),
        (
            "training.lr = [\"fast\"]",
            &["line 15, sweep.space, training.lr", "expected a finite number of at least 0", "\"fast\""],
        ),
        ("training.batch = { step = 2 }", &["sweep.space, training.batch", "expected a list, { range = [A, B]"]),
        ("model.hidden = { uniform = [4, 8] }", &["sweep.space, model.hidden", "expected a whole number from 1"]),
        ("model.hiden = [4]", &["sweep.space, model.hiden", "a similar one is hidden"]),
        ("modl.hidden = [4]", &["sweep.space, modl.hidden", "expected a key of one of the sections"]),
        ("lr = [4]", &["sweep.space, lr", "expected SECTION.KEY"]),
        ("training.batch = [16]", &["training.batch: it is fixed in [training] too"]),
        ("run.seed = [1, 2]", &["run.seed: it cannot vary", "--seeds"]),
        ("text.window = [8]", &["the data are a series"]),
        ("", &["expected settings that vary in [sweep.space]"]),
    ] {
        let folder = folder(&format!("[sweep]\ntrials = 3\n[sweep.space]\n{space}\n"));
        refused(folder.path(), "sweep s.toml --out s", 2, parts);
    }
    let folder = folder(&format!("[sweep]\n{SPACE}"));
    let path = folder.path();
    for (flags, part) in [
        ("--method grid", "training.lr is a distribution"),
        ("--round 4", "how many trials TPE draws at once"),
        ("--rungs 3", "set --halving"),
        ("--metric speed", "--metric"),
        ("--jobs 0", "--jobs"),
        ("--set series.split=1,0,0", "the data leave none: set --split"),
    ] {
        let output = bptt(path, &format!("sweep s.toml --out s {flags}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags}: {stderr}");
        assert!(stderr.contains(part), "{flags}: {part:?} is not in {stderr}");
        assert!(!path.join("s").exists(), "{flags}");
    }
    if !cfg!(feature = "tpe") {
        refused(path, "sweep s.toml --out s --method tpe", 2, &["built without it", "--features tpe"]);
    }
}

#[test]
#[cfg(feature = "tpe")]
fn rounds_of_tpe_do_not_depend_on_jobs() {
    let tpe = format!("[sweep]\nmethod = \"tpe\"\ntrials = 9\nround = 3\nhalving = 3\n{SPACE}");
    let folder = folder(&tpe);
    let path = folder.path();
    succeeds(path, "sweep s.toml --out one");
    succeeds(path, "sweep s.toml --out several --jobs 3");
    assert_same_results(path, "one", "several");
    assert_eq!(table(path, "one").len(), 9);
}

#[test]
fn a_run_that_was_finished_by_hand_is_measured_and_ends_the_sweep_as_if_it_had_not_been() {
    let folder = folder(&halving(6));
    let path = folder.path();
    succeeds(path, "sweep s.toml --out whole --metric rmse");
    // Each trial, as far as it came, is trained to its end; what the sweep knows of it is lost.
    succeeds(path, "sweep s.toml --out hand --metric rmse");
    fs::remove_dir_all(path.join("hand/results")).unwrap();
    for trial in 1..=6 {
        let run = format!("hand/trial-00{trial}/seed-1");
        let _ = fs::remove_file(path.join(&run).join("sweep.json"));
        bptt(path, &format!("train --resume {run}"));
        assert!(path.join(&run).join("checkpoints/finished").is_file());
    }
    let printed = succeeds(path, "sweep --worker hand");
    assert!(!printed.contains("failed"), "{printed}");
    assert_same_results(path, "whole", "hand");
}

#[test]
fn a_worker_names_the_folder_that_another_process_writes_and_goes_on_after_it() {
    let folder = folder("[sweep]\ntrials = 1\n[sweep.space]\ntraining.lr = [0.01]\n");
    let path = folder.path();
    succeeds(path, "sweep s.toml --out s");
    let run = path.join("s/trial-001/seed-1");
    fs::remove_file(path.join("s/results/trial-001-seed-1-rung-1.json")).unwrap();
    let lock = fs::File::options().read(true).write(true).open(run.join(".lock")).unwrap();
    lock.lock().unwrap();
    let mut child = command(path, "sweep --worker s").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.skip_while(|line| !line.starts_with("waiting   "));
    assert_eq!(lines.next().unwrap(), "waiting   for s/trial-001/seed-1, which another process writes");
    drop(lock);
    assert!(lines.any(|line| line.starts_with("winner: trial 1")));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_batch_that_depends_on_the_free_memory_and_rungs_that_are_the_same_are_refused() {
    let one = "[sweep]\ntrials = 1\n[sweep.space]\n";
    let drawn = folder(&format!("{one}training.lr = [0.01]\n"));
    let text = read(drawn.path(), "s.toml").replace("batch = 16", "batch = \"auto\"");
    fs::write(drawn.path().join("s.toml"), &text).unwrap();
    let parts = ["training.batch: expected a number of sequences in a sweep, got auto", "`bptt plan --batch auto`"];
    refused(drawn.path(), "sweep s.toml --out s", 2, &parts);
    let text =
        text.replace("batch = \"auto\"\n", "").replace("training.lr = [0.01]", "training.batch = [16, \"auto\"]");
    fs::write(drawn.path().join("s.toml"), text).unwrap();
    refused(drawn.path(), "sweep s.toml --out s", 2, &parts);
    let rungs = folder(&halving(3));
    let parts = [
        "--rungs 4: expected each to end at a step of its own, got rungs 1 and 2 that both end after 2 of 18 steps",
        "one every 2 steps: take fewer rungs, a smaller training.val-every",
    ];
    refused(rungs.path(), "sweep s.toml --out s --rungs 4", 2, &parts);
    let text = read(rungs.path(), "s.toml").replace("val-every = 2", "val-every = 18");
    fs::write(rungs.path().join("s.toml"), text).unwrap();
    refused(rungs.path(), "sweep s.toml --out s", 2, &["got rungs 1 and 2 that both end after 18 of 18 steps"]);
    assert!(!rungs.path().join("s").exists());
}

/// One rank a trial, as `mpirun -n 2 bptt sweep …` starts them.
#[test]
fn the_processes_of_a_launcher_share_a_sweep_and_the_first_speaks() {
    let folder = folder(&halving(6));
    let path = folder.path();
    succeeds(path, "sweep s.toml --out alone");
    let rank = |rank: &str, arguments: &str| {
        let mut command = command(path, arguments);
        let told =
            [("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_RANK", rank), ("OMPI_COMM_WORLD_LOCAL_RANK", rank)];
        command.envs(told).env("OMPI_COMM_WORLD_LOCAL_SIZE", "2").stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let ranks = ["0", "1"].map(|number| rank(number, "sweep s.toml --out shared"));
    let [first, second] = ranks.map(|child| child.wait_with_output().unwrap());
    assert!(first.status.success() && second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert!(String::from_utf8_lossy(&first.stdout).contains("winner: trial") && second.stdout.is_empty());
    assert_same_results(path, "alone", "shared");
    let refused = rank("1", "sweep s.toml").wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected --out FOLDER"));
}
