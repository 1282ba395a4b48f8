//! Of which source an image is, as far as that can be known.

use semver::Version;

use cli_support::error::Fault;
use rust_workspace::git::GitSource;
use rust_workspace::tags::Tag;
use rust_workspace::version::{version_of, version_tag};

/// What an image says of its source, held against the source that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The commit; none where the image names none.
    pub revision: Option<String>,
    /// Whether files differed from it.
    pub dirty: bool,
    /// Whether it is the commit that is here, as far as the image says.
    pub is_here: bool,
}

impl Origin {
    /// Reads the image's own revision, `label`.
    pub fn of(label: Option<&str>, source: &GitSource) -> Self {
        let dirty = label.is_some_and(|label| label.ends_with("-dirty"));
        let revision = label.map(|label| label.trim_end_matches("-dirty").to_owned());
        let is_here = label == source.revision().as_deref();
        Self { revision, dirty, is_here }
    }

    /// Whether the files here are those that the image was made of: others may differ from a commit in other
    /// ways by now.
    pub fn has_files(&self) -> bool {
        self.is_here && !self.dirty && self.revision.is_some()
    }

    /// What a person should know who publishes it.
    pub fn doubt(&self) -> Option<String> {
        let what = match &self.revision {
            _ if self.has_files() => return None,
            None => "the image names no commit".to_owned(),
            Some(revision) if self.dirty => format!("the image is of files that differed from {revision}"),
            Some(revision) => format!("the image is of {revision}, and the files here are not"),
        };
        Some(format!("{what}: its provenance says so, and leaves out what only its builder knew"))
    }
}

/// Holds named tags against the version that the image says that it is, `label`. An error where it is another
/// release; where it is a version before one, what a person should know.
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
            Err(Fault::usage(format!("the image is the release {image}, and the tag makes it {version}"))
                .at(tag)
                .hint(format!("publish it as {image}, or make the image of the commit that is {version}")))
        }
        Some((tag, _)) => Ok(Some(format!("the image says that it is {label}, and the tag is {tag}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_workspace::tags::Motion;

    #[test]
    fn an_image_says_of_which_source_it_is() {
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
    fn a_release_is_published_as_itself_alone() {
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
