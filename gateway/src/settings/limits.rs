//! Reads `[limits.NAME]`, and the `limits` of a route.

use std::time;

use super::kinds::{Duration, List, Parsed, Switch, Text, count, words};
use super::reader::Reader;
use super::report::{Placed, Report};
use super::{Amount, Calendar, KeyPart, Limit, LimitRule, Store, StoreFail, units};
use crate::http::token::is_token;

const MAX_REQUESTS: u64 = 1_000_000_000;

/// Reads all limits in the file.
pub fn read(root: &mut Reader<'_, '_>, stores: &[Store]) -> Vec<Limit> {
    let report = root.report;
    let tables = root.named("limits", "how many requests of one key pass; routes name them");
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let limit = |(name, table): (Placed<String>, _)| {
        if !name.value.bytes().all(fits) {
            let shown = name.value.escape_debug();
            let advice = "use letters, digits, '-', '_' and '.'";
            report.add(&name.span, format!("'{shown}' is not the name of a limit: {advice}"));
        }
        limit(name, table, stores)
    };
    tables.into_iter().map(limit).collect()
}

fn limit(name: Placed<String>, mut table: Reader<'_, '_>, stores: &[Store]) -> Limit {
    let report = table.report;
    let mut rule = LimitRule::default();
    rule.amount = amount(&mut table).unwrap_or(rule.amount);
    let parts = Parsed {
        label: "`\"client\"`, `\"route\"`, `\"identity\"`, `\"header:NAME\"` or `\"claim:NAME\"`",
        pattern: None,
        read: part,
    };
    let key = table.get(
        "key",
        List(parts),
        "`[\"client\"]`",
        "what requests are counted by, all parts together; `[]` counts all requests as one",
    );
    if let Some(key) = key {
        rule.key = key.iter().map(|part| part.value.clone()).collect();
        for (number, part) in key.iter().enumerate() {
            if rule.key[..number].contains(&part.value) {
                report.add(&part.span, "this part of the key is there twice; remove one");
            }
        }
    }
    if table.has("ipv6_prefix") && !rule.key.contains(&KeyPart::Client) {
        report.add(&table.span, "'ipv6_prefix' has no effect unless 'key' has \"client\"; remove it");
    }
    table.set(
        &mut rule.ipv6_prefix,
        "ipv6_prefix",
        count(1..=128),
        "the bits of an IPv6 address that stand for a client",
    );
    table.set(
        &mut rule.max_keys,
        "max_keys",
        count(1..=10_000_000),
        "the most keys that are remembered; beyond it the one that counts least is forgotten",
    );
    table.set(
        &mut rule.fields,
        "fields",
        Switch,
        "whether responses have `RateLimit` and `RateLimit-Policy`",
    );
    let (store, fail) = store(&mut table, &rule, stores);
    let place = report.place(&name.span);
    table.finish();
    Limit { name: name.value, place, rule, store, fail }
}

/// Reads the store of a limit.
fn store(table: &mut Reader<'_, '_>, rule: &LimitRule, stores: &[Store]) -> (Option<String>, StoreFail) {
    const FAIL: [(&str, StoreFail); 3] =
        [("local", StoreFail::Local), ("open", StoreFail::Open), ("closed", StoreFail::Closed)];
    let (report, span) = (table.report, table.span.clone());
    let doc = "the name of a `[stores.NAME]` in which it counts for all gateways; without it, each process counts for itself";
    let store = table.placed("store", Text, "none", doc);
    let mut fail = StoreFail::Local;
    let has_fail = table.has("fail");
    table.set(
        &mut fail,
        "fail",
        words(&FAIL),
        "while the store gives no answer: `\"local\"`, each process counts for itself; `\"open\"`, requests pass; `\"closed\"`, they get 503",
    );
    match &store {
        None if has_fail => report.add(&span, "'fail' has no effect without 'store'; remove it"),
        Some(store) if matches!(rule.amount, Amount::Concurrency { .. }) => {
            report.add(&store.span, "requests in flight are counted by each process; remove 'store'");
        }
        Some(store) if !stores.iter().any(|known| known.name == store.value) => {
            let shown = store.value.escape_debug();
            let advice = match units::nearest(&store.value, stores.iter().map(|known| known.name.as_str())) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("add [stores.{shown}]"),
            };
            report.add(&store.span, format!("there is no store '{shown}'; {advice}"));
        }
        _ => {}
    }
    (store.map(|store| store.value), fail)
}

/// The period of a limit.
#[derive(Debug, Clone, Copy)]
enum Per {
    Time(time::Duration),
    Calendar(Calendar),
}

/// Reads `requests` with `per`, or `concurrent`.
fn amount(table: &mut Reader<'_, '_>) -> Option<Amount> {
    let (report, span) = (table.report, table.span.clone());
    table.one_of(&["requests", "concurrent"]);
    let is_concurrent = table.has("concurrent");
    let (has_requests, has_per, has_burst) = (table.has("requests"), table.has("per"), table.has("burst"));
    if is_concurrent {
        // Further keys are reported below.
    } else if !has_requests {
        table.lacks("requests", "100, or concurrent = 10");
    } else if !has_per {
        table.lacks("per", "\"1s\"");
    }
    let number = || count(1..=MAX_REQUESTS);
    let requests = table.get("requests", number(), "", "so many requests in the time `per`");
    let times = Parsed { label: "duration, `\"hour\"`, `\"day\"` or `\"month\"`", pattern: None, read: per };
    let per = table.get(
        "per",
        times,
        "needed with `requests`",
        "a duration: requests come back one by one (a token bucket); `\"hour\"`, `\"day\"` and `\"month\"`: all come back when the next one begins, in UTC",
    );
    let burst =
        table.get("burst", number(), "`requests`", "how many may come at once, where `per` is a duration");
    let concurrent = table.get("concurrent", number(), "", "in place of `requests`: so many in flight");
    let queue = table.placed("queue", count(0..=1_000_000), "0", "how many may wait for one of those to end");
    let timeout = table.get("queue_timeout", Duration::Positive, "`\"1s\"`", "how long one may wait");
    let without = |key: &str, other: &str| {
        report.add(&span, format!("'{key}' has no effect without '{other}'; remove it"));
    };
    if is_concurrent {
        for (key, given) in [("requests", has_requests), ("per", has_per), ("burst", has_burst)] {
            if given {
                report.add(&span, format!("a limit has either 'concurrent' or '{key}'; remove one"));
            }
        }
        let queue = queue.map_or(0, |queue| queue.value);
        if timeout.is_some() && queue == 0 {
            without("queue_timeout", "queue");
        }
        let queue_timeout = timeout.unwrap_or(time::Duration::from_secs(1));
        return Some(Amount::Concurrency { requests: concurrent?, queue, queue_timeout });
    }
    if queue.is_some() {
        without("queue", "concurrent");
    }
    match per? {
        Per::Calendar(per) => {
            if burst.is_some() {
                report.add(&span, "'burst' has no effect on a quota by hour, day or month; remove it");
            }
            Some(Amount::Quota { requests: requests?, per })
        }
        Per::Time(per) => {
            let requests = requests?;
            Some(Amount::Rate { requests, per, burst: burst.unwrap_or(requests) })
        }
    }
}

fn per(text: &Placed<String>, report: &Report<'_>) -> Option<Per> {
    let per = match text.value.as_str() {
        "hour" => Some(Per::Calendar(Calendar::Hour)),
        "day" => Some(Per::Calendar(Calendar::Day)),
        "month" => Some(Per::Calendar(Calendar::Month)),
        other => units::duration(other).filter(|per| !per.is_zero()).map(Per::Time),
    };
    if per.is_none() {
        let shown = text.value.escape_debug();
        report.add(
            &text.span,
            format!(
                "'per' must be a duration above zero such as \"1s\" or \"5m\", or \"hour\", \"day\" or \"month\", not '{shown}'"
            ),
        );
    }
    per
}

fn part(text: &Placed<String>, report: &Report<'_>) -> Option<KeyPart> {
    let known = ["client", "route", "identity"];
    let header = text.value.strip_prefix("header:").filter(|name| is_token(name.as_bytes()));
    let claim = text.value.strip_prefix("claim:").filter(|name| !name.is_empty());
    let part = match (text.value.as_str(), header, claim) {
        ("client", ..) => Some(KeyPart::Client),
        ("route", ..) => Some(KeyPart::Route),
        ("identity", ..) => Some(KeyPart::Identity),
        (_, Some(name), _) => Some(KeyPart::Header(name.to_ascii_lowercase())),
        (_, _, Some(name)) => Some(KeyPart::Claim(name.to_owned())),
        _ => None,
    };
    if part.is_none() {
        let advice = match units::nearest(&text.value, known) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("known are: {}, header:NAME, claim:NAME", known.join(", ")),
        };
        report.add(&text.span, format!("'{}' is no part of a key; {advice}", text.value.escape_debug()));
    }
    part
}

/// Reads `limits` of a route: names of limits.
pub fn names(table: &mut Reader<'_, '_>, limits: &[Limit]) -> Vec<String> {
    let report = table.report;
    let given =
        table.get("limits", List(Text), "none", "the names of `[limits.NAME]` that its requests meet");
    let mut names: Vec<String> = Vec::new();
    for text in given.unwrap_or_default() {
        if names.contains(&text.value) {
            let shown = text.value.escape_debug();
            report.add(&text.span, format!("the limit '{shown}' is there twice; remove one"));
        }
        if is_known(&text, limits, report) {
            names.push(text.value);
        }
    }
    names
}

fn is_known(name: &Placed<String>, limits: &[Limit], report: &Report<'_>) -> bool {
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
            (
                "[limits.a]\nrequests = 1\nper = '1s'\nkey = ['route', 'route']",
                "part of the key is there twice",
            ),
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
