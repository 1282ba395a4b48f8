//! Reads back what was written and compares it.

use anyhow::Result;

use super::report::TagRow;
use super::tag_update;
use super::work::PublishWork;
use cli_support::error::Fault;
use cli_support::threads::{at_once, joined};
use oci_image::oci::Descriptor;
use rust_workspace::tags::{Motion, Tag};

/// An item to read back.
enum Item<'a> {
    Manifest(&'a Descriptor),
    Version(&'a Tag),
    Row(&'a TagRow),
}

impl PublishWork {
    /// Reads back all that was put. A moving tag was read when it was moved, and the rest at the same time.
    pub(super) fn read_back(&mut self) -> Result<String> {
        let read = self.read.take().unwrap_or_else(|| self.read_image());
        if let Some(unlisted) = read? {
            if self.is_kept {
                return Err(unlisted);
            }
            self.leave_out(unlisted)?;
        }
        Ok("the registry has the same bytes".to_owned())
    }

    /// Asks for the manifests, the tags that do not move forward, and the list of documents, at the same time. The
    /// inner error says that the registry does not list the documents. Where nothing was put, the inventory has read it.
    pub(super) fn read_image(&self) -> Result<Option<anyhow::Error>> {
        // Signing takes a while.
        if !self.setup.keep_first && self.is_there()? {
            if let Some(upload) = &self.opened {
                self.client.cancel_upload(&self.setup.to, upload);
            }
            return Ok(None);
        }
        let manifests = self.bundle.manifests.iter().chain([&self.bundle.top]).map(Item::Manifest);
        let fixed = self.setup.tags.iter().filter(|tag| tag.motion == Motion::Fixed).map(Item::Version);
        let is_fixed = |row: &&TagRow| {
            self.setup.tags.iter().any(|tag| tag.name == row.tag && tag.motion == Motion::Fixed)
        };
        let rows = self.rows.iter().filter(|row| row.state.is_ours() && !is_fixed(row)).map(Item::Row);
        let all: Vec<_> = manifests.chain(fixed).chain(rows).collect();
        std::thread::scope(|scope| {
            let listed = scope.spawn(|| if self.artifacts.is_empty() { Ok(()) } else { self.keep() });
            if let Some(upload) = &self.opened {
                scope.spawn(|| self.client.cancel_upload(&self.setup.to, upload));
            }
            at_once(&all, |item| self.check_item(item))?;
            Ok(joined(listed).err())
        })
    }

    fn check_item(&self, item: &Item<'_>) -> Result<()> {
        let (client, to, digest) = (&self.client, &self.setup.to, self.bundle.digest());
        match item {
            // The client compares what comes with the digest that was asked for.
            Item::Manifest(entry) => client.manifest(&to.with_digest(entry.digest)).map(drop),
            Item::Version(tag) => {
                let at = self.tag(tag)?;
                match client.manifest_if_any(&at)?.map(|manifest| manifest.digest) {
                    Some(found) if found == digest => Ok(()),
                    Some(found) => Err(Fault::gate(format!(
                        "another run has published {found} under this version"
                    ))
                    .at(&at)
                    .hint("two builds of one version differ: find out which one is right before it is used")
                    .into()),
                    None => tag_update::check_put(client, &at, &digest),
                }
            }
            Item::Row(row) => tag_update::check_put(client, &to.with_tag(&row.tag)?, &digest),
        }
    }
}
