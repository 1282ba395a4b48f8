//! The gate: which findings fail, and which are excepted.

use crate::finding::{Finding, FindingKind};
use cli_support::error::Fault;
use cli_support::time::Date;
use rust_workspace::settings::{Exception, Ignore, Scan, Unrated, file};
use rust_workspace::severity::Severity;

/// Rules of the gate.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The severities that fail.
    pub severity: Vec<Severity>,
    /// Whether vulnerabilities without a rating fail.
    pub unknown: Unrated,
    /// The exceptions.
    pub ignore: Vec<Ignore>,
}

impl Rules {
    /// Marks excepted findings. Gives a fault for each expired entry, whether or not a finding needs it, and a note for
    /// each entry without a finding.
    pub fn apply_exceptions(&self, findings: &mut [Finding], today: Date) -> (Vec<Fault>, Vec<String>) {
        let (mut faults, mut notes) = (Vec::new(), Vec::new());
        for entry in &self.ignore {
            let Exception { reason, expires, place, .. } = &entry.exception;
            if *expires < today {
                let what = format!("the exception for {} expired on {expires}: {reason}", entry.id);
                let hint = "fix the finding, or set a later day; without a finding, remove the entry";
                faults.push(Fault::gate(what).at(place).hint(hint));
                continue;
            }
            let mut used = false;
            let matches = |finding: &Finding| {
                finding.is_called(&entry.id)
                    && entry.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
            };
            for finding in findings.iter_mut().filter(|finding| matches(finding)) {
                finding.ignored = Some(entry.exception.to_string());
                used = true;
            }
            if !used {
                notes.push(format!("{place}: no finding has the id {}; remove the entry", entry.id));
            }
        }
        (faults, notes)
    }

    /// Whether a finding fails the gate.
    pub fn fails(&self, finding: &Finding) -> bool {
        let rated = || match finding.severity {
            Severity::Unknown => self.unknown == Unrated::Fail || self.severity.contains(&Severity::Unknown),
            severity => self.severity.contains(&severity),
        };
        let counts = match finding.kind {
            FindingKind::Notice => false,
            FindingKind::Licence => true,
            FindingKind::Vulnerability | FindingKind::Secret | FindingKind::Config => rated(),
        };
        counts && finding.ignored.is_none()
    }

    /// A fault where a finding fails.
    pub fn verdict(&self, findings: &[Finding]) -> Option<Fault> {
        let failing: Vec<_> = findings.iter().filter(|finding| self.fails(finding)).collect();
        if failing.is_empty() {
            return None;
        }
        let mut counts = Vec::new();
        for severity in Severity::ALL.into_iter().rev() {
            let count = failing.iter().filter(|finding| finding.severity == severity).count();
            if count > 0 {
                counts.push(format!("{count} {severity}"));
            }
        }
        let names: Vec<_> =
            failing.iter().take(5).map(|finding| format!("{} in {}", finding.id, finding.subject)).collect();
        let more = if failing.len() > names.len() { ", …" } else { "" };
        let what =
            format!("the image has failing findings: {} ({}{more})", counts.join(", "), names.join(", "));
        Some(Fault::gate(what).hint(format!(
            "update to a fixed version (cargo update -p CRATE), or except a finding for a time: [[scan.ignore]] in {} with id, reason and expires",
            file()
        )))
    }
}

/// Whether a scan must include Trivy: `require-trivy`; where unset, in CI for an image with a base image, which has packages
/// that the builtin engine does not look up.
pub fn needs_trivy(settings: &Scan, base: &str) -> bool {
    settings.require_trivy.unwrap_or_else(|| in_ci() && base != "scratch")
}

/// Whether this run is in CI. All CI services set `CI=true`.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: FindingKind, severity: Severity) -> Finding {
        let mut finding = Finding::new(kind, "RUSTSEC-1", severity, "builtin");
        finding.aliases.insert("CVE-1".to_owned());
        finding
    }

    fn rules(unknown: Unrated, ignore: &[(&str, &str)]) -> Rules {
        let ignore = ignore.iter().map(|(id, expires)| Ignore {
            id: (*id).to_owned(),
            subject: None,
            exception: Exception::new("why", expires.parse().unwrap()),
        });
        Rules { severity: vec![Severity::Critical, Severity::High], unknown, ignore: ignore.collect() }
    }

    #[test]
    fn failing_findings() {
        use Severity::{Critical, High, Info, Medium, Unknown};
        let strict = rules(Unrated::Fail, &[]);
        for (kind, severity, expected) in [
            (FindingKind::Vulnerability, Critical, true),
            (FindingKind::Vulnerability, High, true),
            (FindingKind::Vulnerability, Medium, false),
            (FindingKind::Vulnerability, Unknown, true),
            (FindingKind::Notice, Info, false),
            (FindingKind::Notice, Critical, false),
            (FindingKind::Licence, Info, true),
            (FindingKind::Secret, Critical, true),
        ] {
            assert_eq!(strict.fails(&finding(kind, severity)), expected, "{kind:?} {severity}");
        }
        assert!(!rules(Unrated::Warn, &[]).fails(&finding(FindingKind::Vulnerability, Unknown)));
    }

    #[test]
    fn exceptions_apply_until_they_expire() {
        let today = "2026-01-10".parse().unwrap();
        let except = |entry| {
            let rules = rules(Unrated::Fail, &[entry]);
            let mut findings = vec![finding(FindingKind::Vulnerability, Severity::Critical)];
            let (faults, notes) = rules.apply_exceptions(&mut findings, today);
            (rules.verdict(&findings).is_none(), faults.len(), notes.len())
        };
        assert_eq!(except(("cve-1", "2026-01-10")), (true, 0, 0));
        assert_eq!(except(("CVE-1", "2026-01-09")), (false, 1, 0));
        assert_eq!(except(("CVE-2", "2026-01-10")), (false, 0, 1));
        for (subject, passes) in [("/bin/su", true), ("/bin/sh", false)] {
            let mut rules = rules(Unrated::Fail, &[("CVE-1", "2026-01-10")]);
            rules.ignore[0].subject = Some(subject.to_owned());
            let mut findings = vec![finding(FindingKind::Config, Severity::High)];
            findings[0].subject = "/bin/su".to_owned();
            rules.apply_exceptions(&mut findings, today);
            assert_eq!(rules.verdict(&findings).is_none(), passes, "{subject}");
        }
    }
}
