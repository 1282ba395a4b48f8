//! The command line and the settings, as an operator sees them.

use std::process::Output;

use crate::client::{ask, get};
use crate::gateway::{Gateway, command, file};

fn check(settings: &str) -> (Option<i32>, Vec<String>) {
    let path = file(settings);
    let name = path.as_ref().display().to_string();
    let output = command(&["check", "--config", &name]).output().expect("the built program");
    let text = String::from_utf8_lossy(&output.stderr).replace(&name, "F");
    (output.status.code(), text.lines().map(str::to_owned).collect())
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
        "F:4:23: 'none.crt' holds no certificate",
        "F:4:41: 'none.key' holds no private key",
        "F:7:23: 'none.crt' holds no certificate",
        "F:7:41: 'none.key' holds no private key",
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
        "F:5:12: no route leads to the upstream 'b' (warning)",
        "F:7:1: no request reaches the route 'all'; others, such as 'one' in line 11, take them (warning)",
    ];
    assert_eq!(lines, expected);
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
