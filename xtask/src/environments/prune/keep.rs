//! Which tags stay.

use std::collections::BTreeSet;

use semver::Version;

use crate::registry::Reference;
use crate::tags::version_of;

/// What stays.
#[derive(Debug, Clone)]
pub struct Keep {
    /// The highest releases, and as many of the highest versions before a release.
    pub versions: usize,
    /// Tags that stay whatever they are: those of environments.
    pub tags: BTreeSet<String>,
    /// Beginnings of tags that are no versions and go as well: `pr-`, `sha-`.
    pub drop: Vec<String>,
}

impl Keep {
    /// The tags that go.
    pub fn leaving<'a>(&self, tags: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
        let mut releases: Vec<(Version, &String)> = Vec::new();
        let mut others = Vec::new();
        let mut leaving = BTreeSet::new();
        // What breaks the rules for tags is somebody else's, and no version.
        for tag in tags.into_iter().filter(|tag| Reference::is_tag(tag)) {
            match version_of(tag) {
                Some(version) if version.pre.is_empty() => releases.push((version, tag)),
                Some(version) => others.push((version, tag)),
                None if self.drop.iter().any(|start| tag.starts_with(start)) => {
                    leaving.insert(tag.clone());
                }
                None => {}
            }
        }
        for versions in [&mut releases, &mut others] {
            versions.sort_by(|a, b| b.cmp(a));
            leaving.extend(versions.iter().skip(self.versions).map(|(_, tag)| (*tag).clone()));
        }
        leaving.retain(|tag| !self.tags.contains(tag));
        leaving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_versions_stay_and_so_does_what_an_environment_runs() {
        let tags: Vec<_> = [
            "1.0.0",
            "1.1.0",
            "1.10.0",
            "1.9.0",
            "2.0.0-rc.1",
            "2.0.0-rc.2",
            "2.0.0-rc.10",
            "latest",
            "1",
            "main",
            "pr-1",
            "sha-0123456",
            "v1.0.1",
            "9.9.9+x",
            "pr-1+x",
        ]
        .map(str::to_owned)
        .into();
        let keep = Keep { versions: 2, tags: BTreeSet::from(["1.0.0".to_owned()]), drop: vec!["pr-".into()] };
        let leaving: Vec<_> = keep.leaving(&tags).into_iter().collect();
        assert_eq!(leaving, ["1.1.0", "2.0.0-rc.1", "pr-1", "v1.0.1"]);
    }
}
