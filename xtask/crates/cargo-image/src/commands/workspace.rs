//! The commands of `[[commands]]` in xtask/image.toml: packages of the workspace, started by `cargo run`.

use std::ffi::OsString;

use anyhow::Result;
use clap::{Arg, ArgMatches, Command, value_parser};

use cli_support::error::Fault;
use cli_support::plan::{Action, Plan};
use cli_support::process::{ChildFailed, Cmd};
use cli_support::ui::{self, Progress, Ui};
use rust_workspace::binary::cargo;
use rust_workspace::settings::{Workspace, WorkspaceCommand, file};

const ARGUMENTS: &str = "arguments";

/// Adds the workspace's commands to those of `cargo xtask`.
pub fn add(mut cli: Command, commands: &[WorkspaceCommand]) -> Result<Command> {
    for entry in commands {
        let (group, name) = match entry.name.split_once(' ') {
            Some((group, name)) => (Some(group), name),
            None => (None, entry.name.as_str()),
        };
        let parent = group.map_or(Some(&cli), |group| cli.find_subcommand(group));
        if parent.is_some_and(|parent| parent.find_subcommand(name).is_some()) {
            let what = format!("[[commands]]: the command '{}' already exists", entry.name);
            return Err(Fault::usage(what).at(file()).hint("choose another name").into());
        }
        // The program itself prints its help.
        let arguments = Arg::new(ARGUMENTS)
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(value_parser!(OsString));
        // clap needs `'static` names; each is leaked once.
        let command = Command::new(&*name.to_owned().leak())
            .about(&*entry.about.clone().leak())
            .disable_help_flag(true)
            .arg(arguments);
        cli = match group {
            Some(group) => cli.mut_subcommand(&*group.to_owned().leak(), |group| group.subcommand(command)),
            None => cli.subcommand(command),
        };
    }
    Ok(cli)
}

/// The workspace's command on the command line, with its arguments.
pub fn chosen<'c>(
    matches: &ArgMatches,
    commands: &'c [WorkspaceCommand],
) -> Option<(&'c WorkspaceCommand, Vec<OsString>)> {
    let (first, below) = matches.subcommand()?;
    let (name, last) = match below.subcommand() {
        Some((second, last)) => (format!("{first} {second}"), last),
        None => (first.to_owned(), below),
    };
    let entry = commands.iter().find(|entry| entry.name == name)?;
    let arguments = last.try_get_many::<OsString>(ARGUMENTS).ok()?;
    Some((entry, arguments.into_iter().flatten().cloned().collect()))
}

/// A program of the workspace.
#[derive(Debug)]
struct Run {
    cmd: Cmd,
    /// Whether standard output must contain only the program's document.
    json: bool,
}

impl Action for Run {
    type State = ();

    fn command(&self) -> Option<&Cmd> {
        Some(&self.cmd)
    }

    fn run(&self, (): &mut (), _: &Progress) -> Result<String> {
        if self.json {
            ui::print(&String::from_utf8_lossy(&self.cmd.read_bytes()?));
        } else {
            self.cmd.follow(|line| ui::print(&format!("{line}\n")))?;
        }
        Ok(String::new())
    }
}

/// Runs the program, or prints the plan with `--dry-run`. Exit codes 2 and 3 of the program are those of the command.
pub fn run(entry: &WorkspaceCommand, mut arguments: Vec<OsString>) -> Result<()> {
    let workspace = Workspace::find()?;
    let own = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let dry = arguments[..own].iter().position(|argument| argument == "--dry-run");
    if let Some(at) = dry {
        arguments.remove(at);
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let cmd = cargo()
        .args(["run", "--quiet", "--locked", "--release", "--package", &entry.package, "--"])
        .args(&entry.arguments)
        .args(arguments)
        .dir(&workspace.root);
    let mut plan = Plan::new(entry.name.clone().leak());
    let reason = if entry.about.is_empty() { "a program of this workspace" } else { &entry.about };
    plan.step("run", reason, [file()], Run { cmd, json });
    if dry.is_some() {
        plan.print(json);
        return Ok(());
    }
    plan.run(&mut (), Ui::detect()).map(drop).map_err(|error| {
        match error.downcast_ref::<ChildFailed>().and_then(ChildFailed::code) {
            Some(2) => error.context(Fault::usage(format!("{}: usage error", entry.package))),
            Some(3) => error.context(Fault::gate(format!("{}: a check did not pass", entry.package))),
            _ => error,
        }
    })
}
