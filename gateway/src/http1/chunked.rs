//! A strict parser of chunked bodies (RFC 9112 section 7.1).

use crate::http::Rejection;
use crate::http::token::is_field_value;

/// The chunked body violates RFC 9112.
pub const MALFORMED: Rejection = Rejection::bad("chunk_malformed", "The chunked body is malformed.");
/// The gateway uses no chunk extensions, so a long one can only be an attack.
const MAX_EXTENSION: usize = 256;
/// 15 digits allow bodies of 2^60 bytes without an overflow.
const MAX_DIGITS: u8 = 15;

/// The state of a chunked body.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// The bytes of the trailer section so far, with its empty line.
    trailers: Vec<u8>,
    max_trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        value: u64,
        digits: u8,
    },
    /// White space before an extension (RFC 9112 section 7.1.1).
    Space {
        value: u64,
        length: usize,
    },
    Extension {
        value: u64,
        length: usize,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

const START: State = State::Size { value: 0, digits: 0 };

impl Chunked {
    /// A body with a trailer section of at most `max_trailers` bytes.
    pub const fn new(max_trailers: usize) -> Self {
        Self { state: START, trailers: Vec::new(), max_trailers }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The number of data bytes left in the current chunk.
    pub fn data_left(&self) -> u64 {
        match self.state {
            State::Data { left } => left,
            _ => 0,
        }
    }

    /// Marks data of the current chunk as consumed.
    pub fn consume(&mut self, count: u64) {
        if let State::Data { left } = self.state {
            self.state = match left.saturating_sub(count) {
                0 => State::DataCr,
                left => State::Data { left },
            };
        }
    }

    /// The bytes of the trailer section, with its empty line, once the body is done.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Parses chunk framing and returns the number of bytes parsed. It stops before data, at the end of the
    /// body, and at the end of `bytes`.
    ///
    /// # Errors
    ///
    /// A 400 if a size is not hexadecimal, a line does not end in CR LF, or an extension or the trailer
    /// section is too long.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        let mut used = 0;
        for &byte in bytes {
            if matches!(self.state, State::Data { .. } | State::Done) {
                break;
            }
            self.state = self.step(byte)?;
            used += 1;
        }
        Ok(used)
    }

    fn step(&mut self, byte: u8) -> Result<State, Rejection> {
        if matches!(self.state, State::TrailerStart | State::Trailer | State::TrailerLf | State::EndLf) {
            if self.trailers.len() >= self.max_trailers {
                return Err(MALFORMED);
            }
            self.trailers.push(byte);
        }
        let next = match (self.state, byte) {
            (State::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == MAX_DIGITS {
                    return Err(MALFORMED);
                }
                let digit = char::from(byte).to_digit(16).ok_or(MALFORMED)?;
                State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            // A folded trailer line begins with a space.
            (State::Size { digits: 0, .. }, _) | (State::TrailerStart, b' ' | b'\t') => {
                return Err(MALFORMED);
            }
            (State::Size { value, .. } | State::Extension { value, .. }, b'\r') => State::SizeLf { value },
            (State::Size { value, .. }, b' ' | b'\t') => State::Space { value, length: 1 },
            (State::Space { value, length }, b' ' | b'\t') if length < MAX_EXTENSION => {
                State::Space { value, length: length + 1 }
            }
            (State::Size { value, .. }, b';') => State::Extension { value, length: 0 },
            (State::Space { value, length }, b';') => State::Extension { value, length },
            (State::Extension { value, length }, _) if is_field_value(byte) && length < MAX_EXTENSION => {
                State::Extension { value, length: length + 1 }
            }
            (State::SizeLf { value: 0 } | State::TrailerLf, b'\n') => State::TrailerStart,
            (State::SizeLf { value }, b'\n') => State::Data { left: value },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => START,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) if is_field_value(byte) => State::Trailer,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(MALFORMED),
        };
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunked, Rejection};

    const WELL_FORMED: [(&[u8], &[u8]); 8] = [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"00A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"5;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5 ;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5 \t; a = \"b;c\"\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"x"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
    ];

    /// Parses a piece; returns the number of bytes used.
    fn read(chunked: &mut Chunked, piece: &[u8], data: &mut Vec<u8>) -> Result<usize, Rejection> {
        let mut at = 0;
        while at < piece.len() && !chunked.is_done() {
            at += chunked.advance(&piece[at..])?;
            let left = usize::try_from(chunked.data_left()).expect("small");
            let here = left.min(piece.len() - at);
            data.extend_from_slice(&piece[at..at + here]);
            chunked.consume(here as u64);
            at += here;
        }
        Ok(at)
    }

    #[test]
    fn bodies_are_parsed_in_pieces_of_any_size() {
        for (body, expected) in WELL_FORMED {
            let mut bytes = body.to_vec();
            bytes.extend_from_slice(b"GET");
            for cut in 0..=bytes.len() {
                let mut chunked = Chunked::new(64);
                let mut data = Vec::new();
                let mut used = read(&mut chunked, &bytes[..cut], &mut data).expect("first part");
                if !chunked.is_done() {
                    assert_eq!(used, cut);
                    used += read(&mut chunked, &bytes[cut..], &mut data).expect("second part");
                }
                assert!(chunked.is_done(), "{}", body.escape_ascii());
                assert_eq!(used, body.len(), "{}", body.escape_ascii());
                assert_eq!(data, expected);
            }
        }
    }

    #[test]
    fn trailers_are_kept() {
        let mut chunked = Chunked::new(64);
        read(&mut chunked, b"0\r\nA: b\r\n\r\n", &mut Vec::new()).expect("well-formed");
        assert_eq!(chunked.trailers(), b"A: b\r\n\r\n");
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let table: [&[u8]; 17] = [
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1 1\r\n",
            b"1\n",
            b"1\rx",
            b"1;a\nb",
            b"1\r\nab",
            b"1\r\na\n",
            b"0\r\nA: b\n",
            b"0\r\n A: b\r\n",
            b"0\r\nA: \0",
            b"ffffffffffffffff\r\n",
        ];
        for body in table {
            let read = read(&mut Chunked::new(64), body, &mut Vec::new());
            assert!(read.is_err(), "{}", body.escape_ascii());
        }
        for start in [&b"1;"[..], b"1 ", b"0\r\n"] {
            let mut long = start.to_vec();
            long.resize(300, if start == b"1 " { b' ' } else { b'a' });
            assert!(read(&mut Chunked::new(64), &long, &mut Vec::new()).is_err());
        }
    }
}
