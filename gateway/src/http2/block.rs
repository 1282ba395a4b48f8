//! Conversion of a field block to a head or trailers: limits and the rules of RFC 9113 section 8.

use super::head::{Place, Places};
use super::hpack::{Label, OVERHEAD, Pseudo, Sink};
use super::pool;
use super::settings::Settings;
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::net::append;

/// Capacity for typical heads, reserved at once.
const USUAL_BYTES: usize = 512;
const USUAL_FIELDS: usize = 12;

/// The kind of a field block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
}

/// Collects the fields of one block.
#[derive(Debug)]
pub(super) struct Block {
    kind: Kind,
    pub fields: Fields,
    pub places: Places,
    /// The pieces of the cookie, joined (RFC 9113 section 8.2.3).
    cookie: Vec<u8>,
    has_cookie: bool,
    /// A regular field was received.
    regular: bool,
    pub content_length: Option<u64>,
    pub malformed: Option<&'static str>,
    pub too_large: bool,
    bytes_left: usize,
    fields_left: usize,
}

impl Block {
    pub fn new(kind: Kind, settings: &Settings) -> Self {
        Self {
            kind,
            fields: pool::fields(),
            places: [Place::ABSENT; Pseudo::COUNT],
            cookie: Vec::new(),
            has_cookie: false,
            regular: false,
            content_length: None,
            malformed: None,
            too_large: false,
            bytes_left: settings.header_list_bytes,
            fields_left: settings.fields,
        }
    }

    /// Reserves capacity for a typical head.
    pub fn reserve(&mut self) {
        self.fields.reserve(USUAL_BYTES, USUAL_FIELDS);
    }

    fn fault(&mut self, reason: &'static str) {
        self.malformed.get_or_insert(reason);
    }

    /// Counts a field; returns whether it is within the limits.
    fn count(&mut self, bytes: usize, fields: usize) -> bool {
        self.too_large |= bytes > self.bytes_left || fields > self.fields_left;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.fields_left = self.fields_left.saturating_sub(fields);
        !self.too_large
    }

    fn pseudo(&mut self, pseudo: Pseudo, start: usize, end: usize) {
        let wanted = match self.kind {
            Kind::Request => pseudo != Pseudo::Status,
            Kind::Response => pseudo == Pseudo::Status,
            Kind::Trailers => false,
        };
        let place = &mut self.places[pseudo as usize];
        if !wanted {
            self.fault("a pseudo-header field that is not allowed in this message");
        } else if self.regular {
            self.fault("a pseudo-header field after a regular field");
        } else if place.end >= place.start {
            self.fault("a repeated pseudo-header field");
        } else {
            let bound = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            *place = Place { start: bound(start), end: bound(end) };
        }
    }

    /// Checks a field with a meaning in HTTP/2.
    fn check(&mut self, name: Name, value: usize) {
        let bytes = self.fields.bytes().get(value..).unwrap_or_default();
        match name {
            Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::TransferEncoding
            | Name::Upgrade => self.fault("a connection-specific field of HTTP/1"),
            Name::Te if bytes != b"trailers" => self.fault("a TE field with a value other than trailers"),
            Name::ContentLength if self.kind != Kind::Trailers => match parse_length(bytes) {
                Some(length) if self.content_length.is_none() => self.content_length = Some(length),
                _ => self.fault("a malformed or repeated content-length"),
            },
            _ => {}
        }
    }

    fn take_cookie(&mut self, start: usize, value: usize) {
        let buffer = self.fields.buffer();
        let piece = buffer.get(value..).unwrap_or_default();
        let bytes = if self.has_cookie { piece.len() + 2 } else { piece.len() + OVERHEAD + 6 };
        let fields = usize::from(!self.has_cookie);
        if self.has_cookie {
            append(&mut self.cookie, b"; ");
        }
        append(&mut self.cookie, piece);
        buffer.truncate(start);
        self.has_cookie = true;
        self.count(bytes, fields);
    }

    pub fn join_cookie(&mut self) {
        if self.has_cookie {
            let cookie = std::mem::take(&mut self.cookie);
            self.fields.add(Name::Cookie, &cookie);
        }
    }

    pub fn place(&self, pseudo: Pseudo) -> Option<&[u8]> {
        self.places[pseudo as usize].of(&self.fields)
    }
}

impl Sink for Block {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.fields.buffer()
    }

    fn is_full(&self) -> bool {
        self.too_large
    }

    fn field(&mut self, label: Label, valid: bool, start: usize, value: usize) {
        let end = self.fields.bytes().len();
        if self.too_large {
            self.fields.buffer().truncate(start);
            return;
        }
        if !valid {
            self.fault("a field value with invalid bytes");
        }
        match label {
            Label::Bad => {
                self.fault("a field name that is empty or has upper-case letters or other invalid bytes");
            }
            Label::Pseudo(pseudo) => {
                if self.count(end - start + OVERHEAD, 0) {
                    self.pseudo(pseudo, value, end);
                }
            }
            Label::Field(Name::Cookie) => {
                self.regular = true;
                self.take_cookie(start, value);
            }
            Label::Field(name) => {
                self.regular = true;
                if self.count(end - start + OVERHEAD, 1) {
                    self.check(name, value);
                    self.fields.note(name, (start, value), (value, end));
                } else {
                    self.fields.buffer().truncate(start);
                }
            }
        }
    }
}

/// Parses a length (RFC 9110 section 8.6).
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}
