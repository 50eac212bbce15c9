//! Protocol Buffers' wire format, as far as ONNX and TensorBoard need it: <https://protobuf.dev/programming-guides/encoding>.

/// The fields of a message, in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// How a field's value is written.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
    Fixed32 = 5,
}

impl Message {
    /// With an integer of any width.
    pub(super) fn int(mut self, field: u32, value: i64) -> Self {
        self.tag(field, Wire::Varint);
        // Two's complement: a negative number takes ten bytes.
        self.varint(value.cast_unsigned());
        self
    }

    /// With a `float`.
    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.tag(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// With a `double`.
    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.tag(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// With a `string`, or with `bytes`.
    pub(super) fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.tag(field, Wire::Delimited);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// With a message within this one.
    pub(super) fn message(self, field: u32, value: Message) -> Self {
        self.bytes(field, value.0)
    }

    /// The message itself, as a file has it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_encoding_guide_has_them() {
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
}
