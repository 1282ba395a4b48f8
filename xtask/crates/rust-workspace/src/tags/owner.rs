//! Reserved names: a rule must not give a name that belongs to something else.

use semver::Version;

use super::date::date;
use super::motion::Motion;
use super::names::Names;
use super::rule::{RefKind, Rule, RuleKind};
use super::template::{fill, sanitise};

/// The tag of the list of what a prune is about to delete.
pub const PRUNE_JOURNAL: &str = "xtask-prune";

/// 2026-11-25T12:34:56Z: a day whose parts are all numbers of a version.
const SAMPLE: u64 = 1_795_610_096;

/// Whose a name is that a rule gives which is not about versions; `own` are the versions that it may name.
pub(super) fn belongs(rule: &Rule, name: &str, names: &Names, own: &[Version]) -> Option<&'static str> {
    let judged = names.judge(name);
    let is_own = judged.version.as_ref().is_some_and(|version| own.contains(version));
    let fits = match (&rule.kind, &judged.motion) {
        (_, Motion::Free) | (RuleKind::Semver(_) | RuleKind::Ref(RefKind::Tag), _) => true,
        (kind, Motion::Once) => matches!(kind, RuleKind::Sha { .. } | RuleKind::Raw(_)),
        // A moving tag only ever goes forward, to releases of its line.
        (kind, Motion::Forward { .. }) => matches!(kind, RuleKind::Raw(_)),
        (kind, Motion::Fixed) => matches!(kind, RuleKind::Raw(_)) && is_own,
    };
    let whose = if judged.motion == Motion::Once { "commits" } else { "releases" };
    (!fits).then_some(whose)
}

/// What is wrong with rules whatever the run: names that are known before there is one. Each with the number
/// of its rule; `environments` are the tags that environments have in the image's repository, and their names.
pub fn check_rules(rules: &[Rule], environments: &[(&str, &str)]) -> Vec<(usize, String)> {
    let is_known = |rule: &&Rule| sample(rule.prefix()).is_some() && sample(rule.suffix()).is_some();
    let known: Vec<_> = rules.iter().filter(is_known).cloned().collect();
    let Ok(names) = Names::of(&known, |text| Ok(sample(text).unwrap_or_default())) else {
        return Vec::new();
    };
    let wrong = |rule: &Rule| {
        let value = match &rule.kind {
            RuleKind::Raw(value) | RuleKind::Schedule(value) => sample(value)?,
            RuleKind::Edge(_) => "edge".to_owned(),
            _ => return of_family(rule, environments),
        };
        let name = sanitise(&format!("{}{value}{}", sample(rule.prefix())?, sample(rule.suffix())?));
        if let Some(owner) = belongs(rule, &name, &names, &[]).or(reserved(&name)) {
            let dated = if value.contains("2026") {
                "; dates without dots are no versions: {{date 'YYYYMMDD'}}"
            } else {
                ""
            };
            return Some(format!(
                "{} gives tags such as '{name}', which belong to {owner}: give it a prefix{dated}",
                rule.kind
            ));
        }
        let (tag, environment) = environments.iter().find(|(tag, _)| *tag == name)?;
        Some(of_environment(rule, tag, environment))
    };
    rules.iter().enumerate().filter_map(|(number, rule)| Some((number, wrong(rule)?))).collect()
}

/// What is wrong with a rule that gives a version or a line of versions which is an environment's tag.
fn of_family(rule: &Rule, environments: &[(&str, &str)]) -> Option<String> {
    let own = |text: &str| Ok(sample(text).unwrap_or_default());
    let names = sample(rule.prefix())
        .zip(sample(rule.suffix()))
        .and_then(|_| Names::of(std::slice::from_ref(rule), own).ok())?;
    let (tag, environment) = environments.iter().find(|(tag, _)| names.judge(tag).motion != Motion::Free)?;
    Some(of_environment(rule, tag, environment))
}

fn of_environment(rule: &Rule, tag: &str, environment: &str) -> String {
    let kind = &rule.kind;
    format!(
        "{kind} gives the tag '{tag}', which says what runs in the environment {environment}: give the rule a prefix, or the environment another tag"
    )
}

/// A template with a day and a commit in it; none where the run decides more.
fn sample(text: &str) -> Option<String> {
    let value = |name: &str| if name == "sha" { Some("abcdef0".to_owned()) } else { date(name, SAMPLE) };
    fill(text, value).ok()
}

/// Whose a name is that no image and no environment can have: tags that lists of referrers, cosign and
/// `cargo xtask prune` write (distribution-spec, "Referrers Tag Schema").
pub fn reserved(tag: &str) -> Option<&'static str> {
    if tag.starts_with("sha256-") || tag.starts_with("sha512-") {
        return Some("lists of what is attached to an image");
    }
    (tag == PRUNE_JOURNAL).then_some("cargo xtask prune")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: RuleKind, prefix: &str, suffix: &str) -> Rule {
        Rule { prefix: Some(prefix.into()), suffix: Some(suffix.into()), ..Rule::of(kind) }
    }

    #[test]
    fn what_is_wrong_whatever_the_run() {
        let raw = |value: &str| RuleKind::Raw(value.to_owned());
        let schedule = |value: &str| RuleKind::Schedule(value.to_owned());
        let slim = rule(RuleKind::Semver("{{version}}".into()), "", "-slim");
        for (kind, prefix, suffix, expected) in [
            (raw("1.2.3"), "", "", "such as '1.2.3', which belong to releases"),
            (raw("1.2.3"), "", "-slim", "which belong to releases"),
            (raw("1.2.3"), "build-", "", ""),
            (raw("{{version}}"), "", "", ""),
            (raw("latest"), "", "", ""),
            (raw("live"), "", "", "what runs in the environment production"),
            (raw("sha256-aa"), "", "", "lists of what is attached"),
            (schedule("nightly"), "", "", ""),
            (schedule("{{date 'YYYY.MM.DD'}}"), "", "", "'2026.11.25', which belong to releases"),
            (schedule("{{date 'YYYY.MM'}}"), "", "", "{{date 'YYYYMMDD'}}"),
            (schedule("{{date 'YYYYMMDD'}}"), "", "", ""),
            (schedule("{{date 'YYYY.MM.DD'}}"), "night-", "", ""),
            (schedule("{{date 'YYYY.MM.DD'}}-{{sha}}"), "", "", "which belong to releases"),
            (RuleKind::Semver("live".into()), "", "", "what runs in the environment production"),
            (RuleKind::Semver("{{version}}".into()), "live-", "", "the tag 'live-1'"),
            (RuleKind::Ref(RefKind::Branch), "", "", ""),
            (schedule("1.0"), "", "-slim", "'1.0-slim', which belong to releases"),
            (RuleKind::Edge(None), "", "", ""),
            (RuleKind::Edge(None), "{{branch}}-", "", ""),
            (RuleKind::Sha { long: false }, "", "", ""),
        ] {
            let rules = [slim.clone(), rule(kind, prefix, suffix)];
            let found = check_rules(&rules, &[("live", "production"), ("live-1", "one")]);
            match &found[..] {
                [] => assert_eq!(expected, "", "{rules:?}"),
                [(1, what)] => assert!(!expected.is_empty() && what.contains(expected), "{what}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(cli_support::time::rfc3339(SAMPLE), "2026-11-25T12:34:56Z");
    }

    #[test]
    fn names_of_machinery() {
        for (tag, expected) in [
            ("sha256-aa", true),
            ("sha256-aa.sig", true),
            ("xtask-prune", true),
            ("sha-0123456", false),
            ("xtask-prune-2", false),
        ] {
            assert_eq!(reserved(tag).is_some(), expected, "{tag}");
        }
    }
}
