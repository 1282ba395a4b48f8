//! Cross-origin requests of browsers.

use crate::client::{Answer, ask};
use crate::gateway::{Gateway, command, file};
use crate::upstream::Upstream;

fn gateway(upstream: &Upstream, routes: &str) -> Gateway {
    let address = upstream.address;
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['{address}']\n{routes}"
    ))
}

fn send(gateway: &Gateway, line: &str, fields: &str) -> Answer {
    ask(gateway.address, format!("{line} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
}

/// The values of a field, in order.
fn values<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

#[test]
fn browsers_of_other_sites() {
    // The upstream has an opinion of its own, which browsers must not see beside the gateway's.
    let upstream = Upstream::raw(
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\naccess-control-allow-private-network: true\r\n\
          Vary: Accept\r\nContent-Length: 1\r\n\r\nx",
    );
    let gateway = gateway(
        &upstream,
        "[[routes]]\npath = '/api'\nupstream = 'a'\nmethods = ['GET', 'PUT']\n\
         cors = { origins = ['https://app.example', 'https://*.example.com'], methods = ['PUT'], \
         headers = ['Content-Type', 'X-Token'], expose_headers = ['X-Total'], credentials = true, max_age = '1h' }\n\
         request_headers.remove = ['Origin']\n\
         [[routes]]\npath = '/api'\nupstream = 'a'\nmethods = ['DELETE']\nname = 'no cors'\n\
         [[routes]]\npath = '/open'\nupstream = 'a'\ncors = { origins = ['*'], methods = ['*'], headers = ['*'] }\n\
         [[routes]]\npath = '/limited'\nupstream = 'a'\nmax_body_bytes = 0\ncors.origins = ['https://app.example', 'null']\n\
         [[routes]]\nupstream = 'a'\n",
    );
    let app = "Origin: https://app.example\r\n";
    let put = "Access-Control-Request-Method: PUT\r\n";
    // Requests: line, fields, status, the allowed origin.
    let table = [
        ("GET /api", app.to_owned(), 200, Some("https://app.example")),
        ("GET /api", "Origin: https://a.b.example.com\r\n".to_owned(), 200, Some("https://a.b.example.com")),
        ("GET /api", "Origin: https://evil.test\r\n".to_owned(), 200, None),
        ("GET /api", "Origin: null\r\n".to_owned(), 200, None),
        ("GET /api", String::new(), 200, None),
        ("GET /api", format!("{app}{app}"), 200, None),
        ("GET /open", String::new(), 200, Some("*")),
        ("GET /open", "Origin: null\r\n".to_owned(), 200, Some("*")),
        ("GET /limited", "Origin: null\r\n".to_owned(), 200, Some("null")),
        // Failures can be read too.
        ("POST /limited", format!("{app}Content-Length: 5\r\n\r\nhello"), 413, Some("https://app.example")),
        // No preflights: forwarded like all others.
        ("OPTIONS /open", app.to_owned(), 200, Some("*")),
        ("OPTIONS /open", put.to_owned(), 200, Some("*")),
    ];
    for (line, fields, status, allowed) in table {
        let answer = send(&gateway, line, &fields);
        assert_eq!(answer.status, status, "{line} {fields}");
        let found = values(&answer, "access-control-allow-origin");
        assert_eq!(found, allowed.into_iter().collect::<Vec<_>>(), "{line} {fields}");
        let is_open = line.ends_with("/open");
        assert_eq!(values(&answer, "vary").contains(&"Origin"), !is_open, "{line} {}", answer.head);
        assert!(answer.field("access-control-allow-private-network").is_none(), "{}", answer.head);
        let credentials = allowed.filter(|_| line == "GET /api").map(|_| "true");
        assert_eq!(answer.field("access-control-allow-credentials"), credentials, "{line} {fields}");
        let exposed = allowed.filter(|_| line == "GET /api").map(|_| "x-total");
        assert_eq!(answer.field("access-control-expose-headers"), exposed, "{line} {fields}");
        assert!(status == 413 || values(&answer, "vary").contains(&"Accept"), "{}", answer.head);
    }
    let before = upstream.requests();
    // Preflights: path, fields, status, methods and fields that are allowed.
    let asked = |names: &str| format!("{app}{put}Access-Control-Request-Headers: {names}\r\n");
    let table = [
        ("/api", format!("{app}{put}"), 204, "PUT", None),
        ("/api", asked("content-type,x-token"), 204, "PUT", Some("content-type, x-token")),
        (
            "/api",
            format!("{}Access-Control-Request-Headers: X-Token\r\n", asked("content-type")),
            204,
            "PUT",
            Some("content-type, X-Token"),
        ),
        ("/api", format!("{app}Access-Control-Request-Method: GET\r\n"), 204, "GET", None),
        ("/api", asked("x-other"), 403, "", None),
        ("/api", asked("authorization"), 403, "", None),
        ("/api", format!("Origin: https://evil.test\r\n{put}"), 403, "", None),
        ("/api", format!("{app}{app}{put}"), 403, "", None),
        ("/api", format!("{app}Access-Control-Request-Method: put\r\n"), 405, "", None),
        (
            "/open",
            format!("Origin: null\r\n{put}Access-Control-Request-Headers: x-any\r\n"),
            204,
            "PUT",
            Some("x-any"),
        ),
        ("/open", asked("x-any, authorization"), 403, "", None),
        ("/limited", format!("{app}{put}"), 403, "", None),
        ("/limited", format!("{app}Access-Control-Request-Method: POST\r\n"), 204, "POST", None),
    ];
    for (path, fields, status, method, names) in table {
        let answer = send(&gateway, &format!("OPTIONS {path}"), &fields);
        assert_eq!(answer.status, status, "{path} {fields}\n{}", answer.head);
        if status == 204 {
            assert_eq!(answer.field("access-control-allow-methods"), Some(method), "{path} {fields}");
            assert_eq!(answer.field("access-control-allow-headers"), names, "{path} {fields}");
            assert_eq!(values(&answer, "access-control-allow-origin").len(), 1, "{path} {fields}");
            let age = if path == "/api" { "3600" } else { "600" };
            assert_eq!(answer.field("access-control-max-age"), Some(age), "{path}");
            assert!(answer.field("content-length").is_none(), "{}", answer.head);
        } else {
            assert_eq!(answer.field("access-control-allow-methods"), None, "{path} {fields}");
        }
        if status != 405 {
            assert!(values(&answer, "vary").contains(&"Access-Control-Request-Method"), "{}", answer.head);
        }
    }
    assert_eq!(upstream.requests(), before, "preflights do not reach the service");
    // The route of DELETE has no rules, so that its preflight goes where OPTIONS goes.
    let delete = format!("{app}Access-Control-Request-Method: DELETE\r\n");
    assert_eq!(send(&gateway, "OPTIONS /api", &delete).status, 405);
}

#[test]
fn preflights_need_no_credentials() {
    let hash = "f7e7c36e458e80e6b6a2c67d0a9ec09bd718dadd7bfa8d6bf6e7ad526e46c2f7";
    let upstream = Upstream::saying("x");
    let gateway = gateway(
        &upstream,
        &format!(
            "[authenticators.keys]\napi_key = {{ header = 'x-key', keys = [{{ name = 'a', sha256 = '{hash}' }}] }}\n\
             [[routes]]\nupstream = 'a'\nauthentication.any = ['keys']\n\
             cors = {{ origins = ['https://app.example'], headers = ['X-Key'] }}\n"
        ),
    );
    let app = "Origin: https://app.example\r\n";
    let preflight =
        format!("{app}Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: x-key\r\n");
    assert_eq!(send(&gateway, "OPTIONS /", &preflight).status, 204);
    let answer = send(&gateway, "GET /", app);
    assert_eq!(
        (answer.status, answer.field("access-control-allow-origin")),
        (401, Some("https://app.example"))
    );
    assert_eq!(send(&gateway, "GET /", &format!("{app}X-Key: secret-1\r\n")).status, 200);
}

#[test]
fn what_would_let_any_site_act_as_the_user_is_no_setting() {
    for (keys, expected) in [
        ("origins = ['*'], credentials = true", "could act as the user"),
        ("origins = ['null'], credentials = true", "could act as the user"),
        ("origins = ['https://app.example/']", "more than scheme, host and port"),
        ("methods = ['GET']", "lacks 'origins'"),
        ("origins = ['*'], headers = ['a b']", "not the name of a field"),
    ] {
        let settings = file(&format!(
            "[[listeners]]\naddress = '127.0.0.1:0'\n[[routes]]\nrespond = {{ status = 204 }}\ncors = {{ {keys} }}\n"
        ));
        let output = command(&["check", "--config"]).arg(&settings).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{keys}\n{said}");
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}
