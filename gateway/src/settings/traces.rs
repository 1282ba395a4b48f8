//! Reads `[traces]`.

use std::time;

use super::kinds::{Duration, Switch, Text, count};
use super::reader::Reader;
use super::secret::SecretValue;
use super::{Traces, authenticators, edits};

/// Reads `traces`.
pub fn read(root: &mut Reader<'_, '_>) -> Option<Traces> {
    let doc = "where traces go, in OTLP over HTTP; without it, requests are not traced";
    let mut table = root.table("traces", "none", doc)?;
    let report = table.report;
    let place = report.place(&table.span);
    let example = "\"http://collector:4318/v1/traces\"";
    let url = table.need("endpoint", authenticators::URL, example, "the URL of the collector for traces");
    let ca = authenticators::authorities(&mut table);
    let doc = "fields of the requests to it, such as `Authorization`";
    let headers = table.values("headers", SecretValue, doc, |_| true);
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| edits::name(&name, report).zip(value.map(|value| value.value)))
        .collect();
    let (mut one_in, mut parent, mut timeout, mut max_waiting) =
        (100, true, time::Duration::from_secs(10), 4096);
    let doc = "of so many requests whose caller has not decided, one is recorded; with 0 none";
    table.set(&mut one_in, "one_in", count(0..=1_000_000), doc);
    let doc = "whether the trace in `traceparent` and its decision are kept; with `false` each request begins a trace, for clients that are not trusted";
    table.set(&mut parent, "parent", Switch, doc);
    let name = table.get("service_name", Text, "`\"gateway\"`", "`service.name` of the spans");
    let doc = "further attributes of the process, such as `\"deployment.environment.name\"`";
    let resource = table.values("resource", Text, doc, |_| false);
    let resource =
        resource.into_iter().filter_map(|(name, value)| Some((name.value, value?.value))).collect();
    table.set(&mut timeout, "timeout", Duration::Positive, "the time for one request to the collector");
    let doc = "the most spans that wait in a worker; further ones are dropped and counted";
    table.set(&mut max_waiting, "max_waiting", count(1..=1_000_000), doc);
    table.finish();
    Some(Traces {
        place,
        url: url?.value,
        ca,
        headers,
        one_in,
        parent,
        service_name: name.unwrap_or_else(|| "gateway".to_owned()),
        resource,
        timeout,
        max_waiting,
    })
}

#[cfg(test)]
mod tests {
    use crate::settings::parse;

    const HEAD: &str =
        "[[listeners]]\naddress = '127.0.0.1:0'\n[[routes]]\nrespond = { status = 204 }\n[traces]\n";

    #[test]
    fn traces_are_read() {
        let text = "endpoint = 'http://c:4318/v1/traces'\nheaders = { Authorization = 'hush' }\none_in = 1\n\
                    resource = { 'deployment.environment.name' = 'test' }\n";
        let (settings, problems) = parse("f", &format!("{HEAD}{text}"));
        assert_eq!(problems, []);
        let traces = settings.traces.expect("traces");
        assert_eq!((traces.one_in, traces.parent, traces.service_name.as_str()), (1, true, "gateway"));
        assert!(!format!("{traces:?}").contains("hush"), "{traces:?}");
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("", "traces lacks 'endpoint'"),
            ("endpoint = 'c:4318'", "it does not begin with http:// or https://"),
            (
                "endpoint = 'http://c/'\none_in = -1",
                "'one_in' must be a whole number from 0 to 1000000, not -1",
            ),
            ("endpoint = 'http://c/'\nheaders = { 'a b' = 'x' }", "a b"),
        ];
        for (text, expected) in table {
            let (_, problems) = parse("f", &format!("{HEAD}{text}\n"));
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(lines.len() == 1 && lines[0].contains(expected), "{text}\n{lines:#?}");
        }
    }
}
