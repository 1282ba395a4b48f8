//! Differences from another image.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::data::{CodeSize, PlatformSizes};

/// The differences to another image. Sizes are of the platforms that both have.
#[derive(Clone, Debug, Serialize)]
pub struct Changes {
    /// The other image, as given.
    pub against: String,
    /// The difference of the compressed sizes in bytes, by platform.
    pub compressed_bytes: Vec<(String, i64)>,
    /// Crates that came: name and version.
    pub came: Vec<String>,
    /// Crates that went.
    pub went: Vec<String>,
    /// Crates with another version.
    pub updated: Vec<Updated>,
    /// Crates whose code grew or shrank, the largest difference first; empty where one image's symbols are unknown.
    pub code: Vec<CodeChange>,
}

/// A crate with another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Updated {
    /// Its name.
    pub name: String,
    /// The version before.
    pub from: String,
    /// The version now.
    pub to: String,
}

/// A crate whose code grew or shrank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodeChange {
    /// The platform.
    pub platform: String,
    /// The crate, as in [`CodeSize`].
    pub name: String,
    /// Its bytes before.
    pub before: u64,
    /// Its bytes now.
    pub after: u64,
}

impl CodeChange {
    /// The difference in bytes.
    pub fn difference(&self) -> i64 {
        self.after.cast_signed() - self.before.cast_signed()
    }
}

impl Changes {
    /// Compares two images.
    pub fn between(against: &str, old: &[PlatformSizes], new: &[PlatformSizes]) -> Self {
        let pairs: Vec<_> = new
            .iter()
            .filter_map(|new| Some((old.iter().find(|old| old.platform == new.platform)?, new)))
            .collect();
        let compressed = |(old, new): &(&PlatformSizes, &PlatformSizes)| {
            let difference = new.compressed_bytes.cast_signed() - old.compressed_bytes.cast_signed();
            (new.platform.clone(), difference)
        };
        let (before, after) = (versions(old), versions(new));
        let mut changes = Self {
            against: against.to_owned(),
            compressed_bytes: pairs.iter().map(compressed).collect(),
            came: Vec::new(),
            went: Vec::new(),
            updated: Vec::new(),
            code: pairs.iter().flat_map(|(old, new)| code(old, new)).collect(),
        };
        changes.code.sort_by_key(|change| std::cmp::Reverse(change.difference().abs()));
        for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let of = |all: &BTreeMap<String, BTreeSet<String>>| all.get(name).cloned().unwrap_or_default();
            let (old, new) = (of(&before), of(&after));
            let went: Vec<_> = old.difference(&new).collect();
            let came: Vec<_> = new.difference(&old).collect();
            if let ([from], [to]) = (&went[..], &came[..]) {
                let (name, from, to) = (name.clone(), (*from).clone(), (*to).clone());
                changes.updated.push(Updated { name, from, to });
                continue;
            }
            changes.went.extend(went.iter().map(|version| format!("{name} {version}")));
            changes.came.extend(came.iter().map(|version| format!("{name} {version}")));
        }
        changes
    }
}

/// The versions of each crate.
fn versions(platforms: &[PlatformSizes]) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    for one in platforms.iter().flat_map(|platform| &platform.crates) {
        all.entry(one.name.clone()).or_default().insert(one.version.clone());
    }
    all
}

/// The crates of one platform with another size of code.
fn code(old: &PlatformSizes, new: &PlatformSizes) -> Vec<CodeChange> {
    let (Some(before), Some(after)) = (&old.code, &new.code) else { return Vec::new() };
    let names: BTreeSet<_> = before.iter().chain(after).map(|size| &size.name).collect();
    let of =
        |all: &[CodeSize], name: &str| all.iter().find(|size| size.name == name).map_or(0, |size| size.bytes);
    let change = |name: &String| CodeChange {
        platform: new.platform.clone(),
        name: name.clone(),
        before: of(before, name),
        after: of(after, name),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

#[cfg(test)]
pub mod tests {
    use super::super::data::CrateRow;
    use super::*;
    use cli_support::digest::Digest;

    /// A platform with crates: names with versions.
    pub fn platform(compressed_bytes: u64, crates: &[(&str, &str)]) -> PlatformSizes {
        let crates = crates.iter().map(|(name, version)| CrateRow {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            licence: None,
            path: Vec::new(),
        });
        PlatformSizes {
            platform: "linux/amd64".to_owned(),
            manifest: Digest::of(b""),
            compressed_bytes,
            unpacked_bytes: 0,
            layers: Vec::new(),
            program: None,
            crates: crates.collect(),
            code: None,
        }
    }

    #[test]
    fn changes_list_added_removed_and_grown_crates() {
        let sizes = |sizes: &[(&str, u64)]| {
            Some(
                sizes
                    .iter()
                    .map(|(name, bytes)| CodeSize { name: (*name).to_owned(), bytes: *bytes })
                    .collect(),
            )
        };
        let mut old = platform(10, &[("a", "1.0.0"), ("b", "1.0.0"), ("c", "1.0.0")]);
        let mut new = platform(7, &[("b", "1.1.0"), ("c", "1.0.0"), ("c", "2.0.0"), ("d", "1.0.0")]);
        (old.code, new.code) =
            (sizes(&[("a", 5), ("b", 10), ("c", 3)]), sizes(&[("b", 12), ("c", 3), ("d", 9)]));
        let changes = Changes::between("old", &[old.clone()], &[new.clone()]);
        assert_eq!(changes.compressed_bytes, [("linux/amd64".to_owned(), -3)]);
        assert_eq!(changes.came, ["c 2.0.0", "d 1.0.0"]);
        assert_eq!(changes.went, ["a 1.0.0"]);
        let updated = Updated { name: "b".to_owned(), from: "1.0.0".to_owned(), to: "1.1.0".to_owned() };
        assert_eq!(changes.updated, [updated]);
        let code: Vec<_> =
            changes.code.iter().map(|change| (change.name.as_str(), change.difference())).collect();
        assert_eq!(code, [("d", 9), ("a", -5), ("b", 2)]);
        new.code = None;
        assert_eq!(Changes::between("old", &[old], &[new]).code, []);
    }
}
