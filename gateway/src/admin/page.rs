//! The admin page: its files and its access control.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use graviola::hashing::{Hash, HashOutput, Sha256};
use http::StatusCode;

use crate::http::fields::Fields;
use crate::http::target::Target;

/// Content-Security-Policy of every response below `/-/`: only files of the same origin, no framing (CSP
/// level 3).
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                          img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page, with its media type.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/-/" => ("text/html; charset=utf-8", include_str!("page/admin.html")),
        "/-/admin.css" => ("text/css; charset=utf-8", include_str!("page/admin.css")),
        "/-/admin.js" => ("text/javascript; charset=utf-8", include_str!("page/admin.js")),
        _ => return None,
    })
}

/// Status and text of the refusal of a request below `/-/`, if it is refused. The page is open to this
/// machine and to clients with the configured token.
///
/// Without a token the host must also be a name of this machine: otherwise another site could resolve its own
/// name to the loopback address and read the page (DNS rebinding). Browsers send the origin of a request; a
/// request that changes something must come from the page itself.
pub fn refused(
    peer: Option<SocketAddr>,
    target: &Target,
    fields: &Fields,
    token: Option<&str>,
) -> Option<(StatusCode, &'static str)> {
    let forbidden = |why| Some((StatusCode::FORBIDDEN, why));
    let is_near = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    if !(is_near && is_loopback(&target.host)) {
        match token {
            Some(token) if shows(fields, token) => {}
            Some(_) => return Some((StatusCode::UNAUTHORIZED, "admin.token is required\n")),
            None if is_near => {
                return forbidden("use 127.0.0.1, [::1] or localhost as the host of /-/\n");
            }
            None => {
                return forbidden(
                    "/-/ is served to this machine only; set admin.token, or use a tunnel such as ssh -L or kubectl port-forward\n",
                );
            }
        }
    }
    let site = fields.named(b"sec-fetch-site").next();
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return forbidden("cross-site requests are refused\n");
    }
    let origin = fields.named(b"origin").next();
    let own = target.authority().unwrap_or_default().as_bytes();
    // A proxy in front of the listener may terminate TLS.
    let is_own =
        |origin: &[u8]| [&b"http://"[..], b"https://"].iter().any(|scheme| *origin == [scheme, own].concat());
    if !origin.is_none_or(is_own) {
        return forbidden("cross-site requests are refused\n");
    }
    None
}

/// Whether a request has the token: as a bearer token (RFC 6750), or as the password of any user, since
/// browsers ask for one (RFC 7617).
fn shows(fields: &Fields, token: &str) -> bool {
    let mut all = fields.named(b"authorization");
    let (Some(value), None) = (all.next(), all.next()) else { return false };
    let Some(space) = value.iter().position(|&byte| byte == b' ') else { return false };
    let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
    let shown = if scheme.eq_ignore_ascii_case(b"bearer") {
        rest.to_vec()
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        let decoded = STANDARD.decode(rest).unwrap_or_default();
        decoded.splitn(2, |&byte| byte == b':').nth(1).unwrap_or_default().to_vec()
    } else {
        return false;
    };
    let (shown, token): (HashOutput, HashOutput) = (Sha256::hash(&shown), Sha256::hash(token.as_bytes()));
    shown.ct_equal(token.as_ref())
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::refused;
    use crate::http::fields::Fields;
    use crate::http::target::Target;

    #[test]
    fn page_is_refused_to_other_machines_and_sites() {
        const OWN: &str = "127.0.0.1:8081";
        let table = [
            ("127.0.0.1:5", OWN, "", "", true),
            ("127.0.0.1:5", "localhost:8081", "", "", true),
            ("[::1]:5", "[::1]:8081", "", "", true),
            ("[::ffff:127.0.0.1]:5", OWN, "", "", true),
            ("127.0.0.1:5", OWN, "same-origin", "http://127.0.0.1:8081", true),
            ("127.0.0.1:5", OWN, "none", "", true),
            ("192.0.2.1:5", OWN, "", "", false),
            ("127.0.0.1:5", "evil.example", "", "", false),
            ("127.0.0.1:5", "localhost.evil.example", "", "", false),
            ("127.0.0.1:5", OWN, "cross-site", "", false),
            ("127.0.0.1:5", OWN, "same-site", "", false),
            ("127.0.0.1:5", OWN, "", "http://evil.example", false),
            ("127.0.0.1:5", OWN, "", "null", false),
            ("127.0.0.1:5", OWN, "", "http://localhost:9000", false),
        ];
        for (peer, host, site, origin, expected) in table {
            let mut fields = Fields::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if !value.is_empty() {
                    fields.push(name.as_bytes(), value.as_bytes());
                }
            }
            let mut target = Target::default();
            target.read_http1(b"GET", b"/-/", Some(host.as_bytes()), false).expect("a target");
            let found = refused(peer.parse().ok(), &target, &fields, None).is_none();
            assert_eq!(found, expected, "{peer} {host} {site} {origin}");
        }
        assert!(refused(None, &Target::default(), &Fields::new(), None).is_some());
    }

    #[test]
    fn token_allows_other_machines() {
        type Row<'r> = (&'r [(&'r str, &'r str)], Option<u16>);
        const TOKEN: &str = "0123456789abcdef";
        // The fields, and the status of the refusal.
        let table: [Row<'_>; 11] = [
            (&[], Some(401)),
            (&[("authorization", "Bearer 0123456789abcdef")], None),
            (&[("authorization", "bearer  0123456789abcdef")], None),
            (&[("authorization", "Basic YWRtaW46MDEyMzQ1Njc4OWFiY2RlZg==")], None),
            (&[("authorization", "Basic OjAxMjM0NTY3ODlhYmNkZWY=")], None),
            (&[("authorization", "Bearer 0123456789abcdeF")], Some(401)),
            (&[("authorization", "Bearer ")], Some(401)),
            (&[("authorization", "Basic 0123456789abcdef")], Some(401)),
            (&[("authorization", "Bearer 0123456789abcdef"), ("authorization", "x y")], Some(401)),
            (&[("authorization", "Bearer 0123456789abcdef"), ("origin", "https://admin.example:8081")], None),
            (&[("authorization", "Bearer 0123456789abcdef"), ("origin", "https://evil.example")], Some(403)),
        ];
        for (list, expected) in table {
            let mut fields = Fields::new();
            for (name, value) in list {
                fields.push(name.as_bytes(), value.as_bytes());
            }
            let mut target = Target::default();
            target.read_http1(b"GET", b"/-/", Some(b"admin.example:8081"), false).expect("a target");
            let found = refused("192.0.2.1:5".parse().ok(), &target, &fields, Some(TOKEN));
            assert_eq!(found.map(|(status, _)| status.as_u16()), expected, "{list:?}");
        }
    }
}
