//! `cargo xtask completions`: prints the script that completes the command line in a shell.

use std::io::Write as _;

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

/// The name of the program for shells. zsh's completion of cargo calls the function `_cargo-xtask` for `cargo xtask`.
const PROGRAM: &str = "cargo-xtask";

/// Print the script that completes commands and flags in a shell
#[derive(Args, Debug)]
#[command(after_help = "\
In zsh the script completes `cargo xtask`, and needs rustup's completion of cargo. In the other shells it completes the
installed program `cargo-xtask`.

Examples:
  cargo xtask completions zsh > ~/.zfunc/_cargo-xtask
  cargo xtask completions bash > ~/.local/share/bash-completion/completions/cargo-xtask
  cargo xtask completions fish > ~/.config/fish/completions/cargo-xtask.fish")]
pub struct Flags {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Flags {
    /// Prints the script for `cli`.
    pub fn run(self, mut cli: Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli, PROGRAM, &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(())
    }
}
