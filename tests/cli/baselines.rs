//! The last lines of a run and of `bptt eval`: whether the network beats what needs none, for every kind of data.

use std::path::Path;

use crate::common::program::{json, read, succeeds, train};

/// The sentences of a run and of its evaluation, which say the same of the same part.
#[track_caller]
fn told(folder: &Path, run: &str, arguments: &str) -> Vec<String> {
    let of = |stdout: &str| -> Vec<String> {
        stdout.lines().filter(|line| line.starts_with("the network ")).map(str::to_owned).collect()
    };
    let stdout = train(folder, run, arguments);
    let evaluated = succeeds(folder, &format!("eval {run} --device cpu"));
    assert_eq!(of(&stdout), of(&evaluated));
    assert!(evaluated.trim_end().ends_with(of(&evaluated).last().unwrap()), "{evaluated}");
    let report = read(folder, &format!("{run}/report.html"));
    of(&stdout).iter().for_each(|line| assert!(report.contains(&line["the network".len()..]), "{line} {report}"));
    of(&stdout)
}

#[track_caller]
fn beaten(folder: &Path, run: &str, part: &str, baseline: &str) -> bool {
    let summary = json(folder, &format!("eval {run} --device cpu --json"));
    let comparison = &summary["baselines"][part][baseline];
    let number = |key: &str| comparison[key].as_f64().unwrap();
    let ratio = number("network") / number("baseline");
    assert!((number("ratio") - ratio).abs() < 1e-9, "{comparison}");
    let beaten = comparison["beaten"].as_bool().unwrap();
    assert_eq!(beaten, if comparison["higher_is_better"] == true { ratio > 1.0 } else { ratio < 1.0 }, "{comparison}");
    beaten
}

/// Sequences in long form: labels by `label` of the sequence's number, and values that show it where `shown`.
fn sequences(folder: &Path, name: &str, shown: bool, label: impl Fn(usize) -> String) {
    let mut text = String::from("id,time,value,label\n");
    for id in 0..120 {
        for time in 0..6 {
            let value = if shown { id % 3 } else { (id * 7 + time * 5) % 11 };
            text += &format!("s{id},{time},{value}.5,{}\n", label(id));
        }
    }
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn classes_are_compared_with_the_majority_and_the_frequencies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    sequences(path, "shown.csv", true, |id| ["low", "middle", "high"][id % 3].into());
    let won = told(path, "won", "sequences shown.csv --hidden 8 --lr 0.03 --epochs 20");
    assert_eq!(won.len(), 2, "{won:?}");
    assert!(won[0].starts_with("the network beats the largest training class on the test split: accuracy "));
    assert!(won[0].ends_with(" percentage points better)"), "{won:?}");
    assert!(won[1].starts_with("the network beats the frequencies of the classes on the test split: cross-entropy "));
    assert!(beaten(path, "won", "test", "majority") && beaten(path, "won", "test", "frequencies"));
    // A class that nothing shows, and a network that has hardly learned.
    sequences(path, "hidden.csv", false, |id| if id % 5 > 0 { "often" } else { "seldom" }.into());
    let lost = told(path, "lost", "sequences hidden.csv --hidden 2 --lr 0.0001 --epochs 1");
    assert!(lost[1].starts_with("the network does not beat the frequencies of the classes"), "{lost:?}");
    assert!(!beaten(path, "lost", "test", "frequencies"));
}

#[test]
fn a_text_is_compared_with_its_character_frequencies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("t.txt"), "a rose is a rose is a rose. ".repeat(80)).unwrap();
    let won = told(path, "won", "text t.txt --window 16 --hidden 16 --steps 150 --lr 0.01 --batch 8");
    assert!(won[0].starts_with("the network beats the frequencies of the characters on the validation split: "));
    assert!(beaten(path, "won", "validation", "frequencies"));
    let lost = told(path, "lost", "text t.txt --window 16 --hidden 4 --steps 1 --lr 0.0001 --batch 8");
    assert!(lost[0].contains("does not beat the frequencies of the characters") && lost[0].contains(" worse)"));
    assert!(!beaten(path, "lost", "validation", "frequencies"));
}

#[test]
fn piano_rolls_and_synthetic_tasks_are_compared_with_baselines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows: String = (0..90).map(|row| format!("{},{},1\n", row % 2, (row + 1) % 2)).collect();
    std::fs::write(path.join("r.csv"), format!("a,b,c\n{rows}")).unwrap();
    let rolls = told(path, "r", "rolls r.csv --hidden 4 --epochs 1 --lr 0.0001 --split 0.5,0.25,0.25");
    assert_eq!(rolls.len(), 2, "{rolls:?}");
    assert!(rolls[0].contains("does not beat the frequencies of the keys on the test split: nats per frame "));
    assert!(rolls[1].contains("the previous frame on the test split: accuracy "), "{rolls:?}");
    assert!(!beaten(path, "r", "test", "frequencies"));
    let adding = told(path, "a", "task adding --length 8 --hidden 2 --steps 1");
    assert!(adding[0].contains("the constant answer 1 (the mean) on the test split: loss "), "{adding:?}");
    assert!(!beaten(path, "a", "test", "mean"));
    let copy = told(path, "c", "task copy --length 3 --hidden 2 --steps 1");
    assert!(copy[0].contains("does not beat a guess without memory on the test split"), "{copy:?}");
}
