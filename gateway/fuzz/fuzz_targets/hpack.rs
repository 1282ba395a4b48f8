//! Any bytes as field blocks of one connection: the table keeps to its size, and what Huffman's code writes it reads.

#![no_main]

use gateway::http2::hpack::{Decoder, Label, Sink, huffman};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    count: usize,
}

impl Sink for Fields {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn field(&mut self, _label: Label, _valid: bool, start: usize, value: usize) {
        assert!(start <= value && value <= self.bytes.len());
        self.count += 1;
    }

    fn is_full(&self) -> bool {
        self.count >= 64
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(4096);
    for block in bytes.split(|byte| *byte == 0xfe) {
        if decoder.decode(block, &mut Fields::default()).is_err() {
            break;
        }
    }
    let mut code = Vec::new();
    huffman::encode(bytes, &mut code);
    assert_eq!(code.len(), huffman::encoded_len(bytes));
    let mut text = Vec::new();
    assert!(huffman::decode(&code, &mut text).is_ok());
    assert_eq!(text, bytes);
});
