//! A database for the real Trivy, made of the facts of the positive control.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::control::{CRATES, advisories, aliases_of};
use crate::support::{self, Hello, Ran};

/// The day of what it knows.
pub const DAY: &str = "2026-08-21";

/// A database beside a workspace.
pub struct Database {
    maker: PathBuf,
    cache: PathBuf,
    /// What it is made of.
    yaml: PathBuf,
}

impl Database {
    /// A place for one; none where Go cannot make it.
    pub fn new(hello: &Hello) -> Option<Self> {
        let maker = support::go_program("trivy-db")?;
        let (cache, yaml) = (hello.path().join("trivy-cache"), hello.path().join("facts.yaml"));
        fs::write(&yaml, facts_as_yaml()).unwrap();
        Some(Self { maker, cache, yaml })
    }

    pub fn make(&self, day: &str) {
        let status = Command::new(&self.maker).arg(&self.cache).arg(day).arg(&self.yaml).status().unwrap();
        assert!(status.success());
    }

    /// A scan with it.
    pub fn scan(&self, hello: &Hello, args: &[&str]) -> Ran {
        let mut command = hello.command();
        command.env("TRIVY_CACHE_DIR", &self.cache);
        Ran::of(command.args(["scan", "--offline"]).args(args))
    }
}

/// The five advisories as a database for Trivy, in the format of bolt-fixtures. Trivy knows them by CVE
/// or GHSA, as its own database does.
fn facts_as_yaml() -> String {
    let mut crates = String::new();
    let mut ratings = String::new();
    for advisory in advisories() {
        let Some((severity, id, name, ..)) = CRATES.iter().find(|row| advisory["id"] == row.1) else {
            continue;
        };
        let key = aliases_of(id).remove(0);
        let list = |name: &str| advisory.get(name).cloned().unwrap_or(json!([]));
        let (patched, unaffected) = (list("patched"), list("unaffected"));
        crates.push_str(&format!(
            "    - bucket: {name}\n      pairs:\n        - key: {key}\n          value:\n            \
             PatchedVersions: {patched}\n            UnaffectedVersions: {unaffected}\n"
        ));
        ratings.push_str(&format!(
            "    - key: {key}\n      value:\n        Severity: {}\n",
            severity.to_uppercase()
        ));
    }
    format!(
        "- bucket: data-source\n  pairs:\n    - key: cargo::facts\n      value:\n        ID: facts\n        Name: facts\n\
         - bucket: debian 12\n  pairs:\n    - bucket: nothing\n      pairs:\n        - key: CVE-1\n          value:\n            FixedVersion: '1'\n\
         - bucket: cargo::facts\n  pairs:\n{crates}- bucket: vulnerability\n  pairs:\n{ratings}"
    )
}
