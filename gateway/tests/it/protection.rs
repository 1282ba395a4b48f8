//! Addresses, maintenance, fields for browsers, the query, HEAD, long responses.

use std::io::{Read, Write};

use crate::authority::Authority;
use crate::client::{Client, ask, get};
use crate::gateway::{Gateway, command, file};
use crate::upstream::{Upstream, response, target};

fn gateway(upstream: &Upstream, listener: &str, rest: &str) -> Gateway {
    let address = upstream.address;
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n{listener}\n[upstreams.a]\nendpoints = ['{address}']\n{rest}"
    ))
}

#[test]
fn addresses_may_or_may_not() {
    let upstream = Upstream::saying("x");
    let gateway = gateway(
        &upstream,
        "trusted_proxies = ['127.0.0.1']",
        "[[routes]]\npath = '/deny'\nupstream = 'a'\nclients.deny = ['192.0.2.0/24', '2001:db8::/32']\n\
         [[routes]]\npath = '/allow'\nupstream = 'a'\nclients = { allow = ['192.0.2.0/24'], deny = ['192.0.2.66'] }\n",
    );
    let table = [
        ("/deny", "192.0.2.7", 403),
        ("/deny", "198.51.100.1", 200),
        ("/deny", "2001:db8::7", 403),
        ("/deny", "::ffff:192.0.2.7", 403),
        ("/allow", "192.0.2.7", 200),
        ("/allow", "192.0.2.66", 403),
        ("/allow", "198.51.100.1", 403),
    ];
    for (path, client, status) in table {
        let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {client}\r\n\r\n");
        assert_eq!(ask(gateway.address, request).status, status, "{path} {client}");
        let line = gateway.logged();
        assert_eq!(line.contains("\"failure\":\"client_network\""), status == 403, "{line}");
    }
}

#[test]
fn a_route_is_out_of_service() {
    let upstream = Upstream::saying("x");
    let text = |enabled: bool| {
        format!(
            "threads = 1\nadmin.address = '127.0.0.1:0'\n\
             [maintenance]\nenabled = {enabled}\nretry_after = '90s'\nexempt = ['192.0.2.7']\n\
             [[listeners]]\naddress = '127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']\n\
             [upstreams.a]\nendpoints = ['{}']\n[[routes]]\nupstream = 'a'\n\
             [[routes]]\npath = '/health'\nupstream = 'a'\nmaintenance.enabled = false\n\
             [[routes]]\npath = '/page'\nupstream = 'a'\nmaintenance.body = '<h1>Back at noon</h1>'\n",
            upstream.address
        )
    };
    let settings = file(&text(true));
    let gateway = Gateway::from_file(&settings);
    let answer = get(gateway.address, "/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("90")));
    assert!(gateway.logged().contains("\"failure\":\"maintenance\""));
    assert_eq!(get(gateway.address, "/health").status, 200);
    let answer = get(gateway.address, "/page");
    assert_eq!((answer.status, answer.body.as_str()), (503, "<h1>Back at noon</h1>"));
    assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    let grpc = ask(
        gateway.address,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(grpc.field("grpc-status"), Some("14"));
    let exempt = ask(gateway.address, "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    assert_eq!(exempt.status, 200);
    settings.write(&text(false));
    let reload = format!("POST /-/reload HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", gateway.admin);
    assert_eq!(ask(gateway.admin, reload).status, 200);
    assert_eq!(get(gateway.address, "/").status, 200);
}

#[test]
fn fields_for_browsers_are_added() {
    let authority = Authority::new();
    let server = authority.issue("DNS:localhost", 5);
    let upstream =
        Upstream::raw(b"HTTP/1.1 200 OK\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 1\r\n\r\nx");
    let routes = "[[routes]]\nupstream = 'a'\nsecurity_headers = true\n\
         [[routes]]\npath = '/own'\nrespond = { status = 404 }\n\
         response_headers.remove = ['Referrer-Policy']\n\
         security_headers = { hsts = '24h', hsts_include_subdomains = true, hsts_preload = true, frame_options = 'none', \
         content_security_policy = \"default-src 'self'\", permissions_policy = 'camera=()' }\n\
         [[routes]]\npath = '/off'\nupstream = 'a'\nsecurity_headers = false\n";
    let plain = gateway(&upstream, "", routes);
    let answer = get(plain.address, "/");
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.field("referrer-policy"), Some("strict-origin-when-cross-origin"));
    assert_eq!(answer.field("x-frame-options"), Some("SAMEORIGIN"), "the service's own stays");
    assert_eq!(answer.head.to_ascii_lowercase().matches("x-frame-options").count(), 1);
    assert_eq!(answer.field("strict-transport-security"), None, "not over plain HTTP");
    let answer = get(plain.address, "/own");
    assert_eq!(answer.field("content-security-policy"), Some("default-src 'self'"));
    assert_eq!(answer.field("permissions-policy"), Some("camera=()"));
    assert_eq!((answer.field("x-frame-options"), answer.field("referrer-policy")), (None, None));
    assert_eq!(get(plain.address, "/off").field("x-content-type-options"), None);

    let path = |path: &std::path::Path| path.display().to_string();
    let keys = format!(
        "[listeners.tls]\ncertificate = '{}'\nkey = '{}'\n",
        path(&server.certificate),
        path(&server.key)
    );
    let secure = gateway(&upstream, &keys, routes);
    for (target, expected) in [
        ("/", "strict-transport-security: max-age=31536000\r\n"),
        ("/own", "strict-transport-security: max-age=86400; includeSubDomains; preload\r\n"),
    ] {
        let mut stream = crate::tls::shake(secure.address, &authority.file(), None);
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("an open connection");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a response");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn the_query_is_changed() {
    let upstream = Upstream::echo();
    let gateway = gateway(
        &upstream,
        "",
        "[[routes]]\npath = { template = '/u/{id}' }\nupstream = 'a'\nrewrite.path = '/user?{query}'\n\
         request_query = { remove = ['utm_source'], set = { v = '2', id = '{param.id}' }, add = { by = '{header.X-By}' } }\n\
         [[routes]]\nupstream = 'a'\nrequest_query.remove = ['secret']\n",
    );
    let table = [
        ("/u/7%20x?a=1&utm_source=mail&v=1", "/user?a=1&id=7%20x&v=2&by=a%26b"),
        ("/x?secret=1", "/x"),
        ("/x?a&secret", "/x?a"),
        ("/x?a=%2F&b=+", "/x?a=%2F&b=+"),
        ("/x", "/x"),
    ];
    for (path, expected) in table {
        let answer = ask(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-By: a&b\r\n\r\n"));
        assert_eq!(target(&answer.body), expected, "{path}");
    }
}

#[test]
fn head_is_asked_with_get() {
    let upstream = Upstream::start(|head, client| {
        match head.split(' ').next() {
            Some("GET") if target(head) == "/chunked" => {
                client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
            }
            Some("GET") if target(head) == "/large" => {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
                return client.send_until_broken(&[b'x'; 4096]);
            }
            Some("GET") => client.send(response(200, "xxxxx")),
            _ => client.send(response(405, "only GET")),
        }
        true
    });
    let gateway = gateway(
        &upstream,
        "",
        "[[routes]]\nupstream = 'a'\nhead = 'get'\n[[routes]]\npath = '/as-is'\nupstream = 'a'\n",
    );
    let mut client = Client::connect(gateway.address);
    for (path, line) in
        [("/", "content-length: 5"), ("/large", "content-length: 1048576"), ("/chunked", "200")]
    {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        let head = client.head().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200") && head.contains(line), "{path} {head}");
        assert!(gateway.logged().contains("\"method\":\"HEAD\""));
        // No byte of a body stands between the responses.
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.answer().body, "xxxxx", "{path}");
        gateway.logged();
    }
    client.send("HEAD /as-is HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 405"));
}

#[test]
fn long_responses_end() {
    let upstream = Upstream::start(|head, client| {
        match target(head) {
            "/short" => client.send(response(200, "12345")),
            "/long" => client.send(response(200, "123456")),

            "/exact" => {
                client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n");
            }
            _ => client.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n",
            ),
        }
        true
    });
    let gateway = gateway(&upstream, "", "[[routes]]\nupstream = 'a'\nmax_response_bytes = 5\n");
    for (path, status) in [("/short", 200), ("/long", 502), ("/exact", 200)] {
        assert_eq!(get(gateway.address, path).status, status, "{path}");
        let line = gateway.logged();
        assert_eq!(line.contains("\"failure\":\"response_too_large\""), status == 502, "{line}");
    }
    let mut client = Client::connect(gateway.address);
    client.send("GET /chunks HTTP/1.1\r\nHost: t\r\n\r\n");
    let text = client.rest();
    assert!(!text.ends_with(b"0\r\n\r\n"), "the end is not told: {}", text.escape_ascii());
    assert!(gateway.logged().contains("\"failure\":\"response_too_large\""));
}

#[test]
fn what_is_likely_wrong_is_said() {
    let users = file("ann:$2b$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG");
    let path = |file: &crate::gateway::File| file.as_ref().to_str().expect("a path").to_owned();
    let settings = file(&format!(
        "replicas = 3\n[[listeners]]\naddress = '0.0.0.0:0'\n\
         [authenticators.users.basic]\nfile = '{}'\n\
         [authenticators.tokens.jwt]\nkeys_url = 'https://id.example/keys'\nalgorithms = ['ES256']\n\
         [limits.few]\nrequests = 1\nper = '1s'\n\
         [[routes]]\nrespond = {{ status = 204 }}\nauthentication.any = ['users']\nlimits = ['few']\n",
        path(&users)
    ));
    let output =
        command(&["check", "--deny-warnings", "--config"]).arg(&settings).output().expect("the program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for expected in [
        "for 'users' to the listener",
        "[credentials-without-tls]",
        "[token-without-audience]",
        "with 3 replicas",
        "[limit-per-process]",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("'tokens'"), "no route names it\n{said}");
}
