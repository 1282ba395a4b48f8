//! Autobahn's cases of WebSocket through the gateway. Those that fail are tried on the server alone: what fails
//! there too says nothing of the gateway.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Stage, Verdict, tools};
use crate::conformance::frames::DATA;
use crate::conformance::{Frames, Gateway, Outcome, Settings};
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
    let through = cases(stage, &python, gateway.plain.port(), "through", &[])?;
    let bad: Vec<&String> =
        through.iter().filter(|(_, verdict)| !good(verdict)).map(|(case, _)| case).collect();
    let alone = if bad.is_empty() { BTreeMap::new() } else { cases(stage, &python, port, "alone", &bad)? };
    let mut faults: Vec<String> = bad
        .into_iter()
        .filter(|case| alone.get(*case).is_some_and(|verdict| good(verdict)))
        .map(|case| format!("{case}: {}", through[case]))
        .collect();
    if let Err(error) = over_http2(&gateway) {
        faults.push(format!("a message over HTTP/2: {error:#}"));
    }
    Ok(Verdict {
        name: "autobahn",
        program: format!("Autobahn's cases by {}", tools::package("kosoku")?),
        ran: through.len() + 1,
        faults,
    })
}

/// A message there and back by extended CONNECT (RFC 8441 section 5), which none of the cases has.
fn over_http2(gateway: &Gateway) -> Result<()> {
    let mut client = Frames::open(gateway.plain)?;
    let stream = client.stream();
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "t"),
        (":path", "/"),
        ("sec-websocket-version", "13"),
    ];
    client.headers(stream, &fields, false);
    // "hi" under a mask of nothing (RFC 6455 section 5.2), and then the end.
    client.frame(DATA, 0, stream, b"\x81\x82\0\0\0\0hi");
    let answer = client.begun(stream, 4)?;
    ensure!(answer.status == 200 && answer.body == b"\x81\x02hi", "{answer:?}");
    client.frame(DATA, 0, stream, b"\x88\x80\0\0\0\0");
    let outcome = client.outcome(stream)?;
    ensure!(matches!(&outcome, Outcome::Response(answer) if answer.body.len() > 4), "{outcome:?}");
    Ok(())
}

fn good(verdict: &str) -> bool {
    matches!(verdict, "OK" | "NON-STRICT" | "INFORMATIONAL")
}

/// The verdict of each case, or of some.
fn cases(
    stage: Stage<'_>,
    python: &Path,
    port: u16,
    name: &str,
    some: &[&String],
) -> Result<BTreeMap<String, String>> {
    let out = stage.dir.join(name);
    let mut command = Command::new(python.with_file_name("kosoku"));
    command.args(["--parallelism", "8", "--outdir"]).arg(&out).arg(format!("ws://127.0.0.1:{port}"));
    for case in some {
        command.args(["--include", case]);
    }
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
