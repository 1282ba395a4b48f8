//! Reads changes to fields.

use toml::de::DeValue;

use super::reader::{Reader, found};
use super::report::{Placed, Report};
use super::templates::{self, Scope, Use};
use super::{HeaderEdits, PathMatch, Template};
use crate::http::name::Name;
use crate::http::token::is_token;

/// Reads `request_headers` or `response_headers`.
pub fn read(table: &mut Reader<'_, '_>, key: &'static str, path: Option<&PathMatch>) -> HeaderEdits {
    let Some(mut table) = table.table(key) else { return HeaderEdits::default() };
    let report = table.report;
    let edits = HeaderEdits {
        set: fields(&mut table, "set", path),
        add: fields(&mut table, "add", path),
        remove: table.strings("remove").iter().filter_map(|text| name(text, report)).collect(),
    };
    table.finish();
    edits
}

fn fields(
    table: &mut Reader<'_, '_>,
    key: &'static str,
    path: Option<&PathMatch>,
) -> Vec<(String, Template)> {
    let Some(mut table) = table.table(key) else { return Vec::new() };
    let report = table.report;
    let mut fields = Vec::new();
    for (key, value) in table.rest() {
        let span = value.span();
        let name = name(&key, report);
        let DeValue::String(text) = value.into_inner() else {
            report
                .add(&span, format!("the value of the field '{}' must be a text", key.value.escape_debug()));
            continue;
        };
        let text = Placed { value: text.into_owned(), span };
        let template = templates::read(&text, Scope { path, place: Use::Field }, report);
        if let (Some(name), Some(template)) = (name, template) {
            if fields.iter().any(|(other, _)| *other == name) {
                report.add(&key.span, format!("there is another '{name}' in another case; remove one"));
            }
            fields.push((name, template));
        }
    }
    fields
}

/// The name of a field that may be changed, in lower case.
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

/// Reads what fields or query parameters must hold: a text, or whether there is one.
pub fn conditions(table: &mut Reader<'_, '_>, key: &'static str, are_fields: bool) -> Vec<super::Condition> {
    let Some(mut table) = table.table(key) else { return Vec::new() };
    let report = table.report;
    let mut conditions: Vec<super::Condition> = Vec::new();
    for (name, value) in table.rest() {
        let test = match value.get_ref() {
            DeValue::String(text) => super::Test::Is(text.clone().into_owned()),
            DeValue::Boolean(true) => super::Test::Present,
            DeValue::Boolean(false) => super::Test::Absent,
            other => {
                let found = found(other);
                report.add(&value.span(), format!("a condition must be a text, true (there is one) or false (there is none), not {found}"));
                continue;
            }
        };
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
        conditions.push(super::Condition { name: name_of, test });
    }
    conditions
}
