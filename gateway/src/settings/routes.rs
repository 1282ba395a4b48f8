//! Reads `[[routes]]`.

use http::Method;
use toml_span::Span;

use super::reader::{Placed, Reader, Report};
use super::{Action, Forward, PathMatch, Route, Upstream, units};
use crate::http::{host, path, token};

/// Reads all routes of the file.
pub fn read(root: &mut Reader<'_>, upstreams: &[Upstream], report: &mut Report<'_>) -> Vec<Route> {
    let Some(tables) = root.tables("routes", report) else {
        report.add_global("there is no route; add [[routes]] with path = \"/\" and upstream = \"NAME\"");
        return Vec::new();
    };
    let mut routes: Vec<Route> = Vec::new();
    for table in tables {
        let span = table.span;
        if let Some(route) = route(table, upstreams, report) {
            compare(&routes, &route, span, report);
            routes.push(route);
        }
    }
    routes
}

/// Reports a route that another one leaves no request for.
fn compare(routes: &[Route], route: &Route, span: Span, report: &mut Report<'_>) {
    if let Some(other) = routes.iter().find(|other| overlap(other, route)) {
        let name = &other.name;
        report.add(span, format!("the route '{name}' takes the same requests; change host, path or methods"));
    } else if routes.iter().any(|other| other.name == route.name) {
        let name = &route.name;
        report.add(span, format!("there is another route '{name}'; give each its own name"));
    }
}

fn overlap(one: &Route, other: &Route) -> bool {
    let hosts = (one.hosts.is_empty() && other.hosts.is_empty())
        || one.hosts.iter().any(|host| other.hosts.contains(host));
    let methods = (one.methods.is_empty() && other.methods.is_empty())
        || one.methods.iter().any(|method| other.methods.contains(method));
    hosts && methods && one.path == other.path
}

fn route(mut table: Reader<'_>, upstreams: &[Upstream], report: &mut Report<'_>) -> Option<Route> {
    let before = report.count();
    let name = table.string("name", report).map(|name| name.value);
    let hosts: Vec<String> =
        table.strings("hosts", report).into_iter().filter_map(|host| pattern(&host, report)).collect();
    let prefix = match table.string("path", report) {
        Some(text) => prefix(&text, report),
        None => Some(String::new()),
    };
    let methods: Vec<Method> = table
        .strings("methods", report)
        .into_iter()
        .filter_map(|method| checked_method(method, report))
        .collect();
    let upstream =
        table.required("upstream", "\"NAME\"", report).and_then(|name| find(&name, upstreams, report));
    let max_body_bytes = table.size("max_body_bytes", (0, 1 << 50), report);
    let request_timeout = table.duration("request_timeout", false, report);
    table.finish(report);
    // A route read in part would only cause more problems that are none.
    if report.count() > before {
        return None;
    }
    let prefix = prefix?;
    Some(Route {
        name: name.unwrap_or_else(|| describe(&hosts, &prefix, &methods)),
        hosts,
        path: PathMatch::Prefix(prefix),
        methods,
        action: Action::Forward(Forward::to(&upstream?)),
        max_body_bytes,
        request_timeout,
        ..Route::default()
    })
}

/// The name of a route that was given none.
fn describe(hosts: &[String], prefix: &str, methods: &[Method]) -> String {
    let path = if prefix.is_empty() { "/" } else { prefix };
    let rest = format!("{}{path}", hosts.join(","));
    if methods.is_empty() {
        rest
    } else {
        format!("{} {rest}", methods.iter().map(Method::as_str).collect::<Vec<_>>().join(","))
    }
}

fn pattern(text: &Placed<String>, report: &mut Report<'_>) -> Option<String> {
    let (wildcard, name) = match text.value.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text.value.as_str()),
    };
    match host::parse(name) {
        Ok(host) if host.len() == name.len() => Some(format!("{wildcard}{host}")),
        _ => {
            let shown = text.value.escape_debug();
            report.add(
                text.span,
                format!(
                    "'{shown}' is not a host; write \"api.example.com\" or \"*.example.com\", without port"
                ),
            );
            None
        }
    }
}

fn prefix(text: &Placed<String>, report: &mut Report<'_>) -> Option<String> {
    let shown = text.value.escape_debug();
    if !text.value.starts_with('/') {
        report.add(text.span, format!("'{shown}' does not begin with '/'; write '/{shown}'"));
        return None;
    }
    match path::canonical(&text.value) {
        Ok(canonical) if canonical == text.value => {
            Some(canonical.strip_suffix('/').unwrap_or(&canonical).to_owned())
        }
        Ok(canonical) => {
            report.add(text.span, format!("'{shown}' is not canonical; write '{canonical}'"));
            None
        }
        Err(refused) => {
            report.add(
                text.span,
                format!("'{shown}' can match no request ({}); choose another path", refused.reason),
            );
            None
        }
    }
}

fn checked_method(method: Placed<String>, report: &mut Report<'_>) -> Option<Method> {
    let shown = method.value.escape_debug();
    if !token::is_token(method.value.as_bytes()) {
        report.add(method.span, format!("'{shown}' is not a method; write one such as 'GET'"));
        return None;
    }
    // Methods are case-sensitive (RFC 9110 section 9.1), so that this would match nothing.
    let upper = method.value.to_ascii_uppercase();
    if upper != method.value {
        report.add(method.span, format!("'{shown}' is not a method; write '{upper}'"));
        return None;
    }
    Method::from_bytes(method.value.as_bytes()).ok()
}

fn find(name: &Placed<String>, upstreams: &[Upstream], report: &mut Report<'_>) -> Option<String> {
    let found = upstreams.iter().position(|upstream| upstream.name == name.value);
    if found.is_none() {
        let shown = name.value.escape_debug();
        let names = upstreams.iter().map(|upstream| upstream.name.as_str());
        let advice = match units::nearest(&name.value, names) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("add [upstreams.{shown}]"),
        };
        report.add(name.span, format!("there is no upstream '{shown}'; {advice}"));
    }
    found.map(|_| name.value.clone())
}
