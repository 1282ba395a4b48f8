//! The next version, from the commits since the last one (conventionalcommits.org 1.0.0).

use clap::ValueEnum;
use semver::Version;

/// The part of the version that a release raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// 1.2.3 to 1.2.4
    Patch,
    /// 1.2.3 to 1.3.0
    Minor,
    /// 1.2.3 to 2.0.0
    Major,
}

/// A commit: its subject, and the text below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The first line.
    pub subject: String,
    /// The rest.
    pub body: String,
}

impl Commit {
    /// The type before the colon, without its scope: `feat` of `feat(http)!: …`. None for a subject without one.
    pub fn kind(&self) -> Option<&str> {
        let (head, _) = self.subject.split_once(": ")?;
        let kind = head.trim_end_matches('!').split('(').next().unwrap_or_default();
        (!kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(kind)
    }

    /// The subject without the type.
    pub fn text(&self) -> &str {
        match (self.kind(), self.subject.split_once(": ")) {
            (Some(_), Some((_, text))) => text,
            _ => &self.subject,
        }
    }

    /// Whether the commit says that it breaks its users.
    pub fn breaks(&self) -> bool {
        let head = self.subject.split_once(": ").map_or("", |(head, _)| head);
        let footers = ["BREAKING CHANGE: ", "BREAKING-CHANGE: "];
        (self.kind().is_some() && head.ends_with('!'))
            || self.body.lines().any(|line| footers.iter().any(|footer| line.starts_with(footer)))
    }
}

/// The level that the commits ask for: a breaking change is major, a `feat` minor, anything else a patch. Before 1.0.0 a
/// breaking change is minor (semver, 4).
pub fn of_commits(commits: &[Commit], last: &Version) -> Level {
    let level = commits.iter().map(|commit| match commit.kind() {
        _ if commit.breaks() => Level::Major,
        Some("feat") => Level::Minor,
        _ => Level::Patch,
    });
    let level = level.max().unwrap_or(Level::Patch);
    if last.major == 0 { level.min(Level::Minor) } else { level }
}

/// The version after `last`. A pre-release becomes its own version.
pub fn next(last: &Version, level: Level) -> Version {
    if !last.pre.is_empty() {
        return Version::new(last.major, last.minor, last.patch);
    }
    match level {
        Level::Patch => Version::new(last.major, last.minor, last.patch + 1),
        Level::Minor => Version::new(last.major, last.minor + 1, 0),
        Level::Major => Version::new(last.major + 1, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(text: &str) -> Commit {
        let (subject, body) = text.split_once('\n').unwrap_or((text, ""));
        Commit { subject: subject.to_owned(), body: body.to_owned() }
    }

    #[test]
    fn commits_decide_on_the_level() {
        for (subjects, last, expected) in [
            (&["fix: a", "Plain words"][..], "1.2.3", Level::Patch),
            (&["fix: a", "feat(http): b"], "1.2.3", Level::Minor),
            (&["feat!: a"], "1.2.3", Level::Major),
            (&["refactor(x)!: a"], "1.2.3", Level::Major),
            (&["fix: a\n\nBREAKING CHANGE: b"], "1.2.3", Level::Major),
            (&["feat!: a"], "0.2.3", Level::Minor),
            (&["Note: feat!"], "1.2.3", Level::Patch),
            (&["Watch out!: a"], "1.2.3", Level::Patch),
            (&[], "1.2.3", Level::Patch),
        ] {
            let commits: Vec<_> = subjects.iter().map(|text| commit(text)).collect();
            assert_eq!(of_commits(&commits, &last.parse().unwrap()), expected, "{subjects:?}");
        }
        assert_eq!(commit("feat(http): more").text(), "more");
        assert_eq!(commit("Note: more").text(), "Note: more");
    }

    #[test]
    fn versions_follow() {
        for (last, level, expected) in [
            ("1.2.3", Level::Patch, "1.2.4"),
            ("1.2.3", Level::Minor, "1.3.0"),
            ("1.2.3", Level::Major, "2.0.0"),
            ("2.0.0-rc.1", Level::Patch, "2.0.0"),
        ] {
            assert_eq!(next(&last.parse().unwrap(), level).to_string(), expected);
        }
    }
}
