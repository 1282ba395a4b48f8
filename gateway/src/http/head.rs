//! The strict reading of an HTTP/1 request head (RFC 9112 sections 2 to 6).
//!
//! hyper is lenient where RFC 9112 lets it be: it takes a bare LF, a missing Host, and hides that
//! Transfer-Encoding and Content-Length stood together. A gateway must not be, since the server
//! behind it may be lenient in another way (request smuggling, RFC 9112 section 11.2).

use hyper::{StatusCode, Uri};

use super::failure::Rejection;
use super::token::{is_field_value, is_token, trim_ows};

/// How the body behind a head is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// A body of so many bytes.
    Length(u64),
    /// A body in chunks.
    Chunked,
}

/// What a head may measure.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// The longest head in bytes, with the empty line at its end.
    pub max_bytes: usize,
    /// The most fields.
    pub max_fields: usize,
}

const LINE: Rejection = Rejection::bad("line_ending", "A line does not end in CR LF.");
const REQUEST_LINE: Rejection = Rejection::bad("request_line", "The request line is malformed.");
const FIELD: Rejection = Rejection::bad("field_malformed", "A header field is malformed.");
const LENGTH: Rejection = Rejection::bad("content_length", "Content-Length is malformed.");
const CODING: Rejection = Rejection::bad("transfer_encoding", "Transfer-Encoding is malformed.");
const CONFLICT: Rejection =
    Rejection::bad("framing_conflict", "Transfer-Encoding and Content-Length exclude each other.");
const HOST: Rejection = Rejection::bad("host_missing", "Exactly one Host field is required.");
const VERSION: Rejection =
    Rejection::with(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "version", "The HTTP version is not supported.");
const UNKNOWN_CODING: Rejection = Rejection::with(
    StatusCode::NOT_IMPLEMENTED,
    "transfer_encoding",
    "The only transfer coding supported is chunked.",
);
/// The head has more bytes or fields than allowed.
pub const TOO_LARGE: Rejection = Rejection::with(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head_too_large",
    "The request head is too large.",
);

/// Looks for the end of a head in `bytes`, of which the first `from` are known not to hold it.
///
/// Returns the length of the head with its empty line, or `None` if more bytes are needed.
///
/// # Errors
///
/// A 400 as soon as a CR stands without LF, an LF without CR, or a NUL anywhere (RFC 9112
/// section 2.2, RFC 9110 section 5.5).
pub fn find_end(bytes: &[u8], from: usize) -> Result<Option<usize>, Rejection> {
    // A CR LF pair may be cut by `from`: step back over it.
    let mut at = from.saturating_sub(3);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\r' => match bytes.get(at + 1) {
                Some(b'\n') => {
                    if bytes.get(at + 2..at + 4) == Some(b"\r\n") {
                        return Ok(Some(at + 4));
                    }
                    at += 1;
                }
                Some(_) => return Err(LINE),
                None => return Ok(None),
            },
            b'\n' if at == 0 || bytes[at - 1] != b'\r' => return Err(LINE),
            0 => return Err(FIELD),
            _ => {}
        }
        at += 1;
    }
    Ok(None)
}

/// Examines a whole head, as measured by [`find_end`], and tells how its body is delimited.
///
/// # Errors
///
/// 400, 431, 501 or 505 for a head that is not exactly what RFC 9112 asks a sender to write.
pub fn examine(head: &[u8], limits: &HeadLimits) -> Result<Framing, Rejection> {
    if head.len() > limits.max_bytes {
        return Err(TOO_LARGE);
    }
    let text = head.strip_suffix(b"\r\n\r\n").ok_or(LINE)?;
    let mut lines = Lines(Some(text));
    let http_11 = request_line(lines.next().ok_or(REQUEST_LINE)?)?;

    let mut fields = 0;
    let mut hosts = 0;
    let mut length = None;
    let mut chunked = false;
    for line in lines {
        fields += 1;
        if fields > limits.max_fields {
            return Err(TOO_LARGE);
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(content_length(value)?).is_some() {
                return Err(LENGTH);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !http_11 {
                return Err(CODING);
            }
            transfer_encoding(value)?;
            chunked = true;
        }
    }
    if hosts > 1 || (hosts == 0 && http_11) {
        return Err(HOST);
    }
    match (chunked, length) {
        (true, Some(_)) => Err(CONFLICT),
        (true, None) => Ok(Framing::Chunked),
        (false, None | Some(0)) => Ok(Framing::None),
        (false, Some(length)) => Ok(Framing::Length(length)),
    }
}

/// The lines of a head without their CR LF; [`find_end`] has seen that every CR and LF is a pair.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        match rest.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => {
                self.0 = Some(&rest[end + 2..]);
                Some(&rest[..end])
            }
            None => self.0.take(),
        }
    }
}

/// Whether the request is HTTP/1.1 rather than HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Rejection> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(REQUEST_LINE);
    };
    // A fragment is never sent (RFC 9110 section 7.1), and hyper would cut it silently.
    let target_ok = |&byte: &u8| byte.is_ascii_graphic() && byte != b'#';
    if !is_token(method) || !target.iter().all(target_ok) || Uri::try_from(target).is_err() {
        return Err(REQUEST_LINE);
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ if version.starts_with(b"HTTP/") => Err(VERSION),
        _ => Err(REQUEST_LINE),
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Rejection> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(FIELD)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    // The token rule also refuses a space before the colon (RFC 9112 section 5.1) and a folded
    // line (section 5.2).
    if !is_token(name) || !value.iter().copied().all(is_field_value) {
        return Err(FIELD);
    }
    Ok((name, trim_ows(value)))
}

fn content_length(value: &[u8]) -> Result<u64, Rejection> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(LENGTH);
    }
    let number = std::str::from_utf8(value).ok();
    match number.and_then(|digits| digits.parse::<u64>().ok()) {
        // hyper keeps the highest numbers for itself.
        Some(length) if length < u64::MAX / 2 => Ok(length),
        _ => Err(LENGTH),
    }
}

fn transfer_encoding(value: &[u8]) -> Result<(), Rejection> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let last = value.rsplit(|&byte| byte == b',').next().unwrap_or(value);
    let codings = value.split(|&byte| byte == b',');
    let chunked = codings.filter(|coding| trim_ows(coding).eq_ignore_ascii_case(b"chunked")).count();
    if chunked == 1 && trim_ows(last).eq_ignore_ascii_case(b"chunked") {
        return Err(UNKNOWN_CODING);
    }
    Err(CODING)
}

#[cfg(test)]
mod tests {
    use super::{Framing, HeadLimits, examine, find_end};
    use crate::http::failure::Rejection;

    const LIMITS: HeadLimits = HeadLimits { max_bytes: 256, max_fields: 4 };

    fn read(head: &[u8]) -> Result<Option<Framing>, Rejection> {
        match find_end(head, 0)? {
            Some(end) => examine(&head[..end], &LIMITS).map(Some),
            None => Ok(None),
        }
    }

    #[test]
    fn good_heads() {
        let table: [(&[u8], Framing); 9] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
            (b"GET / HTTP/1.0\r\n\r\n", Framing::None),
            (b"GET /?a=%20 HTTP/1.1\r\nhost:a\r\n\r\n", Framing::None),
            (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 \r\n\r\n", Framing::Length(5)),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", Framing::None),
            (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::Chunked),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\t\r\n\r\n", Framing::None),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", Framing::None),
        ];
        for (head, framing) in table {
            assert_eq!(read(head), Ok(Some(framing)), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn bad_heads() {
        let table: [(&[u8], u16, &str); 39] = [
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
            (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET /\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
            (b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
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
    fn a_head_is_found_wherever_the_bytes_are_cut() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let end = bytes.len() - 4;
        for cut in 0..end {
            assert_eq!(find_end(&bytes[..cut], 0), Ok(None), "{cut}");
            assert_eq!(find_end(bytes, cut), Ok(Some(end)), "{cut}");
        }
    }
}
