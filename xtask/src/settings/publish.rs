//! `[[tags]]`.

use toml_span::de_helpers::TableHelper;
use toml_span::value::Value;
use toml_span::{DeserError, Deserialize};

use super::reader::{parsed, wrong};
use crate::tags::{Kind, RefKind, Rule};

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
