//! Runs a [`Cmd`] within its time limit: reads its output, or follows it line by line.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::env::SET;
use super::{Cmd, stop, tree};
use crate::error::Fault;

/// The longest output that is read, in bytes. Trivy's report about a large image has about ten million.
const MAX_ANSWER_BYTES: u64 = 256 << 20;
/// The longest line that is not split, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// Bytes of standard error that are kept for the error message.
const TAIL_BYTES: usize = 64 << 10;
/// Time for a child to end after it closed its output.
const EXIT_GRACE: Duration = Duration::from_secs(10);
/// Lines of a failed child's output that are kept for the error message.
const TAIL_LINES: usize = 25;

/// A child that failed: its command line, how it ended, its last lines.
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

impl ChildFailed {
    /// The exit code; none if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.ending.rsplit_once(": ").filter(|(how, _)| how.starts_with("exit"))?.1.parse().ok()
    }
}

impl std::error::Error for ChildFailed {}

impl Cmd {
    pub(super) fn expression(&self) -> duct::Expression {
        let mut expression = duct::cmd(self.program.clone(), &self.args).unchecked();
        for (name, value) in &self.env {
            expression = match value {
                Some(value) => expression.env(name, value),
                None => expression.env_remove(name),
            };
        }
        for (name, value) in &self.secret_env {
            expression = expression.env(name, value);
        }
        // duct applies the first of two calls for one variable.
        for (name, value) in SET {
            expression = expression.env(name, value);
        }
        for (name, _) in std::env::vars_os() {
            if self.withholds(&name.to_string_lossy()) {
                expression = expression.env_remove(name);
            }
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

    /// Runs it and returns its standard output without the trailing line breaks.
    pub fn read(&self) -> Result<String> {
        let bytes = self.read_bytes()?;
        let mut text = String::from_utf8(bytes).with_context(|| format!("{self}: output is not UTF-8"))?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        Ok(text)
    }

    /// Runs it and returns its standard output for parsing. Output over the limit is an error and ends the child. Escape
    /// codes are an error too: a coloured word would be parsed as another word.
    pub fn read_bytes(&self) -> Result<Vec<u8>> {
        let bytes = self.read_raw()?;
        let Some(at) = bytes.iter().position(|byte| *byte == 0x1b) else { return Ok(bytes) };
        let line = bytes[..at].split(|byte| *byte == b'\n').count();
        let what = format!("line {line} of its output has escape codes (colours) and cannot be parsed");
        Err(Fault::failed(what)
            .at(self)
            .hint("switch colours off in the tool's settings; variables for colours are not passed on")
            .into())
    }

    /// The same for output that may contain any bytes, such as names of files.
    pub fn read_raw(&self) -> Result<Vec<u8>> {
        self.read_at_most(MAX_ANSWER_BYTES)
    }

    fn read_at_most(&self, longest: u64) -> Result<Vec<u8>> {
        let started = Instant::now();
        let (stdout, answer) = std::io::pipe()?;
        let (stderr, beside) = std::io::pipe()?;
        // The expression is dropped here: it owns the write ends of the pipes, and reading would never end.
        let handle = stop::start(|| self.expression().stdout_file(answer).stderr_file(beside).start());
        let handle = handle.with_context(|| self.starting())?;
        let (to, from) = mpsc::channel();
        let on_stderr = to.clone();
        // In threads of their own: a process that the child left behind may keep the pipes open forever.
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(longest + 1).read_to_end(&mut bytes);
            let _ = to.send(Part::Stdout(read.map(|_| bytes)));
        });
        std::thread::spawn(move || drop(on_stderr.send(Part::Stderr(last_bytes(stderr)))));
        let (mut bytes, mut stderr_end) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let left = self.limit.map_or(Duration::MAX, |limit| limit.saturating_sub(started.elapsed()));
            match from.recv_timeout(left) {
                Ok(Part::Stdout(read)) => {
                    bytes = read.with_context(|| format!("{self}: reading its output"))?;
                    if bytes.len() as u64 > longest {
                        end(&handle);
                        return Err(
                            self.failed(format!("ended after more than {longest} bytes of output"), [])
                        );
                    }
                }
                Ok(Part::Stderr(last)) => stderr_end = last,
                Err(_) => {
                    end(&handle);
                    return Err(self.over_limit([]));
                }
            }
        }
        let left =
            self.limit.map_or(Duration::MAX, |limit| limit.saturating_sub(started.elapsed()).max(EXIT_GRACE));
        let deadline = started.checked_add(started.elapsed().saturating_add(left));
        let output = match deadline {
            Some(deadline) => handle.wait_deadline(deadline)?,
            None => Some(handle.wait()?),
        };
        let Some(output) = output else {
            end(&handle);
            return Err(self.over_limit([]));
        };
        stop::checkpoint();
        if output.status.success() {
            return Ok(bytes);
        }
        let text = String::from_utf8_lossy(&stderr_end);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec();
        Err(self.failed(output.status.to_string(), tail))
    }

    /// Whether it ends with status 0; false if it cannot be started.
    pub fn succeeds(&self) -> bool {
        self.read_bytes().is_ok()
    }

    /// Runs it and passes each line of standard output and standard error to `on_line`.
    pub fn follow(&self, mut on_line: impl FnMut(&str)) -> Result<()> {
        let reader = stop::start(|| self.expression().stderr_to_stdout().reader());
        let reader = reader.with_context(|| self.starting())?;
        let mut tail = VecDeque::with_capacity(TAIL_LINES);
        let started = Instant::now();
        let read = std::thread::scope(|scope| {
            let (finished, wait) = mpsc::channel::<()>();
            let limit = self.limit.unwrap_or(Duration::MAX);
            let watched = &reader;
            scope.spawn(move || {
                if wait.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                    // An error means that the child has just ended.
                    tree::end(&watched.pids());
                    let _ = watched.kill();
                }
            });
            let read = read_lines(&reader, |line| {
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line.to_owned());
                // Output after a signal is meaningless.
                if !stop::is_stopping() {
                    on_line(line);
                }
            });
            drop(finished);
            read
        });
        stop::checkpoint();
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

/// The result of a reading thread.
enum Part {
    Stdout(std::io::Result<Vec<u8>>),
    Stderr(Vec<u8>),
}

fn end(handle: &duct::Handle) {
    tree::end(&handle.pids());
    // Without waiting: it may hang in the kernel.
    let _ = handle.kill();
}

/// Reads to the end and returns the last bytes.
fn last_bytes(mut from: impl Read) -> Vec<u8> {
    let (mut last, mut buffer) = (Vec::new(), vec![0; 8192]);
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        last.extend_from_slice(&buffer[..read]);
        if last.len() > 2 * TAIL_BYTES {
            last.drain(..last.len() - TAIL_BYTES);
        }
    }
    last
}

fn read_lines(reader: &duct::ReaderHandle, mut on_line: impl FnMut(&str)) -> std::io::Result<()> {
    let mut buffered = BufReader::new(reader);
    let mut raw = Vec::new();
    while buffered.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut raw)? > 0 {
        on_line(String::from_utf8_lossy(&raw).trim_end_matches(['\n', '\r']));
        raw.clear();
    }
    Ok(())
}

/// Runs a program in place of this one: with its environment and its standard streams. Returns the program's exit code, and
/// 1 where it does not start or a signal ended it.
pub fn hand_over(program: &OsStr, arguments: &[OsString]) -> ExitCode {
    match std::process::Command::new(program).args(arguments).status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into(),
        Err(error) => {
            crate::ui::error(&format!("error: {}: {error}\n", program.display()));
            ExitCode::FAILURE
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn follow_passes_each_line_and_an_error_has_the_last_ones() {
        let script = "for i in $(seq 40); do echo line $i; done; echo bad >&2; exit 7";
        let mut seen = Vec::new();
        let error =
            Cmd::new("sh").args(["-c", script]).follow(|line| seen.push(line.to_owned())).unwrap_err();
        let failed = error.downcast_ref::<ChildFailed>().unwrap();
        assert_eq!(seen.len(), 41);
        assert_eq!(failed.tail.len(), TAIL_LINES);
        assert_eq!(failed.tail.last().unwrap(), "bad");
        assert!(error.to_string().starts_with("exit status: 7"), "{error}");
        assert_eq!(failed.code(), Some(7));
    }

    #[test]
    fn read_and_follow_end_a_child_over_its_time_limit() {
        let slow = Cmd::new("sleep").arg("30").limit(Duration::from_millis(50));
        let started = Instant::now();
        for error in [slow.read().unwrap_err(), slow.follow(|_| ()).unwrap_err()] {
            assert!(error.to_string().contains("time limit of 0.05 s"), "{error}");
        }
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn output_over_the_limit_is_an_error() {
        let flood = Cmd::new("sh").args(["-c", "cat /dev/zero"]);
        let error = flood.read_at_most(1 << 20).unwrap_err().to_string();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        let exact = Cmd::new("sh").args(["-c", "printf 12345678"]);
        assert_eq!(exact.read_at_most(8).unwrap(), b"12345678");
        assert!(exact.read_at_most(7).is_err());
        // Long standard error is shortened, and a long line is split.
        let loud = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo last >&2; exit 1";
        let error = Cmd::new("sh").args(["-c", loud]).read().unwrap_err();
        let failed = error.downcast_ref::<ChildFailed>().unwrap();
        assert_eq!(failed.tail.last().unwrap(), "last");
        assert!(error.to_string().len() < 3 * TAIL_BYTES);
        let mut lengths = Vec::new();
        Cmd::new("sh").args(["-c", loud]).follow(|line| lengths.push(line.len())).unwrap_err();
        assert_eq!(lengths.iter().sum::<usize>(), 3_000_004);
        assert!(lengths.iter().all(|length| *length <= 1 << 20), "{lengths:?}");
    }

    #[test]
    fn descendants_end_with_the_child() {
        let temp = tempfile::tempdir().unwrap();
        for (number, follow) in [(0, false), (1, true)] {
            let mark = temp.path().join(number.to_string());
            let script = format!("(sleep 1.5; echo > '{}') & sleep 60; true", mark.display());
            let cmd = Cmd::new("sh").args(["-c", &script]).limit(Duration::from_millis(200));
            let error = if follow { cmd.follow(|_| ()) } else { cmd.read().map(drop) };
            assert!(error.unwrap_err().to_string().contains("time limit of 0.2 s"));
            std::thread::sleep(Duration::from_secs(2));
            assert!(!mark.exists(), "it is still there");
        }
    }

    #[test]
    fn escape_codes_in_parsed_output_are_an_error() {
        let coloured = Cmd::new("printf").arg(r"1 a v1.0.0\n2 b v1.0.0 \033[33m(*)\033[0m\n");
        let text = crate::error::render(&coloured.read().unwrap_err());
        for part in ["printf", "line 2 of its output has escape codes", "switch colours off"] {
            assert!(text.contains(part) && !text.contains('\u{1b}'), "{text}");
        }
        assert_eq!(coloured.read_raw().unwrap().len(), 35);
    }

    #[test]
    fn standard_input_and_environment_reach_the_child() {
        let cmd = Cmd::new("sh").args(["-c", "cat; echo $A$B"]).stdin("x").env("A", "1").secret_env("B", "2");
        assert_eq!(cmd.read().unwrap(), "x12");
        assert!(Cmd::new("no-such-program").read().unwrap_err().to_string().contains("cannot start"));
    }
}
