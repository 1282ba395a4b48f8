//! URLs as registries use them: built, joined, compared and shown.

use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// The URL that a `Location` or `Link` points to, as seen from `base` (RFC 3986, section 5.2; dot
/// segments stay, no registry sends them).
pub(super) fn join(base: &Uri, location: &str) -> Option<Uri> {
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", base.path())
    } else if has_scheme(location) {
        location.to_owned()
    } else {
        let folder = base.path().rfind('/').map_or("", |slash| &base.path()[..slash]);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    parse(&absolute)
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// An absolute http or https URL without a user in it.
pub(super) fn parse(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let is_web = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    let has_host = uri
        .authority()
        .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    (is_web && has_host).then_some(uri)
}

/// Whether the URL asks for TLS.
pub(super) fn is_tls(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
}

/// Whether both have the same scheme, host and port (RFC 6454, section 4).
pub(super) fn same_origin(a: &Uri, b: &Uri) -> bool {
    let origin = |uri: &Uri| {
        let port = uri.port_u16().unwrap_or(if is_tls(uri) { 443 } else { 80 });
        (is_tls(uri), uri.host().unwrap_or_default().to_ascii_lowercase(), port)
    };
    origin(a) == origin(b)
}

/// The URL for people, without its query, which carries signatures and upload states.
pub(super) fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}", uri.path())
}

/// `uri` with parameters put behind those that it has.
pub(super) fn with_query(uri: &Uri, params: &[(&str, &str)]) -> Option<Uri> {
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?;
    let mut query = uri.query().unwrap_or_default().to_owned();
    for (name, value) in params {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend([&*encode(name), "=", &*encode(value)]);
    }
    format!("{scheme}://{authority}{}?{query}", uri.path()).parse().ok()
}

/// Percent-encodes everything that is not unreserved (RFC 3986, section 2.3), except the colon and
/// slash of scopes and digests, which a query may contain unencoded.
pub(super) fn encode(text: &str) -> String {
    let one = |byte: u8| match byte {
        plain if plain.is_ascii_alphanumeric() || b"-._~:/".contains(&plain) => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn locations_are_joined_and_keep_their_query() {
        let base = uri("http://r:5000/v2/a/blobs/uploads/?x=1");
        let cases = [
            ("/v2/a/u?_state=a%3D%3D", Some("http://r:5000/v2/a/u?_state=a%3D%3D")),
            ("https://cdn/b?sig=1&x=2", Some("https://cdn/b?sig=1&x=2")),
            ("//cdn/b", Some("http://cdn/b")),
            ("?n=2", Some("http://r:5000/v2/a/blobs/uploads/?n=2")),
            ("id", Some("http://r:5000/v2/a/blobs/uploads/id")),
            ("id?a:b", Some("http://r:5000/v2/a/blobs/uploads/id?a:b")),
            ("ftp://r/x", None),
            ("javascript:x", None),
            ("http://user:pw@r/x", None),
            ("http:///x", None),
            ("/a b", None),
        ];
        for (location, expected) in cases {
            assert_eq!(join(&base, location), expected.map(uri), "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let cases = [
            ("https://a/x", "https://a:443/y?z", true),
            ("https://A/", "https://a/", true),
            ("http://a/", "http://a:80/", true),
            ("http://a/", "https://a/", false),
            ("https://a/", "https://a:444/", false),
            ("https://a/", "https://a.b/", false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(same_origin(&uri(a), &uri(b)), expected, "{a} {b}");
        }
    }

    #[test]
    fn parameters_are_added_encoded_and_never_shown() {
        let with = |text: &str| with_query(&uri(text), &[("digest", "sha256:ab"), ("a b", "1&2")]).unwrap();
        assert_eq!(with("http://r/u"), uri("http://r/u?digest=sha256:ab&a%20b=1%262"));
        assert_eq!(
            with("http://r/u?_state=x%3D"),
            uri("http://r/u?_state=x%3D&digest=sha256:ab&a%20b=1%262")
        );
        assert_eq!(shown(&with("http://r:1/u")), "http://r:1/u");
    }
}
