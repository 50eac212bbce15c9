//! Runs as C headers: each kind of data, compiled, beside what the program says.

use std::fmt::Write;
use std::path::Path;

use crate::common::c::{bytes, compile, floats, run};
use crate::common::program::{read, succeeds, train};

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

/// The rows of the last window as a forecast reads them: with the known column and the hour of `horizon` rows later.
fn window(rows: &[[f64; 4]], window: usize, horizon: usize) -> Vec<f32> {
    let past = rows.len() - horizon;
    let of = |t: usize| {
        let [a, b, f, _] = rows[t];
        let ahead = t + horizon;
        [a, b, f, rows[ahead][3], (ahead % 24) as f64].map(|value| value as f32)
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
    let base = "series s.csv --target a,b --features f --known k --missing mask --calendar hour --window 12 --horizon 2 \
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
    let (mut classes, mut values) = (String::from("id,label,v,w\n"), String::from("id,label,v,w\n"));
    let steps = |id: usize| (0..5).map(move |t| [10.0 + ((id * 5 + t) % 7) as f32, ((id + t * 3) % 5) as f32 * 100.0]);
    for id in 0..40 {
        for [v, w] in steps(id) {
            writeln!(classes, "{id},{},{v},{w}", ["x\"y", "zwei?", "3"][id % 3].replace('"', "\"\"")).unwrap();
            writeln!(values, "{id},{},{v},{w}", 1000 + id * 10).unwrap();
        }
    }
    let classes = classes.replace("x\"\"y", "\"x\"\"y\"");
    std::fs::write(path.join("classes.csv"), classes).unwrap();
    std::fs::write(path.join("values.csv"), values).unwrap();
    let body = "    float x[NET_INPUTS], y[NET_OUTPUTS];\n    int t;\n    for (t = 0; t < 5; ++t) {\n        \
                if (fread(x, 4, NET_INPUTS, stdin) == NET_INPUTS) net_step(&state, x, y);\n    }\n    \
                fwrite(y, 4, NET_OUTPUTS, stdout);\n";
    for (kind, more) in [("classes", "--scale standard"), ("values", "--scale min-max --predict mean")] {
        train(
            path,
            kind,
            &format!("sequences {kind}.csv --hidden 6 --steps 40 --test 0.2 {more}").replace(" --test 0.2", ""),
        );
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
