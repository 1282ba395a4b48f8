//! Reads the policies of a route.

use std::time;

use super::kinds::{Duration, DurationOrNone, List, Parsed, Switch, Text, size, words};
use super::network::NETWORK;
use super::reader::{Either, Reader};
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::templates::{self, Scope, Use};
use super::{
    ClientNetworks, Compression, Maintenance, PathMatch, Policies, QueryEdits, SecurityHeaders, Template,
    cors,
};
use crate::http::coding::Coding;
use crate::http::token::is_field_value;

/// Reads all policies of a route with this path.
pub fn read(table: &mut Reader<'_, '_>, path: Option<&PathMatch>) -> Policies {
    let clients = table.table("clients", "any", "the addresses that may send requests, see below");
    let cors = table.table("cors", "none", "what other sites may do in a browser, see below");
    let doc = "refuses requests with 503, see below; in place of the one for all routes";
    let maintenance = table.table("maintenance", "the global one", doc).map(maintenance);
    let query = query(table, path);
    let head = words(&[("forward", false), ("get", true)]);
    let mut head_by_get = false;
    table.set(
        &mut head_by_get,
        "head",
        head,
        "`\"get\"` forwards a HEAD as a GET and drops the body, for services that do not know HEAD",
    );
    let max_response_bytes = table.get(
        "max_response_bytes",
        size(0..=1 << 50),
        "none",
        "the longest response body of the upstream; beyond it 502, or the response breaks off",
    );
    let security_headers = security_headers(table);
    let compression = compression(table);
    Policies {
        clients: clients.map(networks),
        cors: cors.map(cors::read),
        maintenance,
        query,
        head_by_get,
        max_response_bytes,
        security_headers,
        compression,
    }
}

fn values<T>(list: Option<Vec<Placed<T>>>) -> Vec<T> {
    list.unwrap_or_default().into_iter().map(|item| item.value).collect()
}

fn networks(mut table: Reader<'_, '_>) -> ClientNetworks {
    if !table.has("allow") && !table.has("deny") {
        table.lacks("deny", "[\"192.0.2.0/24\"], or 'allow'");
    }
    let allow = table.get("allow", List(NETWORK), "any", "who may; all others may not");
    let deny = table.get("deny", List(NETWORK), "none", "who may not, also if `allow` has the address");
    table.finish();
    ClientNetworks { allow: values(allow), deny: values(deny) }
}

/// Reads `maintenance` of a route or of the whole gateway.
pub fn maintenance(mut table: Reader<'_, '_>) -> Maintenance {
    let mut enabled = true;
    table.set(&mut enabled, "enabled", Switch, "whether requests are refused");
    let retry_after =
        table.get("retry_after", Duration::Positive, "none", "the field `Retry-After`, in whole seconds");
    let exempt = table.get("exempt", List(NETWORK), "none", "addresses that are served all the same");
    let body = table.get("body", Text, "a line of text", "the body of the response");
    let mut content_type = "text/html; charset=utf-8".to_owned();
    let kind = Parsed { label: "text", pattern: None, read: field_value };
    content_type = table
        .get("content_type", kind, "`\"text/html; charset=utf-8\"`", "its `Content-Type`")
        .unwrap_or(content_type);
    table.finish();
    Maintenance { enabled, retry_after, exempt: values(exempt), body, content_type }
}

/// A text that is a valid field value.
pub(super) fn field_value(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let is_good = text.value.bytes().all(is_field_value);
    if !is_good {
        report.add(&text.span, "the value holds control characters; remove them");
    }
    is_good.then(|| text.value.clone())
}

fn query(table: &mut Reader<'_, '_>, path: Option<&PathMatch>) -> QueryEdits {
    let doc = "changes to the query for the upstream, after `rewrite`, see below";
    let mut table = table.section("request_query", doc);
    let remove = table.get("remove", List(Text), "none", "names of parameters to remove");
    let mut parameters = |key: &'static str, doc: &'static str| -> Vec<(String, Template)> {
        let kind = templates::field_value(Scope { path, place: Use::Field });
        let found = table.values(key, kind, doc, |_| false).into_iter();
        found.filter_map(|(name, value)| Some((name.value, value?.value))).collect()
    };
    let set = parameters("set", "names and values: replaces all parameters of the name");
    let add = parameters("add", "names and values: adds a parameter");
    table.finish();
    QueryEdits { remove: values(remove), set, add }
}

fn security_headers(table: &mut Reader<'_, '_>) -> Option<SecurityHeaders> {
    const FRAMES: [(&str, Option<&str>); 3] =
        [("deny", Some("DENY")), ("sameorigin", Some("SAMEORIGIN")), ("none", None)];
    let mut headers = SecurityHeaders {
        hsts: Some(time::Duration::from_hours(8760)),
        hsts_include_subdomains: false,
        hsts_preload: false,
        frame_options: Some("DENY"),
        referrer_policy: "strict-origin-when-cross-origin".to_owned(),
        content_security_policy: None,
        permissions_policy: None,
    };
    let doc = "adds fields that make browsers stricter, see below; `true` for the defaults";
    let mut table = match table.either("security_headers", Switch, Otherwise::Words("`false`"), doc)? {
        Either::Value(switch) => return switch.value.then_some(headers),
        Either::Table(table) => table,
    };
    table.set(
        &mut headers.hsts,
        "hsts",
        DurationOrNone,
        "`max-age` of `Strict-Transport-Security` (RFC 6797), which is sent over TLS only",
    );
    let subdomains = &mut headers.hsts_include_subdomains;
    table.set(subdomains, "hsts_include_subdomains", Switch, "whether it has `includeSubDomains`");
    table.set(&mut headers.hsts_preload, "hsts_preload", Switch, "whether it has `preload`");
    table.set(&mut headers.frame_options, "frame_options", words(&FRAMES), "`X-Frame-Options`");
    let text = || Parsed { label: "text", pattern: None, read: field_value };
    if let Some(policy) =
        table.get("referrer_policy", text(), "`\"strict-origin-when-cross-origin\"`", "`Referrer-Policy`")
    {
        headers.referrer_policy = policy;
    }
    headers.content_security_policy =
        table.get("content_security_policy", text(), "none", "`Content-Security-Policy`");
    headers.permissions_policy = table.get("permissions_policy", text(), "none", "`Permissions-Policy`");
    table.finish();
    Some(headers)
}

fn compression(table: &mut Reader<'_, '_>) -> Option<Compression> {
    const CODINGS: [(&str, Coding); 2] = [("br", Coding::Brotli), ("gzip", Coding::Gzip)];
    let mut compression = Compression {
        codings: vec![Coding::Brotli, Coding::Gzip],
        min_bytes: 1024,
        types: TYPES.iter().map(|&one| one.to_owned()).collect(),
    };
    let doc = "compresses responses, see below; `true` for the defaults";
    let mut table = match table.either("compression", Switch, Otherwise::Words("`false`"), doc)? {
        Either::Value(switch) => return switch.value.then_some(compression),
        Either::Table(table) => table,
    };
    let codings = table.placed(
        "codings",
        List(words(&CODINGS)),
        "`[\"br\", \"gzip\"]`",
        "the codings that are offered; the first counts where a client likes several as much",
    );
    if let Some(codings) = codings {
        if codings.value.is_empty() {
            table.report.add(&codings.span, "'codings' is empty; remove 'compression' instead");
        }
        compression.codings = values(Some(codings.value));
    }
    table.set(
        &mut compression.min_bytes,
        "min_bytes",
        size(0..=1 << 30),
        "the shortest body that is compressed, where its length is known",
    );
    let kind = Parsed { label: "media type such as `\"text/*\"`", pattern: None, read: media_type };
    if let Some(types) = table.get("types", List(kind), "texts, see below", "the types that are compressed") {
        compression.types = values(Some(types));
    }
    table.finish();
    Some(compression)
}

/// The media types that are compressed by default.
const TYPES: [&str; 11] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/javascript",
    "application/xml",
    "application/*+xml",
    "application/x-ndjson",
    "application/wasm",
    "image/svg+xml",
    "image/x-icon",
    "font/ttf",
];

fn media_type(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let lower = text.value.to_ascii_lowercase();
    let parts = lower.split_once('/');
    let is_good = parts.is_some_and(|(kind, rest)| {
        let is_token = |part: &str| crate::http::token::is_token(part.as_bytes());
        is_token(kind) && !kind.contains('*') && is_token(rest) && rest.matches('*').count() <= 1
    });
    if !is_good {
        let shown = text.value.escape_debug();
        report.add(&text.span, format!("'{shown}' is not a media type; write one such as \"text/*\""));
    }
    is_good.then_some(lower)
}
