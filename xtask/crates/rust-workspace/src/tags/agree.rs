//! Checks that git's version tag and the crate's version are equal.

use semver::{BuildMetadata, Version};

use super::event::{Event, Ref};
use crate::git::GitSource;
use crate::version::version_of_git;
use cli_support::error::Fault;

/// Checks that the version tag is the crate's version and that no file differs from the tagged commit. The tag is that of the
/// CI run, else the one on this commit.
pub fn check(
    event: &Event,
    source: &GitSource,
    of_crate: &Version,
    package: &str,
    prefix: &str,
) -> Result<(), Fault> {
    let run_for = match &event.reference {
        Some(Ref::Tag(tag)) => version_of_git(tag, prefix).map(|version| (version, tag.clone())),
        _ => None,
    };
    let here = source.nearest.as_ref().filter(|(_, ahead)| *ahead == 0 && !source.dirty);
    let here = here.map(|(version, _)| (version.clone(), format!("a tag of {}", short(source))));
    let Some((version, place)) = run_for.or(here) else { return Ok(()) };
    if version != (Version { build: BuildMetadata::EMPTY, ..of_crate.clone() }) {
        return Err(Fault::usage(format!(
            "git's tag is version {version}, but Cargo.toml of {package} has {of_crate}"
        ))
        .at(place)
        .hint(format!(
            "set version = \"{version}\" in Cargo.toml and move the tag there, or tag {prefix}v{of_crate}"
        )));
    }
    if source.dirty && event.run.is_some() {
        return Err(Fault::usage("files differ from the tagged commit")
            .at(place)
            .hint("git status lists them; publish a version from a clean checkout"));
    }
    Ok(())
}

fn short(source: &GitSource) -> String {
    source.revision.as_deref().unwrap_or_default().chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

    fn event(text: &str) -> Event {
        let reference = match text.split_once(' ') {
            Some(("tag", name)) => Some(Ref::Tag(name.to_owned())),
            Some((_, name)) => Some(Ref::Branch(name.to_owned())),
            None => None,
        };
        Event { reference, ..Event::default() }
    }

    #[test]
    fn a_tag_and_the_crate_must_agree() {
        let tagged = |version: &str, ahead, dirty| GitSource {
            revision: Some(REVISION.to_owned()),
            nearest: Some((version.parse().unwrap(), ahead)),
            dirty,
            ..GitSource::default()
        };
        let says = "git's tag is version 1.2.4, but Cargo.toml of x has";
        for (on, source, of_crate, expected) in [
            ("tag v1.2.3", tagged("1.2.3", 0, true), "1.2.3", None),
            ("tag 1.2.3", tagged("1.2.3", 0, false), "1.2.3", None),
            ("tag v1.2.3+b", tagged("1.2.3", 0, false), "1.2.3+c", None),
            ("tag v1.2.4", tagged("1.2.4", 0, false), "1.2.3", Some(format!("v1.2.4: {says} 1.2.3"))),
            ("tag 1.2.4", GitSource::default(), "1.2.3", Some(format!("1.2.4: {says} 1.2.3"))),
            // Two on one commit: the one that the run is for.
            ("tag v1.2.3", tagged("1.2.4", 0, false), "1.2.3", None),
            ("tag other", GitSource::default(), "1.2.3", None),
            ("branch v1.2.4", GitSource::default(), "1.2.3", None),
            ("branch main", tagged("1.2.4", 3, false), "1.2.3", None),
            ("branch main", tagged("1.2.4", 0, true), "1.2.3", None),
            (
                "branch main",
                tagged("1.2.4", 0, false),
                "1.2.3",
                Some(format!("a tag of 0123456: {says} 1.2.3")),
            ),
        ] {
            let found = check(&event(on), &source, &of_crate.parse().unwrap(), "x", "");
            assert_eq!(found.err().map(|fault| fault.to_string()), expected, "{on}");
        }
        let on_github = Event { run: Some(super::super::Run::default()), ..event("tag v1.2.3") };
        let check = |dirty| check(&on_github, &tagged("1.2.3", 0, dirty), &Version::new(1, 2, 3), "x", "");
        assert!(check(true).is_err() && check(false).is_ok());
    }
}
