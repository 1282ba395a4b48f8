//! Every key of the settings, and the mistakes with it.

use std::time::Duration;

use super::{
    Action, Balance, ClientAuth, HashKey, HostRewrite, PathMatch, PathRewrite, Scheme, Settings, Test, parse,
};
use crate::endpoint::{Address, Protocol};
use crate::http::path::{DoubleSlash, Semicolon, Separator};
use crate::proxy_protocol::Version;
use crate::tls::MinVersion;

const WHOLE: &str = r#"
[[listeners]]
address = "0.0.0.0:8443"
protocols = ["http2"]
proxy_protocol = { trusted = ["10.0.0.0/8"] }
stream_timeout = "0s"
min_body_rate = "1KiB"
min_body_rate_grace = "5s"
max_request_line = "4KiB"
max_connections_per_client = 50
[listeners.tls]
certificates = [
    { certificate = "a.crt", key = "a.key" },
    { certificate = "b.crt", key = "b.key", default = true },
]
min_version = "1.3"
client_ca = "clients.crt"
client_auth = "optional"
[listeners.http2]
max_streams = 10
stream_window = "64KiB"
max_continuations = 4

[upstreams.api]
endpoints = ["https://a", { url = "unix:/run/a.sock", weight = 3, priority = 1 }, "[::1]:1"]
protocol = "http2"
tls = { ca = "ca.crt", certificate = "c.crt", key = "c.key", server_name = "API.example.com" }
balance = "hash"
hash = { cookie = "session", max_load_percent = 150 }
outlier = { failures = 3, statuses = [500, "5xx"], base_ejection = "1s", max_ejected_percent = 30 }
probe = { path = "/healthz?x", interval = "1s", statuses = [204], host = "h" }
slow_start = "30s"
circuit = { max_requests = 100, max_pending = 0 }
retries = { attempts = 2, statuses = [503], per_try_timeout = "1s" }
proxy_protocol = "v2"
max_header_bytes = "128KiB"
max_headers = 256
[upstreams.old]
endpoints = ["old:80"]
retries = 0
cooldown = "0s"

[[routes]]
name = "split"
hosts = ["a.com"]
path = { template = "/users/{id}/{*rest}" }
methods = ["GET"]
headers = { "X-Env" = "beta", "X-Debug" = true, "X-Old" = false }
query = { v = "2" }
split = [{ upstream = "api", weight = 9 }, { upstream = "old", weight = 1 }]
mirror = { upstream = "old", percent = 5 }
rewrite = { path = "/u/{param.id}?r={param.rest}&{query}", host = "{endpoint}" }
request_headers = { set = { "X-Client" = "{client.ip}" }, add = { "X-A" = "{{}}" }, remove = ["X-B"] }
response_headers = { remove = ["Server"] }
path_policy = { encoded_slash = "decode", backslash = "keep", semicolon = "keep", double_slash = "keep" }
per_try_timeout = "2s"
[[routes]]
path = { prefix = "/api" }
upstream = "api"
rewrite = { prefix = "/", host = "x.{host}" }
[[routes]]
path = { exact = "/old" }
redirect = { status = 301, scheme = "https", port = 8443, path = "/new{path}" }
[[routes]]
path = "/down;now"
path_policy = { semicolon = "keep" }
respond = { status = 503, body = "later" }
"#;

fn read(text: &str) -> (Settings, Vec<String>) {
    let (settings, problems) = parse("f", text);
    (settings, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_key_is_read() {
    let (settings, problems) = read(WHOLE);
    assert_eq!(problems, [""; 0]);
    let listener = &settings.listeners[0];
    assert!(!listener.protocols.http1 && listener.protocols.http2);
    assert_eq!(listener.proxy_protocol.as_ref().map(|proxy| proxy.trusted.len()), Some(1));
    assert_eq!(listener.stream_timeout, None);
    let rate = listener.min_body_rate.expect("a rate");
    assert_eq!((rate.bytes_per_second, rate.grace), (1024, Duration::from_secs(5)));
    assert_eq!((listener.max_request_line, listener.max_connections_per_client), (4096, Some(50)));
    let tls = listener.tls.as_ref().expect("TLS");
    assert_eq!((tls.certificates.len(), tls.default, tls.min_version), (2, 1, MinVersion::Tls13));
    assert!(matches!(tls.client_auth, ClientAuth::Optional(_)));
    let http2 = listener.http2;
    assert_eq!((http2.max_streams, http2.stream_window, http2.max_continuations), (10, 65536, 4));
    // Five of the listener, three of the upstream.
    assert_eq!(settings.files.len(), 8);

    let api = &settings.upstreams[0];
    let socket = Address::Unix("/run/a.sock".into());
    assert_eq!(api.endpoints[0].scheme, Scheme::Https);
    let second = &api.endpoints[1];
    assert_eq!((&second.address, second.weight, second.priority), (&socket, 3, 1));
    assert_eq!(api.endpoints[2].address, Address::Host { host: "::1".to_owned(), port: 1 });
    assert_eq!(api.protocol, Protocol::Http2);
    assert!(api.tls.ca.is_some() && api.tls.identity.is_some());
    assert_eq!(api.tls.server_name.as_deref(), Some("api.example.com"));
    let key = HashKey::Cookie("session".to_owned());
    assert_eq!(api.balance, Balance::Hash { key, max_load_percent: 150 });
    let outlier = api.outlier.as_ref().expect("on");
    assert!(outlier.statuses.contains(500) && !outlier.statuses.contains(499) && outlier.failures == 3);
    let probe = api.probe.as_ref().expect("a probe");
    assert_eq!((probe.path.as_str(), probe.host.as_deref()), ("/healthz?x", Some("h")));
    assert_eq!(api.circuit.map(|circuit| (circuit.max_requests, circuit.max_pending)), Some((100, 0)));
    assert_eq!((api.retries.attempts, api.retries.budget_percent), (2, 20));
    assert_eq!(api.retries.per_try_timeout, Some(Duration::from_secs(1)));
    assert_eq!(api.proxy_protocol, Some(Version::V2));
    assert_eq!(api.max_headers, 256);
    let old = &settings.upstreams[1];
    assert!(old.outlier.is_none() && old.retries.attempts == 0);

    let route = &settings.routes[0];
    assert!(matches!(&route.path, PathMatch::Template(segments) if segments.len() == 3));
    assert_eq!(route.headers.len(), 3);
    assert!(
        route.headers.iter().any(|condition| condition.name == "x-old" && condition.test == Test::Absent)
    );
    assert_eq!(route.action.upstreams().collect::<Vec<_>>(), ["api", "old", "old"]);
    let policy = route.path_policy;
    assert_eq!((policy.encoded_slash, policy.backslash), (Separator::Decode, Separator::Keep));
    assert_eq!((policy.semicolon, policy.double_slash), (Semicolon::Keep, DoubleSlash::Keep));
    let edits = &route.request_headers;
    assert_eq!(
        (edits.set.len(), edits.add[0].0.as_str(), &edits.remove[..]),
        (1, "x-a", &["x-b".to_owned()][..])
    );
    let Action::Forward(forward) = &route.action else { panic!("{:?}", route.action) };
    assert_eq!((forward.split[0].weight, forward.host.clone()), (9, Some(HostRewrite::Endpoint)));
    let Action::Forward(forward) = &settings.routes[1].action else { panic!("a forward") };
    assert_eq!(forward.path, Some(PathRewrite::Prefix(String::new())));
    assert_eq!(settings.routes[1].name, "/api");
    let Action::Redirect(redirect) = &settings.routes[2].action else { panic!("a redirect") };
    assert_eq!((redirect.status.as_u16(), redirect.scheme, redirect.port), (301, Some("https"), Some(8443)));
    assert_eq!(settings.routes[2].name, "=/old");
    let Action::Respond(respond) = &settings.routes[3].action else { panic!("a response") };
    assert_eq!((respond.status.as_u16(), respond.body.as_str()), (503, "later"));
    assert_eq!(respond.content_type.as_deref(), Some("text/plain; charset=utf-8"));
}

/// Each is the only mistake of its file, and is reported as written here.
#[test]
fn mistakes_are_told_with_their_remedy() {
    let listener = [
        (
            "protocols = ['http3']",
            "4:14: an item of 'protocols' must be \"http1\" or \"http2\", not 'http3'; did you mean \"http1\"?",
        ),
        ("protocols = []", "'protocols' is empty"),
        ("proxy_protocol = 'on'", "'proxy_protocol' must be \"off\" or a table, not 'on'"),
        ("proxy_protocol = {}", "proxy_protocol lacks 'trusted'"),
        ("trusted_proxies = ['10.0.0.0/99']", "'10.0.0.0/99' is not a network"),
        ("tls = { key = 'k' }", "tls lacks 'certificate'"),
        ("tls = { certificates = [{ key = 'k' }] }", "the certificate lacks 'certificate'"),
        ("tls = { certificates = [] }", "tls lacks a certificate"),
        ("tls = { certificate = 'c', key = 'k', min_version = '1.1' }", "\"1.2\" or \"1.3\", not '1.1'"),
        (
            "tls = { certificate = 'c', key = 'k', client_auth = 'required' }",
            "'client_auth' lacks the authorities",
        ),
        ("http2 = { max_stream = 1 }", "unknown key 'max_stream' in http2; did you mean 'max_streams'?"),
        ("http2 = { connection_window = '1KiB' }", "a size from 65535 to 2147483647 bytes"),
    ];
    let upstream = [
        ("endpoints = ['http://u:secret@a:1']", "'…@a:1' is not an endpoint: it holds user information"),
        (
            "endpoints = [{ url = 'a:1', weight = 0 }]",
            "'weight' must be a whole number from 1 to 1000, not 0",
        ),
        (
            "endpoints = ['h2c://a']\nprotocol = 'http1'",
            "'h2c://a:80' is HTTP/2, but 'protocol' is \"http1\"",
        ),
        ("endpoints = ['a:1']\ntls = {}", "'tls' has no effect without https:// endpoints"),
        ("endpoints = ['https://a']\ntls = { key = 'k' }", "tls lacks 'certificate'"),
        ("endpoints = ['https://a']\ntls = { server_name = 'a b' }", "'a b' is not a host"),
        ("endpoints = ['a:1']\nbalance = 'hash'", "lacks its key; add hash = "),
        ("endpoints = ['a:1']\nhash = {}", "hash needs one key"),
        ("endpoints = ['a:1']\nbalance = 'round_robin'\nhash = { cookie = 'c' }", "'hash' has no effect"),
        (
            "endpoints = ['a:1']\nbalance = 'random'",
            "\"round_robin\", \"least_requests\" or \"hash\", not 'random'",
        ),
        ("endpoints = ['a:1']\nretries = 11", "a whole number from 0 to 10 or a table, not 11"),
        (
            "endpoints = ['a:1']\nretries = { statuses = ['6xx'] }",
            "an item of 'statuses' must be a status such as 503 or \"5xx\", not '6xx'",
        ),
        ("endpoints = ['a:1']\nprobe = { path = 'x' }", "'x' is not the path of a request"),
        ("endpoints = ['a:1']\ncircuit = {}", "circuit lacks 'max_requests'"),
        ("endpoints = ['a:1']\ncooldown = '1s'\noutlier = { base_ejection = '1s' }", "another name for"),
    ];
    let route = [
        ("path = { exact = '/a', prefix = '/b' }", "path needs one of"),
        ("path = { template = '/{a}/{a}' }", "another parameter 'a'"),
        ("path = { template = '/{*a}/b' }", "let it be the last segment"),
        ("path = { template = '/x{a}' }", "'x{a}' is not a segment"),
        ("path = '/a b'", "'/a b' can match no request (path_malformed); percent-encode"),
        ("methods = []", "'methods' is empty; name what fits, or remove it for any"),
        ("clients = { allow = [] }", "'allow' is empty"),
        ("authorization = [{ subjects = [] }]", "'subjects' is empty"),
        ("authorization = []", "'authorization' has no rule"),
        ("authorization = [{}]", "the rule lets every request pass"),
        ("authorization = [{ claims = {} }]", "the rule lets every request pass"),
        ("path = { template = '/{a b}' }", "'{a b}' is not a parameter"),
        ("path = { template = '/{a}//b' }", "is not canonical"),
        ("path = { template = '{a}' }", "does not begin with '/'"),
        ("path = { template = '/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}' }", "at most 8 parameters"),
        ("path = '/a;b'", "or allow it in 'path_policy'"),
        ("path_policy = { semicolon = 'decode' }", "\"reject\" or \"keep\", not 'decode'"),
        (
            "headers = { x = 1 }",
            "'x' in 'headers' must be a text, true (there is one) or false (there is none), not 1",
        ),
        ("headers = { 'a b' = 'x' }", "'a b' is not the name of a field"),
        ("headers = { X = 'a', x = 'b' }", "another condition on 'x'"),
        ("request_headers = { set = { Host = 'x' } }", "rewrite = { host = "),
        ("request_headers = { add = { Transfer-Encoding = 'x' } }", "it frames the message"),
        ("response_headers = { remove = ['Connection'] }", "it belongs to one connection"),
        ("response_headers = { set = { content_length = '1' } }", "it frames the message"),
        ("response_headers = { remove = ['X-Request-Id'] }", "the gateway writes it"),
        ("request_headers = { set = { X-A = '1', x-a = '2' } }", "another 'x-a' in another case"),
        (
            "request_headers = { set = { X = '{hots}' } }",
            "9:34: there is no variable 'hots'; did you mean 'host'?",
        ),
        ("request_headers = { set = { X = 'é {param.id}' } }", "no parameter 'id'"),
        ("request_headers = { set = { X = 'a}' } }", "9:35: '}' closes nothing"),
        ("request_headers = { set = { X = \"a\\nb\" } }", "no control characters"),
        ("rewrite = { path = '{host}' }", "a path begins with '/' or '{path}'"),
        ("rewrite = { path = '/{header.x}' }", "the variables path and param.NAME only"),
        ("rewrite = { path = '/a/../{path}' }", "no dot segments"),
        ("rewrite = { path = '/a/%2e%2e/{path}' }", "in its canonical form"),
        ("rewrite = { path = '/a/..;{path}' }", "in its canonical form"),
        ("rewrite = { path = '/a/%c3%a9' }", "in its canonical form"),
        ("rewrite = { path = '/%2{path}' }", "in its canonical form"),
        ("rewrite = { host = '{header.x}' }", "and the variable host"),
        ("rewrite = { prefix = '/a', path = '/b' }", "exclude each other"),
        ("path = { exact = '/a' }\nrewrite = { prefix = '/b' }", "but it has none; write 'path'"),
        ("mirror = { upstream = 'b' }", "there is no upstream 'b'"),
        ("redirect = { path = '/x' }", "one of 'upstream' and 'redirect'"),
        ("hosts = ['a.com:80']", "'a.com:80' is not a host: it has a port"),
        ("hosts = ['a.com', 'A.com']", "the host 'a.com' is there twice"),
    ];
    let answer = [
        ("redirect = {}", "redirect lacks 'path'"),
        ("redirect = { status = 200, path = '/x' }", "'status' must be 301, 302, 303, 307 or 308, not 200"),
        ("respond = {}", "respond lacks 'status'"),
        ("respond = { status = 100 }", "a status from 200 to 599, not 100"),
        ("respond = { status = 204, body = 'x' }", "a response with 204 has no body"),
        ("respond = { status = 200 }\nmirror = { upstream = 'a' }", "'mirror' has no effect"),
        (
            "respond = { status = 200 }\nrequest_headers = { remove = ['x'] }",
            "'request_headers' has no effect",
        ),
        ("split = []", "'split' gives no upstream any weight"),
        ("split = [{ upstream = 'a' }]", "split lacks 'weight'"),
        ("split = [{ upstream = 'a', weight = 0 }]", "'split' gives no upstream any weight"),
    ];
    let head = "[[listeners]]\naddress = '0.0.0.0:80'\n";
    let mut rows = Vec::new();
    let good = "[upstreams.a]\nendpoints = ['a:1']\n";
    for (line, expected) in listener {
        rows.push((format!("{head}\n{line}\n{good}[[routes]]\nupstream = 'a'\n"), expected));
    }
    for (lines, expected) in upstream {
        rows.push((format!("{head}[upstreams.a]\n{lines}\n[[routes]]\nupstream = 'a'\n"), expected));
    }
    for (line, expected) in route {
        rows.push((format!("{head}\n{good}\n[[routes]]\nupstream = 'a'\n{line}\n"), expected));
    }
    for (line, expected) in answer {
        rows.push((format!("{head}\n{good}\n[[routes]]\n{line}\n"), expected));
    }
    for (text, expected) in rows {
        let (_, problems) = read(&text);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{text}\n{problems:#?}\n{expected}");
    }
}

#[test]
fn all_mistakes_of_syntax_are_told_at_once() {
    let (_, problems) = read("a = \n[b]\nc = 1 2\nd = 'x\n");
    let places: Vec<&str> = problems.iter().filter_map(|problem| problem.split(" the ").next()).collect();
    assert_eq!(places, ["f:1:5:", "f:3:5:", "f:4:7:"], "{problems:#?}");
}
