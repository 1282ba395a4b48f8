//! What was put is read back and compared.

use anyhow::Result;

use super::attach;
use super::report::TagRow;
use super::tag_update;
use super::work::PublishWork;
use cli_support::error::Fault;
use cli_support::threads::each;
use oci_image::oci::Descriptor;
use rust_workspace::tags::{Motion, Tag};

/// What is read back.
enum Look<'a> {
    Manifest(&'a Descriptor),
    Version(&'a Tag),
    Row(&'a TagRow),
    Referrers,
}

impl PublishWork {
    /// Asks for all that was put, at the same time.
    pub(super) fn read_back(&self) -> Result<String> {
        let manifests = self.parcel.manifests.iter().chain([&self.parcel.top]).map(Look::Manifest);
        let fixed = self.setup.tags.iter().filter(|tag| tag.motion == Motion::Fixed).map(Look::Version);
        let is_fixed = |row: &&TagRow| {
            self.setup.tags.iter().any(|tag| tag.name == row.tag && tag.motion == Motion::Fixed)
        };
        let rows = self.rows.iter().filter(|row| row.state.is_ours() && !is_fixed(row)).map(Look::Row);
        let referrers = (!self.artifacts.is_empty()).then_some(Look::Referrers);
        let all = manifests.chain(fixed).chain(rows).chain(referrers);
        each(&all.collect::<Vec<_>>(), |look| self.look(look))?;
        Ok("the registry has the same bytes".to_owned())
    }

    fn look(&self, look: &Look<'_>) -> Result<()> {
        let (client, to, digest) = (&self.client, &self.setup.to, self.parcel.digest());
        match look {
            Look::Referrers => attach::keep(client, to, &self.parcel.top, &self.artifacts),
            // The client holds what comes against the digest that was asked for.
            Look::Manifest(entry) => client.manifest(&to.with_digest(entry.digest)).map(drop),
            Look::Version(tag) => {
                let at = self.tag(tag)?;
                match client.manifest_if_any(&at)?.map(|manifest| manifest.digest) {
                    Some(found) if found == digest => Ok(()),
                    Some(found) => Err(Fault::gate(format!(
                        "another run has put {found} here in the meantime"
                    ))
                    .at(&at)
                    .hint("two builds of one version differ: find out which is right before anyone uses it")
                    .into()),
                    None => tag_update::check_put(client, &at, &digest),
                }
            }
            Look::Row(row) => {
                let at = to.with_tag(&row.tag)?;
                let moved = self.setup.tags.iter().any(|tag| tag.name == row.tag && self.moves(tag));
                if !moved {
                    return tag_update::check_put(client, &at, &digest);
                }
                // It may be on a higher version by now, but it must be there.
                match client.head_manifest(&at)? {
                    Some(_) => Ok(()),
                    None => {
                        Err(Fault::failed("the registry took this tag and does not have it").at(&at).into())
                    }
                }
            }
        }
    }
}
