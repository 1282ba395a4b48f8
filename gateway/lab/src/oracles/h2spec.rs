//! h2spec: the frames and errors of HTTP/2.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Stage, Verdict, tools};
use crate::conformance::{Gateway, Reply, Service, Settings};

/// Fewer cases than this means that it did not run in earnest.
const AT_LEAST: usize = 141;

pub fn plain(stage: Stage<'_>) -> Result<Verdict> {
    run(stage, false)
}

pub fn tls(stage: Stage<'_>) -> Result<Verdict> {
    run(stage, true)
}

fn run(stage: Stage<'_>, tls: bool) -> Result<Verdict> {
    let program = tools::h2spec()?;
    // Cases about windows need a body that does not fit into a small one.
    let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n{}", "x".repeat(1024)).into_bytes();
    let service = Service::answering(Reply { bytes, close: false })?;
    let endpoints = [service.address.to_string()];
    // A listener for both protocols answers what is no preface of HTTP/2 in HTTP/1.1.
    let settings = if tls {
        Settings::default()
    } else {
        Settings { listener: "protocols = ['http2']", ..Settings::default() }
    };
    let gateway = Gateway::start(stage.binary, stage.dir, &endpoints, settings)?;
    let port = if tls { gateway.tls } else { gateway.plain }.port().to_string();
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port, "-o", "3"]);
    if tls {
        command.args(["-t", "-k"]);
    }
    // It ends with 1 where a case failed.
    let output = command.output().context("starting h2spec")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (ran, skipped) = counts(&text).with_context(|| format!("no summary from h2spec: {text}"))?;
    let mut faults: Vec<String> = failures(&text);
    if ran < AT_LEAST {
        faults.push(format!("{ran} cases ran, {AT_LEAST} at least are wanted"));
    }
    if skipped > 0 {
        faults.push(format!("{skipped} cases skipped"));
    }
    let name = if tls { "h2spec-tls" } else { "h2spec" };
    Ok(Verdict {
        name,
        program: format!("h2spec {}", tools::H2SPEC.trim_end_matches("+incompatible")),
        ran,
        faults,
    })
}

/// Cases that ran and that were skipped, from `146 tests, 145 passed, 0 skipped, 1 failed`.
fn counts(text: &str) -> Option<(usize, usize)> {
    let line = text.lines().rev().find(|line| line.contains(" tests, "))?;
    let count = |what: &str| {
        line.split(", ").find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<usize>().ok())
    };
    let skipped = count("skipped")?;
    Some((count("tests")? - skipped, skipped))
}

/// The lines with a cross, each once; h2spec tells failures twice.
fn failures(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('×'))
        .map(|line| line.trim().to_owned())
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2spec_tells() {
        let text = "Failures:\n  × 1: Sends a frame\n  × 1: Sends a frame\n\n146 tests, 144 passed, 1 skipped, 1 failed\n";
        assert_eq!(counts(text), Some((145, 1)));
        assert_eq!(failures(text), ["1: Sends a frame"]);
        assert_eq!(counts("nothing"), None);
    }
}
