//! Reserved names: a rule must not give a name that belongs to something else.

use semver::Version;

use super::date::date;
use super::motion::Motion;
use super::names::Names;
use super::rule::{RefKind, Rule, RuleKind};
use super::template::{fill, sanitise};

/// The tag of the list of manifests that a prune is about to delete.
pub const PRUNE_JOURNAL: &str = "xtask-prune";

/// 2026-11-25T12:34:56Z: a time for samples in which no part begins with zero.
const SAMPLE: u64 = 1_795_610_096;

/// The owner of a name that a rule must not give. `own` are the versions that it may give.
pub(super) fn belongs(rule: &Rule, name: &str, names: &Names, own: &[Version]) -> Option<&'static str> {
    let judged = names.judge(name);
    let is_own = judged.version.as_ref().is_some_and(|version| own.contains(version));
    let fits = match (&rule.kind, &judged.motion) {
        (_, Motion::Free) | (RuleKind::Semver(_) | RuleKind::Ref(RefKind::Tag), _) => true,
        (kind, Motion::Once) => matches!(kind, RuleKind::Sha { .. } | RuleKind::Raw(_)),
        // A moving tag moves only forward, to releases that it covers.
        (kind, Motion::Forward { .. }) => matches!(kind, RuleKind::Raw(_)),
        (kind, Motion::Fixed) => matches!(kind, RuleKind::Raw(_)) && is_own,
    };
    let owner = if judged.motion == Motion::Once { "commits" } else { "releases" };
    (!fits).then_some(owner)
}

/// The errors in rules that are known before a run, each with the index of its rule. `environments` are the tags in
/// the image's repository and the names of their environments.
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
                ", or write dates without dots: {{date 'YYYYMMDD'}}"
            } else {
                ""
            };
            return Some(format!(
                "{} gives tags such as '{name}', which are reserved for {owner}: give it a prefix{dated}",
                rule.kind
            ));
        }
        let (tag, environment) = environments.iter().find(|(tag, _)| *tag == name)?;
        Some(of_environment(rule, tag, environment))
    };
    rules.iter().enumerate().filter_map(|(number, rule)| Some((number, wrong(rule)?))).collect()
}

/// The error of a rule that gives versions or moving tags of which one is an environment's tag.
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
        "{kind} gives the tag '{tag}', which is the tag of the environment {environment}: give the rule a prefix, or the environment another tag"
    )
}

/// A template filled in with a sample date and commit; none if it needs other values of a run.
fn sample(text: &str) -> Option<String> {
    let value = |name: &str| if name == "sha" { Some("abcdef0".to_owned()) } else { date(name, SAMPLE) };
    fill(text, value).ok()
}

/// The owner of a name that neither images nor environments can have: tags of lists of referrers, of cosign and of
/// `cargo xtask prune` (distribution-spec, "Referrers Tag Schema").
pub fn reserved(tag: &str) -> Option<&'static str> {
    if tag.starts_with("sha256-") || tag.starts_with("sha512-") {
        return Some("lists of referrers");
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
    fn rules_that_are_wrong_in_every_run_are_refused() {
        let raw = |value: &str| RuleKind::Raw(value.to_owned());
        let schedule = |value: &str| RuleKind::Schedule(value.to_owned());
        let slim = rule(RuleKind::Semver("{{version}}".into()), "", "-slim");
        for (kind, prefix, suffix, expected) in [
            (raw("1.2.3"), "", "", "such as '1.2.3', which are reserved for releases"),
            (raw("1.2.3"), "", "-slim", "which are reserved for releases"),
            (raw("1.2.3"), "build-", "", ""),
            (raw("{{version}}"), "", "", ""),
            (raw("latest"), "", "", ""),
            (raw("live"), "", "", "the tag of the environment production"),
            (raw("sha256-aa"), "", "", "lists of referrers"),
            (schedule("nightly"), "", "", ""),
            (schedule("{{date 'YYYY.MM.DD'}}"), "", "", "'2026.11.25', which are reserved for releases"),
            (schedule("{{date 'YYYY.MM'}}"), "", "", "{{date 'YYYYMMDD'}}"),
            (schedule("{{date 'YYYYMMDD'}}"), "", "", ""),
            (schedule("{{date 'YYYY.MM.DD'}}"), "night-", "", ""),
            (schedule("{{date 'YYYY.MM.DD'}}-{{sha}}"), "", "", "which are reserved for releases"),
            (RuleKind::Semver("live".into()), "", "", "the tag of the environment production"),
            (RuleKind::Semver("{{version}}".into()), "live-", "", "the tag 'live-1'"),
            (RuleKind::Ref(RefKind::Branch), "", "", ""),
            (schedule("1.0"), "", "-slim", "'1.0-slim', which are reserved for releases"),
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
