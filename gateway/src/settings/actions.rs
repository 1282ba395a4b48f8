//! Reads the action of a route.

use http::StatusCode;
use toml::de::DeValue;

use super::kinds::{Kind, Parsed, Shown, Slot, Text, Value, count, words};
use super::reader::{Reader, integer};
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::templates::{self, Scope, Use};
use super::{
    Action, Forward, HostRewrite, Mirror, PathMatch, Redirect, Respond, Share, Upstream, paths, units,
};
use crate::json::Json;

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
    for key in ["rewrite", "mirror", "request_query", "max_response_bytes", "compression", "head"] {
        if !forwards && !given.is_empty() && table.has(key) {
            report.add(&table.span, format!("'{key}' has no effect without 'upstream'; remove it"));
        }
    }
    table.one_of(&KINDS);
    let any = PathMatch::Prefix(String::new());
    let path = path.unwrap_or(&any);
    let mut split = Vec::new();
    let upstream = table.get("upstream", name_of(upstreams), "", "the name of an upstream");
    split.extend(upstream.map(|upstream| Share { upstream, weight: 1 }));
    split.extend(shares(table, upstreams));
    let mirror = table.table("mirror", "none", "copies of requests for another upstream, see below");
    let mirror = mirror.and_then(|table| mirror_of(table, upstreams));
    let rewrite = table.table("rewrite", "none", "path and host for the upstream, see below");
    let (new_path, new_host) = rewrite.map_or((None, None), |table| rewrite_of(table, path));
    let redirect = table.table("redirect", "", "a response that sends the client elsewhere, see below");
    let redirect = redirect.map(|table| redirect_of(table, path));
    let respond = table.table("respond", "", "a fixed response, see below").and_then(respond_of);
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
    let tables = table.tables("split", "split", Otherwise::Words(""), "several upstreams with weights");
    for mut share in tables {
        let upstream = share.need("upstream", name_of(upstreams), "\"NAME\"", "the name of an upstream");
        let weight = share.need(
            "weight",
            count(0..=1_000_000),
            "1",
            "its share of the requests against the others; 0 for none",
        );
        share.finish();
        if let (Some(upstream), Some(weight)) = (upstream, weight) {
            shares.push(Share { upstream: upstream.value, weight: weight.value });
        }
    }
    if given && report.count() == before && shares.iter().all(|share| share.weight == 0) {
        report.add(&span, "'split' gives no upstream any weight; let one be above 0");
    }
    shares
}

fn mirror_of(mut table: Reader<'_, '_>, upstreams: &[Upstream]) -> Option<Mirror> {
    let upstream = table.need(
        "upstream",
        name_of(upstreams),
        "\"NAME\"",
        "the upstream that gets the copies; its responses are dropped",
    );
    let mut percent = 100;
    table.set(&mut percent, "percent", count(0..=100), "how many requests are copied");
    table.finish();
    Some(Mirror { upstream: upstream?.value, percent })
}

fn rewrite_of(
    mut table: Reader<'_, '_>,
    path: &PathMatch,
) -> (Option<super::PathRewrite>, Option<HostRewrite>) {
    let new_path = paths::rewrite(&mut table, path);
    let host = |text: &Placed<String>, report: &Report<'_>| {
        if text.value == "{endpoint}" {
            return Some(HostRewrite::Endpoint);
        }
        let scope = Scope { path: Some(path), place: Use::Host };
        templates::read(text, scope, report).map(HostRewrite::Template)
    };
    let host = table.get(
        "host",
        Parsed { label: "template", pattern: None, read: host },
        "the client's",
        "the field `Host`; `\"{endpoint}\"` is the host of the endpoint",
    );
    table.finish();
    (new_path, host)
}

fn redirect_of(mut table: Reader<'_, '_>, path: &PathMatch) -> Redirect {
    let changes = ["scheme", "host", "port", "prefix", "path"];
    if !changes.iter().any(|key| table.has(key)) {
        table.lacks("path", "\"/new\", or scheme = \"https\"");
    }
    let mut redirect =
        Redirect { status: StatusCode::PERMANENT_REDIRECT, scheme: None, host: None, port: None, path: None };
    table.set(
        &mut redirect.status,
        "status",
        StatusKind(&[301, 302, 303, 307, 308]),
        "the status of the response",
    );
    redirect.scheme = table.get(
        "scheme",
        words(&[("http", "http"), ("https", "https")]),
        "the request's",
        "the scheme to go to",
    );
    redirect.host = table.get(
        "host",
        templates::template("template", Scope { path: Some(path), place: Use::Host }),
        "the request's",
        "the host to go to",
    );
    redirect.port = table.get(
        "port",
        count(1..=65535),
        "the request's, or the one of a new `scheme`",
        "the port to go to",
    );
    redirect.path = paths::rewrite(&mut table, path);
    table.finish();
    redirect
}

fn respond_of(mut table: Reader<'_, '_>) -> Option<Respond> {
    let report = table.report;
    let span = table.span.clone();
    let status = table.need("status", StatusKind(&[]), "200", "the status of the response");
    let body = table.get("body", Text, "empty", "the body").unwrap_or_default();
    let content_type = table.get(
        "content_type",
        Parsed { label: "text", pattern: None, read: field_value },
        "`\"text/plain; charset=utf-8\"` with a body",
        "the field `Content-Type`",
    );
    table.finish();
    let status = status?.value;
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
    if matches!(status.as_u16(), 204 | 205 | 304) && !body.is_empty() {
        report.add(&span, format!("a response with {} has no body; remove 'body'", status.as_u16()));
    }
    let content_type = if body.is_empty() {
        content_type
    } else {
        content_type.or_else(|| Some("text/plain; charset=utf-8".to_owned()))
    };
    Some(Respond { status, content_type, body })
}

fn field_value(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let good = text.value.bytes().all(crate::http::token::is_field_value);
    if !good {
        report.add(&text.span, "'content_type' holds control characters; remove them");
    }
    good.then(|| text.value.clone())
}

/// One of these statuses; if empty, any from 200 to 599.
#[derive(Debug, Clone, Copy)]
struct StatusKind(&'static [u16]);

impl StatusKind {
    fn listed(self) -> Option<String> {
        let (last, rest) = self.0.split_last()?;
        let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
        Some(format!("{} or {last}", rest.join(", ")))
    }
}

impl Kind for StatusKind {
    type Value = StatusCode;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<StatusCode> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => integer(number).and_then(|number| u16::try_from(number).ok()),
            _ => None,
        };
        let good = |number: &u16| {
            if self.0.is_empty() { (200..=599).contains(number) } else { self.0.contains(number) }
        };
        let status = number.filter(good).and_then(|number| StatusCode::from_u16(number).ok());
        if status.is_none() {
            slot.wrong(value, &self.listed().unwrap_or_else(|| "a status from 200 to 599".to_owned()));
        }
        status
    }

    fn label(&self) -> String {
        self.listed().unwrap_or_else(|| "200 to 599".to_owned())
    }

    fn schema(&self) -> Json {
        if self.0.is_empty() {
            return count::<u64>(200..=599).schema();
        }
        Json::object([("enum", Json::list(self.0.iter().map(|&status| Json::Number(status.into()))))])
    }
}

impl Shown for StatusKind {
    fn show(&self, value: &StatusCode) -> Json {
        Json::Number(value.as_u16().into())
    }
}

/// The name of an upstream in the file.
pub fn name_of(
    upstreams: &[Upstream],
) -> Parsed<impl Fn(&Placed<String>, &Report<'_>) -> Option<String> + '_> {
    let read = move |name: &Placed<String>, report: &Report<'_>| find(name, upstreams, report);
    Parsed { label: "name of an upstream", pattern: None, read }
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
