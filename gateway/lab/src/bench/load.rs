//! Load from wrk and h2load, whose output becomes numbers.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::program::{cpu_nanos, run};

/// What one run of a load did.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub requests: f64,
    /// Bytes of responses, heads included.
    pub bytes: f64,
    /// Seconds of wall clock.
    pub seconds: f64,
    /// CPU seconds of the proxy.
    pub cpu: f64,
    /// Median latency in seconds, of connections that are always busy; only wrk tells it.
    pub p50: f64,
}

impl Run {
    /// Requests per second of wall clock.
    pub fn rate(&self) -> f64 {
        self.requests / self.seconds
    }
}

/// wrk's own summary as one line of JSON, exact where its text is rounded.
const SUMMARY: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\n{"requests":%.0f,"bytes":%.0f,"micros":%.0f,"p50":%.0f,"errors":%.0f}\n', summary.requests,
    summary.bytes, summary.duration, latency:percentile(50), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// A load over HTTP/1.1 that keeps each connection busy.
#[derive(Clone, Copy, Debug)]
pub struct Wrk<'a> {
    pub url: &'a str,
    pub connections: u32,
    pub seconds: f64,
    /// Lua that makes the requests; nothing for plain GETs of the URL.
    pub script: &'a str,
}

impl Wrk<'_> {
    /// Runs it before the process `worker`. Any answer but success is an error.
    pub fn run(&self, dir: &Path, worker: u32) -> Result<Run> {
        let script = dir.join("load.lua");
        fs::write(&script, format!("{}{SUMMARY}", self.script))?;
        let before = cpu_nanos(worker)?;
        let output = run(Command::new("wrk")
            .args(["-t1", &format!("-c{}", self.connections), &format!("-d{:.0}s", self.seconds.ceil())])
            .args(["--timeout", "30s", "-s"])
            .arg(&script)
            .arg(self.url))?;
        let cpu = seconds(cpu_nanos(worker)? - before);
        let text = String::from_utf8_lossy(&output.stdout);
        let summary: Value = text
            .lines()
            .rev()
            .find(|line| line.starts_with('{'))
            .and_then(|line| serde_json::from_str(line).ok())
            .with_context(|| format!("no summary from wrk: {text}"))?;
        let number = |name: &str| summary[name].as_f64().unwrap_or_default();
        // A large response may take longer than the load: its bytes count.
        if number("errors") > 0.0 || number("bytes") < 1.0 {
            bail!("{}: {summary}", self.url);
        }
        let [seconds, p50] = ["micros", "p50"].map(|name| number(name) / 1e6);
        Ok(Run { requests: number("requests"), bytes: number("bytes"), seconds, cpu, p50 })
    }
}

/// Nanoseconds as seconds.
#[allow(clippy::cast_precision_loss)] // Hours are exact to less than a microsecond.
pub fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// A load over HTTP/2 by h2load: `connections` with `streams` at a time on each.
pub fn h2load(url: &str, connections: u32, streams: u32, time: f64, worker: u32) -> Result<Run> {
    let before = cpu_nanos(worker)?;
    let output = run(Command::new("h2load").args([
        "-t1",
        &format!("-c{connections}"),
        &format!("-m{streams}"),
        &format!("-D{:.0}", time.ceil()),
        url,
    ]))?;
    let cpu = seconds(cpu_nanos(worker)? - before);
    let text = String::from_utf8_lossy(&output.stdout);
    let told = told_by_h2load(&text).with_context(|| format!("{url}: {text}"))?;
    if told.failed > 0.0 || told.requests < 1.0 {
        bail!("{url}: {text}");
    }
    Ok(Run { requests: told.requests, bytes: told.bytes, seconds: time.ceil(), cpu, p50: f64::NAN })
}

#[derive(Debug, PartialEq)]
struct Told {
    requests: f64,
    failed: f64,
    bytes: f64,
}

/// `requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout`,
/// `traffic: 1.2KB (1234) total, …`.
fn told_by_h2load(text: &str) -> Option<Told> {
    let requests = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |what: &str| {
        let part = requests.split(", ").find(|part| part.ends_with(what))?;
        part.split(' ').next()?.parse::<f64>().ok()
    };
    let traffic = text.lines().find_map(|line| line.strip_prefix("traffic: "))?;
    let bytes = traffic.split_once('(')?.1.split_once(')')?.0.parse().ok()?;
    Some(Told {
        requests: count("succeeded")?,
        failed: count("failed")? + count("errored")? + count("timeout")?,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_tells() {
        let text = "finished in 4.00s, 2.50 req/s, 3.00KB/s\n\
            requests: 12 total, 12 started, 11 done, 10 succeeded, 1 failed, 0 errored, 2 timeout\n\
            traffic: 1.21KB (1234) total, 1B (1) headers\n";
        assert_eq!(told_by_h2load(text), Some(Told { requests: 10.0, failed: 3.0, bytes: 1234.0 }));
        assert_eq!(told_by_h2load("nothing"), None);
    }
}
