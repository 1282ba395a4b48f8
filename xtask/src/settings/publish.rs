//! `[[tags]]` and `[[environments]]`.

use toml_span::de_helpers::TableHelper;
use toml_span::value::Value;
use toml_span::{DeserError, Deserialize};

use super::reader::{parsed, wrong};
use crate::tags::{Kind, Motion, RefKind, Rule, motion_of};

/// Where a version runs: the image under one more tag, or in another repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Its name, for `--to` and `--from`.
    pub name: String,
    /// Its own repository; the image's where unset.
    pub repository: Option<String>,
    /// The tag that names what runs there; the environment's name where unset.
    pub tag: String,
    /// The environment that an image must be in first.
    pub after: Option<String>,
    /// Whether an image must be signed.
    pub signed: bool,
    /// The public key that must have signed: a file or a KMS URI.
    pub key: Option<String>,
    /// The workflow that must have signed, as a regular expression for its URL.
    pub identity: Option<String>,
    /// The most days since the image was scanned; no scan is wanted where unset.
    pub scanned_within_days: Option<u64>,
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let mut table = TableHelper::new(value)?;
        let kind = table.required_s::<String>("type");
        let kind = kind.ok().and_then(|kind| match kind.value.as_str() {
            "semver" => table.required("pattern").ok().map(Kind::Semver),
            "ref" => {
                let event = parsed::<RefKind>(&mut table, "event");
                if event.is_none() && !table.errors.iter().any(|error| error.span.start > span.start) {
                    table.errors.push(wrong(span, "type = \"ref\" wants event = branch, tag or pr"));
                }
                event.map(Kind::Ref)
            }
            "edge" => Some(Kind::Edge(table.optional("branch"))),
            "sha" => Some(Kind::Sha { long: table.optional("long").unwrap_or(false) }),
            "schedule" => {
                Some(Kind::Schedule(table.optional("pattern").unwrap_or_else(|| "nightly".to_owned())))
            }
            "raw" => table.required("value").ok().map(Kind::Raw),
            other => {
                let what = format!("type '{other}' is not semver, ref, edge, sha, schedule or raw");
                table.errors.push(wrong(kind.span, what));
                None
            }
        });
        let rule = Self {
            kind: kind.unwrap_or(Kind::Sha { long: false }),
            prefix: table.optional("prefix"),
            suffix: table.optional("suffix"),
            priority: table.optional("priority"),
            enable: table.optional("enable"),
        };
        table.finalize(None)?;
        Ok(rule)
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let name = table.required::<String>("name").unwrap_or_default();
        let environment = Self {
            repository: table.optional("repository"),
            tag: table.optional("tag").unwrap_or_else(|| name.clone()),
            after: table.optional("after"),
            signed: table.optional("signed").unwrap_or(false),
            key: table.optional("key"),
            identity: table.optional("identity"),
            scanned_within_days: table.optional("scanned-within-days"),
            name,
        };
        if motion_of(&environment.tag) != Motion::Free {
            let what = format!(
                "an environment cannot have the tag '{}', which belongs to releases",
                environment.tag
            );
            table.errors.push(wrong(value.span, what));
        }
        if environment.signed && environment.key.is_none() && environment.identity.is_none() {
            table.errors.push(wrong(value.span, "signed = true wants to know by whom: key or identity"));
        }
        table.finalize(None)?;
        Ok(environment)
    }
}
