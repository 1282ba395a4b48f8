//! Reads `authentication` and `authorization` of a route.

use toml::de::DeValue;

use super::reader::{Reader, found};
use super::report::{Placed, Report};
use super::routes::method;
use super::{AccessRule, Authentication, Authenticator, ClaimCondition, listeners, units};

/// Reads both keys of a route.
pub fn read(
    table: &mut Reader<'_, '_>,
    known: &[Authenticator],
) -> (Option<Authentication>, Vec<AccessRule>) {
    let report = table.report;
    let authentication = table.table("authentication").map(|table| authentication(table, known));
    let mut rules = Vec::new();
    for table in table.tables("authorization").unwrap_or_default() {
        let place = table.span.clone();
        let rule = rule(table, known);
        if rule.asks_identity() && authentication.is_none() {
            report.add(&place, "the rule asks who sent the request, which is not known without 'authentication'; add it to the route");
        }
        rules.push(rule);
    }
    (authentication, rules)
}

fn authentication(mut table: Reader<'_, '_>, known: &[Authenticator]) -> Authentication {
    let report = table.report;
    let names = table.strings("any");
    if names.is_empty() {
        table.lacks("any", "[\"NAME\"]");
    }
    let any = names.iter().filter_map(|name| named(name, known, report)).collect();
    let optional = table.boolean("optional").unwrap_or(false);
    table.finish();
    Authentication { any, optional }
}

fn named(name: &Placed<String>, known: &[Authenticator], report: &Report<'_>) -> Option<String> {
    if known.iter().any(|authenticator| authenticator.name == name.value) {
        return Some(name.value.clone());
    }
    let shown = name.value.escape_debug();
    let advice = match units::nearest(&name.value, known.iter().map(|one| one.name.as_str())) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("add [authenticators.{shown}]"),
    };
    report.add(&name.span, format!("there is no authenticator '{shown}'; {advice}"));
    None
}

fn rule(mut table: Reader<'_, '_>, known: &[Authenticator]) -> AccessRule {
    let report = table.report;
    let texts = |all: Vec<Placed<String>>| all.into_iter().map(|text| text.value).collect::<Vec<_>>();
    let rule = AccessRule {
        methods: table.strings("methods").iter().filter_map(|text| method(text, report)).collect(),
        authenticators: table
            .strings("authenticators")
            .iter()
            .filter_map(|name| named(name, known, report))
            .collect(),
        subjects: texts(table.strings("subjects")),
        groups: texts(table.strings("groups")),
        certificate_names: texts(table.strings("certificate_names")),
        claims: claims(&mut table),
        client_networks: listeners::networks(&mut table, "client_networks"),
    };
    table.finish();
    rule
}

/// Reads `claims`: a claim and its value, a list of values of which it has one, or `{ all = […] }`.
fn claims(table: &mut Reader<'_, '_>) -> Vec<ClaimCondition> {
    let Some(mut table) = table.table("claims") else { return Vec::new() };
    let report = table.report;
    let mut conditions = Vec::new();
    for (claim, value) in table.rest() {
        let span = value.span();
        let (values, all) = match value.into_inner() {
            DeValue::String(text) => (vec![text.into_owned()], false),
            DeValue::Integer(number) => (vec![number.to_string()], false),
            DeValue::Boolean(switch) => (vec![switch.to_string()], false),
            DeValue::Array(items) => {
                let texts = items.into_iter().filter_map(|item| item.get_ref().as_str().map(str::to_owned));
                (texts.collect(), false)
            }
            DeValue::Table(inside) => {
                let mut inside = Reader::of(inside, span.clone(), "a claim", report);
                let (all, any) = (inside.has("all"), inside.strings("any"));
                let values = if all { inside.strings("all") } else { any };
                inside.finish();
                (values.into_iter().map(|text| text.value).collect(), all)
            }
            other => {
                let found = found(&other);
                report.add(&span, format!("a claim must be a text or a list of texts, not {found}"));
                continue;
            }
        };
        if values.is_empty() {
            report.add(
                &span,
                format!("no value of the claim '{}' would do; name one", claim.value.escape_debug()),
            );
        }
        conditions.push(ClaimCondition { claim: claim.value, values, all });
    }
    conditions
}
