//! `gateway explain`, against the settings that a running gateway would read.

use serde_json::Value;

use crate::gateway::{command, file};

const SETTINGS: &str = "\
[[listeners]]
name = 'plain'
address = '127.0.0.1:8080'
trusted_proxies = ['10.0.0.0/8']
[[listeners]]
name = 'other'
address = '127.0.0.1:9090'
max_body_bytes = 5
[upstreams.a]
endpoints = ['a:1', 'https://b']
[upstreams.c]
endpoints = ['c:1', 'd:1', 'e:1']
balance = 'hash'
hash = { cookie = 'session' }
[[routes]]
name = 'user'
hosts = ['*.example.com']
path = { template = '/users/{id}' }
methods = ['GET']
split = [{ upstream = 'a', weight = 3 }, { upstream = 'c', weight = 1 }]
rewrite = { path = '/u?id={param.id}', host = '{endpoint}' }
[[routes]]
name = 'rest'
path = '/'
upstream = 'c'
[[routes]]
name = 'old'
path = { exact = '/old' }
redirect = { path = '/new' }
[[routes]]
name = 'beta'
path = '/users'
headers = { 'X-Env' = 'beta' }
respond = { status = 418 }
";

fn explain(arguments: &[&str]) -> (Option<i32>, String, String) {
    let settings = file(SETTINGS);
    let name = settings.as_ref().display().to_string();
    let mut all = vec!["explain", "--config", &name];
    all.extend(arguments);
    let output = command(&all).output().expect("the built program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&name, "F");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn json(arguments: &[&str]) -> Value {
    let (code, text, errors) = explain(&[arguments, &["--json"]].concat());
    assert!(matches!(code, Some(0 | 1)), "{errors}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_forwarded_request_is_explained() {
    let (code, text, _) = explain(&["GET", "http://x.example.com/users/7?a=1"]);
    assert_eq!(code, Some(0));
    let expected = "\
request     GET http://x.example.com/users/7?a=1
listener    plain (127.0.0.1:8080)
client      127.0.0.1
route       user (F:15)
            {id} = 7
filters     limits           max_body_bytes      passes
            client           forwarded           passes
            target           rewrite             passes
outcome     forwarded
path        /users/7?a=1 -> /u?id=7
host        x.example.com -> the endpoint's
upstream    a, 75 % of the requests, round_robin
            http://a:1
            https://b:443
upstream    c, 25 % of the requests, hash
            http://c:1
            http://d:1
            http://e:1
not taken   rest (F:22): matches too; 'user' takes precedence
            old (F:26): the path is not /old
            beta (F:30): the field x-env is not \"beta\"
";
    assert_eq!(text, expected);
}

#[test]
fn every_part_of_a_request_counts() {
    let table: [(&[&str], &str, Value); 12] = [
        (&["GET", "/old"], "/route/name", "old".into()),
        (&["GET", "/old?x"], "/outcome", "redirected with 308 to /new?x".into()),
        (&["GET", "/old/"], "/route/name", "rest".into()),
        (&["GET", "/users/7"], "/route/name", "rest".into()),
        (&["GET", "/users/7", "-H", "X-Env: beta"], "/outcome", "answered with 418".into()),
        (&["HEAD", "http://a.example.com/users/7"], "/route/name", "user".into()),
        (&["PUT", "http://a.example.com/users/7"], "/route", Value::Null),
        (&["GET", "/x", "-H", "Host: a.example.com"], "/host/client", "a.example.com".into()),
        (&["GET", "http://x:9090/"], "/listener", "other".into()),
        (
            &["GET", "/", "--client", "10.1.1.1", "-H", "X-Forwarded-For: 203.0.113.9"],
            "/client",
            "203.0.113.9".into(),
        ),
        (&["GET", "/a/%2e%2e/b//c"], "/path/client", "/b/c".into()),
        (
            &["POST", "http://x:9090/", "-H", "Content-Length: 6"],
            "/filters/0/result",
            "refuses: body_too_large".into(),
        ),
    ];
    for (arguments, pointer, expected) in table {
        let found = json(arguments);
        assert_eq!(found.pointer(pointer), Some(&expected), "{arguments:?} {found:#}");
    }
}

#[test]
fn the_endpoint_of_a_hash_is_that_of_the_request() {
    let chosen = |cookie: &str| {
        let found = json(&["GET", "/", "-H", &format!("Cookie: session={cookie}")]);
        found.pointer("/upstreams/0/chosen").and_then(Value::as_str).expect("an endpoint").to_owned()
    };
    assert_eq!(chosen("one"), chosen("one"));
    let all: std::collections::HashSet<String> = (0..20).map(|number| chosen(&number.to_string())).collect();
    assert!(all.len() > 1, "{all:?}");
}

#[test]
fn what_is_no_request_is_told() {
    let refused: [(&[&str], &str); 4] = [
        (&["GET", "/a%2Fb"], "path_ambiguous"),
        (&["GET", "/a", "-H", "Host: a b"], "refused with 400"),
        (&["GET", "/a", "-H", "Transfer-Encoding: x"], "refused with 400"),
        (&["PUT", "http://a.example.com/users/7", "-H", "X-Env: beta2"], "method_not_allowed"),
    ];
    for (arguments, expected) in refused {
        let (code, text, _) = explain(arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(expected), "{arguments:?}\n{text}");
    }
    let misused: [(&[&str], &str); 5] = [
        (&["GET", "ftp://a/"], "'ftp' is not http or https"),
        (&["GET", "a.com/x"], "write http://a.com/x"),
        (&["GET", "https://a/"], "no listener accepts https"),
        (&["GET", "/", "-H", "X"], "write 'Name: value'"),
        (&["GET", "/", "-H", "X: a\r\nY: b"], "is not a field"),
    ];
    for (arguments, expected) in misused {
        let (code, _, errors) = explain(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(errors.contains(expected), "{arguments:?}\n{errors}");
    }
}
