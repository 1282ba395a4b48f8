//! `[[tags]]`.

use toml_span::de_helpers::TableHelper;
use toml_span::value::Value;
use toml_span::{DeserError, Deserialize, Spanned};

use super::environments::Environment;
use super::reader::{parsed, wrong};
use crate::tags::{RefKind, Rule, RuleKind, check_rules};

impl<'de> Deserialize<'de> for Rule {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let mut table = TableHelper::new(value)?;
        let kind = table.required_s::<String>("type");
        let kind = kind.ok().and_then(|kind| match kind.value.as_str() {
            "semver" => required(&mut table, "pattern", Rule::check_pattern).map(RuleKind::Semver),
            "ref" => {
                let event = parsed::<RefKind>(&mut table, "event");
                if event.is_none() && !table.errors.iter().any(|error| error.span.start > span.start) {
                    table.errors.push(wrong(span, "type = \"ref\" wants event = branch, tag or pr"));
                }
                event.map(RuleKind::Ref)
            }
            "edge" => Some(RuleKind::Edge(table.optional("branch"))),
            "sha" => Some(RuleKind::Sha { long: table.optional("long").unwrap_or(false) }),
            "schedule" => {
                let pattern = optional(&mut table, "pattern", Rule::check_template);
                Some(RuleKind::Schedule(pattern.unwrap_or_else(|| "nightly".to_owned())))
            }
            "raw" => required(&mut table, "value", Rule::check_template).map(RuleKind::Raw),
            other => {
                let what = match other {
                    "match" => "type 'match' needs regular expressions, which are not read here: type = \"raw\" with {{tag}}".to_owned(),
                    "pep440" => "type 'pep440' is for Python's versions; cargo's are type = \"semver\"".to_owned(),
                    _ => format!("type '{other}' is not semver, ref, edge, sha, schedule or raw"),
                };
                table.errors.push(wrong(kind.span, what));
                // Its other keys say nothing to the other kinds.
                for key in ["pattern", "group", "value"] {
                    drop(table.take(key));
                }
                None
            }
        });
        let rule = Self {
            kind: kind.unwrap_or(RuleKind::Sha { long: false }),
            prefix: optional(&mut table, "prefix", Rule::check_template),
            suffix: optional(&mut table, "suffix", Rule::check_template),
            priority: table.optional("priority"),
            enable: optional(&mut table, "enable", Rule::check_template),
        };
        table.finalize(None)?;
        Ok(rule)
    }
}

/// The rules, none of which may give a tag that belongs to something else; `repository` is the image's.
pub(super) fn rules(
    table: &mut TableHelper<'_>,
    repository: Option<&str>,
    environments: &[Environment],
) -> Vec<Rule> {
    let rules = table.optional::<Vec<Spanned<Rule>>>("tags").unwrap_or_default();
    let (rules, spans): (Vec<_>, Vec<_>) = rules.into_iter().map(|rule| (rule.value, rule.span)).unzip();
    let here = environments
        .iter()
        .filter(|environment| environment.repository.as_deref().is_none_or(|own| Some(own) == repository));
    let here: Vec<_> = here.map(|one| (one.tag.as_str(), one.name.as_str())).collect();
    let mistakes = check_rules(&rules, &here).into_iter();
    table.errors.extend(mistakes.filter_map(|(number, what)| Some(wrong(*spans.get(number)?, what))));
    rules
}

type Check = fn(&str) -> Result<(), String>;

fn required(table: &mut TableHelper<'_>, name: &'static str, check: Check) -> Option<String> {
    let text = table.required_s::<String>(name).ok()?;
    checked(table, text, check)
}

fn optional(table: &mut TableHelper<'_>, name: &'static str, check: Check) -> Option<String> {
    let text = table.optional_s::<String>(name)?;
    checked(table, text, check)
}

/// A template, or none with a word why.
fn checked(table: &mut TableHelper<'_>, text: Spanned<String>, check: Check) -> Option<String> {
    match check(&text.value) {
        Ok(()) => Some(text.value),
        Err(what) => {
            table.errors.push(wrong(text.span, what));
            None
        }
    }
}
