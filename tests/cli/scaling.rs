//! `bptt plan --ranks` from outside.

use std::fs;

use serde_json::Value;

use crate::common::program::{json, refused, succeeds};

const ADDING: &str = "plan task adding --length 20 --hidden 8 --batch 64 --device cpu --threads 1";

/// A number of a point of the plan.
fn number(point: &Value, name: &str) -> f64 {
    point[name].as_f64().unwrap_or_else(|| panic!("no {name} in {point}"))
}

#[test]
fn the_bytes_of_a_step_follow_from_the_weights_and_the_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let plan = json(folder.path(), &format!("{ADDING} --ranks 4 --step-time 10ms --json"));
    // An LSTM of 2 inputs and 8 units with one output. Four times 4 numbers of 8 bytes, and once the gradients of the layer and
    // those of the head.
    let (layer, head) = (4 * (8 * (2 + 8) + 2 * 8), 8 + 1);
    let scaling = &plan["scaling"];
    let sums: u64 = scaling["sums"].as_array().unwrap().iter().map(|sum| sum["count"].as_u64().unwrap()).sum();
    assert_eq!(sums, 4 * 4 + layer + head);
    // Each rank sends the parts of the 3 others, and the sums of its own to them: 2 · 3/4 of all. 9 do not divide by 4.
    let small = 4 * 8 * (3 + 3);
    let sent = |weights: u64| 4 * (weights + 2 * weights.div_ceil(4));
    assert_eq!(scaling["bytes_sent_per_step"]["most"], sent(layer) + sent(head) + small);
    assert_eq!(scaling["bytes_sent_per_step"]["all"], 4 * 2 * 3 * (layer + head) + 4 * small);
    assert_eq!((&plan["batch"], &plan["micro_batch"]), (&64.into(), &16.into()), "the memory is that of a rank");
}

#[test]
fn over_a_network_that_costs_nothing_ranks_are_as_fast_as_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let free = format!("{ADDING} --ranks 6 --step-time 64ms --bandwidth 1e200GB --latency 0");
    let plan = json(folder.path(), &format!("{free} --json"));
    let of = |ranks: u64| {
        plan["scaling"]["strong"].as_array().unwrap().iter().find(|point| point["ranks"] == ranks).unwrap()
    };
    assert!((number(of(64), "speed_up") - 64.0).abs() < 1e-9 && (number(of(64), "seconds") - 1e-3).abs() < 1e-12);
    // 64 rows on 6 ranks are 11 for some.
    assert_eq!((of(6)["rows"].as_u64(), (number(of(6), "seconds") * 1e6).round()), (Some(11), 11e3));
    assert_eq!((of(6), &plan["scaling"]["fastest"]["ranks"]), (&plan["scaling"]["planned"], &64.into()));
    let weak = plan["scaling"]["weak"].as_array().unwrap();
    assert!(weak.iter().all(|point| (number(point, "efficiency") - 1.0).abs() < 1e-12), "{weak:?}");
    // Half of the time is fixed: no more than twice as fast.
    let fixed = json(folder.path(), &format!("{free} --fixed-time 32ms --json"));
    let fastest = &fixed["scaling"]["fastest"];
    assert!(number(fastest, "speed_up") < 2.0, "{fastest}");
}

#[test]
fn the_plan_says_what_it_assumes_and_where_ranks_stop_paying() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let told = succeeds(path, &format!("{ADDING} --ranks 100 --step-time 10ms"));
    for part in [
        "network ",
        "36 ranks have no row of a batch of 64",
        "1 Gbit/s and 50 µs a message, the defaults",
        "as --step-time says",
        "ranks     fastest on ",
        "assumes ",
        "\n1,024 ",
        "\n  100 ",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
    // The bytes of a step take longer than all it computes.
    let slow = succeeds(path, &format!("{ADDING} --ranks 2 --step-time 10ms --bandwidth 1kB --latency 2ms"));
    assert!(slow.contains("8 kbit/s and 2 ms a message\n") && slow.contains("more ranks are no faster"), "{slow}");
    // Without --ranks there is nothing of all that.
    let alone = succeeds(path, ADDING);
    assert!(!alone.contains("network ") && !alone.contains("efficiency"), "{alone}");
}

#[test]
fn without_a_time_steps_of_every_kind_of_data_are_timed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("t.txt"), "the cat sat on a mat and sang. ".repeat(40)).unwrap();
    let series: String = (0..120).map(|t| format!("{t},{}\n", t * t % 17)).collect();
    fs::write(path.join("s.csv"), format!("t,y\n{series}")).unwrap();
    for data in [
        "task adding --length 20 --batch 32",
        "text t.txt --carry-state --window 8 --batch 4",
        "series s.csv --target y --window 5 --batch 8 --set training.accumulate=2",
        "series s.csv --target y --window 5 --batch 1",
    ] {
        let plan = json(path, &format!("plan {data} --hidden 4 --device cpu --threads 1 --ranks 2 --json"));
        let scaling = &plan["scaling"];
        let (whole, fixed) = (number(scaling, "step_seconds"), number(scaling, "fixed_seconds"));
        assert!(whole > 0.0 && (0.0..=whole).contains(&fixed), "{data}: {scaling}");
        assert_eq!(scaling["timed"]["rows"], plan["batch"], "{data}");
        assert_eq!(whole, number(&scaling["timed"], "seconds"), "{data}");
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 2, "a plan leaves nothing behind");
}

#[test]
fn what_cannot_be_planned_for_ranks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, parts) in [
        ("--ranks 0", ["--ranks", "from 1 to 1024"]),
        ("--ranks 1025", ["--ranks", "from 1 to 1024"]),
        ("--ranks 2 --bandwidth 10", ["--bandwidth", "such as 10Gbit"]),
        ("--ranks 2 --bandwidth 10Gb", ["--bandwidth", "such as 10Gbit"]),
        ("--ranks 2 --latency=-1us", ["--latency", "such as 50us"]),
        ("--ranks 2 --step-time 0", ["--step-time", "above 0"]),
        ("--ranks 2 --step-time 1ms --fixed-time 2ms", ["--fixed-time", "at most"]),
        ("--ranks 2 --fixed-time 2ms", ["--step-time", "required"]),
        ("--latency 1ms", ["--ranks", "required"]),
        ("--ranks 2 --batch auto", ["--batch auto", "set the batch of all"]),
    ] {
        let arguments = format!("{} {flags}", ADDING.replace(" --batch 64", ""));
        refused(folder.path(), &arguments, 2, &parts);
    }
}
