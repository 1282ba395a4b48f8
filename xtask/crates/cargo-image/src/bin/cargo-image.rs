//! `cargo-image`, which `cargo install` puts on PATH: cargo starts it for `cargo image`.
//!
//! It is not called `cargo-xtask`: cargo warns in every workspace with an alias of that name, and will refuse the alias
//! (rust-lang/cargo, issue 10049).

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_image::main()
}
