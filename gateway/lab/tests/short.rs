//! The short form of what the lab measures, on a debug build: all rows of the conformance table, the oracles that
//! are here, a soak of some seconds, and that the benchmark runs.

// Half of it.
#[allow(dead_code)]
#[path = "../../../xtask/tests/support/have.rs"]
mod have;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use have::have;

/// The debug build of the gateway, made here: tests of another package cannot ask cargo for it.
fn gateway() -> &'static PathBuf {
    static GATEWAY: OnceLock<PathBuf> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--package", "gateway", "--bin", "gateway"])
            .status()
            .expect("cargo");
        assert!(status.success());
        // Beside this test's own program: target/debug/deps.
        let here = std::env::current_exe().expect("this test");
        here.ancestors().nth(2).expect("target/debug").join("gateway")
    })
}

fn exists(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|dir| dir.join(program).is_file())
}

#[track_caller]
fn lab(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_gateway-lab"))
        .args(arguments)
        .arg("--gateway")
        .arg(gateway())
        .output()
        .expect("gateway-lab");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, String::from_utf8_lossy(&text));
}

fn oracle(name: &str, programs: &[&str]) {
    let missing: Vec<&&str> = programs.iter().filter(|program| !exists(program)).collect();
    if have(name, missing.is_empty(), &format!("not found: {missing:?}")) {
        lab(&["conformance", "--no-rows", "--short", "--oracles", name]);
    }
}

#[test]
fn each_row_of_the_table() {
    lab(&["conformance", "--oracles", "none"]);
}

#[test]
fn h2spec() {
    oracle("h2spec", &["go"]);
    oracle("h2spec-tls", &["go"]);
}

#[test]
fn autobahn() {
    oracle("autobahn", &["python3"]);
}

#[test]
fn grpcio() {
    oracle("grpc-h2c", &["python3"]);
    oracle("grpc-tls", &["python3"]);
}

/// Requests are refused or pass as `fail` says, and none fails, while Redis is killed and stopped.
#[test]
fn a_store_that_fails() {
    if have("redis", exists("redis-server"), "redis-server is not found") {
        lab(&["store", "--seconds", "2", "--rate", "100", "--timeout", "1000"]);
    }
}

#[test]
fn opentelemetry_proto() {
    oracle("otlp", &["python3"]);
}

#[test]
fn h2load_and_wrk() {
    oracle("h2load", &["h2load"]);
    oracle("wrk", &["wrk"]);
}

#[test]
fn slowhttptest() {
    oracle("slowhttptest", &["slowhttptest"]);
}

#[test]
fn testssl() {
    oracle("testssl", &["testssl"]);
}

#[test]
fn soak() {
    if have("python", exists("python3"), "not found: python3") {
        lab(&["soak", "--minutes", "0.4"]);
    }
}

#[test]
fn reloads_lose_nothing() {
    lab(&[
        "reload",
        "--reloads",
        "10",
        "--routes",
        "1000",
        "--interval",
        "700",
        "--rate",
        "200",
        "--without-p99",
    ]);
}

#[test]
fn the_benchmark_runs() {
    let tools = ["nginx", "haproxy", "wrk", "h2load", "valgrind", "redis-server"];
    if have("bench-gateway", tools.iter().all(|tool| exists(tool)), &format!("needs {tools:?}")) {
        lab(&["bench", "--quick", "--only", "http1,idle,instructions,policies,shared-limit"]);
    }
}
