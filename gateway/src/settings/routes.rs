//! Reads `[[routes]]`.

use std::collections::HashMap;

use http::Method;

use super::kinds::{Duration, List, Parsed, Switch, Text, size};
use super::reader::Reader;
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::{
    Action, Authenticator, Limit, PathMatch, Route, Segment, Upstream, access, actions, conflicts, domain,
    edits, limits, paths, policies, warning,
};
use crate::http::token;

/// Reads all routes in the file.
pub fn read(
    root: &mut Reader<'_, '_>,
    upstreams: &[Upstream],
    authenticators: &[Authenticator],
    known_limits: &[Limit],
) -> Vec<Route> {
    let report = root.report;
    if !root.has("routes") {
        report.add_global("there is no route; add [[routes]] with path = \"/\" and upstream = \"NAME\"");
    }
    let tables = root.tables("routes", "[[routes]]", Otherwise::Needed, "which request goes where");
    let routes: Vec<Route> = tables
        .into_iter()
        .filter_map(|table| route(table, upstreams, authenticators, known_limits))
        .collect();
    compare(&routes, report);
    routes
}

/// Reports routes that match the same requests with equal precedence, and repeated names.
fn compare(routes: &[Route], report: &Report<'_>) {
    let mut names = HashMap::new();
    let conflicts: HashMap<usize, usize> =
        conflicts::conflicts(routes).into_iter().map(|(first, second)| (second, first)).collect();
    for (number, route) in routes.iter().enumerate() {
        let place = Some(route.place);
        let first = *names.entry(route.name.as_str()).or_insert(number);
        if let Some(other) = conflicts.get(&number).and_then(|&other| routes.get(other)) {
            let (name, at) = (&other.name, report.named(other.place));
            report.add_at(
                place,
                format!(
                    "the route '{}' and the route '{name}' ({at}) take the same requests, and neither goes \
                     before the other; change host, path, methods or conditions of one",
                    route.name
                ),
            );
        } else if let Some(other) = routes.get(first).filter(|_| first != number) {
            let (name, at) = (&other.name, report.named(other.place));
            report.add_at(place, format!("there is another route '{name}' ({at}); give each its own name"));
        }
    }
}

fn route(
    mut table: Reader<'_, '_>,
    upstreams: &[Upstream],
    authenticators: &[Authenticator],
    known_limits: &[Limit],
) -> Option<Route> {
    let report = table.report;
    let before = report.count();
    let place = report.place(&table.span);
    let name = table.get("name", Text, "made of the next ones", "its name in logs and metrics");
    let hosts = hosts(&mut table);
    let path_policy = paths::policy(&mut table);
    let path = paths::read(&mut table, path_policy);
    let methods = table.get(
        "methods",
        List(Parsed { label: "method", pattern: Some("^[^a-z]+$"), read: method }),
        "any",
        "methods; `GET` takes `HEAD` as well, and WebSocket over HTTP/1.1 and HTTP/2",
    );
    let methods = methods.unwrap_or_default().into_iter().map(|method| method.value).collect();
    let headers = edits::conditions(
        &mut table,
        "headers",
        true,
        "what fields must hold: `{ \"X-Env\" = \"beta\", \"X-Debug\" = true, \"X-Old\" = false }`: this value, any value, no such field",
    );
    let query = edits::conditions(
        &mut table,
        "query",
        false,
        "the same for the parameters of the query, compared decoded",
    );
    let request_headers = edits::read(
        &mut table,
        "request_headers",
        path.as_ref(),
        "changes to the fields of the request, see below",
    );
    let response_headers = edits::read(
        &mut table,
        "response_headers",
        path.as_ref(),
        "changes to the fields of the response, see below",
    );
    let action = actions::read(&mut table, path.as_ref(), upstreams);
    if matches!(action, Some(Action::Redirect(_) | Action::Respond(_))) && !request_headers.is_empty() {
        report.add(&table.span, "'request_headers' has no effect without 'upstream'; remove it");
    }
    let (authentication, authorization) = access::read(&mut table, authenticators);
    let limits = limits::names(&mut table, known_limits);
    let mut traces = true;
    table.set(&mut traces, "traces", Switch, "whether its requests are traced, where there is `[traces]`");
    let policies = policies::read(&mut table, path.as_ref());
    let max_body_bytes =
        table.get("max_body_bytes", size(0..=1 << 50), "the listener's", "the longest request body");
    let request_timeout = table.get(
        "request_timeout",
        Duration::Positive,
        "none",
        "from the head of a request to the end of its response; then 504, or the response breaks off",
    );
    let per_try_timeout =
        table.placed("per_try_timeout", Duration::Positive, "the upstream's", "the longest time of one try");
    if let (Some(one), Some(all)) = (&per_try_timeout, request_timeout)
        && one.value > all
    {
        let text = "'per_try_timeout' has no effect: it is longer than 'request_timeout'";
        report.warn(&one.span, warning::TIMEOUT_ORDER, text);
    }
    let per_try_timeout = per_try_timeout.map(|timeout| timeout.value);
    table.finish();
    // Checks of a partly read route would only report consequences.
    if report.count() > before {
        return None;
    }
    let path = path?;
    let mut route = Route {
        name: String::new(),
        place,
        hosts,
        path,
        methods,
        headers,
        query,
        authentication,
        authorization,
        path_policy,
        action: action?,
        request_headers,
        response_headers,
        traces,
        policies,
        limits,
        max_body_bytes,
        request_timeout,
        per_try_timeout,
    };
    route.name = name.unwrap_or_else(|| describe(&route));
    Some(route)
}

/// A name for a route without one.
fn describe(route: &Route) -> String {
    let path = match &route.path {
        PathMatch::Prefix(prefix) if prefix.is_empty() => "/".to_owned(),
        PathMatch::Prefix(path) => path.clone(),
        PathMatch::Exact(path) => format!("={path}"),
        PathMatch::Template(segments) => segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Parameter(name) => format!("/{{{name}}}"),
                Segment::Rest(name) => format!("/{{*{name}}}"),
            })
            .collect(),
    };
    let conditions: String = route
        .headers
        .iter()
        .chain(&route.query)
        .map(|condition| match &condition.test {
            super::Test::Is(text) => format!(" {}={text}", condition.name),
            super::Test::Present => format!(" {}", condition.name),
            super::Test::Absent => format!(" !{}", condition.name),
        })
        .collect();
    let rest = format!("{}{path}{conditions}", route.hosts.join(","));
    if route.methods.is_empty() {
        rest
    } else {
        let methods: Vec<&str> = route.methods.iter().map(Method::as_str).collect();
        format!("{} {rest}", methods.join(","))
    }
}

fn hosts(table: &mut Reader<'_, '_>) -> Vec<String> {
    let report = table.report;
    let given = table.get(
        "hosts",
        List(Parsed { label: "host", pattern: None, read: pattern }),
        "any",
        "host names without port; `\"*.example.com\"` is every name below `example.com`",
    );
    let mut hosts: Vec<String> = Vec::new();
    for Placed { value: host, span } in given.unwrap_or_default() {
        if hosts.contains(&host) {
            report.add(&span, format!("the host '{host}' is there twice; remove one"));
        }
        hosts.push(host);
    }
    hosts
}

fn pattern(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let (wildcard, name) = match text.value.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text.value.as_str()),
    };
    // An IPv6 address has brackets, as in requests.
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let checked = match bare {
        Some(address) if wildcard.is_empty() && address.contains(':') => address
            .parse::<std::net::Ipv6Addr>()
            .map(|address| format!("[{address}]"))
            .map_err(|_| "in brackets stands an IPv6 address"),
        _ if name.contains(':') => Err("it has a port"),
        _ => domain::check(name).map(|name| name.trim_end_matches('.').to_owned()),
    };
    match checked {
        Ok(host) => Some(format!("{wildcard}{host}")),
        Err(reason) => {
            let shown = text.value.escape_debug();
            report.add(
                &text.span,
                format!(
                    "'{shown}' is not a host: {reason}; write \"api.example.com\" or \"*.example.com\", without port"
                ),
            );
            None
        }
    }
}

pub(super) fn method(text: &Placed<String>, report: &Report<'_>) -> Option<Method> {
    let shown = text.value.escape_debug();
    if !token::is_token(text.value.as_bytes()) {
        report.add(&text.span, format!("'{shown}' is not a method; write one such as 'GET'"));
        return None;
    }
    // Methods are case-sensitive (RFC 9110 section 9.1), so this would match nothing.
    let upper = text.value.to_ascii_uppercase();
    if upper != text.value {
        report.add(&text.span, format!("'{shown}' is not a method; write '{upper}'"));
        return None;
    }
    Method::from_bytes(text.value.as_bytes()).ok()
}
