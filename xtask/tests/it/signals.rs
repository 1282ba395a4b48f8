//! A run that a signal ends: its children, its files, its exit code.

#![cfg(target_os = "linux")]

use crate::support;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::fault_proxy::{Fault, FaultProxy};
use support::live::Live;
use support::published::Workshop;
use support::{Hello, Image, Ran, have_targets};

const NATIVE: [&str; 3] = ["image", "--engine", "native"];

/// A workspace with an image, whose next build runs this script of the shell for long.
struct Slow {
    hello: Hello,
    digest: String,
    files: usize,
}

impl Slow {
    fn new(script: &str) -> Self {
        let hello = Hello::new();
        hello.run(&NATIVE).code(0);
        let digest = Image::read(&hello.layout()).digest();
        hello.write("script", script);
        let build =
            "fn main() { std::process::Command::new(\"sh\").arg(\"../script\").status().unwrap(); }\n";
        hello.write("hello/build.rs", build);
        hello.write("hello/src/main.rs", "fn main() { println!(\"another\"); }\n");
        let mut slow = Self { hello, digest, files: 0 };
        slow.files = slow.files();
        slow
    }

    /// Starts a run in a process group of its own, and waits until its script runs.
    fn start(&self) -> Child {
        let mut command = self.hello.command();
        command.args(NATIVE).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        self.wait_for("ready");
        child
    }

    fn wait_for(&self, name: &str) {
        let deadline = Instant::now() + Duration::from_mins(2);
        while !self.hello.path().join("hello").join(name).exists() {
            assert!(Instant::now() < deadline, "there is no {name}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every process that has to do with this workspace.
    fn processes(&self) -> Vec<String> {
        let dir = self.hello.path().canonicalize().unwrap();
        let text = dir.to_str().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let at = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            if !line.is_empty() && (line.contains(text) || at.starts_with(&dir)) {
                found.push(line);
            }
        }
        found
    }

    /// Files in `target`, but for cargo's own.
    fn files(&self) -> usize {
        fn walk(dir: PathBuf, found: &mut usize) {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                match entry.path() {
                    path if !path.is_dir() => *found += 1,
                    path if entry.file_name() != "release" => walk(path, found),
                    _ => {}
                }
            }
        }
        let mut found = 0;
        walk(self.hello.path().join("target"), &mut found);
        found
    }

    #[track_caller]
    fn ended(&self, child: Child, code: i32, name: &str) {
        let ran = Ran::from_output(child.wait_with_output().unwrap()).code(code);
        // The very last word, and no story of a build that failed.
        assert_eq!(ran.stderr.lines().last(), Some(&*format!("stopped by {name}")), "{ran:?}");
        assert!(!ran.stderr.contains("error") && !ran.stderr.contains("failed"), "{ran:?}");
        assert_eq!(ran.stdout, "");
        assert_eq!(self.processes(), Vec::<String>::new());
        assert_eq!(Image::read(&self.hello.layout()).digest(), self.digest, "the image is the earlier one");
        assert_eq!(self.files(), self.files, "nothing is left over");
    }

    /// The run afterwards, with nothing slow in it.
    fn goes_on(&self) {
        fs::remove_file(self.hello.path().join("hello/build.rs")).unwrap();
        self.hello.run(&NATIVE).code(0);
        assert_ne!(Image::read(&self.hello.layout()).digest(), self.digest);
        assert_eq!(self.files(), self.files);
    }
}

/// Sends a signal to a process, or with a minus to its group.
fn send(signal: &str, to: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -s {signal} -- {to}")]).status();
    assert!(status.unwrap().success(), "kill -s {signal} -- {to}");
}

/// The signals that this process ignores, and so whatever it starts: a bit each, the first one's lowest.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

#[test]
fn children_end_with_the_run_on_each_signal() {
    if !have_targets() {
        return;
    }
    let slow = Slow::new("touch ready; sleep 301; sleep 302\n");
    let ignored = ignored();
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        // As in a script's job in the background, and under `nohup`: then every run of this test has it so.
        if ignored >> (code - 129) & 1 == 1 {
            eprintln!("skipped: SIG{signal} is ignored here");
            continue;
        }
        let child = slow.start();
        assert!(slow.processes().len() >= 4, "xtask, cargo, the script, sleep: {:?}", slow.processes());
        let sent = Instant::now();
        send(signal, &child.id().to_string());
        slow.ended(child, code, &format!("SIG{signal}"));
        assert!(sent.elapsed() < Duration::from_secs(5), "nothing had to be waited for");
        fs::remove_file(slow.hello.path().join("hello/ready")).unwrap();
    }
    slow.goes_on();
}

/// As a terminal does it, and `timeout`: the group has the signal, and a child may take its time.
#[test]
fn a_signal_to_the_whole_group_is_one_signal() {
    if !have_targets() {
        return;
    }
    // The shell's own work: a program that it started would have the signal too. A word of it to cargo, which
    // has ended, would end it.
    let tidies = "exec 2> /dev/null\n\
                  trap 'i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done; : > tidied; exit' TERM\n\
                  touch ready; while :; do sleep 0.1; done\n";
    let slow = Slow::new(tidies);
    let child = slow.start();
    send("TERM", &child.id().to_string());
    std::thread::sleep(Duration::from_millis(300));
    send("TERM", &format!("-{}", child.id()));
    slow.ended(child, 143, "SIGTERM");
    assert!(slow.hello.path().join("hello/tidied").exists(), "it could tidy up");
    slow.goes_on();
}

#[test]
fn cleanup_processes_of_a_child_get_no_signal() {
    if !have_targets() {
        return;
    }
    let cleans = "exec 2> /dev/null\n\
                  trap 'sleep 0.3; touch cleaned; exit' TERM\n\
                  touch ready; while :; do sleep 0.2; done\n";
    let slow = Slow::new(cleans);
    for _ in 0..4 {
        let child = slow.start();
        send("TERM", &child.id().to_string());
        slow.ended(child, 143, "SIGTERM");
        for name in ["cleaned", "ready"] {
            fs::remove_file(slow.hello.path().join("hello").join(name)).unwrap();
        }
    }
    slow.goes_on();
}

#[test]
fn a_child_that_ignores_the_signal_is_killed() {
    if !have_targets() {
        return;
    }
    let slow = Slow::new("trap '' TERM; touch ready; sleep 301; sleep 302\n");
    for (seconds, second) in [(5.0..15.0, false), (1.2..4.0, true)] {
        let child = slow.start();
        let sent = Instant::now();
        send("TERM", &child.id().to_string());
        if second {
            std::thread::sleep(Duration::from_millis(1200));
            send("TERM", &child.id().to_string());
        }
        slow.ended(child, 143, "SIGTERM");
        assert!(seconds.contains(&sent.elapsed().as_secs_f32()), "{:?}", sent.elapsed());
        fs::remove_file(slow.hello.path().join("hello/ready")).unwrap();
    }
    slow.goes_on();
}

#[test]
fn a_signal_ignored_at_the_start_stays_ignored() {
    if !have_targets() {
        return;
    }
    let slow = Slow::new("touch ready; while [ ! -e go ]; do sleep 0.1; done\n");
    let mut command = Command::new("sh");
    let own = slow.hello.command();
    // With the environment that the run itself would have.
    for (name, _) in own.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let line = format!("trap '' HUP; exec '{}' {}", support::XTASK, NATIVE.join(" "));
    let mut child = command.args(["-c", &line]).current_dir(slow.hello.path()).spawn().unwrap();
    slow.wait_for("ready");
    send("HUP", &child.id().to_string());
    fs::write(slow.hello.path().join("hello/go"), "").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_base_that_is_half_there_is_removed() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(5);
    workshop.publish(&format!("{}/owner/below", live.registry()), &["1.0.0"]).code(0);
    let image = Image::read(&workshop.hello.layout());
    let index = image.json(&image.index["manifests"][0]["digest"]);
    let layer = image.json(&index["manifests"][0]["digest"])["layers"][1]["digest"].clone();
    let proxy = FaultProxy::start(live.address);
    proxy.on("GET", format!("/blobs/{}", layer.as_str().unwrap()), 1, Fault::Stall(1000));
    let hello = Hello::new();
    let base = format!("{}/owner/below:1.0.0", proxy.registry());
    let mut command = hello.command();
    command.args(NATIVE).args(["--base", &base, "--platform", "linux/amd64"]).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let partial = || {
        let blobs = fs::read_dir(hello.layout().join("blobs/sha256")).into_iter().flatten().flatten();
        let partial = blobs.filter(|entry| entry.file_name().to_string_lossy().starts_with(".partial-"));
        partial.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).max()
    };
    let deadline = Instant::now() + Duration::from_mins(2);
    while proxy.count("GET", layer.as_str().unwrap()) == 0 || partial().is_none() {
        assert!(Instant::now() < deadline, "nothing is being fetched");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Instant::now();
    send("TERM", &child.id().to_string());
    Ran::from_output(child.wait_with_output().unwrap()).code(143).says("stopped by SIGTERM");
    assert!(sent.elapsed() < Duration::from_secs(3), "{:?}", sent.elapsed());
    assert_eq!(partial(), None);
}
