//! ONNX messages, with the field numbers of `onnx.proto`.

use ndarray::ArrayD;

use crate::interchange::protobuf::Message;

/// The version of the file format that belongs to [`OPSET`].
const IR_VERSION: i64 = 8;

/// The operator set version. `RNN`, `LSTM` and `GRU` have had this form since 14, and the newest forms used here are
/// `Shape`'s and `Reshape`'s of 14 and 15. Runtimes since mid-2022 support 17 (ONNX 1.12, ONNX Runtime 1.12).
const OPSET: i64 = 17;

/// An ONNX element type.
#[derive(Clone, Copy)]
pub(super) enum ElementType {
    Float = 1,
    Int32 = 6,
    Int64 = 7,
    Bool = 9,
}

/// A fixed axis size, or the name of a symbolic one.
#[derive(Clone, Copy)]
pub(super) enum AxisSize {
    Known(usize),
    Free(&'static str),
}

/// An attribute's value.
pub(super) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Text(&'static str),
    Texts(Vec<&'static str>),
}

/// A graph under construction, with nodes in execution order.
#[derive(Default)]
pub(super) struct Graph(Message);

impl Graph {
    /// Adds a node named after its first output. An empty name omits an optional input or output.
    pub(super) fn node<I: AsRef<str>, O: AsRef<str>>(
        &mut self,
        operator: &str,
        inputs: &[I],
        outputs: &[O],
        attributes: &[(&str, Attribute)],
    ) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input.as_ref()));
        let node = outputs.iter().fold(node, |node, output| node.bytes(2, output.as_ref()));
        let name = outputs.iter().map(O::as_ref).find(|output| !output.is_empty()).unwrap_or_default();
        let node = node.bytes(3, name).bytes(4, operator);
        self.put(1, attributes.iter().fold(node, |node, (name, value)| node.message(5, attribute(name, value))));
    }

    /// Adds a constant of floats.
    pub(super) fn floats(&mut self, name: &str, array: ArrayD<f32>) {
        self.put(5, constant(name, ElementType::Float, array.shape()).floats(9, array));
    }

    /// Adds a constant of int64.
    pub(super) fn ints(&mut self, name: &str, shape: &[usize], values: &[i64]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.put(5, constant(name, ElementType::Int64, shape).bytes(9, bytes));
    }

    /// Adds an input.
    pub(super) fn input(&mut self, name: &str, element: ElementType, shape: &[AxisSize]) {
        self.put(11, described(name, element, shape));
    }

    /// Adds an output.
    pub(super) fn output(&mut self, name: &str, element: ElementType, shape: &[AxisSize]) {
        self.put(12, described(name, element, shape));
    }

    /// The file's message, with notes as metadata.
    pub(super) fn into_model(self, name: &str, doc: &str, notes: &[(&str, &str)]) -> Message {
        let graph = self.0.bytes(2, name);
        let operators = Message::default().bytes(1, "").int(2, OPSET);
        let model = Message::default().int(1, IR_VERSION).bytes(2, "bptt").bytes(3, env!("CARGO_PKG_VERSION"));
        let model = model.bytes(6, doc).message(7, graph).message(8, operators);
        let note = |(key, value): &(&str, &str)| Message::default().bytes(1, key).bytes(2, value);
        notes.iter().fold(model, |model, pair| model.message(14, note(pair)))
    }

    fn put(&mut self, field: u32, value: Message) {
        self.0 = std::mem::take(&mut self.0).message(field, value);
    }
}

/// A TensorProto without its data.
fn constant(name: &str, element: ElementType, shape: &[usize]) -> Message {
    let tensor = shape.iter().fold(Message::default(), |tensor, size| tensor.int(1, *size as i64));
    tensor.int(2, element as i64).bytes(8, name)
}

/// An AttributeProto: its name, its value in the field of its type, and the type.
fn attribute(name: &str, value: &Attribute) -> Message {
    let named = Message::default().bytes(1, name);
    match value {
        Attribute::Int(value) => named.int(3, *value).int(20, 2),
        Attribute::Text(value) => named.bytes(4, value).int(20, 3),
        Attribute::Floats(values) => values.iter().fold(named, |message, value| message.float(7, *value)).int(20, 6),
        Attribute::Ints(values) => values.iter().fold(named, |message, value| message.int(8, *value)).int(20, 7),
        Attribute::Texts(values) => values.iter().fold(named, |message, value| message.bytes(9, value)).int(20, 8),
    }
}

/// A ValueInfoProto of a tensor.
fn described(name: &str, element: ElementType, shape: &[AxisSize]) -> Message {
    let sizes = shape.iter().fold(Message::default(), |message, size| {
        let size = match size {
            AxisSize::Known(size) => Message::default().int(1, *size as i64),
            AxisSize::Free(name) => Message::default().bytes(2, name),
        };
        message.message(1, size)
    });
    let tensor = Message::default().int(1, element as i64).message(2, sizes);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}
