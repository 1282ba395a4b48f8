//! Reads `[[listeners]]`.

use std::net::SocketAddr;
use std::time::Duration;

use super::network::Network;
use super::reader::{Reader, found, put};
use super::report::Report;
use super::upstreams::certificate;
use super::{BodyRate, ClientAuth, FileKind, Http2, Listener, Protocols, ProxyProtocol, Tls};
use crate::tls::MinVersion;
use toml::de::DeValue;

const EXAMPLE: &str = "\"0.0.0.0:8080\"";

/// Reads all listeners of the file.
pub fn read(root: &mut Reader<'_, '_>, admin: SocketAddr) -> Vec<Listener> {
    let report = root.report;
    if !root.has("listeners") {
        report.add_global(format!("there is no listener; add [[listeners]] with address = {EXAMPLE}"));
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for table in root.tables("listeners").unwrap_or_default() {
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

/// Whether two sockets cannot be told apart by a client that connects to the second.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip(), other.ip());
    let overlap = one_ip == other_ip || one_ip.is_unspecified() || other_ip.is_unspecified();
    overlap && one.port() == other.port() && one.port() != 0
}

fn listener(mut table: Reader<'_, '_>) -> Option<Listener> {
    let mut listener = Listener::default();
    if !table.has("address") {
        table.lacks("address", EXAMPLE);
    }
    let address = table.address("address");
    let name = table.string("name").map(|name| name.value);
    put(&mut listener.protocols, protocols(&mut table));
    let tls = table.table("tls");
    listener.tls = tls.and_then(tls_of);
    listener.proxy_protocol = proxy_protocol(&mut table);
    put(&mut listener.header_timeout, table.duration("header_timeout"));
    put(&mut listener.idle_timeout, table.duration("idle_timeout"));
    put(&mut listener.body_timeout, table.duration("body_timeout"));
    if let Some(timeout) = table.duration_or_zero("stream_timeout") {
        listener.stream_timeout = (!timeout.is_zero()).then_some(timeout);
    }
    let rate = table.size("min_body_rate", 0..=1 << 30).unwrap_or(64);
    let grace = table.duration_or_zero("min_body_rate_grace").unwrap_or(Duration::from_secs(30));
    listener.min_body_rate = (rate > 0).then_some(BodyRate { bytes_per_second: rate, grace });
    put(&mut listener.head.max_bytes, table.size("max_header_bytes", 1024..=1 << 20));
    put(&mut listener.head.max_fields, table.count("max_headers", 8..=1024));
    put(&mut listener.max_request_line, table.size("max_request_line", 256..=1 << 20));
    put(&mut listener.max_body_bytes, table.size("max_body_bytes", 0..=1 << 50));
    put(&mut listener.max_connections, table.count("max_connections", 1..=1_000_000));
    listener.max_connections_per_client =
        table.count("max_connections_per_client", 0..=1_000_000).filter(|&count: &usize| count > 0);
    if let Some(table) = table.table("http2") {
        http2(table, &mut listener.http2);
    }
    listener.trusted_proxies = networks(&mut table, "trusted_proxies");
    table.finish();
    listener.address = address?;
    listener.name = name.unwrap_or_else(|| listener.address.to_string());
    Some(listener)
}

fn protocols(table: &mut Reader<'_, '_>) -> Option<Protocols> {
    let span = table.span.clone();
    if !table.has("protocols") {
        table.take("protocols");
        return None;
    }
    let mut protocols = Protocols { http1: false, http2: false };
    let mut good = true;
    for text in table.strings("protocols") {
        match text.value.as_str() {
            "http1" => protocols.http1 = true,
            "http2" => protocols.http2 = true,
            other => {
                good = false;
                let shown = other.escape_debug();
                table
                    .report
                    .add(&text.span, format!("'{shown}' is not a protocol; write \"http1\" or \"http2\""));
            }
        }
    }
    if good && !protocols.http1 && !protocols.http2 {
        table.report.add(&span, "'protocols' is empty; write [\"http1\", \"http2\"] or remove it");
    }
    Some(protocols)
}

/// Reads `tls`: one pair of files, or a list of them, and what holds for all.
fn tls_of(mut table: Reader<'_, '_>) -> Option<Tls> {
    let report = table.report;
    let span = table.span.clone();
    let mut tls = Tls {
        certificates: Vec::new(),
        default: 0,
        min_version: MinVersion::default(),
        client_auth: ClientAuth::None,
    };
    let before = report.count();
    let list = table.list("certificates", "a list of tables with certificate and key");
    let single = certificate(&mut table, list.is_empty() && report.count() == before);
    if single.is_some() && !list.is_empty() {
        report.add(&span, "tls has 'certificate' and 'certificates'; put the former into the list");
    }
    tls.certificates.extend(single);
    let mut defaults = 0;
    for item in list {
        let Some(mut pair) = Reader::new(item, "the certificate", report) else { continue };
        let read = certificate(&mut pair, true);
        if pair.boolean("default").unwrap_or(false) {
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
    put(&mut tls.min_version, table.word("min_version", &versions));
    let authorities = table.string("client_ca").map(|file| report.file(FileKind::Authorities, &file));
    let modes = [("none", None), ("optional", Some(false)), ("required", Some(true))];
    let mode = table.word("client_auth", &modes);
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

/// Reads `proxy_protocol`: "off", or a table with the networks of the peers that send it.
fn proxy_protocol(table: &mut Reader<'_, '_>) -> Option<ProxyProtocol> {
    const EXAMPLE: &str =
        "write proxy_protocol = { trusted = [\"10.0.0.0/8\"] } with the networks of the load balancers";
    let report = table.report;
    let value = table.take("proxy_protocol")?;
    let span = value.span();
    match value.get_ref() {
        DeValue::String(text) if text == "off" => None,
        DeValue::Table(_) => {
            let mut table = Reader::new(value, "proxy_protocol", report)?;
            let before = report.count();
            let trusted = networks(&mut table, "trusted");
            if trusted.is_empty() && report.count() == before {
                report.add(&span, format!("proxy_protocol lacks 'trusted'; {EXAMPLE}"));
            }
            table.finish();
            Some(ProxyProtocol { trusted })
        }
        other => {
            report.add(
                &span,
                format!("'proxy_protocol' must be \"off\" or a table, not {}; {EXAMPLE}", found(other)),
            );
            None
        }
    }
}

fn http2(mut table: Reader<'_, '_>, http2: &mut Http2) {
    put(&mut http2.max_streams, table.count("max_streams", 1..=10_000));
    // RFC 9113 section 6.9.2: a window has at most 2^31-1 bytes; the connection's begins at 65535.
    put(&mut http2.stream_window, table.size("stream_window", 1024..=(1 << 31) - 1));
    put(&mut http2.connection_window, table.size("connection_window", 65_535..=(1 << 31) - 1));
    put(&mut http2.flood_interval, table.duration("flood_interval"));
    put(&mut http2.max_resets, table.count("max_resets", 1..=1_000_000));
    put(&mut http2.max_pings, table.count("max_pings", 1..=1_000_000));
    put(&mut http2.max_settings, table.count("max_settings", 1..=1_000_000));
    put(&mut http2.max_continuations, table.count("max_continuations", 1..=1_000_000));
    table.finish();
}

pub(super) fn networks(table: &mut Reader<'_, '_>, key: &'static str) -> Vec<Network> {
    let report: &Report<'_> = table.report;
    let mut networks = Vec::new();
    for text in table.strings(key) {
        match Network::parse(&text.value) {
            Some(network) => networks.push(network),
            None => report.add(
                &text.span,
                format!(
                    "'{}' is not a network; write it such as \"10.0.0.0/8\" or \"::1\"",
                    text.value.escape_debug()
                ),
            ),
        }
    }
    networks
}
