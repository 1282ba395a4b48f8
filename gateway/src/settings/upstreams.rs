//! Reads `[upstreams.NAME]`.

use toml::de::DeValue;

use super::reader::{Reader, found, integer, put};
use super::report::Placed;
use super::{
    Balance, Certificate, Circuit, FileKind, HashKey, Outlier, Probe, Retries, Scheme, Upstream, UpstreamTls,
    domain, endpoints,
};
use crate::endpoint::{Protocol, Statuses};
use crate::http::token::is_token;
use crate::proxy_protocol::Version;

const EXAMPLE: &str = "[\"10.0.0.1:8080\"]";

/// Reads all upstreams of the file. There may be none, if the routes need none.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Upstream> {
    let report = root.report;
    let mut upstreams = Vec::new();
    if !root.has("upstreams") && !root.has("routes") {
        report.add_global(format!("there is no upstream; add [upstreams.NAME] with endpoints = {EXAMPLE}"));
    }
    let Some(mut table) = root.take("upstreams").and_then(|value| Reader::new(value, "[upstreams]", report))
    else {
        return upstreams;
    };
    for (name, value) in table.rest() {
        if let Some(table) = Reader::new(value, &format!("[upstreams.{}]", name.value), report) {
            upstreams.push(upstream(name, table));
        }
    }
    upstreams
}

fn upstream(name: Placed<String>, mut table: Reader<'_, '_>) -> Upstream {
    let report = table.report;
    let mut upstream = Upstream { name: name.value, place: report.place(&name.span), ..Upstream::default() };
    let before = report.count();
    upstream.endpoints = endpoints::read(&mut table);
    if upstream.endpoints.is_empty() && report.count() == before {
        table.lacks("endpoints", EXAMPLE);
    }
    let protocols = [("auto", Protocol::Auto), ("http1", Protocol::Http1), ("http2", Protocol::Http2)];
    put(&mut upstream.protocol, table.word("protocol", &protocols));
    let has_tls = table.has("tls");
    put(&mut upstream.tls, table.table("tls").map(tls));
    put(&mut upstream.balance, balance(&mut table));
    upstream.outlier = outlier(&mut table);
    upstream.probe = table.table("probe").and_then(probe);
    put(&mut upstream.slow_start, table.duration_or_zero("slow_start"));
    upstream.circuit = table.table("circuit").and_then(circuit);
    put(&mut upstream.retries, retries(&mut table));
    let versions = [("off", None), ("v1", Some(Version::V1)), ("v2", Some(Version::V2))];
    put(&mut upstream.proxy_protocol, table.word("proxy_protocol", &versions));
    put(&mut upstream.max_header_bytes, table.size("max_header_bytes", 1024..=1 << 20));
    put(&mut upstream.max_headers, table.count("max_headers", 8..=1024));
    put(&mut upstream.connect_timeout, table.duration("connect_timeout"));
    put(&mut upstream.response_timeout, table.duration("response_timeout"));
    put(&mut upstream.body_timeout, table.duration("body_timeout"));
    put(&mut upstream.idle_timeout, table.duration("idle_timeout"));
    put(&mut upstream.max_idle, table.count("max_idle", 0..=65536));
    let of = |scheme| upstream.endpoints.iter().find(|endpoint| endpoint.scheme == scheme);
    if let (Some(endpoint), Protocol::Http1) = (of(Scheme::H2c), upstream.protocol) {
        report.add(
            &table.span,
            format!("'h2c://{endpoint}' is HTTP/2, but 'protocol' is \"http1\"; change one of them"),
        );
    }
    if has_tls && of(Scheme::Https).is_none() && !upstream.endpoints.is_empty() {
        report.add(&table.span, "'tls' has no effect without https:// endpoints; add https:// or remove it");
    }
    table.finish();
    upstream
}

fn tls(mut table: Reader<'_, '_>) -> UpstreamTls {
    let report = table.report;
    let ca = table.string("ca").map(|file| report.file(FileKind::Authorities, &file));
    let identity = certificate(&mut table, false);
    let server_name = table.string("server_name").and_then(|name| match domain::check(&name.value) {
        Ok(name) => Some(name),
        Err(reason) => {
            let shown = name.value.escape_debug();
            report.add(&name.span, format!("'{shown}' is not a host: {reason}"));
            None
        }
    });
    table.finish();
    UpstreamTls { ca, identity, server_name }
}

/// Reads `certificate` and `key`; one without the other is a problem, both are noted.
pub fn certificate(table: &mut Reader<'_, '_>, required: bool) -> Option<Certificate> {
    let report = table.report;
    let needed = required || table.has("certificate") || table.has("key");
    let mut file = |key, example, kind| {
        let text = if needed { table.required(key, example) } else { table.string(key) };
        text.map(|text| report.file(kind, &text))
    };
    let certificate = file("certificate", "\"/etc/gateway/tls.crt\"", FileKind::Chain);
    let key = file("key", "\"/etc/gateway/tls.key\"", FileKind::Key);
    Some(Certificate { certificate: certificate?, key: key? })
}

fn balance(table: &mut Reader<'_, '_>) -> Option<Balance> {
    let words = [
        ("round_robin", Some(Balance::RoundRobin)),
        ("least_requests", Some(Balance::LeastRequests)),
        ("hash", None),
    ];
    let word = table.word("balance", &words);
    let report = table.report;
    let span = table.span.clone();
    let hash = table.table("hash");
    match (word, hash) {
        (None, None) => None,
        (Some(Some(balance)), None) => Some(balance),
        (Some(None), None) => {
            report.add(&span, "balance = \"hash\" lacks its key; add hash = { client_address = true }");
            None
        }
        (Some(Some(_)), Some(hash)) => {
            report.add(&hash.span, "'hash' has no effect; write balance = \"hash\" or remove it");
            None
        }
        (None | Some(None), Some(hash)) => hash_of(hash),
    }
}

fn hash_of(mut table: Reader<'_, '_>) -> Option<Balance> {
    let header = table.string("header");
    let cookie = table.string("cookie");
    let address = table.boolean("client_address").unwrap_or(false);
    let max_load_percent = table.count("max_load_percent", 101..=1000).unwrap_or(125);
    let report = table.report;
    let span = table.span.clone();
    table.finish();
    for name in header.iter().chain(&cookie) {
        if !is_token(name.value.as_bytes()) {
            report.add(&name.span, format!("'{}' is not a name", name.value.escape_debug()));
            return None;
        }
    }
    let key = match (header, cookie, address) {
        (Some(name), None, false) => HashKey::Header(name.value.to_ascii_lowercase()),
        (None, Some(name), false) => HashKey::Cookie(name.value),
        (None, None, true) => HashKey::ClientAddress,
        _ => {
            report.add(
                &span,
                "hash needs one key: header = \"NAME\", cookie = \"NAME\" or client_address = true",
            );
            return None;
        }
    };
    Some(Balance::Hash { key, max_load_percent })
}

fn outlier(table: &mut Reader<'_, '_>) -> Option<Outlier> {
    let report = table.report;
    let mut outlier = Outlier::default();
    let cooldown = table.duration_or_zero("cooldown");
    let has_cooldown = cooldown.is_some();
    put(&mut outlier.base_ejection, cooldown);
    if let Some(mut table) = table.table("outlier") {
        put(&mut outlier.failures, table.count("failures", 1..=1000));
        put(&mut outlier.connect_failures, table.count("connect_failures", 1..=1000));
        put(&mut outlier.statuses, statuses(&mut table, "statuses"));
        if has_cooldown && table.has("base_ejection") {
            report.add(
                &table.span,
                "'cooldown' is another name for 'outlier.base_ejection'; remove one of them",
            );
        }
        put(&mut outlier.base_ejection, table.duration_or_zero("base_ejection"));
        put(&mut outlier.max_ejection, table.duration("max_ejection"));
        put(&mut outlier.max_ejected_percent, table.count("max_ejected_percent", 0..=100));
        table.finish();
    }
    outlier.max_ejection = outlier.max_ejection.max(outlier.base_ejection);
    (!outlier.base_ejection.is_zero()).then_some(outlier)
}

fn probe(mut table: Reader<'_, '_>) -> Option<Probe> {
    let report = table.report;
    let path = table.required("path", "\"/healthz\"");
    let interval = table.duration("interval").unwrap_or(std::time::Duration::from_secs(10));
    let timeout = table.duration("timeout").unwrap_or(std::time::Duration::from_secs(2));
    let accepted = statuses(&mut table, "statuses").unwrap_or_else(|| Statuses::new([(200, 299)]));
    let host = table.string("host");
    let healthy_after = table.count("healthy_after", 1..=100).unwrap_or(2);
    let unhealthy_after = table.count("unhealthy_after", 1..=100).unwrap_or(3);
    table.finish();
    let path = path?;
    let mut target = crate::http::target::Target::default();
    if !path.value.starts_with('/') || target.read_http1(b"GET", path.value.as_bytes(), None, true).is_err() {
        let shown = path.value.escape_debug();
        report.add(
            &path.span,
            format!("'{shown}' is not the path of a request; write one such as \"/healthz\""),
        );
        return None;
    }
    let mut written = Vec::new();
    target.write_to(&mut written);
    if let Some(host) = &host
        && crate::http::host::read(host.value.as_bytes(), &mut String::new()).is_err()
    {
        report.add(&host.span, format!("'{}' is not a host", host.value.escape_debug()));
    }
    Some(Probe {
        path: String::from_utf8(written).ok()?,
        interval,
        timeout,
        statuses: accepted,
        host: host.map(|host| host.value),
        healthy_after,
        unhealthy_after,
    })
}

fn circuit(mut table: Reader<'_, '_>) -> Option<Circuit> {
    if !table.has("max_requests") {
        table.lacks("max_requests", "1000");
    }
    let max_requests = table.count("max_requests", 1..=1_000_000);
    let max_pending = table.count("max_pending", 0..=1_000_000).unwrap_or(100);
    let queue_timeout = table.duration("queue_timeout").unwrap_or(std::time::Duration::from_secs(1));
    table.finish();
    Some(Circuit { max_requests: max_requests?, max_pending, queue_timeout })
}

/// Reads `retries`: a number, or a table.
fn retries(table: &mut Reader<'_, '_>) -> Option<Retries> {
    let report = table.report;
    let mut retries = Retries::default();
    let value = table.take("retries")?;
    let span = value.span();
    match value.get_ref() {
        DeValue::Integer(number) if integer(number).is_some_and(|number| number <= 10) => {
            put(&mut retries.attempts, integer(number).and_then(|number| u32::try_from(number).ok()));
        }
        DeValue::Table(_) => {
            let mut table = Reader::new(value, "retries", report)?;
            put(&mut retries.attempts, table.count("attempts", 0..=10));
            put(&mut retries.statuses, statuses(&mut table, "statuses"));
            retries.per_try_timeout = table.duration("per_try_timeout");
            put(&mut retries.budget_percent, table.count("budget_percent", 0..=100));
            table.finish();
        }
        other => {
            let found = found(other);
            report
                .add(&span, format!("'retries' must be a whole number from 0 to 10 or a table, not {found}"));
        }
    }
    Some(retries)
}

/// Reads a list of statuses: numbers, or texts such as "5xx".
fn statuses(table: &mut Reader<'_, '_>, key: &'static str) -> Option<Statuses> {
    if !table.has(key) {
        // Taken all the same, so that the key is known.
        table.take(key);
        return None;
    }
    let mut ranges = Vec::new();
    for item in table.list(key, "a list of statuses such as [503, \"5xx\"]") {
        let range = match item.get_ref() {
            DeValue::Integer(number) => integer(number)
                .and_then(|status| u16::try_from(status).ok())
                .filter(|status| (100..=599).contains(status))
                .map(|status| (status, status)),
            DeValue::String(text) => match text.as_bytes() {
                &[class @ b'1'..=b'5', b'x', b'x'] => {
                    let first = u16::from(class - b'0') * 100;
                    Some((first, first + 99))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(range) = range {
            ranges.push(range);
        } else {
            let found = found(item.get_ref());
            table
                .report
                .add(&item.span(), format!("'{key}' must hold statuses such as 503 or \"5xx\", not {found}"));
        }
    }
    Some(Statuses::new(ranges))
}
