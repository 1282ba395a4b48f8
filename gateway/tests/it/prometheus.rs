//! A real Prometheus scrapes a real gateway: the formats, the alert rules, the dashboard.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{ask, get};
use crate::gateway::{Gateway, PATIENCE};
use crate::have::have;
use crate::upstream::Upstream;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// A Prometheus that scrapes one gateway every second.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(gateway: &Gateway, features: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{DEPLOY}/prometheus/alerts.yml']\n\
             scrape_configs: [{{ job_name: gateway, static_configs: [{{ targets: ['{}'] }}] }}]\n",
            gateway.admin
        );
        fs::write(&settings, text).expect("a file");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let child = Command::new("prometheus")
            .args(features)
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus");
        Self { child, address: port, _folder: folder }
    }

    /// The series of a query; none until there are some.
    fn query(&self, query: &str) -> Vec<Value> {
        let mut encoded = String::new();
        for byte in query.bytes() {
            encoded.push_str(&format!("%{byte:02x}"));
        }
        let request =
            format!("GET /api/v1/query?query={encoded} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let answer = ask(self.address, request);
        if answer.status == 503 {
            // It has not started yet.
            return Vec::new();
        }
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(body["status"], "success", "{query}: {body}");
        body["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until a query has series, and gives them.
    fn wait_for(&self, query: &str) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let is_up = std::net::TcpStream::connect(self.address).is_ok();
            let found = if is_up { self.query(query) } else { Vec::new() };
            if !found.is_empty() {
                return found;
            }
            assert!(Instant::now() < deadline, "{query} never has a series");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        "[[listeners]]\nname = 'web'\naddress = '127.0.0.1:0'\n\
         [upstreams.app]\nendpoints = ['{}']\ncircuit = {{ max_requests = 5 }}\n\
         [upstreams.none]\nendpoints = ['127.0.0.1:1']\n\
         [[routes]]\nname = 'all'\nupstream = 'app'\n[[routes]]\nname = 'broken'\npath = '/broken'\nupstream = 'none'\n",
        upstream.address
    ))
}

/// Requests that end well and one that fails.
fn traffic(gateway: &Gateway) {
    for _ in 0..10 {
        assert_eq!(get(gateway.address, "/").status, 200);
    }
    assert_eq!(get(gateway.address, "/broken").status, 503);
}

/// All queries of the dashboard, its variables replaced.
fn queries() -> Vec<String> {
    let text = fs::read_to_string(Path::new(DEPLOY).join("grafana/dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let query = |target: &Value| target["expr"].as_str().expect("a query").to_owned();
    targets.map(query).map(|query| query.replace("$__rate_interval", "1m").replace("$job", ".*")).collect()
}

#[test]
fn every_query_of_the_dashboard_has_an_answer() {
    if !have("prometheus") {
        return;
    }
    let upstream = Upstream::saying("x");
    let gateway = gateway(&upstream);
    traffic(&gateway);
    let prometheus = Prometheus::start(&gateway, &[]);
    prometheus.wait_for("rate(gateway_requests_total[1m])");
    traffic(&gateway);
    let queries = queries();
    assert!(queries.len() > 15, "{queries:?}");
    for query in queries {
        prometheus.wait_for(&query);
    }
    // It has loaded the alert rules, too.
    let rules =
        ask(prometheus.address, "GET /api/v1/rules HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").body;
    assert!(rules.contains("GatewayErrors") && rules.contains("\"health\":\"ok\""), "{rules}");
}

#[test]
fn native_histograms_are_scraped() {
    if !have("prometheus") {
        return;
    }
    let upstream = Upstream::saying("x");
    let gateway = gateway(&upstream);
    let prometheus = Prometheus::start(&gateway, &["--enable-feature=native-histograms"]);
    // Also before the first request.
    prometheus.wait_for("up == 1");
    traffic(&gateway);
    prometheus.wait_for("histogram_count(gateway_request_duration_seconds{route='all'}) >= 10");
    let counted = prometheus.query("histogram_count(gateway_request_duration_seconds{route='all'})");
    assert_eq!(counted[0]["value"][1], "10");
    let quantile = prometheus.query("histogram_quantile(0.5, gateway_request_duration_seconds{route='all'})");
    let seconds: f64 = quantile[0]["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number");
    let sum = prometheus.query("histogram_sum(gateway_request_duration_seconds{route='all'})");
    let sum: f64 = sum[0]["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number");
    assert!(seconds > 0.0 && seconds < 2.0 * sum, "{seconds} {sum}");
    assert!(!prometheus.query("gateway_upstream_duration_seconds{upstream='app'}").is_empty());
}

#[test]
fn the_alert_rules_are_good() {
    if !have("promtool") {
        return;
    }
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(Path::new(DEPLOY).join("prometheus"))
            .output()
            .expect("promtool");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_text_format_passes_the_linter() {
    if !have("promtool") {
        return;
    }
    let upstream = Upstream::saying("x");
    let gateway = gateway(&upstream);
    traffic(&gateway);
    let metrics = get(gateway.admin, "/metrics").body;
    let mut linter = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    std::io::Write::write_all(&mut linter.stdin.take().expect("piped"), metrics.as_bytes())
        .expect("promtool");
    let output = linter.wait_with_output().expect("promtool");
    let found = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && found.is_empty(), "{found}");
}
