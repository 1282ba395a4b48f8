//! A response that sends the client elsewhere.

use http::StatusCode;

use super::Answer;
use super::path_rewrite::PathRewrite;
use super::template::{Template, Values};
use crate::exchange::Exchange;
use crate::http::Rejection;
use crate::http::name::Name;
use crate::http::target::Form;
use crate::http1::encode::append_number;
use crate::settings;

const HOST_MISSING: Rejection =
    Rejection::bad("host_missing", "The request names no host, which the redirect needs.");

/// Sends clients elsewhere.
#[derive(Debug)]
pub struct Redirect {
    status: StatusCode,
    scheme: Option<&'static str>,
    host: Option<Template>,
    port: Option<u16>,
    path: Option<PathRewrite>,
}

impl Redirect {
    /// The redirect of a route.
    pub fn compile(redirect: &settings::Redirect, route: &settings::Route) -> Self {
        Self {
            status: redirect.status,
            scheme: redirect.scheme,
            host: redirect.host.as_ref().map(|host| Template::compile(host, route)),
            port: redirect.port,
            path: redirect.path.as_ref().map(|path| PathRewrite::compile(path, route)),
        }
    }

    /// The response to a request.
    ///
    /// # Errors
    ///
    /// 400 if the new address needs a host, and neither settings nor request name one.
    pub fn answer(&self, exchange: &Exchange<'_>) -> Result<Answer, Rejection> {
        let mut location = exchange.worker.buffers.take();
        let written = self.location(&Values::of(exchange), &mut location);
        let mut answer = Answer { status: self.status, ..Answer::default() };
        answer.fields.add(Name::Location, &location);
        exchange.worker.buffers.give(location);
        written.map(|()| answer)
    }

    /// Appends the new address: only a path where nothing else changes, since the gateway may not
    /// know by which scheme and port a proxy before it is reached.
    fn location(&self, values: &Values<'_>, out: &mut Vec<u8>) -> Result<(), Rejection> {
        let target = &values.request.target;
        if self.scheme.is_some() || self.host.is_some() || self.port.is_some() {
            let scheme = self.scheme.unwrap_or(values.scheme);
            out.extend_from_slice(scheme.as_bytes());
            out.extend_from_slice(b"://");
            let begin = out.len();
            match &self.host {
                Some(host) => host.render(values, out),
                None => out.extend_from_slice(target.host.as_bytes()),
            }
            let host = &out[begin..];
            if host.is_empty() {
                return Err(HOST_MISSING);
            }
            let behind_literal = host.iter().rposition(|&byte| byte == b']').unwrap_or(0);
            let has_port = host[behind_literal..].contains(&b':');
            // A port belongs to the scheme for which it was given.
            let kept = target.port.filter(|_| scheme == values.scheme);
            let standard = if scheme == "https" { 443 } else { 80 };
            if let Some(port) = self.port.or(kept).filter(|&port| port != standard && !has_port) {
                out.push(b':');
                append_number(out, u64::from(port));
            }
        }
        let begin = out.len();
        match &self.path {
            // `OPTIONS *` has no path.
            _ if target.form == Form::Asterisk => out.push(b'/'),
            Some(path) => path.render(values, out),
            None => target.write_to(out),
        }
        // A client would take what follows two slashes for a host.
        let slashes = out[begin..].iter().take_while(|&&byte| byte == b'/').count();
        out.drain(begin..begin + slashes.saturating_sub(1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Redirect;
    use crate::filter::path_rewrite::PathRewrite;
    use crate::filter::template::tests::{request, template, values};
    use crate::http::path::{DoubleSlash, Policy};

    #[test]
    fn what_is_not_given_is_kept() {
        let none =
            || Redirect { status: StatusCode::FOUND, scheme: None, host: None, port: None, path: None };
        let path = |text: &str| Some(PathRewrite::Template(template(text)));
        let prefix = || Some(PathRewrite::Prefix { old: "/old".to_owned(), new: String::new() });
        let host = |text: &str| Some(template(text));
        // The request is for https://A.com:81.
        let table = [
            (Redirect { scheme: Some("https"), ..none() }, "/a?q", Ok("https://a.com:81/a?q")),
            (Redirect { scheme: Some("http"), ..none() }, "/a", Ok("http://a.com/a")),
            (Redirect { scheme: Some("http"), port: Some(8080), ..none() }, "/a", Ok("http://a.com:8080/a")),
            (Redirect { port: Some(443), ..none() }, "/a", Ok("https://a.com/a")),
            (Redirect { host: host("www.{host}"), ..none() }, "/a", Ok("https://www.a.com:81/a")),
            (Redirect { host: host("b.com:99"), ..none() }, "/", Ok("https://b.com:99/")),
            (Redirect { host: host("[::1]"), port: Some(9), ..none() }, "/", Ok("https://[::1]:9/")),
            (Redirect { host: host("[::1]:8"), ..none() }, "/", Ok("https://[::1]:8/")),
            (Redirect { path: path("/new"), ..none() }, "/u/1/2?q=1", Ok("/new?q=1")),
            (Redirect { path: path("/{param.rest}?r={param.id}"), ..none() }, "/u/1/2?q=1", Ok("/2?r=1")),
            (Redirect { path: path("/n{path}"), host: host("b"), ..none() }, "/a", Ok("https://b:81/n/a")),
            // Never to another host by the client's will.
            (Redirect { path: prefix(), ..none() }, "/old//evil.com", Ok("/evil.com")),
            (Redirect { path: path("{path}"), ..none() }, "//evil.com/", Ok("/evil.com/")),
            (Redirect { host: host("{host}"), ..none() }, "//evil.com", Ok("https://a.com:81/evil.com")),
        ];
        for (redirect, target, expected) in table {
            let (mut request, parameters) = request(target);
            let keep = Policy { double_slash: DoubleSlash::Keep, ..Policy::default() };
            request.target.path.settle(keep).expect(target);
            let mut out = Vec::new();
            let written = redirect.location(&values(&request, &parameters), &mut out);
            let found = written.map(|()| String::from_utf8_lossy(&out).into_owned());
            assert_eq!(found.as_deref().map_err(|refused| refused.reason), expected, "{redirect:?} {target}");
        }
    }

    #[test]
    fn a_host_that_is_needed_is_asked_for() {
        let (mut request, parameters) = request("/");
        request.target.read_http1(b"GET", b"/a", None, true).expect("HTTP/1.0");
        let redirect =
            Redirect { status: StatusCode::FOUND, scheme: Some("http"), host: None, port: None, path: None };
        let refused = redirect.location(&values(&request, &parameters), &mut Vec::new());
        assert_eq!(refused.map_err(|refused| refused.reason), Err("host_missing"));
        request.target.read_http1(b"OPTIONS", b"*", Some(b"a"), true).expect("OPTIONS *");
        let mut out = Vec::new();
        assert!(redirect.location(&values(&request, &parameters), &mut out).is_ok());
        assert_eq!(String::from_utf8_lossy(&out), "http://a/");
    }
}
