//! The target of a request: its host, canonical path and query (RFC 9112 section 3.2, RFC 9113 section
//! 8.3.1).

use http::StatusCode;

use super::failure::Rejection;
use super::host;
use super::path::{self, Path, encode};
use super::query;
use crate::net::append;

/// The form of a request-target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `/path?query`, also for HTTP/2.
    #[default]
    Origin,
    /// `http://host/path?query`.
    Absolute,
    /// `*`, for `OPTIONS` only.
    Asterisk,
}

/// The target of a request, parsed once and used for both matching and forwarding.
///
/// A value can be reused for another request and keeps its allocations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Its form.
    pub form: Form,
    /// The host in lower case, without the port; empty if the request has none.
    pub host: String,
    /// The port, if the request has one.
    pub port: Option<u16>,
    /// The canonical path.
    pub path: Path,
    authority: String,
    has_authority: bool,
    query: String,
    has_query: bool,
    /// The rewritten path and query; empty if they are not rewritten.
    rewritten: String,
}

/// The pseudo-header fields of an HTTP/2 request, and its `Host`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pseudo<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:scheme`.
    pub scheme: Option<&'a [u8]>,
    /// `:authority`.
    pub authority: Option<&'a [u8]>,
    /// `:path`.
    pub path: Option<&'a [u8]>,
    /// `:protocol` (RFC 8441).
    pub protocol: Option<&'a [u8]>,
    /// The field `host`.
    pub host: Option<&'a [u8]>,
}

const HOST_MALFORMED: Rejection = Rejection::bad("host_malformed", "The Host field is malformed.");
const HOST_MISSING: Rejection = Rejection::bad("host_missing", "Exactly one Host field is required.");
const METHOD: Rejection =
    Rejection::with(StatusCode::NOT_IMPLEMENTED, "method", "The method is not supported.");
const PSEUDO: Rejection = Rejection::bad("pseudo_header", "The pseudo-header fields are malformed.");
const QUERY: Rejection = Rejection::bad("query_malformed", "The query is malformed.");
const SCHEME: Rejection = Rejection::bad("scheme", "The scheme of the target is not HTTP.");
const TARGET: Rejection = Rejection::bad("request_target", "The request target is malformed.");

impl Target {
    /// Parses the target of an HTTP/1 request. `host` is the value of its `Host` field, which occurs at most
    /// once and is optional only in HTTP/1.0.
    ///
    /// # Errors
    ///
    /// 400 for a target form that the method does not allow, a malformed or missing host, an invalid path or
    /// query; 501 for `CONNECT` and `TRACE`.
    pub fn read_http1(
        &mut self,
        method: &[u8],
        target: &[u8],
        host: Option<&[u8]>,
        http_10: bool,
    ) -> Result<(), Rejection> {
        self.clear();
        if host.is_none() && !http_10 {
            return Err(HOST_MISSING);
        }
        match method {
            b"CONNECT" => {
                // CONNECT would make an open proxy. The form is still validated.
                let port = host::read(target, &mut self.host).ok().flatten();
                return Err(if port.is_none() || self.host.is_empty() { TARGET } else { METHOD });
            }
            // TRACE would reflect the fields that the gateway adds.
            b"TRACE" => return Err(METHOD),
            _ => {}
        }
        match target {
            [b'/', ..] => {
                self.set_authority(host)?;
                self.origin(target)
            }
            b"*" if method == b"OPTIONS" => {
                self.set_authority(host)?;
                self.asterisk();
                Ok(())
            }
            _ => {
                let (authority, rest) = absolute(target)?;
                self.form = Form::Absolute;
                // The target takes precedence over the Host field (RFC 9112 section 3.2.2).
                self.set_authority(Some(authority))?;
                if self.host.is_empty() {
                    return Err(HOST_MALFORMED);
                }
                match rest {
                    // RFC 9112 section 3.2.4.
                    [] if method == b"OPTIONS" => {
                        self.asterisk();
                        Ok(())
                    }
                    [b'/', ..] => self.origin(rest),
                    _ => {
                        self.path.read(b"/")?;
                        self.set_query(rest.get(1..).filter(|_| !rest.is_empty()))
                    }
                }
            }
        }
    }

    /// Parses the target of an HTTP/2 request.
    ///
    /// # Errors
    ///
    /// As [`Target::read_http1`]; also 400 if `:authority` and `Host` differ, or a pseudo-header field is
    /// missing or not allowed.
    pub fn read_http2(&mut self, pseudo: &Pseudo<'_>) -> Result<(), Rejection> {
        self.clear();
        if pseudo.method == b"TRACE" || (pseudo.method == b"CONNECT" && pseudo.protocol.is_none()) {
            return Err(METHOD);
        }
        if pseudo.protocol.is_some() && pseudo.method != b"CONNECT" {
            return Err(PSEUDO);
        }
        let (Some(scheme), Some(path)) = (pseudo.scheme, pseudo.path) else {
            return Err(PSEUDO);
        };
        if !is_http(scheme) {
            return Err(SCHEME);
        }
        if let (Some(authority), Some(host)) = (pseudo.authority, pseudo.host)
            && !authority.eq_ignore_ascii_case(host)
        {
            return Err(HOST_MALFORMED);
        }
        self.set_authority(Some(pseudo.authority.or(pseudo.host).ok_or(HOST_MISSING)?))?;
        if self.authority.is_empty() {
            return Err(HOST_MALFORMED);
        }
        if path == b"*" && pseudo.method == b"OPTIONS" {
            self.asterisk();
            return Ok(());
        }
        self.origin(path)
    }

    /// The authority as the client sent it, for the `Host` field of the forwarded request.
    pub fn authority(&self) -> Option<&str> {
        self.has_authority.then_some(self.authority.as_str())
    }

    /// The query as the client sent it, with percent-encoding added where it is required.
    pub fn query(&self) -> Option<&str> {
        self.has_query.then_some(self.query.as_str())
    }

    /// Removes the parameters of this name, so that they are not forwarded.
    pub fn remove_parameter(&mut self, name: &str) {
        if self.has_query {
            self.query = query::without(&self.query, name);
            self.has_query = !self.query.is_empty();
        }
    }

    /// Rewrites the forwarded path and query. Routing, logs and filters still use the client's.
    ///
    /// # Errors
    ///
    /// A 400 if the path is not canonical, so that a rewrite cannot bypass the path checks.
    pub fn rewrite(&mut self, path_and_query: &[u8]) -> Result<(), Rejection> {
        let path = path_and_query.split(|&byte| byte == b'?').next().unwrap_or_default();
        if !path::holds_no_dots(path) {
            return Err(path::AMBIGUOUS);
        }
        let text = std::str::from_utf8(path_and_query).map_err(|_| path::AMBIGUOUS)?;
        self.rewritten.clear();
        self.rewritten.push_str(text);
        Ok(())
    }

    /// Rewrites the forwarded host, with or without a port.
    ///
    /// # Errors
    ///
    /// A 400 if the authority is malformed.
    pub fn rewrite_authority(&mut self, authority: &[u8]) -> Result<(), Rejection> {
        host::read(authority, &mut String::new())?;
        let text = std::str::from_utf8(authority).map_err(|_| HOST_MALFORMED)?;
        self.authority.clear();
        self.authority.push_str(text);
        self.has_authority = !text.is_empty();
        Ok(())
    }

    /// Appends the forwarded target in origin or asterisk form (RFC 9112 section 3.2.1 and 3.2.4).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        if !self.rewritten.is_empty() {
            append(out, self.rewritten.as_bytes());
            return;
        }
        append(out, self.path.forwarded().as_bytes());
        if let Some(query) = self.query() {
            out.push(b'?');
            append(out, query.as_bytes());
        }
    }

    /// Clears everything and keeps the allocations.
    pub fn clear(&mut self) {
        self.form = Form::Origin;
        self.path.clear();
        self.host.clear();
        self.port = None;
        self.authority.clear();
        self.has_authority = false;
        self.query.clear();
        self.has_query = false;
        self.rewritten.clear();
    }

    fn asterisk(&mut self) {
        self.form = Form::Asterisk;
        self.path.set_asterisk();
    }

    fn set_authority(&mut self, authority: Option<&[u8]>) -> Result<(), Rejection> {
        let Some(authority) = authority else { return Ok(()) };
        self.port = host::read(authority, &mut self.host)?;
        self.authority.push_str(std::str::from_utf8(authority).map_err(|_| HOST_MALFORMED)?);
        self.has_authority = true;
        Ok(())
    }

    fn origin(&mut self, target: &[u8]) -> Result<(), Rejection> {
        let mark = target.iter().position(|&byte| byte == b'?');
        let (path, query) = match mark {
            Some(mark) => (&target[..mark], target.get(mark + 1..)),
            None => (target, None),
        };
        self.path.read(path)?;
        self.set_query(query)
    }

    /// Percent-encodes the characters that browsers encode in a query: quotes, angle brackets and non-ASCII.
    /// Everything else is unchanged, since servers and signatures use the exact bytes.
    fn set_query(&mut self, query: Option<&[u8]>) -> Result<(), Rejection> {
        let Some(query) = query else { return Ok(()) };
        self.has_query = true;
        for &byte in query {
            match byte {
                0..=0x20 | 0x7f | b'#' => return Err(QUERY),
                b'"' | b'<' | b'>' | 0x80.. => encode(byte, &mut self.query),
                _ => self.query.push(char::from(byte)),
            }
        }
        Ok(())
    }
}

/// The authority of an absolute form, and the rest.
fn absolute(target: &[u8]) -> Result<(&[u8], &[u8]), Rejection> {
    let colon = target.iter().position(|&byte| byte == b':').ok_or(TARGET)?;
    let (scheme, rest) = target.split_at(colon);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let rest = rest.strip_prefix(b"://").filter(|_| is_scheme).ok_or(TARGET)?;
    if !is_http(scheme) {
        return Err(SCHEME);
    }
    let end = rest.iter().position(|&byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if rest.first() == Some(&b'#') {
        return Err(TARGET);
    }
    Ok((authority, rest))
}

fn is_http(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
}

#[cfg(test)]
mod tests {
    use super::{Pseudo, Target};

    /// Host, authority and target as forwarded; or the reason of the refusal.
    fn shown(target: &Target) -> String {
        let mut forwarded = Vec::new();
        target.write_to(&mut forwarded);
        let forwarded = String::from_utf8(forwarded).expect("ASCII");
        format!("{} {} {forwarded}", target.host, target.authority().unwrap_or("-"))
    }

    fn http1(method: &str, target: &str, host: Option<&str>) -> String {
        // A reused value must show nothing of the request before.
        let mut read = Target::default();
        read.read_http1(b"GET", b"http://old:1/old?old", Some(b"old"), false).expect("good");
        match read.read_http1(method.as_bytes(), target.as_bytes(), host.map(str::as_bytes), false) {
            Ok(()) => shown(&read),
            Err(refused) => format!("{} {}", refused.status.as_u16(), refused.reason),
        }
    }

    #[test]
    fn http1_targets_are_parsed() {
        let a = Some("a");
        let table = [
            ("GET", "/x?y=/../z", Some("A.com:80"), "a.com A.com:80 /x?y=/../z"),
            ("GET", "/", Some(""), "  /"),
            ("GET", "/?", a, "a a /?"),
            ("GET", "/", None, "400 host_missing"),
            ("GET", "/", Some("a b"), "400 host_malformed"),
            ("GET", "/?q=é\"<>'[]{}|\\^%zz", a, "a a /?q=%C3%A9%22%3C%3E'[]{}|\\^%zz"),
            ("GET", "/?a b", a, "400 query_malformed"),
            ("GET", "/?a#b", a, "400 query_malformed"),
            ("GET", "/?a\x7f", a, "400 query_malformed"),
            ("GET", "/#b", a, "400 path_malformed"),
            ("GET", "/é", a, "a a /%C3%A9"),
            ("GET", "http://B.com", a, "b.com B.com /"),
            ("GET", "HTTPS://b.com:1/x/../y?z", a, "b.com b.com:1 /y?z"),
            ("GET", "http://b.com?z", a, "b.com b.com /?z"),
            ("GET", "http://b.com", None, "400 host_missing"),
            ("GET", "http:///x", a, "400 host_malformed"),
            ("GET", "http://:80/x", a, "400 host_malformed"),
            ("GET", "http://u@b.com/", a, "400 host_malformed"),
            ("GET", "http://b.com#x", a, "400 request_target"),
            ("GET", "ftp://b.com/", a, "400 scheme"),
            ("GET", "host:80", a, "400 request_target"),
            ("GET", "host", a, "400 request_target"),
            ("GET", "//b.com/x", a, "a a /b.com/x"),
            ("GET", "", a, "400 request_target"),
            ("GET", "?x", a, "400 request_target"),
            ("GET", "://b/", a, "400 request_target"),
            ("GET", "http:/b", a, "400 request_target"),
            ("GET", "1http://b/", a, "400 request_target"),
            ("GET", "*", a, "400 request_target"),
            ("OPTIONS", "*", a, "a a *"),
            ("OPTIONS", "**", a, "400 request_target"),
            ("OPTIONS", "http://b.com", a, "b.com b.com *"),
            ("OPTIONS", "http://b.com/", a, "b.com b.com /"),
            ("OPTIONS", "http://b.com?", a, "b.com b.com /?"),
            ("CONNECT", "b.com:443", a, "501 method"),
            ("CONNECT", "[::1]:443", a, "501 method"),
            ("CONNECT", "b.com", a, "400 request_target"),
            ("CONNECT", ":443", a, "400 request_target"),
            ("CONNECT", "/", a, "400 request_target"),
            ("CONNECT", "http://b.com/", a, "400 request_target"),
            ("CONNECT", "*", a, "400 request_target"),
            ("TRACE", "/", a, "501 method"),
        ];
        for (method, target, host, expected) in table {
            assert_eq!(http1(method, target, host), expected, "{method} {target} {host:?}");
        }
        let mut target = Target::default();
        assert_eq!(target.read_http1(b"GET", b"/", None, true), Ok(()));
        assert_eq!(shown(&target), " - /");
    }

    #[test]
    fn rewrite_to_dot_segments_is_refused() {
        let mut target = Target::default();
        target.read_http1(b"GET", b"/x?y", Some(b"A.com:80"), false).expect("good");
        let table = [
            ("/new", Some("a.com A.com:80 /new")),
            ("/new//x;y/%2Fz?q=/../", Some("a.com A.com:80 /new//x;y/%2Fz?q=/../")),
            ("/a/../b", None),
            ("/a/.?x", None),
            ("/a/%2e%2E/b", None),
            ("/a/..%2Fb", None),
            ("/a/..;/b", None),
            ("/a/%5C../b", None),
            ("/..", None),
            ("/%", None),
            ("/a b", None),
            ("/a\\b", None),
            ("/é", None),
            ("x", None),
            ("", None),
        ];
        for (text, expected) in table {
            let mut target = target.clone();
            let rewritten = target.rewrite(text.as_bytes());
            let found = rewritten.is_ok().then(|| shown(&target));
            assert_eq!(found.as_deref(), expected, "{text}");
            assert_eq!((target.path.as_str(), target.query()), ("/x", Some("y")));
        }
        assert_eq!(target.rewrite_authority(b"b.com:1"), Ok(()));
        assert_eq!(shown(&target), "a.com b.com:1 /x?y");
        assert!(target.rewrite_authority(b"b c").is_err());
        target.rewrite(b"/z").expect("good");
        target.read_http1(b"GET", b"/x", Some(b"a"), false).expect("good");
        assert_eq!(shown(&target), "a a /x");
    }

    #[test]
    fn http2_targets_are_parsed() {
        let good = Pseudo {
            method: b"GET",
            scheme: Some(b"https"),
            authority: Some(b"B.com"),
            path: Some(b"/x?y"),
            ..Pseudo::default()
        };
        let table = [
            (good, "b.com B.com /x?y"),
            (Pseudo { host: Some(b"b.COM"), ..good }, "b.com B.com /x?y"),
            (Pseudo { host: Some(b"a.com"), ..good }, "400 host_malformed"),
            (Pseudo { authority: None, host: Some(b"a.com"), ..good }, "a.com a.com /x?y"),
            (Pseudo { authority: None, ..good }, "400 host_missing"),
            (Pseudo { authority: Some(b""), ..good }, "400 host_malformed"),
            (Pseudo { authority: Some(b"u@b"), ..good }, "400 host_malformed"),
            (Pseudo { path: None, ..good }, "400 pseudo_header"),
            (Pseudo { path: Some(b""), ..good }, "400 path_malformed"),
            (Pseudo { path: Some(b"*"), ..good }, "400 path_malformed"),
            (Pseudo { path: Some(b"http://b.com/"), ..good }, "400 path_malformed"),
            (Pseudo { path: Some(b"*"), method: b"OPTIONS", ..good }, "b.com B.com *"),
            (Pseudo { scheme: None, ..good }, "400 pseudo_header"),
            (Pseudo { scheme: Some(b"ftp"), ..good }, "400 scheme"),
            (Pseudo { method: b"CONNECT", path: None, scheme: None, ..good }, "501 method"),
            (Pseudo { method: b"CONNECT", protocol: Some(b"websocket"), ..good }, "b.com B.com /x?y"),
            (Pseudo { protocol: Some(b"websocket"), ..good }, "400 pseudo_header"),
            (Pseudo { method: b"TRACE", ..good }, "501 method"),
        ];
        for (pseudo, expected) in table {
            let mut target = Target::default();
            let found = match target.read_http2(&pseudo) {
                Ok(()) => shown(&target),
                Err(refused) => format!("{} {}", refused.status.as_u16(), refused.reason),
            };
            assert_eq!(found, expected, "{pseudo:?}");
        }
    }
}
