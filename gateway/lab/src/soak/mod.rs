//! `gateway-lab soak`: a gateway for minutes among services that are killed, slow clients, resets and floods. What
//! is sent must be answered as expected, memory must stay flat, and no worker may be lost.

mod load;
mod monitor;
mod service;
mod tally;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;

use self::load::{Load, Place};
use self::monitor::Monitor;
pub use self::service::Serve;
use self::service::Services;
use self::tally::Tally;
use crate::oracles::tools;
use crate::program::{Program, free_ports, raise_file_limit};
use crate::target;

/// A gateway for minutes among services that are killed, slow clients, resets and floods
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  gateway-lab soak
  gateway-lab soak --minutes 1 --without grpc,websocket

3 where anything was not answered as expected, memory grew, or a worker was lost.")]
pub struct Flags {
    /// The gateway's program [default: compiled as for the image]
    #[arg(long, value_name = "BINARY")]
    gateway: Option<PathBuf>,
    /// How long
    #[arg(long, default_value_t = 30.0, value_name = "N")]
    minutes: f64,
    /// Loads to leave out
    #[arg(long, value_name = "LOAD,…", value_delimiter = ',',
        value_parser = clap::builder::PossibleValuesParser::new(load::LOADS.map(|load| load.name)))]
    without: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Runs it and tells.
    pub fn run(self) -> Result<u8> {
        raise_file_limit();
        let binary = target::gateway(self.gateway.as_deref())?;
        let dir = tempfile::tempdir().context("a folder for the run")?;
        let time = Duration::from_secs_f64(self.minutes * 60.0);
        let loads: Vec<Load> = load::LOADS
            .into_iter()
            .filter(|load| !self.without.iter().any(|name| name == load.name))
            .collect();
        let report = soak(&binary, dir.path(), time, &loads)?;
        if self.json {
            println!("{:#}", report.json());
        } else {
            print!("{}", report.text());
        }
        Ok(if report.faults().is_empty() { 0 } else { 3 })
    }
}

/// What was seen.
#[derive(Debug)]
pub struct Report {
    tally: Arc<Tally>,
    monitor: Monitor,
    kills: usize,
}

/// The settings of the gateway: three endpoints that come and go, and services beside them that stay.
fn settings(ports: [u16; 3], app: &[u16], websocket: u16, grpc: Option<u16>) -> String {
    let [plain, tls, admin] = ports;
    let (certificate, key) = target::certificate();
    let endpoints: Vec<String> = app.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let limits = "header_timeout = '2s'\nbody_timeout = '2s'\nidle_timeout = '30s'\n";
    let mut text = format!(
        "threads = 2\nadmin.address = '127.0.0.1:{admin}'\n\
         [[listeners]]\naddress = '127.0.0.1:{plain}'\n{limits}\
         [[listeners]]\naddress = '127.0.0.1:{tls}'\n{limits}\
         tls = {{ certificate = '{}', key = '{}' }}\n\
         [upstreams.app]\nendpoints = {endpoints:?}\n\
         [upstreams.websocket]\nendpoints = ['127.0.0.1:{websocket}']\n\
         [[routes]]\nupstream = 'app'\n\
         [[routes]]\npath = '/websocket'\nupstream = 'websocket'\n",
        certificate.display(),
        key.display(),
    );
    if let Some(port) = grpc {
        text.push_str(&format!(
            "[upstreams.grpc]\nendpoints = ['h2c://127.0.0.1:{port}']\n\
             [[routes]]\npath = '/lab.Lab'\nupstream = 'grpc'\n"
        ));
    }
    text
}

fn soak(binary: &Path, dir: &Path, time: Duration, loads: &[Load]) -> Result<Report> {
    let has = |name: &str| loads.iter().any(|load| load.name == name);
    let python = if has("grpc") || has("websocket") { Some(tools::python()?) } else { None };
    let script = |name: &str, arguments: &[String]| -> Result<Program> {
        let python = python.as_ref().context("Python")?;
        let mut command = Command::new(python);
        command.arg(tools::script(name)).args(arguments);
        Program::start(name, dir, command)
    };
    let [plain, tls, admin, websocket_port, grpc_port] = free_ports()?;
    let mut beside = Vec::new();
    if has("websocket") {
        let mut program = script("websocket_echo.py", &[websocket_port.to_string()])?;
        program.listening(&[websocket_port])?;
        beside.push(program);
    }
    if has("grpc") {
        let mut program = script("grpc_calls.py", &["serve".to_owned(), grpc_port.to_string()])?;
        program.listening(&[grpc_port])?;
        beside.push(program);
    }
    let mut services = Services::start(dir)?;
    let file = dir.join("soak.toml");
    let grpc = has("grpc").then_some(grpc_port);
    std::fs::write(&file, settings([plain, tls, admin], &services.ports, websocket_port, grpc))?;
    let mut command = Command::new(binary);
    command.arg("run").arg("--config").arg(&file);
    let tally = Arc::new(Tally::default());
    let logged = Arc::clone(&tally);
    let mut gateway = Program::start_following("gateway", dir, command, move |line| logged.log(line))?;
    gateway.listening(&[plain, tls, admin])?;
    let stop = Arc::new(AtomicBool::new(false));
    let place = Place { plain, python: python.clone(), tally: Arc::clone(&tally), stop: Arc::clone(&stop) };
    let mut threads = Vec::new();
    for load in loads {
        for index in 0..load.threads {
            let (place, run) = (place.clone(), load.run);
            threads.push(thread::spawn(move || run(&place, index)));
        }
    }
    let mut monitor = Monitor::new(gateway.id());
    let end = Instant::now() + time;
    let kills = services.come_and_go(end, || monitor.look())?;
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        if thread.join().is_err() {
            tally.unexpected("lab", "a thread of the lab panicked");
        }
    }
    monitor.end(plain, gateway.runs());
    drop(gateway);
    Ok(Report { tally, monitor, kills })
}

impl Report {
    /// What was not as it must be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.tally.faults();
        faults.extend(self.monitor.faults());
        faults
    }

    fn text(&self) -> String {
        let head = ["load", ">sent", ">as expected", ">cut by a kill", ">not as expected"].map(str::to_owned);
        let mut text = crate::table::table(&head, &self.tally.rows());
        text.push_str(&format!("\n{} services killed and restarted. {}\n", self.kills, self.monitor.text()));
        for fault in self.faults() {
            text.push_str(&format!("fault: {fault}\n"));
        }
        for line in self.tally.logged() {
            text.push_str(&format!("log: {line}\n"));
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": "gateway-lab/1",
            "command": "soak",
            "loads": self.tally.json(),
            "kills": self.kills,
            "memory": self.monitor.json(),
            "faults": self.faults(),
        })
    }
}
