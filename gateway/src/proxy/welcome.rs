//! The built-in page, for a gateway without settings.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap};

use super::{Pending, Reply, respond};
use crate::route::Miss;

const HTML: &str = include_str!("welcome.html");
const TEXT: &str = include_str!("welcome.txt");

/// The page, as HTML if the client asks for it; only at `/`.
pub fn page(fields: &HeaderMap, path: &str, pending: Pending) -> Reply {
    if path != "/" {
        return respond::failure(&Miss::NoRoute, pending);
    }
    let html = fields
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|kinds| kinds.contains("text/html")));
    let (kind, text) =
        if html { ("text/html; charset=utf-8", HTML) } else { ("text/plain; charset=utf-8", TEXT) };
    respond::page(StatusCode::OK, kind, Bytes::from_static(text.as_bytes()), pending)
}
