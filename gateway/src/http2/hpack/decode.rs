//! Decoder of field blocks (RFC 7541 section 6).
//!
//! Strings are decoded directly into the buffer of the message, so that a field costs no allocation. The
//! dynamic table is updated even if the receiver refuses a field, so that the next block can be decoded.

use super::label::{Label, is_value};
use super::static_table::{self, TABLE};
use super::table::Table;
use super::{Malformed, huffman, integer};
use crate::net::append;

/// A receiver of decoded fields.
pub trait Sink {
    /// The buffer to which the decoder appends the bytes of a name and then those of its value.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// A complete field: its name starts at `start` in the buffer; its value starts at `value` and ends at
    /// the buffer's end. `valid`: the value has only allowed bytes.
    fn field(&mut self, label: Label, valid: bool, start: usize, value: usize);

    /// Whether fields need not be copied any more; the table is still updated.
    fn is_full(&self) -> bool;
}

/// The decoder of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// Maximum table size that the sender may choose: the announced SETTINGS_HEADER_TABLE_SIZE.
    allowed: usize,
}

impl Decoder {
    /// A decoder with a table of at most `table_size` bytes.
    pub const fn new(table_size: usize) -> Self {
        Self { table: Table::new(table_size), allowed: table_size }
    }

    /// Decodes a complete field block.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the block violates RFC 7541; nothing more can be decoded on this connection.
    pub fn decode(&mut self, block: &[u8], sink: &mut impl Sink) -> Result<(), Malformed> {
        let mut at = 0;
        let mut updates = true;
        while let Some(&first) = block.get(at) {
            if first & 0x80 != 0 {
                let index = integer::decode(block, &mut at, 7)?;
                self.indexed(index, sink)?;
            } else if first & 0x40 != 0 {
                self.literal(block, &mut at, 6, true, sink)?;
            } else if first & 0x20 != 0 {
                let size = integer::decode(block, &mut at, 5)?;
                if !updates || size > self.allowed {
                    return Err(Malformed);
                }
                self.table.resize(size);
                continue;
            } else {
                self.literal(block, &mut at, 4, false, sink)?;
            }
            updates = false;
        }
        Ok(())
    }

    /// Section 6.1.
    fn indexed(&self, index: usize, sink: &mut impl Sink) -> Result<(), Malformed> {
        let place = index.checked_sub(1).ok_or(Malformed)?;
        let (label, valid, name, value) = if let Some(entry) = TABLE.get(place) {
            (entry.label, true, entry.name, entry.value)
        } else {
            let entry = self.table.get(place - static_table::LEN).ok_or(Malformed)?;
            (entry.label, entry.valid, entry.name, entry.value)
        };
        if sink.is_full() {
            return Ok(());
        }
        let buffer = sink.buffer();
        let start = buffer.len();
        append(buffer, name);
        append(buffer, value);
        sink.field(label, valid, start, start + name.len());
        Ok(())
    }

    /// Sections 6.2.1 to 6.2.3.
    fn literal(
        &mut self,
        block: &[u8],
        at: &mut usize,
        bits: u32,
        insert: bool,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        let index = integer::decode(block, at, bits)?;
        let buffer = sink.buffer();
        let start = buffer.len();
        let label = if let Some(place) = index.checked_sub(1) {
            let (label, name) = if let Some(entry) = TABLE.get(place) {
                (entry.label, entry.name)
            } else {
                let entry = self.table.get(place - static_table::LEN).ok_or(Malformed)?;
                (entry.label, entry.name)
            };
            append(buffer, name);
            label
        } else {
            string(block, at, buffer)?;
            Label::of(&buffer[start..])
        };
        let value = buffer.len();
        string(block, at, buffer)?;
        let valid = is_value(&buffer[value..]);
        if insert {
            self.table.insert(label, valid, &buffer[start..value], &buffer[value..]);
        }
        sink.field(label, valid, start, value);
        Ok(())
    }
}

/// A string literal (section 5.2), appended to `out`.
fn string(block: &[u8], at: &mut usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let coded = block.get(*at).is_some_and(|first| first & 0x80 != 0);
    let len = integer::decode(block, at, 7)?;
    let bytes = block.get(*at..*at + len).ok_or(Malformed)?;
    *at += len;
    if coded {
        huffman::decode(bytes, out)
    } else {
        append(out, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Label, Malformed, Sink};

    /// Fields as text.
    #[derive(Debug, Default)]
    struct List {
        buffer: Vec<u8>,
        fields: Vec<String>,
    }

    impl Sink for List {
        fn buffer(&mut self) -> &mut Vec<u8> {
            &mut self.buffer
        }
        fn field(&mut self, _: Label, _: bool, start: usize, value: usize) {
            let name = String::from_utf8_lossy(&self.buffer[start..value]).into_owned();
            self.fields.push(format!("{name}: {}", String::from_utf8_lossy(&self.buffer[value..])));
        }
        fn is_full(&self) -> bool {
            false
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("hex digits");
        digits.chunks(2).map(pair).collect()
    }

    fn decoded(decoder: &mut Decoder, hex: &str) -> Result<Vec<String>, Malformed> {
        let mut list = List::default();
        decoder.decode(&bytes(hex), &mut list).map(|()| list.fields)
    }

    /// Appendix C.3 and C.4: three requests, without and with the Huffman code.
    #[test]
    fn requests_of_appendix_c() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::new(4096);
            let mut next = |block| decoded(&mut decoder, block).expect("a block");
            let first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
            assert_eq!(next(blocks[0]), first);
            assert_eq!(next(blocks[1]), [&first[..], &["cache-control: no-cache"]].concat());
            let third = [
                ":method: GET",
                ":scheme: https",
                ":path: /index.html",
                ":authority: www.example.com",
                "custom-key: custom-value",
            ];
            assert_eq!(next(blocks[2]), third);
        }
    }

    /// Appendix C.6: three responses in a table of 256 bytes, with evictions.
    #[test]
    fn responses_of_appendix_c() {
        let mut decoder = Decoder::new(256);
        let blocks = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d \
             29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d \
             d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 \
             3d50 07",
        ];
        let expected: [&[&str]; 3] = [
            &[
                ":status: 302",
                "cache-control: private",
                "date: Mon, 21 Oct 2013 20:13:21 GMT",
                "location: https://www.example.com",
            ],
            &[
                ":status: 307",
                "cache-control: private",
                "date: Mon, 21 Oct 2013 20:13:21 GMT",
                "location: https://www.example.com",
            ],
            &[
                ":status: 200",
                "cache-control: private",
                "date: Mon, 21 Oct 2013 20:13:22 GMT",
                "location: https://www.example.com",
                "content-encoding: gzip",
                "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ],
        ];
        for (block, fields) in blocks.iter().zip(expected) {
            assert_eq!(decoded(&mut decoder, block).expect("a block"), fields);
        }
    }

    #[test]
    fn invalid_blocks_are_malformed() {
        let table = [
            ("80", "index 0"),
            ("be", "an index above the table"),
            ("7e 00", "a name's index above the table"),
            ("82 20", "a size update after a field"),
            ("3f e2 1f", "a size update above the setting"),
            ("00 01", "a block that ends before a string"),
            ("40 0a 61", "a block that ends in a string"),
            ("00 81 ff 00", "bad padding"),
            ("ff ff ff ff ff ff", "an endless integer"),
        ];
        for (block, case) in table {
            assert_eq!(decoded(&mut Decoder::new(4096), block), Err(Malformed), "{case}");
        }
        assert_eq!(decoded(&mut Decoder::new(4096), "20 3f e1 1f 82"), Ok(vec![":method: GET".to_owned()]));
    }
}
