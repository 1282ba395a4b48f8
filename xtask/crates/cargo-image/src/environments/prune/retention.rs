//! Which tags stay.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use oci_registry::Reference;
use rust_workspace::tags::Names;
use rust_workspace::version::is_dated;

/// The tags to keep.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The number of highest releases of each form of tag, and of pre-releases. Versions that are dates are counted
    /// separately.
    pub versions: usize,
    /// Tags that always stay: those of environments.
    pub tags: BTreeSet<String>,
    /// Prefixes of non-version tags that are deleted: `pr-`, `sha-`.
    pub drop: Vec<String>,
    /// Classifies tags.
    pub names: Names,
}

impl Retention {
    /// The tags to delete.
    pub fn leaving<'a>(&self, tags: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
        let mut lines: BTreeMap<_, BTreeMap<Version, Vec<&String>>> = BTreeMap::new();
        let mut leaving = BTreeSet::new();
        // An invalid tag is not a version of ours.
        for tag in tags.into_iter().filter(|tag| Reference::is_tag(tag)) {
            let judged = self.names.judge(tag);
            match judged.version {
                Some(version) => {
                    let kind = (judged.form, version.pre.is_empty(), is_dated(&version));
                    let line = lines.entry(kind).or_default();
                    line.entry(version).or_default().push(tag);
                }
                None if self.drop.iter().any(|start| tag.starts_with(start)) => {
                    leaving.insert(tag.clone());
                }
                None => {}
            }
        }
        for line in lines.into_values() {
            leaving.extend(line.into_values().rev().skip(self.versions).flatten().cloned());
        }
        leaving.retain(|tag| !self.tags.contains(tag));
        leaving
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_workspace::tags::{Rule, RuleKind};

    /// A rule for versions: a prefix, the pattern, a suffix.
    fn rule(text: &str) -> Rule {
        let [prefix, pattern, suffix] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let own = |text: &str| Some(text.to_owned());
        Rule { prefix: own(prefix), suffix: own(suffix), ..Rule::of(RuleKind::Semver(pattern.to_owned())) }
    }

    #[test]
    fn the_highest_versions_of_each_form_stay_and_so_does_what_an_environment_runs() {
        let plain = &[" {{version}} "][..];
        let slim = &[" {{version}} ", " {{version}} -slim", " {{major}} -slim"][..];
        for (what, rules, tags, expected) in [
            ("releases", plain, "1.0.0 1.1.0 1.10.0 1.9.0", "1.1.0"),
            (
                "before a release",
                plain,
                "2.0.0-rc.1 2.0.0-rc.2 2.0.0-rc.10 1.2.4-dev.4-g0123456",
                "1.2.4-dev.4-g0123456 2.0.0-rc.1",
            ),
            (
                "days among versions",
                plain,
                "1.0.1 1.1.0 1.2.0 2024.11.15 2024.11.16 2024.11.18",
                "1.0.1 2024.11.15",
            ),
            ("no versions", plain, "latest 1 1.2 main pr-1 sha-0123456 20240101 2024.01.01", "pr-1"),
            ("what is no tag", plain, "1.0.0 9.9.9+x 9.9.8+x 9.9.7+x pr-1+x", ""),
            ("two spellings of one version", plain, "v1.1.0 1.1.0 1.2.0 v1.3.0", "1.1.0 v1.1.0"),
            ("an environment's", plain, "1.0.0 live 1.1.0 1.2.0 1.3.0", "1.1.0"),
            ("a form of its own", slim, "1.1.0-slim 1.2.0-slim 1.3.0-slim 1.3.0", "1.1.0-slim"),
            ("and before its releases", slim, "1.3.0-rc.1-slim 1.2.0-slim 1.3.0-slim", ""),
            ("moving tags of that form", slim, "1-slim 2-slim 3-slim latest", ""),
            ("a form that nobody names", plain, "1.1.0-slim 1.2.0-slim 1.3.0-slim 1.3.0", "1.1.0-slim"),
            (
                "a form with a name before it",
                &["app- v{{version}} "],
                "app-v1.0.0 app-1.1.0 app-v1.2.0 1.0.0",
                "app-v1.0.0",
            ),
            ("somebody else's", plain, "app-1.0.0 app-1.1.0 app-1.2.0", ""),
            (
                "a form that only a run can tell",
                &["{{branch}}- {{version}} "],
                "main-1.0.0 main-1.1.0 main-1.2.0",
                "",
            ),
            (
                "and one that it puts behind",
                &[" {{version}} -{{sha}}"],
                "1.0.1-0a1 1.1.0-0a2 1.2.0-0a3 1.2.0",
                "1.0.1-0a1",
            ),
        ] {
            let rules: Vec<_> = rules.iter().map(|pattern| rule(pattern)).collect();
            let retention = Retention {
                versions: 2,
                tags: BTreeSet::from(["live".to_owned(), "1.0.0".to_owned()]),
                drop: vec!["pr-".into()],
                names: Names::of_every_run(&rules),
            };
            let tags: Vec<_> = tags.split_whitespace().map(str::to_owned).collect();
            let leaving: Vec<_> = retention.leaving(&tags).into_iter().collect();
            assert_eq!(leaving.join(" "), expected, "{what}");
        }
    }
}
