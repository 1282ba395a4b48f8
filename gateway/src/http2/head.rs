//! Heads of received messages.

use super::hpack::Pseudo;
use crate::http::fields::Fields;
use crate::http::name::Name;

/// A range in the buffer of the fields; absent if it ends before it starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub start: u32,
    pub end: u32,
}

impl Place {
    pub const ABSENT: Self = Self { start: 1, end: 0 };

    /// The bytes, if the field is present.
    pub fn of(self, fields: &Fields) -> Option<&[u8]> {
        fields.bytes().get(self.start as usize..self.end as usize)
    }
}

pub(super) type Places = [Place; Pseudo::COUNT];

/// The head of a request.
///
/// The pseudo-header fields are slices of the fields' buffer: they are valid until the fields are cleared.
#[derive(Debug)]
pub struct RequestHead {
    /// The fields without the pseudo-header fields; cookie fields are joined.
    pub fields: Fields,
    pub(super) places: Places,
    pub(super) content_length: Option<u64>,
}

impl RequestHead {
    /// The method, a token; empty only in a refused request.
    pub fn method(&self) -> &[u8] {
        self.pseudo(Pseudo::Method).unwrap_or_default()
    }

    /// The scheme; `None` for a plain CONNECT.
    pub fn scheme(&self) -> Option<&[u8]> {
        self.pseudo(Pseudo::Scheme)
    }

    /// The authority, or else the Host field (RFC 9113 section 8.3.1).
    pub fn authority(&self) -> Option<&[u8]> {
        self.pseudo(Pseudo::Authority).or_else(|| self.fields.get(Name::Host))
    }

    /// The path with the query; `None` for a plain CONNECT.
    pub fn path(&self) -> Option<&[u8]> {
        self.pseudo(Pseudo::Path)
    }

    /// The protocol of an extended CONNECT (RFC 8441 section 4).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.pseudo(Pseudo::Protocol)
    }

    /// The announced length of the body. The codec enforces it.
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    fn pseudo(&self, pseudo: Pseudo) -> Option<&[u8]> {
        self.places[pseudo as usize].of(&self.fields)
    }
}

/// The head of a response, final or interim.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status, from 100 to 999.
    pub status: u16,
    /// The fields without the pseudo-header field.
    pub fields: Fields,
    /// The announced length of the body. The codec enforces it.
    pub content_length: Option<u64>,
    /// The response has neither body nor trailers.
    pub end: bool,
}

/// The reason for refusing a request on its own stream. Other streams continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// More bytes or fields than the settings allow: 431. The head has the part before the limit.
    HeadTooLarge,
    /// A malformed request (RFC 9113 section 8.1.1), with the reason. It may be answered with 400; the stream
    /// is then reset with PROTOCOL_ERROR.
    Malformed(&'static str),
}

/// The pseudo-header fields of a request to be sent.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'r> {
    /// The method.
    pub method: &'r [u8],
    /// The scheme; omitted for a plain CONNECT.
    pub scheme: Option<&'r [u8]>,
    /// The authority. A Host field is not sent in addition.
    pub authority: Option<&'r [u8]>,
    /// The path with the query; omitted for a plain CONNECT.
    pub path: Option<&'r [u8]>,
    /// The protocol of an extended CONNECT.
    pub protocol: Option<&'r [u8]>,
    /// The length of the body, if it is known.
    pub content_length: Option<u64>,
}
