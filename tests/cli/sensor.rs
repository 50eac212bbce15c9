//! A target from other columns of the same row, by windows and from end to end, from outside.

use std::ops::Range;

use serde_json::Value;

use crate::common::program::{entries, json, read, refused, succeeds, train};

/// A folder with `s.csv`: 700 rows of two columns like noise, and a target that remembers their product.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.csv"), table(0..700, |y, _| format!(",{y:.4}"))).unwrap();
    folder
}

/// The target, row by row, as `target` writes it behind the two columns.
fn table(rows: Range<usize>, target: impl Fn(f64, usize) -> String) -> String {
    let mut y = 0.0;
    let mut lines = vec![format!("t,a,b{}", if target(1.0, 0).is_empty() { "" } else { ",y" })];
    for row in rows {
        // The fractions of multiples of irrational numbers.
        let noise = |factor: f64| ((row as f64 * factor).fract() * 4.0).round() / 2.0 - 1.0;
        let (a, b) = (noise(0.618_033_988), noise(0.414_213_562));
        y = 0.5 * y + a * b;
        lines.push(format!("{row},{a},{b}{}", target(10.0 + y, row)));
    }
    lines.join("\n")
}

const WINDOWS: &str = "series s.csv --target y --now a,b --window 8 --hidden 12 --epochs 25 --batch 16 --lr 0.01";
const CARRIED: &str =
    "series s.csv --target y --now a,b --carry-state --window 8 --hidden 12 --epochs 60 --batch 4 --lr 0.01";
const TINY: &str = "series s.csv --now a,b --window 4 --hidden 3 --epochs 1";

fn errors(summary: &Value, part: &str) -> Value {
    summary[part]["targets"]["y"].clone()
}

#[test]
fn a_target_that_remembers_products_is_estimated_far_better_than_by_least_squares() {
    let folder = folder();
    let path = folder.path();
    for (run, arguments) in [("w", WINDOWS), ("c", CARRIED)] {
        let summary: Value = serde_json::from_str(&train(path, run, &format!("{arguments} --json"))).unwrap();
        let test = errors(&summary, "test");
        let of = |key: &str| test[key].as_f64().unwrap();
        assert!(of("rmse") < 0.35 * of("linear_rmse"), "{run}: {test}");
        assert!(of("linear_rmse") < 1.05 * of("mean_rmse") && of("r_squared") > 0.85, "{run}: {test}");
        assert_eq!(summary["baselines"]["test"]["linear"]["beaten"], true, "{summary}");
        let files = entries(&path.join(run));
        assert!(["estimates.svg", "estimates.csv"].iter().all(|file| files.contains(&(*file).into())), "{files:?}");
        // The rows that were not trained on, with their truth.
        let estimates = read(path, &format!("{run}/estimates.csv"));
        let mut lines = estimates.lines();
        assert_eq!(lines.next(), Some("t,part,y_truth,y_estimate,y_linear"));
        let (first, count) = (lines.next().unwrap(), lines.count());
        assert!(first.starts_with("490,validation,") && count == 209, "{first} {count}");
        // What was trained on is known again, and so are the baselines.
        let again = json(path, &format!("eval {run} --json"));
        assert_eq!((errors(&again, "test"), again["trained_on"].is_string()), (test, true));
    }
}

#[test]
fn every_row_has_an_estimate_from_rows_up_to_its_own_and_the_target_is_not_read() {
    let folder = folder();
    let path = folder.path();
    let write = |name: &str, text: String| std::fs::write(path.join(name), text).unwrap();
    write("without.csv", table(1000..1090, |_, _| String::new()));
    write("with.csv", table(1000..1090, |y, row| if row % 2 == 0 { format!(",{y}") } else { ",".into() }));
    write("begin.csv", table(1000..1040, |_, row| format!(",{row}")));
    for (run, more) in [("w", ""), ("c", "--carry-state")] {
        train(path, run, &format!("{TINY} --target y {more}"));
        let estimates = |file: &str| -> Vec<String> {
            let text = succeeds(path, &format!("predict {run} {file}"));
            assert_eq!(text.lines().next(), Some("t,part,y_truth,y_estimate"));
            text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().to_owned()).collect()
        };
        let all = estimates("without.csv");
        assert_eq!((all.len(), all.iter().all(|estimate| estimate.parse::<f64>().is_ok())), (90, true));
        assert!(all == estimates("with.csv") && all[..40] == estimates("begin.csv"));
        let summary = json(path, &format!("eval {run} with.csv --json"));
        let test = errors(&summary, "test");
        assert!(test["rows"] == 45 && test["linear_rmse"].is_f64() && test["mean_rmse"].is_f64(), "{summary}");
        let stdout = succeeds(path, &format!("eval {run} without.csv"));
        assert!(stdout.contains("not in the file, and so not measured: y") && stdout.contains("nothing is measured"));
    }
    // By windows, rows before the window make no difference.
    let late: Vec<String> = read(path, "s.csv").lines().skip(31).map(str::to_owned).collect();
    write("late.csv", format!("t,a,b,y\n{}", late.join("\n")));
    let column = |file: &str| -> Vec<String> {
        let text = succeeds(path, &format!("predict w {file}"));
        text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().to_owned()).collect()
    };
    assert_eq!(column("s.csv")[33..], column("late.csv")[3..]);
}

#[test]
fn a_row_without_a_target_is_neither_learned_from_nor_measured() {
    let folder = folder();
    let path = folder.path();
    // A third of the rows: missing in one file, and wrong by far in what the other one is measured with.
    let some =
        |wrong: &'static str| move |y: f64, row: usize| if row % 3 == 1 { wrong.into() } else { format!(",{y}") };
    std::fs::write(path.join("s.csv"), table(0..300, some(","))).unwrap();
    for (run, more) in [("w", ""), ("c", "--carry-state --window 16 --batch 2")] {
        let stdout = train(
            path,
            run,
            &format!("{TINY} --target y {more}").replacen("--window 4", "", usize::from(!more.is_empty())),
        );
        assert!(stdout.contains("rows without a target: 100; neither learned from nor measured"), "{stdout}");
        let test = errors(&json(path, &format!("eval {run} --json")), "test");
        assert_eq!(test["rows"], 30, "{test}");
    }
    // No row of the lanes' second step has a target.
    std::fs::write(
        path.join("s.csv"),
        table(0..300, |y, row| if row % 70 < 35 { format!(",{y}") } else { ",".into() }),
    )
    .unwrap();
    let arguments = "train series s.csv --target y --now a,b --carry-state --window 5 --hidden 3 --batch 3 --epochs 1";
    refused(path, arguments, 2, &["truncated BPTT", "a row with its targets", "longer --window"]);
}

#[test]
fn the_linear_fit_of_a_linear_target_leaves_nothing_and_missing_inputs_are_handled_as_asked() {
    let folder = folder();
    let path = folder.path();
    let text = table(0..120, |_, _| ",".into());
    let rows = text.lines().skip(1).enumerate().map(|(row, line)| {
        let fields: Vec<&str> = line.split(',').collect();
        let [a, b] = [fields[1], fields[2]].map(|field| field.parse::<f64>().unwrap());
        let shown = if row % 10 == 7 { "" } else { fields[2] };
        format!("{row},{a},{shown},{},{}\n", 2.0 * a - b + 1.0, 3.0 * a + 5.0)
    });
    std::fs::write(path.join("l.csv"), format!("t,a,b,y,z\n{}", rows.collect::<String>())).unwrap();
    let arguments = "series l.csv --target z --now a --scale none --window 2 --hidden 3 --epochs 1";
    let summary: Value = serde_json::from_str(&train(path, "z", &format!("{arguments} --json"))).unwrap();
    assert!(summary["test"]["targets"]["z"]["linear_rmse"].as_f64().unwrap() < 1e-4, "{summary}");
    refused(
        path,
        "train series l.csv --target y,z --now a,b",
        1,
        &["row 8", "\"b\"", "--missing ffill", "--missing mask"],
    );
    let both = "series l.csv --target y,z --now all --window 2 --hidden 3 --epochs 1";
    let stdout = train(path, "f", &format!("{both} --missing ffill"));
    assert!(stdout.contains("missing: 12 of b; filled with the previous value\n"), "{stdout}");
    assert!(
        stdout.contains("targets y, z; from a, b of the same row") && stdout.contains("lstm 2 → 3 → 2"),
        "{stdout}"
    );
    assert!(train(path, "m", &format!("{both} --missing mask")).contains("lstm 3 → 3 → 2"));
}

#[test]
fn truncated_bptt_of_a_table_goes_on_to_the_bit_after_a_stop() {
    let folder = folder();
    let path = folder.path();
    let arguments =
        "series s.csv --target y --now a,b --carry-state --window 16 --hidden 4 --batch 3 --set training.val-every=1";
    train(path, "whole", &format!("{arguments} --steps 40"));
    train(path, "part", &format!("{arguments} --steps 23"));
    train(path, "more", "--resume part --steps 40");
    assert!(read(path, "whole/metrics.jsonl") == read(path, "more/metrics.jsonl"));
    assert_eq!(succeeds(path, "predict whole"), succeeds(path, "predict more"));
}

#[test]
fn settings_of_forecasts_and_columns_in_two_roles_are_refused() {
    let folder = folder();
    let path = folder.path();
    let refuse = |arguments: &str, parts: &[&str]| refused(path, &format!("train series s.csv {arguments}"), 2, parts);
    for (flag, value) in [
        ("horizon", "2"),
        ("features", "a"),
        ("known", "a"),
        ("panel", ""),
        ("relative", "last"),
        ("segment", "2"),
        ("season", "3"),
        ("quantiles", "0.5"),
        ("id", "a"),
    ] {
        let flags = format!("--target y --now a,b --{flag} {value}");
        refuse(&flags, &[&format!("--{flag} (series.{flag})"), "no meaning with --now"]);
    }
    refuse("--target y --now a,y", &["--now y", "it is a target too"]);
    refuse("--target y --now a --loss quantile", &["--loss quantile", "one estimate"]);
    refuse("--target y --carry-state", &["--carry-state is for --now"]);
    refuse("--target y --now a --carry-state --bidirectional", &["--bidirectional", "from the first to the last"]);
    refused(path, "train series s.csv --now a", 1, &["expected --target COLUMN beside --now, one or more of b, y"]);
    refused(path, "train series s.csv --now a,c --target y", 1, &["\"c\""]);
    train(path, "w", TINY);
    refused(path, "forecast w", 2, &["--now", "`bptt predict`"]);
    refused(path, "eval w s.csv --season 3", 2, &["--season"]);
    std::fs::write(path.join("few.csv"), "t,a,y\n1,2,3\n2,3,4\n").unwrap();
    refused(path, "predict w few.csv", 1, &["few.csv", "\"b\""]);
    // A model brings its columns with it, and one of forecasts has none to estimate from.
    let stdout = train(path, "x", "series s.csv --init-from w --steps 1");
    assert!(stdout.contains("target y; from a, b of the same row"), "{stdout}");
    train(path, "f", "series s.csv --target y --window 4 --hidden 3 --epochs 1");
    refuse("--target y --now a,b --init-from f", &["--now", "the model forecasts"]);
}
