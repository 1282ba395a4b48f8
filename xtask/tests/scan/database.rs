//! Databases for the real Trivy: with the advisories of the positive control, and incomplete ones.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::control::{CRATES, advisories, aliases_of};
use crate::support::{self, Hello, Ran};

/// The date of the database.
const DAY: &str = "2026-08-21";

/// The folder of a database beside a workspace.
pub struct Database {
    maker: PathBuf,
    cache: PathBuf,
    yaml: PathBuf,
}

impl Database {
    /// None where Trivy is missing, or Go for the program that writes databases.
    pub fn new(hello: &Hello) -> Option<Self> {
        if !support::have_program("trivy", "trivy", &["--version"]) {
            return None;
        }
        let maker = support::go_program("trivy-db")?;
        let (cache, yaml) = (hello.path().join("trivy-cache"), hello.path().join("facts.yaml"));
        Some(Self { maker, cache, yaml })
    }

    /// Writes a complete database.
    pub fn make(&self) {
        self.make_of(&complete());
    }

    /// Writes a database with this content, in the format of bolt-fixtures.
    pub fn make_of(&self, yaml: &str) {
        let _ = fs::remove_dir_all(&self.cache);
        fs::write(&self.yaml, yaml).unwrap();
        let status = Command::new(&self.maker).arg(&self.cache).arg(DAY).arg(&self.yaml).status().unwrap();
        assert!(status.success());
    }

    /// The database's file.
    pub fn file(&self) -> PathBuf {
        self.cache.join("db/trivy.db")
    }

    /// A scan with the database.
    pub fn scan(&self, hello: &Hello, args: &[&str]) -> Ran {
        let mut command = hello.command();
        command.env("TRIVY_CACHE_DIR", &self.cache);
        Ran::of(command.args(["scan", "--offline"]).args(args))
    }
}

/// The sources of a complete database: the five advisories, by CVE or GHSA as in Trivy's own database, and one advisory
/// for Debian.
pub fn complete() -> String {
    format!("{}{}", crates(), debian("openssl"))
}

/// A source for Debian 9 and 12 with one advisory.
pub fn debian(package: &str) -> String {
    let source = |version: &str| {
        format!(
            "- bucket: debian {version}\n  pairs:\n    - bucket: {package}\n      pairs:\n        - key: CVE-2022-0778\n          \
             value:\n            FixedVersion: 1.1.1n-0\n"
        )
    };
    source("9") + &source("12")
}

/// The source for crates.
pub fn crates() -> String {
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
         - bucket: cargo::facts\n  pairs:\n{crates}- bucket: vulnerability\n  pairs:\n{ratings}"
    )
}
