//! `gateway-lab conformance`: what a gateway must do by RFC 9110, 9112 and 9113, tried on the compiled program.

mod cases;
mod frames;
mod gateway;
mod http2;
mod message;
mod request;
mod response;
mod script;
mod service;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

pub use self::gateway::{Gateway, Settings};
pub use self::message::Wire;
use self::script::Bench;
pub use self::service::{Reply, Service};
use crate::oracles::{ORACLES, Stage};
use crate::target;

/// What RFC 9110, 9112 and 9113 ask of a gateway, tried on the compiled program
#[derive(Args, Debug)]
pub struct Flags {
    /// The gateway's program [default: compiled as for the image]
    #[arg(long, value_name = "BINARY")]
    gateway: Option<PathBuf>,
    /// Rows whose name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// These oracles alone, and no rows
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(ORACLES.iter().map(|oracle| oracle.name)))]
    oracles: Vec<String>,
    /// Leave out oracles, and the long cases of rows
    #[arg(long)]
    short: bool,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Requests, responses, HTTP/2, scripts.
    pub kind: &'static str,
    pub name: &'static str,
    pub rules: &'static [&'static str],
    /// What was wrong.
    pub fault: Option<String>,
}

impl Flags {
    /// Tries all rows and tells those that failed; 3 where there are some.
    pub fn run(self) -> Result<u8> {
        crate::program::raise_file_limit();
        let binary = target::gateway(self.gateway.as_deref())?;
        if !self.oracles.is_empty() {
            let dir = tempfile::tempdir().context("a folder for the run")?;
            let stage = Stage { binary: &binary, dir: dir.path(), short: self.short };
            let mut failed = false;
            for oracle in ORACLES.iter().filter(|oracle| self.oracles.iter().any(|name| name == oracle.name))
            {
                let verdict = oracle.run(stage);
                println!(
                    "{} ({}): {} ran, {} failed",
                    verdict.name,
                    verdict.program,
                    verdict.ran,
                    verdict.faults.len()
                );
                for fault in &verdict.faults {
                    println!("  {fault}");
                }
                failed |= !verdict.faults.is_empty();
            }
            return Ok(if failed { 3 } else { 0 });
        }
        let verdicts = all(&binary, self.only.as_deref())?;
        let failed: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.fault.is_some()).collect();
        for verdict in &failed {
            let fault = verdict.fault.as_deref().unwrap_or_default();
            println!("{}: {} ({}): {fault}", verdict.kind, verdict.name, verdict.rules.join(", "));
        }
        println!("{} rows, {} failed", verdicts.len(), failed.len());
        Ok(if failed.is_empty() { 0 } else { 3 })
    }
}

/// Tries all rows whose name contains a text.
pub fn all(binary: &Path, only: Option<&str>) -> Result<Vec<Verdict>> {
    let dir = tempfile::tempdir().context("a folder for the run")?;
    let service = Service::start()?;
    let endpoints = [service.address.to_string()];
    let gateway = Gateway::start(binary, dir.path(), &endpoints, Settings::default())?;
    let bench = Bench { binary, dir: dir.path(), gateway: &gateway, service: &service };
    let mut verdicts = Vec::new();
    let mut row = |kind, name: &'static str, rules, check: &dyn Fn() -> Result<()>| {
        if only.is_some_and(|only| !name.contains(only)) {
            return;
        }
        service.seen();
        let fault = check().err().map(|error| format!("{error:#}"));
        verdicts.push(Verdict { kind, name, rules, fault });
    };
    for request in [cases::target::rows(), cases::framing::rows(), cases::fields::rows()].concat() {
        row("request", request.name, request.rules, &|| request.check(&gateway, &service));
    }
    for response in cases::responses::rows() {
        row("response", response.name, response.rules, &|| response.check(&gateway, &service));
    }
    for exchange in cases::http2::rows() {
        row("http/2", exchange.name, exchange.rules, &|| exchange.check(&gateway, &service));
    }
    for script in cases::frames::ROWS {
        row("frames", script.name, script.rules, &|| (script.run)(&bench));
    }
    for script in cases::lifecycle::ROWS {
        row("conversation", script.name, script.rules, &|| (script.run)(&bench));
    }
    Ok(verdicts)
}
