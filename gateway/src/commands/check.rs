//! `gateway check`: reports every mistake in the settings, and warnings about valid but suspicious ones.

use std::process::ExitCode;

use super::{print, show};
use crate::json::Json;
use crate::observe::stderr::{print_line, say};
use crate::prepare;
use crate::settings::record::Table;
use crate::settings::{self, Examined, Problem, Source};
use crate::snapshot::Process;

/// Options of `gateway check`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether warnings are failures.
    pub deny_warnings: bool,
    /// Names of warnings to suppress.
    pub allow: Vec<String>,
    /// Whether problems are written to standard output as JSON.
    pub json: bool,
    /// Whether the effective settings are written to standard output.
    pub print: bool,
}

/// Checks the settings: 0 without problems, 1 for denied warnings, 2 for problems.
pub fn run(source: &Source, options: &Options) -> ExitCode {
    let file = source.file();
    let examined = file.as_deref().map_or_else(built_in, settings::examine);
    let Examined { settings, problems, mut warnings, keys, shown } = examined;
    let name = file.as_deref().map_or_else(String::new, |file| file.display().to_string());
    let process = Process::new(1, false);
    let (_, found) = prepare::prepare(settings, &name, problems, &process, None);
    let problems = found.problems;
    warnings.extend(found.warnings);
    warnings.retain(|warning| !warning.code.is_some_and(|code| options.allow.iter().any(|one| one == code)));
    warnings.sort_by_key(|warning| warning.place);
    warnings.dedup();
    if options.json {
        let found = warnings.iter().chain(&problems).map(show::json);
        print(&format!(
            "{:#}\n",
            Json::object([("file", Json::text(&name)), ("problems", Json::list(found))])
        ));
    } else {
        for problem in warnings.iter().chain(&problems) {
            print_line(show::with_line(problem, &shown).trim_end());
        }
    }
    if !problems.is_empty() {
        say(format_args!("{} in the settings", counted(problems.len(), "problem")));
        return ExitCode::from(2);
    }
    if options.print {
        print(&settings::effective(&keys));
    } else if !options.json {
        let subject =
            if file.is_some() { name } else { "no settings file; the built-in settings".to_owned() };
        print(&match warnings.len() {
            0 => format!("{subject}: no problems\n"),
            count => format!("{subject}: no problems, {}\n", counted(count, "warning")),
        });
    }
    ExitCode::from(u8::from(options.deny_warnings && !warnings.is_empty()))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn built_in() -> Examined {
    Examined {
        settings: settings::built_in(),
        problems: Vec::<Problem>::new(),
        warnings: Vec::new(),
        keys: Table::default(),
        shown: String::new(),
    }
}
