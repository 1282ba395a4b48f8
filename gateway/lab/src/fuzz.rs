//! `gateway-lab fuzz`: each target of gateway/fuzz for some minutes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::program::exists;
use crate::table::table;
use crate::target;

/// Each fuzz target for some minutes
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  gateway-lab fuzz
  gateway-lab fuzz --minutes 1 --only chunked,hpack

Needs a nightly toolchain, a C++ compiler and cargo-fuzz. What is found is kept in gateway/fuzz/artifacts, new
inputs in the target folder. 3 where a target found something.")]
pub struct Flags {
    /// How long for each target
    #[arg(long, default_value_t = 10.0, value_name = "N")]
    minutes: f64,
    /// These targets alone
    #[arg(long, value_name = "TARGET,…", value_delimiter = ',')]
    only: Vec<String>,
}

impl Flags {
    /// Runs them and tells.
    pub fn run(self) -> Result<u8> {
        if !exists("cargo-fuzz") {
            bail!("cargo-fuzz is not here: cargo install cargo-fuzz");
        }
        let home = target::gateway_dir().join("fuzz");
        let targets = targets(&home)?;
        if let Some(name) = self.only.iter().find(|name| !targets.contains(name)) {
            bail!("no target '{name}'; there are {}", targets.join(", "));
        }
        let head = ["target", ">runs", ""].map(str::to_owned);
        let (mut rows, mut found) = (Vec::new(), false);
        for name in targets.iter().filter(|name| self.only.is_empty() || self.only.contains(name)) {
            eprintln!("gateway-lab: {name}");
            let corpus = target::cache().join("corpus").join(name);
            fs::create_dir_all(&corpus)?;
            let output = Command::new("cargo")
                .current_dir(&home)
                .args(["+nightly", "fuzz", "run", name])
                .arg(&corpus)
                .arg(Path::new("corpus").join(name))
                .args(["--", "-max_len=4096", "-timeout=10", "-print_final_stats=1"])
                .arg(format!("-max_total_time={:.0}", self.minutes * 60.0))
                .output()
                .context("starting cargo fuzz")?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let runs = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
            found |= !output.status.success();
            let result = if output.status.success() { "no finding".to_owned() } else { last_lines(&text) };
            rows.push(vec![name.clone(), runs.unwrap_or("-").trim().to_owned(), result]);
        }
        print!("{}", table(&head, &rows));
        Ok(if found { 3 } else { 0 })
    }
}

/// The targets: one file each.
fn targets(home: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home.join("fuzz_targets")).context("gateway/fuzz/fuzz_targets")? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// What the fuzzer said of its finding.
fn last_lines(text: &str) -> String {
    let said: Vec<&str> = text
        .lines()
        .filter(|line| {
            line.contains("panicked at")
                || line.contains("ERROR:")
                || line.contains("error:")
                || line.contains("Test unit written")
        })
        .collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_seeds() {
        let home = target::gateway_dir().join("fuzz");
        let targets = targets(&home).expect("targets");
        assert!(targets.len() >= 8, "{targets:?}");
        let settings = fs::read_to_string(home.join("Cargo.toml")).expect("the manifest");
        for target in targets {
            let seeds = fs::read_dir(home.join("corpus").join(&target)).expect("a corpus").count();
            assert!(seeds > 0, "{target} has no corpus");
            assert!(settings.contains(&format!("name = \"{target}\"")), "{target} is not in Cargo.toml");
        }
    }
}
