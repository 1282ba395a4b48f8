//! Reads changes to header fields.

use toml::de::DeValue;

use super::kinds::{Kind, List, Parsed, Slot, Value};
use super::reader::Reader;
use super::report::{Placed, Report, is_secret};
use super::templates::{self, Scope, Use};
use super::upstreams::TOKEN;
use super::{Condition, HeaderEdits, PathMatch, Template, Test};
use crate::http::name::Name;
use crate::http::token::is_token;
use crate::json::Json;

/// Reads `request_headers` or `response_headers`.
pub fn read(
    table: &mut Reader<'_, '_>,
    key: &'static str,
    path: Option<&PathMatch>,
    doc: &'static str,
) -> HeaderEdits {
    let mut table = table.section(key, doc);
    let remove = table.get(
        "remove",
        List(Parsed { label: "name", pattern: Some(TOKEN), read: name }),
        "none",
        "names of fields to remove",
    );
    let edits = HeaderEdits {
        set: fields(&mut table, "set", path, "names and values: replaces all fields of the name"),
        add: fields(&mut table, "add", path, "names and values: adds a field"),
        remove: remove.unwrap_or_default().into_iter().map(|name| name.value).collect(),
    };
    table.finish();
    edits
}

fn fields(
    table: &mut Reader<'_, '_>,
    key: &'static str,
    path: Option<&PathMatch>,
    doc: &'static str,
) -> Vec<(String, Template)> {
    let report = table.report;
    let kind = templates::field_value(Scope { path, place: Use::Field });
    let mut fields = Vec::new();
    for (key, value) in table.values(key, kind, doc, is_secret) {
        let name = name(&key, report);
        let Some((name, template)) = name.zip(value) else { continue };
        if fields.iter().any(|(other, _)| *other == name) {
            report.add(&key.span, format!("there is another '{name}' in another case; remove one"));
        }
        fields.push((name, template.value));
    }
    fields
}

/// The name of a changeable header field, in lower case.
pub(super) fn name(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let shown = text.value.escape_debug();
    if !is_token(text.value.as_bytes()) {
        report.add(&text.span, format!("'{shown}' is not the name of a field"));
        return None;
    }
    let known = Name::of(text.value.as_bytes());
    let reason = match known {
        Name::Host => "the host is changed by rewrite = { host = \"…\" }",
        Name::ContentLength | Name::TransferEncoding | Name::Disguised | Name::Trailer | Name::Expect => {
            "it frames the message"
        }
        Name::RequestId => "the gateway writes it",
        _ if known.is_hop_by_hop() => "it belongs to one connection",
        _ => return Some(text.value.to_ascii_lowercase()),
    };
    report.add(&text.span, format!("the field '{shown}' cannot be changed: {reason}"));
    None
}

/// The condition on a field or a parameter: a text, or whether it is present.
#[derive(Debug, Clone, Copy)]
struct TestKind;

impl Kind for TestKind {
    type Value = Test;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Test> {
        match value.get_ref() {
            DeValue::String(text) => Some(Test::Is(text.clone().into_owned())),
            DeValue::Boolean(true) => Some(Test::Present),
            DeValue::Boolean(false) => Some(Test::Absent),
            _ => {
                slot.wrong(value, "a text, true (there is one) or false (there is none)");
                None
            }
        }
    }

    fn label(&self) -> String {
        "text or switch".to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([("type", Json::list([Json::text("string"), Json::text("boolean")]))])
    }
}

/// Reads the conditions on fields or query parameters.
pub fn conditions(
    table: &mut Reader<'_, '_>,
    key: &'static str,
    are_fields: bool,
    doc: &'static str,
) -> Vec<Condition> {
    let report = table.report;
    let mut conditions: Vec<Condition> = Vec::new();
    for (name, test) in table.values(key, TestKind, doc, |_| false) {
        let Some(test) = test.map(|test| test.value) else { continue };
        if are_fields && !is_token(name.value.as_bytes()) {
            report.add(&name.span, format!("'{}' is not the name of a field", name.value.escape_debug()));
            continue;
        }
        let name_of = if are_fields { name.value.to_ascii_lowercase() } else { name.value };
        if conditions.iter().any(|other| other.name == name_of) {
            report.add(
                &name.span,
                format!("there is another condition on '{}'; remove one", name_of.escape_debug()),
            );
        }
        conditions.push(Condition { name: name_of, test });
    }
    conditions
}
