//! Who sent a request, and what the sender may do.

use std::io::{Read, Write};

use serde_json::Value;

use crate::authority::Authority;
use crate::client::{Answer, ask};
use crate::gateway::{Gateway, command, file};
use crate::upstream::{Upstream, echoed, response};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
/// Of `secret-1`.
const HASH: &str = "f7e7c36e458e80e6b6a2c67d0a9ec09bd718dadd7bfa8d6bf6e7ad526e46c2f7";

/// A gateway with one upstream, and these authenticators and routes.
pub fn gateway(upstream: &Upstream, rest: &str) -> Gateway {
    let address = upstream.address;
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['{address}']\n{rest}"
    ))
}

/// GETs a path with these lines of fields.
pub fn get(gateway: &Gateway, path: &str, fields: &str) -> Answer {
    ask(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
}

#[test]
fn tokens_of_another_implementation_are_accepted_or_refused() {
    let text = std::fs::read_to_string(format!("{DATA}/tokens.json")).expect("a file");
    let data: Value = serde_json::from_str(&text).expect("JSON");
    let keys = file(&data["jwks"].to_string());
    let keys = keys.as_ref().to_str().expect("a path");
    let upstream = Upstream::echo();
    let gateway = gateway(
        &upstream,
        &format!(
            "[authenticators.users]\nheaders = {{ X-User = 'sub', X-Roles = '/realm_access/roles' }}\n\
             [authenticators.users.jwt]\nkeys_file = '{keys}'\nissuers = ['https://id.example']\n\
             audiences = ['api']\n\
             algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA']\n\
             [[routes]]\nupstream = 'a'\nauthentication.any = ['users']\n"
        ),
    );
    let tokens = data["tokens"].as_array().expect("a list");
    assert!(tokens.len() > 40, "{}", tokens.len());
    // Twice: the second time what was verified is remembered.
    for token in tokens.iter().chain(tokens) {
        let text = |name: &str| token[name].as_str().expect("a text").to_owned();
        let (name, expected) = (text("name"), text("expected"));
        let bearer = format!("Authorization: Bearer {}\r\nX-User: root\r\nX_User: root\r\n", text("token"));
        let answer = get(&gateway, "/", &bearer);
        let line: Value = serde_json::from_str(&gateway.logged()).expect("JSON");
        if expected == "ok" {
            assert_eq!(answer.status, 200, "{name} {line}");
            assert_eq!(echoed(&answer.body, "x-user"), Some("u1"), "{name}");
            assert_eq!(echoed(&answer.body, "x-roles"), Some("admin,dev"), "{name}");
            assert!(!answer.body.contains("root"), "{name} {}", answer.body);
            assert_eq!(
                (line["authenticator"].as_str(), line["subject"].as_str()),
                (Some("users"), Some("u1"))
            );
        } else {
            assert_eq!(answer.status, 401, "{name}");
            assert_eq!(line["failure"].as_str(), Some(expected.as_str()), "{name}");
            let challenge = answer.field("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{name} {challenge}");
        }
    }
    let answer = get(&gateway, "/", "");
    assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("Bearer")));
    let twice = format!(
        "Authorization: Bearer {0}\r\nAuthorization: Bearer {0}\r\n",
        tokens[0]["token"].as_str().expect("a text")
    );
    assert_eq!(get(&gateway, "/", &twice).status, 401, "two tokens");
}

#[test]
fn api_keys_open_their_routes() {
    let upstream = Upstream::echo();
    let gateway = gateway(
        &upstream,
        &format!(
            "[authenticators.keys]\nheaders = {{ X-User = 'sub', X-Groups = 'groups' }}\n\
             api_key = {{ header = 'X-API-Key', query = 'key', cookie = 'k', keys = [{{ name = 'ci', sha256 = '{HASH}', groups = ['build', 'deploy'] }}] }}\n\
             [[routes]]\npath = '/keys'\nupstream = 'a'\nauthentication.any = ['keys']\n\
             [[routes]]\npath = '/optional'\nupstream = 'a'\nauthentication = {{ any = ['keys'], optional = true }}\n\
             [[routes]]\npath = '/open'\nupstream = 'a'\n\
             [[routes]]\npath = '/rules'\nupstream = 'a'\nauthentication = {{ any = ['keys'], optional = true }}\n\
             [[routes.authorization]]\nmethods = ['GET']\ngroups = ['deploy', 'x']\n\
             [[routes.authorization]]\nmethods = ['HEAD']\n\
             [[routes]]\npath = '/far'\nupstream = 'a'\n\
             [[routes.authorization]]\nclient_networks = ['192.0.2.0/24']\n\
             [[routes]]\npath = '/near'\nupstream = 'a'\n\
             [[routes.authorization]]\nclient_networks = ['127.0.0.0/8']\n"
        ),
    );
    let good = "X-API-Key: secret-1\r\n";
    // The request line, the fields, the status, and the user that the upstream is told.
    let table = [
        ("GET /keys?a=1", good, 200, Some("ci")),
        ("GET /keys?key=secret-1&a=1", "", 200, Some("ci")),
        ("GET /keys?a=1", "Cookie: a=b; k=secret-1\r\n", 200, Some("ci")),
        ("GET /keys?a=1", "X-API-Key: secret-2\r\n", 401, None),
        ("GET /keys?a=1", "X-API-Key: \r\n", 401, None),
        ("GET /keys?a=1", "X-API-Key: secret-1\r\nX-API-Key: secret-1\r\n", 401, None),
        ("GET /keys?a=1", "", 401, None),
        ("GET /optional?a=1", "", 200, None),
        ("GET /optional?a=1", good, 200, Some("ci")),
        ("GET /optional?a=1", "X-API-Key: secret-2\r\n", 401, None),
        ("GET /open?a=1", "X-User: root\r\nx_groups: root\r\n", 200, None),
        ("GET /rules?a=1", good, 200, Some("ci")),
        ("POST /rules?a=1", good, 403, None),
        ("GET /rules?a=1", "", 401, None),
        ("POST /rules?a=1", "", 403, None),
        ("GET /far?a=1", "", 403, None),
        ("GET /near?a=1", "", 200, None),
    ];
    for (line, fields, status, user) in table {
        let length = if line.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
        let answer = ask(gateway.address, format!("{line} HTTP/1.1\r\nHost: t\r\n{length}{fields}\r\n"));
        assert_eq!(answer.status, status, "{line} {fields}");
        assert_eq!(answer.field("www-authenticate").is_some(), status == 401, "{line} {fields}");
        if status == 200 {
            assert_eq!(echoed(&answer.body, "x-user"), user, "{line} {fields}");
            assert_eq!(echoed(&answer.body, "x-groups"), user.map(|_| "build,deploy"), "{line}");
            assert!(answer.body.contains("a=1") && !answer.body.contains("secret"), "{}", answer.body);
            assert!(!answer.body.contains("root"), "{}", answer.body);
        }
    }
}

#[test]
fn refusals_tell_clients_of_grpc_by_their_status() {
    let upstream = Upstream::echo();
    let gateway = gateway(
        &upstream,
        &format!(
            "[authenticators.keys]\napi_key = {{ header = 'x-key', keys = [{{ name = 'a', sha256 = '{HASH}' }}] }}\n\
             [[routes]]\nupstream = 'a'\nauthentication.any = ['keys']\n[[routes.authorization]]\ngroups = ['x']\n"
        ),
    );
    for (fields, code) in [("", "16"), ("X-Key: wrong\r\n", "16"), ("X-Key: secret-1\r\n", "7")] {
        let answer = get(&gateway, "/", &format!("Content-Type: application/grpc\r\n{fields}"));
        assert_eq!((answer.status, answer.field("grpc-status")), (200, Some(code)), "{fields}");
    }
}

#[test]
fn a_service_decides() {
    let service = Upstream::start(|head, client| {
        let answer = if head.contains("x-forwarded-uri: /api/ok?a=1") && head.contains("cookie: s=1") {
            "HTTP/1.1 204 None\r\nX-User: u7\r\nX-Other: no\r\n\r\n".to_owned()
        } else if head.contains("/api/login") {
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".to_owned()
        } else if head.contains("/api/broken") {
            response(500, "inside")
        } else if head.contains("/api/large") {
            response(403, &"x".repeat(2000))
        } else {
            response(403, "no entry")
        };
        client.send(answer);
        true
    });
    let upstream = Upstream::echo();
    let nowhere = Upstream::nowhere();
    let gateway = gateway(
        &upstream,
        &format!(
            "[authenticators.service.forward_auth]\nurl = 'http://{}/check'\nresponse_headers = ['X-User']\n\
             subject_header = 'x-user'\nmax_body_bytes = '1KiB'\n\
             [authenticators.nowhere.forward_auth]\nurl = 'http://{nowhere}/'\n\
             [authenticators.lenient.forward_auth]\nurl = 'http://{nowhere}/'\nfail = 'open'\n\
             [[routes]]\npath = '/api'\nupstream = 'a'\nauthentication.any = ['service']\n\
             [[routes]]\npath = '/nowhere'\nupstream = 'a'\nauthentication.any = ['nowhere']\n\
             [[routes]]\npath = '/lenient'\nupstream = 'a'\nauthentication.any = ['lenient']\n",
            service.address
        ),
    );
    let answer = get(&gateway, "/api/ok?a=1", "Cookie: s=1\r\nX-User: root\r\nX-Secret: x\r\n");
    assert_eq!((answer.status, echoed(&answer.body, "x-user")), (200, Some("u7")), "{}", answer.body);
    assert!(!answer.body.contains("root") && !answer.body.contains("X-Other"), "{}", answer.body);
    assert!(gateway.logged().contains("\"subject\":\"u7\""));
    let table = [
        ("/api/login", 302, ""),
        ("/api/else", 403, "no entry"),
        ("/api/broken", 503, "503"),
        ("/api/large", 503, "503"),
        ("/nowhere", 503, "503"),
        ("/lenient", 200, "GET"),
    ];
    for (path, status, body) in table {
        let answer = get(&gateway, path, "");
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.starts_with(body) && !answer.body.contains("inside"), "{path} {}", answer.body);
        assert_eq!(answer.field("location"), (status == 302).then_some("/login"), "{path}");
    }
    let asked = upstream.requests();
    assert_eq!(asked, 2, "only those that may pass reach the upstream");
}

#[test]
fn what_would_leave_a_route_open_is_no_setting() {
    let empty = file("# none\n");
    let junk = file("{\"keys\":[]}");
    let path = |file: &crate::gateway::File| file.as_ref().to_str().expect("a path").to_owned();
    let route = "[[routes]]\nrespond = { status = 204 }\nauthentication.any = ['x']\n";
    let table = [
        (
            format!("[authenticators.x]\napi_key = {{ header = 'k', file = '{}' }}\n{route}", path(&empty)),
            "holds no API key",
        ),
        (
            format!("[authenticators.x]\napi_key = {{ header = 'k', file = '/none' }}\n{route}"),
            "'/none' cannot be read",
        ),
        (
            format!("[authenticators.x]\napi_key = {{ header = 'k', variable = 'NOT_SET_1' }}\n{route}"),
            "NOT_SET_1 is not set",
        ),
        (format!("[authenticators.x]\napi_key = {{ header = 'k' }}\n{route}"), "lacks 'keys'"),
        (
            format!(
                "[authenticators.x]\njwt = {{ algorithms = ['RS256'], keys_file = '{}' }}\n{route}",
                path(&junk)
            ),
            "is no key set",
        ),
        (
            format!(
                "[authenticators.x]\njwt = {{ algorithms = ['HS256'], keys_file = '{}' }}\n{route}",
                path(&junk)
            ),
            "'HS256' is no algorithm",
        ),
        (
            format!("[authenticators.x]\njwt = {{ algorithms = ['none'], keys_url = 'ftp://x' }}\n{route}"),
            "begin with http:// or https://",
        ),
        (
            format!("[authenticators.x]\nclient_certificate = {{}}\n{}", route.replace("['x']", "['y']")),
            "there is no authenticator 'y'",
        ),
        (
            format!("[authenticators.x]\nclient_certificate = {{}}\n{}", route.replace("['x']", "[]")),
            "lacks 'any'",
        ),
        (
            "[[routes]]\nrespond = { status = 204 }\n[[routes.authorization]]\ngroups = ['a']\n".to_owned(),
            "not known without 'authentication'",
        ),
    ];
    for (rest, expected) in table {
        let settings = file(&format!("[[listeners]]\naddress = '127.0.0.1:0'\n{rest}"));
        let output = command(&["check", "--config"]).arg(&settings).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{rest}\n{said}");
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn certificates_of_clients_are_identities() {
    let authority = Authority::new();
    let server = authority.issue("DNS:localhost", 5);
    let upstream = Upstream::echo();
    let path = |path: &std::path::Path| path.display().to_string();
    let gateway = Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[listeners.tls]\ncertificate = '{}'\nkey = '{}'\n\
         client_auth = 'optional'\nclient_ca = '{}'\n[upstreams.a]\nendpoints = ['{}']\n\
         [authenticators.mesh]\nclient_certificate = {{ forward = true }}\nheaders = {{ X-User = 'sub' }}\n\
         [[routes]]\nupstream = 'a'\nauthentication.any = ['mesh']\n\
         [[routes.authorization]]\ncertificate_names = ['spiffe://prod/*']\n",
        path(&server.certificate),
        path(&server.key),
        path(&authority.file()),
        upstream.address
    ));
    let get = |names: Option<&str>| {
        let identity = names.map(|names| authority.issue(names, 5));
        let mut stream = crate::tls::shake(gateway.address, &authority.file(), identity.as_ref());
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nClient-Cert: :AAAA:\r\nX-User: root\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("an open connection");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a response");
        text
    };
    let text = get(Some("URI:spiffe://prod/api,DNS:api.example"));
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    assert_eq!(echoed(body, "x-user"), Some("spiffe://prod/api"));
    let forwarded = echoed(body, "client-cert").expect("the certificate");
    assert!(forwarded.starts_with(":MII") && forwarded.ends_with(':'), "{forwarded}");
    assert!(!body.contains("root") && !body.contains("AAAA:\r\n"), "{body}");
    assert!(get(Some("URI:spiffe://test/api")).starts_with("HTTP/1.1 403"));
    let text = get(None);
    assert!(
        text.starts_with("HTTP/1.1 401") && text.contains("www-authenticate: ClientCertificate"),
        "{text}"
    );
}
