//! Terminal output: progress on standard error, results on standard output, so that a result can be piped.

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
    /// One line that is overwritten.
    Terminal,
    /// The folding sections of GitHub Actions.
    Sections,
    /// Lines, for a pipe or a file.
    Plain,
}

/// Shows progress and warnings.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    mode: OutputMode,
}

impl Ui {
    /// Chooses the mode for this process's standard error. Progress is shown beside JSON too, which goes to standard
    /// output.
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

    /// Prints a warning.
    pub fn warn(self, text: &str) {
        match self.mode {
            OutputMode::Sections => line(&format!("::warning::{}", github::escape(text))),
            OutputMode::Terminal | OutputMode::Plain => {
                line(&format!("{} {text}", console::style("warning:").yellow().for_stderr()));
            }
        }
    }
}

/// Prints a line on standard error. A closed pipe is ignored.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", mask(text));
}

/// Prints the last line before the process exits, in place of a progress line.
#[cfg(unix)]
pub fn last_line(text: &str) {
    let terminal = console::Term::stderr();
    if terminal.is_term() {
        let _ = terminal.clear_line();
    }
    if in_actions() {
        // In a folded section the line would be hidden.
        line("::endgroup::");
    }
    line(text);
}

/// Prints text on standard output. A closed pipe is ignored. Any other error ends the process with exit code 1, so that
/// an incomplete document is not taken for a complete one.
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

/// Formats seconds: two decimals below 10, else one.
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

fn in_actions() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Prints an error of [`crate::error::render`]: `error:` in colour on a terminal, and the first line as an annotation in
/// GitHub Actions.
pub fn error(text: &str) {
    if in_actions() {
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        line(&format!("::error::{}", github::escape(first)));
    }
    let red = console::style("error:").red().bold().for_stderr().to_string();
    let _ = std::io::stderr().write_all(coloured(&mask(text), &red).as_bytes());
}

/// Replaces `error:` at the start of a line with `red`. Quoted output of a child is indented and stays unchanged.
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
    fn quoted_output_of_a_child_is_not_coloured() {
        let failed = crate::process::Cmd::new("sh").args(["-c", "echo 'error: error: no' >&2; exit 1"]);
        let error = failed.read().unwrap_err().context(crate::error::Fault::failed("x error: y"));
        let text = crate::error::render(&error);
        assert!(text.contains("| error: error: no"), "{text}");
        assert_eq!(coloured(&text, "RED"), text.replacen("error:", "RED", 1));
        assert_eq!(coloured("error: a\n  help: b\nerror: c\n", "RED"), "RED a\n  help: b\nRED c\n");
    }
}
