//! Derives tags from the rules, git and the event.

use semver::Version;

use super::event::{Event, Ref};
use super::globals::{commit, global, own_versions};
use super::motion::{Motion, latest, render};
use super::names::{Names, fold};
use super::owner::{belongs, reserved};
use super::rule::{Latest, RefKind, Rule, RuleKind};
use super::template::{fill, sanitise};
use crate::version::{version_of, version_of_git, version_tag};
use cli_support::error::Fault;
use oci_registry::Reference;

/// The inputs of tags.
#[derive(Clone, Debug)]
pub struct TagInputs<'a> {
    /// The rules, in the order of the settings.
    pub rules: &'a [Rule],
    /// Whether `latest` is a tag.
    pub latest: Latest,
    /// Prefix and suffix of `latest`.
    pub around_latest: (&'a str, &'a str),
    /// Prefix of the version in git's tags.
    pub tag_prefix: &'a str,
    /// The event.
    pub event: &'a Event,
    /// The source's version.
    pub version: &'a Version,
    /// The commit.
    pub revision: Option<&'a str>,
    /// Whether files differ from it.
    pub dirty: bool,
    /// The commit's time, in seconds since 1970.
    pub time: u64,
}

/// A tag and its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tag.
    pub name: String,
    /// The rule, in words.
    pub rule: String,
    /// Whether and how it may move.
    pub motion: Motion,
    /// Its version, if it has one.
    pub version: Option<Version>,
    /// The other spelling of its version, with or without `v`.
    pub twin: Option<String>,
}

/// The tags, the first of which is the image's version (docker/metadata-action's output `version`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// In the order of priority; `latest` is the last.
    pub tags: Vec<Tag>,
    /// Warnings.
    pub notes: Vec<String>,
}

/// Derives the tags. If no rule gives one, the version is the tag.
pub fn derive(facts: &TagInputs<'_>) -> Result<Derived, Fault> {
    let names = names(facts)?;
    let mut rules: Vec<_> = facts.rules.iter().collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority()));
    let mut tags: Vec<Tag> = Vec::new();
    let mut first = None;
    for rule in rules {
        let Some(Given { tag, of_release, around }) = apply(rule, facts, &names)? else { continue };
        if first.is_none() {
            first = Some((of_release, around));
        }
        if !tags.iter().any(|other| other.name == tag.name) {
            tags.push(tag);
        }
    }
    if tags.is_empty() {
        let name = version_tag(facts.version);
        let (version, twin) = (version_of(&name), names.judge(&name).twin);
        tags.push(Tag { name, rule: "version".to_owned(), motion: Motion::Fixed, version, twin });
    }
    let wanted = match facts.latest {
        Latest::Auto => first.as_ref().is_some_and(|(of_release, _)| *of_release),
        Latest::Always => true,
        Latest::Never => false,
    };
    let (before, behind) = facts.around_latest;
    let name = sanitise(&format!("{before}latest{behind}"));
    if wanted && !tags.iter().any(|tag| tag.name == name) {
        let (_, (prefix, suffix)) = first.unwrap_or_default();
        let motion = latest(&prefix, &suffix);
        let rule = "latest".to_owned();
        tags.push(Tag { name, rule, motion, version: None, twin: None });
    }
    let notes = notes(facts, &tags);
    Ok(Derived { tags, notes })
}

/// Warnings of tags that a user may expect and that no rule gives, or that are not pushed.
fn notes(facts: &TagInputs<'_>, tags: &[Tag]) -> Vec<String> {
    let mut notes = Vec::new();
    let reads_tags = |rule: &Rule| matches!(rule.kind, RuleKind::Semver(_)) && rule.value.is_none();
    if let Some(Ref::Tag(name)) = &facts.event.reference
        && facts.rules.iter().any(reads_tags)
        && version_of_git(name, facts.tag_prefix).is_none()
    {
        let form = format!("{}v1.2.3", facts.tag_prefix);
        notes.push(format!(
            "the tag '{name}' is not a version such as {form}: rules of type semver give no tag (tag-prefix sets what is \
             before the version)"
        ));
    }
    if facts.event.name == "git" && facts.event.reference.is_none() && facts.revision.is_some() {
        notes.push(
            "HEAD is detached and has no version tag: rules for branches and tags give none; check out the branch or the \
             tag (GitHub Actions and GitLab CI say in variables what they build)"
                .to_owned(),
        );
    }
    let kept = tags.iter().filter(|tag| tag.motion.is_forward() && !facts.version.pre.is_empty());
    notes.extend(kept.map(|tag| {
        format!(
            "{} moves to releases only, and {} is none: publish does not give it this image",
            tag.name, facts.version
        )
    }));
    notes
}

/// A tag of the command line, checked by the rules. An error if an image cannot have it.
pub fn named(facts: &TagInputs<'_>, name: &str) -> Result<Tag, Fault> {
    if let Some(owner) = reserved(name) {
        return Err(Fault::usage(format!("the tag '{name}' is reserved for {owner}"))
            .at("--tag")
            .hint("choose another name"));
    }
    let judged = names(facts)?.judge(name);
    let (motion, version, twin) = (judged.motion, judged.version, judged.twin);
    Ok(Tag { name: name.to_owned(), rule: "--tag".to_owned(), motion, version, twin })
}

fn names(facts: &TagInputs<'_>) -> Result<Names, Fault> {
    Names::of(facts.rules, |text| fill(text, |name| global(name, facts)))
}

/// The result of a rule.
struct Given {
    tag: Tag,
    /// Whether `latest` is added.
    of_release: bool,
    /// The rule's prefix and suffix.
    around: (String, String),
}

fn apply(rule: &Rule, facts: &TagInputs<'_>, names: &Names) -> Result<Option<Given>, Fault> {
    let fill_in = |text: &str| fill(text, |name| global(name, facts));
    if let Some(enable) = &rule.enable {
        match fill_in(enable)?.trim() {
            "true" => {}
            "false" => return Ok(None),
            other => {
                return Err(Fault::usage(format!(
                    "enable = \"{enable}\" reads '{other}', not true or false"
                ))
                .at(crate::paths::settings()));
            }
        }
    }
    if !rule.events.is_empty() && !rule.events.contains(&facts.event.name) {
        return Ok(None);
    }
    let (prefix, suffix) = (fill_in(rule.prefix())?, fill_in(rule.suffix())?);
    let reference = facts.event.reference.as_ref();
    if let RuleKind::Semver(pattern) = &rule.kind {
        let raw = match (&rule.value, reference) {
            (Some(value), _) => fill_in(value)?,
            (None, Some(Ref::Tag(name))) => {
                name.strip_prefix(facts.tag_prefix).unwrap_or_default().replace('/', "-")
            }
            (None, _) => return Ok(None),
        };
        return of_version(pattern, (&prefix, &suffix), &raw, names)?
            .map(|given| checked(given, rule))
            .transpose();
    }
    let value = match (&rule.kind, reference) {
        (RuleKind::Ref(RefKind::Branch), Some(Ref::Branch(name)))
        | (RuleKind::Ref(RefKind::Pr), Some(Ref::Pull(name)))
        | (RuleKind::Ref(RefKind::Tag), Some(Ref::Tag(name))) => name.clone(),
        (RuleKind::Edge(branch), Some(Ref::Branch(name)))
            if branch.as_ref().or(facts.event.default_branch.as_ref()) == Some(name) =>
        {
            "edge".to_owned()
        }
        (RuleKind::Sha { long }, _) => commit(facts, *long),
        (RuleKind::Schedule(pattern), _) if facts.event.name == "schedule" => fill_in(pattern)?,
        (RuleKind::Raw(value), _) => fill_in(value)?,
        _ => return Ok(None),
    };
    if value.is_empty() {
        return Ok(None);
    }
    let name = sanitise(&format!("{prefix}{value}{suffix}"));
    let judged = names.judge(&name);
    if let Some(owner) = belongs(rule, &name, names, &own_versions(facts)) {
        return Err(Fault::usage(format!(
            "{} gives the tag '{name}', which is reserved for {owner}",
            rule.kind
        ))
        .at(crate::paths::settings())
        .hint(
            "give the rule a prefix that no rule for versions has: prefix = \"branch-\"; write dates without \
                 dots: {{date 'YYYYMMDD'}}",
        ));
    }
    let (mut of_release, mut around, mut motion) = (false, Default::default(), judged.motion);
    match &rule.kind {
        RuleKind::Ref(RefKind::Tag) => {
            // As in docker/metadata-action, except that a pre-release is never `latest`.
            of_release = version_of(value.strip_prefix(facts.tag_prefix).unwrap_or(&value))
                .is_none_or(|version| version.pre.is_empty());
            around = (sanitise(&prefix), sanitise(&suffix));
        }
        // With uncommitted changes the tag is not unique, so it may move.
        RuleKind::Sha { .. } => motion = if facts.dirty { Motion::Free } else { Motion::Once },
        _ => {}
    }
    let (version, twin) = (judged.version, judged.twin);
    let tag = Tag { name, rule: rule.kind.to_string(), motion, version, twin };
    checked(Given { tag, of_release, around }, rule).map(Some)
}

/// The tag of a semver rule for git's tag `raw`; none if that is not a version.
fn of_version(
    pattern: &str,
    (prefix, suffix): (&str, &str),
    raw: &str,
    names: &Names,
) -> Result<Option<Given>, Fault> {
    let Some(version) = version_of(raw) else { return Ok(None) };
    let of_release = version.pre.is_empty();
    // A pre-release does not get `2.0` or `2`.
    let pattern = if of_release || pattern.replace(' ', "") == "{{raw}}" { pattern } else { "{{version}}" };
    let (prefix, core, suffix) = fold(prefix, pattern, suffix);
    let value = render(&core, &version, raw).ok_or_else(|| {
        Fault::usage(format!("'{pattern}' is not a pattern for versions"))
            .at(crate::paths::settings())
            .hint("write {{version}}, {{major}}.{{minor}}, {{major}}, {{patch}} or {{raw}}")
    })?;
    if value.is_empty() {
        return Ok(None);
    }
    let name = sanitise(&format!("{prefix}{value}{suffix}"));
    let around = (prefix.clone(), suffix.clone());
    let (motion, twin) = match version_of(&value) {
        Some(_) => (Motion::Fixed, names.judge(&name).twin),
        None => (Motion::Forward { pattern: core, prefix, suffix }, None),
    };
    let tag = Tag { name, rule: format!("semver {pattern}"), motion, version: Some(version), twin };
    Ok(Some(Given { tag, of_release, around }))
}

fn checked(given: Given, rule: &Rule) -> Result<Given, Fault> {
    let name = &given.tag.name;
    if let Some(owner) = reserved(name) {
        return Err(Fault::usage(format!(
            "{} gives the tag '{name}', which is reserved for {owner}",
            rule.kind
        ))
        .at(crate::paths::settings())
        .hint("give the rule a prefix: prefix = \"branch-\""));
    }
    if !Reference::is_tag(name) {
        return Err(Fault::usage(format!("{} gives '{name}', which is not a valid tag", rule.kind))
            .at(crate::paths::settings())
            .hint("tags are up to 128 characters and begin with a letter, a digit or '_': give the rule a prefix, or the branch a shorter name"));
    }
    Ok(given)
}

#[cfg(test)]
mod tests;
