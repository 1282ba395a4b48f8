//! The content of a repository before the first upload, and before the first tag is put: each is requested
//! in one round trip.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::attach;
use super::tag_update;
use super::work::PublishWork;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::threads::at_once;
use oci_registry::OpenUpload;
use oci_registry::retry::is_given_up;
use rust_workspace::tags::Motion;

/// The parts of an image that a repository has.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Blobs of the image and of its documents.
    pub blobs: BTreeSet<Digest>,
    /// Manifests of the image and of its documents.
    pub manifests: BTreeSet<Digest>,
    /// Digests that are listed as referrers of the image.
    pub listed: BTreeSet<Digest>,
    /// The digest of each tag, a version tag in both spellings.
    pub tags: BTreeMap<String, Option<Digest>>,
    /// All tags, where a tag moves forward and the registry lists tags.
    pub list: Option<Vec<String>>,
}

/// The content of a repository right before the first tag is put.
#[derive(Debug)]
pub struct Proof {
    /// The digest of each tag, a version tag in both spellings.
    pub tags: BTreeMap<String, Option<Digest>>,
    /// All tags, where a tag is to move forward without another look at it and the registry lists tags.
    pub list: Option<Vec<String>>,
}

/// A request of the inventory.
enum Item {
    Blob(Digest),
    Manifest(Digest),
    /// A manifest, by its bytes.
    Bytes(Digest),
    Referrers,
    Tag {
        name: String,
        is_fixed: bool,
    },
    List,
}

/// An answer.
enum Found {
    Blob(Digest, bool),
    Manifest(Digest, bool),
    Referrers(Vec<Digest>),
    Tag(String, Option<Digest>),
    List(Option<Vec<String>>),
}

impl PublishWork {
    /// Takes the inventory. Where it is refused, opens an upload first: that explains a missing right better, and a
    /// registry that refuses what is not there is understood once it has taken a write.
    pub(super) fn take_inventory(&self) -> Result<(Option<OpenUpload>, Inventory)> {
        let (client, to) = (&self.client, &self.setup.to);
        match self.inventory() {
            Ok(inventory) => Ok((None, inventory)),
            Err(error) if is_gate(&error) || is_given_up(&error) => Err(error),
            Err(_) => {
                let opened = client.open_upload(to)?;
                match self.inventory() {
                    Ok(inventory) => Ok((Some(opened), inventory)),
                    Err(error) => {
                        client.cancel_upload(to, &opened);
                        Err(error)
                    }
                }
            }
        }
    }

    fn inventory(&self) -> Result<Inventory> {
        let mut items: Vec<_> = self.all_blobs().map(Item::Blob).collect();
        let manifests = self.bundle.manifests.iter().chain([&self.bundle.top]).map(|entry| entry.digest);
        items.extend(manifests.map(Item::Bytes));
        items.extend(self.referrers()?.into_iter().map(Item::Manifest));
        if !self.artifacts.is_empty() {
            items.push(Item::Referrers);
        }
        items.extend(self.tag_items());
        if self.setup.tags.iter().any(|tag| self.moves(tag)) {
            items.push(Item::List);
        }
        let mut inventory = Inventory::default();
        for found in at_once(&items, |item| self.ask(item))? {
            match found {
                Found::Blob(digest, true) => drop(inventory.blobs.insert(digest)),
                Found::Manifest(digest, true) => drop(inventory.manifests.insert(digest)),
                Found::Referrers(digests) => inventory.listed.extend(digests),
                Found::Tag(name, digest) => drop(inventory.tags.insert(name, digest)),
                Found::List(names) => inventory.list = names,
                Found::Blob(_, false) | Found::Manifest(_, false) => {}
            }
        }
        inventory.list = complete(inventory.list, &inventory.tags);
        Ok(inventory)
    }

    /// Opens an upload for each blob that is lacking, of the image or of its documents, which proves the right to push
    /// before anything is sent; only one where blobs may be mounted, or where none is lacking and something else is.
    pub(super) fn open_uploads(&mut self) -> Result<()> {
        let (client, to) = (&self.client, &self.setup.to);
        let lacking: Vec<_> = self.all_blobs().filter(|one| !self.inventory.blobs.contains(one)).collect();
        if lacking.is_empty() || self.setup.from.is_some() {
            if self.opened.is_none() && !self.is_there()? {
                self.opened = Some(client.open_upload(to)?);
            }
            return Ok(());
        }
        let opened = at_once(&lacking, |digest| Ok((*digest, client.open_upload(to)?)))?;
        self.uploads = opened.into_iter().collect();
        Ok(())
    }

    /// Whether the inventory has all that is to be published, so that nothing is put and nothing is to be read again.
    pub(super) fn is_there(&self) -> Result<bool> {
        let there = &self.inventory;
        let mut manifests = self.bundle.manifests.iter().chain([&self.bundle.top]);
        let has_image = self.bundle.blobs.iter().all(|blob| there.blobs.contains(&blob.digest))
            && manifests.all(|entry| there.manifests.contains(&entry.digest));
        let is_listed = |digest: &Digest| there.manifests.contains(digest) && there.listed.contains(digest);
        Ok(has_image && !self.wants_tags() && self.referrers()?.iter().all(is_listed))
    }

    /// Asks once more for every blob and platform manifest, and for what the tags name now: a registry may lose what
    /// it took or had, and still take the manifests above it. With `top`, also for the manifest that is to be tagged.
    pub(super) fn prove(&self, top: bool) -> Result<Proof> {
        let mut items: Vec<_> = self.all_blobs().map(Item::Blob).collect();
        let top = top.then_some(&self.bundle.top);
        items.extend(self.bundle.manifests.iter().chain(top).map(|entry| Item::Manifest(entry.digest)));
        items.extend(self.tag_items());
        let is_new = |name: &String| self.inventory.tags.get(name).is_some_and(Option::is_none);
        if self.setup.tags.iter().any(|tag| self.moves(tag) && is_new(&tag.name)) {
            items.push(Item::List);
        }
        let (mut tags, mut list) = (BTreeMap::new(), None);
        for found in at_once(&items, |item| self.ask(item))? {
            let what = match found {
                Found::Blob(digest, false) => format!("blob {digest}"),
                Found::Manifest(digest, false) => format!("manifest {digest}"),
                Found::Tag(name, digest) => {
                    tags.insert(name, digest);
                    continue;
                }
                Found::List(names) => {
                    list = names;
                    continue;
                }
                Found::Blob(_, true) | Found::Manifest(_, true) | Found::Referrers(_) => continue,
            };
            return Err(Fault::failed(format!("the registry accepted the {what} but does not return it"))
                .at(self.setup.to.name())
                .hint("no tag was written; publish again, and if that fails too, report it to the registry's operator")
                .into());
        }
        let list = complete(list, &tags);
        Ok(Proof { tags, list })
    }

    /// The digests of the image's blobs and of its documents.
    fn all_blobs(&self) -> impl Iterator<Item = Digest> {
        let documents = attach::blobs(&self.artifacts).into_iter().map(Digest::of);
        self.bundle.blobs.iter().map(|blob| blob.digest).chain(documents)
    }

    fn tag_items(&self) -> impl Iterator<Item = Item> {
        self.setup.tags.iter().flat_map(|tag| {
            let is_fixed = tag.motion == Motion::Fixed;
            let twin = tag.twin.iter().filter(move |_| is_fixed);
            std::iter::once(&tag.name).chain(twin).map(move |name| Item::Tag { name: name.clone(), is_fixed })
        })
    }

    fn ask(&self, item: &Item) -> Result<Found> {
        let (client, to, ours) = (&self.client, &self.setup.to, self.bundle.digest());
        Ok(match item {
            Item::Blob(digest) => Found::Blob(*digest, client.has_blob(to, digest)?),
            Item::Manifest(digest) => {
                let head = client.head_manifest(&to.with_digest(*digest))?;
                Found::Manifest(*digest, head.is_some_and(|head| head.digest == *digest))
            }
            Item::Bytes(digest) => {
                let manifest = client.manifest_if_any(&to.with_digest(*digest))?;
                Found::Manifest(*digest, manifest.is_some())
            }
            // Without a list the documents are put again, and the list is read once more at the end.
            Item::Referrers => Found::Referrers(client.listed_referrers(to, &ours).unwrap_or_default()),
            Item::Tag { name, is_fixed } => {
                let at = to.with_tag(name)?;
                let digest = if *is_fixed {
                    let digest = client.manifest_if_any(&at)?.map(|manifest| manifest.digest);
                    tag_update::check_version_tag(&at, digest, &ours)?;
                    digest
                } else {
                    client.head_manifest(&at)?.map(|head| head.digest)
                };
                Found::Tag(name.clone(), digest)
            }
            // A refusal is ignored here: the step that needs the list requests it again and reports it.
            Item::List => Found::List(client.tags_or_refusal(to).ok().and_then(Result::ok)),
        })
    }
}

/// A list of tags, unless it lacks a tag that is there: such a list decides nothing.
fn complete(list: Option<Vec<String>>, tags: &BTreeMap<String, Option<Digest>>) -> Option<Vec<String>> {
    let has = |names: &Vec<String>| {
        tags.iter().all(|(name, digest)| digest.is_none() || names.iter().any(|one| one == name))
    };
    list.filter(has)
}

fn is_gate(error: &anyhow::Error) -> bool {
    cli_support::error::kind(error) == cli_support::error::ExitKind::Gate
}
