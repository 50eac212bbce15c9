//! RTNeural's JSON, evaluated by the layers that its documentation and its loader describe: arrays of Keras, step by step.

use crate::common::{Case, assert_close, wide};
use bptt::interchange::rtneural::write_model;
use bptt::ndarray::{Array3, ArrayD};
use bptt::{
    Activation, Backend, Cell, Cpu, EngineOptions, Inference, Input, Layout, Loss, Parameters, Readout, Sequence,
    StateDict,
};
use pollster::block_on;
use serde_json::Value;

fn dict(case: &Case) -> StateDict {
    let model = case.model();
    Layout::new(&model).to_state_dict::<f32>(&case.parameters(&model))
}

fn written(case: &Case) -> Result<Value, bptt::Error> {
    let mut file = Vec::new();
    write_model(&case.model(), &dict(case), &[("note", Value::from("kept"))], &mut file)?;
    Ok(serde_json::from_slice(&file).unwrap())
}

fn vector(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn matrix(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(vector).collect()
}

/// x·W of a kernel \[in, out\].
fn product(x: &[f64], kernel: &Value) -> Vec<f64> {
    let kernel = matrix(kernel);
    assert_eq!(kernel.len(), x.len());
    (0..kernel[0].len()).map(|out| x.iter().zip(&kernel).map(|(x, row)| x * row[out]).sum()).collect()
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// The outputs of a file for the steps of one row.
fn evaluate(file: &Value, steps: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let layers = file["layers"].as_array().unwrap();
    let mut states: Vec<(Vec<f64>, Vec<f64>)> = layers
        .iter()
        .map(|layer| {
            let size = layer["shape"][2].as_u64().unwrap() as usize;
            (vec![0.0; size], vec![0.0; size])
        })
        .collect();
    let mut outputs = Vec::new();
    for step in steps {
        let mut x = step.clone();
        assert_eq!(file["in_shape"][2].as_u64(), Some(x.len() as u64));
        for (layer, (h, c)) in layers.iter().zip(&mut states) {
            let (weights, size) = (&layer["weights"], h.len());
            x = match layer["type"].as_str().unwrap() {
                "lstm" => {
                    let (of_x, of_h, bias) = (product(&x, &weights[0]), product(h, &weights[1]), vector(&weights[2]));
                    let z = |gate: usize, u: usize| {
                        let at = gate * size + u;
                        of_x[at] + of_h[at] + bias[at]
                    };
                    // Keras's i, f, c, o.
                    for u in 0..size {
                        c[u] = sigmoid(z(1, u)) * c[u] + sigmoid(z(0, u)) * z(2, u).tanh();
                        h[u] = sigmoid(z(3, u)) * c[u].tanh();
                    }
                    h.clone()
                }
                "gru" => {
                    let (of_x, of_h, bias) = (product(&x, &weights[0]), product(h, &weights[1]), matrix(&weights[2]));
                    let at = |gate: usize, u: usize| gate * size + u;
                    let both = |at: usize| of_x[at] + of_h[at] + bias[0][at] + bias[1][at];
                    // RTNeural's GRULayer::forward: z, r, c.
                    for u in 0..size {
                        let (z, r) = (sigmoid(both(at(0, u))), sigmoid(both(at(1, u))));
                        let of_state = of_h[at(2, u)] + bias[1][at(2, u)];
                        let candidate = (of_x[at(2, u)] + bias[0][at(2, u)] + r * of_state).tanh();
                        h[u] = (1.0 - z) * candidate + z * h[u];
                    }
                    h.clone()
                }
                "dense" => {
                    let bias = vector(&weights[1]);
                    let a: Vec<f64> = product(&x, &weights[0]).iter().zip(&bias).map(|(a, b)| a + b).collect();
                    assert_eq!(a.len(), size);
                    let sum: f64 = a.iter().map(|a| a.exp()).sum();
                    match layer["activation"].as_str().unwrap() {
                        "" => a,
                        "sigmoid" => a.into_iter().map(sigmoid).collect(),
                        "softmax" => a.into_iter().map(|a| a.exp() / sum).collect(),
                        other => panic!("{other}"),
                    }
                }
                other => panic!("{other}"),
            };
        }
        outputs.push(x);
    }
    outputs
}

fn case(cell: Cell) -> Case {
    Case { initial: false, ..Case::new(cell) }.sizes([9, 2, 3, 5, 4])
}

#[test]
fn a_file_evaluated_as_rtneural_does_predicts_what_the_engine_predicts() {
    let losses = [Loss::SquaredError, Loss::BinaryCrossEntropy, Loss::CrossEntropy];
    for cell in [Cell::Lstm, Cell::Gru] {
        for (layers, loss) in (1..).zip(&losses) {
            for bias in [true, false] {
                let case = Case { layers, loss: loss.clone(), bias, ..case(cell) };
                let file = written(&case).unwrap();
                assert_eq!(file["note"], "kept");
                let model = case.model();
                let mut engine =
                    Cpu::<f64>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
                engine.set_parameters(&case.parameters(&model)).unwrap();
                let sequence: Sequence<f64> = case.sequence();
                let mut want = block_on(engine.logits(&sequence)).unwrap().logits;
                case.loss.output(&mut want);
                let Input::Dense(x) = &sequence.input else { panic!() };
                let mut got = Array3::zeros(want.dim());
                for row in 0..case.rows {
                    let steps: Vec<Vec<f64>> =
                        (0..case.steps).map(|t| (0..case.inputs).map(|input| x[[t, row, input]]).collect()).collect();
                    for (t, outputs) in evaluate(&file, &steps).into_iter().enumerate() {
                        outputs.into_iter().enumerate().for_each(|(o, output)| got[[t, row, o]] = output);
                    }
                }
                let got: ArrayD<f64> = got.into_dyn();
                assert_close(&format!("{case}"), &got, &wide(&want), 1e-6, 1e-2);
            }
        }
    }
}

#[test]
fn a_weight_that_is_no_number_is_refused_by_name() {
    let case = case(Cell::Lstm);
    let spoiled = |(name, array): (&str, &ArrayD<f32>)| {
        (name.to_owned(), if name == "head.bias" { array.mapv(|_| f32::NAN) } else { array.clone() })
    };
    let weights: StateDict = dict(&case).iter().map(spoiled).collect();
    let error = write_model(&case.model(), &weights, &[], &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "dense/bias: expected finite weights, got NaN");
}

#[test]
fn what_rtneural_does_not_have_is_refused_by_name() {
    for (case, part) in [
        (case(Cell::Rnn(Activation::Tanh)), "the network's cell is rnn"),
        (case(Cell::Lstm).projected(3), "projects no h"),
        (Case { bidirectional: true, ..case(Cell::Gru) }, "reads forward"),
        (Case { at: Readout::MeanPool, ..case(Cell::Gru) }, "from the mean over time"),
        (case(Cell::Gru).with_loss(Loss::Gaussian), "parameters of a distribution"),
        (case(Cell::Gru).embedded(4), "tokens with an embedding"),
    ] {
        let error = written(&case).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("as a C header or as ONNX"), "{error}");
    }
}
