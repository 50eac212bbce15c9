//! Networks as C headers, compiled and run beside the engine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::common::c::{bytes, compile, floats, run};
use crate::common::{CELLS, Case, PLACES, losses};
use bptt::interchange::c::{
    CColumn, CFeatures, CHeader, CInput, COutput, CReading, CRelative, CRows, CTokens, CValues, WeightFormat, rounded,
    write_header,
};
use bptt::ndarray::{Array3, s};
use bptt::{
    Activation, Backend, Cell, Cpu, EngineOptions, Inference, Input, Layout, Loss, Parameters, Readout, Real, Sequence,
    StateDict,
};
use pollster::block_on;

const STEPS: usize = 1000;

/// A case with its header.
struct Exported {
    case: Case,
    header: CHeader,
}

/// Every cell, one layer and two, every head, in turn with every loss; then tokens, embeddings, without biases, and a size
/// that no unrolling divides.
fn cases() -> Vec<Case> {
    let (mut cases, losses) = (Vec::new(), losses());
    let projected = Case { proj_size: Some(5), ..Case::new(Cell::Lstm) };
    for case in CELLS.into_iter().map(Case::new).chain([projected]) {
        for layers in [1, 2] {
            for at in PLACES {
                let loss = losses[cases.len() % losses.len()].clone();
                let case = Case { layers, at, initial: false, ..case.clone() }.sizes([STEPS, 6, 3, 12, 4]);
                cases.push(case.with_loss(loss));
            }
        }
        let case = Case { initial: false, loss: Loss::CrossEntropy, ..case };
        cases.push(Case { bias: false, ..case.clone() }.sizes([STEPS, 6, 7, 9, 3]));
        cases.push(Case { tokens: true, layers: 2, ..case.clone() }.sizes([STEPS, 6, 11, 10, 11]));
        cases.push(case.clone().sizes([STEPS, 6, 3, 10, 3]).embedded(9));
        cases.push(Case { layers: 2, ..case }.sizes([STEPS, 6, 3, 10, 3]).tied(9));
    }
    cases
}

fn dict(case: &Case) -> StateDict {
    let model = case.model();
    Layout::new(&model).to_state_dict::<f32>(&case.parameters(&model))
}

fn exported(case: Case, number: usize, weights: WeightFormat) -> Exported {
    let mut header = CHeader::new(format!("case{number}")).weights(weights).unroll([4, 1, 7][number % 3]);
    if case.tokens {
        header = header.input(CInput::Tokens(CTokens::Ids));
    }
    Exported { case, header }
}

/// Compiles all headers into one program, whose argument is the number of a case. It reads the sequences one after the
/// other, each of so many steps, and writes every output.
fn program(folder: &Path, all: &[Exported]) -> PathBuf {
    let (mut text, mut calls) = (String::from("#include <stdio.h>\n#include <stdlib.h>\n"), String::new());
    for (number, Exported { case, header }) in all.iter().enumerate() {
        let mut written = Vec::new();
        write_header(&case.model(), &dict(case), header, &mut written).unwrap();
        let name = &header.name;
        std::fs::write(folder.join(format!("{name}.h")), written).unwrap();
        let (inputs, x) = if case.tokens { (1, "(size_t)x[0]") } else { (case.inputs, "x") };
        let outputs = case.outputs;
        writeln!(
            text,
            "#include \"{name}.h\"\n\
             static void run{number}(void)\n{{\n    {name}_state state;\n    float x[{inputs}], y[{outputs}];\n    \
             size_t step = 0;\n    while (fread(x, 4, {inputs}, stdin) == {inputs}) {{\n        \
             if (step++ % {STEPS} == 0) {name}_reset(&state);\n        {name}_step(&state, {x}, y);\n        \
             fwrite(y, 4, {outputs}, stdout);\n    }}\n}}"
        )
        .unwrap();
        writeln!(calls, "    case {number}: run{number}(); break;").unwrap();
    }
    let main = "int main(int count, char **arguments)\n{\n    switch (count > 1 ? atoi(arguments[1]) : -1) {\n";
    compile(folder, &format!("{text}{main}{calls}    }}\n    return 0;\n}}\n"))
}

/// ŷ of an engine, \[P, B, O\].
fn predicted<R: Real>(case: &Case, dict: &StateDict) -> Array3<f64> {
    let model = case.model();
    let block = Layout::new(&model).to_block(dict).unwrap();
    let mut engine = Cpu::<R>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
    let block: Vec<R> = block.into_iter().map(|weight| R::from_f64(weight.into())).collect();
    engine.set_parameters(&block).unwrap();
    let mut y: Array3<R> = block_on(engine.logits(&case.sequence::<R>())).unwrap().logits;
    case.loss.output(&mut y);
    y.mapv(|y| y.as_f64())
}

/// What the header says of the same rows, one after the other: \[P, B, O\].
fn computed(program: &Path, number: usize, case: &Case) -> Array3<f64> {
    let sequence: Sequence = case.sequence();
    let input: Vec<f32> = match &sequence.input {
        Input::Dense(x) => x.view().permuted_axes([1, 0, 2]).iter().copied().collect(),
        Input::Tokens(tokens) => tokens.t().iter().map(|token| *token as f32).collect(),
        _ => unreachable!("the crate has no third kind"),
    };
    let said = floats(&run(program, &[&number.to_string()], &bytes(input)));
    let said = Array3::from_shape_vec((case.rows, STEPS, case.outputs), said).unwrap();
    let said = said.permuted_axes([1, 0, 2]);
    match case.at {
        Readout::PerStep => said,
        _ => said.slice_move(s![STEPS - 1.., .., ..]),
    }
}

fn distance(a: &Array3<f64>, b: &Array3<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, distance| {
        if distance >= most {
            distance
        } else if distance.is_nan() {
            f64::INFINITY
        } else {
            most
        }
    })
}

/// A thousand steps of each header are as close to f64 as the engine in f32, up to a factor of 4.
fn agrees(weights: WeightFormat, cases: Vec<Case>) {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<Exported> =
        cases.into_iter().enumerate().map(|(number, case)| exported(case, number, weights)).collect();
    let program = program(folder.path(), &all);
    for (number, Exported { case, header }) in all.iter().enumerate() {
        let weights = rounded(&case.model(), &dict(case), header.weights, case.tokens).unwrap();
        let exact = predicted::<f64>(case, &weights);
        let own = distance(&predicted::<f32>(case, &weights), &exact);
        let got = distance(&computed(&program, number, case), &exact);
        assert!(got <= 4.0 * own, "{case}, unrolled by {}: {got:e} from f64, the engine in f32 {own:e}", header.unroll);
    }
}

#[test]
fn a_thousand_steps_of_a_header_are_as_close_to_f64_as_the_engine() {
    agrees(WeightFormat::F32, cases());
}

#[test]
fn headers_of_halves_and_of_int8_compute_with_exactly_the_rounded_weights() {
    let some = |first: usize| cases().into_iter().skip(first).step_by(3).collect();
    agrees(WeightFormat::F16, some(0));
    agrees(WeightFormat::Int8, some(1));
}

fn refused(case: &Case, header: &CHeader) -> String {
    write_header(&case.model(), &dict(case), header, &mut Vec::new()).unwrap_err().to_string()
}

/// Rows of one column, two of which are a step.
fn segments(reading: CReading) -> CInput {
    let columns = vec![CColumn { name: "a".into(), offset: 0.0, unit: 1.0 }];
    let features = vec![CFeatures::Values { columns: 0..1, missing: false }];
    CInput::Rows(CRows { columns, features, segment: 2, reading, ..CRows::default() })
}

/// A forecast of so many targets from rows of one column.
fn forecast_of(targets: usize) -> CHeader {
    let target = |number: usize| CColumn { name: number.to_string(), offset: 0.0, unit: 1.0 };
    let values = CValues { targets: (0..targets).map(target).collect(), ..CValues::default() };
    let window = CReading::Forecast { window: 4, relative: CRelative::None };
    CHeader::new("x").input(segments(window)).output(COutput::Values(values))
}

#[test]
fn the_mean_over_time_stays_when_millions_of_steps_are_alike() {
    let case = Case { at: Readout::MeanPool, ..Case::new(Cell::Rnn(Activation::Tanh)) }.sizes([1, 1, 1, 1, 1]);
    let folder = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    write_header(&case.model(), &dict(&case), &CHeader::new("net"), &mut written).unwrap();
    std::fs::write(folder.path().join("net.h"), written).unwrap();
    let main = "#include <stdio.h>\n#include \"net.h\"\nint main(void)\n{\n    net_state state;\n    \
                const float x[1] = {0.5f};\n    float y[1];\n    long step;\n    net_reset(&state);\n    \
                for (step = 1; step <= 1l << 25; ++step) {\n        net_advance(&state, x);\n        \
                if (step == 1l << 14 || step == 1l << 25) {\n            net_output(&state, y);\n            \
                fwrite(y, 4, 1, stdout);\n        }\n    }\n    return 0;\n}\n";
    let said = floats(&run(&compile(folder.path(), main), &[], &[]));
    assert!((said[0] - said[1]).abs() < 1e-4 * said[0].abs(), "{said:?}");
}

#[test]
fn what_a_header_cannot_compute_or_does_not_fit_is_refused_by_name() {
    let (case, plain) = (Case::new(Cell::Gru), CHeader::new("x"));
    let reverse = Case { reverse: true, ..case.clone() };
    for (case, header, part) in [
        (&reverse, plain.clone(), "also reads from the end of a sequence"),
        (&case, CHeader::new("a__b"), "single underscores"),
        (&case, plain.clone().unroll(0), "the unrolling: expected 1 to 32"),
        (&case.clone().embedded(4), plain.clone(), "reads tokens, not numbers"),
        (
            &case,
            plain.clone().input(CInput::Tokens(CTokens::Bytes)),
            "the tokens: expected 2, as the model has, got 256",
        ),
        (&case, plain.clone().input(CInput::Named(vec!["a".into()])), "the names of the inputs: expected 2"),
        (&case, plain.clone().output(COutput::Classes(vec!["a".into()])), "the classes: expected 2"),
        (&case, plain.clone().input(segments(CReading::Window(4))), "are read in windows of a forecast"),
        (&case, plain.clone().input(segments(CReading::Stream)), "are read in windows of a forecast"),
        (&case, forecast_of(2), "the targets of a forecast: expected at most 1, got 2"),
    ] {
        let error = refused(case, &header);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_state_is_as_large_and_the_weights_as_many_as_the_header_says() {
    let case = Case { layers: 2, at: Readout::MeanPool, ..Case::new(Cell::Lstm) }.sizes([1, 1, 3, 8, 2]);
    let folder = tempfile::tempdir().unwrap();
    for weights in [WeightFormat::F32, WeightFormat::F16, WeightFormat::Int8] {
        let mut written = Vec::new();
        let header = CHeader::new("net").weights(weights);
        let sizes = write_header(&case.model(), &dict(&case), &header, &mut written).unwrap();
        std::fs::write(folder.path().join("net.h"), written).unwrap();
        let arrays = ["b_l0", "w_ih_l0", "w_hh_l0", "b_l1", "w_ih_l1", "w_hh_l1", "w_y", "b_y"];
        let scales = ["w_ih_l0", "w_hh_l0", "w_ih_l1", "w_hh_l1", "w_y"].map(|name| format!("{name}_scale"));
        let scales = scales.into_iter().filter(|_| weights == WeightFormat::Int8);
        let all: Vec<String> =
            arrays.map(String::from).into_iter().chain(scales).map(|name| format!("sizeof net_{name}")).collect();
        let main = format!(
            "#include <stdio.h>\n#include \"net.h\"\nint main(void)\n{{\n    \
             printf(\"%lu %lu\", (unsigned long)({}), (unsigned long)sizeof(net_state));\n    return 0;\n}}\n",
            all.join(" + ")
        );
        let said = String::from_utf8(run(&compile(folder.path(), &main), &[], &[])).unwrap();
        assert_eq!(said, format!("{} {}", sizes.weight_bytes, sizes.state_bytes));
        // 4 gates of 8 units read 3 or 8 inputs and 8 states, and 2 outputs 8 features.
        assert_eq!(sizes.multiply_adds, 32 * (3 + 8) + 32 * (8 + 8) + 2 * 8);
    }
}
