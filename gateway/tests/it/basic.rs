//! Names and passwords (RFC 7617).

use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::authentication::{gateway, get};
use crate::client::{Client, ask};
use crate::gateway::{command, file};
use crate::upstream::{Upstream, echoed};

/// Hashes by `openssl passwd -6` and `crypt(3)` of libxcrypt.
const USERS: &str = "# users\n\
    ann:$6$saltsalt$pauPrmdmG4BTE9h2HPmywiw152IFch6BJCEsaY6D.PLTfpV8sqvXwWdyfsgVgozkYH9B80bAip/08R2BPH2xk/:ops,dev\n\
    bob:$2b$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG\n";

fn basic(text: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(text))
}

#[test]
fn passwords_open_their_routes() {
    let users = file(USERS);
    let users = users.as_ref().to_str().expect("a path");
    let upstream = Upstream::echo();
    let gateway = gateway(
        &upstream,
        &format!(
            "[authenticators.staff]\nheaders = {{ X-User = 'sub', X-Groups = 'groups' }}\nbasic = {{ file = '{users}' }}\n\
             [authenticators.shop]\nbasic = {{ file = '{users}', realm = 'The shop', forward = true }}\n\
             [[routes]]\nupstream = 'a'\nauthentication.any = ['staff']\n\
             [[routes]]\npath = '/shop'\nupstream = 'a'\nauthentication.any = ['shop']\n\
             [[routes]]\npath = '/ops'\nupstream = 'a'\nauthentication.any = ['staff']\n\
             [[routes.authorization]]\ngroups = ['ops']\n"
        ),
    );
    let good = basic("ann:pw");
    // The path, the fields, the status and the user that the upstream sees.
    let table = [
        ("/", good.clone(), 200, Some("ann")),
        ("/", basic("bob:pässword"), 200, Some("bob")),
        ("/", good.replace("Basic", "bASIC "), 200, Some("ann")),
        ("/ops", good.clone(), 200, Some("ann")),
        ("/ops", basic("bob:pässword"), 403, None),
        ("/", basic("ann:pW"), 401, None),
        ("/", basic("ann:"), 401, None),
        ("/", basic("bob:pw"), 401, None),
        ("/", basic("eve:pw"), 401, None),
        ("/", basic("ann"), 401, None),
        ("/", basic("ann:pw\n"), 401, None),
        ("/", "Authorization: Basic !\r\n".to_owned(), 401, None),
        ("/", "Authorization: Basic\r\n".to_owned(), 401, None),
        ("/", "Authorization: Bearer x\r\n".to_owned(), 401, None),
        ("/", format!("{good}{good}"), 401, None),
        ("/", String::new(), 401, None),
    ];
    // Twice: the second time what came out is remembered.
    for (path, fields, status, user) in table.iter().chain(&table) {
        let answer = get(&gateway, path, &format!("{fields}X-User: root\r\n"));
        assert_eq!(answer.status, *status, "{path} {fields}");
        let line: Value = serde_json::from_str(&gateway.logged()).expect("JSON");
        if *status == 200 {
            assert_eq!(echoed(&answer.body, "x-user"), *user, "{fields}");
            assert_eq!(echoed(&answer.body, "authorization"), None, "{}", answer.body);
            assert_eq!((line["authenticator"].as_str(), line["subject"].as_str()), (Some("staff"), *user));
        }
        let challenge = "Basic realm=\"staff\", charset=\"UTF-8\"";
        assert_eq!(answer.field("www-authenticate"), (*status == 401).then_some(challenge), "{fields}");
    }
    let answer = get(&gateway, "/shop", &good);
    assert!(echoed(&answer.body, "authorization").is_some(), "{}", answer.body);
    let answer = get(&gateway, "/shop", "");
    assert!(
        answer.field("www-authenticate").is_some_and(|all| all.contains("\"The shop\"")),
        "{}",
        answer.head
    );
}

/// One thread serves all connections.
#[test]
fn a_hash_holds_nobody_up() {
    let made = command(&["hash-password"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write as _;
            child.stdin.take().expect("piped").write_all(b"pw\n")?;
            child.wait_with_output()
        })
        .expect("the program");
    let hash = String::from_utf8(made.stdout).expect("a hash");
    let users = file(&format!("ann:{hash}"));
    let users = users.as_ref().to_str().expect("a path");
    let upstream = Upstream::saying("x");
    let settings = file(&format!(
        "threads = 1\nadmin.address = '127.0.0.1:0'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['{}']\n[authenticators.staff]\nbasic = {{ file = '{users}', max_waiting = 2 }}\n\
         [[routes]]\nupstream = 'a'\n[[routes]]\npath = '/in'\nupstream = 'a'\nauthentication.any = ['staff']\n",
        upstream.address
    ));
    let gateway = crate::gateway::Gateway::from_file(&settings);
    let address = gateway.address;
    let request =
        |password: &str| format!("GET /in HTTP/1.1\r\nHost: t\r\n{}\r\n", basic(&format!("ann:{password}")));
    // More than may wait: those beyond are refused at once, and nobody is refused for another reason.
    let wrong: Vec<_> = (0..12)
        .map(|number| {
            let request = request(&number.to_string());
            thread::spawn(move || ask(address, request).status)
        })
        .collect();
    let mut client = Client::connect(address);
    for _ in 0..50 {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    let statuses: Vec<u16> = wrong.into_iter().map(|one| one.join().expect("an answer")).collect();
    assert!(statuses.iter().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
    assert!(statuses.contains(&401), "{statuses:?}");
    assert_eq!(ask(address, request("pw")).status, 200);
}

#[test]
fn explain_says_who_it_is() {
    let users = file(USERS);
    let users = users.as_ref().to_str().expect("a path");
    let settings = file(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[authenticators.staff]\nbasic = {{ file = '{users}' }}\n\
         [[routes]]\nrespond = {{ status = 204 }}\nauthentication.any = ['staff']\n"
    ));
    for (password, expected) in
        [("pw", "passes: 'ann' by 'staff' (basic), groups ops, dev"), ("px", "refuses: password_wrong")]
    {
        let field = basic(&format!("ann:{password}"));
        let output = command(&["explain", "GET", "/", "-H", field.trim_end(), "--config"])
            .arg(&settings)
            .output()
            .expect("the program");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn what_is_no_list_of_users_is_no_setting() {
    let route = "[[routes]]\nrespond = { status = 204 }\nauthentication.any = ['x']\n";
    let path = |text: &str| {
        let file = file(text);
        let path = file.as_ref().to_str().expect("a path").to_owned();
        (file, path)
    };
    let (_plain, plain) = path("ann:secret-1\n");
    let (_weak, weak) = path("ann:$apr1$abc$xyz\n");
    let (_empty, empty) = path("\n");
    let table = [
        (format!("file = '{plain}'"), "line 1 of"),
        (format!("file = '{weak}'"), "htpasswd -B"),
        (format!("file = '{empty}'"), "holds no user"),
        ("variable = 'NOT_SET_1'".to_owned(), "NOT_SET_1 is not set"),
        ("realm = 'a'".to_owned(), "lacks 'file'"),
        (format!("file = '{plain}', realm = 'a\"b'"), "'realm' must be"),
    ];
    for (keys, expected) in table {
        let settings = file(&format!(
            "[[listeners]]\naddress = '127.0.0.1:0'\n[authenticators.x]\nbasic = {{ {keys} }}\n{route}"
        ));
        let output = command(&["check", "--config"]).arg(&settings).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{keys}\n{said}");
        assert!(said.contains(expected) && !said.contains("secret-1"), "{expected}\n{said}");
    }
}
