//! A strict parser of request heads (RFC 9112 section 3).

use http::{Method, StatusCode, Version};

use super::head::{self, Framing, HeadLimits};
use crate::http::Rejection;
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http::token;

/// Maximum number of empty lines before a request line (RFC 9112 section 2.2 asks for one).
const MAX_EMPTY_LINES: usize = 4;

const LINE: Rejection = Rejection::bad("line_ending", "A line does not end in CR LF.");
const REQUEST_LINE: Rejection = Rejection::bad("request_line", "The request line is malformed.");
const FIELD: Rejection = Rejection::bad("field_malformed", "A header field is malformed.");
const LENGTH: Rejection = Rejection::bad("content_length", "Content-Length is malformed.");
const CODING: Rejection = Rejection::bad("transfer_encoding", "Transfer-Encoding is malformed.");
const CONFLICT: Rejection =
    Rejection::bad("framing_conflict", "Transfer-Encoding and Content-Length cannot be combined.");
const HOST: Rejection = Rejection::bad("host_missing", "Exactly one Host field is required.");
const VERSION: Rejection =
    Rejection::with(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "version", "The HTTP version is not supported.");
const UNKNOWN_CODING: Rejection = Rejection::with(
    StatusCode::NOT_IMPLEMENTED,
    "transfer_encoding",
    "The only transfer coding supported is chunked.",
);
/// The request-target is longer than `max_request_line` (RFC 9110 section 15.5.15).
pub const TARGET_TOO_LONG: Rejection =
    Rejection::with(StatusCode::URI_TOO_LONG, "target_too_long", "The request-target is too long.");
/// The head has more bytes or fields than allowed.
pub const TOO_LARGE: Rejection = Rejection::with(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head_too_large",
    "The request head is too large.",
);

/// A request head. The fields are in a separate [`Fields`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The bytes of the head, with its empty line.
    pub length: usize,
    /// The method.
    pub method: Method,
    /// The range of the request-target in the head.
    pub target: (usize, usize),
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// How the body is delimited.
    pub framing: Framing,
}

/// Parses a request head at the start of `bytes`. `None` if more bytes are needed.
///
/// # Errors
///
/// 400, 431, 501 or 505 for a head that RFC 9112 does not allow a sender to write.
pub fn parse(bytes: &[u8], limits: &HeadLimits, fields: &mut Fields) -> Result<Option<Head>, Rejection> {
    let mut skipped = 0;
    while bytes[skipped..].starts_with(b"\r\n") {
        skipped += 2;
        if skipped > 2 * MAX_EMPTY_LINES {
            return Err(REQUEST_LINE);
        }
    }
    let text = &bytes[skipped..];
    head::with_room(limits.max_fields, |room| {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(text, room) {
            Ok(httparse::Status::Complete(length)) => {
                if length > limits.max_bytes {
                    return Err(TOO_LARGE);
                }
                let whole = &text[..length];
                if head::has_bare_lf(whole) {
                    return Err(LINE);
                }
                let method = request.method.unwrap_or_default();
                let target = request.path.unwrap_or_default();
                if target.contains('#') {
                    // A fragment is never sent (RFC 9110 section 7.1).
                    return Err(REQUEST_LINE);
                }
                let method = Method::from_bytes(method.as_bytes()).map_err(|_| REQUEST_LINE)?;
                let at = (target.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
                let version = if request.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
                head::take_fields(fields, whole, request.headers);
                let framing = framing(fields, version)?;
                let length = length + skipped;
                Ok(Some(Head { length, method, target: (at, at + target.len()), version, framing }))
            }
            Ok(httparse::Status::Partial) if text.len() > limits.max_bytes => {
                Err(if text.contains(&b'\n') { TOO_LARGE } else { TARGET_TOO_LONG })
            }
            Ok(httparse::Status::Partial) => partial(text),
            Err(error) => Err(refusal(error, text)),
        }
    })
}

/// Refuses an incomplete head that can no longer become well-formed.
fn partial(text: &[u8]) -> Result<Option<Head>, Rejection> {
    if head::has_bare_lf(text) {
        return Err(LINE);
    }
    if text.contains(&0) {
        return Err(FIELD);
    }
    Ok(None)
}

fn refusal(error: httparse::Error, text: &[u8]) -> Rejection {
    use httparse::Error;
    let first_line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let in_first_line = text.len() == first_line.len();
    match error {
        Error::TooManyHeaders => TOO_LARGE,
        Error::HeaderName | Error::HeaderValue => {
            // A CR in a value that no LF follows.
            if has_bare_cr(text) { LINE } else { FIELD }
        }
        _ if text.contains(&0) && in_first_line => FIELD,
        Error::NewLine if has_bare_cr(text) || head::has_bare_lf(text) => LINE,
        Error::Version => {
            let version = first_line.strip_suffix(b"\r").unwrap_or(first_line);
            let version = version.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            let digits = version.strip_prefix(b"HTTP/").unwrap_or_default();
            match digits {
                b"1.0" | b"1.1" => REQUEST_LINE,
                [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => VERSION,
                _ if has_bare_cr(first_line) => LINE,
                _ => REQUEST_LINE,
            }
        }
        _ if has_bare_cr(first_line) => LINE,
        _ => REQUEST_LINE,
    }
}

fn has_bare_cr(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', text).any(|at| text.get(at + 1).is_some_and(|&next| next != b'\n'))
}

/// The framing of the body (RFC 9112 section 6.3). Framing that servers interpret differently is refused.
fn framing(fields: &Fields, version: Version) -> Result<Framing, Rejection> {
    let http_11 = version == Version::HTTP_11;
    let mut hosts = 0;
    let mut length = None;
    let mut chunked = false;
    for field in fields.iter() {
        match field.known {
            Name::Host => hosts += 1,
            Name::ContentLength => {
                let value = head::content_length(field.value).ok_or(LENGTH)?;
                if length.replace(value).is_some() {
                    return Err(LENGTH);
                }
            }
            Name::TransferEncoding => {
                if chunked || !http_11 {
                    return Err(CODING);
                }
                transfer_encoding(field.value)?;
                chunked = true;
            }
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && http_11) {
        return Err(HOST);
    }
    match (chunked, length) {
        (true, Some(_)) => Err(CONFLICT),
        (true, None) => Ok(Framing::Chunked),
        (false, None) => Ok(Framing::None),
        (false, Some(length)) => Ok(Framing::Length(length)),
    }
}

fn transfer_encoding(value: &[u8]) -> Result<(), Rejection> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let count = token::list(value).filter(is_chunked).count();
    if count == 1 && token::list(value).last().is_some_and(|last| is_chunked(&last)) {
        return Err(UNKNOWN_CODING);
    }
    Err(CODING)
}

#[cfg(test)]
mod tests {
    use super::{Framing, HeadLimits, parse};
    use crate::http::Rejection;
    use crate::http::fields::Fields;
    use crate::http::name::Name;

    const LIMITS: HeadLimits = HeadLimits { max_bytes: 256, max_fields: 4 };

    fn read(head: &[u8]) -> Result<Option<Framing>, Rejection> {
        Ok(parse(head, &LIMITS, &mut Fields::new())?.map(|head| head.framing))
    }

    #[test]
    fn well_formed_heads_are_accepted() {
        let table: [(&[u8], Framing); 9] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
            (b"GET / HTTP/1.0\r\n\r\n", Framing::None),
            (b"GET /?a=%20 HTTP/1.1\r\nhost:a\r\n\r\n", Framing::None),
            (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 \r\n\r\n", Framing::Length(5)),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", Framing::Length(0)),
            (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::Chunked),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\t\r\n\r\n", Framing::None),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", Framing::None),
        ];
        for (head, framing) in table {
            assert_eq!(read(head), Ok(Some(framing)), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        let table: [(&[u8], u16, &str); 36] = [
            (b"GET / HTTP/1.1\nHost: a\n\n", 400, "line_ending"),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "line_ending"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "line_ending"),
            (b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "line_ending"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: \rb\r\n\r\n", 400, "line_ending"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400, "field_malformed"),
            (b"\x16\x03\x01\0", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x07\r\n\r\n", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\tfold\r\n\r\n", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "field_malformed"),
            (b"GET / HTTP/1.1\r\n\r\n", 400, "host_missing"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_missing"),
            (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_missing"),
            (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET /\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version"),
            (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version"),
            (b"P / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400, "content_length"),
            (b"P / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 400, "content_length"),
            (
                b"P / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                400,
                "content_length",
            ),
            (
                b"P / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
                400,
                "content_length",
            ),
            (
                b"P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
                "framing_conflict",
            ),
            (
                b"P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
                400,
                "transfer_encoding",
            ),
            (
                b"P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                501,
                "transfer_encoding",
            ),
            (b"P / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "transfer_encoding"),
            (b"P / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n", 431, "head_too_large"),
        ];
        for (head, status, reason) in table {
            let refused = read(head).expect_err(&head.escape_ascii().to_string());
            assert_eq!(
                (refused.status.as_u16(), refused.reason),
                (status, reason),
                "{}",
                head.escape_ascii()
            );
        }
    }

    #[test]
    fn too_long_head_is_refused_with_the_exceeded_limit() {
        let mut long = b"GET /".to_vec();
        long.resize(300, b'a');
        assert_eq!(read(&long).expect_err("too long").status.as_u16(), 414);
        let mut long = b"GET / HTTP/1.1\r\nHost: ".to_vec();
        long.resize(300, b'a');
        assert_eq!(read(&long).expect_err("too long").status.as_u16(), 431);
    }

    #[test]
    fn head_is_parsed_in_pieces_of_any_size() {
        let bytes = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let end = bytes.len() - 4;
        for cut in 0..end {
            assert_eq!(read(&bytes[..cut]), Ok(None), "{cut}");
        }
        let mut fields = Fields::new();
        let head = parse(bytes, &LIMITS, &mut fields).expect("well-formed").expect("complete");
        assert_eq!(head.length, end);
        assert_eq!(&fields.bytes()[head.target.0..head.target.1], b"/a");
        assert_eq!(fields.get(Name::Host), Some(&b"a"[..]));
    }
}
