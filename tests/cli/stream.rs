//! Predictions line by line: that they are those of the whole, and at once; what is refused.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::program::{command, fed, refused, succeeds, train};
use crate::common::sound;
use bptt::experiment::{DeviceOptions, LoadedModel};
use bptt::ndarray::{Array2, Axis};
use bptt::{Sequence, block_on};

/// What `bptt stream` writes, without the line of names.
#[track_caller]
fn stream(folder: &Path, arguments: &str, input: &str) -> Vec<String> {
    let output = fed(folder, &format!("stream {arguments}"), input.as_bytes());
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::to_owned).collect()
}

/// The fields of lines after the first `skip`.
fn fields(lines: &[String], skip: usize) -> Vec<Vec<&str>> {
    lines.iter().map(|line| line.split(',').skip(skip).collect()).collect()
}

/// Hours with a target, another and a feature that has gaps.
fn table(rows: usize) -> String {
    let mut text = String::from("time,a,b,f\n");
    for row in 0..rows {
        let t = row as f64;
        let gap = if row % 7 == 3 { String::new() } else { format!("{:.5}", (t * 0.7).cos()) };
        let [a, b] = [100.0 + 10.0 * (t * 0.3).sin() + 0.05 * t, (t * 0.9).sin()];
        writeln!(text, "2024-01-{:02} {:02}:00,{a:.5},{b:.5},{gap}", 1 + row / 24, row % 24).unwrap();
    }
    text
}

/// The first rows of a table.
fn first(table: &str, rows: usize) -> String {
    table.split_inclusive('\n').take(rows + 1).collect()
}

#[test]
fn a_series_is_forecast_after_each_row_as_from_a_file_that_ends_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let table = table(150);
    std::fs::write(path.join("s.csv"), &table).unwrap();
    for (run, arguments) in [
        ("calendar", "--target a,b --features f --missing mask --calendar hour,weekday:classes --relative mean"),
        ("filled", "--target a --features f --missing ffill --relative last --quantiles 0.1,0.5,0.9"),
        ("conformal", "--target a --relative none --conformal --segment 3"),
        ("gaussian", "--target b --relative standard --loss gaussian"),
        ("panel", "--panel --target a,b --set series.ids=true"),
    ] {
        train(path, run, &format!("series s.csv {arguments} --window 12 --horizon 2 --hidden 5 --steps 20"));
        let output = fed(path, &format!("stream {run} --json"), table.as_bytes());
        assert!(output.status.success(), "{run}: {}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 150 - 11, "{run}");
        let csv = stream(path, run, &table);
        for rows in [12, 47, 150] {
            std::fs::write(path.join("part.csv"), first(&table, rows)).unwrap();
            let want = succeeds(path, &format!("forecast {run} part.csv --json --paths 0 --device cpu"));
            let mut want: Value = serde_json::from_str(&want).unwrap();
            let got = lines[rows - 12].as_object_mut().unwrap();
            // The line of names is the first.
            assert_eq!(got.remove("line"), Some(json!(rows + 1)), "{run}");
            assert_eq!(&json!(got), &want, "{run}, {rows} rows");
            let after = want["after"].take();
            assert!(csv[rows - 12].starts_with(&format!("{},{},", rows + 1, after.as_str().unwrap())), "{run}");
        }
    }
    // In columns: steps, targets, quantiles.
    let output = fed(path, "stream filled", first(&table, 12).as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().next(), Some("line,after,a_q0.1+1,a_q0.5+1,a_q0.9+1,a_q0.1+2,a_q0.5+2,a_q0.9+2"));
    let said = succeeds(path, "forecast filled part.csv --json --device cpu");
    let of_file: Value = serde_json::from_str(&said).unwrap();
    let last = stream(path, "filled", &table).pop().unwrap();
    for (at, level) in ["0.1", "0.5", "0.9"].iter().enumerate() {
        for step in 0..2 {
            let want = of_file["quantiles"][level]["a"][step].as_f64().unwrap();
            assert_eq!(last.split(',').nth(2 + 3 * step + at), Some(want.to_string().as_str()), "{last}");
        }
    }
    // A byte order mark is no part of the first name.
    assert_eq!(stream(path, "filled", &format!("\u{feff}{table}")), stream(path, "filled", &table));
    // A blank line begins another series.
    let twice = format!("{}\n{}", first(&table, 14), first(&table, 13).split_once('\n').unwrap().1);
    let lines = stream(path, "filled", &twice);
    let numbers: Vec<&str> = lines.iter().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(numbers, ["13", "14", "15", "28", "29"]);
    assert_eq!(fields(&lines, 1)[0], fields(&lines, 1)[3]);
}

/// A table in which a column is absent in some rows.
fn without(table: &str, column: usize, rows: std::ops::Range<usize>) -> String {
    let mut text = String::new();
    for (row, line) in table.lines().enumerate() {
        let mut cells: Vec<&str> = line.split(',').collect();
        if rows.contains(&row) {
            cells[column] = "";
        }
        text += &(cells.join(",") + "\n");
    }
    text
}

#[test]
fn a_column_that_is_absent_for_longer_than_what_is_kept_ends_no_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("s.csv"), without(&without(&table(150), 1, 20..23), 3, 5..8)).unwrap();
    let arguments = "--features f --missing mask --window 12 --hidden 5 --steps 20";
    train(path, "a", &format!("series s.csv --target a {arguments}"));
    train(path, "both", &format!("series s.csv --target a {arguments} --bidirectional"));
    for (run, column, rows) in [("a", 3, 50..130), ("a", 3, 1..60), ("a", 1, 50..110), ("both", 3, 50..130)] {
        let table = without(&table(150), column, rows.clone());
        let output = fed(path, &format!("stream {run} --json"), table.as_bytes());
        assert!(output.status.success(), "{rows:?}: {}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 150 - 11, "{rows:?}");
        for row in [55, 105, 109, 125, 150] {
            std::fs::write(path.join("part.csv"), first(&table, row)).unwrap();
            let want = succeeds(path, &format!("forecast {run} part.csv --json --device cpu"));
            let want: Value = serde_json::from_str(&want).unwrap();
            assert_eq!(lines[row - 12]["targets"], want["targets"], "{run}, column {column}, {rows:?}, {row}");
        }
    }
}

#[test]
fn a_sensor_estimates_each_line_to_the_bit_as_from_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let table = table(120);
    std::fs::write(path.join("s.csv"), &table).unwrap();
    for (run, arguments) in [
        ("carried", "--now b,f --missing mask --carry-state --layers 2"),
        ("windows", "--now b,f --missing mask --cell gru"),
        ("filled", "--now b,f --missing ffill --carry-state --cell rnn"),
    ] {
        train(path, run, &format!("series s.csv --target a {arguments} --window 9 --hidden 6 --steps 30"));
        let csv = succeeds(path, &format!("predict {run} s.csv --device cpu"));
        let want: Vec<String> = csv.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().to_owned()).collect();
        let got = stream(path, run, &table);
        assert_eq!(fields(&got, 1).concat(), want, "{run}");
        // In the order of the model without names, and by names as JSON.
        let lines: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').skip(2).collect()).collect();
        let plain: String = lines.iter().map(|cells| cells.join(";") + "\n").collect();
        assert_eq!(fields(&stream(path, run, &plain), 1).concat(), want, "{run}");
        let number = |cell: &str| if cell.is_empty() { "null".to_owned() } else { cell.to_owned() };
        let objects: String = lines
            .iter()
            .map(|cells| format!("{{\"f\": {}, \"x\": [], \"b\": {}}}\n", number(cells[1]), number(cells[0])))
            .collect();
        assert_eq!(fields(&stream(path, run, &objects), 1).concat(), want, "{run}");
    }
}

#[test]
fn a_line_of_separators_is_a_row_and_a_blank_one_is_said_to_end_a_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("s.csv"), without(&table(80), 2, 30..33)).unwrap();
    train(
        path,
        "two",
        "series s.csv --target a --now b,f --missing mask --carry-state --window 9 --hidden 4 --steps 20",
    );
    // Of these, `f` has gaps and `b` has none.
    for (run, column) in [("one", "f"), ("full", "b")] {
        train(
            path,
            run,
            &format!(
                "series s.csv --target a --now {column} --missing mask --carry-state --window 9 --hidden 4 --steps 20"
            ),
        );
    }
    let (tabs, commas) = ("1\t1\n1\t2\n\t\n1\t1\n", "1,1\n1,2\n,\n1,1\n");
    assert_eq!(stream(path, "two", tabs), stream(path, "two", commas));
    assert_eq!(stream(path, "two", tabs).len(), 4);
    assert_eq!(stream(path, "one", "1\nNA\n1\n"), stream(path, "one", "[1]\n[null]\n[1]\n"));
    let output = fed(path, "stream two", b"1,1\n\n1,1\n\n1,1\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.matches("is blank: the next line begins a sequence, from zero").count(), 1, "{stderr}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = lines.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert!(lines[0] == lines[1] && lines[1] == lines[2], "{lines:?}");
    assert_eq!(stream(path, "two --decimal ,", "1,5 2,5\n"), stream(path, "two", "1.5 2.5\n"));
    // Of one column too, even if it may be missing, which is said.
    for run in ["one", "full"] {
        let output = fed(path, &format!("stream {run}"), b"1\n\n1\n\n");
        let (lines, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let lines: Vec<&str> = lines.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
        assert!(output.status.success() && lines.len() == 2 && lines[0] == lines[1], "{run}: {lines:?} {stderr}");
        assert!(stderr.contains("from zero; a missing value is written as NA"), "{stderr}");
    }
}

#[test]
fn a_sequence_of_one_dimension_ends_at_a_blank_line_whatever_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let value = |id: usize, t: usize| (t != 1).then(|| ((id * 5 + t * 3) % 7).to_string());
    let (mut text, mut input) = (String::from("id,time,label,v\n"), String::new());
    for id in 0..30 {
        for t in 0..3 + id % 3 {
            writeln!(text, "{id},{t},{},{}", ["x", "y"][id % 2], value(id, t).unwrap_or_default()).unwrap();
            writeln!(input, "{}", value(id, t).unwrap_or("NA".into())).unwrap();
        }
        input.push('\n');
    }
    std::fs::write(path.join("s.csv"), text).unwrap();
    for (run, arguments) in [("fill", "--missing ffill --bidirectional"), ("mask", "--missing mask --predict mean")] {
        train(path, run, &format!("sequences s.csv --hidden 4 --steps 20 {arguments}"));
        let csv = succeeds(path, &format!("predict {run} s.csv --device cpu"));
        let at = csv.lines().next().unwrap().split(',').position(|name| name == "predicted").unwrap();
        let want: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').skip(at).collect()).collect();
        assert_eq!(fields(&stream(path, run, &input), 1), want, "{run}");
    }
    // What is read before anything is predicted is no answer.
    let output = fed(path, "stream fill --profile", b"1\n2\n3\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("(1 answer)"), "{stderr}");
}

#[test]
fn the_end_of_a_stream_forgets_the_values_that_gaps_are_filled_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("s.csv"), without(&table(80), 2, 30..33)).unwrap();
    let base = "series s.csv --target a --now b,f --missing ffill --carry-state --window 9 --hidden 4 --steps 2";
    train(path, "filled", base);
    let model = LoadedModel::open(path.join("filled")).unwrap();
    let mut network = block_on(model.network(&DeviceOptions { name: "cpu".into(), ..Default::default() })).unwrap();
    let mut stream = model.stream(&mut network, None).unwrap();
    assert_eq!(block_on(stream.read(b"1,5")).unwrap().len(), 1);
    assert_eq!(block_on(stream.read(b"1,")).unwrap().len(), 1);
    block_on(stream.end()).unwrap();
    let refused = block_on(stream.read(b"1,")).unwrap_err().to_string();
    assert!(refused.contains("a first number to fill forward from"), "{refused}");
}

#[test]
fn sequences_are_predicted_step_by_step_or_at_their_end_to_the_bit_as_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let steps = |id: usize| (0..3 + id % 4).map(move |t| [(id * 5 + t) % 7, (id + t * 3) % 5]);
    let label = |kind: &str, id: usize, t: usize| match kind {
        "every" => ["x", "y", "z"][(id + t) % 3].to_owned(),
        "values" => (1000 + id * 10).to_string(),
        _ => ["x", "y"][id % 2].to_owned(),
    };
    let mut input = String::new();
    for id in 0..40 {
        steps(id).for_each(|[v, w]| writeln!(input, "{v} {w}").unwrap());
        input.push('\n');
    }
    for (kind, arguments) in [
        ("classes", "--scale standard"),
        ("values", "--scale min-max --predict mean"),
        ("both", "--bidirectional"),
        ("every", "--predict every"),
    ] {
        let mut text = String::from("id,time,label,v,w\n");
        for id in 0..40 {
            for (t, [v, w]) in steps(id).enumerate() {
                writeln!(text, "{id},{t},{},{v},{w}", label(kind, id, t)).unwrap();
            }
        }
        std::fs::write(path.join("s.csv"), text).unwrap();
        train(path, kind, &format!("sequences s.csv --hidden 6 --steps 40 {arguments}"));
        let csv = succeeds(path, &format!("predict {kind} s.csv --device cpu"));
        let at = csv.lines().next().unwrap().split(',').position(|name| name == "predicted").unwrap();
        let want: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').skip(at).collect()).collect();
        let lines = stream(path, kind, &input);
        let got = fields(&lines, 1);
        match kind {
            "every" => assert_eq!(got, want),
            // One for each sequence.
            "values" | "both" => assert_eq!(got, want, "{kind}"),
            // One after each step, of which the last is that of the sequence.
            _ => {
                let ends = (0..40).scan(0, |end, id| {
                    *end += steps(id).count();
                    Some(*end - 1)
                });
                assert_eq!(ends.map(|end| got[end].clone()).collect::<Vec<_>>(), want);
            }
        }
    }
}

#[test]
fn sound_is_made_frame_by_frame_to_the_bit_as_apply_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let dry = Array2::from_shape_fn((2000, 1), |(t, _)| (0.4 * (t as f64 * 0.11).sin()) as f32);
    sound::saturated(path, &dry);
    train(path, "amp", "audio dry.wav wet.wav --hidden 6 --window 64 --batch 4 --epochs 1");
    succeeds(path, "apply amp dry.wav --out made.wav --bits float --device cpu");
    let made = sound::read(&path.join("made.wav"));
    let input: String = dry.iter().map(|sample| format!("{sample}\n")).collect();
    let lines = stream(path, "amp", &input);
    let got: Vec<f32> = fields(&lines, 1).concat().iter().map(|sample| sample.parse().unwrap()).collect();
    assert_eq!(got, made.samples.iter().copied().collect::<Vec<f32>>());
}

#[test]
fn a_text_is_read_character_by_character_to_the_bit_as_in_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = "die katze tanzt\nüber die tasten, die tasten tanzen\n".repeat(30);
    std::fs::write(path.join("t.txt"), &text).unwrap();
    let read = "die Katze\n\ntanzt über";
    for (run, arguments) in [("characters", ""), ("bytes", "--bytes")] {
        train(path, run, &format!("text t.txt --hidden 12 --window 16 --batch 4 --steps 60 {arguments}"));
        let output = fed(path, &format!("stream {run} --json"), read.as_bytes());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        let got: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let model = LoadedModel::open(path.join(run)).unwrap();
        let bptt::experiment::Codec::Text { vocabulary } = &model.file.codec else { panic!() };
        let tokens = vocabulary.encode(read);
        assert_eq!(got.len(), tokens.len());
        let cpu = DeviceOptions { name: "cpu".into(), ..DeviceOptions::default() };
        let mut network = block_on(model.network(&cpu)).unwrap();
        let whole = Array2::from_shape_vec((tokens.len(), 1), tokens).unwrap();
        let mut p = block_on(network.logits(&Sequence::tokens(whole))).unwrap();
        model.file.model.head.as_ref().unwrap().loss.output(&mut p);
        for (t, (got, p)) in got.iter().zip(p.index_axis(Axis(1), 0).outer_iter()).enumerate() {
            assert_eq!(got["character"], json!(t + 1));
            let most = p.iter().copied().fold(0.0, f32::max);
            assert_eq!(got["p"].as_f64().unwrap() as f32, most, "{run}, {t}");
            let next = p.iter().position(|share| *share == most).unwrap();
            let next = vocabulary.decode(&[next as u32]).unwrap();
            assert_eq!(got["next"], json!(String::from_utf8(next).unwrap()), "{run}, {t}");
        }
        let stderr = String::from_utf8(output.stderr).unwrap();
        let unknown = stderr.contains("note: characters that are unknown to the vocabulary: 1\n");
        assert_eq!(unknown, run == "characters", "{stderr}");
    }
    // A line end is a character, which does not end the line of a table.
    std::fs::write(path.join("ends.txt"), "x\n".repeat(300)).unwrap();
    train(path, "ends", "text ends.txt --hidden 4 --window 8 --batch 4 --steps 60 --lr 0.05");
    let lines = stream(path, "ends", "x\nx");
    assert_eq!(fields(&lines, 1).iter().map(|cells| cells[0]).collect::<Vec<_>>(), ["\\n", "x", "\\n"]);
}

#[test]
fn lines_have_their_classes_and_frames_their_keys_as_bptt_predict_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("c")).unwrap();
    for (class, lines) in [("x", "äb\nbä\naäb\nbb\n"), ("y", "cd\ndc\nccd\nddc\n")] {
        std::fs::write(path.join("c").join(format!("{class}.txt")), lines).unwrap();
    }
    let lines = "äb\n\ncxd\n  f \n";
    std::fs::write(path.join("lines.txt"), lines).unwrap();
    for (run, arguments) in [("forward", "--cell gru"), ("both", "--bidirectional --set classes.predict=mean")] {
        train(path, run, &format!("classes c --hidden 4 --steps 20 --split 1,0,0 {arguments}"));
        let csv = succeeds(path, &format!("predict {run} lines.txt --device cpu"));
        let want: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').skip(4).collect()).collect();
        let got = stream(path, run, lines);
        assert_eq!(fields(&got, 1), want, "{csv}");
    }
    let piece = |length: usize| (0..length).map(|step| json!([60 + step % 2, 64])).collect::<Vec<Value>>();
    let pieces = |lengths: std::ops::Range<usize>| lengths.map(piece).collect::<Vec<_>>();
    let rolls = json!({"train": pieces(6..12), "valid": pieces(7..9), "test": pieces(8..10)});
    std::fs::write(path.join("r.json"), rolls.to_string()).unwrap();
    train(path, "rolls", "rolls r.json --hidden 6 --batch 4 --epochs 2");
    let csv = succeeds(path, "predict rolls --device cpu");
    let want: Vec<Vec<&str>> = csv.lines().skip(1).take(6).map(|line| line.split(',').skip(2).collect()).collect();
    let input: String = piece(6).iter().map(|frame| format!("{frame}\n")).collect();
    assert_eq!(fields(&stream(path, "rolls", &input), 1), want);
    // Silence is a frame.
    assert_eq!(stream(path, "rolls", "60 64\n\n64\n").len(), 3);
}

#[test]
fn a_prediction_is_there_before_the_next_line_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    train(path, "a", "task adding --length 6 --hidden 4 --steps 2");
    let mut child = command(path, "stream a --json --profile")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in 1..=3 {
        stdin.write_all(b"0.5 1\n").unwrap();
        // It would wait for ever for what is not flushed.
        let prediction: Value = serde_json::from_str(&said.next().unwrap().unwrap()).unwrap();
        assert_eq!(prediction["line"], json!(line));
        assert!(prediction["predicted"].is_f64(), "{prediction}");
    }
    drop(stdin);
    assert!(said.next().is_none());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains("latency   median "), "{stderr}");
    assert!(stderr.contains("(3 answers)") && stderr.contains("phase "), "{stderr}");
    assert!(stderr.starts_with("reads     lines of 2 fields: number, mark\npredicts  "), "{stderr}");
}

#[test]
fn what_cannot_be_read_is_refused_by_its_line_after_what_was_predicted_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("s.csv"), table(60)).unwrap();
    train(path, "a", "task adding --length 6 --hidden 4 --steps 2");
    train(path, "copy", "task copy --length 4 --hidden 4 --steps 2");
    train(path, "s", "series s.csv --target a --window 4 --hidden 4 --steps 2");
    train(path, "now", "series s.csv --target a --now b --window 4 --hidden 4 --steps 2");
    for (run, input, lines, parts) in [
        ("a", "0.5 1\n0.5\n", 1, &["line 2: expected 2 fields, as the lines before, got 1"][..]),
        ("a", "0.5 1\n\nx 1\n", 1, &["line 3: \"number\": expected a finite number, got \"x\""]),
        ("a", "[0.5, null]\n", 0, &["line 1: \"mark\": expected a finite number, got a missing value"]),
        ("copy", "1\n99\n", 1, &["line 2: expected a token, 0 to 9, got \"99\""]),
        ("now", "b,b\n1,2\n", 0, &["line 1: expected one column \"b\", got two"]),
        ("now", "1\n2\n1e99\n", 2, &["line 3: \"b\": expected a number within f32"]),
        ("s", "2024-01-01 00:00,1\n2024-01-01 01:00,zwei\n", 0, &["line 2: \"a\": expected a finite number"]),
        ("s", "2024-01-01 00:00,1\n2024-01-01 01:00,2\n2024-01-01 02:00,3\n2024-01-01 01:00,4\n", 0, &["line 4: "]),
    ] {
        let output = fed(path, &format!("stream {run}"), input.as_bytes());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{input:?}: {stderr}");
        let error = stderr.lines().last().unwrap();
        assert!(error.starts_with("error: standard input, line "), "{input:?}: {stderr}");
        parts.iter().for_each(|part| assert!(error.contains(part), "{input:?}: {part:?} is not in {error:?}"));
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1 + lines, "{input:?}");
    }
    train(path, "known", "series s.csv --target a --known b --window 4 --hidden 4 --steps 2");
    refused(path, "stream known", 2, &["--known b", "`bptt forecast` forecasts from a file"]);
    refused(path, "stream nowhere", 1, &["nowhere"]);
}
