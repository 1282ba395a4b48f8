//! Three services in processes of their own, killed and restarted in turn.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::Signal;

use crate::conformance::Wire;
use crate::program::Program;

/// A service of the soak
#[derive(Args, Debug)]
pub struct Serve {
    /// Where it listens on the loopback
    port: u16,
}

/// The size in a path such as `/bytes/1000`.
pub fn size(target: &str) -> usize {
    target.strip_prefix("/bytes/").and_then(|size| size.parse().ok()).unwrap_or(2)
}

/// The body of so many bytes, the same on both sides.
pub fn body(size: usize) -> Vec<u8> {
    (0..size).map(|index| b"0123456789abcdef"[index % 16]).collect()
}

impl Serve {
    /// Serves until it is killed: `GET /bytes/N` has N bytes, `POST` has its own body back.
    pub fn run(self) -> Result<u8> {
        let end = Instant::now() + Duration::from_secs(10);
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)) {
                Ok(listener) => break listener,
                // The one before it may still be ending.
                Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
                Err(error) => return Err(error).context("the service's port"),
            }
        };
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || -> Result<()> {
                let mut wire = Wire::of(stream)?;
                wire.patience(Duration::from_hours(1))?;
                while let Some(request) = wire.request()? {
                    if request.cut {
                        break;
                    }
                    let mut parts = request.line.split(' ');
                    let (method, target) =
                        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                    let body = if method == "POST" { request.body.clone() } else { body(size(target)) };
                    let mut response =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
                    // One write: a small response is sent whole or not at all.
                    response.extend(body);
                    if !wire.send(&response) {
                        break;
                    }
                }
                Ok(())
            });
        }
        Ok(0)
    }
}

/// The services.
#[derive(Debug)]
pub struct Services {
    pub ports: Vec<u16>,
    programs: Vec<Program>,
    dir: PathBuf,
}

impl Services {
    /// Starts three.
    pub fn start(dir: &Path) -> Result<Self> {
        // Below the ports that the system gives to outgoing connections: one of those could take the port of a
        // service that is down.
        let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let first = 20_000 + u16::try_from(std::process::id() % 10_000)?;
        let ports: Vec<u16> = (first..).filter(free).take(3).collect();
        let mut services = Self { ports: ports.clone(), programs: Vec::new(), dir: dir.to_owned() };
        for port in ports {
            let program = services.one(port)?;
            services.programs.push(program);
        }
        Ok(services)
    }

    fn one(&self, port: u16) -> Result<Program> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(port.to_string());
        let mut program = Program::start(&format!("service-{port}"), &self.dir, command)?;
        program.listening(&[port])?;
        Ok(program)
    }

    /// Kills one after another, by SIGKILL and by SIGTERM, and restarts it two seconds later. The last ten seconds
    /// are quiet. Tells how many.
    pub fn come_and_go(&mut self, end: Instant, mut look: impl FnMut()) -> Result<usize> {
        let mut kills = 0;
        let wait = |time: Duration, look: &mut dyn FnMut()| {
            let until = (Instant::now() + time).min(end);
            while Instant::now() < until {
                thread::sleep(Duration::from_millis(250));
                look();
            }
        };
        while Instant::now() < end {
            wait(Duration::from_secs(3), &mut look);
            if end.saturating_duration_since(Instant::now()) < Duration::from_secs(10) {
                wait(Duration::from_secs(10), &mut look);
                break;
            }
            let which = kills % self.programs.len();
            self.programs[which].signal(if kills % 2 == 0 { Signal::KILL } else { Signal::TERM });
            kills += 1;
            wait(Duration::from_secs(2), &mut look);
            self.programs[which] = self.one(self.ports[which])?;
        }
        Ok(kills)
    }
}
