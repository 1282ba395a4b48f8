//! Reads `[[listeners]]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::network::Network;
use super::reader::{Reader, Report};
use super::{Certificate, ClientAuth, Listener, NamedFile, Tls, TlsVersion};
use crate::http::head::HeadLimits;

const EXAMPLE: &str = "\"0.0.0.0:8080\"";

/// Reads all listeners of the file.
pub fn read(root: &mut Reader<'_>, admin: SocketAddr, report: &mut Report<'_>) -> Vec<Listener> {
    let Some(tables) = root.tables("listeners", report) else {
        report.add_global(format!("there is no listener; add [[listeners]] with address = {EXAMPLE}"));
        return Vec::new();
    };
    let mut listeners: Vec<Listener> = Vec::new();
    for table in tables {
        let span = table.span;
        let Some(listener) = listener(table, report) else {
            continue;
        };
        if listeners.iter().any(|other| other.name == listener.name) {
            let name = &listener.name;
            report.add(span, format!("there is another listener '{name}'; give each its own name"));
        } else if let Some(other) = listeners.iter().find(|other| clash(other.address, listener.address)) {
            let (name, address) = (&other.name, listener.address);
            report.add(
                span,
                format!("another listener, '{name}', has the address {address}; choose another port"),
            );
        }
        if clash(admin, listener.address) {
            report.add(
                span,
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

fn listener(mut table: Reader<'_>, report: &mut Report<'_>) -> Option<Listener> {
    let address = match table.required("address", EXAMPLE, report) {
        None => None,
        Some(text) => {
            let address = text.value.parse::<SocketAddr>().ok();
            if address.is_none() {
                report.add(
                    text.span,
                    format!(
                        "'address' must be an IP address with port such as {EXAMPLE} or \"[::]:8080\", not '{}'",
                        text.value.escape_debug()
                    ),
                );
            }
            address
        }
    };
    let name = table.string("name", report).map(|name| name.value);
    let tls = table.take("tls").and_then(|(_, value)| {
        let table = Reader::new(value, "tls", report)?;
        tls(table, report)
    });
    let mut duration = |table: &mut Reader<'_>, key, default| {
        table.duration(key, false, report).unwrap_or(Duration::from_secs(default))
    };
    let header_timeout = duration(&mut table, "header_timeout", 10);
    let idle_timeout = duration(&mut table, "idle_timeout", 75);
    let body_timeout = duration(&mut table, "body_timeout", 30);
    let max_bytes = table.size("max_header_bytes", (1024, 1 << 20), report);
    let max_fields = table.count("max_headers", 64, (8, 1024), report);
    let max_body_bytes = table.size("max_body_bytes", (0, 1 << 50), report);
    let max_connections = table.count("max_connections", 10_000, (1, 1_000_000), report);
    let mut trusted_proxies = Vec::new();
    for network in table.strings("trusted_proxies", report) {
        match Network::parse(&network.value) {
            Some(network) => trusted_proxies.push(network),
            None => report.add(
                network.span,
                format!(
                    "'{}' is not a network; write it such as \"10.0.0.0/8\" or \"::1\"",
                    network.value.escape_debug()
                ),
            ),
        }
    }
    table.finish(report);
    let address = address?;
    Some(Listener {
        name: name.unwrap_or_else(|| address.to_string()),
        address,
        tls,
        header_timeout,
        idle_timeout,
        body_timeout,
        head: HeadLimits {
            max_bytes: max_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(16 << 10),
            max_fields,
        },
        max_body_bytes: max_body_bytes.unwrap_or(10 << 20),
        max_connections,
        trusted_proxies,
        ..Listener::default()
    })
}

fn tls(mut table: Reader<'_>, report: &mut Report<'_>) -> Option<Tls> {
    let certificate = table.required("certificate", "\"/etc/gateway/tls.crt\"", report);
    let key = table.required("key", "\"/etc/gateway/tls.key\"", report);
    table.finish(report);
    let (certificate, key) = (certificate?, key?);
    let named = |text: super::reader::Placed<String>| NamedFile {
        path: PathBuf::from(text.value),
        place: report.place(text.span),
    };
    Some(Tls {
        certificates: vec![Certificate { certificate: named(certificate), key: named(key) }],
        default: 0,
        min_version: TlsVersion::Tls12,
        client_auth: ClientAuth::None,
    })
}
