//! Encoder of field blocks (RFC 7541 section 6).
//!
//! Names and values in the static table are sent as an index; all others are literals without indexing, so
//! that the encoder needs no dynamic table and an idle connection no memory.

use super::static_table::index_of;
use super::{huffman, integer};
use crate::http::name::Name;
use crate::net::append;

const INDEXED: u8 = 0x80;
const LITERAL: u8 = 0x00;
const NEVER_INDEXED: u8 = 0x10;
const CODED: u8 = 0x80;

/// The encoder of a connection.
#[derive(Debug, Default)]
pub struct Encoder {
    /// A table size update to 0 must still be sent.
    announce: bool,
}

impl Encoder {
    /// An encoder.
    pub const fn new() -> Self {
        Self { announce: false }
    }

    /// The peer changed its table size: the next block begins with a size update (section 4.2).
    pub const fn resized(&mut self) {
        self.announce = true;
    }

    /// Begins a block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.announce) {
            integer::encode(out, 0x20, 5, 0);
        }
    }
}

/// Writes `:status`.
pub fn status(out: &mut Vec<u8>, status: u16) {
    let index = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let digit = |of: u16| b'0' + of.to_le_bytes()[0] % 10;
            out.extend_from_slice(&[
                LITERAL | 8,
                3,
                digit(status / 100 % 10),
                digit(status / 10 % 10),
                digit(status % 10),
            ]);
            return;
        }
    };
    out.push(INDEXED | index);
}

/// Writes `:method`.
pub fn method(out: &mut Vec<u8>, method: &[u8]) {
    match method {
        b"GET" => out.push(INDEXED | 2),
        b"POST" => out.push(INDEXED | 3),
        _ => named(out, LITERAL, 2, method),
    }
}

/// Writes `:scheme`.
pub fn scheme(out: &mut Vec<u8>, scheme: &[u8]) {
    match scheme {
        b"http" => out.push(INDEXED | 6),
        b"https" => out.push(INDEXED | 7),
        _ => named(out, LITERAL, 6, scheme),
    }
}

/// Writes `:authority`.
pub fn authority(out: &mut Vec<u8>, authority: &[u8]) {
    named(out, LITERAL, 1, authority);
}

/// Writes `:path`.
pub fn path(out: &mut Vec<u8>, path: &[u8]) {
    match path {
        b"/" => out.push(INDEXED | 4),
        _ => named(out, LITERAL, 4, path),
    }
}

/// Writes `:protocol` (RFC 8441 section 4).
pub fn protocol(out: &mut Vec<u8>, protocol: &[u8]) {
    out.push(LITERAL);
    string(out, b":protocol");
    string(out, protocol);
}

/// Writes a field; its name is converted to lower case (RFC 9113 section 8.2).
pub fn field(out: &mut Vec<u8>, known: Name, name: &[u8], value: &[u8]) {
    // Values that an intermediary must not store in a table shared by requests (section 7.1.3).
    let form = match known {
        Name::Authorization | Name::Cookie | Name::SetCookie | Name::ProxyAuthorization => NEVER_INDEXED,
        _ => LITERAL,
    };
    let mut lower = [0; SHORT];
    let long;
    let name = if !name.iter().any(u8::is_ascii_uppercase) {
        name
    } else if let Some(lower) = lower.get_mut(..name.len()) {
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        &*lower
    } else {
        long = name.to_ascii_lowercase();
        &long
    };
    match index_of(known, name) {
        0 => {
            out.push(form);
            string(out, name);
            string(out, value);
        }
        index => named(out, form, index, value),
    }
}

/// Maximum length of a name that is converted to lower case without an allocation.
const SHORT: usize = 128;

fn named(out: &mut Vec<u8>, form: u8, index: usize, value: &[u8]) {
    integer::encode(out, form, 4, index);
    string(out, value);
}

/// A string literal, with the Huffman code if that is shorter (section 5.2).
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let len = huffman::encoded_len(text);
    if len < text.len() {
        integer::encode(out, CODED, 7, len);
        huffman::encode(text, out);
    } else {
        integer::encode(out, 0, 7, text.len());
        append(out, text);
    }
}
