//! Long form, read and refused.

use ndarray::{Array2, array};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::data::common::batching::shuffle;
use crate::data::corruption::{below, number, rng, survives};

fn read(text: &str) -> Result<LabelledSequences, String> {
    let labelled = LabelledSequences::from_long(
        text.as_bytes(),
        Path::new("a.csv"),
        &LongColumns::default(),
        MissingPolicy::Refuse,
    );
    labelled.map_err(|error| error.to_string())
}

/// RowIndex in any order, but for the first of each sequence, whose ids come in the order of the sequences.
fn draw(rng: &mut ChaCha8Rng) -> (LabelledSequences, String) {
    let (n, dimensions) = (1 + below(5, rng), 1 + below(3, rng));
    let (mut sequences, mut classes, mut first, mut rest) = (Vec::new(), Vec::new(), String::new(), Vec::new());
    for id in 0..n {
        let steps = Array2::from_shape_simple_fn((1 + below(6, rng), dimensions), || number(rng));
        let class = ["left", "right, or \"so\""][below(2, rng)];
        let quoted = format!("\"{}\"", class.replace('"', "\"\""));
        for (t, step) in steps.rows().into_iter().enumerate() {
            let numbers: String = step.iter().map(|number| format!(",{number}")).collect();
            let row = format!("{},s{id},{quoted}{numbers}\n", t as f64 * 2.5 - 5.0);
            if t == 0 { first += &row } else { rest.push(row) }
        }
        sequences.push(steps);
        classes.push(class);
    }
    shuffle(&mut rest, rng);
    let names: String = (0..dimensions).map(|i| format!(",x{i}")).collect();
    let text = format!("time,id,label{names}\n{first}{}", rest.concat());
    let ids = (0..n).map(|id| format!("s{id}")).collect();
    let dimensions = (0..dimensions).map(|i| format!("x{i}")).collect();
    let labelled = LabelledSequences::new(SequenceInputs::wide(sequences), Labels::from_names(&classes));
    (LabelledSequences { ids, dimensions, ..labelled }, text)
}

#[test]
fn written_sequences_are_read_back() {
    let mut rng = rng(0);
    for _ in 0..500 {
        let (labelled, text) = draw(&mut rng);
        let read = read(&text).map(|read| LabelledSequences { decimal: None, ..read });
        assert_eq!(read, Ok(labelled));
    }
}

#[test]
fn corrupted_files_do_not_panic() {
    let columns = LongColumns::default();
    let parse =
        |bytes: &[u8]| LabelledSequences::from_long(bytes, Path::new("a.csv"), &columns, MissingPolicy::Forward);
    survives(|rng| draw(rng).1.into_bytes(), parse);
}

#[test]
fn times_are_numbers_dates_or_file_order_but_never_text() {
    let sorted = |times: &[&str]| -> Result<(Vec<f64>, Vec<String>), String> {
        let rows: String = times.iter().zip(1..).map(|(time, v)| format!("a,\"{time}\",k,{v}\n")).collect();
        let labelled = read(&format!("id,time,label,v\n{rows}"))?;
        Ok((labelled.input.values(&[0], 0).collect::<Vec<_>>(), labelled.notes))
    };
    let unnoted = |times: &[&str], order: &[f64]| assert_eq!(sorted(times), Ok((order.to_vec(), vec![])), "{times:?}");
    unnoted(&["10", "9", "1e0"], &[3.0, 2.0, 1.0]);
    unnoted(&["2024-02-01", "2024-01-31"], &[2.0, 1.0]);
    unnoted(&["10:00", "9:00", "9:30:00.5"], &[2.0, 3.0, 1.0]);
    unnoted(&["5 Mar 2021", "28 Feb 2021"], &[2.0, 1.0]);
    unnoted(&["2021-01-01T01:00:00+02:00", "2021-01-01T00:30:00+01:00", "2020-12-31T23:15:00Z"], &[1.0, 3.0, 2.0]);
    let noted = |times: &[&str], order: &[f64], note: &str| {
        let (got, notes) = sorted(times).unwrap();
        assert!(got == order && notes.len() == 1 && notes[0].contains(note), "{got:?} {notes:?}");
    };
    noted(&["t1", "t10", "t11", "t2"], &[1.0, 4.0, 2.0, 3.0], "the same words around them, as in \"t1\"");
    noted(&["13/1/2021", "1/2/2021"], &[1.0, 2.0], "day first");
    // A decimal comma is none between words and a number.
    unnoted(&["0,1", "0,15", "0,05", "1"], &[3.0, 1.0, 2.0, 4.0]);
    let (days, notes) = sorted(&["31012024", "01022024"]).unwrap();
    assert!(days == [1.0, 2.0] && notes[0].contains("day first"), "{days:?} {notes:?}");
    noted(&["t-3", "t-2", "t-1"], &[1.0, 2.0, 3.0], "from \"t-3\" to \"t-1\"");
    noted(&["2/1/2021", "1/14/2021"], &[2.0, 1.0], "month first");
    // The order of the file is that of time in one reading alone.
    noted(
        &["1/3/2021", "2/3/2021", "1/4/2021"],
        &[1.0, 2.0, 3.0],
        "day first, the only order in which the rows ascend",
    );
    noted(&["start", "middle", "end"], &[1.0, 2.0, 3.0], "in the order of the file: times of column \"time\"");
    let refused = |times: &[&str], part: &str| {
        let error = sorted(times).unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    refused(&["1", "2", "NaN", "4", "x"], "row 3 (line 4), column \"time\": expected a number like \"1\", got \"NaN\"");
    refused(&["2024-02-01", "2024-01-31", "Total"], "row 3 (line 4), column \"time\": expected a date like");
    noted(&["1/1/2021", "2/2/2021"], &[1.0, 2.0], "day first, and any other order would sort the rows the same");
    refused(
        &["2/1/2021", "1/2/2021", "1/1/2021"],
        "day-first or month-first, got \"2/1/2021\", which is 2 January 2021 day first",
    );
    refused(&["start", "middle", "start"], "row 3 (line 4), column \"time\": expected a different time for each step");
    refused(&["t1", "t01"], "a different time for each step, got \"t01\" as in row 1 (line 2)");
}

#[test]
fn descending_times_are_sorted_per_sequence() {
    let text = "id,time,label,v\na,t-2,k,1\na,t-1,k,2\nb,t-2,k,3\nb,t-1,k,4\n";
    assert_eq!(read(text).unwrap().input.values(&[0, 1], 0).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn the_order_of_day_and_month_can_be_set() {
    let text = "id,time,label,v\na,2/1/2021,k,1\na,1/2/2021,k,2\n";
    let values = |dates| {
        let columns = LongColumns { dates: Some(dates), ..LongColumns::default() };
        let read =
            LabelledSequences::from_long(text.as_bytes(), Path::new("a.csv"), &columns, MissingPolicy::Refuse).unwrap();
        read.input.values(&[0], 0).collect::<Vec<_>>()
    };
    assert_eq!(values(DateOrder::DayFirst), [1.0, 2.0]);
    assert_eq!(values(DateOrder::MonthFirst), [2.0, 1.0]);
}

#[test]
fn columns_are_found_by_the_configured_names() {
    let columns = LongColumns { id: "who".into(), time: "t".into(), label: None, decimal: None, dates: None };
    let text = "\u{feff}w, who ,t,v\r\n7,a,0,1\r\n8,a,1,2\r\n";
    let read = |columns: &LongColumns| {
        LabelledSequences::from_long(text.as_bytes(), Path::new("a.csv"), columns, MissingPolicy::Refuse)
    };
    let sequences = vec![array![[7.0, 1.0], [8.0, 2.0]]];
    let (ids, dimensions) = (vec!["a".into()], vec!["w".into(), "v".into()]);
    let labelled =
        LabelledSequences { ids, dimensions, ..LabelledSequences::new(SequenceInputs::wide(sequences), Labels::None) };
    assert_eq!(read(&columns).unwrap(), labelled);
    let columns = LongColumns { label: Some("kind".into()), ..columns };
    assert!(read(&columns).unwrap_err().to_string().contains("expected a column \"kind\" of labels"));
}

#[test]
fn missing_numbers_are_filled_in_time_order() {
    let text = "id,time,label,v\na,3,k,\na,2,k,NaN\na,1,k,7\nb,1,k,?\n";
    let read = |missing| {
        let text = text.as_bytes();
        let read = LabelledSequences::from_long(text, Path::new("a.csv"), &LongColumns::default(), missing);
        read.map_err(|error| error.to_string())
    };
    assert_eq!(
        read(MissingPolicy::Forward).unwrap_err(),
        "a.csv, row 4 (line 5), column \"v\": expected a first number to fill forward from, got a missing value"
    );
    let masked = read(MissingPolicy::Mask).unwrap().input;
    assert_eq!(masked.values(&[0, 1], 0).map(f64::is_nan).collect::<Vec<_>>(), [false, true, true, true]);
    let text = text.replace('?', "1");
    let columns = LongColumns::default();
    let filled =
        LabelledSequences::from_long(text.as_bytes(), Path::new("a.csv"), &columns, MissingPolicy::Forward).unwrap();
    assert_eq!(filled.input.values(&[0], 0).collect::<Vec<_>>(), [7.0, 7.0, 7.0]);
}

#[test]
fn wrong_columns_are_named() {
    let error = |text: &str| read(text).unwrap_err();
    assert!(error("").contains("got an empty file"));
    assert_eq!(error("id,time,label,v\n"), "a.csv: expected rows below the column names, got none");
    assert_eq!(error("time,label,v\n"), "a.csv: expected a column \"id\" of ids, got the columns time, label, v");
    assert!(error("id,label,v\n").contains("expected a column \"time\" of times"));
    assert!(error("id,time,label\n").contains("at least one column of numbers"));
    let twice = error("id,v,time,label,v\n");
    assert_eq!(twice, "a.csv: expected one column \"v\", got two, the fields 2 and 5");
}

#[test]
fn wrong_rows_are_named() {
    let error = |rows: &str| read(&format!("id,time,label,v\na,0,k,1\n{rows}")).unwrap_err();
    assert!(error("a,1,k,2,3\n").starts_with("a.csv, row 2 (line 3): expected 4 fields, got 5; the separator is"));
    assert!(error("a,1,k\n").starts_with("a.csv, row 2 (line 3): expected 4 fields, got 3; the separator is"));
    let cell = "a.csv, row 2 (line 4), column \"v\": expected a finite number, got";
    assert_eq!(error("\na,1,k,x\n"), format!("{cell} \"x\""));
    assert_eq!(error("\r\na,1,k,x\r\n"), format!("{cell} \"x\""));
    assert_eq!(error("\na,1,k,\n"), format!("{cell} a missing value"));
    assert_eq!(error("\na,1,k,NaN\n"), format!("{cell} \"NaN\""));
    assert_eq!(error("\na,1,k,-inf\n"), format!("{cell} \"-inf\""));
    assert!(error(",1,k,1\n").contains("column \"id\": expected the id of a sequence, got a missing value"));
    assert!(error("a,,k,1\n").contains("column \"time\": expected a time, got a missing value"));
    assert!(error("a,1,,1\n").contains("column \"label\": expected a label, got a missing value"));
    let open = "a.csv, row 2 (line 3): expected a closing quotation mark, got the end of the file";
    assert_eq!(error("a,1,k,\"1\n"), open);
    let long = "x".repeat(10_000_000);
    assert!(error(&format!("a,1,k,{long}\n")).len() < 300);
    assert!(error(&long).contains("row 2 (line 3): expected 4 fields, got 1"));
    let bytes = b"id,time,label,v\na,0,k,\xff\n";
    let columns = LongColumns::default();
    let encoding =
        LabelledSequences::from_long(bytes, Path::new("a.csv"), &columns, MissingPolicy::Refuse).unwrap_err();
    let place = "a.csv, line 2, byte offset 22: expected UTF-8 text, got the byte 0xFF;";
    assert!(encoding.to_string().starts_with(place), "{encoding}");
}

#[test]
fn numeric_ids_and_labels_are_equal_however_they_are_written() {
    let labelled = read("id,time,label,v\n3,0,1,1\n3.0,1,1.0,2\n4,0,2.0,3\n+3,2,1,4\n").unwrap();
    assert_eq!(labelled.ids, ["3", "4"]);
    assert_eq!(labelled.labels, Labels::from_names(&["1", "2"]));
    assert_eq!(labelled.input.values(&[0], 0).collect::<Vec<_>>(), [1.0, 2.0, 4.0]);
    let comma = read("id;time;label;v\n3;0;0,5;1,5\n4;0;2,0;2,5\n5;0;2;2,25\n").unwrap();
    assert_eq!(comma.labels, Labels::from_names(&["0.5", "2", "2"]));
    // Codes are names; beside the number that they look like they are asked about.
    assert_eq!(read("id,time,label,v\n03,0,k,1\n04,0,k,2\n").unwrap().ids, ["03", "04"]);
    let both = read("id,time,label,v\n03,0,k,1\n3,1,k,2\n").unwrap_err();
    let expected = "expected one way of writing a number, as \"03\" in row 1 (line 2), got \"3\"";
    assert_eq!(both, format!("a.csv, row 2 (line 3), column \"id\": {expected}"));
}

#[test]
fn labels_are_evidence_for_the_decimal_mark() {
    let reader = "expected numbers that show their decimal mark, got";
    for (text, part) in [
        ("id;time;x;label\na;0;1;1,100\nb;0;2;2,137\n", format!("{reader} \"1,100\" (line 2)")),
        ("id,time,x,label\na,0,1,\"1,100\"\n", format!("{reader} \"1,100\" (line 2)")),
        ("id;time;x;label\na;0;1;1.100\n", format!("{reader} \"1.100\" (line 2)")),
        ("id;time;x;label\na;0;1.5;0,5\n", "got \"1.5\" (line 2) and \"0,5\" (line 2)".into()),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(&part) && error.contains("--decimal ,"), "{error}");
    }
    let read = read("id;time;x;label\na;0;1;0,5\nb;0;2;1,5\nc;0;3;word, two\n").unwrap();
    assert_eq!(read.labels, Labels::from_names(&["0.5", "1.5", "word, two"]));
    assert_eq!(read.decimal, Some(DecimalMark::Comma));
}

#[test]
fn contradicting_rows_are_both_named() {
    let error = |rows: &str| read(&format!("id,time,label,v\na,0,k,1\nb,0,j,1\n{rows}")).unwrap_err();
    let label =
        "a.csv, row 3 (line 4), column \"label\": expected \"k\", as in row 1 (line 2) of the same id, got \"j\"";
    assert_eq!(error("a,1,j,2\n"), label);
    let time = "a.csv, row 3 (line 4), column \"time\": expected a different time for each step";
    let time = format!("{time}, got \"0.0\" as in row 1 (line 2) of the same id");
    assert_eq!(error("a,0.0,k,2\n"), time);
}

#[test]
fn labels_of_steps_follow_their_rows_in_time_and_may_be_missing() {
    let at_steps = |text: &str| {
        let (columns, path, limit) = (LongColumns::default(), Path::new("a.csv"), InputLimit::default());
        let missing = MissingPolicy::Refuse;
        LabelledSequences::long_within(text.as_bytes(), path, &columns, missing, LabelsPer::Step, limit)
            .map_err(|error| error.to_string())
    };
    let read = at_steps("id,time,label,v\nb,2,up,1\na,3,,2\nb,1,down,3\na,1,NA,4\na,2,up,5\n").unwrap();
    assert_eq!(read.labels_per, LabelsPer::Step);
    let names = vec!["down".into(), "up".into()];
    let of = vec![0, 1, Labels::MISSING, 1, Labels::MISSING];
    assert_eq!(read.labels, Labels::Classes { names, of });
    assert_eq!(read.input.values(&[0, 1], 0).collect::<Vec<_>>(), [3.0, 1.0, 4.0, 5.0, 2.0]);
    assert_eq!(read.notes, ["labels such as \"NA\" are read as missing"]);
    read.validate().unwrap();
    let values = at_steps("id,time,label,v\na,1,0.5,1\na,2,,2\na,3,0.25,3\n").unwrap().labels_as(None).unwrap();
    let Labels::Values(values) = values.labels else { panic!("{:?}", values.labels) };
    assert!(values[[0, 0]] == 0.5 && values[[1, 0]].is_nan() && values[[2, 0]] == 0.25, "{values}");
    let none = at_steps("id,time,label,v\na,1,,1\na,2,?,2\n").unwrap().labels_as(None).unwrap();
    assert_eq!(none.labels, Labels::None);
    let word = at_steps("id,time,label,v\na,1,0.5,1\na,2,0.7,2\na,3,x,3\n").unwrap().labels_as(None).unwrap_err();
    let message = word.to_string();
    assert!(
        message.starts_with("the label of sequence 1 (id \"a\"), step 3: expected a number, as 2 of 3"),
        "{message}"
    );
}
