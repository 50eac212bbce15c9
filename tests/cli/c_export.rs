//! Runs as C headers: each kind of data, compiled, beside what the program says.

use std::fmt::Write;
use std::path::Path;

use crate::common::c::{bytes, compile, floats, run};
use crate::common::program::{bptt, read, refused, succeeds, train};
use crate::common::sound;
use bptt::ndarray::Array2;

/// Compiles a program that reads rows of `inputs` numbers with `before` each sequence, and with `then` what follows them.
fn program(folder: &Path, header: &str, body: &str) -> std::path::PathBuf {
    let text = format!(
        "#include <stdio.h>\n#include \"{header}\"\nint main(void)\n{{\n    net_state state;\n    net_reset(&state);\n\
         {body}    return 0;\n}}\n"
    );
    compile(folder, &text)
}

#[track_caller]
fn close(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{what}: {got} for {want}");
    }
}

/// Hours with a target, another, a feature with gaps and a column known beforehand.
fn series(rows: usize) -> Vec<[f64; 4]> {
    let row = |t: usize| {
        let t = t as f64;
        let gap = if (t as usize).is_multiple_of(7) { f64::NAN } else { (t * 0.7).cos() };
        [100.0 + 10.0 * (t * 0.3).sin() + 0.05 * t, (t * 0.9).sin(), gap, (t * 0.5).cos()]
    };
    (0..rows).map(row).collect()
}

fn write_series(folder: &Path, rows: &[[f64; 4]]) {
    let mut text = String::from("time,a,b,f,k\n");
    for (t, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().map(|value| if value.is_nan() { String::new() } else { format!("{value:.6}") }).collect();
        writeln!(text, "2024-01-{:02} {:02}:00,{}", 1 + t / 24, t % 24, cells.join(",")).unwrap();
    }
    std::fs::write(folder.join("s.csv"), text).unwrap();
}

/// The rows of the last window as a forecast reads them: with the known column, the hour, the weekday and the day of the
/// month, with its length, of `horizon` rows later.
fn window(rows: &[[f64; 4]], window: usize, horizon: usize) -> Vec<f32> {
    let past = rows.len() - horizon;
    let of = |t: usize| {
        let [a, b, f, _] = rows[t];
        let ahead = t + horizon;
        let day = ahead / 24;
        // 1 January 2024 is a Monday.
        let calendar = [ahead % 24, day % 7, day, 31].map(|position| position as f64);
        [a, b, f, rows[ahead][3]].into_iter().chain(calendar).map(|value| value as f32)
    };
    (past - window..past).flat_map(of).collect()
}

#[test]
fn the_forecast_of_a_header_is_that_of_the_program_for_every_loss_and_view_of_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut rows = series(200);
    // Rows to come, of which only the known column is there.
    rows.truncate(198);
    let mut ahead = rows.clone();
    let known = series(200);
    for row in &known[198..] {
        ahead.push([f64::NAN, f64::NAN, f64::NAN, row[3]]);
    }
    write_series(path, &ahead);
    let base = "series s.csv --target a,b --features f --known k --missing mask --calendar hour,weekday:classes,day --window 12 --horizon 2 \
                --hidden 6 --steps 30";
    for (run_name, more) in [
        ("mean", "--relative mean"),
        ("last", "--relative last --segment 3 --cell gru"),
        ("standard", "--relative standard --quantiles 0.1,0.5,0.9"),
        ("none", "--relative none --conformal"),
        ("gaussian", "--relative mean --loss gaussian"),
    ] {
        train(path, run_name, &format!("{base} {more}"));
        succeeds(path, &format!("export {run_name} {run_name}.h --name net"));
        let forecast = succeeds(path, &format!("forecast {run_name} --device cpu --out {run_name}.csv"));
        assert!(!forecast.is_empty());
        let program = program(
            path,
            &format!("{run_name}.h"),
            "    float window[NET_WINDOW * NET_INPUTS], y[NET_OUTPUTS];\n    \
             if (fread(window, 4, NET_WINDOW * NET_INPUTS, stdin) == NET_WINDOW * NET_INPUTS) {\n        \
             net_forecast(&state, window, y);\n        fwrite(y, 4, NET_OUTPUTS, stdout);\n    }\n",
        );
        let got = floats(&run(&program, &[], &bytes(window(&ahead, 12, 2))));
        // Steps, then targets, then quantiles, as in the columns of the program.
        let csv = read(path, &format!("{run_name}.csv"));
        let lines = csv.lines().skip(1).flat_map(|line| line.split(',').skip(3).map(|cell| cell.parse().unwrap()));
        let want: Vec<f64> = lines.collect();
        // Mean and deviation, of which the program writes three quantiles.
        let of_normal = |q: &[f64]| [q[1], (q[2] - q[0]) / (2.0 * 1.281_551_565_544_600_4)];
        let want = if run_name == "gaussian" { want.chunks(3).flat_map(of_normal).collect() } else { want };
        close(&got, &want, run_name);
    }
}

/// The program reads rows until there are no more.
const STEPS: &str = "    float x[NET_INPUTS], y[NET_OUTPUTS];\n    while (fread(x, 4, NET_INPUTS, stdin) == NET_INPUTS) {\n        \
                     net_step(&state, x, y);\n        fwrite(y, 4, NET_OUTPUTS, stdout);\n    }\n";

#[test]
fn a_sensor_is_estimated_row_by_row_or_from_the_rows_of_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows = series(180);
    write_series(path, &rows);
    let inputs = || bytes(rows.iter().flat_map(|[_, b, f, _]| [*b as f32, *f as f32]));
    let estimates = |name: &str| -> Vec<f64> {
        let csv = succeeds(path, &format!("predict {name} --device cpu"));
        let last = |line: &str| line.rsplit(',').next().unwrap().parse().unwrap();
        csv.lines().skip(1).map(last).collect()
    };
    let base = "series s.csv --target a --now b,f --missing mask --window 9 --hidden 6 --steps 40";
    train(path, "c", &format!("{base} --carry-state"));
    succeeds(path, "export c carried.h --name net");
    let header = read(path, "carried.h");
    assert!(header.contains("NaN stands for a missing value in [1]; the others must have one."), "{header}");
    let carried = program(path, "carried.h", STEPS);
    close(&floats(&run(&carried, &[], &inputs())), &estimates("c"), "carried");
    train(path, "w", base);
    succeeds(path, "export w net.h");
    let body = "    float rows[200 * NET_INPUTS], y[NET_OUTPUTS];\n    size_t count = fread(rows, 4 * NET_INPUTS, 200, stdin), t;\n    \
                for (t = 1; t <= count; ++t) {\n        const size_t first = t > NET_WINDOW ? t - NET_WINDOW : 0;\n        \
                net_predict(&state, &rows[first * NET_INPUTS], t - first, y);\n        fwrite(y, 4, 1, stdout);\n    }\n";
    let windows = program(path, "net.h", body);
    close(&floats(&run(&windows, &[], &inputs())), &estimates("w"), "windows");
}

#[test]
fn sequences_have_their_classes_or_values_in_the_units_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (mut classes, mut values) = (String::from("id,time,label,v,w\n"), String::from("id,time,label,v,w\n"));
    let steps = |id: usize| (0..5).map(move |t| [10.0 + ((id * 5 + t) % 7) as f32, ((id + t * 3) % 5) as f32 * 100.0]);
    for id in 0..40 {
        for (time, [v, w]) in steps(id).enumerate() {
            writeln!(classes, "{id},{time},{},{v},{w}", ["x\"y", "zwei?", "3"][id % 3].replace('"', "\"\"")).unwrap();
            writeln!(values, "{id},{time},{},{v},{w}", 1000 + id * 10).unwrap();
        }
    }
    let classes = classes.replace("x\"\"y", "\"x\"\"y\"");
    std::fs::write(path.join("classes.csv"), classes).unwrap();
    std::fs::write(path.join("values.csv"), values).unwrap();
    let body = "    float x[NET_INPUTS], y[NET_OUTPUTS];\n    int t;\n    for (t = 0; t < 5; ++t) {\n        \
                if (fread(x, 4, NET_INPUTS, stdin) == NET_INPUTS) net_step(&state, x, y);\n    }\n    \
                fwrite(y, 4, NET_OUTPUTS, stdout);\n";
    for (kind, more) in [("classes", "--scale standard"), ("values", "--scale min-max --predict mean")] {
        train(path, kind, &format!("sequences {kind}.csv --hidden 6 --steps 40 {more}"));
        succeeds(path, &format!("export {kind} {kind}.h --name net --unroll 1"));
        let csv = succeeds(path, &format!("predict {kind} {kind}.csv --device cpu"));
        let program = program(path, &format!("{kind}.h"), body);
        for (id, line) in csv.lines().skip(1).enumerate().take(6) {
            let got = floats(&run(&program, &[], &bytes(steps(id).flatten())));
            let cells: Vec<f64> = line.split(',').filter_map(|cell| cell.parse().ok()).collect();
            close(&got, &cells[cells.len() - got.len()..], &format!("{kind} {id}: {line}"));
        }
    }
    // The names are in the order of the outputs, as they are.
    let names = program(
        path,
        "classes.h",
        "    size_t c;\n    for (c = 0; c < NET_CLASSES; ++c) {\n        printf(\"%s\\n\", net_class_names[c]);\n    }\n",
    );
    let mut said: Vec<String> = String::from_utf8(run(&names, &[], &[])).unwrap().lines().map(str::to_owned).collect();
    said.sort();
    assert_eq!(said, ["3", "x\"y", "zwei?"]);
}

#[test]
fn a_series_of_a_panel_is_forecast_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows = series(150);
    write_series(path, &rows);
    for relative in ["none", "last"] {
        let arguments =
            "series s.csv --panel --target a,b,k --set series.ids=true --window 8 --horizon 2 --hidden 5 --steps 30";
        train(path, relative, &format!("{arguments} --relative {relative}"));
        succeeds(path, &format!("export {relative} {relative}.h --name net"));
        succeeds(path, &format!("forecast {relative} --device cpu --out {relative}.csv"));
        let program = program(
            path,
            &format!("{relative}.h"),
            "    float window[NET_WINDOW * NET_INPUTS], y[NET_OUTPUTS];\n    size_t member;\n    \
             for (member = 0; member < NET_MEMBERS; ++member) {\n        \
             if (fread(window, 4, NET_WINDOW, stdin) == NET_WINDOW) net_forecast(&state, member, window, y);\n        \
             fwrite(y, 4, NET_OUTPUTS, stdout);\n    }\n",
        );
        let members =
            [0, 1, 3].map(|column| rows[142..].iter().map(move |row| row[column] as f32)).into_iter().flatten();
        let got = floats(&run(&program, &[], &bytes(members)));
        let csv = read(path, &format!("{relative}.csv"));
        let lines: Vec<Vec<f64>> = csv
            .lines()
            .skip(1)
            .map(|line| line.split(',').skip(3).map(|cell| cell.parse().unwrap()).collect())
            .collect();
        let want: Vec<f64> = (0..3).flat_map(|member| lines.iter().map(move |line| line[member])).collect();
        close(&got, &want, relative);
    }
}

#[test]
fn sound_is_made_frame_by_frame_as_apply_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let dry = Array2::from_shape_fn((4000, 1), |(t, _)| {
        (0.4 * (t as f64 * 0.11).sin() + 0.2 * (t as f64 * 0.37).sin()) as f32
    });
    sound::saturated(path, &dry);
    train(path, "amp", "audio dry.wav wet.wav --hidden 6 --window 64 --batch 8 --epochs 2");
    succeeds(path, "apply amp dry.wav --out made.wav --bits float --device cpu");
    succeeds(path, "export amp net.h");
    let made = sound::read(&path.join("made.wav"));
    let got = floats(&run(&program(path, "net.h", STEPS), &[], &bytes(dry.iter().copied())));
    close(&got, &made.samples.iter().map(|sample| f64::from(*sample)).collect::<Vec<_>>(), "samples");
    // RTNeural reads the same samples, with the levels in its weights: its last layer makes up for the first.
    succeeds(path, "export amp amp.json --to rtneural");
    let amp: serde_json::Value = serde_json::from_str(&read(path, "amp.json")).unwrap();
    assert_eq!((&amp["in_shape"][2], &amp["layers"][1]["shape"][2]), (&1.into(), &1.into()));
    assert_eq!(amp["bptt_units"], "samples in and out, full scale is 1");
}

#[test]
fn characters_become_tokens_and_lines_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("c")).unwrap();
    for (class, lines) in [("x", "äb\nbä\naäb\nbb🦀\n"), ("y", "cd\ndc\nccd\nddc\n"), ("z", "ef\nfe\neef\nffe\n")]
    {
        std::fs::write(path.join("c").join(format!("{class}.txt")), lines).unwrap();
    }
    train(path, "a", "classes c --cell gru --hidden 4 --steps 20 --split 1,0,0");
    succeeds(path, "export a net.h");
    let lines = ["äb🦀", "cx€d", "f"];
    std::fs::write(path.join("lines.txt"), lines.join("\n")).unwrap();
    let csv = succeeds(path, "predict a lines.txt --device cpu");
    let texts: Vec<String> =
        lines.iter().map(|line| line.bytes().map(|byte| format!("\\{byte:03o}")).collect::<String>()).collect();
    let body = format!(
        "    const char *const lines[3] = {{ \"{}\" }};\n    float y[NET_OUTPUTS];\n    int line;\n    size_t o;\n    \
         for (line = 0; line < 3; ++line) {{\n        const char *text = lines[line];\n        char back[4];\n        \
         net_reset(&state);\n        while (*text) {{\n            const size_t token = net_read(&text);\n            \
         fwrite(back, 1, net_write(token, back), stdout);\n            net_step(&state, token, y);\n        }}\n        \
         for (o = 0; o < NET_OUTPUTS; ++o) printf(\",%.9g\", (double)y[o]);\n        \
         printf(\",%s\\n\", net_class_names[net_class(y)]);\n    }}\n",
        texts.join("\", \"")
    );
    let said = String::from_utf8(run(&program(path, "net.h", &body), &[], &[])).unwrap();
    for ((said, csv), text) in said.lines().zip(csv.lines().skip(1)).zip(["äb🦀", "c\u{fffd}\u{fffd}d", "f"]) {
        let cells: Vec<&str> = said.split(',').collect();
        assert_eq!(cells[0], text);
        let numbers = |cells: &[&str]| cells.iter().filter_map(|cell| cell.parse().ok()).collect::<Vec<f64>>();
        let (got, want) = (numbers(&cells[1..4]), numbers(&csv.split(',').collect::<Vec<_>>()));
        close(&got, &want[want.len() - 3..], csv);
        assert!(csv.split(',').any(|cell| cell == cells[4]), "{csv}: {}", cells[4]);
    }
}

#[test]
fn the_change_by_rounded_weights_is_measured_on_the_test_part_or_said_to_be_unmeasured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_series(path, &series(150));
    train(path, "r", "series s.csv --target b --window 8 --hidden 5 --steps 30");
    let said = succeeds(path, "export r half.h --weights f16");
    assert!(said.contains("rounding  test RMSE, network: "), "{said}");
    let said = succeeds(path, "export r int8.h --weights int8 --name small");
    assert!(said.contains(" in f32, ") && said.contains(" in int8\n"), "{said}");
    let header = read(path, "int8.h");
    assert!(header.contains("static const int8_t small_w_hh_l0[") && header.contains(" in int8\n"), "{said}");
    // Of a run that measures both parts, too.
    train(path, "s", "series s.csv --target a --now b --window 8 --hidden 5 --steps 30");
    let said = succeeds(path, "export s sensor.h --weights int8");
    assert!(said.contains("RMSE, test: ") && !said.contains("validation"), "{said}");
    std::fs::rename(path.join("r/model.safetensors"), path.join("alone.safetensors")).unwrap();
    let output = bptt(path, "export alone.safetensors alone.h --weights int8");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && stderr.contains("note: what the rounding changes is not measured: "),
        "{stderr}"
    );
    assert!(stderr.contains("a model file does not name its data"), "{stderr}");
    assert!(read(path, "alone.h").contains("not measured"));
}

#[test]
fn what_cannot_be_exported_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    train(path, "a", "task adding --length 6 --hidden 4 --steps 2");
    train(path, "b", "task adding --length 6 --hidden 4 --steps 2 --bidirectional");
    train(path, "c", "task copy --length 4 --hidden 4 --steps 2 --cell gru");
    for (arguments, code, parts) in [
        ("export b b.h", 2, &["reads from the end of a sequence", "export it as ONNX"][..]),
        ("export b b.onnx --step", 2, &["a network that reads forward"]),
        ("export a 9.h", 2, &["9.h", "--name"]),
        ("export a a.h --name a__b", 2, &["--name", "single underscores", "a__b"]),
        ("export a a.h --unroll 99", 2, &["--unroll", "99"]),
        ("export a a.h --step", 2, &["--step is for FILE.onnx"]),
        ("export a a.onnx --weights f16", 2, &["--weights is for FILE.h"]),
        ("export a a.onnx --to c", 2, &["a.onnx", "--to onnx", "--to is c"]),
        ("export a a.json", 2, &["--to with the format", "a.json"]),
        ("export c c.json --to rtneural", 2, &["RTNeural reads numbers"]),
    ] {
        refused(path, arguments, code, parts);
    }
    succeeds(path, "export a any.name --to c --name net");
    assert!(read(path, "any.name").contains("static inline void net_step(net_state *state, const float *x, float *y)"));
}
