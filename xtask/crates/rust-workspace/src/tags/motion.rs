//! Whether a tag may move: a version never, `1.2` and `latest` only forward, others always.

use semver::Version;

use super::template::fill;
use crate::version::version_of;

/// Whether and how a published tag may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Motion {
    /// A full version: never moves.
    Fixed,
    /// Names the highest version for which its rule gives this tag.
    Forward {
        /// The rule's pattern.
        pattern: String,
        /// The rule's prefix.
        prefix: String,
        /// The rule's suffix.
        suffix: String,
    },
    /// A commit: the first image keeps it. A later image of the commit can differ, once the commit has a version.
    Once,
    /// A branch or a pull request: the last image gets it.
    Free,
}

impl Motion {
    /// The version of the tag `other` in the registry, if the two compete for `tag`; never a pre-release.
    pub fn rival(&self, tag: &str, other: &str) -> Option<Version> {
        let Self::Forward { pattern, prefix, suffix } = self else { return None };
        // One version may be spelled in two ways, and a tag `v1` must not go back behind `1.2.0`.
        let version = version_of(other.strip_prefix(stem(prefix))?.strip_suffix(suffix.as_str())?)?;
        let is_latest = pattern == "latest";
        let same = || Some(format!("{prefix}{}{suffix}", render(pattern, &version, other)?) == tag);
        (version.pre.is_empty() && (is_latest || same()?)).then_some(version)
    }

    /// Whether the moving tag `tag` can name `version`.
    pub fn covers(&self, tag: &str, version: &Version) -> bool {
        let Self::Forward { prefix, suffix, .. } = self else { return true };
        self.rival(tag, &format!("{prefix}{version}{suffix}")).is_some()
    }

    /// Whether it moves only forward.
    pub fn is_forward(&self) -> bool {
        matches!(self, Self::Forward { .. })
    }

    /// In one word, for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Fixed => "version",
            Self::Forward { .. } => "moving",
            Self::Once => "commit",
            Self::Free => "free",
        }
    }
}

/// Expands a semver pattern; none if the version does not have a part of it.
pub(super) fn render(pattern: &str, version: &Version, raw: &str) -> Option<String> {
    let value = |name: &str| match name {
        "raw" => Some(raw.to_owned()),
        "version" => Some(version.to_string()),
        "major" => Some(version.major.to_string()),
        "minor" => Some(version.minor.to_string()),
        "patch" => Some(version.patch.to_string()),
        _ => None,
    };
    fill(pattern, value).ok()
}

/// The motion of a tag for the highest of all versions with this prefix and suffix.
pub(super) fn latest(prefix: &str, suffix: &str) -> Motion {
    Motion::Forward { pattern: "latest".to_owned(), prefix: prefix.to_owned(), suffix: suffix.to_owned() }
}

/// The prefix without the `v` of versions.
pub(super) fn stem(prefix: &str) -> &str {
    let bare = prefix.strip_suffix('v');
    bare.filter(|bare| !bare.ends_with(|c: char| c.is_ascii_alphanumeric())).unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::super::Names;
    use super::*;

    fn motion_of(tag: &str) -> Motion {
        Names::plain().judge(tag).motion
    }

    #[test]
    fn tags_named_by_the_user_are_classified() {
        for (tag, word) in [
            ("1.2.3", "version"),
            ("v1.2.3-rc.1", "version"),
            ("1.2.4-dev.4-gabc1234", "version"),
            ("latest", "moving"),
            ("1", "moving"),
            ("v1.2", "moving"),
            ("main", "free"),
            ("1.x", "free"),
            ("v", "free"),
            ("01", "free"),
        ] {
            assert_eq!(motion_of(tag).word(), word, "{tag}");
        }
    }

    #[test]
    fn a_moving_tag_takes_releases_of_its_own_line_alone() {
        for (tag, version, covered) in [
            ("1.2", "1.2.3", true),
            ("1.2", "1.3.0", false),
            ("1", "1.3.0", true),
            ("1", "1.3.0-rc.1", false),
            ("latest", "2.0.0", true),
            ("latest", "2.0.0-rc.1", false),
            ("main", "2.0.0-rc.1", true),
        ] {
            assert_eq!(
                motion_of(tag).covers(tag, &Version::parse(version).unwrap()),
                covered,
                "{tag} {version}"
            );
        }
    }

    #[test]
    fn only_versions_of_its_own_line_compete_for_a_tag() {
        let rules = |pattern: &str, prefix: &str, suffix: &str| Motion::Forward {
            pattern: pattern.into(),
            prefix: prefix.into(),
            suffix: suffix.into(),
        };
        let minor = rules("{{major}}.{{minor}}", "", "");
        let cases = [
            (&minor, "1.2", "1.2.9", Some("1.2.9")),
            (&minor, "1.2", "1.3.0", None),
            (&minor, "1.2", "1.2.9-rc.1", None),
            (&minor, "1.2", "1.2", None),
            (&minor, "1.2", "main", None),
            // A day is a version only in the form of one.
            (&latest("", ""), "latest", "20240101", None),
            (&latest("", ""), "latest", "2024", None),
            (&latest("", ""), "latest", "2024.01.15", None),
            (&latest("", ""), "latest", "2024.1", None),
            (&latest("", ""), "latest", "2024-01-15", None),
            (&latest("", ""), "latest", "2024.1.15", Some("2024.1.15")),
            (&latest("", ""), "latest", "2024.1.15-1", None),
            (&latest("", ""), "latest", "night-2024.1.15", None),
            (&latest("app-", ""), "latest", "2024.1.15", None),
            (&motion_of("1"), "1", "2024.1.15", None),
            (&motion_of("2024"), "2024", "2024.1.15", Some("2024.1.15")),
            (&minor, "1.2", "v1.2.3", Some("1.2.3")),
            (&motion_of("v1"), "v1", "1.2.0", Some("1.2.0")),
            (&motion_of("v1"), "v1", "v1.2.0", Some("1.2.0")),
            (&rules("{{major}}", "app-v", ""), "app-v1", "app-1.2.0", Some("1.2.0")),
            (&rules("{{major}}", "dev", ""), "dev1", "de1.2.0", None),
            (&latest("", ""), "latest", "7.0.0", Some("7.0.0")),
            (&rules("{{major}}", "", "-slim"), "1-slim", "1.2.3-slim", Some("1.2.3")),
            (&rules("{{major}}", "", "-slim"), "1-slim", "1.2.3", None),
            (&Motion::Fixed, "1.2.3", "1.2.3", None),
        ];
        for (motion, tag, other, expected) in cases {
            assert_eq!(motion.rival(tag, other), expected.map(|text| text.parse().unwrap()), "{tag} {other}");
        }
    }
}
