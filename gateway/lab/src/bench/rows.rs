//! What is measured: one row each, with its unit, its goal and how one value comes about.

use std::path::Path;

use anyhow::{Result, bail};

use super::callgrind;
use super::client::{at_rate, block_on, open_all, quantile};
use super::load::{Wrk, h2load};
use super::policies;
use super::proxies::{Candidate, Kind, Options, Proxy, route_target};
use crate::program::resident;

/// What a goal is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// A share of the better of nginx and HAProxy.
    OfBetter(f64),
    /// A value of the gateway alone.
    Of(f64),
    /// Told only.
    None,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name on the command line and in JSON.
    pub name: &'static str,
    /// What is measured.
    pub what: &'static str,
    pub unit: &'static str,
    /// Whether more is better.
    pub more: bool,
    pub goal: Goal,
    pub measure: Measure,
}

/// How a value is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    Http1,
    TlsHttp1,
    Http2,
    TlsHttp2,
    /// Milliseconds at a constant rate below the slowest one's top.
    Latency,
    /// A response of so many bytes, by so many connections.
    Download(&'static str, u32),
    /// Request bodies of 1 MB.
    Upload,
    /// Bytes for each connection at rest.
    Idle,
    /// 10,000 routes against 10.
    Routes,
    Instructions,
    /// Requests per CPU second with a policy against the bare route.
    Policy(&'static str),
    /// Median latency with a policy against the bare route.
    PolicyLatency(&'static str),
}

/// Connections of the loads over HTTP/1.1.
pub const CONNECTIONS: u32 = 64;
/// Connections of the loads over HTTP/2, and streams at a time on each.
const HTTP2: [u32; 2] = [16, 10];
/// Connections at rest.
const IDLE: usize = 2_000;
/// Connections before those, which bring buffers and tables about that are there once.
const IDLE_BEFORE: usize = 200;
/// The share of the slowest proxy's top rate at which latency is measured.
pub const LATENCY_SHARE: f64 = 0.7;

/// The unit of what is compared with the gateway's bare route: no access log, no traces, no filter.
const OF_BARE: &str = "of bare";

/// All rows, in the table's order.
pub const ROWS: [Row; 16] = [
    row("http1", "HTTP/1.1, 1 KB", "requests/CPU s", true, Goal::OfBetter(1.15), Measure::Http1),
    row(
        "tls-http1",
        "TLS 1.3 HTTP/1.1, 1 KB",
        "requests/CPU s",
        true,
        Goal::OfBetter(1.0),
        Measure::TlsHttp1,
    ),
    row("http2", "HTTP/2, 1 KB", "requests/CPU s", true, Goal::OfBetter(1.0), Measure::Http2),
    row("tls-http2", "TLS 1.3 HTTP/2, 1 KB", "requests/CPU s", true, Goal::OfBetter(1.0), Measure::TlsHttp2),
    row("p99", "p99 at 70 % of top rate", "ms", false, Goal::OfBetter(0.9), Measure::Latency),
    row("body-1m", "responses of 1 MB", "MB/CPU s", true, Goal::OfBetter(0.9), Measure::Download("1m", 16)),
    row(
        "body-100m",
        "responses of 100 MB",
        "MB/CPU s",
        true,
        Goal::OfBetter(0.9),
        Measure::Download("100m", 2),
    ),
    row("upload-1m", "requests of 1 MB", "MB/CPU s", true, Goal::OfBetter(0.9), Measure::Upload),
    row("idle", "connection at rest", "bytes", false, Goal::Of(4096.0), Measure::Idle),
    row("routes", "10,000 routes to 10", "ratio", true, Goal::Of(0.95), Measure::Routes),
    row("instructions", "instructions, HTTP/1.1", "Ir/request", false, Goal::None, Measure::Instructions),
    row("jwt", "JWT, key and token known", OF_BARE, true, Goal::None, Measure::Policy("jwt")),
    row("rate-limit", "local rate limit", OF_BARE, true, Goal::None, Measure::Policy("rate-limit")),
    row("observed", "access log, traces at 1 %", OF_BARE, true, Goal::None, Measure::Policy("observed")),
    row("policies", "these three together", OF_BARE, true, Goal::Of(0.85), Measure::Policy("all")),
    row(
        "shared-limit",
        "p50, rate limit in Redis",
        OF_BARE,
        false,
        Goal::Of(1.6),
        Measure::PolicyLatency("shared-limit"),
    ),
];

const fn row(
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    more: bool,
    goal: Goal,
    measure: Measure,
) -> Row {
    Row { name, what, unit, more, goal, measure }
}

/// What all values of a run share.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub dir: &'a Path,
    pub upstream: u16,
    /// Seconds of each load.
    pub seconds: f64,
    /// Requests per second of the latency row.
    pub rate: f64,
}

impl Measure {
    /// Whether only gateways are asked.
    pub fn gateways_only(self) -> bool {
        matches!(self, Self::Routes | Self::Policy(_) | Self::PolicyLatency(_))
    }

    /// One value of one candidate, which runs as `proxy`.
    pub fn value(self, setting: Setting<'_>, candidate: &Candidate, proxy: &Proxy) -> Result<f64> {
        let Setting { dir, seconds, .. } = setting;
        let wrk = |url: &str, connections, script: &str| {
            Wrk { url, connections, seconds, script }.run(dir, proxy.worker)
        };
        let per_cpu = |run: super::load::Run| run.requests / run.cpu;
        let [http2, streams] = HTTP2;
        match self {
            Self::Http1 => wrk(&local("http", proxy.plain, "/"), CONNECTIONS, "").map(per_cpu),
            Self::TlsHttp1 => wrk(&local("https", proxy.tls, "/"), CONNECTIONS, "").map(per_cpu),
            Self::Http2 => {
                h2load(&local("http", proxy.h2c, "/"), http2, streams, seconds, proxy.worker).map(per_cpu)
            }
            Self::TlsHttp2 => {
                h2load(&local("https", proxy.tls, "/"), http2, streams, seconds, proxy.worker).map(per_cpu)
            }
            Self::Latency => {
                let mut latencies = at_rate(proxy.plain, CONNECTIONS as usize, setting.rate, seconds)?;
                Ok(quantile(&mut latencies, 0.99) * 1e3)
            }
            Self::Download(file, connections) => {
                let run = wrk(&local("http", proxy.plain, &format!("/files/{file}")), connections, "")?;
                Ok(run.bytes / 1e6 / run.cpu)
            }
            Self::Upload => {
                let script = "wrk.method = 'POST'\nwrk.body = string.rep('x', 1000000)\n";
                Ok(per_cpu(wrk(&local("http", proxy.plain, "/sink"), 16, script)?))
            }
            Self::Idle => idle(setting, candidate),
            Self::Routes => {
                let few = routes(setting, candidate, 10)?;
                Ok(routes(setting, candidate, 10_000)? / few)
            }
            Self::Policy(name) => policies::throughput(setting, candidate, name),
            Self::PolicyLatency(name) => policies::latency(setting, candidate, name),
            Self::Instructions => callgrind::instructions(candidate, dir, setting.upstream, None),
        }
    }
}

/// An address of the loopback.
fn local(scheme: &str, port: u16, path: &str) -> String {
    format!("{scheme}://127.0.0.1:{port}{path}")
}

/// Requests per second of wall clock that a proxy can do at all.
pub fn top_rate(setting: Setting<'_>, proxy: &Proxy) -> Result<f64> {
    let url = local("http", proxy.plain, "/");
    let wrk = Wrk { url: &url, connections: CONNECTIONS, seconds: setting.seconds, script: "" };
    Ok(wrk.run(setting.dir, proxy.worker)?.rate())
}

/// Bytes that the process grows by for each connection at rest after one request; in a process of its own.
fn idle(setting: Setting<'_>, candidate: &Candidate) -> Result<f64> {
    let proxy = candidate.start(setting.dir, setting.upstream, Options::default())?;
    block_on(async {
        let pause = || tokio::time::sleep(std::time::Duration::from_millis(1500));
        let first = open_all(proxy.plain, "", IDLE_BEFORE, 50).await?;
        pause().await;
        let before = resident(proxy.worker)?;
        let second = open_all(proxy.plain, "", IDLE, 50).await?;
        pause().await;
        let after = resident(proxy.worker)?;
        if first.iter().chain(&second).any(|connection| !connection.is_open()) {
            bail!("{} closed connections at rest", candidate.name);
        }
        #[allow(clippy::cast_precision_loss)]
        Ok(after.saturating_sub(before) as f64 / IDLE as f64)
    })?
}

/// Requests per CPU second with so many routes, each of which is asked in turn; in a process of its own.
fn routes(setting: Setting<'_>, candidate: &Candidate, count: usize) -> Result<f64> {
    let proxy = candidate.start(
        setting.dir,
        setting.upstream,
        Options { routes: Some(count), ..Options::default() },
    )?;
    let mut requests = String::new();
    for index in 0..count {
        let (host, path) = route_target(index, count);
        requests.push_str(&format!("'GET {path}/item HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n',\n"));
    }
    // A step without a common divisor with the count: the next request is not the next route.
    let script = format!(
        "local all = {{{requests}}}\nlocal i = 0\nrequest = function() i = (i + 7919) % #all; return all[i + 1] end\n"
    );
    let url = local("http", proxy.plain, "/");
    let wrk = Wrk { url: &url, connections: CONNECTIONS, seconds: setting.seconds, script: &script };
    let run = wrk.run(setting.dir, proxy.worker)?;
    Ok(run.requests / run.cpu)
}

/// Whether a program is a gateway.
pub fn is_gateway(candidate: &Candidate) -> bool {
    matches!(candidate.kind, Kind::Gateway(_))
}
