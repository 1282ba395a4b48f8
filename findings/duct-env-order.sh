#!/usr/bin/env bash
# Library: Rust crate duct 1.1.2.
# Expected: of several calls for one environment variable the last one decides, as with the standard
# library's Command. env_remove after env leaves the variable unset.
# Does: the first call decides. A later env or env_remove for the same variable has no effect, and neither
# has full_env on a variable set before it. No method's documentation says so.
# Output seen:
#   env(A, 1), env(A, 2): 1
#   env(A, 1), env_remove(A): 1
#   env_remove(A), env(A, 1): unset
#   env(A, 1), full_env(A = 2): 1
#   standard library, env(A, 1), env_remove(A): unset
# Why it matters: build automation written with duct starts cargo and other tools from a common base
# expression. A caller that overrides a variable of that base, or removes a secret from it, changes nothing.

. "$(dirname "$0")/lib/common.bash"
rust 'duct = "=1.1.2"' >output <<'EOF'
use duct::cmd;

fn main() {
    let print = || cmd!("/bin/sh", "-c", "echo ${A-unset}");
    let show = |text: &str, command: duct::Expression| println!("{text}: {}", command.read().unwrap());
    show("env(A, 1), env(A, 2)", print().env("A", "1").env("A", "2"));
    show("env(A, 1), env_remove(A)", print().env("A", "1").env_remove("A"));
    show("env_remove(A), env(A, 1)", print().env_remove("A").env("A", "1"));
    show("env(A, 1), full_env(A = 2)", print().env("A", "1").full_env([("A", "2")]));
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", "echo ${A-unset}"])
        .env("A", "1")
        .env_remove("A")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("standard library, env(A, 1), env_remove(A): {}", text.trim());
}
EOF
check <output
