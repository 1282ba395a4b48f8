//! Traces, decoded by the package opentelemetry-proto.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Stage, Verdict, tools};
use crate::conformance::Wire;
use crate::program::{Program, free_ports};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
/// Longer than a batch waits, is refused and sent again.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(stage: Stage<'_>) -> Result<Verdict> {
    let [collector, dead, port, admin] = free_ports()?;
    let mut command = Command::new(tools::python()?);
    command.arg(tools::script("otlp_receiver.py")).arg(collector.to_string());
    let mut receiver = Program::start("otlp", stage.dir, command)?;
    receiver.listening(&[collector])?;
    let settings = format!(
        "threads = 2\nadmin.address = '127.0.0.1:{admin}'\n\
         [traces]\nendpoint = 'http://127.0.0.1:{collector}/v1/traces'\none_in = 1\nservice_name = 'lab'\n\
         resource = {{ 'deployment.environment.name' = 'test' }}\n\
         [[listeners]]\naddress = '127.0.0.1:{port}'\n\
         [upstreams.app]\nendpoints = ['127.0.0.1:{collector}']\n\
         [upstreams.dead]\nendpoints = ['127.0.0.1:{dead}']\n\
         [[routes]]\npath = '/app'\nname = 'app'\nupstream = 'app'\n\
         [[routes]]\npath = '/dead'\nupstream = 'dead'\n\
         [[routes]]\npath = '/quiet'\nupstream = 'app'\ntraces = false\n"
    );
    let file = stage.dir.join("otlp.toml");
    std::fs::write(&file, settings)?;
    let mut command = Command::new(stage.binary);
    command.arg("run").arg("--config").arg(&file);
    let mut gateway = Program::start("otlp-gateway", stage.dir, command)?;
    gateway.listening(&[port])?;

    let parent = format!("00-{TRACE}-{SPAN}-01");
    let recorded = get(port, "/app/x?secret=1", &format!("traceparent: {parent}\r\ntracestate: a=1\r\n"))?;
    let unsampled = parent.replace("-01", "-00");
    let not_recorded = get(port, "/app/y", &format!("traceparent: {unsampled}\r\n"))?;
    let malformed = get(port, "/app/z", "traceparent: 00-xyz\r\ntracestate: a=1\r\n")?;
    let quiet = get(port, "/quiet", &format!("traceparent: {unsampled}\r\n"))?;
    get(port, "/dead", "")?;
    let kept = spans(collector, &["/app/x", "/app/z", "/dead"])?;
    let (ran, faults) = judge(&kept, [&recorded, &not_recorded, &malformed, &quiet], &unsampled)?;
    Ok(Verdict { name: "otlp", program: tools::package("opentelemetry-proto")?, ran, faults })
}

/// The response to a GET, as JSON if it is some.
fn get(port: u16, path: &str, fields: &str) -> Result<Value> {
    let mut wire = Wire::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    wire.patience(PATIENCE)?;
    wire.send(
        format!("GET {path} HTTP/1.1\r\nHost: lab.example\r\n{fields}Connection: close\r\n\r\n").as_bytes(),
    );
    let response = wire.response("GET")?.context("no response")?;
    Ok(serde_json::from_slice(&response.body).unwrap_or_default())
}

/// What the collector has, once it has the spans of requests to all of these paths.
fn spans(collector: u16, paths: &[&str]) -> Result<Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let state = get(collector, "/spans", "")?;
        let all = state["spans"].as_array().context("spans")?;
        let has = |path: &&str| all.iter().any(|span| span["attributes"]["url.path"] == **path);
        if paths.iter().all(has) {
            return Ok(state);
        }
        if Instant::now() > end {
            bail!("the collector has not got the spans of {paths:?}: {state}");
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn judge(state: &Value, seen: [&Value; 4], unsampled: &str) -> Result<(usize, Vec<String>)> {
    let all = state["spans"].as_array().context("spans")?;
    let mut ran = 0;
    let mut faults: Vec<String> =
        state["faults"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let mut check = |what: &str, found: &Value, expected: Value| {
        ran += 1;
        if *found != expected {
            faults.push(format!("{what}: {found}, not {expected}"));
        }
    };
    let named = |kind: &str, path: &str| {
        let of = move |span: &&Value| span["kind"] == kind && span["attributes"]["url.path"] == path;
        all.iter().find(of).cloned().unwrap_or_default()
    };
    let child =
        |parent: &Value| all.iter().find(|span| span["parent"] == parent["id"]).cloned().unwrap_or_default();
    let [recorded, not_recorded, malformed, quiet] = seen;
    for path in ["/app/y", "/quiet"] {
        check("what is not recorded", &named("SPAN_KIND_SERVER", path), Value::Null);
    }
    check("requests to the collector after a 503", &(state["posts"].as_u64() >= Some(2)).into(), true.into());

    let server = named("SPAN_KIND_SERVER", "/app/x");
    let attributes = &server["attributes"];
    check("the trace of the caller", &server["trace"], TRACE.into());
    check("the span of the caller", &server["parent"], SPAN.into());
    check("the name", &server["name"], "GET /app/*".into());
    check("the flags", &server["flags"], 0x301.into());
    check("the status", &server["status"], "STATUS_CODE_UNSET".into());
    check("a length", &(server["nanos"].as_u64() > Some(0)).into(), true.into());
    for (name, expected) in [
        ("http.request.method", "GET".into()),
        ("http.route", "/app/*".into()),
        ("http.response.status_code", 200.into()),
        ("url.scheme", "http".into()),
        ("server.address", "lab.example".into()),
        ("client.address", "127.0.0.1".into()),
        ("network.protocol.version", "1.1".into()),
        ("gateway.route", "app".into()),
    ] {
        check(name, &attributes[name], expected);
    }
    check("no query in a span", &state.to_string().contains("secret=1").into(), false.into());
    for (name, expected) in [("service.name", "lab"), ("deployment.environment.name", "test")] {
        check(name, &server["resource"][name], expected.into());
    }
    check("the scope", &server["scope"], "gateway".into());

    let client = child(&server);
    check("the kind of an attempt", &client["kind"], "SPAN_KIND_CLIENT".into());
    check("its trace", &client["trace"], TRACE.into());
    check("its status", &client["attributes"]["http.response.status_code"], 200.into());
    let id = client["id"].as_str().unwrap_or_default();
    check("what the service is told", &recorded["traceparent"], format!("00-{TRACE}-{id}-01").into());
    check("the state of other systems", &recorded["tracestate"], "a=1".into());
    check("an unsampled trace", &not_recorded["traceparent"], unsampled.into());
    check("a route without traces", &quiet["traceparent"], unsampled.into());

    let anew = named("SPAN_KIND_SERVER", "/app/z");
    check("no parent after a malformed one", &anew["parent"], "".into());
    check("another trace after a malformed one", &(anew["trace"] == TRACE).into(), false.into());
    check("the flags of a new trace", &anew["flags"], 0x103.into());
    check("no state without its trace", &malformed["tracestate"], Value::Null);

    let failed = named("SPAN_KIND_SERVER", "/dead");
    check("a failure", &failed["status"], "STATUS_CODE_ERROR".into());
    check("its reason", &failed["attributes"]["error.type"].is_string().into(), true.into());
    check("an attempt that failed", &child(&failed)["status"], "STATUS_CODE_ERROR".into());
    Ok((ran, faults))
}
