//! What a request is meant for: its host and its canonical path.

use std::borrow::Cow;

use http::{Method, Version};

use super::failure::Rejection;
use super::{host, path};

/// The target of a request, read once and used for matching and forwarding alike.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The host in lower case without port; empty if the request names none.
    pub host: String,
    /// The authority as the client wrote it, for the `Host` field of the forwarded request.
    pub authority: String,
    /// The canonical path, see [`path::canonical`].
    pub path: String,
    /// What follows the `?`.
    pub query: Option<String>,
}

const HOST_MALFORMED: Rejection = Rejection::bad("host_malformed", "The Host field is malformed.");
const MALFORMED: Rejection = Rejection::bad("request_line", "The request line is malformed.");
const SCHEME: Rejection = Rejection::bad("scheme", "The scheme of the target is not HTTP.");

impl Target {
    /// Removes everything and keeps the allocations.
    pub fn clear(&mut self) {
        self.host.clear();
        self.authority.clear();
        self.path.clear();
        self.query = None;
    }

    /// Reads a request-target of HTTP/1 and the value of `Host`.
    ///
    /// # Errors
    ///
    /// 400 for a malformed target or host.
    pub fn read(
        &mut self,
        _method: &Method,
        target: &str,
        field: Option<&[u8]>,
        _version: Version,
    ) -> Result<(), Rejection> {
        let field = field.map(std::str::from_utf8).transpose().map_err(|_| HOST_MALFORMED)?;
        let (authority, rest) = if target.starts_with('/') {
            (field, target)
        } else if let Some((scheme, rest)) = target.split_once("://") {
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err(SCHEME);
            }
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            (Some(authority), if rest.is_empty() { "/" } else { rest })
        } else {
            return Err(MALFORMED);
        };
        if let Some(authority) = authority {
            self.host.push_str(&host::parse(authority)?);
            self.authority.push_str(authority);
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        match path::canonical(if path.is_empty() { "/" } else { path })? {
            Cow::Borrowed(path) => self.path.push_str(path),
            Cow::Owned(path) => self.path.push_str(&path),
        }
        self.query = query.map(str::to_owned);
        Ok(())
    }

    /// Appends the target in origin form (RFC 9112 section 3.2.1).
    pub fn append_origin_form(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.path.as_bytes());
        if let Some(query) = &self.query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }
}
