//! The plans of `cargo xtask image`, as data: what a reader of `--dry-run` sees.

mod support;

use std::process::Command;

use expect_test::{Expect, expect};
use support::{Hello, Ran, have_program, have_targets, root};

/// The plan's text with what differs from machine to machine named.
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
    plan(&hello(), &args, &expect![[""]]);
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
    plan(&hello, &args, &expect![[""]]);
}

#[test]
fn checks_can_be_chosen_and_a_wrong_name_is_told() {
    let ci = |args: &[&str]| Ran::of(support::xtask(root()).arg("ci").args(args));
    let plan = ci(&["--only", "fmt,clippy", "--dry-run", "--json"]).code(0).json();
    let names: Vec<_> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fmt", "clippy"]);
    ci(&["--only", "clipy"]).code(2).says("there is no step 'clipy'").says("steps: fmt, clippy");
}
