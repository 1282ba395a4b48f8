//! `[[tags]]`.

use super::environments::Environment;
use super::reader::{FromToml, Located, Mistake, Table, Value, wrong};
use crate::tags::{Latest, RefKind, Rule, RuleKind, check_rules};

impl FromToml for Rule {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let span = value.span().start;
        let mut table = Table::new(value)?;
        let kind = table.required_at::<String>("type");
        let kind = kind.and_then(|kind| match kind.value.as_str() {
            "semver" => required(&mut table, "pattern", Rule::check_pattern).map(RuleKind::Semver),
            "ref" => {
                let event = table.parsed::<RefKind>("event");
                if event.is_none() && !table.errors.iter().any(|error| error.at > span) {
                    table.errors.push(wrong(span, "type = \"ref\" needs event = branch, tag or pr"));
                }
                event.map(RuleKind::Ref)
            }
            "edge" => {
                Some(RuleKind::Edge(table.optional::<String>("branch").filter(|name| !name.is_empty())))
            }
            "sha" => Some(RuleKind::Sha { long: long(&mut table) }),
            "schedule" => {
                let pattern = optional(&mut table, "pattern", Rule::check_template);
                Some(RuleKind::Schedule(pattern.unwrap_or_else(|| "nightly".to_owned())))
            }
            "raw" => required(&mut table, "value", Rule::check_template).map(RuleKind::Raw),
            other => {
                let what = match other {
                    "match" => "type 'match' is not supported; use type = \"raw\" with {{tag}}".to_owned(),
                    "pep440" => {
                        "type 'pep440' is for Python's versions; cargo's are type = \"semver\"".to_owned()
                    }
                    _ => format!("type '{other}' is not semver, ref, edge, sha, schedule or raw"),
                };
                table.errors.push(wrong(kind.at, what));
                // The keys of other kinds would be reported as unknown.
                for key in ["pattern", "group", "value"] {
                    drop(table.take(key));
                }
                None
            }
        });
        let value = match &kind {
            Some(RuleKind::Semver(_)) => optional(&mut table, "value", Rule::check_template),
            _ => None,
        };
        let rule = Self {
            kind: kind.unwrap_or(RuleKind::Sha { long: false }),
            prefix: optional(&mut table, "prefix", Rule::check_template),
            suffix: optional(&mut table, "suffix", Rule::check_template),
            priority: table.optional("priority"),
            enable: optional(&mut table, "enable", Rule::check_template),
            events: table.optional("events").unwrap_or_default(),
            value,
        };
        table.finish()?;
        Ok(rule)
    }
}

/// `long = true`, or metadata-action's `format = "long"`.
fn long(table: &mut Table<'_>) -> bool {
    let format = table.optional_at::<String>("format");
    let by_format = match format.as_ref().map(|format| (format.at, format.value.as_str())) {
        None | Some((_, "short")) => false,
        Some((_, "long")) => true,
        Some((at, other)) => {
            table.errors.push(wrong(at, format!("format '{other}' is not long or short")));
            false
        }
    };
    table.optional("long").unwrap_or(by_format)
}

/// `[flavor]`, as in docker/metadata-action: what is added to the tags of all rules.
#[derive(Debug, Default)]
pub(super) struct Flavor {
    pub(super) latest: Option<Latest>,
    prefix: String,
    suffix: String,
    on_latest: bool,
}

impl FromToml for Flavor {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let flavor = Self {
            latest: table.optional("latest"),
            prefix: optional(&mut table, "prefix", Rule::check_template).unwrap_or_default(),
            suffix: optional(&mut table, "suffix", Rule::check_template).unwrap_or_default(),
            on_latest: table.optional("onlatest").unwrap_or_default(),
        };
        table.finish()?;
        Ok(flavor)
    }
}

impl Flavor {
    /// Prefix and suffix of `latest`.
    pub(super) fn around_latest(&self) -> (String, String) {
        if self.on_latest { (self.prefix.clone(), self.suffix.clone()) } else { Default::default() }
    }

    /// Adds prefix and suffix to rules that have none.
    fn add_to(&self, rules: &mut [Rule]) {
        for rule in rules {
            if rule.prefix.is_none() && !rule.has_own_prefix() && !self.prefix.is_empty() {
                rule.prefix = Some(self.prefix.clone());
            }
            if rule.suffix.is_none() && !self.suffix.is_empty() {
                rule.suffix = Some(self.suffix.clone());
            }
        }
    }
}

/// `latest = true`, or the same as text.
impl FromToml for Latest {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        if let Some(flag) = value.get_ref().as_bool() {
            return Ok(if flag { Self::Always } else { Self::Never });
        }
        let at = value.span().start;
        String::from_toml(value)?.parse().map_err(|what: String| vec![wrong(at, what)])
    }
}

/// The rules of `[[tags]]`, and errors where a rule gives a reserved tag; `repository` is the image's.
pub(super) fn rules(
    table: &mut Table<'_>,
    repository: Option<&str>,
    environments: &[Environment],
    flavor: &Flavor,
) -> Vec<Rule> {
    let rules = table.optional::<Vec<Located<Rule>>>("tags").unwrap_or_default();
    let (mut rules, spans): (Vec<_>, Vec<_>) = rules.into_iter().map(|rule| (rule.value, rule.at)).unzip();
    let is_plain = flavor.prefix.is_empty() && flavor.suffix.is_empty();
    if rules.is_empty() && !is_plain {
        rules = Rule::defaults();
    }
    flavor.add_to(&mut rules);
    let here = environments
        .iter()
        .filter(|environment| environment.repository.as_deref().is_none_or(|own| Some(own) == repository));
    let here: Vec<_> = here.map(|one| (one.tag.as_str(), one.name.as_str())).collect();
    let mistakes = check_rules(&rules, &here).into_iter();
    table.errors.extend(mistakes.filter_map(|(number, what)| Some(wrong(*spans.get(number)?, what))));
    rules
}

type Check = fn(&str) -> Result<(), String>;

fn required(table: &mut Table<'_>, name: &'static str, check: Check) -> Option<String> {
    let text = table.required_at::<String>(name)?;
    checked(table, text, check)
}

fn optional(table: &mut Table<'_>, name: &'static str, check: Check) -> Option<String> {
    let text = table.optional_at::<String>(name)?;
    checked(table, text, check)
}

/// A checked text; an error is added to the table.
fn checked(table: &mut Table<'_>, text: Located<String>, check: Check) -> Option<String> {
    match check(&text.value) {
        Ok(()) => Some(text.value),
        Err(what) => {
            table.errors.push(wrong(text.at, what));
            None
        }
    }
}
