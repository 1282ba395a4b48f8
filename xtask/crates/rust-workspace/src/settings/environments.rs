//! `[[environments]]`, and the checks that concern several of them.

use std::collections::BTreeMap;

use super::reader::{FromToml, Mistake, Table, Value, list, wrong};
use super::regex::check_regex;
use super::sections::repository;
use crate::tags::{Motion, Names, reserved};
use oci_registry::Reference;

/// An environment: a moving tag of the image, or a tag in another repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Its name, for `--to` and `--from`.
    pub name: String,
    /// Its own repository; by default the image's.
    pub repository: Option<String>,
    /// The tag of the deployed image; by default the environment's name.
    pub tag: String,
    /// The environment that an image must be in first.
    pub after: Option<String>,
    /// Whether an image must be signed.
    pub signed: bool,
    /// The public key of the required signature: a file or a KMS URI.
    pub key: Option<String>,
    /// The workflow of the required signature, as a regular expression for its URL.
    pub identity: Option<String>,
    /// The issuer of the workflow's tokens; by default GitHub's.
    pub issuer: Option<String>,
    /// The most days since the last scan; by default no scan is required.
    pub scanned_within_days: Option<u64>,
}

/// An environment, and the offsets of its keys.
struct Entry {
    environment: Environment,
    name: usize,
    tag: usize,
    after: usize,
}

/// All environments, and the errors in each.
#[derive(Default)]
pub(super) struct Entries(Vec<Entry>, Vec<Mistake>);

impl FromToml for Entries {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut entries = Self::default();
        for item in list(value)? {
            match entry(item) {
                Ok((entry, mistakes)) => {
                    entries.0.push(entry);
                    entries.1.extend(mistakes);
                }
                Err(mistakes) => entries.1.extend(mistakes),
            }
        }
        Ok(entries)
    }
}

fn entry(value: Value<'_>) -> Result<(Entry, Vec<Mistake>), Vec<Mistake>> {
    let span = value.span().start;
    let mut table = Table::new(value)?;
    let name = table.required_at::<String>("name").unwrap_or_default();
    let tag = table.optional_at::<String>("tag").unwrap_or_else(|| name.clone());
    let after = table.optional_at::<String>("after");
    let identity = table.optional_at::<String>("identity");
    if let Some(identity) = &identity
        && let Err(what) = check_regex(&identity.value)
    {
        let what = format!("identity '{}' is not a regular expression: {what}", identity.value);
        table.errors.push(wrong(identity.at, what));
    }
    let issuer = table.optional_at::<String>("issuer");
    if let Some(issuer) = &issuer
        && !is_issuer(&issuer.value)
    {
        let what = format!(
            "issuer '{}' is not a URL such as https://token.actions.githubusercontent.com",
            issuer.value
        );
        table.errors.push(wrong(issuer.at, what));
    }
    let spans = (name.at, tag.at, after.as_ref().map_or(span, |after| after.at));
    let environment = Environment {
        name: name.value,
        repository: repository(&mut table),
        tag: tag.value,
        after: after.map(|after| after.value),
        signed: table.optional("signed").unwrap_or(false),
        key: table.optional("key"),
        identity: identity.map(|identity| identity.value),
        issuer: issuer.map(|issuer| issuer.value),
        scanned_within_days: table.optional("scanned-within-days"),
    };
    table.errors.extend(check_one(&environment, span, spans.1));
    let errors = table.finish().err().unwrap_or_default();
    Ok((Entry { environment, name: spans.0, tag: spans.1, after: spans.2 }, errors))
}

/// Whether a text can be an issuer (OpenID Connect Discovery, section 3): a URL with a host.
pub fn is_issuer(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')) && !text.contains(char::is_whitespace)
}

/// The errors in one environment.
fn check_one(environment: &Environment, span: usize, tag: usize) -> impl Iterator<Item = Mistake> {
    let Environment { name, signed, key, identity, issuer, .. } = environment;
    let any: Result<Reference, _> = "localhost/any".parse();
    let is_tag = any.is_ok_and(|any| any.with_tag(&environment.tag).is_ok());
    let no_tag =
        format!("'{}' is not a tag, which is up to 128 letters, digits, '_', '.' and '-'", environment.tag);
    let of_releases = format!("an environment cannot have the tag '{}': it is a release's", environment.tag);
    let owner = reserved(&environment.tag).unwrap_or_default();
    let of_digests =
        format!("an environment cannot have the tag '{}': it is reserved for {owner}", environment.tag);
    let names_signer = key.is_some() || identity.is_some();
    [
        (!name.is_empty() && !is_tag, tag, no_tag),
        (is_tag && Names::plain().judge(&environment.tag).motion != Motion::Free, tag, of_releases),
        (reserved(&environment.tag).is_some(), tag, of_digests),
        (*signed && !names_signer, span, "signed = true needs key or identity".to_owned()),
        (!*signed && names_signer, span, "key and identity need signed = true".to_owned()),
        (key.is_some() && identity.is_some(), span, "set key or identity, not both".to_owned()),
        (issuer.is_some() && identity.is_none(), span, "issuer needs identity".to_owned()),
    ]
    .into_iter()
    .filter_map(|(is_wrong, span, what)| is_wrong.then(|| wrong(span, what)))
}

/// Checks the environments against each other; `repository` is the image's.
pub(super) fn check_all(entries: Entries, repository: Option<&str>) -> (Vec<Environment>, Vec<Mistake>) {
    let Entries(entries, mut errors) = entries;
    let mut names: BTreeMap<&str, &Entry> = BTreeMap::new();
    let mut places: BTreeMap<(Option<&str>, &str), &Entry> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.environment.name.is_empty()) {
        let Environment { name, tag, .. } = &entry.environment;
        if names.contains_key(name.as_str()) {
            errors.push(wrong(entry.name, format!("there are two environments '{name}'")));
            continue;
        }
        let place = (entry.environment.repository.as_deref().or(repository), tag.as_str());
        if let Some(other) = places.get(&place) {
            let other = &other.environment.name;
            errors
                .push(wrong(entry.tag, format!("'{other}' already has the tag '{tag}' in this repository")));
        }
        places.insert(place, entry);
        names.insert(name, entry);
    }
    for entry in &entries {
        let Some(after) = &entry.environment.after else { continue };
        if !names.contains_key(after.as_str()) {
            let known = names.keys().copied().collect::<Vec<_>>().join(", ");
            errors.push(wrong(
                entry.after,
                format!("after '{after}' is not an environment; environments: {known}"),
            ));
        } else if let Some(cycle) = cycle(entry, &names) {
            errors.push(wrong(entry.after, format!("`after` forms a cycle: {cycle}")));
        }
    }
    (entries.into_iter().map(|entry| entry.environment).collect(), errors)
}

/// The cycle of `after` through this environment, if there is one.
fn cycle(entry: &Entry, names: &BTreeMap<&str, &Entry>) -> Option<String> {
    let mut path = vec![entry.environment.name.as_str()];
    let mut at = entry;
    loop {
        at = names.get(at.environment.after.as_deref()?)?;
        if at.environment.name == entry.environment.name {
            path.push(&entry.environment.name);
            return Some(path.join(" → "));
        }
        // This environment only leads to a cycle, which is reported at its members.
        if path.contains(&at.environment.name.as_str()) {
            return None;
        }
        path.push(&at.environment.name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::reader::read;

    /// The mistakes in these environments, by line and words.
    fn mistakes(environments: &str) -> Vec<String> {
        let text = format!("package = 'x'\nrepository = 'r.io/o/app'\n{environments}");
        let faults = read::<Settings>(std::path::Path::new("f"), &text).err();
        faults.map_or_else(Vec::new, |faults| faults.0.iter().map(ToString::to_string).collect())
    }

    fn environment(name: &str, more: &str) -> String {
        format!("[[environments]]\nname = '{name}'\n{more}\n")
    }

    #[test]
    fn environments_that_do_not_fit_together() {
        let two = |one: &str, other: &str| environment("a", one) + &environment("b", other);
        for (text, expected) in [
            (two("", "after = 'a'"), ""),
            (two("tag = 't'", "tag = 't'\nrepository = 'r.io/o/other'"), ""),
            (environment("a", "") + &environment("a", ""), "f:7:8: there are two environments 'a'"),
            (two("tag = 't'", "tag = 't'"), "f:8:7: 'a' already has the tag 't' in this repository"),
            (two("tag = 'b'", ""), "f:7:8: 'a' already has the tag 'b' in this repository"),
            (two("tag = 't'", "tag = 't'\nrepository = 'R.io/o/App'"), "f:8:7: 'a' already has the tag 't'"),
            (two("after = 'c'", ""), "f:5:9: after 'c' is not an environment; environments: a, b"),
            (environment("a", "after = 'a'"), "f:5:9: `after` forms a cycle: a → a"),
            (two("after = 'b'", "after = 'a'"), "f:5:9: `after` forms a cycle: a → b → a"),
            (environment("a", "repository = 'r.io/o/app:t'"), "f:5:14: repository is a name without tag"),
            (environment("a", "repository = 'r.io/o//app'"), "f:5:14: 'r.io/o//app' is not an image name"),
            (environment("a", "tag = 'a/b'"), "f:5:7: 'a/b' is not a tag"),
            (environment("-a", ""), "f:4:8: '-a' is not a tag"),
            (environment("a", "tag = '1.2'"), "f:5:7: an environment cannot have the tag '1.2'"),
            (environment("latest", ""), "f:4:8: an environment cannot have the tag 'latest'"),
            (environment("a", "tag = 'xtask-prune'"), "f:5:7: an environment cannot have the tag"),
            (environment("a", "signed = true"), "f:3:1: signed = true needs key or identity"),
            (environment("a", "key = 'k'"), "f:3:1: key and identity need signed = true"),
            (environment("a", "signed = true\nkey = 'k'\nidentity = 'i'"), "f:3:1: set key or identity"),
            (environment("a", "issuer = 'https://i'"), "f:3:1: issuer needs identity"),
            (
                environment("a", "signed = true\nidentity = 'i'\nissuer = 'gitlab'"),
                "f:7:10: issuer 'gitlab' is not a URL",
            ),
            (environment("a", "signed = true\nidentity = 'i'\nissuer = 'https://gitlab.example'"), ""),
            (environment("a", "signed = true\nidentity = '('"), "f:6:12: identity '(' is not a regular"),
        ] {
            let mistakes = mistakes(&text);
            let fits = match expected {
                "" => mistakes.is_empty(),
                _ => mistakes.first().is_some_and(|mistake| mistake.starts_with(expected)),
            };
            assert!(fits, "{text}\n{mistakes:?}\n{expected}");
        }
    }

    #[test]
    fn all_mistakes_of_an_environment_are_reported_at_once() {
        let text =
            environment("a", "after = 'x'\ntag = '1'") + &environment("a", "identity = '*'\nkey = 'k'");
        let lines: Vec<_> = mistakes(&text).iter().map(|mistake| mistake[..6].to_owned()).collect();
        assert_eq!(lines, ["f:5:9:", "f:6:7:", "f:7:1:", "f:7:1:", "f:8:8:", "f:9:12"]);
    }
}
