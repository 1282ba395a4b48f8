//! Reads `[upstreams.NAME]`.

use std::time::Duration;

use super::reader::{Placed, Reader, Report};
use super::{Address, Endpoint, Outlier, Retries, Scheme, Upstream};
use crate::http::host;

const EXAMPLE: &str = "[\"10.0.0.1:8080\"]";

/// Reads all upstreams of the file.
pub fn read(root: &mut Reader<'_>, report: &mut Report<'_>) -> Vec<Upstream> {
    let Some((_, value)) = root.take("upstreams") else {
        report.add_global(format!("there is no upstream; add [upstreams.NAME] with endpoints = {EXAMPLE}"));
        return Vec::new();
    };
    let Some(mut table) = Reader::new(value, "[upstreams]", report) else {
        return Vec::new();
    };
    let mut upstreams = Vec::new();
    for (key, value) in table.rest() {
        let name = key.name.into_owned();
        if let Some(table) = Reader::new(value, &format!("[upstreams.{name}]"), report) {
            upstreams.push(upstream(name, table, report));
        }
    }
    upstreams
}

fn upstream(name: String, mut table: Reader<'_>, report: &mut Report<'_>) -> Upstream {
    let before = report.count();
    let texts = table.strings("endpoints", report);
    if texts.is_empty() && report.count() == before {
        report.add(table.span, format!("[upstreams.{name}] lacks 'endpoints'; add endpoints = {EXAMPLE}"));
    }
    let endpoints = texts.into_iter().filter_map(|text| endpoint(&text, report)).collect();
    let mut duration = |table: &mut Reader<'_>, key, default| {
        table.duration(key, false, report).unwrap_or(Duration::from_secs(default))
    };
    let connect_timeout = duration(&mut table, "connect_timeout", 3);
    let response_timeout = duration(&mut table, "response_timeout", 30);
    let body_timeout = duration(&mut table, "body_timeout", 300);
    let idle_timeout = duration(&mut table, "idle_timeout", 60);
    let max_idle = table.count("max_idle", 64, (0, 65536), report);
    let retries = table.count("retries", 1, (0, 10), report);
    let cooldown = table.duration("cooldown", true, report).unwrap_or(Duration::from_secs(5));
    table.finish(report);
    Upstream {
        name,
        endpoints,
        connect_timeout,
        response_timeout,
        body_timeout,
        idle_timeout,
        max_idle,
        retries: Retries { attempts: u32::try_from(retries).unwrap_or(1), ..Retries::default() },
        outlier: Some(Outlier { base_ejection: cooldown, ..Outlier::default() }),
        ..Upstream::default()
    }
}

/// The `host:port` of an endpoint, with or without `http://` before it.
fn endpoint(text: &Placed<String>, report: &mut Report<'_>) -> Option<Endpoint> {
    let shown = text.value.escape_debug();
    if text.value.starts_with("https://") {
        report.add(
            text.span,
            format!("'{shown}' asks for TLS to the upstream, which is not supported; write \"host:port\""),
        );
        return None;
    }
    let authority = text.value.strip_prefix("http://").unwrap_or(&text.value);
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let port =
        authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).filter(|&port| port != 0);
    if host::parse(authority).is_err() || port.is_none() {
        report.add(
            text.span,
            format!("'{shown}' is not an endpoint; write \"host:port\" such as \"10.0.0.1:8080\""),
        );
        return None;
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let address = Address::Tcp { host, port: port? };
    Some(Endpoint { scheme: Scheme::Http, address, weight: 1, priority: 0 })
}
