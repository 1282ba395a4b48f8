//! The strict reading of a chunked body (RFC 9112 section 7.1).

use super::failure::Rejection;
use super::token::is_field_value;

const MALFORMED: Rejection = Rejection::bad("chunk_malformed", "The chunked body is malformed.");
/// A chunk extension is of no use to a gateway, so that a long one is only an attack.
const MAX_EXTENSION: usize = 256;
/// Enough for bodies of 2^60 bytes, and no overflow.
const MAX_DIGITS: u8 = 15;

/// Follows a chunked body through its pieces and finds its end.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// Bytes of the trailer section so far.
    trailers: usize,
    max_trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { value: u64, digits: u8 },
    Extension { value: u64, length: usize },
    SizeLf { value: u64 },
    Data { left: u64 },
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
    /// A body whose trailer section may have `max_trailers` bytes.
    pub const fn new(max_trailers: usize) -> Self {
        Self { state: START, trailers: 0, max_trailers }
    }

    /// Whether the end of the body has been seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Follows the next piece and returns how many of its bytes belong to the body.
    ///
    /// # Errors
    ///
    /// A 400 if a size is not purely hexadecimal, a line does not end in CR LF, or an extension or
    /// the trailer section is too long.
    pub fn advance(&mut self, piece: &[u8]) -> Result<usize, Rejection> {
        let mut at = 0;
        while at < piece.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let here = u64::try_from(piece.len() - at).unwrap_or(u64::MAX).min(left);
                at += usize::try_from(here).unwrap_or(usize::MAX);
                self.state = match left - here {
                    0 => State::DataCr,
                    left => State::Data { left },
                };
            } else {
                self.state = self.step(piece[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, Rejection> {
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
            (State::Size { value, .. }, b';') => State::Extension { value, length: 0 },
            (State::Extension { value, length }, _) if is_field_value(byte) && length < MAX_EXTENSION => {
                State::Extension { value, length: length + 1 }
            }
            (State::SizeLf { value: 0 } | State::TrailerLf, b'\n') => State::TrailerStart,
            (State::SizeLf { value }, b'\n') => State::Data { left: value },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => START,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) if is_field_value(byte) => {
                self.trailers += 1;
                if self.trailers > self.max_trailers {
                    return Err(MALFORMED);
                }
                State::Trailer
            }
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(MALFORMED),
        };
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::Chunked;

    const GOOD: [&[u8]; 6] = [
        b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"00A\r\n0123456789\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        b"2\r\n\r\n\r\n0\r\n\r\n",
    ];

    #[test]
    fn bodies_end_where_they_should_however_they_are_cut() {
        for body in GOOD {
            let mut bytes = body.to_vec();
            bytes.extend_from_slice(b"GET");
            for cut in 0..=bytes.len() {
                let mut chunked = Chunked::new(64);
                let mut used = chunked.advance(&bytes[..cut]).expect("first part");
                if !chunked.is_done() {
                    assert_eq!(used, cut);
                    used += chunked.advance(&bytes[cut..]).expect("second part");
                }
                assert!(chunked.is_done(), "{}", body.escape_ascii());
                assert_eq!(used, body.len(), "{}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn broken_bodies_are_refused() {
        let table: [&[u8]; 16] = [
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
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
            assert!(Chunked::new(64).advance(body).is_err(), "{}", body.escape_ascii());
        }
        let mut long = b"1;".to_vec();
        long.resize(300, b'a');
        assert!(Chunked::new(64).advance(&long).is_err());
        let mut long = b"0\r\n".to_vec();
        long.resize(80, b'a');
        assert!(Chunked::new(64).advance(&long).is_err());
    }
}
