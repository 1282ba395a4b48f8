//! Deletes in a registry: by the distribution API, or by GitHub's for ghcr.io.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::plan::Target;
use cli_support::digest::Digest;
use oci_registry::{Client, Packages, Reference};

/// Deletes manifests of one repository, with their tags.
pub enum Deleter<'a> {
    /// The registry itself (distribution-spec, "Content Management").
    Registry(&'a Client, &'a Reference),
    /// GitHub's REST API, which deletes versions of a package by their numbers.
    GitHub(Packages<'a>, RefCell<BTreeMap<Digest, u64>>),
}

impl<'a> Deleter<'a> {
    /// The deleter of a repository. An error where nothing can be deleted: a registry is asked to delete a missing
    /// manifest, GitHub for the token's scopes.
    pub fn of(client: &'a Client, repository: &'a Reference) -> Result<Self> {
        if let Some(packages) = client.github_packages(repository).context("nothing has been deleted")? {
            let deleter = Self::GitHub(packages, RefCell::default());
            deleter.list()?;
            return Ok(deleter);
        }
        let nothing = Digest::of(format!("no manifest of {repository}").as_bytes());
        client.delete_manifest(&repository.with_digest(nothing)).context("nothing has been deleted")?;
        Ok(Self::Registry(client, repository))
    }

    /// Deletes a manifest and its tags. False where it was not there.
    pub fn delete(&self, target: &Target) -> Result<bool> {
        let (client, repository) = match self {
            Self::Registry(client, repository) => (client, repository),
            Self::GitHub(packages, known) => {
                let id = |digest: &Digest| known.borrow().get(digest).copied();
                if id(&target.digest).is_none() {
                    self.list()?;
                }
                return id(&target.digest).map_or(Ok(false), |id| packages.delete(id));
            }
        };
        let deleted = client.delete_manifest(&repository.with_digest(target.digest))?;
        // Some registries keep the tags of a manifest that is deleted.
        for tag in target.tags.iter().filter_map(|tag| repository.with_listed_tag(tag)) {
            if client.head_manifest(&tag)?.is_some_and(|head| head.digest == target.digest) {
                client.delete_tag(&tag)?;
            }
        }
        Ok(deleted)
    }

    /// Reads the numbers of GitHub's versions.
    fn list(&self) -> Result<()> {
        if let Self::GitHub(packages, known) = self {
            let versions = packages.versions()?;
            known.borrow_mut().extend(versions.into_iter().map(|version| (version.digest, version.id)));
        }
        Ok(())
    }
}
