//! A writer of the protocol buffers wire format.

/// A message under construction.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// Appends a varint: seven bits per byte.
pub fn append_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

impl Message {
    fn tag(&mut self, field: u32, kind: u32) {
        append_varint(&mut self.0, u64::from(field << 3 | kind));
    }

    /// Adds an unsigned number, an enumeration or a bool.
    pub fn uint(&mut self, field: u32, value: u64) -> &mut Self {
        self.tag(field, VARINT);
        append_varint(&mut self.0, value);
        self
    }

    /// Adds an `sint32` or `sint64`.
    pub fn sint(&mut self, field: u32, value: i64) -> &mut Self {
        self.uint(field, (value << 1 ^ value >> 63).cast_unsigned())
    }

    /// Adds a `fixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) -> &mut Self {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds a `fixed32`.
    pub fn fixed32(&mut self, field: u32, value: u32) -> &mut Self {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds a `double`.
    pub fn double(&mut self, field: u32, value: f64) -> &mut Self {
        self.fixed64(field, value.to_bits())
    }

    /// Adds bytes, a string or an encoded message.
    pub fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.tag(field, LENGTH);
        append_varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a message.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0)
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn fields_are_encoded() {
        // The examples of protobuf.dev/programming-guides/encoding.
        let mut message = Message::default();
        message.uint(1, 150).bytes(2, b"testing").message(3, |inner| {
            inner.uint(1, 150);
        });
        message.sint(4, -2).sint(4, 2).sint(4, i64::MIN).double(5, 1.0).fixed32(6, 1);
        assert_eq!(
            message.finish(),
            b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x20\x03\x20\x04\
              \x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x29\0\0\0\0\0\0\xf0\x3f\
              \x35\x01\0\0\0"
        );
    }
}
