//! `cargo xtask`: the build automation of this workspace. All of it is in the library crate `cargo-image`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_image::main()
}
