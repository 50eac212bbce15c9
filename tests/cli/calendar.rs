//! Inputs from the times of a series' rows, from outside.

use std::f64::consts::TAU;
use std::fmt::Write;
use std::path::Path;

use crate::common::program::{bptt, json, read, refused, succeeds, train};

const TINY: &str = "--window 6 --horizon 2 --hidden 4 --epochs 2 --batch 16";

/// Hours from the 26th of February 2024, a Monday, on.
fn time(row: usize) -> String {
    let day = row / 24;
    let (month, day) = if day < 4 { (2, 26 + day) } else { (3, day - 3) };
    format!("2024-{month:02}-{day:02} {:02}:00", row % 24)
}

fn value(row: usize) -> f64 {
    (0.05 * (row % 24) as f64) + if row / 24 % 7 > 4 { 0.5 } else { 0.0 } + ((row * row * 7) % 11) as f64 / 100.0
}

/// `s.csv`: 200 hours. `hand.csv`: the same with the sine and cosine of the hour and a column for each weekday, and 12
/// hours more of these columns alone.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut own, mut hand) = (String::from("time,v\n"), String::from("time,v,sin,cos,d0,d1,d2,d3,d4,d5,d6\n"));
    for row in 0..212 {
        let text = if row < 200 { value(row).to_string() } else { String::new() };
        if row < 200 {
            writeln!(own, "{},{text}", time(row)).unwrap();
        }
        let angle = TAU * (row % 24) as f64 / 24.0;
        write!(hand, "{},{text},{},{}", time(row), angle.sin(), angle.cos()).unwrap();
        (0..7).for_each(|day| write!(hand, ",{}", u8::from(row / 24 % 7 == day)).unwrap());
        hand.push('\n');
    }
    std::fs::write(folder.path().join("s.csv"), own).unwrap();
    std::fs::write(folder.path().join("hand.csv"), hand).unwrap();
    folder
}

/// A file whose first column has these labels.
fn labelled(path: &Path, name: &str, labels: impl Iterator<Item = String>) {
    let rows: String = labels.enumerate().map(|(row, label)| format!("{label},{}\n", value(row))).collect();
    std::fs::write(path.join(name), format!("time,v\n{rows}")).unwrap();
}

#[test]
fn a_calendar_trains_predicts_and_forecasts_to_the_bit_like_columns_added_by_hand() {
    let folder = folder();
    let path = folder.path();
    let more = format!("--scale none {TINY}");
    let stdout = train(path, "own", &format!("series s.csv --calendar hour,weekday:classes {more}"));
    assert!(stdout.contains("calendar: hour as sines; weekday as classes"), "{stdout}");
    assert!(stdout.contains("lstm 10 → 4 → 2"), "{stdout}");
    train(path, "hand", &format!("series hand.csv --target v --known sin,cos,d0,d1,d2,d3,d4,d5,d6 {more}"));
    for file in ["metrics.jsonl", "forecast.csv"] {
        assert!(read(path, &format!("own/{file}")) == read(path, &format!("hand/{file}")), "{file}");
    }
    assert_eq!(succeeds(path, "predict own"), succeeds(path, "predict hand"));
    for rows in [2, 7, 12] {
        let forecast = |run: &str| json(path, &format!("forecast {run} --rows {rows} --json"));
        let (own, hand) = (forecast("own"), forecast("hand"));
        assert_eq!((&own["targets"], &own["labels"]), (&hand["targets"], &hand["labels"]));
    }
    assert!(read(path, "own/config.toml").contains("calendar = [\"hour\", \"weekday:classes\"]"));
    assert!(succeeds(path, "inspect own").contains("calendar: hour as sines; weekday as classes"));
    // A run from its configuration is the same.
    succeeds(path, "train --config own/config.toml --out again");
    assert!(read(path, "own/metrics.jsonl") == read(path, "again/metrics.jsonl"));
}

#[test]
fn a_model_computes_its_calendar_for_other_data_and_rows_with_times_alone_are_forecast() {
    let folder = folder();
    let path = folder.path();
    train(path, "r", &format!("series s.csv --calendar hour {TINY}"));
    // Six hours later, and the same values.
    labelled(path, "later.csv", (0..60).map(|row| time(row + 6)));
    labelled(path, "same.csv", (0..60).map(time));
    let forecast = |file: &str| json(path, &format!("forecast r {file} --json"));
    assert_ne!(forecast("later.csv")["targets"], forecast("same.csv")["targets"]);
    assert_eq!(forecast("later.csv")["labels"][0], time(66));
    succeeds(path, "eval r same.csv");
    labelled(path, "plain.csv", (0..60).map(|row| row.to_string()));
    let dates = ["plain.csv, the calendar of the model", "dates in column \"time\"", "numbers, such as \"0\""];
    refused(path, "forecast r plain.csv", 1, &dates);
    labelled(path, "days.csv", (0..28).map(|row| format!("2024-01-{:02}", row + 1)));
    refused(path, "predict r days.csv", 1, &["days.csv", "times of day for the hour", "dates without a time"]);
    // Hours with a gap do not continue by themselves.
    labelled(path, "gap.csv", (0..60).filter(|row| *row != 30).map(time));
    let output = bptt(path, "forecast r gap.csv");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for part in ["gap.csv, the calendar", "times for 2 rows", "got times for 0", "add rows with the times to come"] {
        assert!(told.contains(part), "{told}");
    }
    let with_times = format!("{}{},\n{},\n", read(path, "gap.csv"), time(60), time(61));
    std::fs::write(path.join("times.csv"), with_times).unwrap();
    assert_eq!(forecast("times.csv")["labels"], serde_json::json!([time(60), time(61)]));
    let output = bptt(path, "forecast r times.csv --rows 3");
    assert!(String::from_utf8(output.stderr).unwrap().contains("got times for 2"));
}

#[test]
fn a_panel_in_long_form_has_a_calendar_too() {
    let folder = folder();
    let path = folder.path();
    let rows: String = (0..2 * 200)
        .map(|row| format!("{},{},{}\n", ["a", "b"][row / 200], time(row % 200), value(row % 200 + row / 200)))
        .collect();
    std::fs::write(path.join("long.csv"), format!("shop,time,sold\n{rows}")).unwrap();
    let stdout = train(path, "long", &format!("series long.csv --id shop --calendar hour {TINY}"));
    assert!(stdout.contains("2 series under one network") && stdout.contains("calendar: hour as sines"), "{stdout}");
    let forecast = json(path, "forecast long --json");
    assert_eq!(forecast["labels"], serde_json::json!([time(200), time(201)]));
    let wide: String = (0..200).map(|row| format!("{},{},{}\n", time(row), value(row), value(row + 1))).collect();
    std::fs::write(path.join("wide.csv"), format!("time,a,b\n{wide}")).unwrap();
    train(path, "wide", &format!("series wide.csv --panel --calendar hour {TINY}"));
    assert!(read(path, "long/metrics.jsonl") == read(path, "wide/metrics.jsonl"));
    assert_eq!(json(path, "forecast wide --json")["targets"], forecast["targets"]);
}

#[test]
fn a_calendar_that_the_times_do_not_have_is_refused_with_what_to_do() {
    let folder = folder();
    let path = folder.path();
    labelled(path, "plain.csv", (0..100).map(|row| row.to_string()));
    labelled(path, "texts.csv", (0..100).map(|row| ["b", "a"][row % 2].to_string()));
    labelled(path, "days.csv", (0..28).map(|row| format!("2024-01-{:02}", row + 1)));
    let refuse = |arguments: &str, code, parts: &[&str]| {
        refused(path, &format!("train series {arguments} {TINY}"), code, parts);
    };
    let advice = "or leave out the calendar";
    refuse("plain.csv --calendar hour", 1, &["plain.csv, --calendar", "numbers, such as \"0\"", advice]);
    refuse("texts.csv --calendar hour", 1, &["texts.csv, --calendar", "neither numbers nor dates", advice]);
    refuse(
        "days.csv --calendar weekday,hour",
        1,
        &["days.csv, --calendar", "dates without a time", "constant", "leave out hour"],
    );
    refuse("days.csv --calendar month", 1, &["days.csv, --calendar", "the same month in all", "leave out month"]);
    refuse("s.csv --calendar yearday", 2, &["--calendar", "one of minute, hour, weekday", "dayofyear", "\"yearday\""]);
    refuse("s.csv --calendar hour:x", 2, &["--calendar", "sines or classes after the colon", "x"]);
    refuse("s.csv --calendar hour,hour:classes", 2, &["--calendar", "each field once", "hour twice"]);
    refuse("s.csv --calendar hour --now v", 2, &["--calendar (series.calendar)", "no meaning with --now"]);
    train(path, "r", &format!("series s.csv --calendar hour {TINY}"));
    let other = "train series s.csv --init-from r --calendar weekday";
    refused(path, other, 2, &["--calendar weekday: the model was trained with hour"]);
}

#[test]
fn times_that_do_not_step_evenly_are_told_with_the_first_place_and_what_to_do() {
    let folder = folder();
    let path = folder.path();
    let minute = |row: usize| format!("2024-01-{:02} {:02}:{:02}", 1 + row / 24, row % 24, (row * row * 7) % 50);
    labelled(path, "uneven.csv", (0..120).map(minute));
    let stdout = train(path, "u", &format!("series uneven.csv {TINY}"));
    let told = "steps in time are not even: \"2024-01-01 01:07\" to \"2024-01-01 02:28\" is 81 minutes, and the step \
                before it 67 minutes; windows count rows and not time: resample the rows to even steps";
    assert!(stdout.contains(told), "{stdout}");
    labelled(path, "gap.csv", (0..120).filter(|row| *row != 30).map(time));
    let stdout = train(path, "g", &format!("series gap.csv {TINY}"));
    let told = "1 row is missing in time: none between \"2024-02-27 05:00\" and \"2024-02-27 07:00\"";
    let advice = "add rows with the missing times and no values, and --missing, to keep the steps even";
    assert!(stdout.contains(told) && stdout.contains(advice), "{stdout}");
    assert!(!stdout.contains("not even:"), "{stdout}");
    let twice: Vec<String> = (0..120).map(|row| time(row - usize::from(row == 50))).collect();
    labelled(path, "twice.csv", twice.into_iter());
    let parts =
        ["twice.csv", "row 51 (line 52, \"2024-02-28 01:00\")", "the same time twice: expected one row per time"];
    refused(path, &format!("train series twice.csv {TINY}"), 1, &parts);
}
