//! The metrics page: counters, and the state of the endpoints of the current snapshot.

use crate::endpoint::{Moment, Standing};
use crate::observe::exposition::Exposition;
use crate::observe::metrics::Metrics;
use crate::snapshot::Snapshot;

/// All metric families.
pub fn expose(metrics: &Metrics, snapshot: &Snapshot) -> Exposition {
    let mut out = metrics.expose();
    out.family(
        "gateway_endpoint_up",
        "gauge",
        "Whether an endpoint takes requests: 0 while health probes fail or while it is ejected.",
    );
    let now = Moment::now();
    for upstream in &snapshot.upstreams {
        for endpoint in &upstream.cluster.endpoints {
            let standing = endpoint.state.standing(upstream.settings.slow_start, now);
            let up = matches!(standing, Standing::Healthy | Standing::SlowStart(_));
            let labels = [("upstream", upstream.settings.name.as_str()), ("endpoint", &endpoint.name)];
            out.sample(&labels, u8::from(up));
        }
    }
    let circuits = || {
        let all = snapshot.upstreams.iter();
        all.filter_map(|upstream| Some((upstream.settings.name.as_str(), upstream.cluster.circuit.as_ref()?)))
    };
    out.family(
        "gateway_circuit_requests",
        "gauge",
        "Requests that the circuit breaker of an upstream counts, by state: in_flight or waiting.",
    );
    for (name, circuit) in circuits() {
        let (in_flight, waiting) = circuit.load();
        out.sample(&[("upstream", name), ("state", "in_flight")], in_flight);
        out.sample(&[("upstream", name), ("state", "waiting")], waiting);
    }
    out.family(
        "gateway_circuit_max_requests",
        "gauge",
        "Limit of the circuit breaker on requests in flight.",
    );
    for (name, circuit) in circuits() {
        out.sample(&[("upstream", name)], circuit.settings().max_requests);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::expose;
    use crate::http::Source;
    use crate::settings::parse;
    use crate::snapshot::{Parts, Process, Snapshot};
    use crate::upstream::Upstream;

    const SETTINGS: &str = "
        [[listeners]]
        address = '127.0.0.1:1'
        [upstreams.app]
        endpoints = ['127.0.0.1:2']
        circuit = { max_requests = 5 }
        [[routes]]
        upstream = 'app'
    ";

    /// The families as rows of a Markdown table.
    fn rows() -> String {
        let (settings, problems) = parse("f", SETTINGS);
        assert_eq!(problems, []);
        let process = Process::new(1, false);
        let metrics = &process.metrics;
        metrics.failed(Source::Upstream, "connect");
        let _store = metrics.store("shared");
        let upstream = Upstream::compile(&settings.upstreams[0], &process.resolver, metrics, None);
        let upstreams = vec![upstream.expect("an upstream")];
        let snapshot = Snapshot::compile(&settings, vec![None], upstreams, Parts::default(), &process);
        let out = expose(metrics, &snapshot);
        let mut rows = "| name | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
        for family in out.families() {
            let sample = family.samples.first().unwrap_or_else(|| panic!("{} has no sample", family.name));
            let labels: Vec<String> = sample.labels.iter().map(|(name, _)| format!("`{name}`")).collect();
            let (name, kind, help) = (family.name, family.kind, family.help);
            let _ = writeln!(rows, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
        }
        rows
    }

    #[test]
    fn document_lists_every_metric() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observability.md");
        let text = std::fs::read_to_string(path).expect("the document");
        let (before, rest) = text.split_once("<!-- metrics -->\n").expect("the start of the table");
        let (table, after) = rest.split_once("<!-- /metrics -->").expect("its end");
        let rows = rows();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = format!("{before}<!-- metrics -->\n{rows}<!-- /metrics -->{after}");
            std::fs::write(path, text).expect("a writable document");
            return;
        }
        let command = "UPDATE_DOCS=1 cargo test -p gateway --lib admin::exposed";
        assert_eq!(table, rows, "the table of docs/observability.md is out of date; run {command}");
    }
}
