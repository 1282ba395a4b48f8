//! `cargo xtask bench self`: what building xtask costs, compared with another commit.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::change_a_line;
use super::measure::{Candidate, Comparison, Times, compare, table};
use crate::image::verify::copy_source;
use cli_support::error::Fault;
use cli_support::files::remove_dir;
use cli_support::process::Cmd;
use cli_support::ui::{self, Progress, Table, Ui};
use rust_workspace::binary::{cargo, metadata};
use rust_workspace::git;
use rust_workspace::settings::Workspace;

/// The largest wanted ratios of build times.
const GOAL_COLD: f64 = 0.85;
const GOAL_CHANGED: f64 = 1.0;

/// Building xtask, against another commit
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask bench self --against v1.0.0
  cargo xtask bench self --against HEAD~1 --cold-rounds 3 --json

Builds both in copies below target/xtask/bench. A cold round takes minutes.")]
pub struct Flags {
    /// The commit to compare with
    #[arg(long, value_name = "COMMIT")]
    against: String,
    /// Rounds of the build from nothing; 0 skips it
    #[arg(long, default_value_t = 1, value_name = "N")]
    cold_rounds: usize,
    /// Rounds of the build after one changed line; 0 skips it
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct SelfReport {
    schema: &'static str,
    command: &'static str,
    against: String,
    comparisons: Vec<Comparison>,
    ours: Measured,
    theirs: Measured,
}

/// Counted values, which are not timed.
#[derive(Debug, Serialize)]
struct Measured {
    /// Crates that a build of xtask compiles on this machine, its own included.
    crates: usize,
    /// Lines of production code by crate of xtask: below `src`, without the modules for tests.
    lines: Vec<(String, usize)>,
    /// Bytes of the debug build's program, where a round was timed.
    binary_bytes: Option<u64>,
}

impl Flags {
    pub fn run(&self) -> Result<()> {
        let workspace = Workspace::find()?;
        let commit = format!("{}^{{commit}}", self.against);
        let commit = git::command(&workspace.root)
            .args(["rev-parse", "--verify", "--quiet", &commit])
            .read()
            .map_err(|_| Fault::usage(format!("--against: there is no commit '{}'", self.against)))?;
        let target: PathBuf = metadata(&workspace.root)?.target_directory.into();
        let home = target.join("xtask").join("bench");
        remove_dir(&home)?;
        let progress =
            Ui::detect().step("bench", "this source and that of the commit, each with its own target");
        let (ours, theirs) = (Tree::new(home.join("ours")), Tree::new(home.join("theirs")));
        copy_source(&workspace.root, &ours.source())?;
        theirs.unpack(&workspace.root, &commit)?;
        let comparisons = self.comparisons(&ours, &theirs, &progress)?;
        let report = SelfReport {
            schema: "xtask.bench-self/1",
            command: "bench self",
            against: commit,
            comparisons,
            ours: ours.measure()?,
            theirs: theirs.measure()?,
        };
        progress.done("");
        remove_dir(&home)?;
        ui::print(&if self.json { format!("{:#}\n", serde_json::to_value(&report)?) } else { report.text() });
        Ok(())
    }

    fn comparisons(&self, ours: &Tree, theirs: &Tree, progress: &Progress) -> Result<Vec<Comparison>> {
        let mut comparisons = Vec::new();
        if self.cold_rounds > 0 {
            comparisons.extend(pair(
                "cold",
                GOAL_COLD,
                self.cold_rounds,
                [ours, theirs],
                progress,
                |tree| remove_dir(&tree.target()),
            )?);
        }
        if self.rounds > 0 {
            for tree in [ours, theirs] {
                tree.help().read()?;
            }
            comparisons.extend(pair(
                "one line changed",
                GOAL_CHANGED,
                self.rounds,
                [ours, theirs],
                progress,
                |tree| change_a_line(&tree.command_file()?),
            )?);
        }
        Ok(comparisons)
    }
}

/// Times `cargo xtask --help` of both: wall clock, and on Linux the processor's time, which other work on the machine
/// changes less.
fn pair(
    what: &'static str,
    goal: f64,
    rounds: usize,
    [ours, theirs]: [&Tree; 2],
    progress: &Progress,
    prepare: impl Fn(&Tree) -> Result<()>,
) -> Result<Vec<Comparison>> {
    let processor = std::cell::RefCell::new([Vec::new(), Vec::new()]);
    let candidate = |tree: &'static str, side: usize, copy: &'_ Tree| -> Candidate<'_> {
        let (prepare, processor, copy) = (&prepare, &processor, copy.clone());
        let again = copy.clone();
        Candidate {
            name: tree,
            prepare: Box::new(move || prepare(&again)),
            run: Box::new(move || {
                let before = children_seconds();
                copy.help().read()?;
                let spent = children_seconds().zip(before).map(|(after, before)| after - before);
                processor.borrow_mut()[side].extend(spent);
                Ok(())
            }),
        }
    };
    let wall = compare(
        what,
        goal,
        rounds,
        candidate("this source", 0, ours),
        candidate("the commit", 1, theirs),
        progress,
    )?;
    let mut comparisons = vec![wall];
    let [ours, theirs] = processor.into_inner();
    if !ours.is_empty() {
        let times = |seconds| Times { name: "processor time", seconds };
        comparisons.push(Comparison::of(what, goal, times(ours), times(theirs)));
    }
    Ok(comparisons)
}

/// The processor time of all ended children of this process, in seconds: `cutime` and `cstime` of proc(5), in
/// hundredths of a second. None where the system has no /proc.
fn children_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(13).take(2).flat_map(str::parse).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / 100.0)
}

/// A source with its own target folder.
#[derive(Debug, Clone)]
struct Tree {
    home: PathBuf,
}

impl Tree {
    fn new(home: PathBuf) -> Self {
        Self { home }
    }

    fn source(&self) -> PathBuf {
        self.home.join("source")
    }

    fn target(&self) -> PathBuf {
        self.home.join("target")
    }

    /// Unpacks the source of a commit.
    fn unpack(&self, root: &Path, commit: &str) -> Result<()> {
        let tar = git::command(root).args(["archive", "--format=tar", commit]).read_raw()?;
        let source = self.source();
        tar::Archive::new(&tar[..]).unpack(&source).with_context(|| source.display().to_string())
    }

    fn help(&self) -> Cmd {
        cargo()
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--bin", "xtask", "--", "--help"])
            .env("CARGO_TARGET_DIR", self.target())
            .dir(self.source())
    }

    /// The file of the command `version`.
    fn command_file(&self) -> Result<PathBuf> {
        let files = rust_files(&self.source().join("xtask"))?;
        let found = files.into_iter().find(|path| path.ends_with("commands/version.rs"));
        found.with_context(|| format!("no file commands/version.rs in {}", self.home.display()))
    }

    fn measure(&self) -> Result<Measured> {
        let tree = cargo()
            .args(["tree", "--locked", "--package", "xtask", "--edges", "normal,build", "--prefix", "none"])
            .dir(self.source())
            .read()?;
        let crates: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        let xtask = self.source().join("xtask");
        let mut folders = vec![xtask.clone()];
        if let Ok(entries) = xtask.join("crates").read_dir() {
            folders.extend(entries.flatten().map(|entry| entry.path()));
        }
        folders.sort();
        let mut lines = Vec::new();
        for folder in folders {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut count = 0;
            for path in rust_files(&folder.join("src"))? {
                if !path.iter().any(|part| part == "tests" || part == "tests.rs") {
                    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                    count += production_lines(&text);
                }
            }
            lines.push((name, count));
        }
        let program = self.target().join("debug").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
        let binary_bytes = program.metadata().ok().map(|meta| meta.len());
        Ok(Measured { crates: crates.len(), lines, binary_bytes })
    }
}

/// The lines before a module of tests in the file.
fn production_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_tests = |pair: &[&str]| pair[0].starts_with("#[cfg(") && pair[1].ends_with("mod tests {");
    lines.windows(2).position(is_tests).unwrap_or(lines.len())
}

/// The Rust files below a folder.
fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in dir.read_dir().with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl SelfReport {
    fn text(&self) -> String {
        let mut counts = Table::new(&["", ">this source", ">the commit", ">ratio"]);
        let total = |side: &Measured| side.lines.iter().map(|(_, lines)| lines).sum::<usize>();
        let mut row = |what: &str, ours: u64, theirs: u64| {
            #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            let ratio =
                if theirs == 0 { "-".to_owned() } else { format!("{:.2}", ours as f64 / theirs as f64) };
            counts.row([what.to_owned(), ours.to_string(), theirs.to_string(), ratio]);
        };
        row("crates in the build", self.ours.crates as u64, self.theirs.crates as u64);
        row("production lines", total(&self.ours) as u64, total(&self.theirs) as u64);
        for (name, lines) in &self.ours.lines {
            let before = self.theirs.lines.iter().find(|(other, _)| other == name).map_or(0, |(_, n)| *n);
            row(&format!("  {name}"), *lines as u64, before as u64);
        }
        if let (Some(ours), Some(theirs)) = (self.ours.binary_bytes, self.theirs.binary_bytes) {
            row("bytes of the debug program", ours, theirs);
        }
        format!("\nagainst {}\n\n{}\n{counts}", self.against, table(&self.comparisons))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_for_tests_does_not_count() {
        for (text, expected) in [
            ("a\nb\n", 2),
            ("a\n#[cfg(test)]\nmod tests {\n}\n", 1),
            ("a\n#[cfg(all(test, unix))]\npub mod tests {\n}\n", 1),
            ("#[cfg(test)]\nmod tests;\na\n", 3),
            ("#[cfg(test)]\nuse x;\na\n", 3),
            ("", 0),
        ] {
            assert_eq!(production_lines(text), expected, "{text:?}");
        }
    }
}
