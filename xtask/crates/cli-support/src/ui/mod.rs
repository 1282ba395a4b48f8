//! What a person sees: progress while it runs, a table when it is done.
//!
//! Progress goes to standard error and results to standard output, so that a result can be piped.

mod github;
mod progress;
mod table;

use std::io::{IsTerminal as _, Write as _};

pub use github::write_outputs;
pub use progress::Progress;
pub use table::Table;

use crate::mask::mask;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputMode {
    /// A line that changes in place.
    Terminal,
    /// Sections that fold, as GitHub Actions shows them.
    Sections,
    /// Lines, for a pipe or a file.
    Plain,
}

/// Where progress goes and how.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    mode: OutputMode,
}

impl Ui {
    /// What suits this process's standard error. Results go to standard output, so progress is shown beside
    /// a result in JSON too.
    pub fn detect() -> Self {
        let mode = if in_actions() {
            OutputMode::Sections
        } else if std::io::stderr().is_terminal() {
            OutputMode::Terminal
        } else {
            OutputMode::Plain
        };
        Self { mode }
    }

    /// Begins a step.
    pub fn step(self, name: &str, about: &str) -> Progress {
        Progress::begin(self.mode, name, about)
    }

    /// Something a person should know although the work goes on.
    pub fn warn(self, text: &str) {
        match self.mode {
            OutputMode::Sections => line(&format!("::warning::{}", github::escape(text))),
            OutputMode::Terminal | OutputMode::Plain => {
                line(&format!("{} {text}", console::style("warning:").yellow().for_stderr()));
            }
        }
    }
}

/// One line on standard error. A reader that went away is no reason to stop the work.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", mask(text));
}

/// The line that is to stay when the process ends in the middle of a step, in the place of the one that
/// changes.
#[cfg(unix)]
pub fn last_line(text: &str) {
    let terminal = console::Term::stderr();
    if terminal.is_term() {
        let _ = terminal.clear_line();
    }
    if in_actions() {
        // Within a section that is folded nobody sees it.
        line("::endgroup::");
    }
    line(text);
}

/// Text on standard output. A reader that went away is no reason to stop the work; what cannot be written
/// otherwise ends the run, so that nobody takes half a document for the whole.
pub fn print(text: &str) {
    let mut out = std::io::stdout();
    match out.write_all(mask(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            line(&format!("error: standard output: {error}"));
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Seconds, with as many decimals as they deserve.
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

fn in_actions() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// An error as `error::render` puts it: the first word of each fault in colour on a terminal, its first line as
/// an annotation in GitHub Actions.
pub fn error(text: &str) {
    if in_actions() {
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        line(&format!("::error::{}", github::escape(first)));
    }
    let red = console::style("error:").red().bold().for_stderr().to_string();
    let _ = std::io::stderr().write_all(coloured(&mask(text), &red).as_bytes());
}

/// The text with `red` in the place of `error:` where a line begins with it. What is quoted of a child is
/// indented, and stays as it is.
fn coloured(text: &str, red: &str) -> String {
    let line = |line: &str| match line.strip_prefix("error:") {
        Some(rest) => format!("{red}{rest}"),
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_says_is_not_coloured() {
        let failed = crate::process::Cmd::new("sh").args(["-c", "echo 'error: error: no' >&2; exit 1"]);
        let error = failed.read().unwrap_err().context(crate::error::Fault::failed("x error: y"));
        let text = crate::error::render(&error);
        assert!(text.contains("| error: error: no"), "{text}");
        assert_eq!(coloured(&text, "RED"), text.replacen("error:", "RED", 1));
        assert_eq!(coloured("error: a\n  help: b\nerror: c\n", "RED"), "RED a\n  help: b\nRED c\n");
    }
}
