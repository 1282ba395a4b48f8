//! Which versions an advisory affects.
//!
//! RustSec lists the versions that are not affected. Ranges are intervals in the order of semantic versions (semver.org,
//! section 11), pre-releases included: `>= 1.0.0` excludes `1.0.0-rc.1` and includes `1.1.0-rc.1`. The crate `rustsec`
//! does the same. Cargo, and so `semver`, matches a pre-release only where the range names one.

use semver::{Comparator, Op, Prerelease, Version, VersionReq};

/// Whether a version is affected: it is in none of the patched and unaffected ranges.
pub fn affects<'a>(version: &Version, unaffected: impl IntoIterator<Item = &'a VersionReq>) -> bool {
    !unaffected.into_iter().any(|range| within(version, range))
}

fn within(version: &Version, range: &VersionReq) -> bool {
    range.comparators.iter().all(|comparator| holds(version, comparator))
}

fn holds(version: &Version, comparator: &Comparator) -> bool {
    let start = Version {
        major: comparator.major,
        minor: comparator.minor.unwrap_or(0),
        patch: comparator.patch.unwrap_or(0),
        pre: comparator.pre.clone(),
        build: semver::BuildMetadata::EMPTY,
    };
    let order = version.cmp_precedence(&start);
    match comparator.op {
        Op::Greater => order.is_gt(),
        Op::GreaterEq => order.is_ge(),
        Op::Less => order.is_lt(),
        Op::LessEq => order.is_le(),
        Op::Exact => order.is_eq(),
        Op::Caret | Op::Tilde => order.is_ge() && version.cmp_precedence(&end(comparator)).is_lt(),
        // A future operator makes a version affected rather than safe.
        _ => false,
    }
}

/// The end of a `^` or `~` range, which excludes the pre-releases of that version.
fn end(comparator: &Comparator) -> Version {
    let (major, minor, patch) = (comparator.major, comparator.minor, comparator.patch);
    let up = |number: u64| number.saturating_add(1);
    let (major, minor, patch) = match (&comparator.op, major, minor, patch) {
        (Op::Tilde, _, Some(minor), _) => (major, up(minor), 0),
        (Op::Caret, 0, Some(0), Some(patch)) => (0, 0, up(patch)),
        (Op::Caret, 0, Some(minor), _) => (0, up(minor), 0),
        _ => (up(major), 0, 0),
    };
    // The lowest pre-release; the text is valid.
    let pre = Prerelease::new("0").unwrap_or_default();
    Version { major, minor, patch, pre, build: semver::BuildMetadata::EMPTY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_order_pre_releases() {
        let cases = [
            (">= 1.2.3", "1.2.3", true),
            (">= 1.2.3", "1.2.3-rc.1", false),
            (">= 1.2.3", "1.3.0-rc.1", true),
            ("> 1.2.3", "1.2.3+build", false),
            ("< 1.2.3", "1.2.3-rc.1", true),
            ("<= 1.2", "1.2.1", false),
            ("= 1.2.3", "1.2.3", true),
            ("^1.2.3", "1.9.0", true),
            ("^1.2.3", "2.0.0-alpha", false),
            ("^0.3.24", "0.3.99", true),
            ("^0.3.24", "0.4.0", false),
            ("^0.0.3", "0.0.4", false),
            ("^0", "0.9.0", true),
            ("~1.2", "1.2.9", true),
            ("~1", "1.9.9", true),
            ("~1.2.3", "1.3.0-0", false),
            (">= 1.0.0, < 2.0.0", "1.5.0", true),
            (">= 1.0.0, < 2.0.0", "2.0.0", false),
        ];
        for (range, version, expected) in cases {
            let range = VersionReq::parse(range).unwrap();
            let version = Version::parse(version).unwrap();
            assert_eq!(!affects(&version, [&range]), expected, "{version} in {range}");
        }
        assert!(affects(&Version::new(1, 0, 0), []));
    }
}
