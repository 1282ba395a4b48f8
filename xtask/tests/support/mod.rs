//! Shared by the integration tests: a small workspace that is not this one, and the binary under test.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod browser;
pub mod bundles;
pub mod fault_proxy;
pub mod forge;
pub mod github;
mod have;
mod image;
mod install;
pub mod live;
pub mod published;
pub mod sigstore;
pub mod stand_in;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

#[allow(unused_imports, reason = "each test file uses its own part")]
pub use have::{have, have_program};
#[allow(unused_imports, reason = "each test file uses its own part")]
pub use image::Image;
#[allow(unused_imports, reason = "each test file uses its own part")]
pub use install::{download, go_program, installed};

pub const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// The root of this workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Whether both musl targets are installed.
#[must_use]
pub fn have_targets() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let rustlib = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim()).join("lib/rustlib");
    let musl = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
    have(
        "musl",
        musl.iter().all(|target| rustlib.join(target).is_dir()),
        "rustup target add both musl targets",
    )
}

/// A workspace with one binary, `hello`, and no trace of this one.
pub struct Hello {
    pub dir: tempfile::TempDir,
}

impl Hello {
    pub fn new() -> Self {
        let hello = Self { dir: tempfile::tempdir().unwrap() };
        hello.write("Cargo.toml", "[workspace]\nmembers = [\"hello\"]\nresolver = \"3\"\n");
        hello.write(
            "hello/Cargo.toml",
            "[package]\nname = \"hello\"\nversion = \"0.3.0\"\nedition = \"2024\"\nlicense = \"MIT\"\n",
        );
        hello.write("hello/src/main.rs", "fn main() { println!(\"hello from {}\", file!()); }\n");
        hello.write("xtask/image.toml", "package = \"hello\"\n");
        hello.write(".gitignore", "/target\n");
        hello.write(
            "Cargo.lock",
            "# made by cargo\nversion = 4\n\n[[package]]\nname = \"hello\"\nversion = \"0.3.0\"\n",
        );
        hello
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn git(&self, args: &[&str]) {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(self.path())
            .env("GIT_AUTHOR_DATE", "2024-02-29T12:34:56Z")
            .env("GIT_COMMITTER_DATE", "2024-02-29T12:34:56Z")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn commit(&self) {
        self.git(&["init", "--quiet"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "all"]);
    }

    pub fn command(&self) -> Command {
        xtask(self.path())
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command().args(args))
    }

    pub fn layout(&self) -> PathBuf {
        self.path().join("target/image")
    }
}

/// The binary under test in a folder, as on a laptop: without what `cargo test` and CI leave in the
/// environment. A test about CI sets what it is about.
pub fn xtask(dir: &Path) -> Command {
    let mut command = Command::new(XTASK);
    command.current_dir(dir).env_remove("CI");
    // The library path would lead every rustc to the libraries of the one that runs these tests.
    let foreign =
        ["CARGO_", "GITHUB_", "GHCR_", "RUSTFLAGS", "SOURCE_DATE_EPOCH", "DOCKER_", "LD_LIBRARY_PATH"];
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name != "CARGO_HOME" && foreign.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// A file of advisories of this day with these lines, one JSON object each.
pub fn facts(day: &str, lines: &[&str]) -> String {
    let body: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let head = serde_json::json!({
        "schema": "xtask.advisories/1", "source": "a test", "date": day, "advisories": lines.len(),
        "body": published::digest(body.as_bytes()),
    });
    format!("{head}\n{body}")
}

/// A file of advisories with a single one in it, about a crate that nobody has.
pub fn one_fact() -> String {
    facts("2026-08-21", &[r#"{"id":"RUSTSEC-2021-0001","package":"none","date":"2021-01-01"}"#])
}

/// PATH without the folders that have this program.
pub fn path_without(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let dirs = std::env::split_paths(&path).filter(|dir| !dir.join(program).is_file());
    std::env::join_paths(dirs).unwrap().into_string().unwrap()
}

/// The day so many days from now.
pub fn in_days(days: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut days = now / 86_400 + days;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

/// Gives a file the bit that lets it be run.
#[cfg(unix)]
pub fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(not(unix))]
pub fn make_executable(_: &Path) {}

/// A server of files on this machine, for as long as the test runs: its address. `find` has the content of a
/// path; where it has none, the answer is 404.
pub fn files(find: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let read = stream.read(&mut asked).unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
            let body = find(asked.split(' ').nth(1).unwrap_or_default());
            let state = if body.is_some() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let head =
                format!("HTTP/1.1 {state}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Longer than any run takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(20);

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::of_child(command.spawn().unwrap())
    }

    /// Waits for the end of a child with piped output. One that hangs is ended.
    fn of_child(child: Child) -> Self {
        let (done, ended) = mpsc::channel::<()>();
        let id = child.id().to_string();
        let watch = thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("process {id} ran for {LIMIT:?}");
                Command::new("kill").arg(id).status().unwrap();
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(done);
        watch.join().unwrap();
        Self::from_output(output)
    }

    /// The same with this text on standard input.
    pub fn with_input(command: &mut Command, input: &str) -> Self {
        use std::io::Write as _;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Self::of_child(child)
    }

    pub fn from_output(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text) || self.stdout.contains(text),
            "no {text:?} in\n{}{}",
            self.stdout,
            self.stderr
        );
        self
    }
}
