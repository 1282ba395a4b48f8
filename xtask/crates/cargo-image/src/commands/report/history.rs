//! The builds of `cargo xtask image` on this machine, one JSON object a line in `target/xtask/history.jsonl`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// The most builds that a report shows.
const MAX_RUNS: usize = 200;

/// A build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it ended, RFC 3339.
    pub time: String,
    /// Whether an image was made.
    pub succeeded: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// The compressed size of the largest platform, if an image was made.
    pub compressed_bytes: Option<u64>,
}

/// The file below the target folder.
fn file(target_dir: &Path) -> PathBuf {
    target_dir.join("xtask").join("history.jsonl")
}

/// Adds a build.
pub fn add(target_dir: &Path, run: &Run) -> Result<()> {
    let path = file(target_dir);
    let at = || path.display().to_string();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(at)?;
    }
    let line = format!("{}\n", serde_json::to_string(run)?);
    // One write for each line: builds that end at the same time do not mix their lines.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(at)
}

/// The last builds, oldest first. A line that cannot be read, such as one cut short, is left out.
pub fn read(target_dir: &Path) -> Vec<Run> {
    let text = fs::read_to_string(file(target_dir)).unwrap_or_default();
    let runs: Vec<Run> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    runs[runs.len().saturating_sub(MAX_RUNS)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_added_and_damaged_lines_left_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let run =
            |succeeded| Run { time: "t".to_owned(), succeeded, seconds: 1.5, compressed_bytes: Some(3) };
        assert!(read(dir.path()).is_empty());
        add(dir.path(), &run(true)).expect("written");
        let path = file(dir.path());
        let cut = format!("{}{{\"time\":\n", fs::read_to_string(&path).expect("text"));
        fs::write(&path, cut).expect("written");
        add(dir.path(), &run(false)).expect("written");
        assert_eq!(read(dir.path()), [run(true), run(false)]);
    }
}
