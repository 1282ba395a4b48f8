//! What a request is meant for: its host and its canonical path.

use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};

use super::failure::Rejection;
use super::{host, path};

/// The target of a request, read once and used for matching and forwarding alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host in lower case without port; empty if an HTTP/1.0 request names none.
    pub host: String,
    /// The authority as the client wrote it, for the `Host` field of the forwarded request.
    pub authority: Option<HeaderValue>,
    /// The canonical path, see [`path::canonical`].
    pub path: String,
    /// What follows the `?`, as the client wrote it.
    pub query: Option<String>,
}

const HOST_MALFORMED: Rejection = Rejection::bad("host_malformed", "The Host field is malformed.");
const HOST_MISSING: Rejection = Rejection::bad("host_missing", "Exactly one Host field is required.");
const METHOD: Rejection =
    Rejection::with(StatusCode::NOT_IMPLEMENTED, "method", "The method is not supported.");
const SCHEME: Rejection = Rejection::bad("scheme", "The scheme of the target is not HTTP.");

impl Target {
    /// Reads the target of a request.
    ///
    /// The authority of an absolute target or of HTTP/2's `:authority` goes before `Host`
    /// (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1).
    ///
    /// # Errors
    ///
    /// 400 for a malformed, missing or contradictory host or an unfit path, 501 for `CONNECT` and
    /// `TRACE`.
    pub fn of(parts: &Parts) -> Result<Self, Rejection> {
        // CONNECT would make an open proxy, TRACE reflects what the gateway adds.
        if parts.method == Method::CONNECT || parts.method == Method::TRACE {
            return Err(METHOD);
        }
        if let Some(scheme) = parts.uri.scheme_str()
            && scheme != "http"
            && scheme != "https"
        {
            return Err(SCHEME);
        }
        check_lengths(&parts.headers)?;
        let authority = authority(parts)?;
        let host = match &authority {
            Some(value) => host::parse(value.to_str().map_err(|_| HOST_MALFORMED)?)?,
            None if parts.version == Version::HTTP_10 => String::new(),
            None => return Err(HOST_MISSING),
        };
        let path = match parts.uri.path() {
            "" => "/".into(),
            raw => path::canonical(raw)?.into_owned(),
        };
        Ok(Self { host, authority, path, query: parts.uri.query().map(str::to_owned) })
    }

    /// The target in origin form (RFC 9112 section 3.2.1).
    pub fn origin_form(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

fn authority(parts: &Parts) -> Result<Option<HeaderValue>, Rejection> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(HOST_MISSING);
    }
    let Some(authority) = parts.uri.authority() else {
        return Ok(field.cloned());
    };
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| HOST_MALFORMED)?;
    let differs = |field: &HeaderValue| !field.as_bytes().eq_ignore_ascii_case(value.as_bytes());
    if parts.version == Version::HTTP_2 && field.is_some_and(differs) {
        return Err(HOST_MALFORMED);
    }
    Ok(Some(value))
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

#[cfg(test)]
mod tests {
    use hyper::{Request, Version};

    use super::Target;

    fn read(
        method: &str,
        uri: &str,
        version: Version,
        hosts: &[&str],
    ) -> Result<(String, String), &'static str> {
        let mut request = Request::builder().method(method).uri(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        Target::of(&parts)
            .map(|target| (target.host.clone(), target.origin_form()))
            .map_err(|refused| refused.reason)
    }

    #[test]
    fn targets() {
        let v11 = Version::HTTP_11;
        let v2 = Version::HTTP_2;
        let ok = |host: &str, path: &str| Ok((host.to_owned(), path.to_owned()));
        let table = [
            (read("GET", "/a?b=/../c", v11, &["A.com:80"]), ok("a.com", "/a?b=/../c")),
            (read("GET", "http://b.com", v11, &["a.com"]), ok("b.com", "/")),
            (read("GET", "http://b.com/x/../y", v11, &["a.com"]), ok("b.com", "/y")),
            (read("GET", "/", Version::HTTP_10, &[]), ok("", "/")),
            (read("GET", "https://b.com/", v2, &[]), ok("b.com", "/")),
            (read("GET", "https://b.com/", v2, &["B.com"]), ok("b.com", "/")),
            (read("GET", "https://b.com/", v2, &["a.com"]), Err("host_malformed")),
            (read("GET", "/", v11, &[]), Err("host_missing")),
            (read("GET", "/", v11, &["a", "b"]), Err("host_missing")),
            (read("GET", "/", v11, &[""]), Err("host_malformed")),
            (read("GET", "/", v11, &["a b"]), Err("host_malformed")),
            (read("GET", "http://u@b.com/", v11, &["a.com"]), Err("host_malformed")),
            (read("GET", "ftp://b.com/", v11, &["a.com"]), Err("scheme")),
            (read("CONNECT", "b.com:443", v11, &["b.com"]), Err("method")),
            (read("TRACE", "/", v11, &["b.com"]), Err("method")),
            (read("OPTIONS", "*", v11, &["b.com"]), Err("path_malformed")),
            (read("GET", "/a%2fb", v11, &["b.com"]), Err("path_ambiguous")),
        ];
        for (number, (result, expected)) in table.into_iter().enumerate() {
            assert_eq!(result, expected, "row {number}");
        }
    }
}
