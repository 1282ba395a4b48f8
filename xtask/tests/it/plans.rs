//! Plans: the output of `--dry-run`.

use crate::support;

use std::process::Command;

use expect_test::{Expect, expect};
use support::{Hello, Ran, have_program, have_targets, root};

/// Compares the text of a plan, with names in place of this machine's paths.
#[track_caller]
fn plan(hello: &Hello, args: &[&str], expected: &Expect) {
    let mut command = hello.command();
    let ran = Ran::of(command.arg("image").args(args).arg("--dry-run")).code(0);
    let sysroot = Ran::of(Command::new("rustc").args(["--print", "sysroot"])).stdout;
    let verbose = Ran::of(Command::new("rustc").arg("-vV")).stdout;
    let commit = verbose.lines().find_map(|line| line.strip_prefix("commit-hash: ")).unwrap();
    let home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let workspace = hello.path().canonicalize().unwrap();
    let text = ran
        .stdout
        .replace(&workspace.display().to_string(), "WORKSPACE")
        .replace(sysroot.trim(), "SYSROOT")
        .replace(&home, "CARGO_HOME")
        .replace(commit, "COMMIT");
    expected.assert_eq(&text);
}

fn hello() -> Hello {
    let hello = Hello::new();
    hello.write("LICENSE", "free\n");
    hello.write(
        "xtask/image.toml",
        "package = \"hello\"\nrepository = \"ghcr.io/example/hello\"\n[[files]]\nsource = \"LICENSE\"\ntarget = \"/LICENSE\"\n",
    );
    hello.commit();
    hello
}

#[test]
fn native_with_everything_asked_for() {
    if !have_targets() {
        return;
    }
    let args = ["--engine", "native", "--platform", "all", "--verify", "--archive", "hello.tar"];
    plan(
        &hello(),
        &args,
        &expect![[r#"
            cargo xtask image would do this:

            1. base: the base image: scratch
               from  scratch

            2. graph: a C dependency would need a C compiler for every target
               from  Cargo.lock
               run   CARGO_ENCODED_RUSTFLAGS=-Cdebuginfo=0 cargo tree --color never --locked --package hello --target x86_64-unknown-linux-musl --target aarch64-unknown-linux-musl --edges normal,build,no-proc-macro --prefix depth --format ' {p}'

            3. compile: one call builds every target, static, with Rust 1.95.0
               from  source
               from  Cargo.lock
               run   CARGO_BUILD_BUILD_DIR=WORKSPACE/target CARGO_ENCODED_RUSTFLAGS=$'--remap-path-prefix=WORKSPACE=/src\x1f--remap-path-prefix=WORKSPACE/target=/target\x1f--remap-path-prefix=CARGO_HOME=/cargo\x1f--remap-path-prefix=SYSROOT/lib/rustlib/src/rust=/rustc/COMMIT' CARGO_INCREMENTAL=0 CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld RUSTC_BOOTSTRAP='' SOURCE_DATE_EPOCH=1709210096 cargo build --release --locked --package hello --bin hello --target-dir WORKSPACE/target --target x86_64-unknown-linux-musl --target aarch64-unknown-linux-musl

            4. audit: the linux/amd64 binary carries the list of its crates, for scanners
               from  compile
               from  Cargo.lock
               run   CARGO_ENCODED_RUSTFLAGS=-Cdebuginfo=0 cargo tree --color never --locked --package hello --target x86_64-unknown-linux-musl --edges normal,no-proc-macro --prefix depth --format ' {p}'

            5. audit: the linux/arm64 binary carries the list of its crates, for scanners
               from  compile
               from  Cargo.lock
               run   CARGO_ENCODED_RUSTFLAGS=-Cdebuginfo=0 cargo tree --color never --locked --package hello --target aarch64-unknown-linux-musl --edges normal,no-proc-macro --prefix depth --format ' {p}'

            6. layers: files and binary, sorted, with fixed owner, mode and time
               from  LICENSE
               from  hello

            7. layout: replace the image in WORKSPACE/target/image atomically
               from  layers

            8. verify: the same source in another folder must give the same bytes
               from  source
               run   CARGO_BUILD_BUILD_DIR=WORKSPACE/target/xtask/verify-source/target CARGO_ENCODED_RUSTFLAGS=$'--remap-path-prefix=WORKSPACE/target/xtask/verify-source/=/src\x1f--remap-path-prefix=WORKSPACE/target/xtask/verify-source/target=/target\x1f--remap-path-prefix=CARGO_HOME=/cargo\x1f--remap-path-prefix=SYSROOT/lib/rustlib/src/rust=/rustc/COMMIT' CARGO_INCREMENTAL=0 CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld RUSTC_BOOTSTRAP='' SOURCE_DATE_EPOCH=1709210096 cargo build --release --locked --package hello --bin hello --target-dir WORKSPACE/target/xtask/verify-source/target --target x86_64-unknown-linux-musl --target aarch64-unknown-linux-musl

            9. archive: an archive for docker load, podman load and skopeo
               from  WORKSPACE/target/image
        "#]],
    );
}

#[test]
fn buildx_with_everything_asked_for() {
    if !have_program("docker", "docker", &["info"]) {
        return;
    }
    let hello = hello();
    hello.write("Dockerfile", "FROM scratch\n");
    let args = [
        "--engine",
        "buildx",
        "--platform",
        "all",
        "--base",
        "python:3.11-slim",
        "--builder",
        "default",
        "--network",
        "host",
        "--build-context",
        "rust:1=docker-image://local/rust",
        "--secret",
        "id=ca,src=/ca.pem",
        "--cache-from",
        "type=gha",
        "--cache-to",
        "type=gha,mode=max",
    ];
    plan(
        &hello,
        &args,
        &expect![[r#"
            cargo xtask image would do this:

            1. base: the base image: python:3.11-slim
               from  python:3.11-slim

            2. buildx: the Dockerfile's build stage runs cargo xtask binary for each platform
               from  Dockerfile
               from  source
               run   docker buildx build --progress plain --provenance false --sbom false --platform linux/amd64,linux/arm64 --output type=oci,dest=WORKSPACE/target/xtask/buildx.tar --file WORKSPACE/Dockerfile --build-arg SOURCE_DATE_EPOCH=1709210096 --build-arg BASE=docker.io/library/python:3.11-slim --build-context rust:1=docker-image://local/rust --builder default --network host --allow network.host --secret id=ca,src=/ca.pem --cache-from type=gha --cache-to type=gha,mode=max --label org.opencontainers.image.created=2024-02-29T12:34:56Z --label org.opencontainers.image.licenses=MIT --label org.opencontainers.image.revision=0fec5bb182a66a83baa4cd8a4c4f72aaec5d142e-dirty --label org.opencontainers.image.title=hello --label org.opencontainers.image.version=0.3.0-dev.1+g0fec5bb.dirty WORKSPACE

            3. import: both engines must make the same image
               from  WORKSPACE/target/xtask/buildx.tar

            4. layers: files and binary, sorted, with fixed owner, mode and time
               from  LICENSE
               from  hello

            5. layout: replace the image in WORKSPACE/target/image atomically
               from  layers
        "#]],
    );
}

#[test]
fn checks_are_chosen_by_name() {
    let ci =
        |args: &[&str]| Ran::of(support::xtask(root()).arg("ci").args(args).args(["--dry-run", "--json"]));
    let names = |args: &[&str]| -> Vec<String> {
        let plan = ci(args).code(0).json();
        plan["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&["clippy"]), ["clippy"]);
    assert_eq!(names(&["--only", "fmt,clippy"]), ["fmt", "clippy"]);
    assert_eq!(names(&["--fix"]), ["fmt", "clippy"]);
    assert_eq!(names(&[]), ["fmt", "clippy", "test", "docs", "deny", "workflows", "macos", "windows"]);
    ci(&["--only", "clipy"]).code(2).says("there is no step 'clipy'").says("steps: fmt, clippy");
    ci(&["--changed=no-such-branch"]).code(2).says("--changed: there is no commit 'no-such-branch'");
    let fixes = ci(&["clippy", "--fix"]).code(0).json()["steps"][0]["command"]["argv"].to_string();
    assert!(fixes.contains("--fix"), "{fixes}");
}

/// `--dry-run` prints the plan of every command that changes something. The others are listed here with the reason.
#[test]
fn each_command_has_a_plan_or_changes_nothing() {
    let reads_only = ["doctor", "version", "tags", "verify", "environments", "completions", "man"];
    // `prune` prints its plan unless `--delete` is given; `bench` writes only below target/xtask/bench.
    let others = ["prune", "bench"];
    // Its subcommand `update` has the flag.
    let nested = ["advisories"];
    let help = |args: &[&str]| Ran::of(support::xtask(root()).args(args).arg("--help")).code(0).stdout;
    let top = help(&[]);
    let commands = top.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let rows = rows.filter(|row| !row.starts_with(' '));
    let commands: Vec<_> = rows.map(|row| row.split_whitespace().next().unwrap()).collect();
    // The workspace's own commands pass `--help` on.
    let own = ["help", "conformance"];
    for command in commands.into_iter().filter(|command| !own.contains(command)) {
        let has_plan = help(&[command]).contains("--dry-run");
        let is_listed = [&reads_only[..], &others, &nested].concat().contains(&command);
        assert!(
            has_plan != is_listed,
            "{command}: --dry-run: {has_plan}, listed as an exception: {is_listed}"
        );
    }
    assert!(help(&["advisories", "update"]).contains("--dry-run"));
}
