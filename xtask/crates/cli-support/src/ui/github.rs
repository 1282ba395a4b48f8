//! The files that GitHub Actions reads: the step summary and the step's outputs.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Appends `summary` (Markdown) and the outputs to the files in `GITHUB_STEP_SUMMARY` and `GITHUB_OUTPUT`, if set.
pub fn write_outputs(summary: &str, outputs: &[(&str, String)]) -> Result<()> {
    append("GITHUB_STEP_SUMMARY", summary)?;
    // With a line break, a value could set other outputs.
    let line = |(name, value): &(&str, String)| format!("{name}={}\n", value.replace(['\n', '\r'], " "));
    let lines = outputs.iter().map(line).collect::<Vec<_>>().concat();
    append("GITHUB_OUTPUT", &lines)
}

fn append(variable: &str, text: &str) -> Result<()> {
    let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(());
    };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("{variable}: {}", path.display()))?;
    file.write_all(crate::mask::mask(text).as_bytes())
        .with_context(|| format!("{variable}: {}", path.display()))
}

/// Escapes text for a workflow command (`::warning::…`).
pub(super) fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
