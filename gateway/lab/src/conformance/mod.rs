//! `gateway-lab conformance`: what a gateway must do by RFC 9110, 9112 and 9113, tried on the compiled program.

mod cases;
mod document;
pub mod frames;
mod gateway;
mod http2;
mod message;
mod request;
mod response;
mod script;
mod sections;
mod service;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

pub use self::frames::{Client as Frames, Outcome};
pub use self::gateway::{Gateway, Settings};
pub use self::message::{Message, Wire};
use self::script::Bench;
pub use self::service::{Reply, Service};
use crate::oracles::{ORACLES, Stage};
use crate::target;

/// What RFC 9110, 9112 and 9113 ask of a gateway, tried on the compiled program
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  gateway-lab conformance --write docs/conformance.md
  gateway-lab conformance --short --oracles none
  gateway-lab conformance --only 'h2: '

Rows that deviate on purpose are listed in gateway/lab/deviations.txt. 3 where anything else deviates.")]
pub struct Flags {
    /// The gateway's program [default: compiled as for the image]
    #[arg(long, value_name = "BINARY")]
    gateway: Option<PathBuf>,
    /// Rows whose name contains this text, and no oracles
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// These oracles and no others; `none` for rows alone
    #[arg(long, value_name = "NAME,…", value_delimiter = ',',
        value_parser = clap::builder::PossibleValuesParser::new(
            ORACLES.iter().map(|oracle| oracle.name).chain(["none"])))]
    oracles: Vec<String>,
    /// No rows
    #[arg(long, conflicts_with = "only")]
    no_rows: bool,
    /// Leave out the long cases of the oracles
    #[arg(long)]
    short: bool,
    /// Write the document to this file, if nothing was left out
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Requests, responses, HTTP/2, frames, conversations.
    pub kind: &'static str,
    pub name: &'static str,
    pub rules: &'static [&'static str],
    /// What was wrong.
    pub fault: Option<String>,
}

/// The deviations on purpose.
pub const DEVIATIONS: &str = include_str!("../../deviations.txt");

impl Flags {
    /// Tries all and tells what deviates; 3 where anything does that is not listed.
    pub fn run(self) -> Result<u8> {
        crate::program::raise_file_limit();
        let binary = target::gateway(self.gateway.as_deref())?;
        let deviations = document::deviations(DEVIATIONS);
        let rows = if self.no_rows { Vec::new() } else { all(&binary, self.only.as_deref())? };
        let dir = tempfile::tempdir().context("a folder for the run")?;
        let stage = Stage { binary: &binary, dir: dir.path(), short: self.short };
        let wanted = |name: &str| match &self.oracles[..] {
            [] => self.only.is_none(),
            names => names.iter().any(|known| known == name),
        };
        let oracles: Vec<crate::oracles::Verdict> = ORACLES
            .iter()
            .filter(|oracle| wanted(oracle.name))
            .map(|oracle| {
                eprintln!("gateway-lab: {}", oracle.name);
                oracle.run(stage)
            })
            .collect();
        let unexpected = document::unexpected(&rows, &deviations);
        if self.json {
            println!("{:#}", json(&rows, &oracles));
        } else {
            print!("{}", told(&rows, &oracles, &unexpected));
        }
        let whole = self.only.is_none() && self.oracles.is_empty() && !self.no_rows && !self.short;
        if let Some(file) = self.write.as_ref().filter(|_| whole) {
            std::fs::write(file, document::markdown(&rows, &oracles, &deviations))
                .with_context(|| format!("writing {}", file.display()))?;
        }
        let good = unexpected.is_empty() && oracles.iter().all(|oracle| oracle.faults.is_empty());
        Ok(if good { 0 } else { 3 })
    }
}

/// For people.
fn told(rows: &[Verdict], oracles: &[crate::oracles::Verdict], unexpected: &[String]) -> String {
    let mut text = String::new();
    for line in unexpected {
        text.push_str(&format!("{}\n", line.trim_end().replace('\n', "\n  ")));
    }
    let head = ["oracle", "program", ">ran", ">failed"].map(str::to_owned);
    let mut lines = vec![vec![
        "rows".to_owned(),
        "gateway-lab".to_owned(),
        rows.len().to_string(),
        rows.iter().filter(|row| row.fault.is_some()).count().to_string(),
    ]];
    for oracle in oracles {
        for fault in &oracle.faults {
            text.push_str(&format!("{}: {}\n", oracle.name, fault.replace('\n', "\n  ")));
        }
        lines.push(vec![
            oracle.name.to_owned(),
            oracle.program.clone(),
            oracle.ran.to_string(),
            oracle.faults.len().to_string(),
        ]);
    }
    format!("{text}{}", crate::table::table(&head, &lines))
}

/// For programs.
fn json(rows: &[Verdict], oracles: &[crate::oracles::Verdict]) -> serde_json::Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| serde_json::json!({ "kind": row.kind, "name": row.name, "rules": row.rules, "fault": row.fault }))
        .collect();
    let oracles: Vec<_> = oracles
        .iter()
        .map(|oracle| serde_json::json!({ "name": oracle.name, "program": oracle.program, "ran": oracle.ran, "faults": oracle.faults }))
        .collect();
    serde_json::json!({ "schema": "gateway-lab/1", "command": "conformance", "rows": rows, "oracles": oracles })
}

/// All rules that rows are about.
#[cfg(test)]
fn rules() -> Vec<&'static str> {
    let mut rules: Vec<&'static str> = Vec::new();
    for request in [cases::target::rows(), cases::framing::rows(), cases::fields::rows()].concat() {
        rules.extend(request.rules);
    }
    for row in cases::responses::rows() {
        rules.extend(row.rules);
    }
    for row in cases::http2::rows() {
        rules.extend(row.rules);
    }
    for row in [
        cases::frames::ROWS,
        cases::floods::ROWS,
        cases::lifecycle::ROWS,
        cases::shutdown::ROWS,
        cases::paths::ROWS,
    ]
    .concat()
    {
        rules.extend(row.rules);
    }
    rules
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
    for script in [cases::frames::ROWS, cases::floods::ROWS].concat() {
        row("frames", script.name, script.rules, &|| (script.run)(&bench));
    }
    for script in [cases::lifecycle::ROWS, cases::shutdown::ROWS, cases::paths::ROWS].concat() {
        row("conversation", script.name, script.rules, &|| (script.run)(&bench));
    }
    Ok(verdicts)
}
