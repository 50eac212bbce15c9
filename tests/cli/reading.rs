//! How the program reads separated text from outside: what it says of separators, decimal marks, first lines and gaps,
//! and that its figures are those of the numbers that stand in the file.

use std::path::Path;

use crate::common::program::{bptt, json, read, refused, succeeds, train};

const TINY: &str = "--window 6 --hidden 4 --epochs 1 --batch 16";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// Lines below `names`, by their number.
fn lines(names: &str, count: usize, line: impl Fn(usize) -> String) -> String {
    std::iter::once(names.to_owned()).chain((0..count).map(line)).map(|line| line + "\n").collect()
}

#[track_caller]
fn says(stdout: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(stdout.contains(part), "{part:?} is not in {stdout}"));
}

/// The error of the last value on the test part of a run's own data.
#[track_caller]
fn last_value(folder: &Path, run: &str) -> f64 {
    json(folder, &format!("eval {run} --json"))["test"]["naive_rmse"].as_f64().unwrap()
}

#[track_caller]
fn near(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-9 * expected.abs(), "{got}, not {expected}");
}

#[test]
fn a_decimal_comma_is_recognised_whatever_the_header_holds() {
    let folder = folder();
    let path = folder.path();
    // By one and a half from row to row.
    let price = |row: usize| if row.is_multiple_of(2) { "1.020,00" } else { "1.021,50" };
    let name = "Preis, EUR";
    for (run, separator) in [("semicolon", ';'), ("tab", '\t'), ("bar", '|')] {
        let text =
            lines(&format!("Datum{separator}{name}"), 60, |row| format!("{}{separator}{}", 1960 + row, price(row)));
        write(path, "s.csv", text);
        let stdout = train(path, run, &format!("series s.csv {TINY}"));
        let separated = format!("fields separated by {run}s, not by commas, which fit as many lines");
        let separated = separated.replace("bars", "vertical bars");
        says(&stdout, &[&separated, "numbers have a decimal comma; thousands in groups: \"1.020,00\" is 1020"]);
        says(&stdout, &["column \"Preis, EUR\", Datum 1960–2019, 60 rows"]);
        near(last_value(path, run), 1.5);
        says(&read(path, &format!("{run}/report.html")), &[&separated]);
    }
    write(path, "told.csv", lines("sep=;\nDatum;Preis", 60, |row| format!("{};{}", 1960 + row, price(row))));
    says(&train(path, "told", &format!("series told.csv {TINY}")), &["fields separated by semicolons\n", "60 rows"]);
    near(last_value(path, "told"), 1.5);
    // Nothing is said of what can be read in one way alone.
    write(path, "plain.csv", lines("t,v", 60, |row| format!("{row},{}", row % 2)));
    let stdout = train(path, "plain", &format!("series plain.csv {TINY}"));
    assert!(!stdout.contains("separated") && !stdout.contains("decimal"), "{stdout}");
}

#[test]
fn ambiguous_thousands_are_refused_and_the_answer_is_stored_with_the_run() {
    let folder = folder();
    let path = folder.path();
    let text = lines("t;v", 60, |row| format!("{row};{}.000", 1 + row % 2));
    write(path, "s.csv", &text);
    write(path, "other.csv", &text);
    let asked = ["s.csv: ", "got \"1.000\" (line 2): 1 with --decimal . and 1000 with --decimal ,"];
    refused(path, &format!("train series s.csv {TINY}"), 1, &asked);
    let stdout = train(path, "comma", &format!("series s.csv --decimal , {TINY}"));
    says(&stdout, &["thousands in groups: \"1.000\" is 1000"]);
    says(&read(path, "comma/config.toml"), &["decimal = \",\""]);
    near(last_value(path, "comma"), 1000.0);
    let of_other = |flags: &str| {
        json(path, &format!("eval comma other.csv {flags} --json"))["test"]["naive_rmse"].as_f64().unwrap()
    };
    near(of_other(""), 1000.0);
    near(of_other("--decimal ."), 1.0);
    let next = |flags: &str| json(path, &format!("forecast comma {flags} --json"))["targets"]["v"][0].as_f64().unwrap();
    near(next("other.csv"), next(""));
    // Where the results are all that is printed, the other stream tells how another file was read.
    for command in ["predict", "forecast"] {
        let told = |flags: &str| String::from_utf8(bptt(path, &format!("{command} comma {flags}")).stderr).unwrap();
        says(&told("other.csv"), &["fields separated by semicolons", "\"1.000\" is 1000"]);
        assert_eq!(told(""), "");
    }
    assert!((next("other.csv --decimal .") - next("")).abs() > 1e-6);
    train(path, "point", &format!("series s.csv --decimal . {TINY}"));
    near(last_value(path, "point"), 1.0);
    refused(path, "forecast point --decimal ,", 2, &["FILE"]);
    // Told one way, a number of the other is refused by its place.
    write(path, "mixed.csv", lines("t;v", 60, |row| format!("{row};{}", if row == 7 { "0.5" } else { "0,25" })));
    refused(
        path,
        &format!("train series mixed.csv {TINY}"),
        1,
        &["one decimal mark", "\"0.5\" (line 9)", "\"0,25\" (line 2)"],
    );
    let place = "mixed.csv, row 8 (line 9), column \"v\": expected a number with a decimal comma, got \"0.5\"";
    refused(path, &format!("train series mixed.csv --decimal , {TINY}"), 1, &[place, "--decimal ."]);
    refused(path, "train task adding --decimal ,", 2, &["--decimal is a flag of train series and train sequences"]);
}

#[test]
fn long_form_accepts_the_separators_and_decimal_marks_of_a_series() {
    let folder = folder();
    let path = folder.path();
    let text = |form: fn(usize, usize) -> String| -> String {
        let rows = (0..12).flat_map(|id| (0..5).map(move |time| (id, time)));
        rows.map(|(id, time)| form(id, time)).collect()
    };
    let comma = text(|id, time| format!("{id};{time};{};{},5\n", ["a", "b"][id % 2], id + time));
    write(path, "long.csv", format!("id;time;label;v\n{comma};;;\n;;;\n"));
    let point = text(|id, time| format!("{id},{time},{},{}.5\n", ["a", "b"][id % 2], id + time));
    write(path, "point.csv", format!("id,time,label,v\n{point}"));
    let stdout = train(path, "r", "sequences long.csv --hidden 4 --steps 2");
    says(
        &stdout,
        &[
            "12 sequences of 1 dimension (v)",
            "fields separated by semicolons",
            "numbers have a decimal comma: \"0,5\" is 0.5",
        ],
    );
    says(&stdout, &["the last 2 lines, from line 62 on, have only ';' and are ignored"]);
    // But for the part: of another file only what trained is known.
    let without_part = |line: &str| {
        let (id, rest) = line.split_once(',').unwrap();
        format!("{id},{}", rest.split_once(',').unwrap().1)
    };
    let [of_comma, of_point] = ["long.csv", "point.csv"].map(|file| {
        let predictions = succeeds(path, &format!("predict r {file}"));
        predictions.lines().map(without_part).collect::<Vec<_>>()
    });
    assert_eq!(of_comma, of_point);
}

#[test]
fn a_filled_gap_is_read_and_never_measured() {
    let folder = folder();
    let path = folder.path();
    // Each row is one more than the last; rows 90 and 91 are missing, of the 14 that test.
    let text = |gap: &str| {
        lines("t,v", 100, |row| format!("{row},{}", if row == 90 || row == 91 { gap.into() } else { row.to_string() }))
    };
    for (run, gap) in [("empty", ""), ("word", "NA"), ("excel", "#N/A"), ("null", "null")] {
        write(path, "s.csv", text(gap));
        let stdout = train(path, run, &format!("series s.csv --missing ffill {TINY}"));
        says(&stdout, &["missing: 2 of v; filled with the previous value; filled values are not measured"]);
        // 11 forecasts are 1 off, and that of row 92, from row 89 on, is 3.
        near(last_value(path, run), (20.0f64 / 12.0).sqrt());
    }
    let table = read(path, "null/forecast.csv");
    assert!(!table.contains("\n90,") && !table.contains("\n91,") && table.contains("\n92,test"), "{table}");
    let predictions = succeeds(path, "predict null");
    let truth = |row: usize| {
        let names: Vec<&str> = predictions.lines().next().unwrap().split(',').collect();
        let line = predictions.lines().find(|line| line.starts_with(&format!("{row},"))).unwrap();
        line.split(',').nth(names.iter().position(|name| *name == "v_truth").unwrap()).unwrap().to_owned()
    };
    assert_eq!([89, 90, 91, 92].map(truth), ["89", "", "", "92"]);
    // Of a horizon that meets the gap, the other steps count: step k is k off, and 2 more where the row before is
    // missing.
    let stdout = train(path, "ahead", &format!("series s.csv --missing ffill --horizon 2 {TINY}"));
    says(&stdout, &["windows left out: 0 in training with a missing target, 1 later without a target"]);
    let test = &json(path, "eval ahead --json")["test"];
    assert_eq!(test["forecasts"], 12);
    // What is forecast of row 92 alone from row 91 on, and of rows 92 and 93 from row 92 on, knows nothing after
    // row 89.
    let square = |step: usize| test["by_step"][step]["naive_rmse"].as_f64().unwrap().powi(2);
    near(square(0), (10.0 + 9.0) / 11.0);
    near(square(1), (9.0 * 4.0 + 9.0 + 16.0) / 11.0);
}

#[test]
fn trailing_lines_of_separators_are_not_rows() {
    let folder = folder();
    let path = folder.path();
    let text = lines("t;v", 100, |row| format!("{row};{}", row * 2));
    write(path, "s.csv", text + &";\n".repeat(30));
    let stdout = train(path, "r", &format!("series s.csv --missing ffill {TINY}"));
    says(&stdout, &["t 0–99, 100 rows", "the last 30 lines, from line 102 on, have only ';' and are ignored"]);
    near(last_value(path, "r"), 2.0);
}

#[test]
fn a_file_without_a_header_keeps_its_first_row() {
    let folder = folder();
    let path = folder.path();
    let text = |first: &str| lines(first, 99, |row| format!("2{:03},{}.5", row + 1, row + 1));
    write(path, "s.csv", text("2000,0.5"));
    let stdout = train(path, "r", &format!("series s.csv {TINY}"));
    says(&stdout, &["column 2, 1 2000–2099, 100 rows", "no header: the first line, \"2000\" \"0.5\", is a row"]);
    near(last_value(path, "r"), 1.0);
    write(path, "either.csv", text("1,2"));
    refused(
        path,
        "train series either.csv",
        1,
        &["either.csv, line 1", "may be names or values", "add a header line above it"],
    );
    write(path, "years.csv", text("year,1999"));
    says(&train(path, "years", &format!("series years.csv {TINY}")), &["99 rows", "column names are numbers"]);
}

#[test]
fn columns_of_numbers_are_offered_as_targets_and_neither_the_times_nor_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // A missing value and a typing error leave a column one of numbers.
    let row = |day: usize| {
        let y = ["", "1,5", "oops"].get(day).map_or_else(|| format!("\"{day},25\""), |odd| format!("\"{odd}\""));
        format!("2024-01-{:02},{y},{},{day},\n", day + 1, ["rain", "sun"][day % 2])
    };
    let rows: String = (0..28).map(row).collect();
    write(path, "w.csv", format!("day,y,sky,z,none\n{rows}"));
    refused(path, "train series w.csv --out r", 1, &["w.csv: expected --target COLUMN, one or more of y, z\n"]);
    let words = "w.csv: expected numbers in every column of --panel, got words in sky, none: --target names the series, \
                 as in --target y,z\n";
    refused(path, "train series w.csv --panel --out r", 1, &[words]);
    refused(path, "train series w.csv --panel --target y,z --out r", 1, &["\"oops\""]);
    refused(path, "train series w.csv --now z --out r", 1, &["beside --now, one or more of y\n"]);
    // A title above the header is still told from a column of words.
    write(path, "t.csv", "the sales,of all,shops\nday,a,b\n2024-01-01,1,2\n2024-01-02,3,4\n");
    refused(path, "train series t.csv --panel --out r", 1, &["remove the lines above it"]);
}

#[test]
fn an_unnamed_column_is_not_a_feature() {
    let folder = folder();
    let path = folder.path();
    write(path, "s.csv", lines("t,v,w,", 60, |row| format!("{row},{},{},", row % 2, row % 3)));
    let stdout = train(path, "r", &format!("series s.csv --target v --features all {TINY}"));
    says(&stdout, &["target v; features w\n"]);
    assert!(!stdout.contains("no name"), "{stdout}");
    write(path, "remark.csv", lines("t,v,", 60, |row| format!("{row},{},{}", row % 2, row % 3)));
    let stdout = train(path, "remark", &format!("series remark.csv {TINY}"));
    says(&stdout, &["column v, t 0–59, 60 rows", "field 3 has values and no name, and is not read"]);
    write(path, "one.csv", lines("t", 60, |row| row.to_string()));
    refused(path, "train series one.csv", 1, &["followed by columns of numbers, got only t", "a semicolon"]);
}

#[test]
fn a_line_with_another_number_of_fields_is_refused_with_the_separator_and_the_reason() {
    let folder = folder();
    let path = folder.path();
    write(
        path,
        "s.csv",
        lines("t;v", 60, |row| if row == 9 { "9;1;2".into() } else { format!("{row};{},5", row % 2) }),
    );
    let why = "the separator is the semicolon, with which 59 of 60 lines have 2 fields, like the first";
    refused(path, "train series s.csv", 1, &["row 10 (line 11): expected 2 fields, got 3", why]);
    write(path, "both.csv", lines("a;b, c", 60, |_| "x;y, z".into()));
    refused(path, "train series both.csv", 1, &["both.csv", "60 of 60 lines", "set it with a line sep=, or sep=;"]);
}

#[test]
fn missing_days_are_reported_and_weekends_are_not() {
    let folder = folder();
    let path = folder.path();
    let days = |days: &[usize]| lines("day,v", days.len(), |row| format!("2024-01-{:02},{}", days[row], row % 3));
    let all = |day: &usize| !(13..=22).contains(day) && *day != 5;
    write(path, "s.csv", days(&(1..=31).filter(all).collect::<Vec<_>>()));
    let stdout = train(path, "r", &format!("series s.csv {TINY} --split 0.6,0.2,0.2"));
    let told = "11 rows are missing in time: none between \"2024-01-04\" and \"2024-01-06\", the first of 2 places, where \
                most are 1 day apart; windows cross these gaps as if no time had passed";
    says(&stdout, &[told]);
    // January 2024 began on a Monday.
    write(path, "weekdays.csv", days(&(1..=31).filter(|day| (day - 1) % 7 < 5).collect::<Vec<_>>()));
    let stdout = train(path, "weekdays", &format!("series weekdays.csv {TINY} --split 0.6,0.2,0.2"));
    assert!(!stdout.contains("missing in time"), "{stdout}");
}

#[test]
fn a_later_file_without_a_decimal_mark_uses_that_of_the_model() {
    let folder = folder();
    let path = folder.path();
    let price = |row: usize| if row.is_multiple_of(2) { "1.100,5" } else { "1.200,5" };
    write(path, "s.txt", lines("t\tv", 60, |row| format!("{}\t{}", 1960 + row, price(row))));
    train(path, "run", &format!("series s.txt {TINY}"));
    let whole = |row: usize| if row.is_multiple_of(2) { "1.100" } else { "1.200" };
    let later = lines("t\tv", 60, |row| format!("{}\t{}", 1960 + row, whole(row)));
    write(path, "later.txt", &later);
    near(last_value(path, "run later.txt"), 100.0);
    // A model alone, without its run, knows as much.
    near(last_value(path, "run/model.safetensors later.txt"), 100.0);
    // Where commas stand between fields the points might as well be those of decimals, and nothing asks.
    write(path, "later.csv", later.replace('\t', ","));
    near(last_value(path, "run later.csv"), 100.0);
    // What a file shows and what is told come first.
    near(last_value(path, "run later.txt --decimal ."), 0.1);
    write(path, "other.txt", later.replace("1.100", "1.25"));
    near(last_value(path, "run other.txt"), 0.05);
}

#[test]
fn later_sequences_without_a_decimal_mark_use_that_of_the_model() {
    let folder = folder();
    let path = folder.path();
    let rows = |value: fn(usize) -> String| {
        lines("id;time;x;label", 60, move |row| {
            format!("s{};{};{};{}", row / 3, row % 3, value(row), ["a", "b"][row / 3 % 2])
        })
    };
    write(path, "s.csv", rows(|row| format!("1.{:03},5", 100 + row)));
    write(path, "later.csv", rows(|row| format!("1.{:03}", 100 + row)));
    train(path, "run", "sequences s.csv --hidden 4 --epochs 1 --batch 8 --scale standard");
    let asked = "1.1 with --decimal . and 1100 with --decimal ,";
    refused(path, "train sequences later.csv --device cpu --out other --hidden 4 --epochs 1", 1, &[asked]);
    let groups = "thousands in groups: \"1.100\" is 1100";
    says(&succeeds(path, "eval run later.csv"), &[groups]);
    // The file that tests is read as the one that trains.
    let tested = "sequences s.csv --test-file later.csv --hidden 4 --epochs 1 --batch 8 --scale standard";
    says(&train(path, "tested", tested), &[groups]);
}

#[test]
fn later_sequences_use_the_date_order_of_the_model() {
    let folder = folder();
    let path = folder.path();
    let rows = |above: usize, times: [&'static str; 3]| {
        lines("id,time,x,label", 60, move |row| {
            format!("s{},{},{},{}", row / 3, times[row % 3], above + row * 7 % 5, ["a", "b"][row / 3 % 2])
        })
    };
    write(path, "s.csv", rows(0, ["1/11/2021", "1/12/2021", "1/13/2021"]));
    // Of themselves they ascend day first.
    write(path, "later.csv", rows(10, ["2/1/2021", "3/1/2021", "1/2/2021"]));
    let shown = "dates of column \"time\" are read month first, the only way to read \"1/13/2021\" in row 3";
    says(&train(path, "run", "sequences s.csv --hidden 4 --epochs 1 --batch 8"), &[shown]);
    says(&train(path, "own", "sequences later.csv --hidden 4 --epochs 1 --batch 8"), &["are read day first"]);
    let told = "dates of column \"time\" are read month first, as given";
    says(&succeeds(path, "eval run later.csv"), &[told]);
    // The file that tests is read as the one that trains.
    let tested = "sequences s.csv --test-file later.csv --hidden 4 --epochs 1 --batch 8";
    says(&train(path, "tested", tested), &[shown, told]);
    // An order that makes no difference is none to hold later files to.
    write(path, "alike.csv", rows(20, ["1/2/2021", "2/2/2021", "3/2/2021"]));
    says(
        &train(path, "alike", "sequences alike.csv --hidden 4 --epochs 1 --batch 8"),
        &["would sort the rows the same"],
    );
    says(&succeeds(path, "eval alike s.csv"), &[shown]);
}

#[test]
fn forecast_accepts_the_date_order_flag() {
    let folder = folder();
    let path = folder.path();
    write(path, "s.csv", lines("t,v", 40, |row| format!("2020-{:02}-{:02},{}", 1 + row / 28, 1 + row % 28, row % 3)));
    train(path, "run", &format!("series s.csv {TINY}"));
    write(path, "later.csv", lines("t,v", 11, |row| format!("{}/{}/2021,{}", row + 1, row + 2, row % 3)));
    refused(path, "forecast run later.csv", 1, &["--dates", "day-first or month-first"]);
    let next = |order: &str| json(path, &format!("forecast run later.csv --dates {order} --json"))["after"].clone();
    assert_eq!(next("day-first"), "11/12/2021");
    let told = bptt(path, "forecast run later.csv --dates month-first").stderr;
    says(&String::from_utf8(told).unwrap(), &["dates of column \"t\" are read month first, as given"]);
    refused(path, "forecast run --dates month-first", 2, &["FILE"]);
}

#[test]
fn a_later_file_with_a_clear_decimal_mark_overrides_that_of_the_run() {
    let folder = folder();
    let path = folder.path();
    write(path, "s.csv", lines("t;v", 60, |row| format!("{row};{},5", row % 2)));
    write(path, "later.csv", lines("t;v", 60, |row| format!("{row};{}.25", row % 2)));
    train(path, "run", &format!("series s.csv --decimal , {TINY}"));
    near(last_value(path, "run later.csv"), 1.0);
    near(last_value(path, "run/model.safetensors later.csv"), 1.0);
    // What the folder's settings are then does not matter.
    write(&path.join("run"), "config.toml", "[");
    near(last_value(path, "run later.csv"), 1.0);
    refused(path, "eval run later.csv --decimal ,", 1, &["expected a number with a decimal comma"]);
}

#[test]
fn a_number_beyond_f32_is_refused_only_if_still_so_after_scaling() {
    let folder = folder();
    let path = folder.path();
    write(path, "s.csv", lines("t,v", 60, |row| format!("{row},{}e39", 1 + row % 3)));
    let stdout = train(path, "run", &format!("series s.csv {TINY}"));
    says(&stdout, &["60 rows"]);
    assert!(json(path, "forecast run --json")["targets"]["v"][0].as_f64().unwrap() > 1e38);
    refused(path, &format!("train series s.csv --scale none {TINY}"), 1, &["s.csv", "column \"v\"", "within f32"]);
}
