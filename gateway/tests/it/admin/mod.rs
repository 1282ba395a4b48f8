//! The admin page, its JSON, and `gateway top`.

mod browser;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::{ask, get};
use crate::gateway::{File, Gateway, PATIENCE, command, file};
use crate::have::have;
use crate::upstream::Upstream;
use browser::Page;

/// A gateway that has answered requests and failed some.
fn gateway(upstream: &Upstream) -> (Gateway, File) {
    let text = format!(
        "threads = 1\nadmin.address = '127.0.0.1:0'\n[[listeners]]\nname = 'web'\naddress = '127.0.0.1:0'\n\
         [upstreams.orders]\nendpoints = ['{}']\ncircuit = {{ max_requests = 64 }}\n\
         [upstreams.billing]\nendpoints = ['127.0.0.1:1']\noutlier = {{ connect_failures = 1 }}\n\
         [[routes]]\nname = 'orders'\npath = '/orders'\nupstream = 'orders'\n\
         [[routes]]\nname = 'billing'\npath = '/billing'\nupstream = 'billing'\n\
         [[routes]]\nname = 'health'\npath = '/health'\nrespond = {{ status = 204 }}\n",
        upstream.address
    );
    let file = file(&text);
    let gateway = Gateway::from_file(&file);
    traffic(&gateway);
    (gateway, file)
}

fn traffic(gateway: &Gateway) {
    for _ in 0..20 {
        assert_eq!(get(gateway.address, "/orders/7").status, 200);
    }
    assert_eq!(get(gateway.address, "/billing?secret=1").status, 503);
    assert_eq!(get(gateway.address, "/<script>alert(1)</script>").status, 404);
    assert_eq!(get(gateway.address, "/nowhere").status, 404);
}

fn status(gateway: &Gateway) -> Value {
    let answer = get_page(gateway, "/-/status");
    serde_json::from_str(&answer.body).expect("JSON")
}

fn get_page(gateway: &Gateway, path: &str) -> crate::client::Answer {
    ask(gateway.admin, format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.admin))
}

#[test]
fn the_state_as_json() {
    let upstream = Upstream::saying("x");
    let (gateway, _file) = gateway(&upstream);
    // A request is counted behind its response, a failure before it.
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        let status = status(&gateway);
        let routes = status["routes"].as_array().expect("routes");
        let counts = routes.iter().filter_map(|route| route["statuses"].as_object());
        let ended: u64 = counts.flat_map(|classes| classes.values()).filter_map(Value::as_u64).sum();
        if ended == 23 {
            assert_eq!(status["failures"].as_array().map(Vec::len), Some(3), "{status}");
            break status;
        }
        assert!(Instant::now() < deadline, "{status}");
    };
    let route = |name: &str| {
        let all = status["routes"].as_array().expect("routes");
        all.iter().find(|route| route["name"] == name).expect(name).clone()
    };
    assert_eq!(
        (&route("orders")["statuses"]["2xx"], &route("orders")["action"]),
        (&json!(20), &json!("to orders"))
    );
    assert_eq!(route("billing")["statuses"]["5xx"], 1);
    assert_eq!(route("")["statuses"]["4xx"], 2);
    let [orders, billing] = [1, 0].map(|number| status["upstreams"][number].clone());
    assert_eq!((&orders["name"], &orders["circuit"]["max"]), (&json!("orders"), &json!(64)));
    assert_eq!(orders["endpoints"][0]["statuses"]["2xx"], 20);
    assert_eq!(orders["endpoints"][0]["in_flight"], 0);
    assert!(billing["endpoints"][0]["statuses"]["none"].as_u64().is_some_and(|count| count > 0));
    let failure = status["failures"].as_array().expect("failures");
    let failure = failure.iter().find(|one| one["route"] == "billing").expect("a failure");
    assert_eq!((&failure["path"], &failure["failure"]), (&json!("/billing"), &json!("connect")));
    assert!(!status.to_string().contains("secret=1"));
    let settings = get_page(&gateway, "/-/settings").body;
    assert!(settings.contains("max_requests = 64"), "{settings}");
}

#[test]
fn other_sites_and_other_names_are_refused() {
    let upstream = Upstream::saying("x");
    let (gateway, _file) = gateway(&upstream);
    let own = gateway.admin.to_string();
    let table = [
        ("GET", own.as_str(), "", 200),
        ("GET", "evil.example", "", 403),
        ("GET", &own, "Sec-Fetch-Site: cross-site\r\n", 403),
        ("POST", &own, "Origin: http://evil.example\r\n", 403),
        ("POST", &own, "", 405),
    ];
    let foreign = format!("POST /-/reload HTTP/1.1\r\nHost: {own}\r\nOrigin: http://evil.example\r\n\r\n");
    assert_eq!(ask(gateway.admin, foreign).status, 403);
    for (method, host, fields, expected) in table {
        let answer =
            ask(gateway.admin, format!("{method} /-/status HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        assert_eq!(answer.status, expected, "{method} {host} {fields}");
    }
    let page = get_page(&gateway, "/-/");
    let policy = page.field("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains("onclick") && !page.body.contains("<style"), "{}", page.body);
    // Health and metrics are for probes, whatever host they name.
    assert_eq!(get(gateway.admin, "/readyz").status, 200);
}

/// A request by another name than one of the loopback stands for one from another machine.
#[test]
fn a_token_opens_the_page() {
    let token = file("0123456789abcdef\n");
    let settings = |token: &str| {
        format!(
            "threads = 1\nadmin = {{ address = '127.0.0.1:0', token = {token} }}\n\
             [[listeners]]\naddress = '127.0.0.1:0'\n[[routes]]\nrespond = {{ status = 204 }}\n"
        )
    };
    let path = token.as_ref().to_str().expect("a path");
    let gateway = Gateway::from_file(&file(&settings(&format!("{{ file = '{path}' }}"))));
    let ask = |fields: &str| {
        ask(gateway.admin, format!("GET /-/status HTTP/1.1\r\nHost: admin.example:8081\r\n{fields}\r\n"))
    };
    let table = [
        ("", 401),
        ("Authorization: Bearer 0123456789abcdef\r\n", 200),
        ("Authorization: Basic YWRtaW46MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 200),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Bearer 0123456789abcdef\r\nSec-Fetch-Site: cross-site\r\n", 403),
    ];
    for (fields, status) in table {
        let answer = ask(fields);
        assert_eq!(answer.status, status, "{fields}");
        let challenges = answer.head.matches("www-authenticate: ").count();
        assert_eq!(challenges, if status == 401 { 2 } else { 0 }, "{}", answer.head);
    }
    assert_eq!(get_page(&gateway, "/-/status").status, 200, "this machine needs no token");
    let settings = file(&settings("'short'"));
    let short = command(&["check", "--config"]).arg(&settings).output().expect("the program");
    let said = String::from_utf8_lossy(&short.stderr);
    assert_eq!(short.status.code(), Some(2), "{said}");
    assert!(said.contains("shorter than 16 bytes"), "{said}");
}

#[test]
fn top_prints_once_where_there_is_no_terminal() {
    let upstream = Upstream::saying("x");
    let (gateway, _file) = gateway(&upstream);
    let output =
        command(&["top", "--address", &gateway.admin.to_string()]).output().expect("the built program");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for part in ["ready", "orders", "20", "RECENT FAILURES", "/billing upstream connect"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let nothing = command(&["top", "--address", "127.0.0.1:1"]).output().expect("the built program");
    assert_eq!(nothing.status.code(), Some(1));
}

/// Where the pictures go: into the documents if they are to be made anew.
fn pictures() -> PathBuf {
    match std::env::var_os("UPDATE_DOCS") {
        Some(_) => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images")),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

#[test]
fn the_page_in_a_browser() {
    if !have("chromium") {
        return;
    }
    let upstream = Upstream::saying("x");
    let (gateway, _file) = gateway(&upstream);
    let mut page = Page::open();
    fs::create_dir_all(pictures()).expect("a folder");
    for (width, height) in [(400, 860), (1400, 900)] {
        for scheme in ["light", "dark"] {
            let metrics =
                json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
            page.call("Emulation.setDeviceMetricsOverride", metrics);
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            page.call("Emulation.setEmulatedMedia", media);
            page.call("Page.navigate", json!({"url": format!("http://{}/-/", gateway.admin)}));
            page.wait_for("document.body?.dataset.loaded === 'once'");
            traffic(&gateway);
            page.wait_for("document.body.dataset.loaded === 'twice'");
            let wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth");
            assert_eq!(wide, false, "{width} {scheme}: the page is wider than the window");
            let background = page.evaluate("getComputedStyle(document.body).backgroundColor");
            let expected = if scheme == "dark" { "rgb(13, 17, 23)" } else { "rgb(255, 255, 255)" };
            assert_eq!(background, expected, "{width} {scheme}");
            let picture = page.picture();
            assert!(picture.len() < 200 << 10, "{width} {scheme}: {} bytes", picture.len());
            fs::write(pictures().join(format!("admin-{width}-{scheme}.png")), picture).expect("a picture");
        }
    }
    let text = page.evaluate("document.querySelector('#failures tbody').innerText");
    assert!(text.as_str().expect("text").contains("upstream: connect"), "{text}");
    assert_eq!(page.evaluate("document.querySelectorAll('#routes tbody tr').length"), 4);
    assert_eq!(page.evaluate("document.querySelectorAll('script').length"), 1);
    keyboard(&mut page);
    page.evaluate("document.getElementById('reload').click()");
    page.wait_for("document.getElementById('reloaded').textContent.includes('settings reloaded in')");
    assert_eq!(page.errors, Vec::<String>::new());
}

/// Everything is reached by Tab, and a button works by Enter.
fn keyboard(page: &mut Page) {
    page.evaluate("document.activeElement.blur()");
    let mut met = Vec::new();
    for _ in 0..12 {
        page.press("Tab", 9);
        let name = "(document.activeElement.id || document.activeElement.textContent || '').slice(0, 20)";
        met.push(page.evaluate(name).as_str().unwrap_or_default().to_owned());
        if met.last().is_some_and(|name| name == "pause") {
            page.press("Enter", 13);
            assert_eq!(page.evaluate("document.activeElement.getAttribute('aria-pressed')"), "true");
            page.press("Enter", 13);
        }
    }
    for name in ["Skip to the tables", "Routes", "pause", "filter", "reload", "text"] {
        assert!(met.iter().any(|found| found == name), "{name} is not among {met:?}");
    }
}
