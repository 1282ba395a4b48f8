//! A field block on its way to a head or to trailers: limits and the rules of RFC 9113 section 8.

use super::hpack::{Label, OVERHEAD, Pseudo, Sink};
use super::head::{Place, Places, Refusal, RequestHead, ResponseHead};
use super::settings::Settings;
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http::token::is_token;

/// The bytes and fields that most heads have, reserved at once.
const USUAL_BYTES: usize = 512;
const USUAL_FIELDS: usize = 12;

/// What a field block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
}

/// Takes the fields of one block.
#[derive(Debug)]
pub(super) struct Block {
    kind: Kind,
    fields: Fields,
    places: Places,
    /// The pieces of the cookie, joined (RFC 9113 section 8.2.3).
    cookie: Vec<u8>,
    has_cookie: bool,
    /// A field that is no pseudo-header field came.
    regular: bool,
    content_length: Option<u64>,
    malformed: Option<&'static str>,
    too_large: bool,
    bytes_left: usize,
    fields_left: usize,
}

impl Block {
    pub fn new(kind: Kind, settings: &Settings) -> Self {
        Self {
            kind,
            fields: Fields::new(),
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

    /// Makes room for a head of the usual size.
    pub fn reserve(&mut self) {
        self.fields.reserve(USUAL_BYTES, USUAL_FIELDS);
    }

    fn fault(&mut self, reason: &'static str) {
        self.malformed.get_or_insert(reason);
    }

    /// Counts a field; says whether it still fits.
    fn count(&mut self, bytes: usize, fields: usize) -> bool {
        match (self.bytes_left.checked_sub(bytes), self.fields_left.checked_sub(fields)) {
            (Some(bytes_left), Some(fields_left)) => {
                self.bytes_left = bytes_left;
                self.fields_left = fields_left;
                true
            }
            _ => {
                self.too_large = true;
                false
            }
        }
    }

    fn pseudo(&mut self, pseudo: Pseudo, start: usize, end: usize) {
        let wanted = match self.kind {
            Kind::Request => pseudo != Pseudo::Status,
            Kind::Response => pseudo == Pseudo::Status,
            Kind::Trailers => false,
        };
        let place = &mut self.places[pseudo as usize];
        if !wanted {
            self.fault("a pseudo-header field that does not belong in this message");
        } else if self.regular {
            self.fault("a pseudo-header field behind a field");
        } else if place.end >= place.start {
            self.fault("a pseudo-header field twice");
        } else {
            let bound = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            *place = Place { start: bound(start), end: bound(end) };
        }
    }

    /// Checks a field whose name means something to the protocol.
    fn check(&mut self, name: Name, value: usize) {
        let bytes = self.fields.bytes().get(value..).unwrap_or_default();
        match name {
            Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::TransferEncoding
            | Name::Upgrade => self.fault("a field that belongs to one HTTP/1 connection"),
            Name::Te if bytes != b"trailers" => self.fault("a TE field of another value than trailers"),
            Name::ContentLength if self.kind != Kind::Trailers => match parse_length(bytes) {
                Some(length) if self.content_length.is_none() => self.content_length = Some(length),
                _ => self.fault("a content-length that is malformed or there twice"),
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
            self.cookie.extend_from_slice(b"; ");
        }
        self.cookie.extend_from_slice(piece);
        buffer.truncate(start);
        self.has_cookie = true;
        self.count(bytes, fields);
    }

    fn join_cookie(&mut self) {
        if self.has_cookie {
            let cookie = std::mem::take(&mut self.cookie);
            self.fields.add(Name::Cookie, &cookie);
        }
    }

    fn place(&self, pseudo: Pseudo) -> Option<&[u8]> {
        self.places[pseudo as usize].of(&self.fields)
    }

    /// The head of a request, and whether it is to be refused. `end`: no body follows.
    pub fn into_request(mut self, end: bool, connect_protocol: bool) -> (RequestHead, Option<Refusal>) {
        self.join_cookie();
        let refusal = if let Some(reason) = self.malformed {
            Some(Refusal::Malformed(reason))
        } else if self.too_large {
            Some(Refusal::HeadTooLarge)
        } else {
            self.request_fault(end, connect_protocol).map(Refusal::Malformed)
        };
        let head = RequestHead { fields: self.fields, places: self.places, content_length: self.content_length };
        (head, refusal)
    }

    /// RFC 9113 sections 8.3.1 and 8.5, RFC 8441 section 4.
    fn request_fault(&self, end: bool, connect_protocol: bool) -> Option<&'static str> {
        let Some(method) = self.place(Pseudo::Method).filter(|method| is_token(method)) else {
            return Some("a request without a valid method");
        };
        let authority = self.place(Pseudo::Authority);
        let [scheme, path] = [Pseudo::Scheme, Pseudo::Path].map(|pseudo| self.place(pseudo));
        let protocol = self.place(Pseudo::Protocol);
        if protocol.is_some_and(|protocol| method != b"CONNECT" || !connect_protocol || !is_token(protocol)) {
            return Some("a protocol that is malformed or was not allowed");
        }
        if method == b"CONNECT" && protocol.is_none() {
            if scheme.is_some() || path.is_some() || authority.is_none_or(<[u8]>::is_empty) {
                return Some("a CONNECT request with scheme or path, or without an authority");
            }
        } else {
            if scheme.is_none_or(|scheme| !is_scheme(scheme)) {
                return Some("a request without a valid scheme");
            }
            let whole = |path: &[u8]| path.starts_with(b"/") || (path == b"*" && method == b"OPTIONS");
            if path.is_none_or(|path| !whole(path) || path.iter().any(|byte| matches!(byte, b' ' | b'\t'))) {
                return Some("a request without a valid path");
            }
        }
        let mut hosts = self.fields.all(Name::Host);
        let differs = |host: &[u8]| authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(host));
        if hosts.next().is_some_and(differs) || hosts.next().is_some() {
            return Some("a Host field that differs from the authority, or is there twice");
        }
        if end && self.content_length.is_some_and(|length| length > 0) {
            return Some("a content-length of a request without a body");
        }
        None
    }

    /// The head of a response.
    ///
    /// # Errors
    ///
    /// Why it is refused. `no_body`: the request was HEAD.
    pub fn into_response(mut self, end: bool, no_body: bool) -> Result<ResponseHead, Refusal> {
        self.join_cookie();
        if let Some(reason) = self.malformed {
            return Err(Refusal::Malformed(reason));
        }
        if self.too_large {
            return Err(Refusal::HeadTooLarge);
        }
        let Some(status) = self.place(Pseudo::Status).and_then(parse_status) else {
            return Err(Refusal::Malformed("a response without a valid status"));
        };
        if status == 101 || (status < 200 && end) {
            return Err(Refusal::Malformed("an interim response that is 101 or ends the stream"));
        }
        let bodiless = no_body || matches!(status, 204 | 304);
        if end && !bodiless && self.content_length.is_some_and(|length| length > 0) {
            return Err(Refusal::Malformed("a content-length of a response without a body"));
        }
        Ok(ResponseHead { status, fields: self.fields, content_length: self.content_length, end })
    }

    /// The fields of a trailer section.
    ///
    /// # Errors
    ///
    /// Why they are refused.
    pub fn into_trailers(mut self) -> Result<Fields, Refusal> {
        self.join_cookie();
        match (self.malformed, self.too_large) {
            (Some(reason), _) => Err(Refusal::Malformed(reason)),
            (None, true) => Err(Refusal::HeadTooLarge),
            (None, false) => Ok(self.fields),
        }
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
            self.fault("a field value with bytes that no value may have");
        }
        match label {
            Label::Bad => {
                self.fault("a field name that is empty, has upper-case letters or other bytes that no name may have");
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

/// Digits that make a length (RFC 9110 section 8.6).
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

fn parse_status(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else { return None };
    Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
}

/// RFC 3986 section 3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
