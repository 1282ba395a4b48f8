//! A strict parser of response heads (RFC 9112 section 4).

use http::{Method, StatusCode, Version};

use super::head::{self, Framing, HeadLimits};
use crate::http::fields::Fields;
use crate::http::name::Name;

/// A response head. The fields are in a separate [`Fields`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The bytes of the head, with its empty line.
    pub length: usize,
    /// The status, 100 to 999.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// How the body is delimited.
    pub framing: Framing,
    /// The value of Content-Length, which a response to HEAD has without a body.
    pub announced: Option<u64>,
}

/// Parses a response head at the start of `bytes`. `None` if more bytes are needed.
///
/// `method` is the request's: responses to HEAD have no body.
///
/// # Errors
///
/// The reason of the refusal, for the log.
pub fn parse(
    bytes: &[u8],
    method: &Method,
    limits: &HeadLimits,
    fields: &mut Fields,
) -> Result<Option<Head>, &'static str> {
    head::with_room(limits.max_fields, |room| {
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, room);
        match parsed {
            Ok(httparse::Status::Complete(length)) => {
                if length > limits.max_bytes {
                    return Err("its head is larger than max_header_bytes");
                }
                let whole = &bytes[..length];
                if !whole.starts_with(b"HTTP/") {
                    return Err("it has an empty line before its status line");
                }
                if head::has_bare_lf(whole) {
                    return Err("a line of its head does not end in CR LF");
                }
                let code = response.code.unwrap_or_default();
                let status = StatusCode::from_u16(code).map_err(|_| "its status is below 100")?;
                let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
                head::take_fields(fields, whole, response.headers);
                let (framing, announced) = framing(fields, status, version, method)?;
                Ok(Some(Head { length, status, version, framing, announced }))
            }
            Ok(httparse::Status::Partial) if bytes.len() > limits.max_bytes => {
                Err("its head is larger than max_header_bytes")
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err("its head has more fields than max_headers"),
            Err(_) => Err("its head cannot be parsed"),
        }
    })
}

/// The framing of the body (RFC 9112 section 6.3). A repeated length is accepted if all values are equal; it
/// is forwarded once.
fn framing(
    fields: &Fields,
    status: StatusCode,
    version: Version,
    method: &Method,
) -> Result<(Framing, Option<u64>), &'static str> {
    let mut codings = fields.all(Name::TransferEncoding);
    let chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => true,
        _ => return Err("its transfer coding is not chunked"),
    };
    let mut length = None;
    for value in fields.all(Name::ContentLength).flat_map(|value| value.split(|&byte| byte == b',')) {
        let value = head::content_length(crate::http::token::trim_ows(value))
            .ok_or("its Content-Length is not a number")?;
        if length.replace(value).is_some_and(|before| before != value) {
            return Err("it has two different lengths");
        }
    }
    if chunked && length.is_some() {
        return Err("it has both Transfer-Encoding and Content-Length");
    }
    if chunked && version == Version::HTTP_10 {
        return Err("it has a transfer coding in HTTP/1.0");
    }
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *method == Method::HEAD;
    if bodiless {
        let announced = length.filter(|_| !status.is_informational() && status != StatusCode::NO_CONTENT);
        return Ok((Framing::None, announced));
    }
    let framing = match (chunked, length) {
        (true, _) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Close,
    };
    Ok((framing, length))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Framing, HeadLimits, parse};
    use crate::http::fields::Fields;

    const LIMITS: HeadLimits = HeadLimits { max_bytes: 256, max_fields: 4 };

    fn read(head: &str, method: &Method) -> Result<Option<(u16, Framing)>, &'static str> {
        let head = parse(head.as_bytes(), method, &LIMITS, &mut Fields::new())?;
        Ok(head.map(|head| (head.status.as_u16(), head.framing)))
    }

    #[test]
    fn well_formed_heads_are_accepted() {
        let table = [
            ("200 OK\r\nContent-Length: 5\r\n", (200, Framing::Length(5))),
            ("200\r\nContent-Length: 5\r\n", (200, Framing::Length(5))),
            ("200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n", (200, Framing::Length(5))),
            ("200 OK\r\nContent-Length: 5, 5\r\n", (200, Framing::Length(5))),
            ("200 OK\r\nTransfer-Encoding: Chunked\r\n", (200, Framing::Chunked)),
            ("200 OK\r\n", (200, Framing::Close)),
            ("204 No Content\r\nContent-Length: 0\r\n", (204, Framing::None)),
            ("304 Not Modified\r\nContent-Length: 7\r\n", (304, Framing::None)),
            ("103 Early Hints\r\n", (103, Framing::None)),
            ("999 Odd\r\nContent-Length: 0\r\n", (999, Framing::Length(0))),
        ];
        for (rest, expected) in table {
            let head = format!("HTTP/1.1 {rest}\r\n");
            assert_eq!(read(&head, &Method::GET), Ok(Some(expected)), "{rest}");
            for cut in 0..head.len() {
                assert_eq!(read(&head[..cut], &Method::GET), Ok(None), "{rest} {cut}");
            }
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(read(head, &Method::HEAD), Ok(Some((200, Framing::None))));
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for rest in [
            "1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            "1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1.1 200 OK\nContent-Length: 5\n\n",
            "1.1 200 OK\r\nX : y\r\n\r\n",
            "1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
            "1.1 200 OK\r\nX: \0\r\n\r\n",
            "1.1 20 OK\r\n\r\n",
            "1.1 099 OK\r\n\r\n",
            "2.0 200 OK\r\n\r\n",
            "1.1 200 OK\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n",
        ] {
            assert!(read(&format!("HTTP/{rest}"), &Method::GET).is_err(), "{rest}");
        }
        assert!(read("\r\nHTTP/1.1 200 OK\r\n\r\n", &Method::GET).is_err());
    }
}
