//! A running gateway.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway with one listener, ended with the test.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    access_log: Receiver<String>,
    errors: Receiver<String>,
}

/// A command that runs the built program and knows nothing of its surroundings.
pub fn command(arguments: &[&str]) -> Command {
    let program = std::env::var_os("GATEWAY_BINARY");
    let mut command = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_gateway").as_ref()));
    command.args(arguments).env_remove("GATEWAY_CONFIG");
    command
}

/// A settings file, removed with the test.
pub struct File(PathBuf);

impl File {
    /// Replaces its text.
    pub fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a writable file");
    }
}

impl AsRef<OsStr> for File {
    fn as_ref(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a settings file of its own name.
pub fn file(text: &str) -> File {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("gateway-{}-{number}.toml", std::process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a writable directory");
    File(path)
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The address in a line such as `gateway: listener 'web' listens on 127.0.0.1:80`.
fn bound(line: &str) -> Option<SocketAddr> {
    line.rsplit_once(" listens on ")?.1.parse().ok()
}

impl Gateway {
    /// Starts a gateway that forwards everything to one upstream.
    pub fn before(upstream: SocketAddr) -> Self {
        Self::with(upstream, "", "", "")
    }

    /// The same with further keys of listener, upstream and route.
    pub fn with(upstream: SocketAddr, listener: &str, upstream_keys: &str, route: &str) -> Self {
        Self::start(&format!(
            "[[listeners]]\nname = 'web'\naddress = '127.0.0.1:0'\n{listener}\n\
             [upstreams.app]\nendpoints = ['{upstream}']\n{upstream_keys}\n\
             [[routes]]\nname = 'all'\nupstream = 'app'\n{route}\n"
        ))
    }

    /// Starts a gateway with settings for all but threads and admin listener.
    pub fn start(settings: &str) -> Self {
        let settings = format!("threads = 2\nadmin.address = '127.0.0.1:0'\n{settings}");
        Self::from_file(&file(&settings))
    }

    /// Starts a gateway with the settings of a file, which has been read once it is ready.
    pub fn from_file(file: &File) -> Self {
        let mut run = command(&["run", "--config"]);
        run.arg(file);
        Self::spawn(run)
    }

    /// Starts a gateway without settings, at its fixed ports.
    pub fn built_in() -> Self {
        Self::spawn(command(&[]))
    }

    fn spawn(mut run: Command) -> Self {
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the built program");
        let access_log = lines(child.stdout.take().expect("piped"));
        let errors = lines(child.stderr.take().expect("piped"));
        let mut addresses = Vec::new();
        loop {
            let line = errors.recv_timeout(PATIENCE).expect("the gateway to start");
            if line == "gateway: ready" {
                break;
            }
            addresses.extend(bound(&line));
        }
        let [admin, address] = addresses[..] else {
            panic!("two addresses, not {addresses:?}");
        };
        Self { child, address, admin, access_log, errors }
    }

    /// The next line of the access log.
    pub fn logged(&self) -> String {
        self.access_log.recv_timeout(PATIENCE).expect("a line in the access log")
    }

    /// Waits for a line on standard error.
    pub fn says(&self, part: &str) {
        loop {
            let line = self.errors.recv_timeout(PATIENCE).expect(part);
            if line.contains(part) {
                return;
            }
        }
    }

    /// Waits until another listener is open; gives its address.
    pub fn opens(&self) -> SocketAddr {
        loop {
            let line = self.errors.recv_timeout(PATIENCE).expect("another listener");
            if let Some(address) = bound(&line) {
                return address;
            }
        }
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> usize {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.split_whitespace().next().and_then(|number| number.parse::<usize>().ok()).expect("a number")
            << 10
    }

    /// Sends a signal, as `kill -NAME` does.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(status.success());
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the gateway did not end");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
