//! Reads the endpoints of an upstream.

use std::path::PathBuf;

use super::kinds::{Parsed, ParsedBy, count};
use super::reader::{Either, Reader};
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::{Endpoint, Scheme, domain};
use crate::endpoint::Address;

const EXAMPLE: &str =
    "write \"host:port\" such as \"10.0.0.1:8080\", or begin with http://, https://, h2c:// or unix:";

/// Maximum length of a Unix socket's path in bytes.
const MAX_SOCKET_PATH: usize = 107;

/// Reads `endpoints`: texts, or tables with `url`, `weight` and `priority`.
pub fn read(table: &mut Reader<'_, '_>) -> Vec<Endpoint> {
    const LIST: &str = "[\"10.0.0.1:8080\"]";
    let report = table.report;
    let before = report.count();
    let list = table.mixed("endpoints", "the endpoint", URL, Otherwise::Needed, "its servers, see below");
    let endpoints: Vec<Endpoint> = list
        .into_iter()
        .filter_map(|item| match item {
            Either::Value(endpoint) => Some(endpoint.value),
            Either::Table(table) => weighted(table),
        })
        .collect();
    if endpoints.is_empty() && report.count() == before {
        table.lacks("endpoints", LIST);
    }
    endpoints
}

/// An endpoint in the settings.
const URL: ParsedBy<Endpoint> = Parsed {
    label: "endpoint",
    pattern: Some("^(unix:(//)?/.+|((http|https|h2c)://)?[^/@?#]+/?)$"),
    read: endpoint,
};

fn weighted(mut table: Reader<'_, '_>) -> Option<Endpoint> {
    let url = table.need("url", URL, "\"10.0.0.1:8080\"", "the text");
    let mut endpoint = url.map(|url| url.value);
    let (mut weight, mut priority) = (1, 0);
    table.set(&mut weight, "weight", count(1..=1000), "its share of the requests against the others");
    table.set(
        &mut priority,
        "priority",
        count(0..=9),
        "requests go to the lowest number of which enough endpoints work",
    );
    table.finish();
    if let Some(endpoint) = &mut endpoint {
        endpoint.weight = weight;
        endpoint.priority = priority;
    }
    endpoint
}

fn endpoint(text: &Placed<String>, report: &Report<'_>) -> Option<Endpoint> {
    match parse(&text.value) {
        Ok(endpoint) => Some(endpoint),
        Err(reason) => {
            // The part before `@` is a secret.
            if text.value.contains('@') {
                report.hide(text.span.clone());
            }
            let shown = match text.value.rsplit_once('@') {
                Some((_, rest)) => format!("…@{rest}"),
                None => text.value.clone(),
            };
            let shown = shown.escape_debug();
            report.add(&text.span, format!("'{shown}' is not an endpoint: {reason}; {EXAMPLE}"));
            None
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Endpoint, &'static str> {
    let endpoint = |scheme, address| Ok(Endpoint { scheme, address, weight: 1, priority: 0 });
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err("the path of a socket begins with '/'");
        }
        if path.len() > MAX_SOCKET_PATH || path.contains('\0') {
            return Err("the path of a socket has at most 107 bytes, none of them zero");
        }
        return endpoint(Scheme::Http, Address::Unix(PathBuf::from(path)));
    }
    let (scheme, default_port, authority) = match text.split_once("://") {
        None => (Scheme::Http, None, text),
        Some(("http", rest)) => (Scheme::Http, Some(80), rest),
        Some(("https", rest)) => (Scheme::Https, Some(443), rest),
        Some(("h2c", rest)) => (Scheme::H2c, Some(80), rest),
        Some(_) => return Err("the scheme is not known"),
    };
    if authority.contains('@') {
        return Err("it holds user information");
    }
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains(['/', '?', '#', '\\']) {
        return Err("it has a path");
    }
    let (host, port) = split(authority)?;
    let port = match port {
        Some(digits) => port_number(digits)?,
        None => default_port.ok_or("the port is missing")?,
    };
    endpoint(scheme, Address::Host { host: domain::check(host)?, port })
}

/// Splits host and port; the brackets of an IPv6 address are removed.
fn split(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "in brackets stands an IPv6 address")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("the port is malformed"),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err("an IPv6 address stands in brackets"),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn port_number(digits: &str) -> Result<u16, &'static str> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the port is malformed");
    }
    digits.parse().ok().filter(|&port| port != 0).ok_or("a port is a number from 1 to 65535")
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::settings::Scheme;

    #[test]
    fn endpoints() {
        let label = "a".repeat(63);
        let table = [
            ("10.0.0.1:8080", Scheme::Http, "10.0.0.1:8080"),
            ("App_1.local.:1", Scheme::Http, "app_1.local.:1"),
            ("[::1]:65535", Scheme::Http, "[::1]:65535"),
            ("http://a", Scheme::Http, "a:80"),
            ("http://a:8080/", Scheme::Http, "a:8080"),
            ("https://a", Scheme::Https, "a:443"),
            ("https://[2001:db8::1]", Scheme::Https, "[2001:db8::1]:443"),
            ("h2c://a:50051", Scheme::H2c, "a:50051"),
            ("unix:/run/app.sock", Scheme::Http, "unix:/run/app.sock"),
            ("unix:///run/app.sock", Scheme::Http, "unix:/run/app.sock"),
            (&format!("{label}:1"), Scheme::Http, &format!("{label}:1")),
        ];
        for (text, scheme, shown) in table {
            let endpoint = parse(text).expect(text);
            assert_eq!((endpoint.scheme, endpoint.to_string().as_str()), (scheme, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint() {
        let table = [
            "",
            ":",
            ":80",
            "a",
            "a:",
            "a:0",
            "a:65536",
            "a:-1",
            "a:+1",
            "a: 1",
            "a:1:2",
            "a:http",
            "http://",
            "http://:80",
            "https://",
            "-x:80",
            "x-:80",
            "a.-b:80",
            "x..y:80",
            ".x:80",
            "x.:80:",
            "a b:80",
            "a,b:80",
            "*:80",
            "*.a:80",
            "é:80",
            "1.2.3:80",
            "1.2.3.256:80",
            "256:80",
            "u@a:80",
            "http://u:p@a:80",
            "a:80/x",
            "http://a/x",
            "http://a//",
            "a:80?x",
            "a:80#x",
            "a\\b:80",
            "ftp://a:80",
            "HTTP:/a:80",
            "//a:80",
            "http:a:80",
            "::1:80",
            "[::1]",
            "[::1",
            "[::1]80",
            "[a]:80",
            "[]:80",
            "[1.2.3.4]:80",
            "[fe80::1%eth0]:80",
            "unix:",
            "unix:run/a",
            "unix:a\0",
            "unix:/a\0b",
        ];
        for text in table {
            assert!(parse(text).is_err(), "{text}");
        }
        let long = [
            format!("{}:80", "a".repeat(64)),
            format!("{}:80", ["a"; 128].join(".")),
            format!("unix:/{}", "a".repeat(107)),
        ];
        for text in long {
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
