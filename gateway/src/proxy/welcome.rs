//! The built-in page, for a gateway without settings.

use bytes::Bytes;
use http::StatusCode;

use super::answer;
use crate::exchange::Request;
use crate::filter::Answer;
use crate::route::Miss;

const HTML: &str = include_str!("welcome.html");
const TEXT: &str = include_str!("welcome.txt");

/// The page, as HTML if the client asks for it; only at `/`.
pub fn page(request: &Request) -> Result<Answer, Miss> {
    if request.target.path.as_str() != "/" {
        return Err(Miss::NoRoute);
    }
    let html = request
        .fields
        .named(b"accept")
        .any(|value| std::str::from_utf8(value).is_ok_and(|kinds| kinds.contains("text/html")));
    let (kind, text) =
        if html { ("text/html; charset=utf-8", HTML) } else { ("text/plain; charset=utf-8", TEXT) };
    Ok(answer::page(StatusCode::OK, kind, Bytes::from_static(text.as_bytes())))
}
