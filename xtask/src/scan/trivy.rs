//! Trivy: asked for one manifest at a time, and believed only where it saw what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};
use serde::Deserialize;

use super::date::Date;
use super::finding::{Finding, Kind};
use super::inventory::Inventory;
use super::severity::Severity;
use crate::audit::Crate;
use crate::error::Fault;
use crate::process::{Cmd, find};

/// The engine's name.
pub const NAME: &str = "trivy";
/// The versions whose flags and answers are known here.
const KNOWN: &str = ">=0.60, <1";
/// The version that is tested.
const TESTED: &str = "0.74.0";
/// Variables that may stay: where the database is and how to get it. All others change what is seen.
const HARMLESS: [&str; 5] =
    ["TRIVY_CACHE_DIR", "TRIVY_DB_REPOSITORY", "TRIVY_USERNAME", "TRIVY_PASSWORD", "TRIVY_REGISTRY_TOKEN"];

/// Trivy as it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trivy {
    /// The program.
    pub program: PathBuf,
    /// Its version.
    pub version: Version,
}

/// How it is driven.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// No network: the database is as it is.
    pub offline: bool,
    /// Where the database is.
    pub cache: Option<PathBuf>,
    /// Where the database comes from, in order.
    pub databases: Vec<String>,
    /// VEX documents.
    pub vex: Vec<PathBuf>,
    /// Leaves out what has no mended version.
    pub ignore_unfixed: bool,
    /// A checked list of what is overlooked.
    pub ignorefile: Option<PathBuf>,
    /// An empty folder to run in: Trivy reads settings and lists from where it stands.
    pub dir: PathBuf,
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
            .cure(format!("install {TESTED}, which the tests use"))
            .into());
        }
        Ok(Some(Self { program, version }))
    }

    /// How to get it.
    pub fn cure() -> String {
        format!(
            "install Trivy {TESTED} (github.com/aquasecurity/trivy) and put it on PATH, or scan with the builtin engine alone: --engine builtin"
        )
    }

    fn base(&self, options: &Options, verb: &str) -> Cmd {
        let mut cmd =
            Cmd::new(&self.program).args(["--quiet", verb]).dir(&options.dir).limit(Duration::from_mins(15));
        if let Some(cache) = &options.cache {
            cmd = cmd.arg("--cache-dir").arg(cache);
        }
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("TRIVY_") && !HARMLESS.contains(&name.as_str()))
            .fold(cmd, Cmd::unset)
    }

    /// The command for one image: a layout's folder, `@` and a manifest's digest.
    pub fn image(&self, options: &Options, target: &str) -> Cmd {
        let mut cmd = self
            .base(options, "image")
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
            cmd = cmd.arg("--vex").arg(vex);
        }
        if options.ignore_unfixed {
            cmd = cmd.arg("--ignore-unfixed");
        }
        if let Some(file) = &options.ignorefile {
            cmd = cmd.arg("--ignorefile").arg(file);
        }
        cmd.args(["--input", target])
    }

    /// The command that checks a Dockerfile or a folder of files for deployment.
    pub fn config(&self, options: &Options, path: &Path) -> Cmd {
        self.base(options, "config")
            .args(["--format", "json", "--exit-code", "0", "--skip-check-update"])
            .arg(path)
    }

    /// The day of Trivy's database.
    pub fn database(&self, options: &Options) -> Result<Date> {
        let cmd = self.base(options, "version").args(["--format", "json"]);
        let none = || Fault::gate("Trivy does not say how old its database is");
        let answer: Versions =
            serde_json::from_slice(&cmd.read_bytes().with_context(none)?).with_context(none)?;
        let updated = answer.database.map(|database| database.updated_at).unwrap_or_default();
        updated.get(..10).and_then(|day| day.parse().ok()).ok_or_else(|| none().into())
    }

    /// An error where the database is older than `days` on `today`.
    pub fn check_age(database: Date, today: Date, days: u64) -> Result<(), Fault> {
        let age = today.since(database);
        if i64::try_from(days).is_ok_and(|days| age > days) || age < -1 {
            let what =
                format!("Trivy's database is of {database}, {age} days old; at most {days} are allowed");
            return Err(
                Fault::gate(what).cure("scan without --offline, or [scan] max-age in xtask/image.toml")
            );
        }
        Ok(())
    }
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u32,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    results: Vec<Outcome>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(rename = "ImageID", default)]
    image_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    #[serde(default)]
    target: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    vulnerabilities: Vec<Vulnerability>,
    #[serde(default)]
    misconfigurations: Vec<Misconfiguration>,
    #[serde(default)]
    secrets: Vec<SecretFound>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Package {
    name: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(rename = "VendorIDs", default)]
    vendor_ids: Vec<String>,
    #[serde(rename = "PkgName")]
    package: String,
    #[serde(rename = "InstalledVersion", default)]
    installed: String,
    #[serde(rename = "FixedVersion", default)]
    fixed: String,
    #[serde(rename = "Severity", default)]
    severity: String,
    #[serde(rename = "PrimaryURL", default)]
    link: String,
}

#[derive(Deserialize)]
struct Misconfiguration {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Title", default)]
    title: String,
    #[serde(rename = "Severity", default)]
    severity: String,
    #[serde(rename = "Status", default)]
    status: String,
    #[serde(rename = "PrimaryURL", default)]
    link: String,
}

#[derive(Deserialize)]
struct SecretFound {
    #[serde(rename = "RuleID")]
    id: String,
    #[serde(rename = "Title", default)]
    title: String,
    #[serde(rename = "Severity", default)]
    severity: String,
}

/// What Trivy found, and how many crates it saw.
#[derive(Debug)]
pub struct Answer {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Crates in Rust programs.
    pub crates: usize,
}

/// Reads the answer about an image, and holds what Trivy saw against what is there.
pub fn read(json: &[u8], inventory: &Inventory) -> Result<Answer> {
    let platform = inventory.image.platform.to_string();
    let report = parse(json)?;
    if report.metadata.image_id != inventory.image.config_digest.to_string() {
        let what = format!(
            "Trivy looked at another image: its config is {}, not {}",
            report.metadata.image_id, inventory.image.config_digest
        );
        return Err(Fault::gate(what).at(platform).into());
    }
    let seen: BTreeSet<_> = report
        .results
        .iter()
        .filter(|outcome| outcome.r#type == "rustbinary")
        .flat_map(|outcome| &outcome.packages)
        .map(|package| (package.name.clone(), package.version.clone()))
        .collect();
    let there = inventory.audited().flat_map(|(_, audit)| audit.linked());
    let there: BTreeSet<_> =
        there.map(|package| (package.name.clone(), package.version.to_string())).collect();
    if let Some((name, version)) = there.difference(&seen).next() {
        let what =
            format!("Trivy saw {} crates of {}: {name} {version} is not among them", seen.len(), there.len());
        return Err(Fault::gate(what)
            .at(platform)
            .cure("trivy image --list-all-pkgs shows what it looks at")
            .into());
    }
    let packages: BTreeSet<_> = report
        .results
        .iter()
        .filter(|outcome| outcome.class == "os-pkgs")
        .flat_map(|outcome| &outcome.packages)
        .map(|package| &package.name)
        .collect();
    if let Some(package) = inventory.packages.iter().find(|package| !packages.contains(&package.name)) {
        let what = format!(
            "Trivy saw {} packages of the operating system of {}: {} is not among them",
            packages.len(),
            inventory.packages.len(),
            package.name
        );
        return Err(Fault::gate(what).at(platform).cure("is its database of packages whole?").into());
    }
    let mut findings = findings(&report, Some(&platform));
    for finding in findings.iter_mut().filter(|finding| finding.kind == Kind::Vulnerability) {
        let path = inventory.audited().filter(|(program, _)| program.path == finding.place).find_map(
            |(_, audit)| {
                let is = |package: &Crate| {
                    package.name == finding.subject && package.version.to_string() == finding.version
                };
                audit.packages.iter().position(is).map(|at| audit.path_to(at))
            },
        );
        finding.path = path.unwrap_or_default();
    }
    Ok(Answer { crates: seen.len(), findings })
}

/// Reads the answer about files of the source.
pub fn read_config(json: &[u8]) -> Result<Vec<Finding>> {
    Ok(findings(&parse(json)?, None))
}

fn parse(json: &[u8]) -> Result<Report> {
    let odd =
        || Fault::gate("Trivy's answer is not understood").cure(format!("the tested version is {TESTED}"));
    let report: Report = serde_json::from_slice(json).with_context(odd)?;
    if report.schema_version != 2 {
        return Err(Fault::gate(format!("Trivy answers in schema {}, not 2", report.schema_version)).into());
    }
    Ok(report)
}

fn severity(text: &str) -> Severity {
    text.parse().unwrap_or(Severity::Unknown)
}

fn findings(report: &Report, platform: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for outcome in &report.results {
        // An image's own settings go by a path of this machine otherwise.
        let place = match outcome.target.as_str() {
            target if target.contains("@sha256:") => "config".to_owned(),
            target if platform.is_some() && !target.starts_with('/') => format!("/{target}"),
            target => target.to_owned(),
        };
        let mut push = |finding: Finding| {
            let platforms = platform.map(str::to_owned).into_iter().collect();
            findings.push(Finding { place: place.clone(), platforms, ..finding });
        };
        for found in &outcome.vulnerabilities {
            // Advisories of distributions are about many vulnerabilities at once, and no other name of one.
            let one =
                |id: &&String| ["CVE-", "GHSA-", "RUSTSEC-"].iter().any(|prefix| id.starts_with(prefix));
            push(Finding {
                aliases: found.vendor_ids.iter().filter(one).cloned().collect(),
                subject: found.package.clone(),
                version: found.installed.clone(),
                fixed: found.fixed.clone(),
                link: found.link.clone(),
                ..Finding::new(Kind::Vulnerability, &found.id, severity(&found.severity), NAME)
            });
        }
        for found in outcome.misconfigurations.iter().filter(|found| found.status == "FAIL") {
            push(Finding {
                subject: place.clone(),
                note: found.title.clone(),
                link: found.link.clone(),
                ..Finding::new(Kind::Config, &found.id, severity(&found.severity), NAME)
            });
        }
        for found in &outcome.secrets {
            push(Finding {
                subject: place.clone(),
                note: found.title.clone(),
                ..Finding::new(Kind::Secret, &found.id, severity(&found.severity), NAME)
            });
        }
    }
    findings
}

/// Checks `.trivyignore.yaml`: every entry has an id, a reason (`statement`) and a day (`expired_at`)
/// that is not over. Of YAML only what such a list needs is understood; all else is an error.
pub fn check_ignorefile(text: &str, today: Date) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut entries: Vec<(usize, Vec<(String, String)>)> = Vec::new();
    let mut section = false;
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.split(" #").next().unwrap_or_default().trim_end();
        let trimmed = content.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed == "---" {
            continue;
        }
        let indent = content.len() - trimmed.len();
        let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        match (indent, trimmed.strip_prefix("- "), trimmed.split_once(':')) {
            (0, None, Some((_, rest))) if rest.trim().is_empty() => section = true,
            (_, Some(item), _) if section && item.contains(": ") => {
                let pair = item.split_once(':').map(|(key, value)| (key.trim().to_owned(), unquoted(value)));
                entries.push((number, pair.into_iter().collect()));
            }
            // A list within an entry: paths, purls.
            (_, Some(_), _) if !entries.is_empty() => {}
            (1.., None, Some((key, value))) if !entries.is_empty() => {
                if let Some((_, pairs)) = entries.last_mut() {
                    pairs.push((key.trim().to_owned(), unquoted(value)));
                }
            }
            _ => wrong.push(format!("line {number}: not understood: '{trimmed}'")),
        }
    }
    for (number, pairs) in &entries {
        let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let id = get("id").unwrap_or_default();
        if id.is_empty() {
            wrong.push(format!("line {number}: an entry without an id"));
        }
        if get("statement").unwrap_or_default().is_empty() {
            wrong.push(format!("line {number}: {id} has no reason (statement)"));
        }
        match get("expired_at").map(str::parse::<Date>) {
            Some(Ok(day)) if day >= today => {}
            Some(Ok(day)) => wrong.push(format!("line {number}: {id} was to be ignored until {day}")),
            Some(Err(what)) => wrong.push(format!("line {number}: {id}: {what}")),
            None => wrong.push(format!("line {number}: {id} has no day on which it ends (expired_at)")),
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_sees_everything_and_nothing_of_this_folder() {
        let trivy = Trivy { program: "/bin/trivy".into(), version: Version::new(0, 74, 0) };
        let options = Options {
            offline: true,
            cache: Some("/cache".into()),
            databases: vec!["one".to_owned(), "two".to_owned()],
            dir: "/work".into(),
            ..Options::default()
        };
        let line = trivy.image(&options, "layout@sha256:abc").to_string();
        for part in [
            "--cache-dir /cache",
            "--list-all-pkgs",
            "--skip-db-update",
            "--db-repository one --db-repository two",
            "--input layout@sha256:abc",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn findings_are_read_and_another_schema_is_not() {
        let json = br#"{"SchemaVersion":2,"Results":[
            {"Target":"usr/bin/x","Class":"lang-pkgs","Type":"rustbinary","Vulnerabilities":[
              {"VulnerabilityID":"CVE-1","VendorIDs":["GHSA-1","DSA-1"],"PkgName":"h2","InstalledVersion":"0.3.0",
               "FixedVersion":">= 0.4","Severity":"HIGH","PrimaryURL":"https://x"}]},
            {"Target":"Dockerfile","Class":"config","Misconfigurations":[
              {"ID":"DS-1","Title":"t","Severity":"LOW","Status":"FAIL"},{"ID":"DS-2","Status":"PASS"}]},
            {"Target":"/a","Class":"secret","Secrets":[{"RuleID":"aws","Severity":"CRITICAL","Match":"AKIA"}]}]}"#;
        let findings = findings(&parse(json).unwrap(), None);
        let shown: Vec<_> = findings.iter().map(|f| format!("{} {} {}", f.id, f.severity, f.place)).collect();
        assert_eq!(shown, ["CVE-1 high usr/bin/x", "DS-1 low Dockerfile", "aws critical /a"]);
        assert_eq!(findings[0].aliases, BTreeSet::from(["GHSA-1".to_owned()]));
        assert!(parse(br#"{"SchemaVersion":3}"#).is_err());
        assert!(parse(b"").is_err());
    }

    #[test]
    fn an_entry_needs_an_id_a_reason_and_a_day_to_come() {
        let today = "2026-01-10".parse().unwrap();
        let good = "# why\nvulnerabilities:\n  - id: CVE-1\n    expired_at: 2026-01-10\n    statement: \"not reached\"\n    \
            paths:\n      - \"usr/bin/x\"\nsecrets:\n  - id: aws\n    statement: test key # yes\n    expired_at: 2027-01-01\n";
        assert_eq!(check_ignorefile(good, today), [""; 0]);
        for (text, expected) in [
            (good.replace("2026-01-10", "2026-01-09"), "until 2026-01-09"),
            (good.replace("    statement: \"not reached\"\n", ""), "no reason"),
            (good.replace("    expired_at: 2027-01-01\n", ""), "no day"),
            (good.replace("2027-01-01", "soon"), "not a day"),
            (good.replace("- id: aws", "- rule: aws"), "without an id"),
            ("CVE-2020-1\n".to_owned(), "not understood"),
            ("vulnerabilities: [{id: CVE-1}]\n".to_owned(), "not understood"),
        ] {
            let wrong = check_ignorefile(&text, today).join("; ");
            assert!(wrong.contains(expected), "{wrong}");
        }
    }
}
