//! The variables of templates.

use semver::Version;

use super::date::date;
use super::derive::TagInputs;
use super::event::Ref;
use crate::version::{version_of, version_of_git, version_tag};

/// The commit hash, with a mark if files differ from it.
pub(super) fn commit(facts: &TagInputs<'_>, long: bool) -> String {
    // The commit of the pull request's branch is another one than the merge that is built.
    let revision = facts.event.head.as_deref().or(facts.revision).unwrap_or_default();
    let mark = if facts.dirty && !revision.is_empty() { "-dirty" } else { "" };
    format!("{}{mark}", revision.get(..7).filter(|_| !long).unwrap_or(revision))
}

/// The source's version, and that of the run's tag.
pub(super) fn own_versions(facts: &TagInputs<'_>) -> Vec<Version> {
    let of_run = match &facts.event.reference {
        Some(Ref::Tag(name)) => version_of_git(name, facts.tag_prefix),
        _ => None,
    };
    version_of(&version_tag(facts.version)).into_iter().chain(of_run).collect()
}

/// The value of a variable.
pub(super) fn global(name: &str, facts: &TagInputs<'_>) -> Option<String> {
    let of_ref = |wanted: fn(&Ref) -> Option<&String>| {
        facts.event.reference.as_ref().and_then(wanted).cloned().unwrap_or_default()
    };
    match name {
        "branch" => Some(of_ref(|reference| match reference {
            Ref::Branch(name) => Some(name),
            _ => None,
        })),
        "tag" => Some(of_ref(|reference| match reference {
            Ref::Tag(name) => Some(name),
            _ => None,
        })),
        "base_ref" => Some(facts.event.base.clone().unwrap_or_default()),
        "is_default_branch" => Some(facts.event.is_default_branch().to_string()),
        "is_not_default_branch" => Some((!facts.event.is_default_branch()).to_string()),
        // Versions below 1 are not compatible with each other, so a tag `0` would be misleading.
        "is_stable" => Some((facts.version.major > 0).to_string()),
        "sha" => Some(commit(facts, false)),
        "version" => Some(version_tag(facts.version)),
        _ => date(name, facts.time),
    }
}
