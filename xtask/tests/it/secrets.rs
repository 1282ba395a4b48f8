//! Secrets are not shown: not in an error, with any answer of a registry, and to no child that
//! has no use for it.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::fault_proxy::{Fault, FaultProxy, Guard};
use support::live::Live;
use support::published::{KEY_PASSWORD, Workshop, signing};
use support::{Ran, have_program};

const TOKEN: &str = "hunter2-password";

#[test]
fn a_token_in_a_registrys_answer_is_masked() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    workshop.publish(&format!("{}/user/image", live.registry()), &["1.0.0"]).code(0);
    let pair = "dXNlcjpodW50ZXIyLXBhc3N3b3Jk";
    let place = |text: &str| vec![("Location", format!("http://127.0.0.1:1/{text}/"))];
    let next = vec![("Link", format!("<http://127.0.0.1:1/{TOKEN}>; rel=\"next\""))];
    let type_of = |text: &str| vec![("Content-Type", text.to_owned())];
    let other: &str = r#"{"schemaVersion":2,"mediaType":"a/hunter2-password"}"#;
    let cases = [
        ("POST", "/blobs/uploads/", Fault::Answer(202, place(TOKEN), ""), "127.0.0.1:1/***/"),
        ("POST", "/blobs/uploads/", Fault::Answer(202, place(pair), ""), "127.0.0.1:1/***/"),
        ("GET", "/manifests/1.0.0", Fault::Answer(200, type_of("text/plain"), other), "not an image: a/***"),
        ("PUT", "/manifests/", Fault::Answer(400, Vec::new(), "no hunter2-token-0 \u{1b}[31m"), "status 400"),
    ];
    for (method, part, fault, words) in cases {
        let proxy = FaultProxy::start(live.address);
        proxy.guard(Guard::default());
        proxy.on(method, part, 99, fault);
        let ran = publish(&workshop, &proxy);
        assert!(ran.stderr.contains(words), "{method} {part}: {}", ran.stderr);
    }
    // A list of tags that goes on at a token, which `prune` cannot do without.
    let proxy = FaultProxy::start(live.address);
    proxy.guard(Guard::default());
    proxy.on("GET", "/tags/list", 99, Fault::Answer(200, next, r#"{"tags":["1.0.0","latest"]}"#));
    let ran = with_token(&workshop, &proxy, &["prune", "--keep", "1"]);
    assert!(ran.stderr.contains("/***"), "{}", ran.stderr);
    // The token service's name, before any token is there.
    for realm in [TOKEN, pair] {
        let proxy = FaultProxy::start(live.address);
        proxy.guard(Guard { realm: Some(format!("no url {realm}")), ..Guard::default() });
        let ran = publish(&workshop, &proxy);
        assert!(ran.stderr.contains("no URL: 'no url ***"), "{}", ran.stderr);
    }
}

fn publish(workshop: &Workshop, proxy: &FaultProxy) -> Ran {
    with_token(workshop, proxy, &["publish", "--tag", "1.0.0", "--tag", "latest"])
}

fn with_token(workshop: &Workshop, proxy: &FaultProxy, args: &[&str]) -> Ran {
    let repository = format!("{}/user/image", proxy.registry());
    let token = ["--token-stdin", "--user", "user", "--repository", &repository];
    let mut run = workshop.command(&[args, &token].concat());
    run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), TOKEN.as_bytes()).unwrap();
    let ran = Ran::from_output(child.wait_with_output().unwrap()).code(1);
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!shown.contains("hunter2") && !shown.contains("dXNlcjpodW50"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{85}']), "{shown:?}");
    ran
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let workshop = Workshop::new(3);
    let tag = ["--tag", "1.0.0"];
    for repository in ["u:hunter2-x@ghcr.io/o/a", "https://u:hunter2-x@ghcr.io/o/a"] {
        for command in [&["publish", "--dry-run", "--repository", repository][..], &["verify", repository]] {
            let tag = if command[0] == "publish" { &tag[..] } else { &[] };
            let ran = workshop.run(&[command, tag].concat()).code(2).says("no part of a name");
            assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
        }
    }
    if let (Some(live), true) = (Live::docker(), have_program("cosign", "cosign", &["version"])) {
        let image = format!("{}/owner/app", live.registry());
        workshop.publish(&image, &["1.0.0"]).code(0);
        let ran = workshop.run(&["verify", &format!("{image}:1.0.0"), "--key", "hunter2-private"]).code(2);
        assert!(
            !format!("{ran:?}").contains("hunter2") && ran.stderr.contains("the public key is"),
            "{ran:?}"
        );
    }
    for how in ["key", "auto"] {
        let args = ["publish", "--dry-run", "--json", "--repository", "localhost:1/a", "--sign", how];
        let mut run = workshop.command(&[&args[..], &tag].concat());
        let ran = Ran::of(run.env("COSIGN_KEY", "hunter2-not-a-file")).code(2).says("neither a key in PEM");
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
}

/// The folders in which credentials are lent to children.
fn lent(workshop: &Workshop) -> Vec<PathBuf> {
    let entries = fs::read_dir(workshop.hello.path().join("target/xtask")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("credentials-")).collect()
}

#[cfg(unix)]
#[test]
fn files_of_a_killed_run_are_private_and_removed_by_the_next() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    proxy.guard(Guard::default());
    let workshop = Workshop::new(3);
    if !workshop.key_pair() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    program(folder.path(), "cosign", &format!("touch '{}'\nsleep 3", started.display()));
    let repository = format!("{}/user/image", proxy.registry());
    let args = ["publish", "--token-stdin", "--user", "user", "--repository", &repository, "--tag", "1.0.0"];
    let start = |path: std::ffi::OsString| {
        let mut run = signing(workshop.command(&args));
        run.env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), TOKEN.as_bytes()).unwrap();
        child
    };
    let mut child = start(path_with(folder.path()));
    for _ in 0..2000 {
        if started.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = lent(&workshop);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let child = start(std::env::var_os("PATH").unwrap());
    Ran::from_output(child.wait_with_output().unwrap()).code(0);
    assert_eq!(lent(&workshop), Vec::<PathBuf>::new());
}

/// PATH with this folder before all others.
fn path_with(folder: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::iter::once(PathBuf::from(folder)).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap()
}

/// A program that is this shell script.
fn program(dir: &Path, name: &str, script: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    assert!(std::process::Command::new("chmod").arg("+x").arg(path).status().unwrap().success());
}

/// A program that leaves its environment in `dir` and then is what it is called.
fn witness(dir: &Path, name: &str) {
    let path = std::env::var_os("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    let real = real.unwrap().display().to_string();
    let seen = dir.join(format!("{name}.seen")).display().to_string();
    program(dir, name, &format!("env >> '{seen}'\nexec '{real}' \"$@\""));
}

#[test]
fn a_child_sees_only_secrets_that_it_needs() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    if !workshop.key_pair() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["git", "cargo", "cosign"];
    for name in names {
        witness(folder.path(), name);
    }
    let repository = format!("{}/owner/app", live.registry());
    let args = ["publish", "--repository", &repository, "--tag", "1.0.0", "--sign", "key"];
    let mut run = workshop.command(&args);
    run.env("PATH", path_with(folder.path())).env_remove("CARGO");
    let secrets = [
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_RUNTIME_TOKEN",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GHCR_TOKEN",
        "SIGSTORE_ID_TOKEN",
    ];
    for name in secrets {
        run.env(name, format!("hunter2-{name}"));
    }
    run.env("COSIGN_KEY", fs::read_to_string(workshop.hello.path().join("cosign.key")).unwrap());
    let ran = Ran::of(run.env("COSIGN_PASSWORD", KEY_PASSWORD)).code(0).says("with env://COSIGN_KEY");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    for name in names {
        let seen = fs::read_to_string(folder.path().join(format!("{name}.seen"))).unwrap();
        let lines: Vec<_> = seen.lines().filter(|line| line.contains("hunter2")).collect();
        if name == "cosign" {
            assert!(
                !lines.is_empty()
                    && lines.iter().all(|line| *line == format!("COSIGN_PASSWORD={KEY_PASSWORD}")),
                "{lines:?}"
            );
        } else {
            assert_eq!(lines, Vec::<&str>::new(), "{name}");
            assert!(!seen.contains("PRIVATE KEY"), "{name}");
        }
    }
}
