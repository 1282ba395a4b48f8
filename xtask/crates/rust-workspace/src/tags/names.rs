//! Classifies names as versions, moving tags or commits, by the rules of the settings.

use semver::Version;

use super::motion::{Motion, latest, stem};
use super::rule::{RefKind, Rule, RuleKind};
use super::template::{fill, sanitise};
use crate::version::version_of;
use cli_support::error::Fault;

/// The patterns of moving tags that exist without a rule.
const MOVING_PATTERNS: [&str; 2] = ["{{major}}.{{minor}}", "{{major}}"];

/// The most digits of a number in a moving tag. A longer number is a date or a commit.
const MAX_DIGITS: usize = 5;

/// The names that the rules reserve for releases and for commits.
#[derive(Clone, Debug)]
pub struct Names {
    /// Prefixes and suffixes of versions, the longest first; the empty ones are last.
    families: Vec<Family>,
    /// Prefixes and suffixes of commits.
    commits: Vec<(String, String)>,
    /// Prefix and suffix of the versions that `latest` stands for.
    latest: (String, String),
}

#[derive(Clone, Debug, Default)]
struct Family {
    prefix: String,
    suffix: String,
    patterns: Vec<String>,
}

/// The classification of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether and how it may move.
    pub motion: Motion,
    /// Its version.
    pub version: Option<Version>,
    /// The same version with or without `v`.
    pub twin: Option<String>,
    /// The form of tag, for a version.
    pub form: Option<Form>,
}

/// Prefix (without `v`) and suffix of versions. Versions of one form are compared with each other.
pub type Form = (String, String);

impl Names {
    /// The names that are reserved without any rule.
    pub fn plain() -> Self {
        let families = vec![Family::default()];
        Self { families, commits: Vec::new(), latest: Default::default() }
    }

    /// The names of these rules; `fill` fills in prefixes and suffixes, and its error is returned.
    pub fn of(rules: &[Rule], fill: impl Fn(&str) -> Result<String, Fault>) -> Result<Self, Fault> {
        let mut names = Self::plain();
        let mut sorted: Vec<_> = rules.iter().collect();
        sorted.sort_by_key(|rule| std::cmp::Reverse(rule.priority()));
        let mut latest = None;
        for rule in sorted {
            let (prefix, suffix) = (fill(rule.prefix())?, fill(rule.suffix())?);
            match &rule.kind {
                RuleKind::Semver(pattern) => {
                    let (prefix, pattern, suffix) = fold(&prefix, pattern, &suffix);
                    latest.get_or_insert((prefix.clone(), suffix.clone()));
                    names.add(prefix, suffix, Some(pattern));
                }
                RuleKind::Ref(RefKind::Tag) => names.add(sanitise(&prefix), sanitise(&suffix), None),
                RuleKind::Sha { .. } => names.commits.push((sanitise(&prefix), sanitise(&suffix))),
                _ => {}
            }
        }
        names.latest = latest.unwrap_or_default();
        names.families.sort_by_key(|family| std::cmp::Reverse(family.prefix.len() + family.suffix.len()));
        Ok(names)
    }

    /// The names of the rules with the same prefix and suffix in every run.
    pub fn of_every_run(rules: &[Rule]) -> Self {
        let known = |text: &str| fill(text, |_| None);
        let is_known = |rule: &&Rule| known(rule.prefix()).is_ok() && known(rule.suffix()).is_ok();
        let rules: Vec<_> = rules.iter().filter(is_known).cloned().collect();
        Self::of(&rules, known).unwrap_or_else(|_| Self::plain())
    }

    fn add(&mut self, prefix: String, suffix: String, pattern: Option<String>) {
        let same = |family: &&mut Family| family.prefix == prefix && family.suffix == suffix;
        match self.families.iter_mut().find(same) {
            Some(family) => family.patterns.extend(pattern),
            None => self.families.push(Family { prefix, suffix, patterns: pattern.into_iter().collect() }),
        }
    }

    /// Classifies a name.
    pub fn judge(&self, name: &str) -> Judged {
        if let Some(judged) = self.families.iter().find_map(|family| family.version(name)) {
            return judged;
        }
        let moving = self.families.iter().find_map(|family| family.moving(family.core(name)?));
        let motion = moving.unwrap_or_else(|| {
            if name == "latest" {
                let (prefix, suffix) = &self.latest;
                latest(prefix, suffix)
            } else if self.commits.iter().any(|(prefix, suffix)| is_commit(name, prefix, suffix)) {
                Motion::Once
            } else {
                Motion::Free
            }
        });
        Judged { motion, version: None, twin: None, form: None }
    }
}

impl Family {
    fn core<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())
    }

    /// The version in a name of this family, with or without `v`.
    fn version(&self, name: &str) -> Option<Judged> {
        let Self { prefix, suffix, .. } = self;
        let bare = stem(prefix);
        let around = |prefix: &str, core: &str| format!("{prefix}{core}{suffix}");
        let exact = self.core(name).and_then(|core| Some((core, version_of(core)?)));
        let other = || {
            let core = name.strip_prefix(bare)?.strip_suffix(suffix.as_str())?;
            Some((version_of(core)?, around(prefix, core)))
        };
        let (version, twin) = match exact.map(|(core, version)| (core, core.strip_prefix('v'), version)) {
            None => other()?,
            Some((_, Some(rest), version)) => (version, around(prefix, rest)),
            Some((core, None, version)) if bare == prefix => (version, around(prefix, &format!("v{core}"))),
            Some((core, None, version)) => (version, around(bare, core)),
        };
        let form = Some((bare.to_owned(), suffix.clone()));
        Some(Judged { motion: Motion::Fixed, version: Some(version), twin: Some(twin), form })
    }

    /// The motion of a name that is one of this family's moving tags.
    fn moving(&self, core: &str) -> Option<Motion> {
        let (v, bare) = core.strip_prefix('v').map_or(("", core), |bare| ("v", bare));
        let patterns = self.patterns.iter().map(String::as_str).chain(MOVING_PATTERNS);
        let found = [("", core), (v, bare)].into_iter().find_map(|(v, text)| {
            patterns.clone().find(|pattern| fits(pattern, text)).map(|pattern| (v, pattern))
        });
        found.map(|(v, pattern)| Motion::Forward {
            pattern: pattern.to_owned(),
            prefix: format!("{}{v}", self.prefix),
            suffix: self.suffix.clone(),
        })
    }
}

/// Moves the text at the ends of a pattern to prefix and suffix, converted to valid characters.
pub(super) fn fold(prefix: &str, pattern: &str, suffix: &str) -> (String, String, String) {
    let (before, core, behind) = match (pattern.find("{{"), pattern.rfind("}}")) {
        (Some(start), Some(end)) if start < end => {
            (&pattern[..start], &pattern[start..end + 2], &pattern[end + 2..])
        }
        _ => ("", pattern, ""),
    };
    (sanitise(&format!("{prefix}{before}")), core.to_owned(), sanitise(&format!("{behind}{suffix}")))
}

/// Whether a pattern of a moving tag gives this text for some version.
fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    loop {
        let Some((before, after)) = pattern.split_once("{{") else { return pattern == text };
        let Some((name, after)) = after.split_once("}}") else { return false };
        let Some(rest) = text.strip_prefix(before) else { return false };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let zero = digits > 1 && rest.starts_with('0');
        if !["major", "minor", "patch"].contains(&name.trim()) || !(1..=MAX_DIGITS).contains(&digits) || zero
        {
            return false;
        }
        (pattern, text) = (after, &rest[digits..]);
    }
}

fn is_commit(name: &str, prefix: &str, suffix: &str) -> bool {
    let core = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
    core.is_some_and(|core| {
        [7, 40].contains(&core.len()) && core.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: RuleKind, prefix: &str, suffix: &str) -> Rule {
        Rule { prefix: Some(prefix.into()), suffix: Some(suffix.into()), ..Rule::of(kind) }
    }

    fn names() -> Names {
        let semver = |pattern: &str| RuleKind::Semver(pattern.to_owned());
        let rules = [
            rule(semver("{{version}}"), "app-", ""),
            rule(semver("{{major}}-{{minor}}"), "app-", ""),
            rule(semver("{{version}}"), "", "-slim"),
            rule(semver("release/v{{version}}"), "", ""),
            rule(semver("stable"), "", ""),
            rule(RuleKind::Ref(RefKind::Tag), "git-", ""),
            rule(RuleKind::Sha { long: false }, "sha-", ""),
        ];
        Names::of(&rules, |text| Ok(text.to_owned())).unwrap()
    }

    #[test]
    fn the_rules_classify_tag_names() {
        for (name, word, version, twin) in [
            ("app-0.1.0", "version", "0.1.0", "app-v0.1.0"),
            ("app-v0.1.0-rc.1", "version", "0.1.0-rc.1", "app-0.1.0-rc.1"),
            ("1.2.3-slim", "version", "1.2.3", "v1.2.3-slim"),
            ("release-v1.2.3", "version", "1.2.3", "release-1.2.3"),
            ("release-1.2.3", "version", "1.2.3", "release-v1.2.3"),
            ("git-v1.2.3", "version", "1.2.3", "git-1.2.3"),
            ("1.2.3", "version", "1.2.3", "v1.2.3"),
            ("app-1", "moving", "", ""),
            ("app-1-2", "moving", "", ""),
            ("app-v1.2", "moving", "", ""),
            ("1.0-slim", "moving", "", ""),
            ("stable", "moving", "", ""),
            ("latest", "moving", "", ""),
            ("sha-0123456", "commit", "", ""),
            ("sha-012345", "free", "", ""),
            ("1-2", "free", "", ""),
            ("app-main", "free", "", ""),
            ("20260101", "free", "", ""),
            ("other-0.1.0", "free", "", ""),
        ] {
            let judged = names().judge(name);
            assert_eq!(judged.motion.word(), word, "{name}");
            assert_eq!(judged.version.map(|version| version.to_string()).unwrap_or_default(), version);
            assert_eq!(judged.twin.unwrap_or_default(), twin, "{name}");
        }
    }

    #[test]
    fn names_that_depend_on_the_run_are_not_names_of_every_run() {
        let version = || RuleKind::Semver("{{version}}".to_owned());
        let rules = [
            rule(version(), "v", ""),
            rule(version(), "", "-slim"),
            rule(version(), "{{branch}}-", ""),
            rule(version(), "", "-{{date 'YYYY'}}"),
        ];
        let names = Names::of_every_run(&rules);
        for (name, form) in [
            ("v1.2.3", Some(("", ""))),
            ("1.2.3", Some(("", ""))),
            ("v1.2.3-slim", Some(("", "-slim"))),
            ("main-1.2.3", None),
            ("1.2.3-2026", Some(("", ""))),
            ("latest", None),
        ] {
            let form = form.map(|(prefix, suffix)| (prefix.to_owned(), suffix.to_owned()));
            assert_eq!(names.judge(name).form, form, "{name}");
        }
    }

    #[test]
    fn literal_ends_of_a_pattern_join_prefix_and_suffix() {
        for (given, expected) in [
            (("", "{{version}}", ""), ("", "{{version}}", "")),
            (("a/", "v{{major}}", "-x"), ("a-v", "{{major}}", "-x")),
            (("", "{{major}}.{{minor}}-s", "+y"), ("", "{{major}}.{{minor}}", "-s-y")),
            (("p", "stable", ""), ("p", "stable", "")),
        ] {
            let (prefix, core, suffix) = fold(given.0, given.1, given.2);
            assert_eq!((prefix.as_str(), core.as_str(), suffix.as_str()), expected);
        }
    }
}
