//! Commands that read settings without running the gateway.

pub mod check;
pub mod explain;
mod show;

use std::io::Write;

/// Writes to standard output. A reader that closes the pipe early is not an error.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
