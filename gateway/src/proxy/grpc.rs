//! gRPC: failures of the gateway as a gRPC status, and deadlines.

use std::time::Duration;

use http::{Method, StatusCode, Version};

use crate::exchange::{Exchange, Request};
use crate::filter::Answer;
use crate::http::Failure;
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http1::encode::append_number;

/// Whether the client uses gRPC. A malformed HTTP/1 request gets a plain HTTP response.
pub fn asks(exchange: &Exchange<'_>) -> bool {
    let request = &exchange.request;
    // With gRPC's status 200 the tunnel would be open.
    request.connect.is_none()
        && (exchange.is_readable() || request.version == Version::HTTP_2)
        && is_grpc(&request.fields)
}

/// Whether a message is gRPC: `application/grpc`, alone, with a suffix such as `+proto`, or with parameters.
/// gRPC-Web is not.
fn is_grpc(fields: &Fields) -> bool {
    const KIND: &[u8] = b"application/grpc";
    fields.get(Name::ContentType).is_some_and(|kind| {
        kind.get(..KIND.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(KIND))
            && matches!(kind.get(KIND.len()), None | Some(b'+' | b';' | b' '))
    })
}

/// A failure as a response without a body, whose head has the trailers (Trailers-Only).
pub fn answer(failure: &dyn Failure) -> Answer {
    let mut answer = Answer { status: StatusCode::OK, ..Answer::default() };
    let fields = &mut answer.fields;
    fields.add(Name::ContentType, b"application/grpc");
    fields.write(Name::GrpcStatus, |out| append_number(out, u64::from(code(failure.status()))));
    fields.write(Name::GrpcMessage, |out| append_message(out, failure.public()));
    if let Some((name, value)) = failure.field() {
        fields.add(name, value.as_bytes());
    }
    answer
}

/// The gRPC status code for an HTTP status of the gateway.
///
/// It is more precise than the mapping that clients apply to plain HTTP responses (gRPC's
/// `http-grpc-status-mapping`): it distinguishes a limit (which a client does not retry at once), a deadline,
/// and an unreachable service.
fn code(status: StatusCode) -> u8 {
    const UNKNOWN: u8 = 2;
    const DEADLINE_EXCEEDED: u8 = 4;
    const PERMISSION_DENIED: u8 = 7;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const UNIMPLEMENTED: u8 = 12;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const UNAUTHENTICATED: u8 = 16;
    match status.as_u16() {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        // Unknown service or method, or a wrong HTTP method.
        404 | 405 | 501 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 414 | 429 | 431 => RESOURCE_EXHAUSTED,
        502 | 503 => UNAVAILABLE,
        // A malformed request cannot be the application's doing.
        400..=499 | 500 | 505 => INTERNAL,
        _ => UNKNOWN,
    }
}

/// Percent-encodes everything except printable ASCII, and `%` (gRPC over HTTP/2, `Status-Message`).
fn append_message(out: &mut Vec<u8>, text: &str) {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => crate::http::path::encode(byte, &mut encoded),
        }
    }
    out.extend_from_slice(encoded.as_bytes());
}

/// The timeout of a request: the route's, or the client's deadline if that is shorter.
///
/// The deadline starts when the head of the request was received, later than at the client, and is never
/// rounded down: the client times out first.
pub fn limit(request: &Request, route: Option<Duration>) -> Option<Duration> {
    if request.version != Version::HTTP_2 || request.method != Method::POST {
        return route;
    }
    let Some(deadline) = request.fields.get(Name::GrpcTimeout).and_then(timeout) else { return route };
    if !is_grpc(&request.fields) {
        return route;
    }
    Some(route.map_or(deadline, |route| route.min(deadline)))
}

/// Parses `grpc-timeout`: at most eight digits and a unit. Malformed values are left to the upstream.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        // Deadlines have millisecond resolution.
        b'u' => Duration::from_millis(number.div_ceil(1_000)),
        b'n' => Duration::from_millis(number.div_ceil(1_000_000)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode, Version};

    use super::{append_message, code, is_grpc, limit, timeout};
    use crate::exchange::Request;
    use crate::http::fields::Fields;

    #[test]
    fn grpc_messages_are_recognised() {
        let table = [
            (Some("application/grpc"), true),
            (Some("Application/gRPC+proto"), true),
            (Some("application/grpc;charset=utf-8"), true),
            (Some("application/grpc-web"), false),
            (Some("application/grpc-web+proto"), false),
            (Some("application/json"), false),
            (Some("application/grp"), false),
            (None, false),
        ];
        for (kind, expected) in table {
            let mut fields = Fields::new();
            if let Some(kind) = kind {
                fields.push(b"content-type", kind.as_bytes());
            }
            assert_eq!(is_grpc(&fields), expected, "{kind:?}");
        }
    }

    #[test]
    fn statuses_are_mapped_to_codes() {
        let table = [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (405, 12),
            (408, 4),
            (413, 8),
            (415, 13),
            (429, 8),
            (431, 8),
            (500, 13),
            (501, 12),
            (502, 14),
            (503, 14),
            (504, 4),
            (599, 2),
        ];
        for (status, expected) in table {
            assert_eq!(code(StatusCode::from_u16(status).expect("a status")), expected, "{status}");
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        let mut out = Vec::new();
        append_message(&mut out, "100 % é\n~");
        assert_eq!(out, b"100 %25 %C3%A9%0A~");
    }

    #[test]
    fn timeouts_are_never_rounded_down() {
        let table = [
            ("1H", Some(3_600_000)),
            ("2M", Some(120_000)),
            ("3S", Some(3_000)),
            ("5010m", Some(5_010)),
            ("1u", Some(1)),
            ("1001u", Some(2)),
            ("1n", Some(1)),
            ("0n", Some(0)),
            ("99999999H", Some(359_999_996_400_000)),
            ("999999999S", None),
            ("S", None),
            ("", None),
            ("1", None),
            ("-1S", None),
            ("1.5S", None),
            ("1s", None),
        ];
        for (text, expected) in table {
            assert_eq!(timeout(text.as_bytes()), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn deadline_shortens_the_route_timeout() {
        let second = Duration::from_secs;
        let table = [
            (Version::HTTP_2, "5S", None, Some(second(5))),
            (Version::HTTP_2, "5S", Some(second(3)), Some(second(3))),
            (Version::HTTP_2, "5S", Some(second(9)), Some(second(5))),
            (Version::HTTP_2, "5", Some(second(9)), Some(second(9))),
            (Version::HTTP_11, "5S", None, None),
        ];
        for (version, text, route, expected) in table {
            let mut request = Request { version, method: Method::POST, ..Request::default() };
            request.fields.push(b"content-type", b"application/grpc");
            request.fields.push(b"grpc-timeout", text.as_bytes());
            assert_eq!(limit(&request, route), expected, "{version:?} {text} {route:?}");
        }
    }
}
