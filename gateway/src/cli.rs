//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::admin::health::{self, HealthError};
use crate::admin::top;
use crate::commands::{self, check, explain};
use crate::filter::authentication::{hash_key, hash_password};
use crate::observe::stderr::{print_line, say};
use crate::prepare::Findings;
use crate::reload::{self, Loaded};
use crate::run;
use crate::settings::{self, Settings, Source, warning};
use crate::snapshot::Process;

/// Default timeout of `gateway health`.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
const FAILED: u8 = 1;
const MISUSED: u8 = 2;

const HELP: &str = "\
gateway, an HTTP gateway

usage:
  gateway [run]                accept and forward requests
  gateway check                find every mistake in the settings
  gateway explain METHOD URL   show what a request would meet: listener, route,
                               filters, upstream, and why not the other routes
  gateway schema               print the JSON Schema of the settings
  gateway health               ask a running gateway whether it is ready
  gateway top                  show routes, endpoints and failures of a running
                               gateway on this machine
  gateway hash-key             read an API key from standard input and print the
                               hash of it that the settings have
  gateway hash-password        read a password from standard input and print a
                               hash of it for a file of users
  gateway --version
  gateway --help

options:
  -c, --config FILE       the settings; otherwise $GATEWAY_CONFIG, otherwise
                          /etc/gateway/gateway.toml if it exists, otherwise
                          built-in ones
check:
      --deny-warnings     end with 1 if there are warnings
      --allow NAME        do not tell warnings of this name
      --print             print the settings with all defaults, secrets masked
      --json              print the problems as JSON
explain:
  -H, --header 'N: V'     a field of the request
      --client ADDRESS    the client's address (default 127.0.0.1)
      --json              print the answer as JSON
health, top:
      --address ADDRESS   the admin listener, instead of the one in the settings
      --timeout DURATION  how long to wait for an answer (default 2s)

exit codes: 0 done, 1 failed, warned or refused, 2 wrong usage or settings
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Run,
    Check,
    Explain,
    Schema,
    Health,
    Top,
    HashKey,
    HashPassword,
    Version,
    Help,
}

/// The commands by name.
const COMMANDS: [(&str, Command); 10] = [
    ("run", Command::Run),
    ("check", Command::Check),
    ("explain", Command::Explain),
    ("schema", Command::Schema),
    ("health", Command::Health),
    ("top", Command::Top),
    ("hash-key", Command::HashKey),
    ("hash-password", Command::HashPassword),
    ("version", Command::Version),
    ("help", Command::Help),
];

/// Options, with the commands that accept them.
const OPTIONS: [(&str, &[Command]); 8] = [
    ("--deny-warnings", &[Command::Check]),
    ("--allow", &[Command::Check]),
    ("--print", &[Command::Check]),
    ("--json", &[Command::Check, Command::Explain]),
    ("--header", &[Command::Explain]),
    ("--client", &[Command::Explain]),
    ("--address", &[Command::Health, Command::Top]),
    ("--timeout", &[Command::Health, Command::Top]),
];

#[derive(Debug)]
struct Arguments {
    command: Command,
    config: Option<PathBuf>,
    address: Option<SocketAddr>,
    timeout: Option<Duration>,
    check: check::Options,
    question: explain::Question,
}

/// Runs the command given by the arguments; the first argument is the program's name.
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
        Command::Check => check::run(&source(&arguments), &arguments.check),
        Command::Explain => explain::run(&source(&arguments), &arguments.question),
        Command::Schema => print(&format!("{:#}\n", settings::schema(&settings::describe()))),
        Command::Health => {
            with_admin(&arguments, |address, limit| health::ask(address, limit).map(|()| print("ready\n")))
        }
        Command::Top => {
            with_admin(&arguments, |address, limit| top::run(address, limit).map(|()| ExitCode::SUCCESS))
        }
        Command::HashKey => hash_command("key", |key| Ok(hash_key(key.as_bytes()))),
        Command::HashPassword => hash_command("password", hash_password),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut command = None;
    let mut parsed = Arguments {
        command: Command::Run,
        config: None,
        address: None,
        timeout: None,
        check: check::Options::default(),
        question: explain::Question::default(),
    };
    let mut given = Vec::new();
    let mut operands = Vec::new();
    while let Some(argument) = parser.next()? {
        let option = match &argument {
            Long(name) => format!("--{name}"),
            Short('H') => "--header".to_owned(),
            _ => String::new(),
        };
        given.extend(OPTIONS.iter().find(|(known, _)| *known == option));
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
            Long("deny-warnings") => parsed.check.deny_warnings = true,
            Long("allow") => parsed.check.allow.push(warning_name(&parser.value()?.string()?)?),
            Long("print") => parsed.check.print = true,
            Long("json") => (parsed.check.json, parsed.question.json) = (true, true),
            Short('H') | Long("header") => parsed.question.fields.push(parser.value()?.string()?),
            Long("client") => parsed.question.client = parser.value()?.parse()?,
            Value(name) if command.is_none() => command = Some(command_of(&name.string()?)?),
            Value(operand) if command == Some(Command::Explain) => operands.push(operand.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    parsed.command = command.unwrap_or(Command::Run);
    if parsed.command == Command::Help {
        return Ok(parsed);
    }
    for (option, commands) in given {
        if !commands.contains(&parsed.command) {
            let names = COMMANDS.iter().filter(|(_, command)| commands.contains(command));
            let names: Vec<&str> = names.map(|(name, _)| *name).collect();
            return Err(format!("{option} is an option of gateway {}", names.join(" and ")).into());
        }
    }
    if parsed.check.json && parsed.check.print {
        return Err("--json and --print cannot be combined".into());
    }
    if parsed.command == Command::Explain {
        let [method, url] = <[String; 2]>::try_from(operands)
            .map_err(|_| "gateway explain takes a method and a URL, such as GET http://example.com/x")?;
        (parsed.question.method, parsed.question.url) = (method, url);
    }
    Ok(parsed)
}

fn command_of(name: &str) -> Result<Command, String> {
    if let Some((_, command)) = COMMANDS.iter().find(|(known, _)| *known == name) {
        return Ok(*command);
    }
    let near = settings::nearest(name, COMMANDS.iter().map(|(name, _)| *name));
    let advice = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
    Err(format!("there is no command '{}'{advice}", name.escape_debug()))
}

fn warning_name(name: &str) -> Result<String, String> {
    if warning::ALL.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("there is no warning '{}'; known are: {}", name.escape_debug(), warning::ALL.join(", ")))
}

fn print(text: &str) -> ExitCode {
    commands::print(text);
    ExitCode::SUCCESS
}

fn source(arguments: &Arguments) -> Source {
    Source { named: arguments.config.clone() }
}

/// Reads the settings and all files that they name, and reports all mistakes.
fn load(arguments: &Arguments) -> Result<Loaded, ExitCode> {
    let process = |settings: &Settings| Arc::new(Process::new(settings.threads, settings.access_log.clone()));
    let loaded = reload::load(&source(arguments), process, None);
    let Findings { problems, warnings } = &loaded.findings;
    for warning in warnings {
        print_line(warning);
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
        None => say("no settings file; serving a page that explains how to write one"),
    }
    match run::run(source(arguments), loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(error);
            ExitCode::from(FAILED)
        }
    }
}

/// Runs a command that queries the admin listener.
fn with_admin(
    arguments: &Arguments,
    ask: impl FnOnce(SocketAddr, Duration) -> Result<ExitCode, HealthError>,
) -> ExitCode {
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
    ask(address, arguments.timeout.unwrap_or(HEALTH_TIMEOUT)).unwrap_or_else(|error| {
        say(error);
        ExitCode::from(FAILED)
    })
}

/// Prints the hash of the text on standard input, without its line ending.
fn hash_command(what: &str, hash: impl FnOnce(&str) -> Result<String, String>) -> ExitCode {
    let mut line = String::new();
    if let Err(error) = std::io::stdin().read_line(&mut line) {
        say(format_args!("standard input cannot be read: {error}"));
        return ExitCode::from(FAILED);
    }
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        say(format_args!(
            "there is no {what} on standard input; write one, for example: openssl rand -hex 32 | gateway hash-{what}"
        ));
        return ExitCode::from(MISUSED);
    }
    match hash(secret) {
        Ok(hash) => print(&format!("{hash}\n")),
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
            ("gateway top --address 127.0.0.1:1", Some(Command::Top)),
            ("gateway hash-key", Some(Command::HashKey)),
            ("gateway hash-password", Some(Command::HashPassword)),
            ("gateway check --deny-warnings --allow shadowed-route --print", Some(Command::Check)),
            ("gateway check --json", Some(Command::Check)),
            ("gateway explain GET /x -H a:b --client ::1 --json", Some(Command::Explain)),
            ("gateway schema", Some(Command::Schema)),
            ("gateway check --json --print", None),
            ("gateway check --allow shadowed", None),
            ("gateway run --json", None),
            ("gateway check -H a:b", None),
            ("gateway explain GET", None),
            ("gateway explain GET /x /y", None),
            ("gateway check GET", None),
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
