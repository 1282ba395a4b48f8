//! slowhttptest: clients that hold connections by being slow. Everybody else must be served meanwhile, and the
//! slow ones must be ended.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Stage, Verdict, load, tools};
use crate::conformance::{Gateway, Service, Settings, Wire};
use crate::program::Program;

pub fn run(stage: Stage<'_>) -> Result<Verdict> {
    let service = Service::start()?;
    let settings = Settings { listener: "header_timeout = '3s'\nbody_timeout = '3s'", ..Settings::default() };
    let gateway = Gateway::start(stage.binary, stage.dir, &[service.address.to_string()], settings)?;
    let url = format!("http://{}/", gateway.plain);
    let seconds = if stage.short { "12" } else { "40" };
    let mut faults = Vec::new();
    let modes = [("slow heads", "-H"), ("slow bodies", "-B"), ("slow readers", "-X")];
    for (what, flag) in modes {
        let mut command = Command::new("slowhttptest");
        command.args([
            flag, "-c", "500", "-r", "500", "-i", "5", "-l", seconds, "-x", "24", "-p", "3", "-u", &url,
        ]);
        let mut test = Program::start("slowhttptest", stage.dir, command)?;
        let mut failed = 0;
        while test.runs() {
            thread::sleep(Duration::from_millis(200));
            let answer = Wire::connect(gateway.plain).and_then(|mut wire| {
                wire.send(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
                wire.response("GET")
            });
            if !matches!(&answer, Ok(Some(response)) if response.status() == 200) {
                failed += 1;
            }
        }
        if failed > 0 {
            faults.push(format!("{what}: {failed} requests of others had no answer"));
        }
        let said = tools::plain(&std::fs::read_to_string(stage.dir.join("slowhttptest.out"))?);
        // The last report; a slow reader of a small response is answered and holds nothing.
        let connected = said
            .lines()
            .rev()
            .find_map(|line| line.split_once("connected:").map(|(_, rest)| rest.trim().to_owned()))
            .map(|rest| rest.chars().filter(char::is_ascii_digit).collect::<String>())
            .with_context(|| format!("no report from slowhttptest: {said}"))?;
        if flag != "-X" && connected.parse::<usize>().unwrap_or(usize::MAX) > 50 {
            faults.push(format!("{what}: {connected} of 500 connections are held after {seconds} s"));
        }
    }
    Ok(Verdict {
        name: "slowhttptest",
        program: load::version("slowhttptest", "-h")?,
        ran: modes.len(),
        faults,
    })
}
