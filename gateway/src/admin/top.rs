//! `gateway top`: the status of the admin page, in a terminal.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::health::{HealthError, body};

/// Refresh interval of the terminal.
const INTERVAL: Duration = Duration::from_secs(2);
/// Upper bounds of the buckets in milliseconds.
const BOUNDS: [f64; 12] = [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0, 30_000.0];
/// Maximum number of failures shown.
const MAX_FAILURES: usize = 10;

/// Shows the state of the gateway until it is interrupted; once if standard output is not a terminal.
///
/// # Errors
///
/// The gateway does not answer.
pub fn run(address: SocketAddr, limit: Duration) -> Result<(), HealthError> {
    let mut before = fetch(address, limit)?;
    if !io::stdout().is_terminal() {
        print(&draw(&before, None));
        return Ok(());
    }
    print(&format!("\x1b[2J\x1b[H{}", draw(&before, None)));
    loop {
        std::thread::sleep(INTERVAL);
        let status = fetch(address, limit)?;
        print(&format!("\x1b[2J\x1b[H{}", draw(&status, Some(&before))));
        before = status;
    }
}

fn print(text: &str) {
    // A reader that closes the pipe early is not an error.
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn fetch(address: SocketAddr, limit: Duration) -> Result<Value, HealthError> {
    let text = body(address, "/-/status", limit)?;
    serde_json::from_slice(&text)
        .map_err(|error| HealthError::NotReady(address, format!("its status is not JSON: {error}")))
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Total and failed requests.
fn counts(value: &Value) -> (u64, u64) {
    let statuses = value.get("statuses").and_then(Value::as_object);
    let sum = statuses.map_or(0, |all| all.values().filter_map(Value::as_u64).sum());
    let of = |class| value.get("statuses").map_or(0, |all| number(all, class));
    (sum, of("5xx") + of("none"))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn float(number: u64) -> f64 {
    number as f64
}

/// The screen: rates since `before`, or totals without it.
fn draw(status: &Value, before: Option<&Value>) -> String {
    let seconds =
        before.map(|then| float(number(status, "time_ms").saturating_sub(number(then, "time_ms"))) / 1000.0);
    let ready = status.get("ready").and_then(Value::as_bool) == Some(true);
    let mut out =
        format!("gateway {}, {}\n\n", text(status, "version"), if ready { "ready" } else { "not ready" });
    let rate = |count: u64| match seconds {
        Some(seconds) if seconds > 0.0 => format!("{:.1}", float(count) / seconds),
        _ => "-".to_owned(),
    };
    let old: HashMap<&str, &Value> = list(before.unwrap_or(&Value::Null), "routes")
        .iter()
        .map(|route| (text(route, "name"), route))
        .collect();
    let _ = writeln!(
        out,
        "{:<40} {:>10} {:>8} {:>10} {:>10} {:>12}",
        "ROUTE", "REQ/S", "ERRORS", "P50", "P99", "TOTAL"
    );
    for route in list(status, "routes") {
        let then = old.get(text(route, "name")).copied().unwrap_or(&Value::Null);
        let ((count, failed), (earlier, failed_earlier)) = (counts(route), counts(then));
        let (new, new_failed) = (count.saturating_sub(earlier), failed.saturating_sub(failed_earlier));
        let buckets: Vec<u64> = list(route, "buckets")
            .iter()
            .enumerate()
            .map(|(at, now)| {
                let earlier = list(then, "buckets").get(at).and_then(Value::as_u64).unwrap_or(0);
                now.as_u64().unwrap_or(0).saturating_sub(earlier)
            })
            .collect();
        let name = if text(route, "name").is_empty() { "(none)" } else { text(route, "name") };
        let _ = writeln!(
            out,
            "{:<40} {:>10} {:>8} {:>10} {:>10} {:>12}",
            shown(name, 40),
            rate(new),
            share(new_failed, new),
            quantile(&buckets, new, 0.5),
            quantile(&buckets, new, 0.99),
            count
        );
    }
    let _ = writeln!(out, "\n{:<40} {:>10} {:>8} {:>10}  STATE", "ENDPOINT", "TOTAL", "ERRORS", "IN FLIGHT");
    for upstream in list(status, "upstreams") {
        for endpoint in list(upstream, "endpoints") {
            let (count, failed) = counts(endpoint);
            let name = format!("{} {}", text(upstream, "name"), text(endpoint, "name"));
            let in_flight = number(endpoint, "in_flight");
            let state = text(endpoint, "state");
            let _ = writeln!(
                out,
                "{:<40} {count:>10} {:>8} {in_flight:>10}  {state}",
                shown(&name, 40),
                share(failed, count)
            );
        }
    }
    out.push_str("\nRECENT FAILURES\n");
    for failure in list(status, "failures").iter().take(MAX_FAILURES) {
        let parts =
            ["time", "method", "path", "failed_at", "failure", "detail"].map(|key| text(failure, key));
        let _ = writeln!(out, "{} {}", parts.join(" ").trim_end().escape_debug(), number(failure, "status"));
    }
    out
}

/// The first `most` characters, without control characters.
fn shown(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(most).collect()
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * float(part) / float(whole)) }
}

/// Interpolated within its bucket, like Prometheus's `histogram_quantile`.
fn quantile(buckets: &[u64], count: u64, quantile: f64) -> String {
    if count == 0 {
        return "-".to_owned();
    }
    let rank = quantile * float(count);
    let Some(at) = buckets.iter().position(|&below| float(below) >= rank) else {
        return "> 30 s".to_owned();
    };
    let (low, below) = if at == 0 { (0.0, 0) } else { (BOUNDS[at - 1], buckets[at - 1]) };
    let within = (rank - float(below)) / float((buckets[at] - below).max(1));
    format!("{:.1} ms", low + (BOUNDS[at.min(BOUNDS.len() - 1)] - low) * within)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{draw, quantile};

    #[test]
    fn quantiles_are_interpolated() {
        let buckets = [0, 10, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20];
        assert_eq!(quantile(&buckets, 20, 0.5), "2.5 ms");
        assert_eq!(quantile(&buckets, 20, 0.75), "3.8 ms");
        assert_eq!(quantile(&buckets, 0, 0.5), "-");
        assert_eq!(quantile(&buckets, 2000, 0.5), "> 30 s");
    }

    #[test]
    fn the_screen_has_rates_and_no_control_characters() {
        let status = |count: u64, time: u64| {
            json!({"version": "1", "ready": true, "time_ms": time,
                "routes": [{"name": "a\u{1b}[31m", "statuses": {"2xx": count, "5xx": count}, "buckets": [0, 2 * count]}],
                "failures": [{"path": "/\u{1b}[2J", "status": 503}]})
        };
        let screen = draw(&status(30, 3000), Some(&status(10, 1000)));
        assert!(
            screen.contains("a?[31m") && screen.contains(" 20.0") && screen.contains("50.0 %"),
            "{screen}"
        );
        assert!(!screen.contains('\u{1b}'), "{screen}");
        assert!(draw(&json!({}), None).starts_with("gateway , not ready"));
    }
}
