//! ONNX files read back: their messages by `onnx.proto`'s field numbers, and their graphs computed in f64 by what the
//! operators' specification says, word for word and without any of the crate's own code.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

use std::collections::BTreeMap;

use bptt::ndarray::{Array1, Array2, Array3, Array4, ArrayD, Axis, Dimension, Ix2, Ix3, IxDyn, s};

/// A field of a message.
#[derive(Clone, Debug)]
enum Field {
    Varint(u64),
    Fixed32(u32),
    Bytes(Vec<u8>),
}

/// A message: its fields by number, in the order in which they stand.
#[derive(Clone, Debug)]
struct Message(Vec<(u64, Field)>);

impl Message {
    fn read(mut bytes: &[u8]) -> Self {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let (byte, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                value |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            value
        }
        fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
            let (taken, rest) = bytes.split_at(count);
            *bytes = rest;
            taken
        }
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let field = match tag & 7 {
                0 => Field::Varint(varint(&mut bytes)),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    Field::Bytes(take(&mut bytes, length).to_vec())
                }
                5 => Field::Fixed32(u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap())),
                other => panic!("ONNX has no wire type {other}"),
            };
            fields.push((tag >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field> {
        self.0.iter().filter(move |(other, _)| *other == number).map(|(_, field)| field)
    }

    fn ints(&self, number: u64) -> Vec<i64> {
        let ints = self.all(number).map(|field| match field {
            Field::Varint(value) => value.cast_signed(),
            other => panic!("field {number}: {other:?}"),
        });
        ints.collect()
    }

    fn floats(&self, number: u64) -> Vec<f32> {
        let floats = self.all(number).map(|field| match field {
            Field::Fixed32(bits) => f32::from_bits(*bits),
            other => panic!("field {number}: {other:?}"),
        });
        floats.collect()
    }

    fn bytes(&self, number: u64) -> Vec<&[u8]> {
        let bytes = self.all(number).map(|field| match field {
            Field::Bytes(bytes) => bytes.as_slice(),
            other => panic!("field {number}: {other:?}"),
        });
        bytes.collect()
    }

    fn texts(&self, number: u64) -> Vec<String> {
        self.bytes(number).into_iter().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
    }

    fn text(&self, number: u64) -> String {
        self.texts(number).pop().unwrap()
    }

    fn messages(&self, number: u64) -> Vec<Message> {
        self.bytes(number).into_iter().map(Message::read).collect()
    }
}

/// An attribute, in the field of its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Int(i64),
    Text(String),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) operator: String,
    pub(crate) name: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: BTreeMap<String, Attribute>,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(ArrayD<f64>),
    Int(ArrayD<i64>),
    Bool(ArrayD<bool>),
}

/// What stands in a file.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) ir_version: i64,
    pub(crate) producer: (String, String),
    pub(crate) opset: (String, i64),
    pub(crate) notes: Vec<(String, String)>,
    pub(crate) name: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) constants: BTreeMap<String, Value>,
    /// `x: 1 [T, B, 3]`: name, the number of the element type, sizes.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

impl Model {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let model = Message::read(bytes);
        let graph = model.messages(7).pop().unwrap();
        let opset = model.messages(8).pop().unwrap();
        Self {
            ir_version: model.ints(1)[0],
            producer: (model.text(2), model.text(3)),
            opset: (opset.text(1), opset.ints(2)[0]),
            notes: model.messages(14).iter().map(|note| (note.text(1), note.text(2))).collect(),
            name: graph.text(2),
            nodes: graph.messages(1).iter().map(node).collect(),
            constants: graph.messages(5).iter().map(|tensor| (tensor.text(8), constant(tensor))).collect(),
            inputs: graph.messages(11).iter().map(described).collect(),
            outputs: graph.messages(12).iter().map(described).collect(),
        }
    }

    /// The graph's outputs by name.
    pub(crate) fn run(&self, inputs: BTreeMap<String, Value>) -> BTreeMap<String, ArrayD<f64>> {
        let name = |described: &String| described.split(':').next().unwrap().to_owned();
        let expected: Vec<String> = self.inputs.iter().map(name).collect();
        assert!(
            inputs.len() == expected.len() && expected.iter().all(|name| inputs.contains_key(name)),
            "{expected:?}"
        );
        let mut values = self.constants.clone();
        values.extend(inputs);
        for node in &self.nodes {
            let results = compute(node, &values);
            assert_eq!(results.len(), node.outputs.len(), "{node:?}");
            for (name, value) in node.outputs.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
                assert!(values.insert(name.clone(), value).is_none(), "{name} is computed twice");
            }
        }
        self.outputs.iter().map(|output| (name(output), float(&values[&name(output)]).clone())).collect()
    }
}

fn node(message: &Message) -> Node {
    let attribute = |message: Message| {
        let value = match message.ints(20)[0] {
            2 => Attribute::Int(message.ints(3)[0]),
            3 => Attribute::Text(message.text(4)),
            6 => Attribute::Floats(message.floats(7)),
            7 => Attribute::Ints(message.ints(8)),
            8 => Attribute::Texts(message.texts(9)),
            other => panic!("attribute type {other}"),
        };
        (message.text(1), value)
    };
    Node {
        operator: message.text(4),
        name: message.text(3),
        inputs: message.texts(1),
        outputs: message.texts(2),
        attributes: message.messages(5).into_iter().map(attribute).collect(),
    }
}

fn constant(tensor: &Message) -> Value {
    let shape: Vec<usize> = tensor.ints(1).into_iter().map(|size| size as usize).collect();
    let data = tensor.bytes(9)[0];
    match tensor.ints(2)[0] {
        1 => {
            let values = data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
            Value::Float(ArrayD::from_shape_vec(shape, values).unwrap())
        }
        7 => {
            let values = data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
            Value::Int(ArrayD::from_shape_vec(shape, values).unwrap())
        }
        other => panic!("element type {other}"),
    }
}

fn described(value: &Message) -> String {
    let tensor = value.messages(2)[0].messages(1).pop().unwrap();
    let sizes = tensor.messages(2)[0].messages(1).into_iter();
    let sizes: Vec<String> =
        sizes.map(|size| size.texts(2).pop().unwrap_or_else(|| size.ints(1)[0].to_string())).collect();
    format!("{}: {} [{}]", value.text(1), tensor.ints(1)[0], sizes.join(", "))
}

fn float(value: &Value) -> &ArrayD<f64> {
    let Value::Float(array) = value else { panic!("{value:?}") };
    array
}

fn int(value: &Value) -> &ArrayD<i64> {
    let Value::Int(array) = value else { panic!("{value:?}") };
    array
}

fn sizes(array: &ArrayD<i64>) -> Vec<usize> {
    array.iter().map(|size| *size as usize).collect()
}

fn compute(node: &Node, values: &BTreeMap<String, Value>) -> Vec<Value> {
    let value = |index: usize| &values[&node.inputs[index]];
    let int_of = |name: &str| match node.attributes.get(name) {
        Some(Attribute::Int(value)) => *value,
        other => panic!("{name}: {other:?}"),
    };
    let one = match node.operator.as_str() {
        "RNN" | "LSTM" | "GRU" => return recurrent(node, values),
        "Split" => {
            let mut rest = float(value(0)).view();
            let mut parts = Vec::new();
            for size in sizes(int(value(1))) {
                let (part, other) = rest.split_at(Axis(int_of("axis") as usize), size);
                parts.push(Value::Float(part.to_owned()));
                rest = other;
            }
            return parts;
        }
        "Concat" => {
            let parts: Vec<_> = (0..node.inputs.len()).map(|index| float(value(index)).view()).collect();
            Value::Float(bptt::ndarray::concatenate(Axis(int_of("axis") as usize), &parts).unwrap())
        }
        "Transpose" => {
            let Attribute::Ints(order) = &node.attributes["perm"] else { panic!("{node:?}") };
            let order: Vec<usize> = order.iter().map(|axis| *axis as usize).collect();
            Value::Float(float(value(0)).clone().permuted_axes(order).as_standard_layout().to_owned())
        }
        "Reshape" => match value(0) {
            Value::Float(array) => Value::Float(reshaped(array, int(value(1)))),
            Value::Int(array) => Value::Int(reshaped(array, int(value(1)))),
            Value::Bool(_) => panic!("{node:?}"),
        },
        "OneHot" => {
            assert_eq!(int_of("axis"), -1);
            let (indices, depth) = (int(value(0)), *int(value(1)).first().unwrap());
            let off_and_on = float(value(2));
            let shape = [indices.shape(), &[depth as usize]].concat();
            let ones = ArrayD::from_shape_fn(shape, |index| {
                let (last, rest) = index.slice().split_last().unwrap();
                // An index from the end is negative; one beyond either end is nowhere.
                let token = indices[rest];
                let token = if token < 0 { token + depth } else { token };
                off_and_on[[usize::from(token == *last as i64)]]
            });
            Value::Float(ones)
        }
        "MatMul" => {
            let (a, b) = (float(value(0)), float(value(1)).clone().into_dimensionality::<Ix2>().unwrap());
            let (width, outputs) = b.dim();
            let rows = a.to_shape((a.len() / width, width)).unwrap().dot(&b);
            let shape = [&a.shape()[..a.ndim() - 1], &[outputs]].concat();
            Value::Float(rows.into_shape_with_order(shape).unwrap())
        }
        "Div" => Value::Float(float(value(0)) / float(value(1))),
        "ReduceSum" => {
            let axis = Axis(*int(value(1)).first().unwrap() as usize);
            Value::Float(float(value(0)).sum_axis(axis).insert_axis(axis))
        }
        "Add" => Value::Float(float(value(0)) + float(value(1))),
        "Sub" => Value::Float(float(value(0)) - float(value(1))),
        "Shape" => {
            let Value::Float(array) = value(0) else {
                return vec![Value::Int(Array1::from_iter(int(value(0)).shape().iter().map(|n| *n as i64)).into_dyn())];
            };
            Value::Int(Array1::from_iter(array.shape().iter().map(|size| *size as i64)).into_dyn())
        }
        "Gather" => match value(0) {
            Value::Float(rows) => {
                let index = int(value(1));
                let picked: Vec<usize> = index.iter().map(|index| *index as usize).collect();
                let shape = [index.shape(), &rows.shape()[1..]].concat();
                Value::Float(rows.select(Axis(0), &picked).into_shape_with_order(shape).unwrap())
            }
            data => Value::Int(int(value(1)).mapv(|index| int(data)[[index as usize]])),
        },
        "Clip" => {
            let [low, high] = [1, 2].map(|index| *int(value(index)).first().unwrap());
            Value::Int(int(value(0)).mapv(|value| value.clamp(low, high)))
        }
        "Range" => {
            let [start, limit, delta] = [0, 1, 2].map(|index| *int(value(index)).first().unwrap());
            Value::Int(Array1::from_iter((start..limit).step_by(delta as usize)).into_dyn())
        }
        "Cast" => match int_of("to") {
            1 => Value::Float(int(value(0)).mapv(|value| value as f64)),
            7 => value(0).clone(),
            9 => Value::Bool(int(value(0)).mapv(|value| value != 0)),
            to => panic!("a cast to {to}"),
        },
        "Less" => {
            let (a, b) = (int(value(0)), int(value(1)));
            let wide = a.broadcast(IxDyn(&[a.shape()[0], b.shape()[0], 1])).unwrap();
            let b = b.broadcast(wide.shape()).unwrap();
            Value::Bool(ArrayD::from_shape_fn(wide.shape(), |index| wide[&index] < b[&index]))
        }
        "Where" => {
            let Value::Bool(condition) = value(0) else { panic!("{node:?}") };
            let (a, b) = (float(value(1)), float(value(2)));
            let (condition, b) = (condition.broadcast(a.shape()).unwrap(), b.broadcast(a.shape()).unwrap());
            Value::Float(ArrayD::from_shape_fn(
                a.shape(),
                |index| if condition[&index] { a[&index] } else { b[&index] },
            ))
        }
        "Identity" => value(0).clone(),
        "Sigmoid" => Value::Float(float(value(0)).mapv(sigmoid)),
        "Softplus" => Value::Float(float(value(0)).mapv(|a| a.max(0.0) + (-a.abs()).exp().ln_1p())),
        "Softmax" => {
            assert_eq!(int_of("axis"), -1);
            let mut array = float(value(0)).mapv(f64::exp);
            let last = Axis(array.ndim() - 1);
            array.lanes_mut(last).into_iter().for_each(|mut lane| {
                let sum = lane.sum();
                lane /= sum;
            });
            Value::Float(array)
        }
        other => panic!("no operator {other}"),
    };
    vec![one]
}

/// Where the shape says 0 the size stays, where it says -1 it is what is left.
fn reshaped<E: Clone>(array: &ArrayD<E>, shape: &ArrayD<i64>) -> ArrayD<E> {
    let mut known: Vec<Option<usize>> = Vec::new();
    for (axis, size) in shape.iter().enumerate() {
        known.push(match size {
            0 => Some(array.shape()[axis]),
            -1 => None,
            size => Some(*size as usize),
        });
    }
    let rest = array.len() / known.iter().flatten().product::<usize>();
    let shape: Vec<usize> = known.into_iter().map(|size| size.unwrap_or(rest)).collect();
    array.to_shape(shape).unwrap().to_owned()
}

fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

/// `RNN`, `LSTM` and `GRU` of operator set 14, by their specification's equations.
fn recurrent(node: &Node, values: &BTreeMap<String, Value>) -> Vec<Value> {
    let optional = |index: usize| node.inputs.get(index).filter(|name| !name.is_empty()).map(|name| &values[name]);
    let three = |index: usize| float(optional(index).unwrap()).clone().into_dimensionality::<Ix3>().unwrap();
    let text = |name: &str| match &node.attributes[name] {
        Attribute::Text(text) => text.clone(),
        other => panic!("{name}: {other:?}"),
    };
    let (x, w, r) = (three(0), three(1), three(2));
    let (steps, rows, _) = x.dim();
    let (directions, gates_hidden, hidden) = r.dim();
    assert_eq!(node.attributes["hidden_size"], Attribute::Int(hidden as i64));
    match text("direction").as_str() {
        "forward" | "reverse" => assert_eq!(directions, 1),
        "bidirectional" => assert_eq!(directions, 2),
        other => panic!("{other}"),
    }
    let bias = optional(3).map_or(Array2::zeros((directions, 2 * gates_hidden)), |bias| {
        float(bias).clone().into_dimensionality::<Ix2>().unwrap()
    });
    let lengths =
        optional(4).map_or_else(|| ArrayD::from_elem(vec![rows], steps as i64), |lengths| int(lengths).clone());
    let (mut h_n, lstm) = (three(5), node.operator == "LSTM");
    let mut c_n = if lstm { three(6) } else { Array3::zeros((0, 0, 0)) };
    let mut y = Array4::zeros((steps, directions, rows, hidden));
    for direction in 0..directions {
        for row in 0..rows {
            let length = lengths[[row]] as usize;
            let (mut h, mut c) = (h_n.slice(s![direction, row, ..]).to_owned(), Array1::zeros(hidden));
            if lstm {
                c.assign(&c_n.slice(s![direction, row, ..]));
            }
            let is_reverse = direction == 1 || text("direction") == "reverse";
            let order: Vec<usize> = if is_reverse { (0..length).rev().collect() } else { (0..length).collect() };
            for t in order {
                let wb = bias.slice(s![direction, ..gates_hidden]);
                let rb = bias.slice(s![direction, gates_hidden..]);
                let of_x = w.index_axis(Axis(0), direction).dot(&x.slice(s![t, row, ..])) + wb;
                let of_h = r.index_axis(Axis(0), direction).dot(&h) + rb;
                let gate = |index: usize| s![index * hidden..(index + 1) * hidden];
                let both = |index: usize| &of_x.slice(gate(index)) + &of_h.slice(gate(index));
                match node.operator.as_str() {
                    "RNN" => h = both(0).mapv(activation(node, direction)),
                    "LSTM" => {
                        let [i, o, f] = [0, 1, 2].map(|index| both(index).mapv(sigmoid));
                        c = f * c + i * both(3).mapv(f64::tanh);
                        h = o * c.mapv(f64::tanh);
                    }
                    _ => {
                        assert_eq!(node.attributes["linear_before_reset"], Attribute::Int(1));
                        let [z, r] = [0, 1].map(|index| both(index).mapv(sigmoid));
                        let n = (&of_x.slice(gate(2)) + &(r * of_h.slice(gate(2)))).mapv(f64::tanh);
                        h = (1.0 - &z) * n + z * h;
                    }
                }
                y.slice_mut(s![t, direction, row, ..]).assign(&h);
            }
            // The specification is silent about what lies beyond a row's length.
            y.slice_mut(s![length.., direction, row, ..]).fill(f64::NAN);
            h_n.slice_mut(s![direction, row, ..]).assign(&h);
            if lstm {
                c_n.slice_mut(s![direction, row, ..]).assign(&c);
            }
        }
    }
    let mut outputs = vec![Value::Float(y.into_dyn()), Value::Float(h_n.into_dyn())];
    outputs.extend(lstm.then(|| Value::Float(c_n.into_dyn())));
    outputs
}

fn activation(node: &Node, direction: usize) -> impl Fn(f64) -> f64 {
    let Attribute::Texts(names) = &node.attributes["activations"] else { panic!("{node:?}") };
    let number = |name: &str| match node.attributes.get(name) {
        Some(Attribute::Floats(numbers)) => f64::from(numbers[direction]),
        _ => f64::NAN,
    };
    let (name, alpha, beta) = (names[direction].clone(), number("activation_alpha"), number("activation_beta"));
    move |value| match name.as_str() {
        "Tanh" => value.tanh(),
        "Relu" => value.max(0.0),
        "Sigmoid" => sigmoid(value),
        "Affine" => alpha * value + beta,
        other => panic!("no activation {other}"),
    }
}
