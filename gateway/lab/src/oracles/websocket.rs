//! Autobahn's cases of WebSocket: first on a server alone, then through the gateway. What fails there alone says
//! nothing of the gateway.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Stage, Verdict, tools};
use crate::conformance::{Gateway, Settings};
use crate::program::{Program, free_ports};

pub fn run(stage: Stage<'_>) -> Result<Verdict> {
    let python = tools::python()?;
    let [port] = free_ports()?;
    let mut command = Command::new(&python);
    command.arg(tools::script("websocket_echo.py")).arg(port.to_string());
    let mut server = Program::start("websocket", stage.dir, command)?;
    server.listening(&[port])?;
    let gateway =
        Gateway::start(stage.binary, stage.dir, &[format!("127.0.0.1:{port}")], Settings::default())?;
    let alone = cases(stage, &python, port, "alone")?;
    let through = cases(stage, &python, gateway.plain.port(), "through")?;
    let faults = through
        .iter()
        .filter(|(case, verdict)| !good(verdict) && alone.get(*case).is_none_or(|alone| good(alone)))
        .map(|(case, verdict)| format!("{case}: {verdict}"))
        .collect();
    Ok(Verdict {
        name: "autobahn",
        program: format!("Autobahn's cases by {}", tools::package("kosoku")?),
        ran: through.len(),
        faults,
    })
}

fn good(verdict: &str) -> bool {
    matches!(verdict, "OK" | "NON-STRICT" | "INFORMATIONAL")
}

/// The verdict of each case.
fn cases(stage: Stage<'_>, python: &Path, port: u16, name: &str) -> Result<BTreeMap<String, String>> {
    let out = stage.dir.join(name);
    let mut command = Command::new(python.with_file_name("kosoku"));
    command.args(["--parallelism", "4", "--outdir"]).arg(&out).arg(format!("ws://127.0.0.1:{port}"));
    if stage.short {
        // Megabytes and compression: minutes.
        command.args(["--exclude", "9.*", "--exclude", "12.*", "--exclude", "13.*"]);
    }
    // It ends with 1 where a case failed.
    let output = command.output().context("starting kosoku")?;
    let index = out.join("index.json");
    let text = fs::read_to_string(&index).with_context(|| {
        format!("no report from kosoku: {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    let document: Value = serde_json::from_str(&text)?;
    let mut verdicts = BTreeMap::new();
    for agent in document.as_object().into_iter().flat_map(|agents| agents.values()) {
        for (case, result) in agent.as_object().into_iter().flatten() {
            let verdict = result["behavior"].as_str().unwrap_or_default();
            verdicts.insert(case.clone(), verdict.to_owned());
        }
    }
    Ok(verdicts)
}
