//! Findings of all engines in one form, and merging of equal ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use rust_workspace::severity::Severity;

/// The name of the builtin engine.
pub const BUILTIN: &str = "builtin";

/// The rule about a missing health check.
pub const HEALTH: &str = "XT-HEALTH";

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// A known vulnerability of a version.
    Vulnerability,
    /// Credentials in a layer or in the config.
    Secret,
    /// A setting of the image, or a file's mode.
    Config,
    /// A licence that is not allowed.
    Licence,
    /// A warning: unmaintained, unsound, yanked.
    Notice,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// The id, such as `RUSTSEC-2024-0003`.
    pub id: String,
    /// Other ids of the same finding.
    pub aliases: BTreeSet<String>,
    /// The severity.
    pub severity: Severity,
    /// The crate, package, path or setting.
    pub subject: String,
    /// The subject's version; empty where it has none.
    pub version: String,
    /// The fixed versions.
    pub fixed: String,
    /// The dependency path from the program's own crate to the subject.
    pub path: Vec<String>,
    /// The file in the image.
    pub place: String,
    /// A short explanation.
    pub note: String,
    /// A link to a description.
    pub link: String,
    /// The platforms.
    pub platforms: BTreeSet<String>,
    /// The engines that found it.
    pub found_by: BTreeSet<&'static str>,
    /// Why it does not fail: the reason of an exception.
    pub ignored: Option<String>,
}

impl Finding {
    /// A finding with the fields that every finding has.
    pub fn new(kind: FindingKind, id: impl Into<String>, severity: Severity, engine: &'static str) -> Self {
        Self {
            kind,
            id: id.into(),
            aliases: BTreeSet::new(),
            severity,
            subject: String::new(),
            version: String::new(),
            fixed: String::new(),
            path: Vec::new(),
            place: String::new(),
            note: String::new(),
            link: String::new(),
            platforms: BTreeSet::new(),
            found_by: BTreeSet::from([engine]),
            ignored: None,
        }
    }

    /// The finding on this platform.
    #[must_use]
    pub fn on(mut self, platform: &str) -> Self {
        self.platforms.insert(platform.to_owned());
        self
    }

    /// Whether it has this id or alias.
    pub fn is_called(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }

    fn same(&self, other: &Self) -> bool {
        let named = self.is_called(&other.id) || other.aliases.iter().any(|alias| self.is_called(alias));
        let place = self.version == other.version && self.subject == other.subject;
        // A vulnerability of a package is one finding in all files. A secret is one for each file.
        let file = matches!(self.kind, FindingKind::Vulnerability | FindingKind::Notice)
            || self.place == other.place;
        named && place && file
    }

    fn absorb(&mut self, other: Self) {
        // RustSec's id is preferred, because its page is about the crate.
        if other.id.starts_with("RUSTSEC-") && !self.id.starts_with("RUSTSEC-") {
            self.aliases.insert(std::mem::replace(&mut self.id, other.id));
            self.link = other.link.clone();
        } else if other.id != self.id {
            self.aliases.insert(other.id);
        }
        self.aliases.extend(other.aliases);
        self.aliases.remove(&self.id);
        // A notice of one engine and a vulnerability of another are a vulnerability.
        self.kind = self.kind.min(other.kind);
        self.severity = self.severity.known_or_worse(other.severity);
        // Excepted only if all engines except it.
        self.ignored = self.ignored.take().filter(|_| other.ignored.is_some());
        self.platforms.extend(other.platforms);
        self.found_by.extend(other.found_by);
        let fill = |own: &mut String, other: String| {
            if own.is_empty() {
                *own = other;
            }
        };
        fill(&mut self.fixed, other.fixed);
        fill(&mut self.link, other.link);
        fill(&mut self.note, other.note);
        fill(&mut self.place, other.place);
        if self.path.is_empty() {
            self.path = other.path;
        }
    }
}

/// Merges findings with a common id (CVE, GHSA, RUSTSEC), also if only a third finding has the ids of both. Sorts
/// them, worst first.
pub fn merge(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    // Only findings about one version of one subject can be the same.
    let mut groups: BTreeMap<(String, String), Vec<Finding>> = BTreeMap::new();
    for mut finding in findings {
        let group = groups.entry((finding.subject.clone(), finding.version.clone())).or_default();
        while let Some(at) = group.iter().position(|known| known.same(&finding)) {
            let mut known = group.remove(at);
            known.absorb(finding);
            finding = known;
        }
        group.push(finding);
    }
    let mut merged: Vec<_> = groups.into_values().flatten().collect();
    merged.sort_by(|a, b| {
        let key = |f: &Finding| {
            (f.kind == FindingKind::Notice, std::cmp::Reverse(f.severity), f.kind, f.subject.clone())
        };
        key(a).cmp(&key(b)).then_with(|| (&a.id, &a.version, &a.place).cmp(&(&b.id, &b.version, &b.place)))
    });
    merged
}

/// The reason of an exception by a VEX statement.
pub fn vex_reason(status: &str, justification: &str, source: &str) -> String {
    let comma = if justification.is_empty() { "" } else { ", " };
    format!("VEX: {status}{comma}{justification} ({source})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str, aliases: &[&str], engine: &'static str, severity: Severity) -> Finding {
        let mut finding = Finding::new(FindingKind::Vulnerability, id, severity, engine);
        finding.aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        finding.subject = "h2".to_owned();
        finding.version = "0.3.0".to_owned();
        finding
    }

    #[test]
    fn findings_with_a_common_id_are_merged() {
        let found = merge([
            finding("GHSA-a", &[], "trivy", Severity::Medium),
            finding("CVE-1", &[], "trivy", Severity::High),
            finding("RUSTSEC-1", &["CVE-1", "GHSA-a"], "builtin", Severity::Unknown),
            finding("RUSTSEC-2", &[], "builtin", Severity::Low),
        ]);
        assert_eq!(found.len(), 2, "{found:#?}");
        let one = &found[0];
        assert_eq!((one.id.as_str(), one.severity), ("RUSTSEC-1", Severity::High));
        assert_eq!(one.found_by, BTreeSet::from(["builtin", "trivy"]));
        assert_eq!(one.aliases, ["CVE-1", "GHSA-a"].map(str::to_owned).into());
        let mut other = finding("RUSTSEC-1", &[], "builtin", Severity::Low);
        other.version = "0.4.0".to_owned();
        assert_eq!(merge([one.clone(), other]).len(), 2, "another version is another finding");
    }

    #[test]
    fn many_findings_are_merged() {
        let many = (0..20_000).map(|number| {
            let mut finding = finding("RUSTSEC-1", &["CVE-1"], "builtin", Severity::High);
            finding.version = format!("0.{}.0", number % 10_000);
            finding
        });
        assert_eq!(merge(many).len(), 10_000);
    }
}
