//! Responses of upstreams are compressed while they pass.

use http::{Method, StatusCode};

use super::cors::vary;
use super::{Filter, Phase};
use crate::exchange::{Exchange, Response};
use crate::http::coding::{Encoder, choose};
use crate::http::fields::Fields;
use crate::http::framing::Framing;
use crate::http::name::Name;
use crate::http::token::trim_ows;
use crate::settings;

/// Compresses responses that become smaller by it.
#[derive(Debug)]
pub struct Compression(pub settings::Compression);

impl Compression {
    /// Whether a response can be compressed, whatever the client accepts.
    fn fits(&self, request: &Fields, response: &Response) -> bool {
        let fields = &response.fields;
        let has = |name: &[u8]| fields.named(name).next().is_some();
        let status = response.status;
        let has_body = !matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        ) && !status.is_informational();
        let is_long = match response.framing {
            Framing::None => false,
            Framing::Length(length) => length > 0 && length >= self.0.min_bytes,
            Framing::Chunked | Framing::Close => true,
        };
        // RFC 9110 section 7.7: what a message must keep is not transformed.
        let fixed = |fields: &Fields| fields.lists(Name::CacheControl, b"no-transform");
        has_body
            && is_long
            && !has(b"content-encoding")
            && !has(b"content-range")
            && !fixed(fields)
            && !fixed(request)
            && fields.get(Name::ContentType).is_some_and(|kind| self.is_listed(kind))
    }

    fn is_listed(&self, kind: &[u8]) -> bool {
        let essence = trim_ows(kind.split(|&byte| byte == b';').next().unwrap_or_default());
        let Ok(essence) = std::str::from_utf8(essence).map(str::to_ascii_lowercase) else { return false };
        // gRPC messages have their own compression flag.
        if essence.starts_with("application/grpc") {
            return false;
        }
        self.0.types.iter().any(|pattern| match pattern.split_once('*') {
            Some((begin, end)) => {
                essence.len() >= begin.len() + end.len()
                    && essence.starts_with(begin)
                    && essence.ends_with(end)
            }
            None => *pattern == essence,
        })
    }
}

/// The validator of an encoded representation is another one (RFC 9110 section 8.8.3.3); which encoder
/// made it is not said, so that only a weak one is true.
fn weaken(fields: &mut Fields) {
    let etag = fields.named(b"etag").next().filter(|etag| !etag.starts_with(b"W/"));
    if let Some(weak) = etag.map(|etag| [b"W/", etag].concat()) {
        fields.set_named(b"etag", &weak);
    }
}

/// Whether the client has a representation with this validator made weak.
fn has_weak(request: &Fields, response: &Fields) -> bool {
    let Some(etag) = response.named(b"etag").next().filter(|etag| etag.starts_with(b"\"")) else {
        return false;
    };
    let weak = [b"W/", etag].concat();
    request.named(b"if-none-match").flat_map(crate::http::token::list).any(|one| one == weak)
}

impl Filter for Compression {
    fn name(&self) -> &'static str {
        "compression"
    }

    fn phase(&self) -> Phase {
        Phase::Response
    }

    fn response(&self, exchange: &mut Exchange<'_>) {
        let (request, response) = (&*exchange.request, &mut *exchange.response);
        if response.status == StatusCode::NOT_MODIFIED {
            vary(&mut response.fields, b"Accept-Encoding");
            // A cache finds the response that it stored by the validator (RFC 9111 section 4.3.4).
            if has_weak(&request.fields, &response.fields) {
                weaken(&mut response.fields);
            }
            return;
        }
        if !self.fits(&request.fields, response) {
            return;
        }
        vary(&mut response.fields, b"Accept-Encoding");
        let Some(coding) = choose(request.fields.named(b"accept-encoding"), &self.0.codings) else { return };
        let fields = &mut response.fields;
        // These fields describe the unencoded bytes.
        for name in [&b"accept-ranges"[..], b"content-md5", b"content-digest", b"repr-digest", b"digest"] {
            fields.remove_named(name);
        }
        fields.push(b"content-encoding", coding.as_str().as_bytes());
        weaken(fields);
        response.framing = Framing::Chunked;
        if request.method != Method::HEAD {
            exchange.encoder = Some(Box::new(Encoder::new(coding)));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Compression;
    use crate::exchange::Response;
    use crate::http::coding::Coding;
    use crate::http::fields::Fields;
    use crate::http::framing::Framing;
    use crate::settings;

    #[test]
    fn what_is_compressed() {
        type Pairs = &'static [(&'static str, &'static str)];
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let compression = Compression(settings::Compression {
            codings: vec![Coding::Gzip],
            min_bytes: 100,
            types: texts(&["text/*", "application/json", "application/*+json", "application/*"]),
        });
        let table: [(u16, Framing, Pairs, Pairs, bool); 19] = [
            (200, Framing::Length(100), &[("content-type", "text/html; charset=utf-8")], &[], true),
            (200, Framing::Chunked, &[("content-type", "TEXT/EVENT-STREAM")], &[], true),
            (200, Framing::Close, &[("content-type", "application/problem+json")], &[], true),
            (404, Framing::Chunked, &[("content-type", "application/json")], &[], true),
            (200, Framing::Length(99), &[("content-type", "text/html")], &[], false),
            (200, Framing::None, &[("content-type", "text/html")], &[], false),
            (200, Framing::Chunked, &[], &[], false),
            (200, Framing::Chunked, &[("content-type", "image/png")], &[], false),
            (200, Framing::Chunked, &[("content-type", "application/grpc")], &[], false),
            (200, Framing::Chunked, &[("content-type", "application/grpc-web+proto")], &[], false),
            (206, Framing::Length(200), &[("content-type", "text/html")], &[], false),
            (204, Framing::None, &[("content-type", "text/html")], &[], false),
            (304, Framing::Length(200), &[("content-type", "text/html")], &[], false),
            (200, Framing::Chunked, &[("content-type", "text/html"), ("content-encoding", "br")], &[], false),
            (
                200,
                Framing::Chunked,
                &[("content-type", "text/html"), ("content-encoding", "identity")],
                &[],
                false,
            ),
            (
                200,
                Framing::Chunked,
                &[("content-type", "text/html"), ("content-range", "bytes 0-1/2")],
                &[],
                false,
            ),
            (
                200,
                Framing::Chunked,
                &[("content-type", "text/html"), ("cache-control", "private, No-Transform")],
                &[],
                false,
            ),
            (
                200,
                Framing::Chunked,
                &[("content-type", "text/html")],
                &[("cache-control", "no-transform")],
                false,
            ),
            (200, Framing::Chunked, &[("content-type", "text/html")], &[("cache-control", "no-cache")], true),
        ];
        for (status, framing, response, request, expected) in table {
            let fields = |pairs: Pairs| {
                let mut fields = Fields::new();
                for (name, value) in pairs {
                    fields.push(name.as_bytes(), value.as_bytes());
                }
                fields
            };
            let status = StatusCode::from_u16(status).expect("a status");
            let head = Response { status, fields: fields(response), framing };
            assert_eq!(
                compression.fits(&fields(request), &head),
                expected,
                "{status} {framing:?} {response:?}"
            );
        }
    }
}
