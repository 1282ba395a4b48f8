//! The tags: the version's first, then those that depend on no other, then the moving ones.

use anyhow::Result;

use super::inventory::Proof;
use super::report::{TagRow, TagState};
use super::tag_guard;
use super::tag_update::{self, Tagged};
use super::work::PublishWork;
use cli_support::threads::at_once;
use rust_workspace::tags::{Motion, Tag};

impl PublishWork {
    /// Puts the version's tag, and then those that depend on no other.
    pub(super) fn put_tags(&mut self) -> Result<String> {
        let proof = match self.proof.take() {
            Some(proof) => proof,
            None if self.wants_tags() => self.prove(true)?,
            None => Proof { tags: self.inventory.tags.clone(), list: self.inventory.list.clone() },
        };
        let bytes = self.bundle.layout.read(&self.bundle.top)?;
        let tagged = self.tagged(&bytes);
        let put = |tag: &&Tag| {
            let now = proof.tags.get(&tag.name).copied().flatten();
            Ok(row(tag, tag_update::put(&self.client, &self.setup.to, tag, tagged, now)?))
        };
        let tags = self.setup.tags.iter().filter(|tag| !tag.motion.is_forward());
        // The version first: everything else may then be made from it again.
        let (fixed, others): (Vec<_>, Vec<_>) = tags.partition(|tag| tag.motion == Motion::Fixed);
        let mut rows = at_once(&fixed, put)?;
        rows.extend(at_once(&others, put)?);
        self.before = Some(proof);
        Ok(self.note(rows))
    }

    /// Moves the moving tags forward, each by itself, and reads back what was put before.
    pub(super) fn move_tags(&mut self) -> Result<String> {
        let bytes = self.bundle.layout.read(&self.bundle.top)?;
        let tagged = self.tagged(&bytes);
        let (client, to) = (&self.client, &self.setup.to);
        let known_tags: Vec<_> = self.of_version().map(|tag| tag.name.as_str()).collect();
        let list = self.before.as_ref().and_then(|before| before.list.as_deref());
        // For tags that the list decides: the tag is new, or names this image already.
        let settled = |tag: &Tag| {
            let named = *self.before.as_ref()?.tags.get(&tag.name)?;
            named.is_none_or(|named| named == tagged.digest).then_some(named)
        };
        let put = |tag: &&Tag| {
            let at = self.tag(tag)?;
            let state = if let Some(version) = &self.setup.version {
                let early = list.zip(settled(tag));
                tag_update::forward(client, &at, tag, version, tagged, &known_tags, early)?
            } else {
                tag_guard::check_unknown(client, to, tag, &tagged.digest)?;
                let now = client.head_manifest(&at)?.map(|head| head.digest);
                let state = tag_update::put(client, to, tag, tagged, now)?;
                tag_update::check_put(client, &at, &tagged.digest)?;
                state
            };
            Ok(row(tag, state))
        };
        let tags: Vec<_> = self.setup.tags.iter().filter(|tag| tag.motion.is_forward()).collect();
        let rows = at_once(&tags, put)?;
        // Not at the same time: docker-registry 2.8 answers 500 to a read of a manifest that another tag is put for.
        self.read = Some(self.read_image());
        Ok(self.note(rows))
    }

    fn tagged<'a>(&'a self, bytes: &'a [u8]) -> Tagged<'a> {
        Tagged { bytes, media_type: &self.bundle.top.media_type, digest: self.bundle.digest() }
    }

    fn of_version(&self) -> impl Iterator<Item = &Tag> {
        self.setup.tags.iter().filter(|tag| tag.motion == Motion::Fixed)
    }

    fn note(&mut self, rows: Vec<TagRow>) -> String {
        let names: Vec<_> = rows.iter().map(|row| row.tag.clone()).collect();
        self.rows.extend(rows);
        names.join(", ")
    }
}

fn row(tag: &Tag, state: TagState) -> TagRow {
    TagRow { tag: tag.name.clone(), moves: tag.motion.word(), state }
}
