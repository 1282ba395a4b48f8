//! Why a moving tag is not moved.

use std::fmt;

use anyhow::Result;
use semver::Version;

use super::image_version::image_version;
use super::tag_update::{higher_rival, named_and_listed};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_registry::{Client, Reference};
use rust_workspace::tags::Tag;
use rust_workspace::version::is_dated;

/// A higher version than that of the image, and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagHold {
    /// A tag of the registry with this version.
    Tag(String, Version),
    /// The version label of the image that has the moving tag.
    Image(Version),
}

impl TagHold {
    /// A warning if this may not be a version of the same line: a date as a tag or label, or a label of the base
    /// image.
    pub fn doubt(&self, tag: &str, version: &Version) -> Option<String> {
        let (what, help) = match self {
            Self::Tag(name, higher) if is_dated(higher) && !is_dated(version) => (
                format!("the tag {name} is a higher version than {version}"),
                format!(
                    "if it is a date, delete the tag {name} from the registry, give a prefix to the rule for \
                     such tags, and publish again"
                ),
            ),
            Self::Image(_) if is_dated(version) => return None,
            Self::Image(higher) => (
                format!("the tagged image has the version {higher}, which is higher than {version}"),
                format!(
                    "if that is a date or the version of its base image, delete the tag {tag} from the registry and \
                     publish again"
                ),
            ),
            Self::Tag(..) => return None,
        };
        Some(format!("{tag} is not moved: {what}; {help}"))
    }
}

impl fmt::Display for TagHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(name, _) => write!(f, "{name} is out"),
            Self::Image(version) => write!(f, "the image there says {version}"),
        }
    }
}

/// An error if a moving tag would be moved to the image with this digest, which has no version, although the registry
/// has versions.
pub fn check_unknown(client: &Client, to: &Reference, tag: &Tag, digest: &Digest) -> Result<()> {
    let at = to.with_tag(&tag.name)?;
    let (current, tags) = named_and_listed(client, &at, tag, &[])?;
    if current == Some(*digest) {
        return Ok(());
    }
    let tags = tags.unwrap_or_default();
    let by_image = || current.map(|digest| image_version(client, &at, &digest)).transpose();
    let hold = match higher_rival(client, &at, tag, None, &tags)? {
        Some(rival) => Some(TagHold::Tag(rival.name, rival.version)),
        None => by_image()?.flatten().map(TagHold::Image),
    };
    hold.map_or(Ok(()), |hold| Err(unknown(&at, &hold).into()))
}

fn unknown(at: &Reference, hold: &TagHold) -> Fault {
    let known = match hold {
        TagHold::Tag(name, _) => format!("the registry already has {name}"),
        TagHold::Image(version) => format!("the image that it names now has the version {version}"),
    };
    let tag = at.tag().unwrap_or_default();
    let why = format!("cannot move `{tag}`: the image has no version label, and {known}");
    Fault::gate(why).at(at).hint(
        "set its version: the annotation org.opencontainers.image.version of the index, or also --tag VERSION",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_looks_like_a_date_gets_a_hint_to_delete_it() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let by_tag = |name: &str| TagHold::Tag(format!("v{name}"), version(name));
        for (hold, of, words) in [
            (by_tag("1.3.0"), "1.2.0", None),
            (by_tag("2024.1.1"), "1.2.0", Some("the tag v2024.1.1 is a higher version than 1.2.0")),
            (by_tag("2024.1.1"), "1.2.0", Some("delete the tag v2024.1.1")),
            (by_tag("20240101.0.0"), "1.2.0", Some("delete the tag v20240101.0.0")),
            // A project whose versions are days.
            (by_tag("2024.1.1"), "2023.1.1", None),
            (by_tag("120.0.1"), "119.0.0", None),
            (TagHold::Image(version("1.27.0")), "1.2.0", Some("the version of its base")),
            (TagHold::Image(version("2024.2.1")), "2024.1.1", None),
            (TagHold::Image(version("2024.1.1")), "1.2.0", Some("the tagged image has the version 2024.1.1")),
            (TagHold::Image(version("2024.1.1")), "1.2.0", Some("delete the tag latest")),
        ] {
            let doubt = hold.doubt("latest", &version(of));
            match (&doubt, words) {
                (None, None) => {}
                (Some(text), Some(words)) => assert!(text.contains(words), "{text}"),
                _ => panic!("{hold:?} {of}: {doubt:?}"),
            }
        }
    }
}
