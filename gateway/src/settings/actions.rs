//! Reads what answers the requests of a route.

use http::StatusCode;
use toml::de::DeValue;

use super::reader::{Reader, found, integer};
use super::report::{Placed, Report};
use super::templates::{self, Scope, Use};
use super::{
    Action, Forward, HostRewrite, Mirror, PathMatch, Redirect, Respond, Share, Upstream, paths, units,
};

/// Reads `upstream` or `split`, with `mirror` and `rewrite`, or `redirect`, or `respond`.
pub fn read(table: &mut Reader<'_, '_>, path: Option<&PathMatch>, upstreams: &[Upstream]) -> Option<Action> {
    const KINDS: [&str; 4] = ["upstream", "split", "redirect", "respond"];
    let report = table.report;
    let given: Vec<&str> = KINDS.into_iter().filter(|key| table.has(key)).collect();
    match given[..] {
        [] => table.lacks("upstream", "\"NAME\", or 'split', 'redirect' or 'respond'"),
        [_] => {}
        [first, second, ..] => {
            report.add(&table.span, format!("a route has one of '{first}' and '{second}'; remove one"));
        }
    }
    let forwards = table.has("upstream") || table.has("split");
    for key in ["rewrite", "mirror"] {
        if !forwards && !given.is_empty() && table.has(key) {
            report.add(&table.span, format!("'{key}' has no effect without 'upstream'; remove it"));
        }
    }
    let any = PathMatch::Prefix(String::new());
    let path = path.unwrap_or(&any);
    let mut split = Vec::new();
    if let Some(name) = table.string("upstream") {
        split.extend(find(&name, upstreams, report).map(|upstream| Share { upstream, weight: 1 }));
    }
    split.extend(shares(table, upstreams));
    let mirror = table.table("mirror").and_then(|table| mirror(table, upstreams));
    let (new_path, new_host) = table.table("rewrite").map_or((None, None), |table| rewrite(table, path));
    let redirect = table.table("redirect").map(|table| redirect(table, path));
    let respond = table.table("respond").and_then(respond);
    if let Some(redirect) = redirect {
        return Some(Action::Redirect(redirect));
    }
    if let Some(respond) = respond {
        return Some(Action::Respond(respond));
    }
    if split.is_empty() {
        return None;
    }
    Some(Action::Forward(Forward { split, mirror, path: new_path, host: new_host }))
}

fn shares(table: &mut Reader<'_, '_>, upstreams: &[Upstream]) -> Vec<Share> {
    let report = table.report;
    let span = table.span.clone();
    let given = table.has("split");
    let mut shares = Vec::new();
    let before = report.count();
    for item in table.list("split", "a list of tables with upstream and weight") {
        let Some(mut share) = Reader::new(item, "split", report) else { continue };
        let upstream = share.required("upstream", "\"NAME\"").and_then(|name| find(&name, upstreams, report));
        if !share.has("weight") {
            share.lacks("weight", "1");
        }
        let weight = share.count("weight", 0..=1_000_000);
        share.finish();
        shares.extend(upstream.zip(weight).map(|(upstream, weight)| Share { upstream, weight }));
    }
    if given && report.count() == before && shares.iter().all(|share| share.weight == 0) {
        report.add(&span, "'split' gives no upstream any weight; let one be above 0");
    }
    shares
}

fn mirror(mut table: Reader<'_, '_>, upstreams: &[Upstream]) -> Option<Mirror> {
    let report = table.report;
    let upstream = table.required("upstream", "\"NAME\"").and_then(|name| find(&name, upstreams, report));
    let percent = table.count("percent", 0..=100).unwrap_or(100);
    table.finish();
    Some(Mirror { upstream: upstream?, percent })
}

fn rewrite(mut table: Reader<'_, '_>, path: &PathMatch) -> (Option<super::PathRewrite>, Option<HostRewrite>) {
    let new_path = paths::rewrite(&mut table, path);
    let host = table.string("host").and_then(|text| {
        if text.value == "{endpoint}" {
            return Some(HostRewrite::Endpoint);
        }
        let scope = Scope { path: Some(path), place: Use::Host };
        templates::read(&text, scope, table.report).map(HostRewrite::Template)
    });
    table.finish();
    (new_path, host)
}

fn redirect(mut table: Reader<'_, '_>, path: &PathMatch) -> Redirect {
    let changes = ["scheme", "host", "port", "prefix", "path"];
    if !changes.iter().any(|key| table.has(key)) {
        table.lacks("path", "\"/new\", or scheme = \"https\"");
    }
    let statuses = [301, 302, 303, 307, 308];
    let status = status(&mut table, "301, 302, 303, 307 or 308", |status| statuses.contains(&status));
    let redirect = Redirect {
        status: status.unwrap_or(StatusCode::PERMANENT_REDIRECT),
        scheme: table.word("scheme", &[("http", "http"), ("https", "https")]),
        host: templates::take(&mut table, "host", Scope { path: Some(path), place: Use::Host }),
        port: table.count("port", 1..=65535),
        path: paths::rewrite(&mut table, path),
    };
    table.finish();
    redirect
}

fn respond(mut table: Reader<'_, '_>) -> Option<Respond> {
    if !table.has("status") {
        table.lacks("status", "200");
    }
    let report = table.report;
    let span = table.span.clone();
    let status = status(&mut table, "a status from 200 to 599", |status| (200..=599).contains(&status));
    let body = table.string("body").map(|body| body.value).unwrap_or_default();
    let content_type = table.string("content_type");
    table.finish();
    let status = status?;
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
    if matches!(status.as_u16(), 204 | 205 | 304) && !body.is_empty() {
        report.add(&span, format!("a response with {} has no body; remove 'body'", status.as_u16()));
    }
    if let Some(kind) = &content_type
        && !kind.value.bytes().all(crate::http::token::is_field_value)
    {
        report.add(&kind.span, "'content_type' holds control characters; remove them");
    }
    let content_type = content_type.map(|kind| kind.value);
    let content_type = if body.is_empty() {
        content_type
    } else {
        content_type.or_else(|| Some("text/plain; charset=utf-8".to_owned()))
    };
    Some(Respond { status, content_type, body })
}

fn status(table: &mut Reader<'_, '_>, expected: &str, good: impl FnOnce(u16) -> bool) -> Option<StatusCode> {
    let value = table.take("status")?;
    let number = match value.get_ref() {
        DeValue::Integer(number) => integer(number).and_then(|number| u16::try_from(number).ok()),
        _ => None,
    };
    let status = number.filter(|&number| good(number)).and_then(|number| StatusCode::from_u16(number).ok());
    if status.is_none() {
        let found = found(value.get_ref());
        table.report.add(&value.span(), format!("'status' must be {expected}, not {found}"));
    }
    status
}

fn find(name: &Placed<String>, upstreams: &[Upstream], report: &Report<'_>) -> Option<String> {
    if upstreams.iter().any(|upstream| upstream.name == name.value) {
        return Some(name.value.clone());
    }
    let shown = name.value.escape_debug();
    let names = upstreams.iter().map(|upstream| upstream.name.as_str());
    let advice = match units::nearest(&name.value, names) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("add [upstreams.{shown}]"),
    };
    report.add(&name.span, format!("there is no upstream '{shown}'; {advice}"));
    None
}
