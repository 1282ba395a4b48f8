//! Finds the end of a body while it is received (RFC 9112 section 6).

use super::chunked::{Chunked, MALFORMED};
use super::head::{self, Framing, HeadLimits};
use super::input::Input;
use crate::http::Rejection;
use crate::http::fields::Fields;

/// The decoder of a body in the read buffer.
#[derive(Debug)]
pub enum Decoder {
    /// There is no body, or all of it was consumed.
    Done,
    /// This number of bytes follows.
    Length(u64),
    /// Chunks follow.
    Chunked(Box<Chunked>),
    /// The body ends with the connection.
    Close,
}

impl Decoder {
    /// A decoder for this framing. A trailer section has the limits of a head.
    pub fn of(framing: Framing, limits: &HeadLimits) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::new(Chunked::new(limits.max_bytes))),
            Framing::Close => Self::Close,
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// The number of body bytes at the start of the buffer.
    pub fn data(&self, input: &Input) -> usize {
        let here = input.data().len();
        let bounded = |left: u64| usize::try_from(left).map_or(here, |left| left.min(here));
        match self {
            Self::Done => 0,
            Self::Length(left) => bounded(*left),
            Self::Chunked(chunked) => bounded(chunked.data_left()),
            Self::Close => here,
        }
    }

    /// Marks body data as consumed.
    pub fn consume(&mut self, input: &mut Input, count: usize) {
        input.consume(count);
        match self {
            Self::Length(left) => {
                *left = left.saturating_sub(count as u64);
                if *left == 0 {
                    *self = Self::Done;
                }
            }
            Self::Chunked(chunked) => chunked.consume(count as u64),
            Self::Done | Self::Close => {}
        }
    }

    /// Parses chunk framing. Returns the trailer section at the end of the body, if it is not empty.
    ///
    /// # Errors
    ///
    /// A chunked body or its trailer section is malformed.
    pub fn advance(&mut self, input: &mut Input, max_fields: usize) -> Result<Option<Fields>, Rejection> {
        let Self::Chunked(chunked) = self else {
            return Ok(None);
        };
        let used = chunked.advance(input.data())?;
        input.consume(used);
        if !chunked.is_done() {
            return Ok(None);
        }
        let trailers = head::trailers(chunked.trailers(), max_fields).ok_or(MALFORMED)?;
        *self = Self::Done;
        Ok((!trailers.is_empty()).then_some(trailers))
    }
}
