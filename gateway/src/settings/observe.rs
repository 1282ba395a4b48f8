//! Reads `access_log`.

use std::path::PathBuf;

use super::Route;
use super::kinds::{List, Parsed, ParsedBy, Switch, Text, count, words};
use super::reader::{Either, Reader};
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::units::nearest;
use crate::http::token;
use crate::json::Json;
use crate::observe::counter::CLASSES;
use crate::observe::line::Style;
use crate::observe::log_settings::{KnownField, LogField, LogSettings, SampleRule, is_credential};

const FIELD: ParsedBy<LogField> = Parsed { label: "name of a field", pattern: None, read: field };
const HEADER: ParsedBy<String> = Parsed { label: "name of a header", pattern: None, read: header };
const CLASS: ParsedBy<usize> =
    Parsed { label: "`\"1xx\"`, `\"2xx\"`, `\"3xx\"` or `\"4xx\"`", pattern: Some("^[1-4]xx$"), read: class };

/// Reads `access_log`: a switch, or a table.
pub fn access_log(root: &mut Reader<'_, '_>, routes: &[Route]) -> Option<LogSettings> {
    let given = root.either(
        "access_log",
        Switch,
        Otherwise::Is(Json::Bool(true)),
        "whether every request is logged on standard output; or what is logged, and where",
    )?;
    let mut table = match given {
        Either::Value(enabled) => return Some(enabled.value.into()),
        Either::Table(table) => table,
    };
    let mut settings = LogSettings::default();
    let styles = [("json", Style::Json), ("logfmt", Style::Logfmt)];
    table.set(&mut settings.style, "format", words(&styles), "how a line is written");
    let doc = "the fields of a line, in their order";
    if let Some(fields) = table.get("fields", List(FIELD), "all", doc) {
        settings.fields = fields.into_iter().map(|field| field.value).collect();
    }
    let doc = "headers of the request that are logged too, as `request.NAME`";
    for name in table.get("request_headers", List(HEADER), "none", doc).unwrap_or_default() {
        settings.fields.push(LogField::RequestHeader(name.value));
    }
    let doc = "headers of the response that are logged too, as `response.NAME`";
    for name in table.get("response_headers", List(HEADER), "none", doc).unwrap_or_default() {
        settings.fields.push(LogField::ResponseHeader(name.value));
    }
    let doc = "the file that takes the lines; SIGUSR1 opens it anew";
    settings.file = table.get("file", Text, "standard output", doc).map(PathBuf::from);
    let doc = "which requests are logged in part; the first rule that fits counts";
    for rule in table.tables("sample", "[[access_log.sample]]", Otherwise::Words("none"), doc) {
        settings.rules.push(sample(rule, routes));
    }
    table.finish();
    Some(settings)
}

fn field(name: &Placed<String>, report: &Report<'_>) -> Option<LogField> {
    let known = KnownField::ALL.iter().find(|(known, _, _)| *known == name.value);
    if known.is_none() {
        let names = KnownField::ALL.iter().map(|(name, _, _)| *name);
        let advice = match nearest(&name.value, names.clone()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("known are: {}", names.collect::<Vec<_>>().join(", ")),
        };
        let shown = name.value.escape_debug();
        report.add(&name.span, format!("'{shown}' is not a field of the access log; {advice}"));
    }
    known.map(|(_, field, _)| LogField::Known(*field))
}

/// The name of a header in lower case.
fn header(name: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let shown = name.value.escape_debug();
    if !token::is_token(name.value.as_bytes()) {
        report.add(&name.span, format!("'{shown}' is not the name of a header"));
        return None;
    }
    if is_credential(&name.value) {
        report.add(&name.span, format!("'{shown}' holds a credential, which is never logged; remove it"));
        return None;
    }
    Some(name.value.to_ascii_lowercase())
}

/// A status class without `none` and `5xx`: failures are always logged.
fn class(class: &Placed<String>, report: &Report<'_>) -> Option<usize> {
    let place =
        CLASSES.iter().position(|known| *known == class.value).filter(|place| (1..=4).contains(place));
    if place.is_none() {
        let shown = class.value.escape_debug();
        report.add(
            &class.span,
            format!(
                "'{shown}' is no class of status that can be sampled; write \"1xx\", \"2xx\", \"3xx\" or \"4xx\" \
                 (failures and 5xx are always logged)"
            ),
        );
    }
    place
}

fn sample(mut table: Reader<'_, '_>, routes: &[Route]) -> SampleRule {
    let report = table.report;
    let mut rule = SampleRule { routes: Vec::new(), classes: Vec::new(), one_in: 1 };
    let doc = "the names of the routes for which the rule holds";
    for name in table.get("routes", List(Text), "all", doc).unwrap_or_default() {
        if routes.iter().any(|route| route.name == name.value) {
            rule.routes.push(name.value);
            continue;
        }
        let advice = nearest(&name.value, routes.iter().map(|route| route.name.as_str()));
        let advice = advice.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        report.add(&name.span, format!("there is no route '{}'{advice}", name.value.escape_debug()));
    }
    let doc = "the classes of status for which it holds; failures at the service and 5xx are always logged";
    let classes = table.get("statuses", List(CLASS), "all", doc).unwrap_or_default();
    rule.classes = classes.into_iter().map(|class| class.value).collect();
    let doc = "of so many requests, one is logged; with 0 none";
    if let Some(one_in) = table.need("one_in", count(0..=1_000_000), "100", doc) {
        rule.one_in = one_in.value;
    }
    table.finish();
    rule
}

#[cfg(test)]
mod tests {
    use crate::settings::parse;

    #[test]
    fn what_is_wrong_with_the_access_log() {
        let table = [
            ("format = 'xml'", "'format' must be \"json\" or \"logfmt\""),
            ("fields = ['statuss']", "'statuss' is not a field of the access log; did you mean 'status'?"),
            ("request_headers = ['Cookie']", "'Cookie' holds a credential, which is never logged; remove it"),
            ("response_headers = ['a b']", "'a b' is not the name of a header"),
            ("sample = [{ routes = ['al'], one_in = 1 }]", "there is no route 'al'; did you mean 'all'?"),
            (
                "sample = [{ statuses = ['5xx'], one_in = 1 }]",
                "'5xx' is no class of status that can be sampled",
            ),
            ("sample = [{ one_in = -1 }]", "'one_in' must be a whole number from 0 to 1000000, not -1"),
            ("sample = [{}]", "lacks 'one_in'"),
        ];
        for (log, expected) in table {
            let rest = "[[listeners]]\naddress = '127.0.0.1:1'\n[[routes]]\nname = 'all'\nrespond = { status = 204 }\n";
            let (_, problems) = parse("f", &format!("[access_log]\n{log}\n{rest}"));
            let found: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
            assert!(found.len() == 1 && found[0].contains(expected), "{log}: {found:?}");
        }
    }
}
