//! The tags of a repository and their kinds.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use cli_support::digest::Digest;
use cli_support::threads::each;
use oci_registry::{Client, Reference};
use rust_workspace::tags::PRUNE_JOURNAL;

/// The tags of a repository at one time, with their digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Tags of images.
    pub images: BTreeMap<String, Digest>,
    /// Tags made of a manifest's digest: lists of referrers (`sha256-<hex>`), and cosign's (`sha256-<hex>.sig` and so
    /// on).
    pub attached: BTreeMap<Digest, Vec<(String, Digest)>>,
    /// The list that an unfinished prune left (see [`super::remove()`]).
    pub journal: Option<Digest>,
    /// Tags that are not valid in a request.
    pub nameless: Vec<String>,
}

impl Listing {
    /// Asks the registry.
    pub fn read(client: &Client, repository: &Reference) -> Result<Self> {
        let tags = client.listed_tags(repository)?;
        let heads = each(&tags, |tag| {
            let at = repository.with_listed_tag(tag);
            at.map(|at| client.head_manifest(&at).with_context(|| format!("what {tag} names"))).transpose()
        })?;
        let mut listing = Self::default();
        for (tag, head) in tags.into_iter().zip(heads) {
            match head {
                None => listing.nameless.push(tag),
                // The tag was just deleted, or is being written.
                Some(None) => {}
                Some(Some(head)) if tag == PRUNE_JOURNAL => listing.journal = Some(head.digest),
                Some(Some(head)) => match subject_of_tag(&tag) {
                    Some(subject) => listing.attached.entry(subject).or_default().push((tag, head.digest)),
                    None => drop(listing.images.insert(tag, head.digest)),
                },
            }
        }
        Ok(listing)
    }

    /// The manifests attached to a manifest by tags.
    pub fn attached_to(&self, digest: &Digest) -> impl Iterator<Item = &Digest> {
        self.attached.get(digest).into_iter().flatten().map(|(_, digest)| digest)
    }

    /// All tags of a manifest.
    pub fn tags_of(&self, digest: &Digest) -> Vec<String> {
        let attached = self.attached.values().flatten().map(|(tag, digest)| (tag, digest));
        let all = self.images.iter().chain(attached);
        all.filter(|(_, tagged)| *tagged == digest).map(|(tag, _)| tag.clone()).collect()
    }

    /// Whether a tag is new or names another digest than in `before`.
    pub fn has_news_since(&self, before: &Self) -> bool {
        self.images.iter().any(|(tag, digest)| before.images.get(tag) != Some(digest))
    }
}

/// The digest in a tag that is made of one.
fn subject_of_tag(tag: &str) -> Option<Digest> {
    let (algorithm, rest) = tag.split_once('-')?;
    let (hex, _) = rest.split_once('.').unwrap_or((rest, ""));
    format!("{algorithm}:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_tags_belong_to_the_manifest_that_they_name() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        for (tag, expected) in [
            (format!("sha256-{hex}"), Some(digest)),
            (format!("sha256-{hex}.sig"), Some(digest)),
            (format!("sha256-{hex}.att.2"), Some(digest)),
            (format!("sha256-{}", &hex[1..]), None),
            (format!("sha256-{hex}x"), None),
            ("sha-0123456".to_owned(), None),
            ("latest".to_owned(), None),
        ] {
            assert_eq!(subject_of_tag(&tag), expected, "{tag}");
        }
    }
}
