//! Trivy's answers: its JSON as findings.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::coverage::{UNKNOWN_SYSTEM, check_crates, check_packages, unchecked_history, unsupported_system};
use super::{NAME, Options, TESTED, ignores};
use crate::finding::{Finding, FindingKind, HEALTH, vex_reason};
use crate::image::inventory::Inventory;
use cli_support::error::Fault;
use rust_workspace::severity::Severity;

/// The place of findings about the image's config.
const CONFIG: &str = "config";
/// The place of findings about the image's history.
pub(super) const HISTORY: &str = "history";
/// Trivy's class of results about packages of the operating system.
pub(super) const OS_PACKAGES: &str = "os-pkgs";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TrivyReport {
    schema_version: u32,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) results: Vec<Outcome>,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(rename = "ImageID", default)]
    image_id: String,
    #[serde(rename = "OS", default)]
    pub(super) system: Option<System>,
}

/// The distribution.
#[derive(Deserialize)]
pub(super) struct System {
    #[serde(rename = "Family", default)]
    pub(super) family: String,
    #[serde(rename = "Name", default)]
    pub(super) version: String,
    #[serde(rename = "EOSL", default)]
    pub(super) ended: bool,
}

impl System {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.family, self.version).trim().to_owned()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Outcome {
    #[serde(default)]
    pub(super) target: String,
    #[serde(default)]
    pub(super) class: String,
    #[serde(default)]
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) packages: Vec<TrivyPackage>,
    #[serde(default)]
    vulnerabilities: Vec<Vulnerability>,
    #[serde(default)]
    misconfigurations: Vec<Misconfiguration>,
    #[serde(default)]
    secrets: Vec<SecretFound>,
    #[serde(rename = "ExperimentalModifiedFindings", default)]
    suppressed: Vec<Suppressed>,
}

/// A finding that a VEX statement excepts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suppressed {
    r#type: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    statement: String,
    #[serde(default)]
    source: String,
    finding: serde_json::Value,
}

impl Suppressed {
    fn reason(&self) -> String {
        vex_reason(&self.status, &self.statement, Options::vex_name(&self.source))
    }

    /// The finding, where it is of this kind, and the reason.
    fn of<'de, T: Deserialize<'de>>(&'de self, kind: &str) -> Option<(T, Option<String>)> {
        let found = (self.r#type == kind).then(|| T::deserialize(&self.finding).ok()).flatten();
        found.map(|found| (found, Some(self.reason())))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TrivyPackage {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
}

#[derive(Clone, Deserialize)]
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

#[derive(Clone, Deserialize)]
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

#[derive(Clone, Deserialize)]
struct SecretFound {
    #[serde(rename = "RuleID")]
    id: String,
    #[serde(rename = "Title", default)]
    title: String,
    #[serde(rename = "Severity", default)]
    severity: String,
}

/// Trivy's answer about the image of one platform.
#[derive(Debug)]
pub struct Answer {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Crates in Rust programs.
    pub crates: usize,
    /// Packages of the operating system.
    pub packages: usize,
}

/// Parses the answer about an image, and compares the crates and packages that Trivy saw with those in the image.
///
/// # Errors
/// The answer is about another image, in another format, or lacks a crate or package.
pub fn read(json: &[u8], inventory: &Inventory) -> Result<Answer> {
    let image = &inventory.image;
    let platform = image.platform.to_string();
    let report = parse(json)?;
    if report.metadata.image_id != image.config_digest.to_string() {
        let (found, expected) = (&report.metadata.image_id, image.config_digest);
        let what = format!("Trivy scanned another image: its config is {found}, not {expected}");
        return Err(Fault::gate(what).at(platform).into());
    }
    let crates = check_crates(&report, inventory, &platform)?;
    let mut findings = findings(&report, Some(&platform));
    // Trivy looks for a health check in the history. The config decides.
    findings.retain(|finding| !(image.has_health_check() && is_health(finding)));
    for finding in findings.iter_mut().filter(|finding| is_health(finding)) {
        finding.aliases.insert(HEALTH.to_owned());
        "Healthcheck".clone_into(&mut finding.subject);
        finding.place.clear();
    }
    findings.extend(ignores::in_config(image));
    findings.extend(unchecked_history(&report, inventory, &platform));
    let system = unsupported_system(&report, inventory, &platform);
    let supported = system.as_ref().is_none_or(|finding| finding.id != UNKNOWN_SYSTEM);
    findings.extend(system);
    if supported {
        check_packages(&report, inventory, &platform)?;
    }
    add_paths(&mut findings, inventory);
    let packages = report.results.iter().filter(|outcome| outcome.class == OS_PACKAGES);
    let packages = packages.map(|outcome| outcome.packages.len()).sum();
    Ok(Answer { findings, crates, packages })
}

/// Adds the dependency path to each vulnerability of a crate.
fn add_paths(findings: &mut [Finding], inventory: &Inventory) {
    let mut crates = BTreeMap::new();
    for (program, audit) in inventory.audited() {
        let paths = Rc::new(audit.paths());
        for (at, package) in audit.packages.iter().enumerate() {
            let key = (program.path.clone(), package.name.clone(), package.version.to_string());
            crates.entry(key).or_insert_with(|| (Rc::clone(&paths), at));
        }
    }
    for finding in findings.iter_mut().filter(|finding| finding.kind == FindingKind::Vulnerability) {
        let key = (finding.place.clone(), finding.subject.clone(), finding.version.clone());
        finding.path = crates.get(&key).map(|(paths, at)| paths.to(*at)).unwrap_or_default();
    }
}

/// Whether a finding is Trivy's about a missing health check of the image.
fn is_health(finding: &Finding) -> bool {
    finding.kind == FindingKind::Config
        && finding.place == CONFIG
        && ["DS-0026", "DS026", "AVD-DS-0026"].contains(&finding.id.as_str())
}

pub(super) fn parse(json: &[u8]) -> Result<TrivyReport> {
    let invalid =
        || Fault::gate("cannot parse Trivy's answer").hint(format!("use Trivy {TESTED}, the tested version"));
    let report: TrivyReport = serde_json::from_slice(json).with_context(invalid)?;
    if report.schema_version != 2 {
        let what = format!("Trivy's answer has schema {}, not 2", report.schema_version);
        return Err(Fault::gate(what).hint(format!("use Trivy {TESTED}, the tested version")).into());
    }
    Ok(report)
}

fn severity(text: &str) -> Severity {
    text.parse().unwrap_or(Severity::Unknown)
}

pub(super) fn findings(report: &TrivyReport, platform: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for outcome in &report.results {
        // Trivy's target for the image's config is the layout's path on this machine.
        let place = match outcome.target.as_str() {
            _ if outcome.class == OS_PACKAGES => {
                report.metadata.system.as_ref().map(System::name).unwrap_or_default()
            }
            target if target.contains("@sha256:") => CONFIG.to_owned(),
            target if platform.is_some() && !target.starts_with('/') => format!("/{target}"),
            target => target.to_owned(),
        };
        let mut push = |finding: Finding| {
            let platforms = platform.map(str::to_owned).into_iter().collect();
            findings.push(Finding { place: place.clone(), platforms, ..finding });
        };
        for (found, ignored) in with_excepted(&outcome.vulnerabilities, outcome, "vulnerability") {
            // An id of a distribution is about several vulnerabilities, so it is no alias of one.
            let one =
                |id: &&String| ["CVE-", "GHSA-", "RUSTSEC-"].iter().any(|prefix| id.starts_with(prefix));
            push(Finding {
                aliases: found.vendor_ids.iter().filter(one).cloned().collect(),
                subject: found.package.clone(),
                version: found.installed.clone(),
                fixed: found.fixed.clone(),
                link: found.link.clone(),
                ignored,
                ..Finding::new(FindingKind::Vulnerability, &found.id, severity(&found.severity), NAME)
            });
        }
        let misconfigurations = with_excepted(&outcome.misconfigurations, outcome, "misconfiguration");
        for (found, ignored) in misconfigurations.into_iter().filter(|(found, _)| found.status == "FAIL") {
            push(Finding {
                ignored,
                subject: place.clone(),
                note: found.title.clone(),
                link: found.link.clone(),
                ..Finding::new(FindingKind::Config, &found.id, severity(&found.severity), NAME)
            });
        }
        for (found, ignored) in with_excepted(&outcome.secrets, outcome, "secret") {
            push(Finding {
                ignored,
                subject: place.clone(),
                note: found.title.clone(),
                ..Finding::new(FindingKind::Secret, &found.id, severity(&found.severity), NAME)
            });
        }
    }
    findings
}

/// The findings of a kind, and those that a VEX statement excepts, with the reason.
fn with_excepted<T: Clone + for<'de> Deserialize<'de>>(
    open: &[T],
    outcome: &Outcome,
    kind: &str,
) -> Vec<(T, Option<String>)> {
    let open = open.iter().map(|found| (found.clone(), None));
    open.chain(outcome.suppressed.iter().filter_map(|one| one.of(kind))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn findings_are_parsed() {
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
}
