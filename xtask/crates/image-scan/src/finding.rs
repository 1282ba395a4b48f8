//! What scanners find, in one form, and which of it is the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use rust_workspace::severity::Severity;

/// The name of the engine that is always there.
pub const BUILTIN: &str = "builtin";

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// A known weakness of a version.
    Vulnerability,
    /// Credentials in a layer or in the config.
    Secret,
    /// How the image is set up.
    Config,
    /// A licence that is not on the list.
    Licence,
    /// Unmaintained, unsound, a notice: a warning.
    Notice,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// Its name, `RUSTSEC-2024-0003` for one.
    pub id: String,
    /// The other names of the same thing.
    pub aliases: BTreeSet<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a crate, a package, a path, a setting.
    pub subject: String,
    /// The version that is there, where the subject has versions.
    pub version: String,
    /// The versions that mend it.
    pub fixed: String,
    /// How the subject came in: from the binary's own crate to it.
    pub path: Vec<String>,
    /// The file in the image.
    pub place: String,
    /// A few words of our own.
    pub note: String,
    /// Where it is explained.
    pub link: String,
    /// The platforms it is on.
    pub platforms: BTreeSet<String>,
    /// The engines that found it.
    pub found_by: BTreeSet<&'static str>,
    /// Why it does not count, where the settings say so.
    pub ignored: Option<String>,
}

impl Finding {
    /// A finding with nothing in it but what every one has.
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

    /// Whether it goes by this name.
    pub fn is_called(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }

    fn same(&self, other: &Self) -> bool {
        let named = self.is_called(&other.id) || other.aliases.iter().any(|alias| self.is_called(alias));
        let place = self.version == other.version && self.subject == other.subject;
        // A package's weakness is the same in whatever file; a secret is not.
        let file = matches!(self.kind, FindingKind::Vulnerability | FindingKind::Notice)
            || self.place == other.place;
        named && place && file
    }

    fn absorb(&mut self, other: Self) {
        // RustSec's id leads: its page is the one that speaks of crates.
        if other.id.starts_with("RUSTSEC-") && !self.id.starts_with("RUSTSEC-") {
            self.aliases.insert(std::mem::replace(&mut self.id, other.id));
            self.link = other.link.clone();
        } else if other.id != self.id {
            self.aliases.insert(other.id);
        }
        self.aliases.extend(other.aliases);
        self.aliases.remove(&self.id);
        // What one engine only notes and another counts as a vulnerability is one.
        self.kind = self.kind.min(other.kind);
        self.severity = self.severity.known_or_worse(other.severity);
        // What one engine leaves out by a rule of its own, another still found.
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

/// All findings, each once, the worst first. CVE, GHSA and RUSTSEC names of one thing are one finding,
/// also where only a third finding connects two.
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
    fn names_of_one_thing_are_one_finding() {
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
    fn a_long_list_is_merged_at_once() {
        let started = std::time::Instant::now();
        let many = (0..20_000).map(|number| {
            let mut finding = finding("RUSTSEC-1", &["CVE-1"], "builtin", Severity::High);
            finding.version = format!("0.{}.0", number % 10_000);
            finding
        });
        assert_eq!(merge(many).len(), 10_000);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}
