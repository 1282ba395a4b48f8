//! The Trivy engine. It scans one manifest at a time, and its answer counts only where it saw the whole image.

mod answer;
mod coverage;
mod deployed;
mod fetch;
pub mod ignores;
mod options;
mod probe;
mod view;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};
use serde::Deserialize;

pub use answer::{Answer, read};
pub use deployed::{ConfigScan, Deployed};
pub use fetch::Fetch;
pub use options::Options;

use super::{Database, Engine, EngineReport, PlatformScan, Probe};
use crate::image::inventory::Inventory;
use cli_support::error::Fault;
use cli_support::process::{Cmd, Need, find};
use cli_support::time::Date;
use cli_support::ui::Progress;
use oci_image::layout::Layout;
use rust_workspace::settings::TrivyPin;

/// The engine's name.
pub const NAME: &str = "trivy";
/// The versions with known flags and answers.
const SUPPORTED: &str = ">=0.60, <1";
/// The version in the tests.
const TESTED: &str = "0.74.0";
/// Days that the database may be old where the settings set no limit: every scan downloads it.
const MAX_AGE: u64 = 30;
/// Trivy's rules about packages and secrets, and about the config of every image. Configuration files in an image are not
/// checked: they are not what is deployed.
const SCANNERS: [&str; 4] = ["--scanners", "vuln,secret", "--image-config-scanners", "misconfig,secret"];
/// No access to the network, except for the database.
const OFFLINE: [&str; 2] = ["--skip-version-check", "--offline-scan"];
/// Trivy's built-in rules. The verb `sbom` does not know this flag.
const BUILT_IN_CHECKS: &str = "--skip-check-update";

/// An installed Trivy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trivy {
    /// The program: Trivy, or `docker` for Trivy's image.
    pub program: PathBuf,
    /// The version.
    pub version: Version,
    /// Trivy's image, where Docker runs it.
    pub image: Option<String>,
}

/// Trivy as an engine.
#[derive(Debug)]
pub struct TrivyEngine {
    trivy: Trivy,
    options: Options,
    shown: Cmd,
}

impl TrivyEngine {
    /// The engine with these settings.
    pub fn new(trivy: Trivy, options: Options) -> Self {
        let shown = trivy.scan_image(&options, "IMAGE@sha256:MANIFEST", &[]);
        Self { trivy, options, shown }
    }
}

impl Engine for TrivyEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn command(&self) -> Option<&Cmd> {
        Some(&self.shown)
    }

    fn probe(&self, inventories: &[Inventory], progress: &Progress) -> Result<Probe> {
        self.options.prepare()?;
        progress.detail("probe of the database");
        probe::run(&self.trivy, &self.options, inventories)
    }

    fn scan(
        &self,
        layout: &Layout,
        inventories: &[Inventory],
        progress: &Progress,
    ) -> Result<Vec<PlatformScan>> {
        let layout = Layout::open(&layout.dir().canonicalize()?)?;
        let dir = view::flat_layout(&layout, inventories, &self.options.dir)?;
        let scan = |inventory: &Inventory| -> Result<PlatformScan> {
            let started = Instant::now();
            let target = format!("{}@{}", dir.display(), inventory.image.digest);
            progress.detail(&target);
            let cmd = self.trivy.scan_image(&self.options, &target, &[layout.dir(), &dir]);
            let what = format!("Trivy failed on {}", inventory.image.platform);
            let json = self.options.output_of(&cmd, what)?;
            let Answer { findings, crates, packages } = read(&json, inventory)?;
            let seconds = started.elapsed().as_secs_f64();
            Ok(PlatformScan {
                findings,
                crates,
                packages: Some(packages),
                seconds,
                ..PlatformScan::default()
            })
        };
        inventories.iter().map(scan).collect()
    }

    fn database(&self) -> Result<Database> {
        let hint = if self.options.offline {
            "scan without --offline, or with --engine builtin, which needs no database"
        } else {
            "name sources with a newer one (databases in [scan]), or scan with --engine builtin, which needs none"
        };
        let report = EngineReport {
            name: NAME,
            version: self.trivy.version.to_string(),
            database: self.trivy.database_date(&self.options)?,
            commit: None,
            advisories: None,
        };
        Ok(Database { report, what: "Trivy's database", file: None, max_age: MAX_AGE, hint: hint.to_owned() })
    }
}

impl Options {
    /// Runs Trivy. On an error, the hint depends on Trivy's own message.
    pub fn output_of(&self, cmd: &Cmd, what: String) -> Result<Vec<u8>> {
        cmd.read_bytes().map_err(|error| {
            let hint = error_hint(&format!("{error:#}"), self.offline);
            error.context(Fault::gate(what).hint(hint))
        })
    }
}

impl Trivy {
    /// Trivy on PATH; none where there is none.
    ///
    /// # Errors
    /// Its version is not supported.
    pub fn find() -> Result<Option<Self>> {
        let Some(program) = find("trivy") else { return Ok(None) };
        let at = program.display().to_string();
        let unknown = || Fault::gate("cannot read Trivy's version").at(&at);
        let answer = Cmd::new(&program).args(["version", "--format", "json"]).limit(Duration::from_secs(30));
        let answer: Versions =
            serde_json::from_slice(&answer.read_bytes().with_context(unknown)?).with_context(unknown)?;
        let version = Version::parse(&answer.version).with_context(unknown)?;
        if !VersionReq::parse(SUPPORTED).is_ok_and(|supported| supported.matches(&version)) {
            let what = format!("Trivy {version} is not supported; supported versions are {SUPPORTED}");
            let hint = format!("install {TESTED}, the tested version");
            return Err(Fault::gate(what).at(&at).hint(hint).into());
        }
        Ok(Some(Self { program, version, image: None }))
    }

    /// How to install it.
    pub fn hint() -> String {
        format!(
            "install Trivy {TESTED} (github.com/aquasecurity/trivy) on PATH, or let xtask download it: version = \"{TESTED}\" in [scan.trivy] of xtask/image.toml"
        )
    }

    /// Trivy's own image, where Docker runs; none elsewhere.
    pub fn in_docker(pin: &TrivyPin) -> Option<Self> {
        let image = pin.image.clone()?;
        let answers = || Cmd::new("docker").arg("info").limit(Duration::from_secs(20)).succeeds();
        let program = find("docker").filter(|_| answers())?;
        Some(Self { program, version: pin.version.clone(), image: Some(image) })
    }

    /// `docker run` of Trivy's image, with every path the same inside and outside; `inputs` are read-only.
    fn container(&self, image: &str, options: &Options, inputs: &[&Path]) -> Cmd {
        let volume = |path: &Path, mode: &str| format!("{0}:{0}{mode}", path.display());
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
        for path in inputs {
            cmd = cmd.args(["--volume", &volume(path, ":ro")]);
        }
        cmd.args(["--workdir", &options.dir.display().to_string(), image])
    }

    fn base(&self, options: &Options, verb: &str, inputs: &[&Path]) -> Cmd {
        let cmd = match &self.image {
            Some(image) => self.container(image, options, inputs),
            None => Cmd::new(&self.program).dir(&options.dir),
        };
        let mut cmd = cmd.args(["--quiet", verb]).limit(Duration::from_mins(15));
        if let Some(cache) = &options.cache {
            cmd = cmd.arg("--cache-dir").arg(cache);
        }
        cmd.needs(Need::Database)
    }

    /// A scan that prints JSON. [`SCANNERS`] find everything; the ignore file is empty, because without this flag Trivy
    /// would look for one of its own: `[[scan.ignore]]` is the only list of exceptions.
    fn scan(&self, options: &Options, verb: &str, inputs: &[&Path]) -> Cmd {
        let cmd =
            self.base(options, verb, inputs).args(["--format", "json", "--exit-code", "0"]).args(OFFLINE);
        cmd.arg("--show-suppressed").arg("--ignorefile").arg(options.ignore_file())
    }

    /// The command for one platform: `target` is a layout's folder, `@` and a manifest's digest. The database is the one
    /// that the probe checked.
    fn scan_image(&self, options: &Options, target: &str, inputs: &[&Path]) -> Cmd {
        let cmd =
            self.scan(options, "image", inputs).arg("--list-all-pkgs").args(SCANNERS).arg(BUILT_IN_CHECKS);
        let mut cmd = cmd.args(["--skip-db-update", "--skip-java-db-update"]);
        for (name, _) in &options.vex {
            cmd = cmd.arg("--vex").arg(options.vex_file(name));
        }
        if options.ignore_unfixed {
            cmd = cmd.arg("--ignore-unfixed");
        }
        cmd.args(["--input", target])
    }

    /// The command for an SBOM. It downloads the database.
    fn scan_sbom(&self, options: &Options, sbom: &Path) -> Cmd {
        let mut cmd = self.scan(options, "sbom", &[]).args(["--scanners", "vuln", "--skip-java-db-update"]);
        if options.offline {
            cmd = cmd.arg("--skip-db-update");
        }
        for database in &options.databases {
            cmd = cmd.args(["--db-repository", database]);
        }
        cmd.arg(sbom)
    }

    /// The command for a Dockerfile or a folder of configuration files. It reports passed checks too, so that the answer
    /// names every file. Trivy's verb `config` does not report what VEX excepts.
    pub fn scan_config(&self, options: &Options, path: &Path) -> Cmd {
        let cmd = self.scan(options, "filesystem", &[path]);
        cmd.args(["--scanners", "misconfig", "--include-non-failures", BUILT_IN_CHECKS]).arg(path)
    }

    /// The date of Trivy's database.
    fn database_date(&self, options: &Options) -> Result<Date> {
        let cmd = self.base(options, "version", &[]).args(["--format", "json"]);
        let none = || Fault::gate("Trivy does not print the date of its database");
        let answer: Versions =
            serde_json::from_slice(&cmd.read_bytes().with_context(none)?).with_context(none)?;
        let updated = answer.database.map(|database| database.updated_at).unwrap_or_default();
        updated.get(..10).and_then(|day| day.parse().ok()).ok_or_else(|| none().into())
    }
}

/// The hint for an error of Trivy.
fn error_hint(error: &str, offline: bool) -> String {
    // Only Trivy's own lines: the command line names databases too.
    let lines: String = error.lines().filter(|line| line.starts_with("| ")).collect();
    let lines = lines.to_lowercase();
    if !["db error", "vulnerability db", "database", "trivy.db", "--skip-db-update"]
        .iter()
        .any(|word| lines.contains(word))
    {
        return format!("Trivy's message above has the reason; the tested version is {TESTED}");
    }
    let fetch = if offline {
        "scan without --offline"
    } else {
        "name sources that answer (databases in [scan] of xtask/image.toml)"
    };
    format!(
        "Trivy cannot use its database: {fetch}, or name a folder that has one (cache); --engine builtin needs none"
    )
}

/// The owner of a folder for `docker run --user`, so that Trivy's files have the same owner.
#[cfg(unix)]
fn owner(dir: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    // A new folder gets the owner of the one above it.
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
    fn hints_depend_on_trivys_message() {
        let database = "| FATAL run error: init error: DB error: failed to download vulnerability DB";
        for (error, expected) in [
            (format!("exit status: 1: trivy --skip-db-update\n{database}"), "cannot use its database"),
            ("exit status: 1: trivy --skip-db-update\n| FATAL unable to open".to_owned(), "message above"),
            ("ended after its time limit".to_owned(), "message above"),
        ] {
            for offline in [true, false] {
                let hint = error_hint(&error, offline);
                assert!(hint.contains(expected), "{error}: {hint}");
                assert!(offline || !hint.contains("--offline"), "the flag was not given: {hint}");
            }
        }
        assert!(!Trivy::hint().contains("builtin"), "the builtin engine alone does not open the gate");
    }

    #[test]
    fn commands_use_the_probed_database_and_an_empty_ignore_file() {
        let trivy = Trivy { program: "/bin/trivy".into(), version: Version::new(0, 74, 0), image: None };
        let options = Options {
            offline: true,
            cache: Some("/cache".into()),
            databases: vec!["one".to_owned(), "two".to_owned()],
            dir: "/work".into(),
            ..Options::default()
        };
        let image = trivy.scan_image(&options, "layout@sha256:abc", &[]).to_string();
        let sbom = trivy.scan_sbom(&options, Path::new("/work/probe.json")).to_string();
        for (line, parts) in [
            (&image, &["--list-all-pkgs", "--skip-db-update", "--input layout@sha256:abc"][..]),
            (&sbom, &["--db-repository one --db-repository two", "--skip-db-update"]),
        ] {
            for part in parts.iter().chain(&["--cache-dir /cache", "--ignorefile /work/ignore.yaml"]) {
                assert!(line.contains(part), "{part} in {line}");
            }
        }
    }
}
