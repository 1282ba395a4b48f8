//! One step's progress.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{OutputMode, line, seconds};
use crate::mask::mask;

/// A running step. If it is dropped without [`Progress::done`], it is shown as failed.
#[derive(Debug)]
pub struct Progress {
    mode: OutputMode,
    name: String,
    started: Instant,
    bar: Option<ProgressBar>,
    ended: bool,
}

impl Progress {
    pub(super) fn begin(mode: OutputMode, name: &str, about: &str) -> Self {
        let bar = (mode == OutputMode::Terminal).then(|| spinner(name, about));
        match mode {
            OutputMode::Sections => line(&format!("::group::{name}: {about}")),
            OutputMode::Plain => line(&format!("{name:<10} {about}")),
            OutputMode::Terminal => {}
        }
        Self { mode, name: name.to_owned(), started: Instant::now(), bar, ended: false }
    }

    /// Shows what the step is doing now, such as the crate being compiled.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(mask(text));
        }
    }

    /// Shows a line of a child's output. A section keeps every line, a terminal only the last one.
    pub fn output(&self, text: &str) {
        match self.mode {
            OutputMode::Sections => line(text),
            OutputMode::Terminal => self.detail(&console::strip_ansi_codes(text)),
            OutputMode::Plain => {}
        }
    }

    /// The same for output that is the result itself, such as a test runner's: a pipe keeps it too.
    pub fn result(&self, text: &str) {
        match self.mode {
            OutputMode::Plain => line(text),
            _ => self.output(text),
        }
    }

    /// Prints all lines on a terminal, which showed only the last one.
    pub fn tell(&self, lines: &[String]) {
        if let Some(bar) = &self.bar {
            bar.suspend(|| lines.iter().for_each(|text| line(text)));
        }
    }

    /// Ends the step as successful and returns its duration.
    pub fn done(mut self, outcome: &str) -> Duration {
        self.end("", outcome);
        self.started.elapsed()
    }

    fn end(&mut self, failed: &str, outcome: &str) {
        self.ended = true;
        let took = seconds(self.started.elapsed().as_secs_f64());
        let summary = format!("{:<10} {took:>8}  {failed}{outcome}", self.name);
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        match self.mode {
            OutputMode::Terminal | OutputMode::Plain => line(summary.trim_end()),
            OutputMode::Sections => line(&format!("{}\n::endgroup::", summary.trim_end())),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.ended {
            self.end("failed", "");
        }
    }
}

fn spinner(name: &str, about: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    // The template is a constant, so the fallback is never used.
    let style = ProgressStyle::with_template("{prefix:<10} {elapsed:>8}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar.set_prefix(name.to_owned());
    bar.set_message(about.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
