//! Trivy's answers: its JSON as findings, and whether it saw what there is to see.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::coverage::{UNKNOWN_SYSTEM, check_packages, system};
use super::{NAME, Options, TESTED, ignore_comments};
use crate::checks;
use crate::finding::{Finding, FindingKind};
use crate::inventory::Inventory;
use crate::unlisted::Overlooked;
use crate::vex;
use cli_support::error::Fault;
use rust_workspace::severity::Severity;

/// The place of what is wrong with an image's own settings.
const CONFIG: &str = "config";
/// The class of what the operating system's own packages are.
pub(super) const SYSTEM: &str = "os-pkgs";

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

/// The distribution, as Trivy sees it.
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

/// What was found and left out by a list or a statement.
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
    fn why(&self) -> String {
        vex::ignored(&self.status, &self.statement, Options::vex_name(&self.source))
    }

    /// What it is about, where it is of this kind.
    fn of<'de, T: Deserialize<'de>>(&'de self, kind: &str) -> Option<(T, Option<String>)> {
        let found = (self.r#type == kind).then(|| T::deserialize(&self.finding).ok()).flatten();
        found.map(|found| (found, Some(self.why())))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TrivyPackage {
    pub(super) name: String,
    #[serde(default)]
    version: String,
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

/// What Trivy found, and how many crates it saw.
#[derive(Debug)]
pub struct Answer {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Crates in Rust programs.
    pub crates: usize,
    /// Packages of the operating system.
    pub packages: usize,
}

impl Answer {
    /// That nothing of the image was seen by anybody: it has no list of crates, and Trivy knows no package of
    /// its operating system. What is overlooked does not count as seen.
    pub fn nothing_seen(&self, inventory: &Inventory, overlooked: &[Overlooked]) -> Option<Fault> {
        let listed = inventory.audited().next().is_some();
        let unread = inventory.packages.is_empty() || !overlooked.is_empty();
        let blind = !listed && self.packages == 0 && unread && !inventory.is_bare();
        let what = "no program in it has a list of crates, and Trivy knows no package in it: nothing of the image was seen";
        blind.then(|| {
            let hint = "what is overlooked ([[scan.unlisted]], [[scan.ignore]]) proves nothing; take a base that Trivy knows";
            Fault::gate(what).at(&inventory.image.platform).hint(hint)
        })
    }
}

/// Reads the answer about an image, and holds what Trivy saw against what is there. What comments in its files
/// hide is told too.
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
            .hint("trivy image --list-all-pkgs shows what it looks at")
            .into());
    }
    let mut findings = findings(&report, Some(&platform));
    // Trivy takes the image's history for its Dockerfile, in which a check that only the config has is
    // missing. The builtin rule looks at the config.
    let checked = checks::has_health_check(&inventory.image.config);
    findings.retain(|finding| !(checked && is_health(finding)));
    for finding in findings.iter_mut().filter(|finding| is_health(finding)) {
        finding.aliases.insert(checks::HEALTH.to_owned());
        "Healthcheck".clone_into(&mut finding.subject);
        finding.place.clear();
    }
    findings.extend(ignore_comments::in_image(inventory));
    let blind = system(&report, inventory, &platform);
    let known = blind.as_ref().is_none_or(|finding| finding.id != UNKNOWN_SYSTEM);
    findings.extend(blind);
    if known {
        check_packages(&report, inventory, &platform)?;
    }
    let mut places = BTreeMap::new();
    for (program, audit) in inventory.audited() {
        let paths = Rc::new(audit.paths());
        for (at, package) in audit.packages.iter().enumerate() {
            let key = (program.path.clone(), package.name.clone(), package.version.to_string());
            places.entry(key).or_insert_with(|| (Rc::clone(&paths), at));
        }
    }
    for finding in findings.iter_mut().filter(|finding| finding.kind == FindingKind::Vulnerability) {
        let key = (finding.place.clone(), finding.subject.clone(), finding.version.clone());
        finding.path = places.get(&key).map(|(paths, at)| paths.to(*at)).unwrap_or_default();
    }
    let packages = report.results.iter().filter(|outcome| outcome.class == SYSTEM);
    let packages = packages.map(|outcome| outcome.packages.len()).sum();
    Ok(Answer { crates: seen.len(), packages, findings })
}

/// Whether it is Trivy's rule about a missing health check, and about the image's own config.
fn is_health(finding: &Finding) -> bool {
    finding.kind == FindingKind::Config
        && finding.place == CONFIG
        && ["DS-0026", "DS026", "AVD-DS-0026"].contains(&finding.id.as_str())
}

pub(super) fn parse(json: &[u8]) -> Result<TrivyReport> {
    let odd =
        || Fault::gate("Trivy's answer is not understood").hint(format!("the tested version is {TESTED}"));
    let report: TrivyReport = serde_json::from_slice(json).with_context(odd)?;
    if report.schema_version != 2 {
        return Err(Fault::gate(format!("Trivy answers in schema {}, not 2", report.schema_version)).into());
    }
    Ok(report)
}

fn severity(text: &str) -> Severity {
    text.parse().unwrap_or(Severity::Unknown)
}

pub(super) fn findings(report: &TrivyReport, platform: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for outcome in &report.results {
        // An image's own settings go by a path of this machine otherwise.
        let place = match outcome.target.as_str() {
            _ if outcome.class == SYSTEM => {
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
        for (found, ignored) in all(&outcome.vulnerabilities, outcome, "vulnerability") {
            // Advisories of distributions are about many vulnerabilities at once, and no other name of one.
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
        let misconfigurations = all(&outcome.misconfigurations, outcome, "misconfiguration");
        for (found, ignored) in misconfigurations.into_iter().filter(|(found, _)| found.status == "FAIL") {
            push(Finding {
                ignored,
                subject: place.clone(),
                note: found.title.clone(),
                link: found.link.clone(),
                ..Finding::new(FindingKind::Config, &found.id, severity(&found.severity), NAME)
            });
        }
        for (found, ignored) in all(&outcome.secrets, outcome, "secret") {
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

/// What counts of a kind, and what a list or a statement leaves out, with the reason.
fn all<T: Clone + for<'de> Deserialize<'de>>(
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
}
