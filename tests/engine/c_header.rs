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
    Backend, Cell, Cpu, EngineOptions, Head, Inference, Input, Layout, Loss, Model, Parameters, Readout, Real,
    Recurrent, Sequence, StateDict,
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
    let block: Vec<f32> = Layout::new(&model).to_block(dict).unwrap();
    let mut engine = Cpu::<R>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
    let block: Vec<R> = block.into_iter().map(|weight| R::from_f64(weight.into())).collect();
    engine.set_parameters(&block).unwrap();
    let mut y = block_on(engine.logits(&case.sequence())).unwrap().logits;
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
