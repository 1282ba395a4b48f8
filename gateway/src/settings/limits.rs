//! Reads `[limits.NAME]`, and the limits that a route names.

use super::reader::{Reader, found, put};
use super::report::{Placed, Report};
use super::{Amount, Calendar, KeyPart, Limit, LimitRule, units};
use crate::http::token::is_token;

const MAX_REQUESTS: u64 = 1_000_000_000;

/// Reads all limits of the file.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Limit> {
    let report = root.report;
    let mut limits = Vec::new();
    let Some(mut table) = root.take("limits").and_then(|value| Reader::new(value, "[limits]", report)) else {
        return limits;
    };
    for (name, value) in table.rest() {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.value.bytes().all(fits) {
            let shown = name.value.escape_debug();
            report.add(
                &name.span,
                format!("'{shown}' is not the name of a limit: use letters, digits, '-', '_' and '.'"),
            );
        }
        if let Some(table) = Reader::new(value, &format!("[limits.{}]", name.value), report) {
            limits.push(limit(name, table));
        }
    }
    limits
}

fn limit(name: Placed<String>, mut table: Reader<'_, '_>) -> Limit {
    let mut rule = LimitRule::default();
    put(&mut rule.amount, amount(&mut table));
    if table.has("key") {
        rule.key = key(&mut table);
    }
    let by_client = rule.key.contains(&KeyPart::Client);
    if table.has("ipv6_prefix") && !by_client {
        table.report.add(&table.span, "'ipv6_prefix' has no effect unless 'key' has \"client\"; remove it");
    }
    put(&mut rule.ipv6_prefix, table.count("ipv6_prefix", 1..=128));
    put(&mut rule.max_keys, table.count("max_keys", 1..=10_000_000));
    put(&mut rule.fields, table.boolean("fields"));
    let place = table.report.place(&name.span);
    table.finish();
    Limit { name: name.value, place, rule }
}

/// Reads `requests` with `per`, or `concurrent`.
fn amount(table: &mut Reader<'_, '_>) -> Option<Amount> {
    if table.has("concurrent") {
        let (report, span) = (table.report, table.span.clone());
        for key in ["requests", "per", "burst"] {
            if table.has(key) {
                report.add(&span, format!("a limit has either 'concurrent' or '{key}'; remove one"));
                table.take(key);
            }
        }
        let requests = table.count("concurrent", 1..=MAX_REQUESTS);
        let queue = table.count("queue", 0..=1_000_000).unwrap_or(0);
        let timeout = table.duration("queue_timeout");
        if timeout.is_some() && queue == 0 {
            report.add(&span, "'queue_timeout' has no effect without 'queue'; remove it");
        }
        let queue_timeout = timeout.unwrap_or(std::time::Duration::from_secs(1));
        return Some(Amount::Concurrency { requests: requests?, queue, queue_timeout });
    }
    if !table.has("requests") {
        table.lacks("requests", "100, or concurrent = 10");
    } else if !table.has("per") {
        table.lacks("per", "\"1s\"");
    }
    let requests = table.count("requests", 1..=MAX_REQUESTS);
    let has_burst = table.has("burst");
    let burst = table.count("burst", 1..=MAX_REQUESTS);
    let value = table.take("per")?;
    let (span, report) = (value.span(), table.report);
    let calendar = match value.get_ref().as_str() {
        Some("hour") => Some(Calendar::Hour),
        Some("day") => Some(Calendar::Day),
        Some("month") => Some(Calendar::Month),
        _ => None,
    };
    if let Some(per) = calendar {
        if has_burst {
            report.add(&table.span, "'burst' has no effect on a quota by hour, day or month; remove it");
        }
        return Some(Amount::Quota { requests: requests?, per });
    }
    let per = value.get_ref().as_str().and_then(units::duration).filter(|per| !per.is_zero());
    if per.is_none() {
        let found = found(value.get_ref());
        report.add(
            &span,
            format!("'per' must be a duration above zero such as \"1s\" or \"5m\", or \"hour\", \"day\" or \"month\", not {found}"),
        );
    }
    let (requests, per) = (requests?, per?);
    Some(Amount::Rate { requests, per, burst: burst.unwrap_or(requests) })
}

fn key(table: &mut Reader<'_, '_>) -> Vec<KeyPart> {
    let report = table.report;
    let mut parts = Vec::new();
    for text in table.strings("key") {
        let Some(part) = part(&text.value) else {
            let shown = text.value.escape_debug();
            let known = ["client", "route", "identity"];
            let advice = match units::nearest(&text.value, known) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("known are: {}, header:NAME, claim:NAME", known.join(", ")),
            };
            report.add(&text.span, format!("'{shown}' is no part of a key; {advice}"));
            continue;
        };
        if parts.contains(&part) {
            report.add(&text.span, format!("'{}' is there twice; remove one", text.value));
        }
        parts.push(part);
    }
    parts
}

fn part(text: &str) -> Option<KeyPart> {
    match text {
        "client" => Some(KeyPart::Client),
        "route" => Some(KeyPart::Route),
        "identity" => Some(KeyPart::Identity),
        _ => {
            if let Some(name) = text.strip_prefix("claim:").filter(|name| !name.is_empty()) {
                return Some(KeyPart::Claim(name.to_owned()));
            }
            let name = text.strip_prefix("header:").filter(|name| is_token(name.as_bytes()))?;
            Some(KeyPart::Header(name.to_ascii_lowercase()))
        }
    }
}

/// Reads `limits` of a route: names of limits.
pub fn names(table: &mut Reader<'_, '_>, limits: &[Limit]) -> Vec<String> {
    let report = table.report;
    let mut names: Vec<String> = Vec::new();
    for text in table.strings("limits") {
        if names.contains(&text.value) {
            report.add(
                &text.span,
                format!("the limit '{}' is there twice; remove one", text.value.escape_debug()),
            );
        }
        if find(&text, limits, report) {
            names.push(text.value);
        }
    }
    names
}

fn find(name: &Placed<String>, limits: &[Limit], report: &Report<'_>) -> bool {
    if limits.iter().any(|limit| limit.name == name.value) {
        return true;
    }
    let shown = name.value.escape_debug();
    let advice = match units::nearest(&name.value, limits.iter().map(|limit| limit.name.as_str())) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("add [limits.{shown}]"),
    };
    report.add(&name.span, format!("there is no limit '{shown}'; {advice}"));
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::settings::{Amount, Calendar, KeyPart, parse};

    const HEAD: &str =
        "[[listeners]]\naddress = '127.0.0.1:0'\n[[routes]]\nlimits = ['a']\nrespond = { status = 204 }\n";

    #[test]
    fn limits_are_read() {
        let second = Duration::from_secs(1);
        let rate = |requests, per, burst| Amount::Rate { requests, per, burst };
        let table = [
            ("requests = 5\nper = '1s'", rate(5, second, 5), vec![KeyPart::Client]),
            ("requests = 5\nper = '1m'\nburst = 9\nkey = []", rate(5, 60 * second, 9), vec![]),
            (
                "requests = 5\nper = 'month'\nkey = ['route', 'header:X-Key']",
                Amount::Quota { requests: 5, per: Calendar::Month },
                vec![KeyPart::Route, KeyPart::Header("x-key".to_owned())],
            ),
            (
                "concurrent = 2\nqueue = 3\nqueue_timeout = '1s'",
                Amount::Concurrency { requests: 2, queue: 3, queue_timeout: second },
                vec![KeyPart::Client],
            ),
        ];
        for (text, amount, key) in table {
            let (settings, problems) = parse("f", &format!("{HEAD}[limits.a]\n{text}\n"));
            assert_eq!(problems, [], "{text}");
            let rule = &settings.limits[0].rule;
            assert_eq!((&rule.amount, &rule.key), (&amount, &key), "{text}");
            assert_eq!(settings.routes[0].limits, ["a"]);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("[limits.b]\nrequests = 1\nper = '1s'", "f:4:11: there is no limit 'a'; did you mean 'b'?"),
            ("[limits.a]", "[limits.a] lacks 'requests'; add requests = 100, or concurrent = 10"),
            ("[limits.a]\nrequests = 1", "[limits.a] lacks 'per'; add per = \"1s\""),
            (
                "[limits.a]\nrequests = 0\nper = '1s'",
                "'requests' must be a whole number from 1 to 1000000000, not 0",
            ),
            ("[limits.a]\nrequests = 1\nper = 'year'", "\"hour\", \"day\" or \"month\", not 'year'"),
            ("[limits.a]\nrequests = 1\nper = '0s'", "'per' must be a duration above zero"),
            ("[limits.a]\nrequests = 1\nper = 'day'\nburst = 2", "'burst' has no effect on a quota"),
            ("[limits.a]\nconcurrent = 1\nrequests = 1", "either 'concurrent' or 'requests'"),
            (
                "[limits.a]\nconcurrent = 1\nqueue_timeout = '1s'",
                "'queue_timeout' has no effect without 'queue'",
            ),
            (
                "[limits.a]\nrequests = 1\nper = '1s'\nkey = ['clinet']",
                "'clinet' is no part of a key; did you mean 'client'?",
            ),
            ("[limits.a]\nrequests = 1\nper = '1s'\nkey = ['claim:']", "'claim:' is no part of a key"),
            ("[limits.a]\nrequests = 1\nper = '1s'\nkey = ['header:a b']", "is no part of a key; known are"),
            ("[limits.a]\nrequests = 1\nper = '1s'\nkey = ['route', 'route']", "'route' is there twice"),
            (
                "[limits.a]\nrequests = 1\nper = '1s'\nkey = []\nipv6_prefix = 48",
                "'ipv6_prefix' has no effect",
            ),
            ("[limits.a]\nrequests = 1\nper = '1s'\nipv6_prefix = 0", "from 1 to 128, not 0"),
            (
                "[limits.a]\nrequests = 1\nper = '1s'\n[limits.'a b']\nrequests = 1\nper = '1s'",
                "is not the name of a limit",
            ),
            (
                "[limits.a]\nrequests = 1\nper = '1s'\nburts = 1",
                "unknown key 'burts' in [limits.a]; did you mean 'burst'?",
            ),
        ];
        for (text, expected) in table {
            let (_, problems) = parse("f", &format!("{HEAD}{text}\n"));
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(lines.len() == 1 && lines[0].contains(expected), "{text}\n{lines:#?}");
        }
    }
}
