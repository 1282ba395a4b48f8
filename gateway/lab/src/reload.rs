//! `gateway-lab reload`: settings of many routes are reloaded while requests come at a constant rate and WebSockets
//! are open. No request may fail, no WebSocket may end, and memory must stay flat.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::bench::client::{at_rate, quantile};
use crate::conformance::Wire;
use crate::program::{Program, free_ports, raise_file_limit, resident};
use crate::table::{median, table};
use crate::target;

/// How much slower the slowest percent may be with reloads, and how much memory may grow between the second and
/// the last third of them: in share, and in bytes below which growth is noise.
const MOST: f64 = 1.2;
const GROWTH: (f64, f64) = (1.1, 4e6);
const CONNECTIONS: usize = 32;
const WEBSOCKETS: usize = 20;

/// Reloads of many routes under load
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  gateway-lab reload
  gateway-lab reload --reloads 20 --rounds 2 --routes 500 --rate 500

3 where a request failed, a WebSocket ended, memory grew, or p99 is more than 1.2 of that without reloads.")]
pub struct Flags {
    /// The gateway's program [default: compiled as for the image]
    #[arg(long, value_name = "BINARY")]
    gateway: Option<PathBuf>,
    /// How often the settings are reloaded
    #[arg(long, default_value_t = 200, value_name = "N")]
    reloads: usize,
    /// Into how many parts the reloads are divided; before or behind each is as long a time without reloads
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many routes they have
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    routes: usize,
    /// From the begin of one reload to the next, in milliseconds
    #[arg(long, default_value_t = 500, value_name = "MS")]
    interval: u64,
    /// Requests per second
    #[arg(long, default_value_t = 1000.0, value_name = "N")]
    rate: f64,
    /// Do not judge p99: for a busy machine and for debug builds
    #[arg(long)]
    without_p99: bool,
}

/// What one phase showed.
#[derive(Debug)]
struct Phase {
    requests: usize,
    p50: f64,
    p99: f64,
}

impl Flags {
    /// Runs it and tells.
    pub fn run(self) -> Result<u8> {
        ensure!(self.reloads >= 3, "--reloads must be 3 or more");
        ensure!(self.rounds as usize <= self.reloads, "--rounds must not be more than --reloads");
        raise_file_limit();
        let binary = target::gateway(self.gateway.as_deref())?;
        let dir = tempfile::tempdir().context("a folder for the run")?;
        let service = service()?;
        let [port, admin] = free_ports()?;
        let file = dir.path().join("gateway.toml");
        let write =
            |version: usize| std::fs::write(&file, settings([port, admin], service, self.routes, version));
        write(0)?;
        let mut command = Command::new(&binary);
        command.arg("run").arg("--config").arg(&file);
        let mut gateway = Program::start_following("gateway", dir.path(), command, |_| {})?;
        gateway.listening(&[port, admin])?;

        let sockets = WebSockets::open(port)?;
        let (mut quiet, mut busy) = (Vec::new(), Vec::new());
        let mut memory = Vec::new();
        let mut times = Vec::new();
        let mut version = 0;
        for round in 0..self.rounds as usize {
            let count = self.reloads * (round + 1) / self.rounds as usize - version;
            let time = Duration::from_millis(self.interval) * u32::try_from(count)?;
            // Who begins changes, so that a machine that slows down meets both.
            for reloads in [round % 2 == 1, round % 2 == 0] {
                let rate = self.rate;
                let load = thread::spawn(move || at_rate(port, CONNECTIONS, rate, time.as_secs_f64()));
                let begun = Instant::now();
                for number in 1..=if reloads { u32::try_from(count)? } else { 0 } {
                    version += 1;
                    write(version)?;
                    times.push(reload(admin)?.as_secs_f64());
                    memory.push(resident_bytes(&gateway)?);
                    let due = Duration::from_millis(self.interval) * number;
                    thread::sleep(due.saturating_sub(begun.elapsed()));
                }
                // A request that fails ends the run.
                let latencies = load.join().map_err(|_| anyhow::anyhow!("the load's thread panicked"))??;
                if reloads { &mut busy } else { &mut quiet }.extend(latencies);
            }
        }
        let [quiet, busy] = [quiet, busy].map(Phase::of);
        let ended = sockets.end();
        ensure!(gateway.runs(), "the gateway ended: {}", gateway.errors());
        Ok(self.tell(&[quiet, busy], &mut times, &memory, ended))
    }

    fn tell(&self, phases: &[Phase; 2], times: &mut [f64], memory: &[f64], ended: usize) -> u8 {
        let millis = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
        let [quiet, busy] = phases;
        let head = ["", ">requests", ">failed", ">p50", ">p99"].map(str::to_owned);
        let row = |name: &str, phase: &Phase| {
            vec![
                name.to_owned(),
                phase.requests.to_string(),
                "0".to_owned(),
                millis(phase.p50),
                millis(phase.p99),
            ]
        };
        print!("{}", table(&head, &[row("without reloads", quiet), row("with reloads", busy)]));
        let third = memory.len() / 3;
        let (second, last) = (median(&memory[third..2 * third]), median(&memory[2 * third..]));
        let (half, slowest) = (quantile(times, 0.5), quantile(times, 1.0));
        println!(
            "\n{} reloads of {} routes: median {}, slowest {}.\n\
             p99 with reloads over that without: {:.2}.\n\
             {ended} of {WEBSOCKETS} WebSockets ended.\n\
             Memory: {:.1} MB in the second third of the reloads, {:.1} MB in the last.",
            self.reloads,
            self.routes,
            millis(half),
            millis(slowest),
            busy.p99 / quiet.p99,
            second / 1e6,
            last / 1e6
        );
        let mut faults = Vec::new();
        if ended > 0 {
            faults.push("a WebSocket ended");
        }
        if last > second * GROWTH.0 && last > second + GROWTH.1 {
            faults.push("memory grew");
        }
        if !self.without_p99 && busy.p99 > quiet.p99 * MOST {
            faults.push("p99 is more than 1.2 of that without reloads");
        }
        for fault in &faults {
            println!("fault: {fault}");
        }
        if faults.is_empty() { 0 } else { 3 }
    }
}

impl Phase {
    fn of(mut latencies: Vec<f64>) -> Self {
        let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut latencies, share));
        Self { requests: latencies.len(), p50, p99 }
    }
}

fn settings([port, admin]: [u16; 2], service: u16, routes: usize, version: usize) -> String {
    let mut text = format!(
        "threads = 2\nwatch = false\nadmin.address = '127.0.0.1:{admin}'\n\
         [[listeners]]\nname = 'web'\naddress = '127.0.0.1:{port}'\n\
         [upstreams.app]\nendpoints = ['127.0.0.1:{service}']\nmax_idle = 256\n\
         [[routes]]\nupstream = 'app'\n"
    );
    for number in 0..routes {
        let (host, path) = (number / 100, number % 100);
        // A tenth of the routes have another name each time.
        let name = if path % 10 == 0 { format!("{number}-{version}") } else { number.to_string() };
        text.push_str(&format!(
            "[[routes]]\nname = 'r{name}'\nhosts = ['h{host}.example']\npath = '/p{path}'\nupstream = 'app'\n"
        ));
    }
    text
}

fn reload(admin: u16) -> Result<Duration> {
    let begun = Instant::now();
    let mut wire = Wire::connect(SocketAddr::from(([127, 0, 0, 1], admin)))?;
    wire.patience(Duration::from_mins(1))?;
    wire.send(
        b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    let response = wire.response("POST")?.context("no response to a reload")?;
    if response.status() != 200 {
        bail!("a reload failed: {}", String::from_utf8_lossy(&response.body));
    }
    Ok(begun.elapsed())
}

#[allow(clippy::cast_precision_loss)] // Below a terabyte.
fn resident_bytes(gateway: &Program) -> Result<f64> {
    Ok(resident(gateway.id())? as f64)
}

/// A service that answers each request with 1 KB, and echoes what comes over a WebSocket.
fn service() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(std::io::Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

fn serve(stream: TcpStream) -> Result<()> {
    let mut echo = stream.try_clone()?;
    let mut wire = Wire::of(stream)?;
    wire.patience(Duration::from_hours(1))?;
    while let Some(request) = wire.request()? {
        if request.line.contains(" /ws ") {
            wire.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            let mut bytes = [0; 4096];
            loop {
                let count = echo.read(&mut bytes)?;
                if count == 0 {
                    return Ok(());
                }
                echo.write_all(&bytes[..count])?;
            }
        }
        let mut response = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n".to_vec();
        response.resize(response.len() + 1024, b'x');
        if !wire.send(&response) {
            break;
        }
    }
    Ok(())
}

/// WebSockets that send a message ten times a second and wait for it to come back.
struct WebSockets {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl WebSockets {
    fn open(port: u16) -> Result<Self> {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut threads = Vec::new();
        for _ in 0..WEBSOCKETS {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.write_all(
                b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                head.extend(byte);
            }
            ensure!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
            let (stop, ended) = (Arc::clone(&stop), Arc::clone(&ended));
            threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut back = [0; 5];
                    let passed = stream.write_all(b"hello").and_then(|()| stream.read_exact(&mut back));
                    if passed.is_err() || back != *b"hello" {
                        ended.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    thread::sleep(Duration::from_millis(100));
                }
            }));
        }
        Ok(Self { stop, ended, threads })
    }

    /// How many ended before their time.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            if thread.join().is_err() {
                self.ended.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.ended.load(Ordering::Relaxed)
    }
}
