//! The build automation of a Rust workspace: from the source to an image in a registry, with cargo alone.
//!
//! `commands` has one file or folder for each command; the other modules are by subject (docs/architecture.md).

mod commands;
#[cfg(test)]
mod documents;
mod environments;
mod image;
mod publish;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use rust_workspace::settings::Workspace;

/// From source to a signed image in a registry, with cargo alone
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about, disable_help_subcommand = true)]
#[command(after_help = "\
First steps:
  cargo xtask init                  write the settings of a workspace
  cargo xtask image                 build an OCI image of this workspace's service in target/image
  cargo xtask image --dry-run       print the plan of that
  cargo xtask publish --dry-run     print how the image would be published, and with which tags
  cargo xtask doctor                list the tools on this machine, and what missing ones are for

Settings: xtask/image.toml or image.toml; XTASK_SETTINGS=FILE chooses one of several.
Exit codes: 0 done, 1 failed, 2 usage or settings, 3 a check did not pass, 128 + the number of a signal.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Image(commands::image::Flags),
    Init(commands::init::Flags),
    Ci(commands::ci::Flags),
    Doctor(commands::doctor::Flags),
    Engines(commands::engines::Flags),
    Bench(commands::bench::Flags),
    Binary(commands::binary::Flags),
    Scan(commands::scan::Flags),
    Sbom(commands::sbom::Flags),
    Report(commands::report::Flags),
    Release(commands::release::Flags),
    Assets(commands::assets::Flags),
    Advisories(commands::advisories::Flags),
    Version(commands::version::Flags),
    Tags(commands::tags::Flags),
    Publish(commands::publish::Flags),
    Verify(commands::verify::Flags),
    Promote(commands::promote::Flags),
    Environments(commands::environments::Flags),
    Prune(commands::prune::Flags),
    Completions(commands::completions::Flags),
    Man(commands::man::Flags),
}

/// Runs the command line of this process and returns its exit code: 0 done, 1 failed, 2 usage or settings, 3 a check did not
/// pass.
pub fn main() -> ExitCode {
    if called_as_helper() {
        return lend();
    }
    if let Some(code) = rust_workspace::binary::as_compiler() {
        return code;
    }
    let result = parse().and_then(|chosen| cli_support::process::stop_on_signals().and_then(|()| chosen()));
    cli_support::process::checkpoint();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli_support::ui::error(&cli_support::error::render(&error));
            cli_support::error::kind(&error).into()
        }
    }
}

/// Parses the command line: a command of this program, or one of the workspace.
fn parse() -> anyhow::Result<Box<dyn FnOnce() -> anyhow::Result<()>>> {
    // The command that needs the settings reports errors in them.
    let commands = Workspace::find().map_or_else(|_| Vec::new(), |workspace| workspace.settings.commands);
    let matches = commands::workspace::add(Cli::command(), &commands)?.get_matches_from(arguments());
    if let Some((entry, arguments)) = commands::workspace::chosen(&matches, &commands) {
        let entry = entry.clone();
        return Ok(Box::new(move || commands::workspace::run(&entry, arguments)));
    }
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command;
    Ok(Box::new(move || run(command)))
}

/// The arguments of this process. Cargo gives a program `cargo-image` the word `image` before them.
fn arguments() -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    let program = arguments.first().map(std::path::Path::new).and_then(std::path::Path::file_stem);
    if program.is_some_and(|name| name == "cargo-image")
        && arguments.get(1).is_some_and(|word| word == "image")
    {
        arguments.remove(1);
    }
    arguments
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Image(flags) => flags.run(),
        Command::Init(flags) => flags.run(),
        Command::Ci(flags) => flags.run(),
        Command::Doctor(flags) => flags.run(),
        Command::Engines(flags) => flags.run(),
        Command::Bench(flags) => flags.run(),
        Command::Binary(flags) => flags.run(),
        Command::Scan(flags) => flags.run(),
        Command::Sbom(flags) => flags.run(),
        Command::Report(flags) => flags.run(),
        Command::Release(flags) => flags.run(),
        Command::Assets(flags) => flags.run(),
        Command::Advisories(flags) => flags.run(),
        Command::Version(flags) => flags.run(),
        Command::Tags(flags) => flags.run(),
        Command::Publish(flags) => flags.run(),
        Command::Verify(flags) => flags.run(),
        Command::Promote(flags) => flags.run(),
        Command::Environments(flags) => flags.run(),
        Command::Prune(flags) => flags.run(),
        Command::Completions(flags) => flags.run(Cli::command()),
        Command::Man(flags) => flags.run(Cli::command()),
    }
}

/// Whether this process was started as the credential helper of a child (`publish::Access`).
fn called_as_helper() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&name).file_stem().unwrap_or_default();
    name.to_string_lossy() == format!("docker-credential-{}", oci_registry::auth::HELPER)
}

fn lend() -> ExitCode {
    match oci_registry::auth::lent(|name| std::env::var(name).ok()) {
        Some(answer) if std::env::args().nth(1).is_some_and(|verb| verb == "get") => {
            cli_support::ui::print(&answer);
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}
