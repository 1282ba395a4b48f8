//! The admin page: its files, and who may see it.

use std::net::SocketAddr;

use http::StatusCode;

use crate::http::fields::Fields;
use crate::http::target::Target;

/// What every response below `/-/` says: only files of its own origin, in no frame (CSP level 3).
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                          img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page with its media type.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/-/" => ("text/html; charset=utf-8", include_str!("page/admin.html")),
        "/-/admin.css" => ("text/css; charset=utf-8", include_str!("page/admin.css")),
        "/-/admin.js" => ("text/javascript; charset=utf-8", include_str!("page/admin.js")),
        _ => return None,
    })
}

/// Why a request below `/-/` is refused, if it is: the page is for this machine only.
///
/// The host must be a name of this machine too, or another site could resolve its own name to the
/// loopback and read the page (DNS rebinding). A browser says which site sends a request; one that
/// changes something must come from the page itself.
pub fn refused(
    peer: Option<SocketAddr>,
    target: &Target,
    fields: &Fields,
) -> Option<(StatusCode, &'static str)> {
    let forbidden = |why| Some((StatusCode::FORBIDDEN, why));
    if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        return forbidden(
            "what is below /-/ is served to this machine only; use a tunnel such as ssh -L or kubectl port-forward\n",
        );
    }
    if !is_loopback(&target.host) {
        return forbidden("ask for what is below /-/ by 127.0.0.1, [::1] or localhost\n");
    }
    let site = fields.named(b"sec-fetch-site").next();
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return forbidden("requests of other sites are refused\n");
    }
    let origin = fields.named(b"origin").next();
    let own = target.authority().map(|authority| format!("http://{authority}"));
    if origin.is_some() && origin != own.as_deref().map(str::as_bytes) {
        return forbidden("requests of other sites are refused\n");
    }
    None
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
    fn who_may_see_the_page() {
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
            let found = refused(peer.parse().ok(), &target, &fields).is_none();
            assert_eq!(found, expected, "{peer} {host} {site} {origin}");
        }
        assert!(refused(None, &Target::default(), &Fields::new()).is_some());
    }
}
