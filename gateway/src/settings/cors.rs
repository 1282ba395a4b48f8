//! Reads `cors` of a route.

use std::time;

use http::Method;

use super::kinds::{Duration, List, Parsed, Switch};
use super::reader::Reader;
use super::report::{Placed, Report};
use super::routes::method;
use super::upstreams::TOKEN;
use super::{Cors, Origin};
use crate::http::token::is_token;

/// Reads the table.
pub fn read(mut table: Reader<'_, '_>) -> Cors {
    let report = table.report;
    let kind = Parsed { label: "origin such as `\"https://app.example\"`", pattern: None, read: origin };
    let origins = table.need(
        "origins",
        List(kind),
        "[\"https://app.example\"]",
        "the sites that may: an origin, `\"https://*.example.com\"` for every name below, `\"*\"` for all, `\"null\"`",
    );
    let kind = Parsed { label: "method or `\"*\"`", pattern: None, read: allowed };
    let methods = table.get(
        "methods",
        List(kind),
        "`GET`, `HEAD`, `POST`",
        "the methods that they may use besides these three; `\"*\"` for all",
    );
    let name = Parsed { label: "name of a field or `\"*\"`", pattern: None, read: field };
    let headers = table.get(
        "headers",
        List(name),
        "none",
        "the fields that they may send, such as `Content-Type` for JSON; `\"*\"` for all but `Authorization`",
    );
    let name = Parsed { label: "name of a field", pattern: Some(TOKEN), read: field };
    let exposed =
        table.get("expose_headers", List(name), "none", "the fields of responses that they may read");
    let mut cors = Cors { max_age: time::Duration::from_mins(10), ..Cors::default() };
    table.set(
        &mut cors.credentials,
        "credentials",
        Switch,
        "whether browsers send cookies and other credentials",
    );
    table.set(
        &mut cors.max_age,
        "max_age",
        Duration::OrZero,
        "how long a browser may remember the answer to a preflight",
    );
    let origins = origins.unwrap_or_else(|| Placed { value: Vec::new(), span: table.span.clone() });
    let has = |wanted: &Origin| origins.value.iter().any(|origin| origin.value == *wanted);
    if cors.credentials && (has(&Origin::Any) || has(&Origin::Exact("null".to_owned()))) {
        let text =
            "'credentials' needs origins by name: with \"*\" or \"null\" any site could act as the user";
        report.add(&origins.span, text);
    }
    let methods = methods.map(values).unwrap_or_default();
    let one = |allowed| match allowed {
        Allowed::Any => None,
        Allowed::One(method) => Some(method),
    };
    let any = methods.contains(&Allowed::Any);
    cors.methods = (!any).then(|| methods.into_iter().filter_map(one).collect());
    cors.headers = headers.map(values).unwrap_or_default();
    cors.any_header = cors.headers.iter().any(|name| name == "*");
    cors.headers.retain(|name| name != "*");
    cors.expose_headers = exposed.map(values).unwrap_or_default();
    cors.origins = values(origins.value);
    table.finish();
    cors
}

fn values<T>(list: Vec<Placed<T>>) -> Vec<T> {
    list.into_iter().map(|item| item.value).collect()
}

/// The values of `methods`.
#[derive(PartialEq, Eq)]
enum Allowed {
    Any,
    One(Method),
}

fn allowed(text: &Placed<String>, report: &Report<'_>) -> Option<Allowed> {
    if text.value == "*" { Some(Allowed::Any) } else { method(text, report).map(Allowed::One) }
}

fn field(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let is_good = is_token(text.value.as_bytes());
    if !is_good {
        report.add(&text.span, format!("'{}' is not the name of a field", text.value.escape_debug()));
    }
    is_good.then(|| text.value.to_ascii_lowercase())
}

fn origin(text: &Placed<String>, report: &Report<'_>) -> Option<Origin> {
    parse(&text.value)
        .map_err(|why| {
            let shown = text.value.escape_debug();
            let advice = "write scheme and host such as \"https://app.example\"";
            report.add(&text.span, format!("'{shown}' is not an origin: {why}; {advice}"));
        })
        .ok()
}

/// Parses an origin. Browsers write it in lower case and without the standard port.
fn parse(text: &str) -> Result<Origin, &'static str> {
    match text {
        "*" => return Ok(Origin::Any),
        "null" => return Ok(Origin::Exact("null".to_owned())),
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://").ok_or("it has no scheme")?;
    if authority.contains(['/', '?', '#', '@']) {
        return Err("it has more than scheme, host and port");
    }
    let standard = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(standard).unwrap_or(authority);
    let is_host = |text: &str| {
        let is_good = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']' | b'_')
        };
        !text.is_empty() && text.bytes().all(is_good)
    };
    let is_scheme =
        scheme.starts_with(|first: char| first.is_ascii_lowercase()) && is_token(scheme.as_bytes());
    match authority.strip_prefix('*') {
        _ if !is_scheme => Err("its scheme is malformed"),
        Some(rest) if rest.len() > 1 && rest.starts_with('.') && is_host(rest) => {
            Ok(Origin::Below(format!("{scheme}://"), rest.to_owned()))
        }
        None if is_host(authority) => Ok(Origin::Exact(format!("{scheme}://{authority}"))),
        _ => Err("its host is malformed"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, parse};

    #[test]
    fn origins() {
        let exact = |text: &str| Some(Origin::Exact(text.to_owned()));
        let below = |scheme: &str, rest: &str| Some(Origin::Below(scheme.to_owned(), rest.to_owned()));
        let table = [
            ("*", Some(Origin::Any)),
            ("null", exact("null")),
            ("https://App.example", exact("https://app.example")),
            ("https://app.example:443", exact("https://app.example")),
            ("http://app.example:443", exact("http://app.example:443")),
            ("http://localhost:3000", exact("http://localhost:3000")),
            ("http://[::1]:80", exact("http://[::1]")),
            ("capacitor://localhost", exact("capacitor://localhost")),
            ("https://*.example.com", below("https://", ".example.com")),
            ("https://*.example.com:8443", below("https://", ".example.com:8443")),
            ("https://app.example/", None),
            ("app.example", None),
            ("https://", None),
            ("https://*", None),
            ("https://*.", None),
            ("https://a.*.example", None),
            ("https://*example.com", None),
            ("*://app.example", None),
            ("https://a@b", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
