//! The manifests of a repository and their references.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::listing::Listing;
use crate::environments::subject_of;
use cli_support::digest::Digest;
use cli_support::threads::each;
use oci_image::oci::{self, Annotations, Descriptor, Index};
use oci_registry::{Client, Reference};

/// A manifest and its references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The entries of an index.
    pub entries: Vec<Digest>,
    /// The manifest that it refers to.
    pub subject: Option<Digest>,
    /// Its referrers according to lists, which may be wrong.
    pub referrers: Vec<Digest>,
    /// Manifests that are attached by tags.
    pub attached: Vec<Digest>,
}

/// All manifests that tags reach.
#[derive(Debug, Default)]
pub struct Graph(BTreeMap<Digest, Node>);

impl Graph {
    /// Follows all tags of `listing`, and `more`.
    pub fn read(client: &Client, repository: &Reference, listing: &Listing, more: &[Digest]) -> Result<Self> {
        let attached = listing
            .attached
            .iter()
            .flat_map(|(subject, attached)| attached.iter().map(|(_, digest)| *digest).chain([*subject]));
        let mut waiting: BTreeSet<Digest> =
            listing.images.values().chain(more).copied().chain(attached).collect();
        let mut graph = Self::default();
        let mut seen = BTreeSet::new();
        while !waiting.is_empty() {
            seen.extend(waiting.iter().copied());
            let asked: Vec<_> = std::mem::take(&mut waiting).into_iter().collect();
            for node in each(&asked, |digest| ask(client, repository, listing, digest))?.into_iter().flatten()
            {
                waiting.extend(node.neighbours().filter(|digest| !seen.contains(digest)));
                graph.0.insert(node.descriptor.digest, node);
            }
        }
        Ok(graph)
    }

    /// The manifest; none if it was deleted.
    pub fn get(&self, digest: &Digest) -> Option<&Node> {
        self.0.get(digest)
    }

    /// Everything that stays with these manifests: entries, referrers, subjects.
    pub fn kept<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> BTreeSet<Digest> {
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<_> = digests.into_iter().copied().collect();
        while let Some(digest) = waiting.pop() {
            if seen.insert(digest) {
                waiting.extend(self.get(&digest).into_iter().flat_map(Node::neighbours));
            }
        }
        seen
    }

    /// Everything that is deleted with this manifest, each before its dependents: entries, and true referrers.
    /// Manifests that do not exist are left out.
    pub fn going(&self, digest: &Digest) -> Vec<Digest> {
        let (mut all, mut attached) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        let mut waiting = vec![*digest];
        while let Some(digest) = waiting.pop() {
            let Some(node) = self.get(&digest).filter(|_| seen.insert(digest)) else { continue };
            all.push(digest);
            attached.extend(&node.attached);
            waiting.extend(node.referrers.iter().filter(|referrer| {
                self.get(referrer).is_some_and(|referrer| referrer.subject == Some(digest))
            }));
            waiting.extend(&node.entries);
        }
        all.extend(attached.into_iter().filter(|digest| self.get(digest).is_some() && seen.insert(*digest)));
        all
    }
}

impl Node {
    fn neighbours(&self) -> impl Iterator<Item = Digest> {
        let lists = [&self.entries, &self.referrers, &self.attached];
        lists.into_iter().flatten().chain(&self.subject).copied()
    }
}

fn ask(client: &Client, repository: &Reference, listing: &Listing, digest: &Digest) -> Result<Option<Node>> {
    let Some(manifest) = client.manifest_if_any(&repository.with_digest(*digest))? else { return Ok(None) };
    let mut entries = Vec::new();
    if oci::is_index(&manifest.media_type) {
        let index: Index = oci::from_bytes(&digest.to_string(), &manifest.bytes)?;
        entries.extend(index.manifests.iter().map(|entry| entry.digest));
    }
    let referrers = client.referrers(repository, digest, None)?;
    Ok(Some(Node {
        descriptor: Descriptor {
            media_type: manifest.media_type,
            digest: *digest,
            size: manifest.bytes.len() as u64,
            platform: None,
            annotations: Annotations::new(),
        },
        entries,
        subject: subject_of(&manifest.bytes),
        referrers: referrers.iter().map(|referrer| referrer.digest).collect(),
        attached: listing.attached_to(digest).copied().collect(),
    }))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// A graph of lines `name: entry… <referrer… ^subject #attached…`.
    pub fn graph(lines: &[&str]) -> Graph {
        let node = |line: &&str| {
            let (name, rest) = line.split_once(':').unwrap();
            let words = |mark: char| {
                let words = rest.split_whitespace().filter_map(move |word| word.strip_prefix(mark));
                words.map(digest).collect::<Vec<_>>()
            };
            let entries = rest.split_whitespace().filter(|word| !word.starts_with(['<', '^', '#']));
            let node = Node {
                descriptor: Descriptor { digest: digest(name), ..Descriptor::of(oci::MANIFEST, b"") },
                entries: entries.map(digest).collect(),
                subject: words('^').first().copied(),
                referrers: words('<'),
                attached: words('#'),
            };
            (node.descriptor.digest, node)
        };
        Graph(lines.iter().map(node).collect())
    }

    /// The names of digests, of one letter each.
    fn names(digests: impl IntoIterator<Item = Digest>) -> String {
        let name = |one: Digest| ('a'..='z').find(|letter| digest(&letter.to_string()) == one).unwrap();
        digests.into_iter().map(name).collect()
    }

    #[test]
    fn kept_and_removed_manifests_follow_the_graph() {
        for (what, lines, kept, going) in [
            ("platforms", &["a: b c", "b:", "c:"][..], "abc", "acb"),
            ("referrers, and theirs", &["a: <b", "b: ^a <c", "c: ^b"], "abc", "abc"),
            ("lists go last", &["a: b <c #l", "b: #m", "c: ^a", "l: c", "m:"], "abclm", "abclm"),
            ("what a list lies about stays", &["a: <b #l", "b: ^d", "d:", "l: b"], "abdl", "al"),
            ("what it refers to stays with it", &["a: ^b", "b: c", "c:"], "abc", "a"),
            ("what is gone", &["a: b c", "c:"], "abc", "ac"),
            ("itself, by a lie", &["a: a <a ^a"], "a", "a"),
        ] {
            let graph = graph(lines);
            let mut all: Vec<_> = names(graph.kept(&[digest("a")])).chars().collect();
            all.sort_unstable();
            assert_eq!(all.iter().collect::<String>(), kept, "{what}");
            assert_eq!(names(graph.going(&digest("a"))), going, "{what}");
        }
    }
}
