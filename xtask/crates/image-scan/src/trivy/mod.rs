//! Trivy: asked for one manifest at a time, and believed only where it saw what is there.

mod answer;
mod coverage;
mod deployed;
mod fetch;
pub mod ignore_comments;
mod options;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};
use serde::Deserialize;

pub use answer::read;
pub use deployed::Deployed;
pub use fetch::Fetch;
pub use options::Options;

use cli_support::error::Fault;
use cli_support::process::{Cmd, Need, find};
use cli_support::time::Date;
use rust_workspace::settings::TrivyPin;

/// The engine's name.
pub const NAME: &str = "trivy";
/// The versions whose flags and answers are known here.
const KNOWN: &str = ">=0.60, <1";
/// The version that is tested.
const TESTED: &str = "0.74.0";

/// Trivy as it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trivy {
    /// The program: Trivy, or `docker` where it comes in an image.
    pub program: PathBuf,
    /// Its version.
    pub version: Version,
    /// Its image, where Docker runs it.
    pub image: Option<String>,
}

impl Trivy {
    /// Trivy on PATH; none where there is none, an error where it is of an unknown version.
    pub fn find() -> Result<Option<Self>> {
        let Some(program) = find("trivy") else { return Ok(None) };
        let at = program.display().to_string();
        let odd = || Fault::gate("it does not say its version").at(&at);
        let answer = Cmd::new(&program).args(["version", "--format", "json"]).limit(Duration::from_secs(30));
        let answer: Versions =
            serde_json::from_slice(&answer.read_bytes().with_context(odd)?).with_context(odd)?;
        let version = Version::parse(&answer.version).with_context(odd)?;
        let known = VersionReq::parse(KNOWN).is_ok_and(|known| known.matches(&version));
        if !known {
            return Err(Fault::gate(format!(
                "Trivy {version} is not one of the versions known here, {KNOWN}"
            ))
            .at(&at)
            .hint(format!("install {TESTED}, which the tests use"))
            .into());
        }
        Ok(Some(Self { program, version, image: None }))
    }

    /// How to get it.
    pub fn hint() -> String {
        format!(
            "install Trivy {TESTED} (github.com/aquasecurity/trivy) and put it on PATH, or let it be fetched: version = \"{TESTED}\" in [scan.trivy] of xtask/image.toml"
        )
    }

    /// The error of one that is here and ended badly, with what to do, by what it said and whether it was kept
    /// from fetching.
    pub fn ended(error: anyhow::Error, what: String, offline: bool) -> anyhow::Error {
        let hint = Self::hint_for(&format!("{error:#}"), offline);
        error.context(Fault::gate(what).hint(hint))
    }

    fn hint_for(said: &str, offline: bool) -> String {
        // Its own lines alone: the command line speaks of databases too.
        let said: String = said.lines().filter(|line| line.starts_with("| ")).collect();
        let said = said.to_lowercase();
        if ["db error", "vulnerability db", "database", "trivy.db", "--skip-db-update"]
            .iter()
            .any(|word| said.contains(word))
        {
            let fetch = if offline {
                "scan without --offline"
            } else {
                "name places that answer (databases in [scan] of xtask/image.toml)"
            };
            return format!(
                "its database is the trouble: {fetch}, or a cache that has one (cache); --engine builtin needs none"
            );
        }
        format!("its own words say why; the tested version is {TESTED}")
    }

    /// Trivy from its own image, where Docker answers; none elsewhere.
    pub fn in_docker(pin: &TrivyPin) -> Option<Self> {
        let image = pin.image.clone()?;
        let answers = || Cmd::new("docker").arg("info").limit(Duration::from_secs(20)).succeeds();
        let program = find("docker").filter(|_| answers())?;
        Some(Self { program, version: pin.version.clone(), image: Some(image) })
    }

    /// Docker, told to run Trivy's image so that the paths in it are those outside; `sees` may be read.
    fn container(&self, image: &str, options: &Options, sees: &[&Path]) -> Cmd {
        let volume = |path: &Path, how: &str| format!("{0}:{0}{how}", path.display());
        let mut cmd = Cmd::new(&self.program).args(["run", "--rm"]);
        if options.offline {
            cmd = cmd.args(["--network", "none"]);
        }
        if let Some(owner) = owner(&options.dir) {
            cmd = cmd.args(["--user", &owner]);
        }
        for path in std::iter::once(&options.dir).chain(&options.cache) {
            cmd = cmd.args(["--volume", &volume(path, "")]);
        }
        for path in sees {
            cmd = cmd.args(["--volume", &volume(path, ":ro")]);
        }
        cmd.args(["--workdir", &options.dir.display().to_string(), image])
    }

    fn base(&self, options: &Options, verb: &str, sees: &[&Path]) -> Cmd {
        let cmd = match &self.image {
            Some(image) => self.container(image, options, sees),
            None => Cmd::new(&self.program).dir(&options.dir),
        };
        let mut cmd = cmd.args(["--quiet", verb]).limit(Duration::from_mins(15));
        if let Some(cache) = &options.cache {
            cmd = cmd.arg("--cache-dir").arg(cache);
        }
        cmd.needs(Need::Database)
    }

    /// The command for one image: a layout's folder, `@` and a manifest's digest; `sees` are the folders
    /// that it is in.
    pub fn image(&self, options: &Options, target: &str, sees: &[&Path]) -> Cmd {
        let mut cmd = self
            .base(options, "image", sees)
            .args(["--format", "json", "--list-all-pkgs", "--exit-code", "0"])
            .args(["--scanners", "vuln,secret,misconfig", "--image-config-scanners", "misconfig,secret"])
            .args(["--skip-java-db-update", "--skip-version-check", "--skip-check-update", "--offline-scan"]);
        if options.offline {
            cmd = cmd.arg("--skip-db-update");
        }
        for database in &options.databases {
            cmd = cmd.args(["--db-repository", database]);
        }
        for vex in &options.vex {
            cmd = cmd.arg("--vex").arg(options.vex_file(vex));
        }
        if options.ignore_unfixed {
            cmd = cmd.arg("--ignore-unfixed");
        }
        Self::overlooking(cmd, options).args(["--input", target])
    }

    /// Reports what VEX statements leave out. The ignore file is empty: `[[scan.ignore]]` is the one list of
    /// exceptions, and without this flag Trivy would look for a file of its own.
    fn overlooking(cmd: Cmd, options: &Options) -> Cmd {
        cmd.arg("--show-suppressed").arg("--ignorefile").arg(options.ignorefile())
    }

    /// The command that checks a Dockerfile or a folder of files for deployment.
    ///
    /// Trivy's verb `config` would not tell what the list leaves out. What passes is told too, so that
    /// every file that was looked at is named.
    pub fn config(&self, options: &Options, path: &Path) -> Cmd {
        let cmd = self
            .base(options, "filesystem", &[path])
            .args([
                "--format",
                "json",
                "--exit-code",
                "0",
                "--scanners",
                "misconfig",
                "--include-non-failures",
            ])
            .args(["--skip-version-check", "--skip-check-update", "--offline-scan"]);
        Self::overlooking(cmd, options).arg(path)
    }

    /// The day of Trivy's database.
    pub fn database(&self, options: &Options) -> Result<Date> {
        let cmd = self.base(options, "version", &[]).args(["--format", "json"]);
        let none = || Fault::gate("Trivy does not say how old its database is");
        let answer: Versions =
            serde_json::from_slice(&cmd.read_bytes().with_context(none)?).with_context(none)?;
        let updated = answer.database.map(|database| database.updated_at).unwrap_or_default();
        updated.get(..10).and_then(|day| day.parse().ok()).ok_or_else(|| none().into())
    }
}

/// Who owns a folder, as `--user` takes it: what a container writes belongs to them then.
#[cfg(unix)]
fn owner(dir: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    // Not made yet, it will belong to whoever has the folder above.
    let meta = dir.ancestors().find_map(|dir| dir.metadata().ok())?;
    Some(format!("{}:{}", meta.uid(), meta.gid()))
}

#[cfg(not(unix))]
fn owner(_: &Path) -> Option<String> {
    None
}

#[derive(Deserialize)]
struct Versions {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "VulnerabilityDB")]
    database: Option<DatabaseInfo>,
}

#[derive(Deserialize)]
struct DatabaseInfo {
    #[serde(rename = "UpdatedAt")]
    updated_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_about_what_was_wrong() {
        let database = "| FATAL run error: init error: DB error: failed to download vulnerability DB";
        for (said, expected) in [
            (format!("exit status: 1: trivy --skip-db-update\n{database}"), "its database is the trouble"),
            ("exit status: 1: trivy --skip-db-update\n| FATAL unable to open".to_owned(), "its own words"),
            ("ended after its time limit".to_owned(), "its own words"),
        ] {
            for offline in [true, false] {
                let hint = Trivy::hint_for(&said, offline);
                assert!(hint.contains(expected), "{said}: {hint}");
                assert!(offline || !hint.contains("--offline"), "it was not given: {hint}");
            }
        }
        assert!(!Trivy::hint().contains("builtin"), "that opens no gate for an image with other packages");
    }

    #[test]
    fn the_command_sees_everything_and_nothing_of_this_folder() {
        let trivy = Trivy { program: "/bin/trivy".into(), version: Version::new(0, 74, 0), image: None };
        let options = Options {
            offline: true,
            cache: Some("/cache".into()),
            databases: vec!["one".to_owned(), "two".to_owned()],
            dir: "/work".into(),
            ..Options::default()
        };
        let line = trivy.image(&options, "layout@sha256:abc", &[]).to_string();
        for part in [
            "--cache-dir /cache",
            "--list-all-pkgs",
            "--skip-db-update",
            "--db-repository one --db-repository two",
            "--input layout@sha256:abc",
            "--ignorefile /work/ignore.yaml",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
