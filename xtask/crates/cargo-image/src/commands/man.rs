//! `cargo xtask man`: prints a manual page.

use anyhow::{Context as _, Result};
use clap::{Args, Command};

use cli_support::error::Fault;
use cli_support::ui;

const HEAD: &str = "\
# Commands of `cargo xtask`

`cargo xtask man --markdown` prints this page. `cargo xtask man COMMAND` prints the manual page of a command,
`cargo xtask completions SHELL` a completion script.
";

const SYNOPSIS: &str = ".SH SYNOPSIS\n";

/// The width of the help in characters; that of a terminal would change the page.
const WIDTH: usize = 120;

/// Print the manual page of a command
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask man | man -l -
  cargo xtask man publish > cargo-xtask-publish.1
  cargo xtask man bench self
  cargo xtask man --markdown > docs/commands.md")]
pub struct Flags {
    /// Print the help of all commands as one page of Markdown
    #[arg(long, conflicts_with = "command")]
    markdown: bool,
    /// The command; without one the page lists all commands
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

impl Flags {
    /// Prints the page of a command of `cli`.
    pub fn run(self, mut cli: Command) -> Result<()> {
        cli.build();
        if self.markdown {
            let mut page = HEAD.to_owned();
            describe(&mut cli, &mut page);
            ui::print(&page);
            return Ok(());
        }
        let mut found = &cli;
        for name in &self.command {
            found = found.find_subcommand(name).ok_or_else(|| {
                let known: Vec<&str> = found.get_subcommands().map(Command::get_name).collect();
                let what = format!("'{}' has no command '{name}'", found.get_bin_name().unwrap_or_default());
                Fault::usage(what).hint(format!("known commands: {}", known.join(", ")))
            })?;
        }
        let name = ["cargo-xtask"].into_iter().chain(self.command.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join("-");
        ui::print(&page(found.clone().display_name(name))?);
        Ok(())
    }
}

/// The manual page of a command. The synopsis is the usage of the help: that of clap_mangen omits the values of options
/// (`findings/clap-mangen-synopsis.sh`).
fn page(mut command: Command) -> Result<String> {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    let page = String::from_utf8(page)?;
    let (before, rest) = page.split_once(SYNOPSIS).context("the page has no synopsis")?;
    let (_, after) = rest.split_once("\n.SH").context("the page ends with its synopsis")?;
    Ok(format!("{before}{SYNOPSIS}{usage}\n.SH{after}"))
}

/// Adds the help of a command and of those below it.
fn describe(command: &mut Command, page: &mut String) {
    let help = command.clone().term_width(WIDTH).render_long_help().to_string();
    let name = command.get_bin_name().unwrap_or_default();
    page.push_str(&format!("\n## {name}\n\n```text\n"));
    for line in help.trim_end().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    for below in command.get_subcommands_mut() {
        describe(below, page);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn each_command_has_a_manual_page() {
        let mut cli = crate::Cli::command();
        cli.build();
        for command in cli.get_subcommands() {
            let page = super::page(command.clone()).expect("a page");
            let about = command.get_about().expect("a text").to_string();
            let escaped = about.replace('-', "\\-").replace('\'', "\\*(Aq");
            assert!(page.contains(&escaped), "{page}");
            assert!(page.contains(".SH SYNOPSIS\ncargo xtask "), "{page}");
        }
    }
}
