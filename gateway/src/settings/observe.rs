//! Reads `access_log`.

use std::path::PathBuf;

use toml::de::DeValue;

use super::Route;
use super::reader::{Reader, found, put};
use super::report::Placed;
use super::units::nearest;
use crate::http::token;
use crate::observe::counter::CLASSES;
use crate::observe::line::Style;
use crate::observe::log_settings::{KnownField, LogField, LogSettings, SampleRule, is_credential};

/// Reads `access_log`: a switch, or a table that says what is logged.
pub fn access_log(root: &mut Reader<'_, '_>, routes: &[Route]) -> Option<LogSettings> {
    let value = root.take("access_log")?;
    let span = value.span();
    match value.get_ref() {
        DeValue::Boolean(enabled) => return Some((*enabled).into()),
        DeValue::Table(_) => {}
        other => {
            let found = found(other);
            root.report.add(&span, format!("'access_log' must be true, false or a table, not {found}"));
            return None;
        }
    }
    let mut table = Reader::new(value, "[access_log]", root.report)?;
    let mut settings = LogSettings::default();
    put(&mut settings.style, table.word("format", &[("json", Style::Json), ("logfmt", Style::Logfmt)]));
    if table.has("fields") {
        settings.fields = table.strings("fields").iter().filter_map(|name| field(&table, name)).collect();
    } else {
        table.take("fields");
    }
    for name in headers(&mut table, "request_headers") {
        settings.fields.push(LogField::RequestHeader(name));
    }
    for name in headers(&mut table, "response_headers") {
        settings.fields.push(LogField::ResponseHeader(name));
    }
    settings.file = table.string("file").map(|file| PathBuf::from(file.value));
    for rule in table.tables("sample").unwrap_or_default() {
        settings.rules.push(sample(rule, routes));
    }
    table.finish();
    Some(settings)
}

fn field(table: &Reader<'_, '_>, name: &Placed<String>) -> Option<LogField> {
    let known = KnownField::ALL.iter().find(|(known, _, _)| *known == name.value);
    if known.is_none() {
        let names = KnownField::ALL.iter().map(|(name, _, _)| *name);
        let advice = match nearest(&name.value, names.clone()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("known are: {}", names.collect::<Vec<_>>().join(", ")),
        };
        let shown = name.value.escape_debug();
        table.report.add(&name.span, format!("'{shown}' is not a field of the access log; {advice}"));
    }
    known.map(|(_, field, _)| LogField::Known(*field))
}

/// Names of headers in lower case.
fn headers(table: &mut Reader<'_, '_>, key: &'static str) -> Vec<String> {
    let report = table.report;
    let mut names = Vec::new();
    for name in table.strings(key) {
        let shown = name.value.escape_debug();
        if !token::is_token(name.value.as_bytes()) {
            report.add(&name.span, format!("'{shown}' is not the name of a header"));
        } else if is_credential(&name.value) {
            report.add(&name.span, format!("'{shown}' holds a credential, which is never logged; remove it"));
        } else {
            names.push(name.value.to_ascii_lowercase());
        }
    }
    names
}

fn sample(mut table: Reader<'_, '_>, routes: &[Route]) -> SampleRule {
    let report = table.report;
    let mut rule = SampleRule { routes: Vec::new(), classes: Vec::new(), one_in: 1 };
    for name in table.strings("routes") {
        if routes.iter().any(|route| route.name == name.value) {
            rule.routes.push(name.value);
            continue;
        }
        let advice = nearest(&name.value, routes.iter().map(|route| route.name.as_str()));
        let advice = advice.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        report.add(&name.span, format!("there is no route '{}'{advice}", name.value.escape_debug()));
    }
    for class in table.strings("statuses") {
        // Without `none` and `5xx`: failures are always logged.
        match CLASSES.iter().position(|known| *known == class.value).filter(|class| (1..=4).contains(class)) {
            Some(class) => rule.classes.push(class),
            None => report.add(
                &class.span,
                format!(
                    "'{}' is no class of status that can be sampled; write \"1xx\", \"2xx\", \"3xx\" or \"4xx\" \
                     (failures and 5xx are always logged)",
                    class.value.escape_debug()
                ),
            ),
        }
    }
    if !table.has("one_in") {
        table.lacks("one_in", "100");
    }
    put(&mut rule.one_in, table.count("one_in", 0..=1_000_000));
    table.finish();
    rule
}

#[cfg(test)]
mod tests {
    use crate::settings::parse;

    #[test]
    fn what_is_wrong_with_the_access_log() {
        let table = [
            ("format = 'xml'", "'format' must be \"json\" or \"logfmt\", not 'xml'"),
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
