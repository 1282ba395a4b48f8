//! Reads `[[listeners]]`.

use std::net::SocketAddr;
use std::time;

use super::kinds::{
    Address, Duration, DurationOrNone, List, Switch, Text, Words, count, count_or_none, size, words,
};
use super::network::NETWORK;
use super::reader::{Either, Reader};
use super::record::Otherwise;
use super::upstreams::certificate;
use super::{BodyRate, ClientAuth, FileKind, Http2, Listener, Protocols, ProxyProtocol, Tls, warning};
use crate::tls::MinVersion;

const EXAMPLE: &str = "\"0.0.0.0:8080\"";

/// Reads all listeners in the file.
pub fn read(root: &mut Reader<'_, '_>, admin: SocketAddr) -> Vec<Listener> {
    let report = root.report;
    if !root.has("listeners") {
        report.add_global(format!("there is no listener; add [[listeners]] with address = {EXAMPLE}"));
    }
    let mut listeners: Vec<Listener> = Vec::new();
    let tables = root.tables("listeners", "[[listeners]]", Otherwise::Needed, "where requests are accepted");
    for table in tables {
        let span = table.span.clone();
        let Some(listener) = listener(table) else {
            continue;
        };
        if listeners.iter().any(|other| other.name == listener.name) {
            let name = &listener.name;
            report.add(&span, format!("there is another listener '{name}'; give each its own name"));
        } else if let Some(other) = listeners.iter().find(|other| clash(other.address, listener.address)) {
            let (name, address) = (&other.name, listener.address);
            report.add(
                &span,
                format!("another listener, '{name}', has the address {address}; choose another port"),
            );
        }
        if clash(admin, listener.address) {
            report.add(
                &span,
                format!("the admin listener has the address {admin}; choose another port for one of them"),
            );
        }
        listeners.push(listener);
    }
    listeners
}

/// Whether binding the second address fails or is ambiguous for clients.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip(), other.ip());
    let overlap = one_ip == other_ip || one_ip.is_unspecified() || other_ip.is_unspecified();
    overlap && one.port() == other.port() && one.port() != 0
}

fn listener(mut table: Reader<'_, '_>) -> Option<Listener> {
    let mut listener = Listener::default();
    let address =
        table.need("address", Address, EXAMPLE, "IP address and port to bind; port 0 lets the system choose");
    let name = table.get("name", Text, "the address", "its name in logs and metrics");
    protocols(&mut table, &mut listener.protocols);
    let tls = table.table("tls", "none", "certificates, and which clients are accepted");
    listener.tls = tls.and_then(tls_of);
    listener.proxy_protocol = proxy_protocol(&mut table);
    table.set(
        &mut listener.header_timeout,
        "header_timeout",
        Duration::Positive,
        "from the first byte of a request to the end of its head; also for the PROXY protocol header, the TLS handshake and the first byte of a connection; then 408",
    );
    table.set(
        &mut listener.idle_timeout,
        "idle_timeout",
        Duration::Positive,
        "how long a connection may rest between requests",
    );
    table.set(
        &mut listener.body_timeout,
        "body_timeout",
        Duration::Positive,
        "how long a client may pause within a request body (then 408) or in taking a response",
    );
    table.set(
        &mut listener.stream_timeout,
        "stream_timeout",
        DurationOrNone,
        "how long an exchange or a WebSocket may pass without a byte in either direction; `\"0s\"` for no limit",
    );
    let mut rate = BodyRate { bytes_per_second: 64, grace: time::Duration::from_secs(30) };
    table.set(
        &mut rate.bytes_per_second,
        "min_body_rate",
        size(0..=1 << 30),
        "the least average rate of a request body in bytes per second, looked at when data arrives; below it 408; 0 for no limit. Silence ends by `body_timeout`",
    );
    table.set(
        &mut rate.grace,
        "min_body_rate_grace",
        Duration::OrZero,
        "how long a body may be slower at its begin",
    );
    listener.min_body_rate = (rate.bytes_per_second > 0).then_some(rate);
    table.set(
        &mut listener.head.max_bytes,
        "max_header_bytes",
        size(1024..=1 << 20),
        "the longest request head; beyond it 431",
    );
    table.set(
        &mut listener.head.max_fields,
        "max_headers",
        count(8..=1024),
        "the most fields in a head; beyond it 431",
    );
    table.set(
        &mut listener.max_request_line,
        "max_request_line",
        size(256..=1 << 20),
        "the longest request line, or `:path` in HTTP/2; beyond it 414",
    );
    table.set(
        &mut listener.max_body_bytes,
        "max_body_bytes",
        size(0..=1 << 50),
        "the longest request body; beyond it 413",
    );
    table.set(
        &mut listener.max_connections,
        "max_connections",
        count(1..=1_000_000),
        "the most connections at a time, divided among the threads; further ones wait",
    );
    table.set(
        &mut listener.max_connections_per_client,
        "max_connections_per_client",
        count_or_none(1_000_000),
        "the most connections at a time from one address; 0 for no limit",
    );
    http2(table.section("http2", "limits of HTTP/2"), &mut listener.http2);
    let trusted = table.get(
        "trusted_proxies",
        List(NETWORK),
        "none",
        "networks whose `X-Forwarded-*` and `Forwarded` are believed",
    );
    for network in trusted.iter().flatten().filter(|network| network.value.is_everything()) {
        let text = "every client may say that it is another one; name the proxies alone";
        table.report.warn(&network.span, warning::TRUSTS_EVERYONE, text);
    }
    listener.trusted_proxies = trusted.unwrap_or_default().into_iter().map(|network| network.value).collect();
    table.finish();
    listener.address = address?.value;
    listener.name = name.unwrap_or_else(|| listener.address.to_string());
    Some(listener)
}

fn protocols(table: &mut Reader<'_, '_>, protocols: &mut Protocols) {
    const KNOWN: Words<'_, bool> = words(&[("http1", false), ("http2", true)]);
    let before = table.report.count();
    let given = table.placed(
        "protocols",
        List(KNOWN),
        "`[\"http1\", \"http2\"]`",
        "what clients may speak; with TLS they choose by ALPN, without it they use HTTP/2 by prior knowledge (h2c)",
    );
    let Some(given) = given else { return };
    let has = |http2| given.value.iter().any(|protocol| protocol.value == http2);
    *protocols = Protocols { http1: has(false), http2: has(true) };
    if given.value.is_empty() && table.report.count() == before {
        let text = "'protocols' is empty; write [\"http1\", \"http2\"] or remove it";
        table.report.add(&given.span, text);
    }
}

/// Reads `tls`: one pair of files, or a list of them, and the common keys.
fn tls_of(mut table: Reader<'_, '_>) -> Option<Tls> {
    let report = table.report;
    let span = table.span.clone();
    let mut tls = Tls {
        certificates: Vec::new(),
        default: 0,
        min_version: MinVersion::default(),
        client_auth: ClientAuth::None,
    };
    let has_list = table.has("certificates");
    let single = certificate(&mut table, !has_list, "in `certificates`");
    if single.is_some() && has_list {
        report.add(&span, "tls has 'certificate' and 'certificates'; put the former into the list");
    }
    let list = table.tables(
        "certificates",
        "the certificate",
        Otherwise::Words("none"),
        "in place of these two a list of them",
    );
    if has_list && list.is_empty() {
        report.add(&span, "tls lacks a certificate; add certificate = \"/etc/gateway/tls.crt\" and its key");
    }
    tls.certificates.extend(single);
    let mut defaults = 0;
    for mut pair in list {
        let read = certificate(&mut pair, true, "");
        let mut is_default = false;
        pair.set(
            &mut is_default,
            "default",
            Switch,
            "whether it is the certificate for clients that name no host or an unknown one; otherwise the first is",
        );
        if is_default {
            defaults += 1;
            tls.default = tls.certificates.len();
            if defaults == 2 {
                report.add(&pair.span, "another certificate is the default; only one can be");
            }
        }
        pair.finish();
        tls.certificates.extend(read);
    }
    let versions = [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];
    table.set(&mut tls.min_version, "min_version", words(&versions), "the oldest version of TLS");
    let authorities = table.placed(
        "client_ca",
        Text,
        "none",
        "the certificates of the authorities for client certificates, in PEM; a client's own certificate must not be that of an authority (`CA:TRUE`)",
    );
    let authorities = authorities.map(|file| report.file(FileKind::Authorities, &file));
    let modes = [("none", None), ("optional", Some(false)), ("required", Some(true))];
    let mode = table.get(
        "client_auth",
        words(&modes),
        "`\"required\"` with `client_ca`",
        "whether clients show a certificate",
    );
    tls.client_auth = match (mode, authorities) {
        (None | Some(None), None) => ClientAuth::None,
        (None | Some(Some(true)), Some(file)) => ClientAuth::Required(file),
        (Some(Some(false)), Some(file)) => ClientAuth::Optional(file),
        (Some(None), Some(_)) => {
            report.add(&span, "'client_ca' has no effect with client_auth = \"none\"; remove one of them");
            ClientAuth::None
        }
        (Some(Some(_)), None) => {
            report.add(
                &span,
                "'client_auth' lacks the authorities; add client_ca = \"/etc/gateway/clients.crt\"",
            );
            ClientAuth::None
        }
    };
    table.finish();
    (!tls.certificates.is_empty()).then_some(tls)
}

/// Reads `proxy_protocol`: "off", or a table with the networks of the sending peers.
fn proxy_protocol(table: &mut Reader<'_, '_>) -> Option<ProxyProtocol> {
    let report = table.report;
    let given = table.either(
        "proxy_protocol",
        words(&[("off", ())]),
        Otherwise::Is(crate::json::Json::text("off")),
        "a table, see below: connections of its peers begin with a PROXY protocol header, version 1 or 2; all others are closed",
    );
    let Either::Table(mut table) = given? else { return None };
    let trusted = table.need(
        "trusted",
        List(NETWORK),
        "[\"10.0.0.0/8\"] with the networks of the load balancers",
        "the networks of the peers that send the header",
    );
    let span = table.span.clone();
    table.finish();
    let trusted = trusted?.value;
    for network in trusted.iter().filter(|network| network.value.is_everything()) {
        let text = "every client may say that it is another one; name the load balancers alone";
        report.warn(&network.span, warning::TRUSTS_EVERYONE, text);
    }
    if trusted.is_empty() {
        report.add(&span, "'trusted' is empty; name the networks of the load balancers");
    }
    Some(ProxyProtocol { trusted: trusted.into_iter().map(|network| network.value).collect() })
}

fn http2(mut table: Reader<'_, '_>, http2: &mut Http2) {
    table.set(
        &mut http2.max_streams,
        "max_streams",
        count(1..=10_000),
        "the most concurrent streams of a connection",
    );
    // RFC 9113 section 6.9.2: a window has at most 2^31-1 bytes; the connection's begins at 65535.
    table.set(
        &mut http2.stream_window,
        "stream_window",
        size(1024..=(1 << 31) - 1),
        "the flow-control window of a stream",
    );
    table.set(
        &mut http2.connection_window,
        "connection_window",
        size(65_535..=(1 << 31) - 1),
        "the flow-control window of a connection",
    );
    table.set(
        &mut http2.flood_interval,
        "flood_interval",
        Duration::Positive,
        "the time over which the next three count; beyond them the connection ends with ENHANCE_YOUR_CALM",
    );
    let limit = || count(1..=1_000_000);
    table.set(
        &mut http2.max_resets,
        "max_resets",
        limit(),
        "streams reset by the client, or by the gateway for the client's faults",
    );
    table.set(&mut http2.max_pings, "max_pings", limit(), "PING frames");
    table.set(&mut http2.max_settings, "max_settings", limit(), "SETTINGS frames");
    table.set(
        &mut http2.max_continuations,
        "max_continuations",
        limit(),
        "CONTINUATION frames of one header block",
    );
    table.finish();
}
