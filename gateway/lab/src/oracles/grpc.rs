//! grpcio on both sides of the gateway.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Stage, Verdict, tools};
use crate::program::{Program, free_ports};
use crate::target;

pub fn plain(stage: Stage<'_>) -> Result<Verdict> {
    run(stage, false)
}

pub fn tls(stage: Stage<'_>) -> Result<Verdict> {
    run(stage, true)
}

fn run(stage: Stage<'_>, tls: bool) -> Result<Verdict> {
    let python = tools::python()?;
    let script = tools::script("grpc_calls.py");
    let [service, dead, port, admin] = free_ports()?;
    let mut command = Command::new(&python);
    command.arg(&script).args(["serve", &service.to_string()]);
    let mut server = Program::start("grpc", stage.dir, command)?;
    server.listening(&[service])?;
    let (certificate, key) = target::certificate();
    let secured =
        format!("tls = {{ certificate = '{}', key = '{}' }}\n", certificate.display(), key.display());
    let settings = format!(
        "threads = 2\nadmin.address = '127.0.0.1:{admin}'\n\
         [[listeners]]\naddress = '127.0.0.1:{port}'\n{tls}\
         [upstreams.grpc]\nendpoints = ['h2c://127.0.0.1:{service}']\n\
         [upstreams.dead]\nendpoints = ['h2c://127.0.0.1:{dead}']\n\
         [[routes]]\npath = '/'\nupstream = 'grpc'\n\
         [[routes]]\npath = '/lab.Dead'\nupstream = 'dead'\n\
         [[routes]]\npath = '/lab.Slow'\nupstream = 'grpc'\nrequest_timeout = '500ms'\nrewrite = {{ prefix = '/lab.Lab' }}\n",
        tls = if tls { &secured } else { "" },
    );
    let file = stage.dir.join(format!("grpc-{port}.toml"));
    std::fs::write(&file, settings)?;
    let mut command = Command::new(stage.binary);
    command.arg("run").arg("--config").arg(&file);
    let mut gateway = Program::start(&format!("grpc-{port}"), stage.dir, command)?;
    gateway.listening(&[port])?;
    let mut command = Command::new(&python);
    command.arg(&script).arg("call").arg(format!("localhost:{port}"));
    if tls {
        command.arg(target::gateway_dir().join("tests/data/ca.crt"));
    }
    let output = command.output().context("starting Python")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let results: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut faults: Vec<String> = results
        .iter()
        .filter_map(|result| Some(format!("{}: {}", result["case"].as_str()?, result["fault"].as_str()?)))
        .collect();
    if !output.status.success() {
        faults.push(format!(
            "the calls ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let name = if tls { "grpc-tls" } else { "grpc-h2c" };
    Ok(Verdict { name, program: tools::package("grpcio")?, ran: results.len(), faults })
}
