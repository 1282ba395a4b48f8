//! Running a [`Cmd`]: read its answer, or follow it line by line, within its time limit.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Cmd;

/// Lines of a failed child's output that are kept for the error.
const TAIL_LINES: usize = 25;

/// A child that ended badly: its command line, how it ended, its last lines.
#[derive(Debug)]
pub struct ChildFailed {
    line: String,
    ending: String,
    tail: Vec<String>,
}

impl fmt::Display for ChildFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.ending, self.line)?;
        for line in &self.tail {
            write!(f, "\n| {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ChildFailed {}

impl Cmd {
    fn expression(&self) -> duct::Expression {
        let mut expression = duct::cmd(self.program.clone(), &self.args).unchecked();
        for name in self.withheld() {
            expression = expression.env_remove(name);
        }
        for (name, value) in &self.env {
            expression = match value {
                Some(value) => expression.env(name, value),
                None => expression.env_remove(name),
            };
        }
        for (name, value) in &self.secret_env {
            expression = expression.env(name, value);
        }
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        match &self.stdin {
            Some(bytes) => expression.stdin_bytes(bytes.clone()),
            None => expression.stdin_null(),
        }
    }

    fn starting(&self) -> String {
        format!("cannot start {}", self.program.to_string_lossy())
    }

    fn failed(&self, ending: String, tail: impl IntoIterator<Item = String>) -> anyhow::Error {
        ChildFailed { line: self.to_string(), ending, tail: tail.into_iter().collect() }.into()
    }

    fn over_limit(&self, tail: impl IntoIterator<Item = String>) -> anyhow::Error {
        let seconds = self.limit.unwrap_or_default().as_secs_f32();
        self.failed(format!("ended after its time limit of {seconds} s"), tail)
    }

    /// Runs it and gives its standard output, without the last line break.
    pub fn read(&self) -> Result<String> {
        let bytes = self.read_bytes()?;
        let mut text = String::from_utf8(bytes).with_context(|| format!("{self}: output is not UTF-8"))?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        Ok(text)
    }

    /// Runs it and gives its standard output as it is.
    pub fn read_bytes(&self) -> Result<Vec<u8>> {
        let handle =
            self.expression().stdout_capture().stderr_capture().start().with_context(|| self.starting())?;
        if let Some(limit) = self.limit
            && handle.wait_timeout(limit)?.is_none()
        {
            handle.kill()?;
            return Err(self.over_limit([]));
        }
        let output = handle.into_output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = stderr.lines().map(str::to_owned).collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec();
        Err(self.failed(output.status.to_string(), tail))
    }

    /// Runs it for its exit status alone; false also where it cannot be started.
    pub fn succeeds(&self) -> bool {
        self.read_bytes().is_ok()
    }

    /// Runs it and hands on each line of standard output and error as it comes.
    pub fn follow(&self, mut on_line: impl FnMut(&str)) -> Result<()> {
        let reader = self.expression().stderr_to_stdout().reader().with_context(|| self.starting())?;
        let mut tail = VecDeque::with_capacity(TAIL_LINES);
        let started = Instant::now();
        let read = std::thread::scope(|scope| {
            let (finished, wait) = mpsc::channel::<()>();
            let limit = self.limit.unwrap_or(Duration::MAX);
            let watched = &reader;
            scope.spawn(move || {
                if wait.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                    // The child may end by itself at this very moment; then there is nothing to end.
                    let _ = watched.kill();
                }
            });
            let read = read_lines(&reader, |line| {
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line.to_owned());
                on_line(line);
            });
            drop(finished);
            read
        });
        read.with_context(|| format!("{self}: reading its output"))?;
        if self.limit.is_some_and(|limit| started.elapsed() >= limit) {
            return Err(self.over_limit(tail));
        }
        match reader.try_wait()? {
            Some(output) if output.status.success() => Ok(()),
            Some(output) => Err(self.failed(output.status.to_string(), tail)),
            None => Err(self.failed("closed its output and did not end".to_owned(), tail)),
        }
    }
}

fn read_lines(reader: &duct::ReaderHandle, mut on_line: impl FnMut(&str)) -> std::io::Result<()> {
    let mut buffered = BufReader::new(reader);
    let mut raw = Vec::new();
    while buffered.read_until(b'\n', &mut raw)? > 0 {
        on_line(String::from_utf8_lossy(&raw).trim_end_matches(['\n', '\r']));
        raw.clear();
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_and_a_failure_shows_the_last_of_them() {
        let script = "for i in $(seq 40); do echo line $i; done; echo bad >&2; exit 7";
        let mut seen = Vec::new();
        let error =
            Cmd::new("sh").args(["-c", script]).follow(|line| seen.push(line.to_owned())).unwrap_err();
        let failed = error.downcast_ref::<ChildFailed>().unwrap();
        assert_eq!(seen.len(), 41);
        assert_eq!(failed.tail.len(), TAIL_LINES);
        assert_eq!(failed.tail.last().unwrap(), "bad");
        assert!(error.to_string().starts_with("exit status: 7"), "{error}");
    }

    #[test]
    fn a_child_over_its_limit_is_ended_both_ways() {
        let slow = Cmd::new("sleep").arg("30").limit(Duration::from_millis(50));
        let started = Instant::now();
        for error in [slow.read().unwrap_err(), slow.follow(|_| ()).unwrap_err()] {
            assert!(error.to_string().contains("time limit of 0.05 s"), "{error}");
        }
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn standard_input_arrives_and_the_environment_is_as_set() {
        let cmd = Cmd::new("sh").args(["-c", "cat; echo $A$B"]).stdin("x").env("A", "1").secret_env("B", "2");
        assert_eq!(cmd.read().unwrap(), "x12");
        assert!(Cmd::new("no-such-program").read().unwrap_err().to_string().contains("cannot start"));
    }
}
