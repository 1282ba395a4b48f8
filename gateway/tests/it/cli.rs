//! The command line and the settings, as an operator sees them.

use std::process::Output;

use crate::client::{ask, get};
use crate::gateway::{Gateway, command, file};

fn check(settings: &str) -> (Option<i32>, Vec<String>) {
    let path = file(settings);
    let name = path.as_ref().display().to_string();
    let output = command(&["check", "--config", &name]).output().expect("the built program");
    let text = String::from_utf8_lossy(&output.stderr).replace(&name, "F");
    // Without the lines of the file that are shown.
    let lines = text.lines().filter(|line| !line.starts_with(' '));
    (output.status.code(), lines.map(str::to_owned).collect())
}

#[test]
fn check_finds_every_mistake_in_one_go() {
    let (code, lines) = check(
        "adress = 1\n[[listeners]]\naddress = '127.0.0.1'\n\
         tls = { certificate = 'none.crt', key = 'none.key' }\n\
         [[listeners]]\naddress = '127.0.0.1:0'\n\
         tls = { certificate = 'none.crt', key = 'none.key' }\n\
         [upstreams.app]\nendpoints = ['x']\ntimeout = '5s'\n\
         [[routes]]\nupstream = 'ap'\nmethod = 'GET'\n",
    );
    assert_eq!(code, Some(2));
    let expected = [
        "F:1:1: unknown key 'adress' in the file; ",
        "F:3:11: 'address' must be an IP address with port",
        "F:4:23: 'none.crt' contains no certificate",
        "F:4:41: 'none.key' contains no private key",
        "F:7:23: 'none.crt' contains no certificate",
        "F:7:41: 'none.key' contains no private key",
        "F:9:14: 'x' is not an endpoint",
        "F:10:1: unknown key 'timeout' in [upstreams.app]; ",
        "F:12:12: there is no upstream 'ap'; did you mean 'app'?",
        "F:13:1: unknown key 'method' in [[routes]]; did you mean 'methods'?",
        "gateway: 10 problems in the settings",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{expected}\n{line}");
    }
}

#[test]
fn check_warns_of_what_is_rarely_meant() {
    let (code, lines) = check(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['a:1']\n\
         [upstreams.b]\nendpoints = ['b:1']\n\
         [[routes]]\nname = 'all'\npath = '/a'\nupstream = 'a'\n\
         [[routes]]\nname = 'one'\npath = { exact = '/a' }\nupstream = 'a'\n\
         [[routes]]\nname = 'rest'\npath = { template = '/a/{*rest}' }\nupstream = 'a'\n",
    );
    assert_eq!(code, Some(0));
    let expected = [
        "F:5:12: warning: no route uses the upstream 'b' [unused-upstream]",
        "F:7:1: warning: no request reaches the route 'all'; others, such as 'one' in line 11, take them [shadowed-route]",
    ];
    assert_eq!(lines, expected);
}

/// What a check prints on standard output and standard error.
fn checked(settings: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let path = file(settings);
    let name = path.as_ref().display().to_string();
    let all = [&["check", "--config", &name], arguments].concat();
    let output = command(&all).output().expect("the built program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&name, "F");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const WARNED: &str = "\
[[listeners]]
address = '127.0.0.1:0'
trusted_proxies = ['10.0.0.0/8', '0.0.0.0/0']
[upstreams.a]
endpoints = ['a:1']
retries = { per_try_timeout = '40s' }
[upstreams.b]
endpoints = ['b:1']
[[routes]]
upstream = 'a'
request_timeout = '1s'
per_try_timeout = '2s'
request_headers = { set = { Authorization = 'Basic aHVudGVyMg==', X-A = 'x', Cookie = '{header.cookie}' } }
";

#[test]
fn the_line_of_a_problem_is_shown_without_secrets() {
    let (code, out, errors) = checked(WARNED, &[]);
    assert_eq!((code, out.as_str()), (Some(0), "F: no problems, 5 warnings\n"));
    let expected = "\
F:3:34: warning: every client may say that it is another one; name the proxies alone [trusts-everyone]
 3 | trusted_proxies = ['10.0.0.0/8', '0.0.0.0/0']
   |                                  ^^^^^^^^^^^
F:6:31: warning: 'per_try_timeout' has no effect: it is longer than 'response_timeout' [timeout-order]
 6 | retries = { per_try_timeout = '40s' }
   |                               ^^^^^
F:7:12: warning: no route uses the upstream 'b' [unused-upstream]
 7 | [upstreams.b]
   |            ^
F:12:19: warning: 'per_try_timeout' has no effect: it is longer than 'request_timeout' [timeout-order]
 12 | per_try_timeout = '2s'
    |                   ^^^^
F:13:45: warning: this looks like a credential in plain text; who can read the file can use it [plain-text-credential]
";
    assert!(errors.starts_with(expected), "{errors}");
    assert!(!errors.contains("aHVudGVyMg") && errors.contains("Authorization = ****"), "{errors}");
    for settings in ["password = 'hunter2'\n", "x = 1\ntoken = 'hunter2\n", "[a\nsecret = 'hunter2'\n"] {
        let (code, _, errors) = checked(settings, &[]);
        assert!(code == Some(2) && !errors.contains("hunter2"), "{errors}");
    }
}

#[test]
fn warnings_can_be_denied_and_allowed() {
    let all: [&str; 8] = [
        "--allow",
        "trusts-everyone",
        "--allow",
        "timeout-order",
        "--allow",
        "unused-upstream",
        "--allow",
        "plain-text-credential",
    ];
    let table: [(&[&str], i32); 4] = [
        (&[], 0),
        (&["--deny-warnings"], 1),
        (&["--deny-warnings", "--allow", "unused-upstream"], 1),
        (&["--deny-warnings", "--allow", "unused"], 2),
    ];
    for (arguments, code) in table {
        assert_eq!(checked(WARNED, arguments).0, Some(code), "{arguments:?}");
    }
    let (code, out, errors) = checked(WARNED, &[&["--deny-warnings"][..], &all].concat());
    assert_eq!((code, out.as_str(), errors.as_str()), (Some(0), "F: no problems\n", ""));
    assert_eq!(checked("x = 1", &["--deny-warnings"]).0, Some(2));
}

#[test]
fn editors_get_json() {
    let (code, out, _) = checked("[[listeners]]\naddress = '127.0.0.1:0'\nnane = 'x'\n", &["--json"]);
    assert_eq!(code, Some(2));
    let found: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let key = &found["problems"].as_array().expect("a list").last().expect("a problem");
    let expected = serde_json::json!({
        "severity": "error", "code": null, "file": "F", "line": 3, "column": 1, "length": 4,
        "message": "unknown key 'nane' in [[listeners]]; did you mean 'name'?",
    });
    assert_eq!(**key, expected);
}

#[test]
fn effective_settings_are_settings() {
    let (code, out, _) = checked(WARNED, &["--print"]);
    assert_eq!(code, Some(0));
    for line in [
        "drain_timeout = \"30s\"",
        "[[listeners]]",
        "idle_timeout = \"75s\"",
        "per_try_timeout = \"40s\"",
        "Authorization = \"********\"",
        "# request_headers: none",
    ] {
        assert_eq!(out.contains(line), !line.starts_with('#'), "{line}\n{out}");
    }
    assert!(!out.contains("aHVudGVyMg"), "{out}");
    let (code, again, errors) = checked(&out, &["--print"]);
    assert_eq!((code, again), (Some(0), out), "{errors}");
}

#[test]
fn a_file_that_is_no_settings_file_is_one_problem() {
    let table = [
        ("[[listeners]\n", "F:1:13: "),
        ("a = 1\na = 2\n", "F:2:1: the file is not valid TOML here: duplicate key"),
    ];
    for (text, expected) in table {
        let (code, lines) = check(text);
        assert_eq!(code, Some(2));
        assert!(lines[0].starts_with(expected), "{lines:#?}");
    }
    let (code, lines) = check("");
    assert_eq!(code, Some(2));
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (line, what) in lines.iter().zip(["no listener", "no upstream", "no route", "3 problems"]) {
        assert!(line.contains(what), "{lines:#?}");
    }
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the built program")
}

#[test]
fn exit_codes() {
    let table: [(&[&str], i32); 12] = [
        (&["--version"], 0),
        (&["--help"], 0),
        (&["check", "--help"], 0),
        (&["fly"], 2),
        (&["--fly"], 2),
        (&["check", "--config"], 2),
        (&["check", "--config", "/does/not/exist"], 2),
        (&["check", "--config", "/"], 2),
        (&["run", "--config", "/does/not/exist"], 2),
        (&["health", "--config", "/does/not/exist"], 2),
        (&["health", "--timeout", "soon"], 2),
        (&["run", "--timeout", "3s"], 2),
    ];
    for (arguments, code) in table {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let says = if code == 0 { &output.stdout } else { &output.stderr };
        assert!(!says.is_empty(), "{arguments:?}");
    }
    let version = output(&["--version"]);
    let expected = format!("gateway {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
}

#[test]
fn an_address_in_use_is_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let file = file(&format!(
        "admin.address = '127.0.0.1:0'\n[[listeners]]\naddress = '{address}'\n\
         [upstreams.a]\nendpoints = ['a:1']\n[[routes]]\nupstream = 'a'\n"
    ));
    let output = command(&["--config"]).arg(&file).output().expect("the built program");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&address.to_string()) && text.contains("in use"), "{text}");
}

#[test]
fn the_environment_names_the_file() {
    let good = file(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['a:1']\n\
         [[routes]]\nupstream = 'a'\n",
    );
    let check = |path: &crate::gateway::File| {
        let mut check = command(&["check"]);
        check.env("GATEWAY_CONFIG", path).output().expect("the built program").status.code()
    };
    assert_eq!(check(&good), Some(0));
    assert_eq!(check(&file("x = 1")), Some(2));
}

#[test]
fn the_example_has_no_problems() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway.toml");
    let output = output(&["check", "--config", example]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
}

/// The only test that needs the two fixed ports of the built-in settings; it is skipped where
/// something else has them, which the exit code of the gateway tells.
#[test]
fn without_settings_a_page_is_served() {
    if std::path::Path::new("/etc/gateway/gateway.toml").exists() {
        return;
    }
    let free = |port| std::net::TcpListener::bind(("0.0.0.0", port)).is_ok();
    if !free(8080) || !free(8081) {
        return;
    }
    let gateway = Gateway::built_in();
    let page = get(gateway.address, "/");
    assert_eq!(page.status, 200);
    assert_eq!(page.field("content-type"), Some("text/plain; charset=utf-8"));
    assert!(page.body.starts_with("The gateway works.") && page.body.contains("gateway check"));
    let page = ask(gateway.address, "GET / HTTP/1.1\r\nHost: t\r\nAccept: text/html,*/*\r\n\r\n");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.starts_with("<!doctype html>"));
    assert_eq!(get(gateway.address, "/x").status, 404);
    assert_eq!(ask(gateway.address, "POST / HTTP/1.1\r\nHost: t\r\n\r\n").status, 405);
    assert_eq!(output(&["health"]).status.code(), Some(0));
}
