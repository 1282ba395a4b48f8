//! The commands that look at settings and do not run the gateway.

pub mod check;
pub mod explain;
mod show;

use std::io::Write;

/// Writes to standard output. A reader that has read enough is no failure.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
