#!/usr/bin/env bash
# Program: cargo 1.95.0.
# Expected: a program `cargo-NAME` on PATH changes nothing in a workspace whose .cargo/config.toml has an alias NAME. The
# Cargo Book says that aliases cannot redefine built-in commands; of programs on PATH it says nothing.
# Does: the alias runs, and cargo warns each time that this will become an error.
# Output seen:
#   the alias ran
#   warning: user-defined alias `xtask` is shadowing an external subcommand found at `BIN/cargo-xtask`
#     |
#     = note: this was previously accepted but will become a hard error in the future; see <https://github.com/rust-lang/cargo/issues/10049>
# Why it matters: many workspaces have an alias `xtask` for a package of their own. An installed program of that
# name disturbs all of them.

. "$(dirname "$0")/lib/common.bash"

rustup run 1.95.0 cargo --version >version.log 2>&1 || missing "Rust 1.95.0 is not installed"
mkdir -p bin ws/.cargo ws/src
printf '#!/bin/sh\necho "the program ran"\n' >bin/cargo-xtask
chmod +x bin/cargo-xtask
printf '[package]\nname = "ws"\nversion = "0.0.0"\nedition = "2021"\n' >ws/Cargo.toml
printf 'fn main() {\n    println!("the alias ran");\n}\n' >ws/src/main.rs
printf '[alias]\nxtask = "run --quiet --"\n' >ws/.cargo/config.toml
(cd ws && PATH=$work/bin:$PATH CARGO_TARGET_DIR=$work/target rustup run 1.95.0 cargo xtask) >out 2>err
sed "s#$work/bin#BIN#" out err | check
