//! `cargo xtask bench`: measures on this machine, in ratios.

mod delay_proxy;
mod image;
mod measure;
mod publish;
mod self_build;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

/// Measure on this machine, in ratios
#[derive(Args, Debug)]
pub struct Flags {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand, Debug)]
enum Subject {
    Image(image::Flags),
    Publish(publish::Flags),
    #[command(name = "self")]
    SelfBuild(self_build::Flags),
}

impl Flags {
    /// Measures and prints the table or the JSON document.
    pub fn run(self) -> Result<()> {
        match self.subject {
            Subject::Image(flags) => flags.run(),
            Subject::Publish(flags) => flags.run(),
            Subject::SelfBuild(flags) => flags.run(),
        }
    }
}

/// Appends a constant with a new name to a Rust file, so that its crate is compiled again.
fn change_a_line(file: &Path) -> Result<()> {
    let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let at = || file.display().to_string();
    let mut open = fs::OpenOptions::new().append(true).open(file).with_context(at)?;
    writeln!(open, "#[allow(dead_code)] const BENCH_{stamp}: u128 = {stamp};").with_context(at)
}
