//! Reads `[upstreams.NAME]`.

use std::time;

use super::kinds::{Duration, Parsed, Statuses, Switch, Text, count, size, words};
use super::reader::{Either, Reader};
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::{
    Balance, Certificate, Circuit, FileKind, HashKey, Outlier, Probe, Retries, Scheme, Upstream, UpstreamTls,
    domain, endpoints, warning,
};
use crate::endpoint::{self, Protocol};
use crate::http::token::is_token;
use crate::json::Json;
use crate::proxy_protocol::Version;

const EXAMPLE: &str = "[\"10.0.0.1:8080\"]";

/// Reads all upstreams in the file. There may be none, if the routes need none.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Upstream> {
    if !root.has("upstreams") && !root.has("routes") {
        root.report
            .add_global(format!("there is no upstream; add [upstreams.NAME] with endpoints = {EXAMPLE}"));
    }
    let tables = root.named("upstreams", "the services behind the gateway; needed where a route names one");
    tables.into_iter().map(|(name, table)| upstream(name, table)).collect()
}

fn upstream(name: Placed<String>, mut table: Reader<'_, '_>) -> Upstream {
    let report = table.report;
    let mut upstream = Upstream { name: name.value, place: report.place(&name.span), ..Upstream::default() };
    upstream.endpoints = endpoints::read(&mut table);
    let protocols = [("auto", Protocol::Auto), ("http1", Protocol::Http1), ("http2", Protocol::Http2)];
    table.set(
        &mut upstream.protocol,
        "protocol",
        words(&protocols),
        "`\"auto\"`: by ALPN over TLS, HTTP/2 for `h2c://`, otherwise HTTP/1.1",
    );
    let has_tls = table.has("tls");
    let tls = table.table("tls", "the system's authorities", "how `https://` endpoints are verified");
    upstream.tls = tls.map(tls_of).unwrap_or_default();
    upstream.balance = balance(&mut table).unwrap_or(upstream.balance);
    upstream.outlier = outlier(&mut table);
    let probe = table.table("probe", "none", "requests by which the gateway sees whether an endpoint works");
    upstream.probe = probe.and_then(probe_of);
    table.set(
        &mut upstream.slow_start,
        "slow_start",
        Duration::OrZero,
        "the time over which an endpoint that works again gets its full share",
    );
    let circuit = table.table("circuit", "none", "the most requests at a time");
    upstream.circuit = circuit.and_then(circuit_of);
    let versions = [("off", None), ("v1", Some(Version::V1)), ("v2", Some(Version::V2))];
    table.set(
        &mut upstream.proxy_protocol,
        "proxy_protocol",
        words(&versions),
        "the PROXY protocol header sent at the begin of a connection",
    );
    table.set(
        &mut upstream.max_header_bytes,
        "max_header_bytes",
        size(1024..=1 << 20),
        "the longest head of a response; beyond it 502",
    );
    table.set(
        &mut upstream.max_headers,
        "max_headers",
        count(8..=1024),
        "the most fields in it; beyond it 502",
    );
    table.set(
        &mut upstream.connect_timeout,
        "connect_timeout",
        Duration::Positive,
        "to resolve the name and connect, TLS included; then 504",
    );
    table.set(
        &mut upstream.response_timeout,
        "response_timeout",
        Duration::Positive,
        "from the last byte of a request to the head of its response; then 504",
    );
    upstream.retries = retries(&mut table, upstream.response_timeout);
    table.set(
        &mut upstream.body_timeout,
        "body_timeout",
        Duration::Positive,
        "how long a response body may pause",
    );
    table.set(
        &mut upstream.idle_timeout,
        "idle_timeout",
        Duration::Positive,
        "how long a connection is kept for reuse; let it be shorter than the server's",
    );
    table.set(
        &mut upstream.max_idle,
        "max_idle",
        count(0..=65536),
        "the most connections kept, for each endpoint and thread",
    );
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

fn tls_of(mut table: Reader<'_, '_>) -> UpstreamTls {
    let report = table.report;
    let ca = table.placed(
        "ca",
        Text,
        "the system's",
        "the certificates of the authorities to trust, in PEM; a server's own certificate must not be that of an authority (`CA:TRUE`, as `openssl req -x509` makes it), also where `ca` names it",
    );
    let ca = ca.map(|file| report.file(FileKind::Authorities, &file));
    let identity = certificate(&mut table, false, "none");
    let server_name = table.get(
        "server_name",
        Parsed { label: "host", pattern: Some("^[A-Za-z0-9._:-]+$"), read: host_name },
        "the endpoint's host",
        "the name to send (SNI) and to verify",
    );
    table.finish();
    UpstreamTls { ca, identity, server_name }
}

fn host_name(name: &Placed<String>, report: &Report<'_>) -> Option<String> {
    match domain::check(&name.value) {
        Ok(name) => Some(name),
        Err(reason) => {
            let shown = name.value.escape_debug();
            report.add(&name.span, format!("'{shown}' is not a host: {reason}"));
            None
        }
    }
}

/// Reads `certificate` and `key`; each requires the other, and both files are recorded. `otherwise` describes
/// the default, if they are not `required`.
pub fn certificate(
    table: &mut Reader<'_, '_>,
    required: bool,
    otherwise: &'static str,
) -> Option<Certificate> {
    const CHAIN: &str = "a certificate chain in PEM, the own one first";
    const KEY: &str = "its private key in PEM";
    let report = table.report;
    let needed = required || table.has("certificate") || table.has("key");
    let mut file = |key, example, kind, doc| {
        // With a description it is not always required, and the schema must not require it.
        if needed && !otherwise.is_empty() && !table.has(key) {
            table.lacks(key, example);
        }
        let text = if otherwise.is_empty() {
            table.need(key, Text, example, doc)
        } else {
            table.placed(key, Text, otherwise, doc)
        };
        text.map(|text| report.file(kind, &text))
    };
    let certificate = file("certificate", "\"/etc/gateway/tls.crt\"", FileKind::Chain, CHAIN);
    let key = file("key", "\"/etc/gateway/tls.key\"", FileKind::Key, KEY);
    Some(Certificate { certificate: certificate?, key: key? })
}

fn balance(table: &mut Reader<'_, '_>) -> Option<Balance> {
    let known = [
        ("round_robin", Some(Balance::RoundRobin)),
        ("least_requests", Some(Balance::LeastRequests)),
        ("hash", None),
    ];
    let word = table.get(
        "balance",
        words(&known),
        "`\"round_robin\"`; `\"hash\"` with `hash`",
        "which endpoint takes a request; `\"least_requests\"`: the less busy of two chosen at random",
    );
    let report = table.report;
    let span = table.span.clone();
    let hash = table.table("hash", "none", "what is hashed");
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

fn token(name: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let good = is_token(name.value.as_bytes());
    if !good {
        report.add(&name.span, format!("'{}' is not a name", name.value.escape_debug()));
    }
    good.then(|| name.value.clone())
}

fn hash_of(mut table: Reader<'_, '_>) -> Option<Balance> {
    let report = table.report;
    let before = report.count();
    let name = Parsed { label: "name", pattern: Some(TOKEN), read: token };
    let header = table.get("header", name, "none", "the name of a field");
    let cookie = table.get("cookie", name, "none", "the name of a cookie");
    let mut address = false;
    table.set(&mut address, "client_address", Switch, "the address of the client");
    let mut max_load_percent = 125;
    table.set(
        &mut max_load_percent,
        "max_load_percent",
        count(101..=1000),
        "an endpoint with more requests in flight than this part of the average gets no further ones",
    );
    let span = table.span.clone();
    table.finish();
    let key = match (header, cookie, address) {
        (Some(name), None, false) => HashKey::Header(name.to_ascii_lowercase()),
        (None, Some(name), false) => HashKey::Cookie(name),
        (None, None, true) => HashKey::ClientAddress,
        _ if report.count() > before => return None,
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

/// A token (RFC 9110 section 5.6.2) as a regular expression.
pub const TOKEN: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

fn outlier(table: &mut Reader<'_, '_>) -> Option<Outlier> {
    let report = table.report;
    let mut outlier = Outlier::default();
    let cooldown = table.get(
        "cooldown",
        Duration::OrZero,
        "`base_ejection` of `outlier`",
        "another name for `base_ejection` of `outlier`",
    );
    outlier.base_ejection = cooldown.unwrap_or(outlier.base_ejection);
    let mut table = table.section("outlier", "when an endpoint is ejected for its failures");
    table.set(
        &mut outlier.failures,
        "failures",
        count(1..=1000),
        "so many failures in a row: broken connections, timeouts, and `statuses`",
    );
    table.set(
        &mut outlier.connect_failures,
        "connect_failures",
        count(1..=1000),
        "so many failures to connect in a row",
    );
    table.set(
        &mut outlier.statuses,
        "statuses",
        Statuses,
        "which responses count as failures; `[]` for none",
    );
    if cooldown.is_some() && table.has("base_ejection") {
        report.add(&table.span, "'cooldown' is another name for 'outlier.base_ejection'; remove one of them");
    }
    table.set(
        &mut outlier.base_ejection,
        "base_ejection",
        Duration::OrZero,
        "how long the first time, and the growth; `\"0s\"` turns all of this off",
    );
    table.set(&mut outlier.max_ejection, "max_ejection", Duration::Positive, "the longest time");
    table.set(
        &mut outlier.max_ejected_percent,
        "max_ejected_percent",
        count(0..=100),
        "how many of the endpoints may be ejected at a time; one always may if there is another",
    );
    table.finish();
    outlier.max_ejection = outlier.max_ejection.max(outlier.base_ejection);
    (!outlier.base_ejection.is_zero()).then_some(outlier)
}

fn probe_of(mut table: Reader<'_, '_>) -> Option<Probe> {
    let path = table.need(
        "path",
        Parsed { label: "path", pattern: Some("^/"), read: probe_path },
        "\"/healthz\"",
        "what to ask for with GET",
    );
    let mut probe = Probe {
        path: String::new(),
        interval: time::Duration::from_secs(10),
        timeout: time::Duration::from_secs(2),
        statuses: endpoint::Statuses::new([(200, 299)]),
        host: None,
        healthy_after: 2,
        unhealthy_after: 3,
    };
    probe.host = table.get(
        "host",
        Parsed { label: "host", pattern: None, read: probe_host },
        "the endpoint's",
        "the field `Host`",
    );
    table.set(
        &mut probe.interval,
        "interval",
        Duration::Positive,
        "from one probe of an endpoint to the next",
    );
    table.set(&mut probe.timeout, "timeout", Duration::Positive, "to the end of the response's head");
    table.set(&mut probe.statuses, "statuses", Statuses, "the good ones");
    table.set(
        &mut probe.healthy_after,
        "healthy_after",
        count(1..=100),
        "good responses in a row, after which the endpoint is used again",
    );
    table.set(
        &mut probe.unhealthy_after,
        "unhealthy_after",
        count(1..=100),
        "failures in a row, after which it is ejected",
    );
    table.finish();
    probe.path = path?.value;
    Some(probe)
}

fn probe_path(path: &Placed<String>, report: &Report<'_>) -> Option<String> {
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
    String::from_utf8(written).ok()
}

fn probe_host(host: &Placed<String>, report: &Report<'_>) -> Option<String> {
    if crate::http::host::read(host.value.as_bytes(), &mut String::new()).is_err() {
        report.add(&host.span, format!("'{}' is not a host", host.value.escape_debug()));
        return None;
    }
    Some(host.value.clone())
}

fn circuit_of(mut table: Reader<'_, '_>) -> Option<Circuit> {
    let max_requests = table.need(
        "max_requests",
        count(1..=1_000_000),
        "1000",
        "the most requests in flight over all threads",
    );
    let mut circuit =
        Circuit { max_requests: 0, max_pending: 100, queue_timeout: time::Duration::from_secs(1) };
    table.set(
        &mut circuit.max_pending,
        "max_pending",
        count(0..=1_000_000),
        "the most that wait for one of those to end; beyond it 503",
    );
    table.set(
        &mut circuit.queue_timeout,
        "queue_timeout",
        Duration::Positive,
        "how long one may wait; then 503",
    );
    table.finish();
    circuit.max_requests = max_requests?.value;
    Some(circuit)
}

/// Reads `retries`: a number, or a table.
fn retries(table: &mut Reader<'_, '_>, response_timeout: time::Duration) -> Retries {
    let mut retries = Retries::default();
    let attempts = || count(0..=10);
    let given = table.either(
        "retries",
        attempts(),
        Otherwise::Is(Json::Number(retries.attempts.into())),
        "how often a request is tried again, or a table, see below",
    );
    match given {
        None => {}
        Some(Either::Value(attempts)) => retries.attempts = attempts.value,
        Some(Either::Table(mut table)) => {
            table.set(
                &mut retries.attempts,
                "attempts",
                attempts(),
                "how often a request is tried again; the number alone may stand in place of the table",
            );
            table.set(
                &mut retries.statuses,
                "statuses",
                Statuses,
                "the responses after which a request that is idempotent is tried again, such as `[503]`",
            );
            let per_try = table.placed(
                "per_try_timeout",
                Duration::Positive,
                "none",
                "from the last byte of a try to the head of its response",
            );
            if let Some(timeout) = per_try.as_ref().filter(|timeout| timeout.value > response_timeout) {
                let text = "'per_try_timeout' has no effect: it is longer than 'response_timeout'";
                table.report.warn(&timeout.span, warning::TIMEOUT_ORDER, text);
            }
            retries.per_try_timeout = per_try.map(|timeout| timeout.value);
            table.set(
                &mut retries.budget_percent,
                "budget_percent",
                count(0..=100),
                "the most retries, as a part of the requests of the last ten seconds; ten a second are always allowed",
            );
            table.finish();
        }
    }
    retries
}
