//! The target of a request as hyper has it.

use hyper::Version;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

use super::failure::Rejection;
use super::target::{Pseudo, Target};

const HOST_MISSING: Rejection = Rejection::bad("host_missing", "Exactly one Host field is required.");

/// Reads the target of a request.
///
/// # Errors
///
/// As [`Target::read_http1`] and [`Target::read_http2`].
pub fn target(parts: &Parts) -> Result<Target, Rejection> {
    check_lengths(&parts.headers)?;
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(HOST_MISSING);
    }
    let (method, uri) = (parts.method.as_str().as_bytes(), &parts.uri);
    let mut target = Target::default();
    if parts.version == Version::HTTP_2 {
        let path = uri.path_and_query().map(|path| match path.as_str() {
            "" => "/",
            path => path,
        });
        target.read_http2(&Pseudo {
            method,
            scheme: Some(uri.scheme_str().unwrap_or("http").as_bytes()),
            authority: uri.authority().map(|authority| authority.as_str().as_bytes()),
            path: path.map(str::as_bytes),
            protocol: None,
            host,
        })?;
    } else {
        let http_10 = parts.version == Version::HTTP_10;
        target.read_http1(method, uri.to_string().as_bytes(), host, http_10)?;
    }
    Ok(target)
}

/// The guard has checked this for HTTP/1; HTTP/2 knows no other place for it.
fn check_lengths(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let digits = |value: &HeaderValue| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if digits(length) => Ok(()),
        _ => Err(Rejection::bad("content_length", "Content-Length is malformed.")),
    }
}
