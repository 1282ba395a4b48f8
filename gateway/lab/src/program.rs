//! Programs that run while something is measured, and what the kernel counts for them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Longer than a program here takes to start or to end, also under valgrind on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The programs that run now, for a signal.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(id: u32, signal: Signal) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // An error says that it ended already.
        let _ = kill_process(id, signal);
    }
}

/// Ends the programs in the background where SIGTERM or SIGINT ends this one, with 128 and the signal's number.
pub fn end_with_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = runtime.block_on(async {
        anyhow::Ok([(signal(SignalKind::terminate())?, 143), (signal(SignalKind::interrupt())?, 130)])
    })?;
    thread::spawn(move || {
        let [(mut terminate, first), (mut interrupt, second)] = signals;
        let code = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => first,
                _ = interrupt.recv() => second,
            }
        });
        running().iter().for_each(|&id| send(id, Signal::TERM));
        std::process::exit(code);
    });
    Ok(())
}

/// A program in the background, ended with this value.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stderr: std::path::PathBuf,
}

impl Program {
    /// Starts a command; its output goes to `NAME.out` and `NAME.err` in `dir`.
    pub fn start(name: &str, dir: &Path, command: Command) -> Result<Self> {
        let out = File::create(dir.join(format!("{name}.out"))).context("the run's folder")?;
        Self::spawn(name, dir, command, out.into())
    }

    fn spawn(name: &str, dir: &Path, mut command: Command, out: Stdio) -> Result<Self> {
        let stderr = dir.join(format!("{name}.err"));
        let err = File::create(&stderr).context("the run's folder")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("starting {name}: {}", command.get_program().display()))?;
        running().insert(child.id());
        Ok(Self { name: name.to_owned(), child, stderr })
    }

    /// The same for one whose output would fill a disk: each line is handed on and dropped.
    pub fn start_following(
        name: &str,
        dir: &Path,
        command: Command,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self> {
        let mut program = Self::spawn(name, dir, command, Stdio::piped())?;
        if let Some(out) = program.child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                    on_line(&line);
                }
            });
        }
        Ok(program)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it accepts connections at all of these ports of the loopback.
    pub fn listening(&mut self, ports: &[u16]) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        for &port in ports {
            while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("{} ended at its start ({status}): {}", self.name, self.errors());
                }
                if Instant::now() > end {
                    bail!("{} does not listen on port {port}: {}", self.name, self.errors());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Waits for its first child process.
    pub fn first_child(&mut self) -> Result<u32> {
        let end = Instant::now() + PATIENCE;
        let path = format!("/proc/{id}/task/{id}/children", id = self.id());
        loop {
            let text = fs::read_to_string(&path).with_context(|| path.clone())?;
            if let Some(id) = text.split_whitespace().next() {
                return id.parse().with_context(|| path.clone());
            }
            if !self.runs() || Instant::now() > end {
                bail!("{} has no child process: {}", self.name, self.errors());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it wrote to standard error.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default().trim().to_owned()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // nginx ends its worker on SIGTERM, and leaves it behind on SIGKILL.
        self.signal(Signal::TERM);
        let end = Instant::now() + Duration::from_secs(5);
        while self.runs() {
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            thread::sleep(Duration::from_millis(5));
        }
        running().remove(&self.child.id());
    }
}

/// Runs a command to its end; an error has the end of what it said.
pub fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text);
        let tail: Vec<&str> = text.lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name} failed ({}): {}", output.status, tail.join(" | "));
    }
    Ok(output)
}

/// Whether a program is found in PATH.
pub fn exists(name: impl AsRef<OsStr>) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name.as_ref()).is_file())
}

/// The ports that [`free_ports`] chooses from. They are below the range from which Linux takes the ports of outgoing
/// connections, so that no connection of a load takes a port before its program listens on it.
const PORTS: Range<u32> = 10_000..32_000;

/// Ports of the loopback that are free. Processes that run at the same time begin at different ports.
pub fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    let first = std::process::id().wrapping_mul(101);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        *port = (0..count)
            .find_map(|_| {
                let tried = first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
                let port = u16::try_from(PORTS.start + tried % count).ok()?;
                TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
            })
            .with_context(|| format!("no port of the loopback in {PORTS:?} is free"))?;
    }
    Ok(ports)
}

/// Nanoseconds of CPU that all threads of a process used, in user and kernel mode.
pub fn cpu_nanos(id: u32) -> Result<u64> {
    let mut sum = 0;
    let tasks = fs::read_dir(format!("/proc/{id}/task")).with_context(|| format!("process {id}"))?;
    for task in tasks {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let first = text.split_whitespace().next().and_then(|nanos| nanos.parse::<u64>().ok());
        sum += first.with_context(|| format!("{}: no number", path.display()))?;
    }
    Ok(sum)
}

/// Resident bytes of a process.
pub fn resident(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS")?;
    Ok(kib * 1024)
}

/// Takes as many file descriptors as the system allows: thousands of connections are held at once.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
