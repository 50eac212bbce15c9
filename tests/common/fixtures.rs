//! Reads what the scripts of `tests/fixtures` made: tensors named `case/name`, and in the metadata what each case is.

#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::path::Path;

use bptt::ndarray::{Array1, Array2, Array3, ArrayD, Axis, Ix3, IxDyn, s};
use bptt::{
    Activation, Batch, Cell, DropoutKey, Embedding, Head, Input, Layout, Loss, Model, Real, Recurrent, Sequence,
    States, Targets,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::common::{Named, by_name, choice, fill};

/// One file of fixtures.
pub(crate) struct Fixtures {
    tensors: BTreeMap<String, ArrayD<f64>>,
    descriptions: BTreeMap<String, Value>,
}

/// One case of a file.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a Value,
    tensors: &'a BTreeMap<String, ArrayD<f64>>,
}

impl Fixtures {
    /// The file `tests/fixtures/{stem}.safetensors`, with what it leaves to be computed.
    pub(crate) fn read(stem: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(stem).with_extension("safetensors");
        let bytes = std::fs::read(path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let descriptions = metadata.metadata().as_ref().unwrap().iter();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut fixtures = Self {
            tensors: tensors.iter().map(|(name, view)| (name.to_owned(), widened(&view))).collect(),
            descriptions: descriptions
                .map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap()))
                .collect(),
        };
        let generated: Vec<Named> = fixtures.cases().map(|case| case.generated()).collect();
        fixtures.tensors.extend(generated.into_iter().flatten());
        fixtures
    }

    /// The cases, by name.
    pub(crate) fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.descriptions.iter().map(|(name, description)| Case { name, description, tensors: &self.tensors })
    }

    /// The case of a name.
    pub(crate) fn case(&self, name: &str) -> Case<'_> {
        self.cases().find(|case| case.name == name).unwrap()
    }
}

/// Whatever the element type in the file: f64 holds each of its values exactly.
fn widened(view: &TensorView<'_>) -> ArrayD<f64> {
    let data = view.data();
    let values = match view.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        Dtype::I64 => data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
        other => panic!("make.py writes no {other:?}"),
    };
    ArrayD::from_shape_vec(view.shape(), values).unwrap()
}

impl Case<'_> {
    /// A tensor as torch made it, where the case has it. torch's modules alone have no prefix.
    pub(crate) fn find(&self, key: &str) -> Option<&ArrayD<f64>> {
        let find = |key: &str| self.tensors.get(&format!("{}/{key}", self.name));
        find(key).or_else(|| find(&key.replacen("rnn.", "", 1)))
    }

    /// A tensor as torch made it.
    pub(crate) fn get(&self, key: &str) -> &ArrayD<f64> {
        self.find(key).unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }

    /// A tensor of three axes in the type of a path.
    pub(crate) fn array3<R: Real>(&self, key: &str) -> Array3<R> {
        self.get(key).mapv(R::from_f64).into_dimensionality::<Ix3>().unwrap()
    }

    /// What `make_large.py` computes as well: see there for the seeds.
    fn generated(&self) -> Named {
        let Some(sizes) = self.description.get("sizes") else { return Named::new() };
        let [t, b, i, _, o]: [usize; 5] = serde_json::from_value(sizes.clone()).unwrap();
        let recurrent = self.recurrent();
        let states = [recurrent.num_layer_directions(), b, recurrent.hidden_size];
        let array = |shape: [usize; 3], seed| fill::<f64, _>(IxDyn(&shape), seed);
        let mut named = Named::new();
        for name in self.setting::<Vec<String>>("generated") {
            let tensor = match name.as_str() {
                "x" => self.with_garbage(array([t, b, i], 1)),
                "h_0" => array(states, 2),
                "c_0" => array(states, 3),
                "d_output" => array([t, b, recurrent.output_size()], 4),
                "d_h_n" => array(states, 5),
                "d_c_n" => array(states, 6),
                "targets" => {
                    let p = self.model().head.unwrap().predictions(t);
                    match self.setting("loss") {
                        Loss::CrossEntropy => {
                            ArrayD::from_shape_fn(vec![p, b], |at| f64::from(choice(8, at[0] * b + at[1] + 1, o)))
                        }
                        Loss::BinaryCrossEntropy => array([p, b, o], 8).mapv(|value| (1.0 + value) / 2.0),
                        _ => array([p, b, o], 8),
                    }
                }
                "weights" => {
                    let headless = self.description.get("loss").is_none();
                    let model = if headless { Model::headless(recurrent.clone()) } else { self.model() };
                    let layout = Layout::new(&model);
                    let block = fill::<f64, _>(layout.len(), 7).mapv_into(|value: f64| value / 8.0);
                    let before = format!("{}/weight/", self.name);
                    named.extend(by_name(&layout, block.as_slice().unwrap(), &before));
                    continue;
                }
                other => panic!("make_large.py generates no {other}"),
            };
            named.push((format!("{}/{name}", self.name), tensor));
        }
        named
    }

    /// x with NaN at padding, which must not be read.
    fn with_garbage(&self, mut x: ArrayD<f64>) -> ArrayD<f64> {
        let lengths: Option<Vec<usize>> = self.setting("lengths");
        for (row, length) in lengths.into_iter().flatten().enumerate() {
            x.slice_mut(s![length.., row, ..]).fill(f64::NAN);
        }
        x
    }

    /// An array as the file keeps it: whole, or of a matrix the products with a vector along its rows and with another
    /// along its columns.
    pub(crate) fn kept(&self, name: &str, array: ArrayD<f64>) -> Named {
        if self.find(&format!("{name}/rows")).is_none() {
            return vec![(name.to_owned(), array)];
        }
        let columns = array.shape()[array.ndim() - 1];
        let matrix = array.to_shape((array.len() / columns, columns)).unwrap();
        let vector = |len: usize, seed| fill::<f64, _>(len, seed).mapv_into(|value: f64| 1.0 + value / 2.0);
        let (along_rows, along_columns): (Array1<f64>, Array1<f64>) = (vector(columns, 9), vector(matrix.nrows(), 10));
        vec![
            (format!("{name}/rows"), matrix.dot(&along_rows).into_dyn()),
            (format!("{name}/columns"), along_columns.dot(&matrix).into_dyn()),
        ]
    }

    /// How far PyTorch in float32 is from the tensor, which it computed in float64: the largest difference, in units of
    /// the tensor's largest element.
    pub(crate) fn distance(&self, name: &str) -> f64 {
        let distances = &self.description["distances"];
        let distance = distances.get(name).unwrap_or(&distances[name.replacen("rnn.", "", 1)]);
        distance.as_f64().unwrap_or_else(|| panic!("{} has no distance of {name}", self.name))
    }

    /// A setting by its name, of a type that has a serialised form.
    pub(crate) fn setting<S: serde::de::DeserializeOwned>(&self, key: &str) -> S {
        serde_json::from_value(self.description[key].clone()).unwrap()
    }

    /// torch's parameter names, in its order.
    pub(crate) fn parameter_names(&self) -> Vec<String> {
        self.setting("parameters")
    }

    /// The cell.
    pub(crate) fn cell(&self) -> Cell {
        match self.description["cell"].as_str().unwrap() {
            "rnn-tanh" => Cell::Rnn(Activation::Tanh),
            "rnn-relu" => Cell::Rnn(Activation::Relu),
            "lstm" => Cell::Lstm,
            "gru" => Cell::Gru,
            other => panic!("the scripts know no {other}"),
        }
    }

    /// I, H and O: of the description, or told by the tensors themselves.
    fn sizes(&self) -> [usize; 3] {
        if let Some(sizes) = self.description.get("sizes") {
            return [2, 3, 4].map(|at| sizes[at].as_u64().unwrap() as usize);
        }
        // Of a projected h W_hh has fewer columns than units, and W_hr as many.
        let reads = if self.proj_size().is_some() { "weight_hr_l0" } else { "weight_hh_l0" };
        let weight = self.parameter_names().into_iter().find(|name| name.ends_with(reads)).unwrap();
        let hidden = self.get(&format!("weight/{weight}")).len_of(Axis(1));
        let read = self.find("x").unwrap_or_else(|| self.get("weight/embedding.weight"));
        let outputs = self.find("weight/head.bias").map_or(0, |bias| bias.len());
        [*read.shape().last().unwrap(), hidden, outputs]
    }

    fn proj_size(&self) -> Option<usize> {
        self.description.get("proj_size").map(|size| size.as_u64().unwrap() as usize)
    }

    /// The stack without a head.
    pub(crate) fn recurrent(&self) -> Recurrent {
        let [inputs, hidden, _] = self.sizes();
        Recurrent::new(self.cell(), inputs, hidden)
            .proj_size(self.proj_size())
            .layers(self.setting("layers"))
            .bidirectional(self.setting("bidirectional"))
            .bias(self.setting("bias"))
            .dropout(self.description["dropout"].as_f64().unwrap_or(0.0))
            .recurrent_dropout(self.description["recurrent_dropout"].as_f64().unwrap_or(0.0))
    }

    /// What dropout draws, where the case has any.
    pub(crate) fn masks(&self) -> Option<DropoutKey> {
        let masks = self.description.get("masks")?;
        let number = |name: &str| masks[name].as_u64().unwrap();
        Some(DropoutKey { seed: number("seed"), step: number("step"), first_row: number("first_row") as usize })
    }

    /// The stack with its head, and its embedding where it has one.
    pub(crate) fn model(&self) -> Model {
        let [_, _, outputs] = self.sizes();
        let head = Head::new(outputs, self.setting("loss"), self.setting("at"));
        let model = Model::new(self.recurrent(), head.reduction(self.setting("reduction")));
        let embedding = |vectors: &ArrayD<f64>| {
            let vocabulary = vectors.len_of(Axis(0));
            if self.setting("tied") { Embedding::tied(vocabulary) } else { Embedding::new(vocabulary) }
        };
        model.embedding(self.find("weight/embedding.weight").map(embedding))
    }

    /// The flat block of the tensors under `prefix`: `weight`, or `gradient`.
    pub(crate) fn block<R: Real>(&self, layout: &Layout, prefix: &str) -> Vec<R> {
        let tensors = layout.tensors().iter().map(|tensor| {
            let array = self.get(&format!("{prefix}/{}", tensor.name));
            assert_eq!(array.shape(), tensor.shape, "{}: {}", self.name, tensor.name);
            array
        });
        tensors.flatten().map(|value| R::from_f64(*value)).collect()
    }

    /// x or tokens, lengths, and resets, h_0 and c_0 where the case has them.
    pub(crate) fn sequence<R: Real>(&self) -> Sequence<R> {
        let initial =
            self.find("h_0").map(|_| States { h: self.array3("h_0"), c: self.find("c_0").map(|_| self.array3("c_0")) });
        let resets = self.find("resets").map(|_| self.array2("resets").mapv(|reset| reset != 0.0));
        let input = match self.find("tokens") {
            Some(_) => Input::Tokens(self.array2("tokens").mapv(|token| token as u32)),
            None => Input::Dense(self.array3("x")),
        };
        Sequence { input, lengths: self.setting("lengths"), resets, initial }
    }

    /// The sequence with targets, and weights where the case has them.
    pub(crate) fn batch(&self) -> Batch {
        let targets = if self.setting::<Loss>("loss").takes_classes() {
            Targets::Classes(self.array2("targets").mapv(|class| class as u32))
        } else {
            Targets::Values(self.array3("targets"))
        };
        let weights = self.find("weights").map(|_| self.array2("weights").mapv(|weight| weight as f32));
        Batch { sequence: self.sequence(), targets, weights }
    }

    fn array2(&self, key: &str) -> Array2<f64> {
        self.get(key).clone().into_dimensionality().unwrap()
    }
}
