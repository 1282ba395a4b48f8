//! wrk and h2load: no answer may be lost or wrong under load. testssl.sh: no weakness of TLS.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Stage, Verdict, tools};
use crate::conformance::{Gateway, Service, Settings};
use crate::program::run;

fn gateway(stage: Stage<'_>) -> Result<(Gateway, Service)> {
    let service = Service::start()?;
    let gateway =
        Gateway::start(stage.binary, stage.dir, &[service.address.to_string()], Settings::default())?;
    Ok((gateway, service))
}

/// Requests of each load.
fn requests(stage: Stage<'_>) -> usize {
    if stage.short { 10_000 } else { 100_000 }
}

pub fn version(program: &str, flag: &str) -> Result<String> {
    let output = Command::new(program).arg(flag).output().with_context(|| program.to_owned())?;
    let text = [output.stdout, output.stderr].concat();
    let text = tools::plain(&String::from_utf8_lossy(&text));
    let number = text
        .split([' ', '\n', '/'])
        .find(|word| word.contains('.') && word.starts_with(|letter: char| letter.is_ascii_digit()));
    Ok(format!("{program} {}", number.unwrap_or_default()))
}

pub fn h2load(stage: Stage<'_>) -> Result<Verdict> {
    let (gateway, _service) = gateway(stage)?;
    let count = requests(stage);
    let (mut ran, mut faults) = (0, Vec::new());
    let (plain, tls) = (gateway.plain.port(), gateway.tls.port());
    for (what, url, flags) in [
        ("h2c", format!("http://127.0.0.1:{plain}/"), vec!["-c16", "-m10"]),
        ("h2", format!("https://127.0.0.1:{tls}/"), vec!["-c16", "-m10"]),
        ("h2, a hundred streams", format!("https://127.0.0.1:{tls}/"), vec!["-c4", "-m100"]),
        ("HTTP/1.1", format!("http://127.0.0.1:{plain}/"), vec!["-c16", "--h1"]),
        ("HTTP/1.1 pipelined", format!("http://127.0.0.1:{plain}/"), vec!["-c16", "-m8", "--h1"]),
        ("HTTP/1.1 over TLS", format!("https://127.0.0.1:{tls}/"), vec!["-c16", "--h1"]),
    ] {
        let output = run(Command::new("h2load").arg(format!("-n{count}")).args(flags).arg(url))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.starts_with("status codes: ")).unwrap_or_default();
        ran += count;
        if !line.starts_with(&format!("status codes: {count} 2xx")) {
            let all = text.lines().find(|line| line.starts_with("requests: ")).unwrap_or_default();
            faults.push(format!("{what}: {line}; {all}"));
        }
    }
    Ok(Verdict { name: "h2load", program: version("h2load", "--version")?, ran, faults })
}

pub fn wrk(stage: Stage<'_>) -> Result<Verdict> {
    let (gateway, _service) = gateway(stage)?;
    let (mut ran, mut faults) = (0, Vec::new());
    for (what, url) in [
        ("plain", format!("http://127.0.0.1:{}/", gateway.plain.port())),
        ("TLS", format!("https://127.0.0.1:{}/", gateway.tls.port())),
    ] {
        let seconds = if stage.short { "-d2s" } else { "-d10s" };
        let output = run(Command::new("wrk").args(["-t1", "-c64", seconds, "--latency", &url]))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let count =
            text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse::<usize>().ok());
        ran += count.with_context(|| format!("no summary from wrk: {text}"))?;
        for line in text.lines().filter(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
            faults.push(format!("{what}: {}", line.trim()));
        }
    }
    Ok(Verdict { name: "wrk", program: version("wrk", "-v")?, ran, faults })
}

/// What testssl.sh says of the certificate, which is that of the tests, and of the service's own fields is not the
/// gateway's.
const OF_OTHERS: [&str; 5] = ["cert", "OCSP", "DNS_CAA", "overall_grade", "security_headers"];

pub fn testssl(stage: Stage<'_>) -> Result<Verdict> {
    let (gateway, _service) = gateway(stage)?;
    let file = stage.dir.join("testssl.json");
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--jsonfile"]).arg(&file);
    if stage.short {
        command.args(["--protocols", "--server-defaults", "--heartbleed", "--renegotiation"]);
    }
    // It ends with the number of weaknesses.
    let output =
        command.arg(format!("127.0.0.1:{}", gateway.tls.port())).output().context("starting testssl")?;
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stdout)))?;
    let findings: Vec<Value> = serde_json::from_str(&text).context("testssl's report")?;
    let severity = |finding: &Value| finding["severity"].as_str().unwrap_or_default().to_owned();
    let faults = findings
        .iter()
        .filter(|finding| matches!(severity(finding).as_str(), "MEDIUM" | "HIGH" | "CRITICAL" | "FATAL"))
        .filter(|finding| {
            let id = finding["id"].as_str().unwrap_or_default();
            !OF_OTHERS.iter().any(|prefix| id.starts_with(prefix))
        })
        .map(|finding| {
            format!(
                "{}: {} ({})",
                finding["id"].as_str().unwrap_or_default(),
                finding["finding"],
                severity(finding)
            )
        })
        .collect();
    Ok(Verdict { name: "testssl", program: version("testssl", "--version")?, ran: findings.len(), faults })
}
