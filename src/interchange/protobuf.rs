//! The Protocol Buffers wire format, as needed for ONNX and TensorBoard:
//! <https://protobuf.dev/programming-guides/encoding>.

use std::io::{self, Write};

use ndarray::ArrayD;

use crate::model::safetensors::write_numbers;

/// A message's fields in the order of writing. The bytes are kept in pieces, so that a message of many megabytes can
/// become part of another one without a copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pieces: Vec<Piece>,
    /// Bytes after the pieces.
    end: Vec<u8>,
}

/// Bytes, or numbers that are converted to bytes when written.
#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Floats(ArrayD<f32>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(numbers) => 4 * numbers.len(),
        }
    }
}

/// Smaller messages are copied into the enclosing one.
const MOST: usize = 1 << 12;

/// The wire type of a field.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
    Fixed32 = 5,
}

impl Message {
    /// Adds an integer of any width.
    pub(super) fn int(mut self, field: u32, value: i64) -> Self {
        self.tag(field, Wire::Varint);
        // Two's complement: a negative number takes ten bytes.
        self.varint(value.cast_unsigned());
        self
    }

    /// Adds a `float`.
    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.tag(field, Wire::Fixed32);
        self.end.extend(value.to_le_bytes());
        self
    }

    /// Adds a `double`.
    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.tag(field, Wire::Fixed64);
        self.end.extend(value.to_le_bytes());
        self
    }

    /// Adds a `string` or `bytes`.
    pub(super) fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.tag(field, Wire::Delimited);
        self.varint(value.len() as u64);
        self.end.extend(value);
        self
    }

    /// Adds `bytes` that consist of these numbers in little-endian order.
    pub(super) fn floats(self, field: u32, numbers: ArrayD<f32>) -> Self {
        self.message(field, Message { pieces: vec![Piece::Floats(numbers)], end: Vec::new() })
    }

    /// Adds a nested message.
    pub(super) fn message(mut self, field: u32, value: Message) -> Self {
        self.tag(field, Wire::Delimited);
        self.varint(value.len() as u64);
        value.pieces.into_iter().for_each(|piece| self.put(piece));
        self.put(Piece::Bytes(value.end));
        self
    }

    /// The encoded length in bytes.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum::<usize>() + self.end.len()
    }

    /// Writes the message as the contents of a file, and frees each piece.
    ///
    /// # Errors
    /// The errors of `to`.
    pub(super) fn write(self, to: &mut impl Write) -> io::Result<()> {
        self.pieces.into_iter().try_for_each(|piece| match piece {
            Piece::Bytes(bytes) => to.write_all(&bytes),
            Piece::Floats(numbers) => write_numbers(to, numbers),
        })?;
        to.write_all(&self.end)
    }

    /// The message as the contents of a file.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        // Writing to memory cannot fail.
        let _ = self.write(&mut bytes);
        bytes
    }

    fn put(&mut self, piece: Piece) {
        match piece {
            Piece::Bytes(bytes) if bytes.len() < MOST => self.end.extend(bytes),
            piece => {
                self.pieces.push(Piece::Bytes(std::mem::take(&mut self.end)));
                self.pieces.push(piece);
            }
        }
    }

    fn tag(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    /// Seven bits per byte, lowest first. The eighth bit is set if more bytes follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.end.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.end.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn fields_are_encoded_as_in_the_protobuf_guide() {
        let message = Message::default;
        // The guide's own examples.
        assert_eq!(message().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(message().bytes(2, "testing").into_bytes(), b"\x12\x07testing");
        assert_eq!(message().message(3, message().int(1, 150)).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(message().int(1, -2).into_bytes(), b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(message().float(2, 1.0).into_bytes(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(message().double(1, 1.0).into_bytes(), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        // A field beyond 15 takes a tag of two bytes, a length beyond 127 one of two.
        assert_eq!(message().int(20, 0).into_bytes(), [0xa0, 0x01, 0]);
        assert_eq!(message().bytes(1, [7; 300]).into_bytes()[..3], [0x0a, 0xac, 0x02]);
        assert_eq!(message().int(1, 127).int(1, 128).into_bytes(), [0x08, 0x7f, 0x08, 0x80, 0x01]);
    }

    #[test]
    fn nested_messages_are_encoded_without_copying_large_arrays() {
        let numbers = Array1::from_iter((0..2 * MOST).map(|n| n as f32)).into_dyn();
        let (large, at) = (vec![7; 3 * MOST], numbers.as_ptr());
        let inner = Message::default().int(1, 5).floats(2, numbers.clone()).int(3, 6).bytes(4, &large).int(5, 7);
        let whole = Message::default().bytes(1, "before").message(2, inner).bytes(3, "after");
        assert!(whole.pieces.len() > 3 && whole.len() > 11 * MOST);
        // A copy of the message has one of the numbers.
        let inner = Message::default().floats(2, numbers);
        let kept = Message::default().message(2, inner);
        assert!(kept.pieces.iter().any(|piece| matches!(piece, Piece::Floats(numbers) if numbers.as_ptr() == at)));
        let field = |tag: u8, value: &[u8]| {
            let sevens = |count: u32| (0..count).map(|at| (value.len() >> (7 * at)) as u8 & 0x7f);
            let count = (1..=3).find(|count| value.len() >> (7 * count) == 0).unwrap();
            let length: Vec<u8> = sevens(count - 1).map(|byte| byte | 0x80).chain(sevens(count).next_back()).collect();
            [&[tag][..], &length, value].concat()
        };
        let numbers: Vec<u8> = (0..2 * MOST).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let inner = [&[0x08, 5][..], &field(0x12, &numbers), &[0x18, 6], &field(0x22, &large), &[0x28, 7]].concat();
        let expected = [field(0x0a, b"before"), field(0x12, &inner), field(0x1a, b"after")].concat();
        let mut written = Vec::new();
        whole.clone().write(&mut written).unwrap();
        assert_eq!((whole.len(), written == expected), (expected.len(), true));
        assert!(whole.into_bytes() == expected);
    }
}
