//! `gateway-lab bench`: nginx, HAProxy and the gateway side by side, in rounds in which each runs once, so that
//! a noisy moment meets all of them. docs/benchmarks.md describes the method.

mod callgrind;
pub mod client;
mod load;
pub mod policies;
mod proxies;
mod report;
mod rows;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::proxies::{Candidate, Kind, Options, Proxy, Upstream};
use self::report::{Measured, Report};
use self::rows::{LATENCY_SHARE, Measure, ROWS, Row, Setting, is_gateway, top_rate};
use crate::program::{exists, raise_file_limit};
use crate::target;

/// nginx, HAProxy and the gateway side by side on this machine, one worker each
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  gateway-lab bench
  gateway-lab bench --quick --only http1,instructions
  gateway-lab bench --gateway target/…/gateway --baseline OLD --json

Needs nginx, haproxy, wrk, h2load (Debian: nghttp2-client), valgrind and redis-server. docs/benchmarks.md has the method.")]
pub struct Flags {
    /// The gateway's program [default: compiled as for the image]
    #[arg(long, value_name = "BINARY")]
    gateway: Option<PathBuf>,
    /// An older gateway, in a column of its own
    #[arg(long, value_name = "BINARY")]
    baseline: Option<PathBuf>,
    /// Rounds, each with one value of every proxy
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each load
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    seconds: f64,
    /// One round with loads of two seconds
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// These rows alone
    #[arg(long, value_name = "ROW,…", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(ROWS.map(|row| row.name)))]
    only: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Measures and tells; 0, also where a goal is missed.
    pub fn run(self) -> Result<u8> {
        let missing: Vec<&str> = ["nginx", "haproxy", "wrk", "h2load", "valgrind", "redis-server"]
            .into_iter()
            .filter(|tool| !exists(tool))
            .collect();
        if !missing.is_empty() {
            bail!(
                "not found: {}; on Debian: apt-get install nginx haproxy wrk nghttp2-client valgrind redis-server",
                missing.join(", ")
            );
        }
        raise_file_limit();
        let mut candidates = vec![
            Candidate { name: "nginx".to_owned(), kind: Kind::Nginx },
            Candidate { name: "haproxy".to_owned(), kind: Kind::Haproxy },
            Candidate {
                name: "gateway".to_owned(),
                kind: Kind::Gateway(target::gateway(self.gateway.as_deref())?),
            },
        ];
        if let Some(baseline) = &self.baseline {
            let kind = Kind::Gateway(target::gateway(Some(baseline))?);
            candidates.push(Candidate { name: "baseline".to_owned(), kind });
        }
        let rows: Vec<Row> = ROWS
            .into_iter()
            .filter(|row| self.only.is_empty() || self.only.iter().any(|name| name == row.name))
            .collect();
        let dir = tempfile::tempdir().context("a folder for the run")?;
        let upstream = Upstream::start(dir.path())?;
        let proxies: Vec<Proxy> = candidates
            .iter()
            .map(|candidate| candidate.start(dir.path(), upstream.port, Options::default()))
            .collect::<Result<_>>()?;
        let (rounds, seconds) = if self.quick { (1, 2.0) } else { (self.rounds, self.seconds) };
        let mut setting = Setting { dir: dir.path(), upstream: upstream.port, seconds, rate: 0.0 };
        let mut report = Report::new(&candidates, &rows, rounds, seconds);
        if rows.iter().any(|row| row.measure == Measure::Latency) {
            told("top rates");
            let mut slowest = f64::INFINITY;
            for proxy in &proxies {
                slowest = slowest.min(top_rate(setting, proxy)?);
            }
            setting.rate = slowest * LATENCY_SHARE;
            report.latency_rate = Some(setting.rate);
        }
        for round in 0..rounds {
            for (index, row) in rows.iter().enumerate() {
                // Counted, not timed: once is enough.
                if round > 0 && row.measure == Measure::Instructions {
                    continue;
                }
                // Who begins changes with each round.
                for turn in 0..candidates.len() {
                    let which = (turn + round as usize) % candidates.len();
                    let (candidate, proxy) = (&candidates[which], &proxies[which]);
                    if row.measure.gateways_only() && !is_gateway(candidate) {
                        continue;
                    }
                    told(&format!("round {} of {rounds}: {}, {}", round + 1, row.what, candidate.name));
                    let measured: &mut Measured = &mut report.rows[index];
                    match row.measure.value(setting, candidate, proxy) {
                        Ok(value) => measured.values[which].push(value),
                        // A proxy that fails a load has a row that says so; the others go on.
                        Err(error) => measured.failures.push(format!("{}: {error:#}", candidate.name)),
                    }
                }
            }
        }
        told("");
        print!("{}", if self.json { report.json() } else { report.text() });
        std::io::stdout().flush()?;
        Ok(u8::from(report.failed()))
    }
}

/// What goes on now, for people.
fn told(text: &str) {
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        eprint!("\r\x1b[K{text}");
    }
}
