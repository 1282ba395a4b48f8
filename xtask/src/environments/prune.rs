//! What of a repository may go: versions beyond those that are kept, and nothing that something kept reaches.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use semver::Version;

use crate::digest::Digest;
use crate::image::oci::{self, Index};
use crate::registry::{Client, Reference};
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

/// What there is, what goes, what stays.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// Tags that go.
    pub tags: Vec<String>,
    /// Manifests that go, each before what it leads to.
    pub manifests: Vec<Digest>,
    /// Tags that were to go, and stay because something kept has the same digest or leads there.
    pub held: Vec<String>,
    /// Tags that stay.
    pub kept: usize,
}

impl Keep {
    /// The tags that go.
    fn leaving(&self, tags: &[String]) -> BTreeSet<String> {
        let mut versions: Vec<(Version, &String)> =
            tags.iter().filter_map(|tag| Some((version_of(tag)?, tag))).collect();
        versions.sort();
        versions.reverse();
        let (releases, others): (Vec<_>, Vec<_>) =
            versions.into_iter().partition(|(version, _)| version.pre.is_empty());
        let beyond = |list: Vec<(Version, &String)>| {
            list.into_iter().skip(self.versions).map(|(_, tag)| tag.clone()).collect::<Vec<_>>()
        };
        let dropped = tags
            .iter()
            .filter(|tag| version_of(tag).is_none() && self.drop.iter().any(|start| tag.starts_with(start)));
        let leaving = beyond(releases).into_iter().chain(beyond(others)).chain(dropped.cloned());
        leaving.filter(|tag| !self.tags.contains(tag)).collect()
    }
}

/// Finds out what may go. Nothing is changed.
pub fn sweep(client: &Client, repository: &Reference, keep: &Keep) -> Result<Sweep> {
    let tags: Vec<_> =
        client.tags(repository)?.into_iter().filter(|tag| !tag.starts_with("sha256-")).collect();
    let leaving = keep.leaving(&tags);
    let mut digests = BTreeMap::new();
    for tag in &tags {
        if let Some(head) = client.head_manifest(&repository.with_tag(tag)?)? {
            digests.insert(tag.clone(), head.digest);
        }
    }
    let mut reach = Reach { client, repository, seen: BTreeMap::new() };
    let mut kept = BTreeSet::new();
    for (tag, digest) in digests.iter().filter(|(tag, _)| !leaving.contains(*tag)) {
        kept.extend(reach.of(digest).map_err(|error| error.context(format!("what {tag} leads to")))?);
    }
    let mut found = Sweep { kept: digests.len(), ..Sweep::default() };
    let mut listed = BTreeSet::new();
    for (tag, digest) in digests.iter().filter(|(tag, _)| leaving.contains(*tag)) {
        if kept.contains(digest) {
            found.held.push(tag.clone());
            continue;
        }
        found.tags.push(tag.clone());
        let all = reach.of(digest)?;
        found
            .manifests
            .extend(all.into_iter().filter(|digest| !kept.contains(digest) && listed.insert(*digest)));
    }
    found.kept -= found.tags.len();
    Ok(found)
}

/// Follows manifests to all that hangs on them.
struct Reach<'a> {
    client: &'a Client,
    repository: &'a Reference,
    seen: BTreeMap<Digest, Vec<Digest>>,
}

impl Reach<'_> {
    /// A manifest, those below it, all that refers to any of them, and the lists of those.
    fn of(&mut self, digest: &Digest) -> Result<Vec<Digest>> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![*digest];
        while let Some(digest) = waiting.pop() {
            if seen.insert(digest) {
                all.push(digest);
                waiting.extend(self.next(&digest)?);
            }
        }
        Ok(all)
    }

    fn next(&mut self, digest: &Digest) -> Result<Vec<Digest>> {
        if let Some(known) = self.seen.get(digest) {
            return Ok(known.clone());
        }
        let mut next = Vec::new();
        if let Some(head) = self.client.head_manifest(&self.repository.with_digest(*digest))? {
            if oci::is_index(&head.media_type) {
                let manifest = self.client.manifest(&self.repository.with_digest(*digest))?;
                let index: Index = oci::from_bytes(&digest.to_string(), &manifest.bytes)?;
                next.extend(index.manifests.iter().map(|entry| entry.digest));
            }
            let referrers = self.client.referrers(self.repository, digest, None)?;
            next.extend(referrers.iter().map(|referrer| referrer.digest));
            let list = self.repository.with_tag(&format!("sha256-{}", digest.hex()))?;
            next.extend(self.client.head_manifest(&list)?.map(|head| head.digest));
        }
        self.seen.insert(*digest, next.clone());
        Ok(next)
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
        ]
        .map(str::to_owned)
        .into();
        let keep = Keep { versions: 2, tags: BTreeSet::from(["1.0.0".to_owned()]), drop: vec!["pr-".into()] };
        let leaving: Vec<_> = keep.leaving(&tags).into_iter().collect();
        assert_eq!(leaving, ["1.1.0", "2.0.0-rc.1", "pr-1", "v1.0.1"]);
    }
}
