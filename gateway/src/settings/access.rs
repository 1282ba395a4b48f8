//! Reads `authentication` and `authorization` of a route.

use toml::de::DeValue;

use super::kinds::{Kind, List, Parsed, Slot, Switch, Text, Value};
use super::network::NETWORK;
use super::reader::Reader;
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::routes::method;
use super::{AccessRule, Authentication, Authenticator, ClaimCondition, units};
use crate::json::Json;

/// Reads both keys of a route.
pub fn read(
    table: &mut Reader<'_, '_>,
    known: &[Authenticator],
) -> (Option<Authentication>, Vec<AccessRule>) {
    let report = table.report;
    let asked = table.table("authentication", "none", "how it is found out who sent a request");
    let authentication = asked.map(|table| authentication(table, known));
    let doc = "rules of which one must hold";
    let mut rules = Vec::new();
    let (given, span, before) = (table.has("authorization"), table.span.clone(), report.count());
    let tables = table.tables("authorization", "[[routes.authorization]]", Otherwise::Words("none"), doc);
    if given && tables.is_empty() && report.count() == before {
        report
            .add(&span, "'authorization' has no rule; add one, or remove the key to let every request pass");
    }
    for table in tables {
        let place = table.span.clone();
        let before = report.count();
        let rule = rule(table, known);
        if given && rule.is_empty() && report.count() == before {
            report.add(
                &place,
                "the rule lets every request pass; name what it asks, or remove 'authorization'",
            );
        }
        if rule.asks_identity() && authentication.is_none() {
            let text = "the rule asks who sent the request, which is not known without 'authentication'; add it to the route";
            report.add(&place, text);
        }
        rules.push(rule);
    }
    (authentication, rules)
}

fn authentication(mut table: Reader<'_, '_>, known: &[Authenticator]) -> Authentication {
    let names = List(Parsed {
        label: "name of an authenticator",
        pattern: None,
        read: |name: &Placed<String>, report: &Report<'_>| named(name, known, report),
    });
    let any = table.need(
        "any",
        names,
        "[\"NAME\"]",
        "authenticators in the order in which they are asked; the first that knows the sender counts",
    );
    if any.as_ref().is_some_and(|any| any.value.is_empty()) {
        table.lacks("any", "[\"NAME\"]");
    }
    let mut optional = false;
    table.set(
        &mut optional,
        "optional",
        Switch,
        "whether a request without any credential passes; one with a wrong credential does not",
    );
    table.finish();
    Authentication { any: values(any.map(|any| any.value)), optional }
}

fn values<T>(list: Option<Vec<Placed<T>>>) -> Vec<T> {
    list.unwrap_or_default().into_iter().map(|item| item.value).collect()
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
    let methods = List(Parsed { label: "method", pattern: Some("^[^a-z]+$"), read: method });
    let names = List(Parsed {
        label: "name of an authenticator",
        pattern: None,
        read: |name: &Placed<String>, report: &Report<'_>| named(name, known, report),
    });
    let rule = AccessRule {
        methods: values(table.get("methods", methods, "any", "the method is one of them")),
        client_networks: values(table.get(
            "client_networks",
            List(NETWORK),
            "any",
            "the client's address is in one of them",
        )),
        authenticators: values(table.get("authenticators", names, "any", "one of them knew the sender")),
        subjects: values(table.get("subjects", List(Text), "any", "the subject is one of them")),
        groups: values(table.get("groups", List(Text), "any", "the API key has one of them")),
        certificate_names: values(table.get(
            "certificate_names",
            List(Text),
            "any",
            "a name in the certificate is one of them; `*` at the begin or end stands for any text",
        )),
        claims: claims(&mut table),
    };
    table.finish();
    rule
}

fn claims(table: &mut Reader<'_, '_>) -> Vec<ClaimCondition> {
    let doc = "every claim holds: a text, a list of which it has one, or `{ all = [\"a\", \"b\"] }`; the claim is a name or a pointer (RFC 6901)";
    let found = table.values("claims", ClaimKind, doc, |_| false);
    let conditions = found.into_iter().filter_map(|(claim, wanted)| {
        let (values, all) = wanted?.value;
        Some(ClaimCondition { claim: claim.value, values, all })
    });
    conditions.collect()
}

/// The required values of a claim, and whether all of them are required.
struct ClaimKind;

impl Kind for ClaimKind {
    type Value = (Vec<String>, bool);

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Self::Value> {
        let wanted = match value.get_ref() {
            DeValue::Table(table) if table.len() == 1 => {
                table.get("all").and_then(|list| texts(list.get_ref())).map(|list| (list, true))
            }
            other => text(other).map(|one| vec![one]).or_else(|| texts(other)).map(|list| (list, false)),
        };
        let wanted = wanted.filter(|(list, _)| !list.is_empty());
        if wanted.is_none() {
            slot.wrong(value, "a text, a list of texts that is not empty, or { all = [\"a\", \"b\"] }");
        }
        wanted
    }

    fn label(&self) -> String {
        "text, list of texts, or `{ all = [\"a\"] }`".to_owned()
    }

    fn schema(&self) -> Json {
        let kinds = ["string", "integer", "boolean", "array", "object"];
        Json::object([("type", Json::list(kinds.into_iter().map(Json::text)))])
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        _ => None,
    }
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| text(item.get_ref())).collect()
}
