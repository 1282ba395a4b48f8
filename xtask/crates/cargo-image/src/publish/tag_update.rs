//! Writes tags: a version's tag never changes, a moving tag only moves forward.

use std::time::Duration;

use anyhow::Result;
use semver::Version;

use super::image_version::image_version;
use super::report::TagState;
use super::tag_guard::TagHold;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::threads::joined;
use oci_registry::{Client, Reference};
use rust_workspace::tags::{Motion, Tag};

/// How often a moving tag is checked again while other runs move it.
const ROUNDS: usize = 8;

/// How often a list of tags is requested that lacks a new tag, and the growing pause between requests.
const MAX_CHECKS: u32 = 8;
const BETWEEN: Duration = Duration::from_millis(200);

/// How often a tag is requested after it was written.
const CHECKS_AFTER: u32 = 4;

const NOT_RETURNED: &str = "publish again; if that fails too, report it to the registry's operator";

/// The manifest to tag.
#[derive(Debug, Clone, Copy)]
pub struct Tagged<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its media type.
    pub media_type: &'a str,
    /// Its digest.
    pub digest: Digest,
}

/// An error where a version's tag names other bytes than ours.
pub fn check_version_tag(at: &Reference, named: Option<Digest>, ours: &Digest) -> Result<(), Fault> {
    match named.filter(|named| named != ours) {
        None => Ok(()),
        Some(other) => Err(Fault::gate(format!("this version is published with other bytes, {other}"))
            .at(at)
            .hint("a version is never overwritten: tag the next version, or publish the same commit, which gives the same bytes")),
    }
}

/// The digest of a version tag. An error if it names other bytes than ours, in either of its spellings.
fn version_tag(client: &Client, to: &Reference, tag: &Tag, ours: &Digest) -> Result<Option<Digest>> {
    let mut named = None;
    for name in [tag.twin.as_ref(), Some(&tag.name)].into_iter().flatten() {
        let at = to.with_tag(name)?;
        named = client.head_manifest(&at)?.map(|head| head.digest);
        check_version_tag(&at, named, ours)?;
    }
    Ok(named)
}

/// Writes a tag that does not depend on others to the repository `to`.
pub fn put(
    client: &Client,
    to: &Reference,
    tag: &Tag,
    tagged: Tagged<'_>,
    now: Option<Digest>,
) -> Result<TagState> {
    let at = to.with_tag(&tag.name)?;
    let ours = tagged.digest;
    let read_tag = || match tag.motion {
        Motion::Fixed => version_tag(client, to, tag, &ours),
        _ => Ok(client.head_manifest(&at)?.map(|head| head.digest)),
    };
    // The tag before each attempt: another run may have written it, or an earlier attempt succeeded and its answer was
    // lost.
    let mut seen = Vec::new();
    let put = client.put_manifest_if(&at, tagged.bytes, tagged.media_type, &mut || {
        let now = if seen.is_empty() { now } else { read_tag()? };
        seen.push(now);
        Ok(now != Some(ours) && (now.is_none() || tag.motion != Motion::Once))
    })?;
    let (before, last) = (seen.first().copied().flatten(), seen.last().copied().flatten());
    Ok(match (put, before, last) {
        (None, _, Some(other)) if other != ours => TagState::Taken(other),
        (_, Some(digest), _) if digest == ours => TagState::Unchanged,
        (_, Some(_), _) => TagState::Moved,
        (_, None, _) => TagState::Created,
    })
}

/// An error if a tag that was written does not name `digest`. The tag is requested several times, because a registry
/// may answer with old data.
pub fn check_put(client: &Client, at: &Reference, digest: &Digest) -> Result<()> {
    let mut found = None;
    for attempt in 0..CHECKS_AFTER {
        std::thread::sleep(BETWEEN * attempt);
        found = client.head_manifest(at)?.map(|head| head.digest);
        if found == Some(*digest) {
            return Ok(());
        }
    }
    Err(match found {
        None => Fault::failed("the registry accepted the tag but does not return it").at(at).hint(NOT_RETURNED),
        Some(other) => Fault::failed(format!("the tag names {other}, but {digest} was written"))
            .at(at)
            .hint("another run may have come in between; if none has, publish again; if that fails too, report it to the registry's operator"),
    }
    .into())
}

/// Moves a tag forward to `tagged`, which is `version`, unless the registry has a higher version of the same line, by
/// its tags or by the label of the tagged image. Registries have no conditional writes: after the write the tags are
/// read again, and a higher version of another run gets the tag. `known` are tags that the registry has; a list
/// without them is incomplete. `early` is such a list and what the tag named at that moment.
pub fn forward(
    client: &Client,
    at: &Reference,
    tag: &Tag,
    version: &Version,
    tagged: Tagged<'_>,
    known_tags: &[&str],
    early: Option<(&[String], Option<Digest>)>,
) -> Result<TagState> {
    // A pre-release, or a version of another line.
    if !tag.motion.covers(&tag.name, version) {
        return Ok(TagState::NotOurs);
    }
    let mut state = TagState::Unchanged;
    let mut wrote = false;
    // The tag's digest before the write, and how often it did not change.
    let (mut before, mut lost) = (None, 0);
    let mut early = early.filter(|(tags, _)| !rivals(tag, tags).iter().any(|(rival, _)| rival > version));
    for _ in 0..ROUNDS {
        let (current, tags) = match early.take() {
            Some((tags, named)) => (named, Some(tags.to_vec())),
            None => named_and_listed(client, at, tag, known_tags)?,
        };
        lost += usize::from(wrote && current == before);
        before = current;
        let Some(tags) = tags else {
            return by_image(client, at, tag, version, tagged, current);
        };
        match (higher_rival(client, at, tag, Some(version), &tags)?, current) {
            (None, Some(current)) if current == tagged.digest => return Ok(state),
            (None, current) => {
                // A version may have no tag of its own.
                let named = current.map(|digest| image_version(client, at, &digest)).transpose()?.flatten();
                if let Some(named) =
                    named.filter(|named| named > version && tag.motion.covers(&tag.name, named))
                {
                    return Ok(TagState::Left(TagHold::Image(named)));
                }
                client.put_manifest(at, tagged.bytes, tagged.media_type)?;
                state = if current.is_some() { TagState::Moved } else { TagState::Created };
            }
            // The present tag was a choice, perhaps a rollback; only a write of this run is undone.
            (Some(Rival { version, name, .. }), _) if !wrote => {
                return Ok(TagState::Left(TagHold::Tag(name, version)));
            }
            (Some(Rival { version, name, digest }), current) => {
                state = TagState::Left(TagHold::Tag(name, version));
                if current == Some(digest) {
                    return Ok(state);
                }
                let theirs = client.manifest(&at.with_digest(digest))?;
                client.put_manifest(at, &theirs.bytes, &theirs.media_type)?;
            }
        }
        wrote = true;
    }
    Err(if lost + 1 == ROUNDS {
        let named = before.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        Fault::failed(format!("the registry accepted the tag {ROUNDS} times, but it still names {named}"))
            .at(at)
            .hint(NOT_RETURNED)
    } else {
        Fault::failed("other runs kept moving the tag").at(at).hint("publish again when they have ended")
    }
    .into())
}

/// The same if the registry lists no tags: the version of the tagged image decides.
fn by_image(
    client: &Client,
    at: &Reference,
    tag: &Tag,
    version: &Version,
    tagged: Tagged<'_>,
    current: Option<Digest>,
) -> Result<TagState> {
    let Some(digest) = current.filter(|digest| *digest != tagged.digest) else {
        if current.is_some() {
            return Ok(TagState::Unchanged);
        }
        client.put_manifest(at, tagged.bytes, tagged.media_type)?;
        check_put(client, at, &tagged.digest)?;
        return Ok(TagState::Created);
    };
    match image_version(client, at, &digest)?.filter(|named| tag.motion.covers(&tag.name, named)) {
        None => Ok(TagState::Undecided),
        Some(named) if named > *version => Ok(TagState::Left(TagHold::Image(named))),
        Some(_) => {
            client.put_manifest(at, tagged.bytes, tagged.media_type)?;
            check_put(client, at, &tagged.digest)?;
            Ok(TagState::Moved)
        }
    }
}

/// The digest of a tag, and the registry's list of tags. The list must have the known tags. Both are requested at the same
/// time.
pub(super) fn named_and_listed(
    client: &Client,
    at: &Reference,
    tag: &Tag,
    known_tags: &[&str],
) -> Result<(Option<Digest>, Option<Vec<String>>)> {
    let (current, list) = std::thread::scope(|scope| {
        let list = scope.spawn(|| client.tags_or_refusal(at));
        (client.head_manifest(at), joined(list))
    });
    let current = current?.map(|head| head.digest);
    let known_tags: Vec<_> = known_tags.iter().copied().chain(current.map(|_| tag.name.as_str())).collect();
    Ok((current, listed(client, at, &known_tags, list?)?))
}

/// The registry's tags, including those that it is known to have, because a list may be old. None if the registry
/// lists no tags.
fn listed(
    client: &Client,
    at: &Reference,
    known_tags: &[&str],
    mut list: Result<Vec<String>>,
) -> Result<Option<Vec<String>>> {
    let mut lacks = String::new();
    for attempt in 1..=MAX_CHECKS {
        let Ok(tags) = list else { return Ok(None) };
        match known_tags.iter().find(|name| !tags.iter().any(|tag| tag == *name)) {
            None => return Ok(Some(tags)),
            Some(name) => (*name).clone_into(&mut lacks),
        }
        if attempt == MAX_CHECKS {
            break;
        }
        std::thread::sleep(BETWEEN * attempt);
        list = client.tags_or_refusal(at)?;
    }
    Err(Fault::failed(format!("the registry has the tag {lacks}, but its list of tags lacks it"))
        .at(at)
        .hint("the highest version is unknown, so the tag was not moved: publish again later")
        .into())
}

/// A version in the registry that competes for a moving tag.
pub(super) struct Rival {
    pub version: Version,
    /// Its own tag.
    pub name: String,
    /// The tag's digest.
    pub digest: Digest,
}

/// The highest version that competes for a tag, and is above `version` if that is given. A listed tag without a
/// manifest is of a run that is publishing now and will move the tag itself.
pub(super) fn higher_rival(
    client: &Client,
    at: &Reference,
    tag: &Tag,
    version: Option<&Version>,
    tags: &[String],
) -> Result<Option<Rival>> {
    for (rival, name) in rivals(tag, tags).into_iter().rev() {
        if version.is_some_and(|version| rival <= *version) {
            break;
        }
        if let Some(head) = client.head_manifest(&at.with_tag(&name)?)? {
            return Ok(Some(Rival { version: rival, name, digest: head.digest }));
        }
    }
    Ok(None)
}

/// The versions in a registry that compete for a tag, in ascending order, each with its own tag.
fn rivals(tag: &Tag, tags: &[String]) -> Vec<(Version, String)> {
    let rival = |other: &String| Some((tag.motion.rival(&tag.name, other)?, other.clone()));
    let mut rivals: Vec<_> = tags.iter().filter_map(rival).collect();
    rivals.sort();
    rivals
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_workspace::tags::Names;

    #[test]
    fn the_registrys_own_tags_decide() {
        let tags: Vec<_> =
            ["1.1.0", "1.1.7", "1.2.0", "2.0.0-rc.1", "sha256-aa", "main", "latest", "1.2", "1"]
                .map(str::to_owned)
                .into();
        for (tag, expected) in [
            ("latest", Some("1.2.0")),
            ("1", Some("1.2.0")),
            ("1.1", Some("1.1.7")),
            ("2", None),
            ("main", None),
        ] {
            let motion = Names::plain().judge(tag).motion;
            let (name, rule) = (tag.to_owned(), String::new());
            let tag = Tag { name, rule, motion, version: None, twin: None };
            let found = rivals(&tag, &tags).pop().map(|(_, name)| name);
            assert_eq!(found.as_deref(), expected, "{tag:?}");
        }
    }
}
