//! The gateway's image, from both engines, run the way an operator would.

#[path = "../../../xtask/tests/support/have.rs"]
mod have;
#[path = "../../../xtask/tests/support/live.rs"]
mod live;
mod release;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use have::{have, have_program};

/// One at a time: they share the build, the Docker engine and the machine's two cores.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn folder(name: &str) -> PathBuf {
    root().join("target").join("test-image").join(name)
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout.trim().to_owned()
}

fn xtask(args: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["xtask"])
        .args(args)
        .env_remove("GITHUB_OUTPUT")
        .env_remove("GITHUB_STEP_SUMMARY");
    cargo
}

/// The layout of both platforms and the archive, from the native engine.
fn native() -> &'static Path {
    static NATIVE: OnceLock<PathBuf> = OnceLock::new();
    NATIVE.get_or_init(|| {
        let (layout, archive) = (folder("native"), folder("native.tar"));
        fs::create_dir_all(layout.parent().unwrap()).unwrap();
        run(xtask(&["image", "--engine", "native", "--platform", "all", "--output"])
            .arg(&layout)
            .arg("--archive")
            .arg(archive));
        layout
    })
}

fn targets() -> bool {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]));
    let there =
        |arch: &str| Path::new(&sysroot).join(format!("lib/rustlib/{arch}-unknown-linux-musl")).is_dir();
    have("musl", there("x86_64") && there("aarch64"), "rustup target add both musl targets")
}

/// What stands in, on a machine that can pull no image, for the images of the Dockerfile.
fn stand_ins() -> Vec<String> {
    let mut flags = Vec::new();
    if let Ok(image) = std::env::var("XTASK_TEST_RUST_IMAGE") {
        flags.extend(["--build-context".to_owned(), format!("rust:1.95-slim-bookworm={image}")]);
    }
    if let Ok(bundle) = std::env::var("XTASK_TEST_CA") {
        flags.extend(["--secret".to_owned(), format!("id=ca,src={bundle}")]);
    }
    flags
}

fn docker() -> bool {
    have_program("docker", "docker", &["info"])
}

fn buildx() -> bool {
    docker()
        && have(
            "buildx",
            std::env::var_os("XTASK_TEST_RUST_IMAGE").is_some(),
            "XTASK_TEST_RUST_IMAGE names no builder image",
        )
}

fn digest(layout: &Path) -> String {
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    index.split("\"digest\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// Asks until there is an answer, for as long as a container may take to start.
fn get(address: &str, path: &str) -> String {
    let started = Instant::now();
    loop {
        let answer = TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        match answer {
            Ok(answer) if !answer.is_empty() => return answer,
            _ if started.elapsed() > Duration::from_mins(1) => {
                panic!("{address}{path}: no answer: {answer:?}")
            }
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[test]
fn both_engines_make_the_same_image() {
    let _turn = turn();
    if !targets() || !buildx() {
        return;
    }
    let layout = folder("buildx");
    run(xtask(&["image", "--engine", "buildx", "--platform", "all", "--output"])
        .arg(&layout)
        .args(stand_ins()));
    assert_eq!(digest(&layout), digest(native()));
}

#[test]
fn a_registry_takes_the_layout_and_finds_nothing_wrong() {
    let _turn = turn();
    if !targets() || !have_program("crane", "crane", &["version"]) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut serve = Command::new("crane");
    serve
        .args(["registry", "serve", "--address", &address.to_string()])
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    let _registry = Ended(serve.spawn().unwrap());
    get(&address.to_string(), "/v2/");
    let image = format!("{address}/gateway:test");
    run(Command::new("crane").args(["push", "--insecure"]).arg(native()).arg(&image));
    run(Command::new("crane").args(["validate", "--insecure", "--remote", &image]));
}

#[test]
fn docker_runs_the_archive_with_nothing_allowed() {
    let _turn = turn();
    if !targets() || !docker() {
        return;
    }
    native();
    let loaded = run(Command::new("docker").args(["load", "--input"]).arg(folder("native.tar")));
    let image = loaded.rsplit(' ').next().unwrap();
    let limits = [
        "run",
        "--detach",
        "--rm",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
    ];
    let container = run(Command::new("docker").args(limits).args(["--publish", "127.0.0.1::8080", image]));
    let container = Container("docker", container);
    let address = run(Command::new("docker").args(["port", &container.1, "8080/tcp"]));
    let answer = get(&address, "/");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    run(Command::new("docker").args(["exec", &container.1, "/usr/bin/gateway", "health"]));
}

#[test]
fn as_process_1_of_any_user_it_has_a_worker_for_each_whole_processor_and_ends_in_peace() {
    let _turn = turn();
    if !targets() || !docker() {
        return;
    }
    native();
    let loaded = run(Command::new("docker").args(["load", "--input"]).arg(folder("native.tar")));
    let image = loaded.rsplit(' ').next().unwrap();
    let limits =
        ["run", "--detach", "--read-only", "--cap-drop", "ALL", "--user", "12345:54321", "--cpus", "1.5"];
    let container = run(Command::new("docker").args(limits).args(["--publish", "127.0.0.1::8080", image]));
    let container = Container("docker", container);
    let address = run(Command::new("docker").args(["port", &container.1, "8080/tcp"]));
    assert!(get(&address, "/").starts_with("HTTP/1.1 200"));
    let inspect = |field: &str| {
        run(Command::new("docker").args([
            "inspect",
            "--format",
            &format!("{{{{.State.{field}}}}}"),
            &container.1,
        ]))
    };
    // The quota of the control group, rounded down.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", inspect("Pid"))).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    assert_eq!(names.filter(|name| name.starts_with("worker-")).count(), 1);
    run(Command::new("docker").args(["stop", "--time", "60", &container.1]));
    assert_eq!(inspect("ExitCode"), "0", "SIGTERM was not enough");
}

#[test]
fn podman_runs_the_archive() {
    let _turn = turn();
    if !targets() || !have_program("podman", "podman", &["info"]) {
        return;
    }
    native();
    let loaded = run(Command::new("podman").args(["load", "--input"]).arg(folder("native.tar")));
    let image = loaded.rsplit(' ').next().unwrap();
    let version = run(Command::new("podman").args([
        "run",
        "--rm",
        "--read-only",
        "--cap-drop",
        "ALL",
        image,
        "--version",
    ]));
    assert!(version.starts_with("gateway "), "{version}");
}

#[test]
fn skopeo_reads_the_archive() {
    let _turn = turn();
    if !targets() || !have_program("skopeo", "skopeo", &["--version"]) {
        return;
    }
    native();
    let archive = format!("oci-archive:{}", folder("native.tar").display());
    let inspected = run(Command::new("skopeo").args(["inspect", "--override-arch", "arm64", &archive]));
    assert!(inspected.contains("\"Architecture\": \"arm64\""), "{inspected}");
}

#[test]
fn the_arm64_gateway_answers_a_proxied_request() {
    let _turn = turn();
    if !targets() || !have_program("qemu", "qemu-aarch64-static", &["--version"]) {
        return;
    }
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = upstream.local_addr().unwrap();
    thread::spawn(move || {
        for stream in upstream.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nupstream");
        }
    });
    let temp = folder("arm64");
    run(xtask(&["binary", "--platform", "linux/arm64", "--out"]).arg(&temp));
    let port = free_port();
    let config = temp.join("gateway.toml");
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:{port}\"\n\
         [upstreams.a]\nendpoints = [\"{endpoint}\"]\n[[routes]]\npath = \"/\"\nupstream = \"a\"\n"
    );
    fs::write(&config, text).unwrap();
    let mut qemu = Command::new("qemu-aarch64-static");
    qemu.arg(temp.join("gateway")).args(["run", "--config"]).arg(&config).stdout(Stdio::null());
    let _gateway = Ended(qemu.spawn().unwrap());
    let answer = get(&format!("127.0.0.1:{port}"), "/through");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("upstream"), "{answer}");
}

#[test]
fn on_python_3_11_slim_both_engines_make_the_same_runnable_image() {
    let _turn = turn();
    if !targets() || !buildx() {
        return;
    }
    let base = std::env::var("XTASK_TEST_PYTHON").unwrap_or_default();
    if !have("python-image", !base.is_empty(), "XTASK_TEST_PYTHON names no python:3.11-slim") {
        return;
    }
    let (native, buildx, archive) = (folder("python-native"), folder("python-buildx"), folder("python.tar"));
    let over_budget = Some(3);
    for (engine, layout) in [("native", &native), ("buildx", &buildx)] {
        let mut image =
            xtask(&["image", "--engine", engine, "--platform", "all", "--base", &base, "--output"]);
        image.arg(layout).arg("--archive").arg(&archive);
        if engine == "buildx" {
            image.args(stand_ins());
        }
        let output = image.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            over_budget,
            "an image with all of Python is over our budget\n{stderr}"
        );
    }
    assert_eq!(digest(&native), digest(&buildx));
    let loaded = run(Command::new("docker").args(["load", "--input"]).arg(&archive));
    let image = loaded.rsplit(' ').next().unwrap();
    let python = [
        "run",
        "--rm",
        "--entrypoint",
        "python3",
        image,
        "-c",
        "import sys, json; print(sys.version_info[:2])",
    ];
    assert_eq!(run(Command::new("docker").args(python)), "(3, 11)");
    let version = run(Command::new("docker").args(["run", "--rm", image, "--version"]));
    assert!(version.starts_with("gateway "), "{version}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A child that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A container that ends with the test.
struct Container(&'static str, String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new(self.0).args(["rm", "--force", &self.1]).output();
    }
}
