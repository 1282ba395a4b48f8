//! Versions in tags of git and of registries.

use semver::{BuildMetadata, Version};

/// Version numbers from this one on may be years.
const FIRST_YEAR: u64 = 1900;

/// Parses a tag such as `1.2.3` or `v1.2.3-rc.1` as a version. Build metadata after `+` is dropped: it does not order
/// versions (semver, 10), and an image's tag cannot have it.
pub fn version_of(tag: &str) -> Option<Version> {
    let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?;
    Some(Version { build: BuildMetadata::EMPTY, ..version })
}

/// Parses a tag of git as a version, without the prefix of this package's tags (`tag-prefix`): `app-v1.2.3`.
pub fn version_of_git(tag: &str, prefix: &str) -> Option<Version> {
    version_of(tag.strip_prefix(prefix)?)
}

/// A version as a tag, which cannot have `+`.
pub fn version_tag(version: &Version) -> String {
    version.to_string().replace('+', "-")
}

/// Whether a version may be a date: `2024.1.15`, `20240115.0.0`.
pub fn is_dated(version: &Version) -> bool {
    version.major >= FIRST_YEAR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_a_v_or_not_and_no_build() {
        for (tag, expected) in [
            ("v1.2.3", Some("1.2.3")),
            ("1.2.3-rc.1", Some("1.2.3-rc.1")),
            ("v1.2.3+build.5", Some("1.2.3")),
            ("v1.2.3.4", None),
            ("v1.2", None),
            ("vv1.2.3", None),
            ("V1.2.3", None),
            ("v01.2.3", None),
        ] {
            assert_eq!(version_of(tag).map(|version| version.to_string()).as_deref(), expected, "{tag}");
        }
    }
}
