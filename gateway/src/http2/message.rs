//! Conversion of field blocks to messages: required pseudo-header fields (RFC 9113 section 8.3).

use super::block::Block;
use super::head::{Refusal, RequestHead, ResponseHead};
use super::hpack::Pseudo;
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http::token::is_token;

impl Block {
    /// The head of a request, with the reason if it must be refused. `end`: no body follows.
    pub fn into_request(mut self, end: bool, connect_protocol: bool) -> (RequestHead, Option<Refusal>) {
        self.join_cookie();
        let refusal = if let Some(reason) = self.malformed {
            Some(Refusal::Malformed(reason))
        } else if self.too_large {
            Some(Refusal::HeadTooLarge)
        } else {
            self.request_fault(end, connect_protocol).map(Refusal::Malformed)
        };
        let head =
            RequestHead { fields: self.fields, places: self.places, content_length: self.content_length };
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
            return Some("a malformed or disallowed :protocol");
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
            return Some("a repeated Host field, or one that differs from the authority");
        }
        if end && self.content_length.is_some_and(|length| length > 0) {
            return Some("a content-length in a request without a body");
        }
        None
    }

    /// The head of a response.
    ///
    /// # Errors
    ///
    /// The reason of the refusal. `no_body`: the request was HEAD.
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
            return Err(Refusal::Malformed("a content-length in a response without a body"));
        }
        Ok(ResponseHead { status, fields: self.fields, content_length: self.content_length, end })
    }

    /// The fields of a trailer section.
    ///
    /// # Errors
    ///
    /// The reason of the refusal.
    pub fn into_trailers(mut self) -> Result<Fields, Refusal> {
        self.join_cookie();
        match (self.malformed, self.too_large) {
            (Some(reason), _) => Err(Refusal::Malformed(reason)),
            (None, true) => Err(Refusal::HeadTooLarge),
            (None, false) => Ok(self.fields),
        }
    }
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
