//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::admin::health;
use crate::observe::stderr::{print_line, say};
use crate::prepare::Findings;
use crate::reload::{self, Loaded};
use crate::run;
use crate::settings::{self, Settings, Source};
use crate::snapshot::Process;

/// How long `gateway health` waits unless told otherwise.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
const FAILED: u8 = 1;
const MISUSED: u8 = 2;

const HELP: &str = "\
gateway, an HTTP gateway

usage:
  gateway [run] [--config FILE]     accept and forward requests
  gateway check [--config FILE]     find every mistake in the settings
  gateway health [--config FILE] [--address ADDRESS] [--timeout DURATION]
                                    ask a running gateway whether it is ready
  gateway --version
  gateway --help

options:
  -c, --config FILE       the settings; otherwise $GATEWAY_CONFIG, otherwise
                          /etc/gateway/gateway.toml if it exists, otherwise
                          built-in ones
      --address ADDRESS   the admin listener, instead of the one in the settings
      --timeout DURATION  how long to wait for an answer (default 2s)

exit codes: 0 done, 1 failed, 2 wrong usage or settings
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Run,
    Check,
    Health,
    Version,
    Help,
}

#[derive(Debug)]
struct Arguments {
    command: Command,
    config: Option<PathBuf>,
    address: Option<SocketAddr>,
    timeout: Option<Duration>,
}

/// Runs the command of the given arguments, the first of which is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            say(format_args!("{error}; see gateway --help"));
            return ExitCode::from(MISUSED);
        }
    };
    match arguments.command {
        Command::Help => print(HELP),
        Command::Version => print(&format!("gateway {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Run => run_command(&arguments),
        Command::Check => check_command(&arguments),
        Command::Health => health_command(&arguments),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut command = None;
    let mut parsed = Arguments { command: Command::Run, config: None, address: None, timeout: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => command = Some(Command::Help),
            Short('V') | Long("version") => command = Some(Command::Version),
            Short('c') | Long("config") => parsed.config = Some(parser.value()?.into()),
            Long("address") => parsed.address = Some(parser.value()?.parse()?),
            Long("timeout") => {
                let timeout = parser.value()?.parse_with(|text| {
                    settings::duration(text)
                        .filter(|duration| !duration.is_zero())
                        .ok_or("write a duration such as 2s")
                })?;
                parsed.timeout = Some(timeout);
            }
            Value(name) if command.is_none() => {
                command = Some(match name.to_str() {
                    Some("run") => Command::Run,
                    Some("check") => Command::Check,
                    Some("health") => Command::Health,
                    Some("help") => Command::Help,
                    Some("version") => Command::Version,
                    _ => return Err(format!("there is no command {}", name.display()).into()),
                });
            }
            _ => return Err(argument.unexpected()),
        }
    }
    parsed.command = command.unwrap_or(Command::Run);
    let asks = parsed.command == Command::Health;
    if parsed.address.is_some() && !asks {
        return Err("--address belongs to gateway health".into());
    }
    if parsed.timeout.is_some() && !asks {
        return Err("--timeout belongs to gateway health".into());
    }
    Ok(parsed)
}

fn print(text: &str) -> ExitCode {
    use std::io::Write;
    // A reader that has read enough is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn source(arguments: &Arguments) -> Source {
    Source { named: arguments.config.clone() }
}

/// Reads everything the settings name and finds all mistakes.
fn load(arguments: &Arguments) -> Result<Loaded, ExitCode> {
    let process = |settings: &Settings| Arc::new(Process::new(settings.threads, settings.access_log.clone()));
    let loaded = reload::load(&source(arguments), process, None);
    let Findings { problems, warnings } = &loaded.findings;
    for warning in warnings {
        print_line(format_args!("{warning} (warning)"));
    }
    if problems.is_empty() {
        return Ok(loaded);
    }
    for problem in problems {
        print_line(problem);
    }
    let count = problems.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    say(format_args!("{count} {noun} in the settings"));
    Err(ExitCode::from(MISUSED))
}

fn run_command(arguments: &Arguments) -> ExitCode {
    let loaded = match load(arguments) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match &loaded.file {
        Some(file) => say(format_args!("settings from {}", file.display())),
        None => say("no settings file; serving a page that says how to write one"),
    }
    match run::run(source(arguments), loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(error);
            ExitCode::from(FAILED)
        }
    }
}

fn check_command(arguments: &Arguments) -> ExitCode {
    match load(arguments).map(|loaded| loaded.file) {
        Ok(Some(file)) => print(&format!("{}: no problems\n", file.display())),
        Ok(None) => print("no settings file; the built-in settings have no problems\n"),
        Err(code) => code,
    }
}

fn health_command(arguments: &Arguments) -> ExitCode {
    let address = if let Some(address) = arguments.address {
        address
    } else {
        let (_, settings, problems) = source(arguments).load();
        if let Some(problem) = problems.first() {
            say(format_args!("{problem}; name the admin listener with --address"));
            return ExitCode::from(MISUSED);
        }
        settings.admin
    };
    if address.port() == 0 {
        say("the admin listener has no fixed port; name it with --address");
        return ExitCode::from(MISUSED);
    }
    match health::ask(address, arguments.timeout.unwrap_or(HEALTH_TIMEOUT)) {
        Ok(()) => print("ready\n"),
        Err(error) => {
            say(error);
            ExitCode::from(FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, parse};

    #[test]
    fn command_lines() {
        let table = [
            ("gateway", Some(Command::Run)),
            ("gateway run", Some(Command::Run)),
            ("gateway -c f", Some(Command::Run)),
            ("gateway check --config f", Some(Command::Check)),
            ("gateway --config=f check", Some(Command::Check)),
            ("gateway health --timeout 500ms --address 127.0.0.1:1", Some(Command::Health)),
            ("gateway --version", Some(Command::Version)),
            ("gateway run --help", Some(Command::Help)),
            ("gateway fly", None),
            ("gateway run check", None),
            ("gateway --conf f", None),
            ("gateway --config", None),
            ("gateway health --timeout 5", None),
            ("gateway health --timeout 0s", None),
            ("gateway health --address localhost", None),
            ("gateway run --address 127.0.0.1:1", None),
            ("gateway run --timeout 3s", None),
            ("gateway --timeout 3s", None),
            ("gateway check --timeout 3s", None),
        ];
        for (line, expected) in table {
            let parsed = parse(line.split(' ').map(Into::into)).ok();
            assert_eq!(parsed.map(|parsed| parsed.command), expected, "{line}");
        }
    }
}
