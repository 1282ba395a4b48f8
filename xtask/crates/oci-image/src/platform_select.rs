//! Selects the manifest of each platform from an index: the first that matches (image-index.md). A nested index counts for
//! the platform that it is listed with; without a platform it comes last.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::oci::{self, Descriptor, Index};
use super::walk::{Visit, walk};
use crate::platform::Platform;
use cli_support::digest::Digest;
use cli_support::error::Fault;

/// The largest number of nested indexes. Each may be a request to a registry.
const MAX_INDEXES: usize = 50;

/// Finds a manifest for each platform in `top`. Fetches a nested index only if no entry before it matches.
pub fn choose(
    top: &Index,
    platforms: &[Platform],
    fetch: &dyn Fn(&Descriptor) -> Result<Vec<u8>>,
) -> Result<BTreeMap<Platform, Descriptor>> {
    let mut below = Below { fetch, indexes: BTreeMap::new() };
    platforms.iter().map(|platform| Ok((*platform, below.find(top, *platform)?))).collect()
}

/// The nested indexes that were fetched.
struct Below<'a> {
    fetch: &'a dyn Fn(&Descriptor) -> Result<Vec<u8>>,
    indexes: BTreeMap<Digest, Index>,
}

impl Below<'_> {
    fn find(&mut self, top: &Index, platform: Platform) -> Result<Descriptor> {
        let mut has = Vec::new();
        // An index that is listed twice is read once.
        let mut seen = BTreeSet::new();
        let mut found = None;
        walk(&"the image index", in_order(top, platform, &mut has), 1, |entry| {
            if !entry.is_index() {
                found = Some(entry.clone());
                return Ok(Visit::Stop);
            }
            if !seen.insert(entry.digest) {
                return Ok(Visit::Next);
            }
            Ok(Visit::Enter(in_order(self.index(entry)?, platform, &mut has)))
        })?;
        found.ok_or_else(|| no_platform(platform, has).into())
    }

    fn index(&mut self, entry: &Descriptor) -> Result<&Index> {
        if !self.indexes.contains_key(&entry.digest) {
            if self.indexes.len() == MAX_INDEXES {
                return Err(Fault::failed(format!("it has more than {MAX_INDEXES} indexes")).into());
            }
            let what = format!("the index {} in it", entry.digest);
            let bytes = (self.fetch)(entry).with_context(|| what.clone())?;
            self.indexes.insert(entry.digest, oci::from_bytes(&what, &bytes)?);
        }
        self.indexes.get(&entry.digest).context("an index that was just read")
    }
}

/// The entries that match a platform, then nested indexes without a platform: the order of containerd and BuildKit. The
/// other platforms of the index are added to `has`.
fn in_order(index: &Index, platform: Platform, has: &mut Vec<String>) -> Vec<Descriptor> {
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for entry in &index.manifests {
        match &entry.platform {
            Some(spec) if spec.is(platform) => named.push(entry.clone()),
            Some(spec) => has.push(spec.to_string()),
            None if entry.is_index() => others.push(entry.clone()),
            None => {}
        }
    }
    named.append(&mut others);
    named
}

fn no_platform(platform: Platform, has: Vec<String>) -> Fault {
    let mut named = BTreeSet::new();
    // Builders use `unknown/unknown` for entries that are not images.
    let has: Vec<_> =
        has.into_iter().filter(|one| one != "unknown/unknown" && named.insert(one.clone())).collect();
    let but =
        if has.is_empty() { "and names no other".to_owned() } else { format!("but for {}", has.join(", ")) };
    Fault::failed(format!("it has nothing for {platform}, {but}"))
        .hint("choose another base, or fewer platforms: --platform")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Annotations, INDEX, MANIFEST, PlatformSpec};
    use crate::walk::MAX_INDEX_ENTRIES;

    /// Documents by their digests, and how often each was fetched.
    #[derive(Default)]
    struct Store {
        documents: BTreeMap<Digest, Vec<u8>>,
        fetched: std::cell::RefCell<Vec<Digest>>,
    }

    impl Store {
        /// An index of entries such as `amd64 a`: a platform and a name, an index that was put before, or
        /// `missing`.
        fn index(&mut self, entries: &[&str], before: &BTreeMap<&str, Descriptor>) -> (Index, Descriptor) {
            let entry = |text: &&str| match text.split_once(' ') {
                None => before.get(text).cloned().unwrap_or_else(|| Descriptor::of(INDEX, b"missing")),
                Some((arch, name)) => {
                    let mut entry = Descriptor::of(MANIFEST, name.as_bytes());
                    let os = if arch == "unknown" { arch } else { "linux" };
                    let (architecture, os) = (arch.to_owned(), os.to_owned());
                    entry.platform =
                        (arch != "-").then_some(PlatformSpec { architecture, os, variant: None });
                    entry
                }
            };
            let index = Index::new(entries.iter().map(entry).collect(), Annotations::new());
            let bytes = oci::to_bytes(&index).unwrap();
            let descriptor = Descriptor::of(INDEX, &bytes);
            self.documents.insert(descriptor.digest, bytes);
            (index, descriptor)
        }

        fn choose(&self, top: &Index, platforms: &[Platform]) -> Result<Vec<Digest>> {
            let chosen = choose(top, platforms, &|entry| {
                self.fetched.borrow_mut().push(entry.digest);
                self.documents.get(&entry.digest).cloned().context("not there")
            })?;
            Ok(chosen.into_values().map(|entry| entry.digest).collect())
        }
    }

    #[test]
    fn the_first_match_is_selected_at_any_depth() {
        // Each index may hold those of the lines before it; the last one is the base's.
        type Indexes<'a> = &'a [(&'a str, &'a [&'a str])];
        type Expected<'a> = Result<[&'a str; 2], &'a str>;
        let cases: [(Indexes, Expected, usize); 11] = [
            (&[("top", &["amd64 a", "arm64 b"])], Ok(["a", "b"]), 0),
            (&[("in", &["amd64 a", "arm64 b"]), ("top", &["in"])], Ok(["a", "b"]), 1),
            (&[("in", &["arm64 b"]), ("top", &["amd64 a", "in"])], Ok(["a", "b"]), 1),
            // Entries with a platform come first.
            (&[("in", &["amd64 x"]), ("top", &["in", "amd64 a", "arm64 b"])], Ok(["a", "b"]), 0),
            (&[("in", &["amd64 x"]), ("top", &["amd64 a", "amd64 x", "in", "arm64 b"])], Ok(["a", "b"]), 0),
            // An index after the match is not fetched.
            (&[("top", &["amd64 a", "arm64 b", "missing"])], Ok(["a", "b"]), 0),
            (&[("top", &["amd64 a", "missing"])], Err("not there"), 1),
            // An index that is listed twice is read once; a manifest without a platform does not match.
            (
                &[("in", &["- x", "amd64 a"]), ("up", &["in", "in", "arm64 b"]), ("top", &["in", "up"])],
                Ok(["a", "b"]),
                2,
            ),
            (
                &[("1", &["amd64 a"]), ("2", &["1"]), ("3", &["2"]), ("top", &["3", "arm64 b"])],
                Ok(["a", "b"]),
                3,
            ),
            (
                &[("1", &["amd64 a"]), ("2", &["1"]), ("3", &["2"]), ("4", &["3"]), ("top", &["4"])],
                Err("deeper than 4"),
                3,
            ),
            (
                &[("in", &["s390x x", "unknown u", "amd64 y"]), ("top", &["amd64 a", "in", "riscv64 z"])],
                Err("nothing for linux/arm64, but for linux/amd64, linux/riscv64, linux/s390x"),
                1,
            ),
        ];
        for (indexes, expected, fetched) in cases {
            let mut store = Store::default();
            let (mut before, mut top) = (BTreeMap::new(), None);
            for (name, entries) in indexes {
                let (index, descriptor) = store.index(entries, &before);
                before.insert(*name, descriptor);
                top = Some(index);
            }
            let chosen = store.choose(&top.unwrap(), &[Platform::LinuxAmd64, Platform::LinuxArm64]);
            match expected {
                Ok(names) => {
                    assert_eq!(chosen.unwrap(), names.map(|name| Digest::of(name.as_bytes())), "{indexes:?}");
                }
                Err(text) => assert!(format!("{:#}", chosen.unwrap_err()).contains(text), "{indexes:?}"),
            }
            assert_eq!(store.fetched.borrow().len(), fetched, "{indexes:?}");
        }
    }

    #[test]
    fn a_nested_index_counts_for_its_listed_platform() {
        let mut store = Store::default();
        let (_, mut within) = store.index(&["amd64 x"], &BTreeMap::new());
        let at = |arch: &str| PlatformSpec { architecture: arch.into(), os: "linux".into(), variant: None };
        let (mut top, _) = store.index(&["amd64 a"], &BTreeMap::new());
        for (arch, expected) in [("s390x", "a"), ("amd64", "x")] {
            within.platform = Some(at(arch));
            top.manifests.insert(0, within.clone());
            let chosen = store.choose(&top, &[Platform::LinuxAmd64]).unwrap();
            assert_eq!(chosen, [Digest::of(expected.as_bytes())], "{arch}");
        }
    }

    #[test]
    fn too_many_entries_or_indexes_are_an_error() {
        let mut store = Store::default();
        let names: Vec<_> = (0..=MAX_INDEX_ENTRIES).map(|number| format!("amd64 {number}")).collect();
        let (index, _) = store.index(&names.iter().map(String::as_str).collect::<Vec<_>>(), &BTreeMap::new());
        let amd64 = [Platform::LinuxAmd64];
        assert!(store.choose(&index, &amd64).unwrap_err().to_string().contains("more than 1000 entries"));
        let others = (0..=MAX_INDEXES).map(|number| format!("s390x {number}"));
        let inner = others.map(|name| store.index(&[&name], &BTreeMap::new()).1).collect();
        let index = Index::new(inner, Annotations::new());
        assert!(store.choose(&index, &amd64).unwrap_err().to_string().contains("more than 50 indexes"));
        let error = store.choose(&Index::new(Vec::new(), Annotations::new()), &amd64).unwrap_err();
        assert!(error.to_string().contains("nothing for linux/amd64, and names no other"), "{error}");
    }
}
