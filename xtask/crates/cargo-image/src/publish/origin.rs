//! The source of an image, as far as it is known.

use semver::Version;

use cli_support::error::Fault;
use rust_workspace::git::GitSource;
use rust_workspace::tags::Tag;
use rust_workspace::version::{version_of, version_tag};

/// The source according to the image, compared with the working tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The commit; none if the image has no label with it.
    pub revision: Option<String>,
    /// Whether files differed from the commit.
    pub dirty: bool,
    /// Whether it is the commit of the working tree.
    pub is_here: bool,
}

impl Origin {
    /// Compares the image's revision label with the working tree.
    pub fn of(label: Option<&str>, source: &GitSource) -> Self {
        let dirty = label.is_some_and(|label| label.ends_with("-dirty"));
        let revision = label.map(|label| label.trim_end_matches("-dirty").to_owned());
        let is_here = label == source.revision().as_deref();
        Self { revision, dirty, is_here }
    }

    /// Whether the image was built from the files of this working tree. With uncommitted changes they may have changed
    /// since.
    pub fn has_files(&self) -> bool {
        self.is_here && !self.dirty && self.revision.is_some()
    }

    /// A warning for the publisher.
    pub fn doubt(&self) -> Option<String> {
        let what = match &self.revision {
            _ if self.has_files() => return None,
            None => "the image has no label with its commit".to_owned(),
            Some(revision) if self.dirty => {
                format!("the image was built from {revision} with uncommitted changes")
            }
            Some(revision) => format!("the image was built from {revision}, which is not the commit here"),
        };
        Some(format!("{what}: its provenance will have neither the builder nor digests of files"))
    }
}

/// Compares tags of the command line with the image's version label. An error if the image is another release; a
/// warning if it is another pre-release.
pub fn check_version(label: Option<&str>, tags: &[Tag]) -> Result<Option<String>, Fault> {
    let image = label.and_then(version_of);
    let (Some(label), Some(image)) = (label, image) else { return Ok(None) };
    let same = |version: &Version| label.replace('+', "-") == version_tag(version) || image == *version;
    let other = tags.iter().find_map(|tag| {
        let version = tag.version.as_ref().filter(|version| !same(version))?;
        Some((&tag.name, version))
    });
    match other {
        None => Ok(None),
        Some((tag, version)) if image.pre.is_empty() => {
            Err(Fault::usage(format!("the image is release {image}, but the tag is version {version}"))
                .at(tag)
                .hint(format!("publish it as {image}, or build the commit of {version}")))
        }
        Some((tag, _)) => Ok(Some(format!("the image has the version {label}, but the tag is {tag}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_workspace::tags::Motion;

    #[test]
    fn the_revision_label_is_compared_with_git() {
        let source = |dirty| GitSource { revision: Some("abc".into()), dirty, ..GitSource::default() };
        for (label, source, revision, dirty, is_here) in [
            (Some("abc"), source(false), Some("abc"), false, true),
            (Some("abc"), source(true), Some("abc"), false, false),
            (Some("abc-dirty"), source(true), Some("abc"), true, true),
            (Some("abc-dirty"), source(false), Some("abc"), true, false),
            (Some("def"), source(false), Some("def"), false, false),
            (Some("abc"), GitSource::default(), Some("abc"), false, false),
            (None, source(false), None, false, false),
            (None, GitSource::default(), None, false, true),
        ] {
            let found = Origin::of(label, &source);
            assert_eq!(
                found,
                Origin { revision: revision.map(str::to_owned), dirty, is_here },
                "{label:?} {source:?}"
            );
            let whole = is_here && !dirty && revision.is_some();
            assert_eq!((found.has_files(), found.doubt().is_none()), (whole, whole));
        }
    }

    #[test]
    fn a_release_is_published_only_as_its_version() {
        for (label, tag, expected) in [
            (Some("1.0.0"), "1.0.0", ""),
            (Some("1.0.0"), "v1.0.0", ""),
            (Some("1.0.0"), "9.9.9", "error"),
            (Some("1.0.0"), "1.0.0-rc.1", "error"),
            (Some("1.0.0"), "main", ""),
            (Some("0.1.0-dev.4+gabc"), "1.0.0", "doubt"),
            (Some("0.1.0-dev.4+gabc"), "0.1.0-dev.4-gabc", ""),
            (Some("1.0.0-rc.1"), "1.0.0", "doubt"),
            (Some("22.04"), "1.0.0", ""),
            (None, "1.0.0", ""),
        ] {
            let version = version_of(tag);
            let tag =
                Tag { name: tag.into(), rule: "--tag".into(), motion: Motion::Free, version, twin: None };
            let found = match check_version(label, std::slice::from_ref(&tag)) {
                Ok(None) => "",
                Ok(Some(_)) => "doubt",
                Err(_) => "error",
            };
            assert_eq!(found, expected, "{label:?} {}", tag.name);
        }
    }
}
