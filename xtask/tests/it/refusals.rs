//! Every refusal of docs/registry.md's table, out of the mouth of the built program: what ghcr.io says is put
//! into the mouth of a proxy that stands for it.

use crate::support;

use std::collections::BTreeMap;

use support::fault_proxy::{Fault, FaultProxy, Guard};
use support::live::Live;
use support::published::Workshop;
use support::{Ran, root};

/// The table: what to do by what is said, in the words of this test's registry.
fn table() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("docs/registry.md")).unwrap();
    let (_, rest) = text.split_once("<!-- refusals -->").unwrap();
    let (rows, _) = rest.split_once("<!-- /refusals -->").unwrap();
    let names = [
        ("REGISTRY", "ghcr.io"),
        ("REPOSITORY", "user/image"),
        ("OWNER", "user"),
        ("SOURCE", "GITHUB_TOKEN"),
    ];
    let filled = names.iter().fold(rows.to_owned(), |text, (name, value)| text.replace(name, value));
    let row = |line: &str| {
        let (said, cure) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((said.to_owned(), cure.to_owned()))
    };
    filled.lines().skip(3).filter_map(row).collect()
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Case {
    /// How what is said begins, in the table.
    said: &'static str,
    method: &'static str,
    part: &'static str,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

fn case(said: &'static str, status: u16, body: &'static str) -> Case {
    Case { said, method: "POST", part: "/blobs/uploads/", status, headers: Vec::new(), body }
}

fn cases() -> Vec<Case> {
    let denied = |said, body| case(said, 403, body);
    let much_later = || vec![("Retry-After", "3600".to_owned())];
    let manifest = |case: Case| Case { method: "GET", part: "/manifests/", ..case };
    vec![
        denied(
            "the token lacks the scope",
            r#"{"errors":[{"code":"DENIED","message":"permission_denied: The token provided does not match expected scopes."}]}"#,
        ),
        denied(
            "the job's token may not",
            r#"{"errors":[{"code":"DENIED","message":"installation not allowed to Create organization package"}]}"#,
        ),
        denied(
            "the package user/image does not",
            r#"{"errors":[{"code":"DENIED","message":"permission_denied: write_package"}]}"#,
        ),
        denied(
            "the settings of user do not",
            r#"{"errors":[{"code":"DENIED","message":"permission_denied: The organization has disabled package creation"}]}"#,
        ),
        denied(
            "user requires single sign-on",
            r#"{"errors":[{"code":"DENIED","message":"Resource protected by organization SAML enforcement."}]}"#,
        ),
        Case {
            headers: much_later(),
            ..denied(
                "the registry limits the rate of requests",
                r#"{"errors":[{"code":"DENIED","message":"You have exceeded a secondary rate limit"}]}"#,
            )
        },
        denied("GITHUB_TOKEN may not write to", r#"{"errors":[{"code":"DENIED","message":"no"}]}"#),
        case("the upload is larger than", 413, ""),
        case("the repository user/image does not exist", 404, ""),
        case("the tag exists", 409, ""),
        case("the storage quota", 507, ""),
        case("the registry is read-only", 405, "The registry is in read-only mode"),
        case(
            "the registry does not accept this manifest",
            400,
            r#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#,
        ),
        case("the HTTP proxy requires credentials", 407, ""),
        case("the registry does not support this operation", 405, ""),
        Case { headers: much_later(), ..case("the registry has an internal problem", 503, "") },
        case("the registry requires TLS", 400, "Client sent an HTTP request to an HTTPS server."),
        case("the registry refused", 418, ""),
        manifest(case("there is no such image", 404, "")),
        manifest(case("GITHUB_TOKEN may not read", 403, r#"{"errors":[{"code":"DENIED","message":"no"}]}"#)),
    ]
}

/// Runs with `token` for ghcr.io, which is the proxy.
fn run(workshop: &Workshop, proxy: &FaultProxy, args: &[&str], token: Option<&str>, in_actions: bool) -> Ran {
    let mut command = workshop.command(args);
    for name in
        ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy"]
    {
        command.env_remove(name);
    }
    command.env("ALL_PROXY", format!("http://{}", proxy.registry())).env("GITHUB_ACTOR", "user");
    if let Some(token) = token {
        command.env("GITHUB_TOKEN", token);
    }
    if in_actions {
        command.env("GITHUB_ACTIONS", "true");
    }
    let ran = Ran::of(&mut command);
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    ran
}

const PUBLISH: [&str; 6] =
    ["publish", "--plain-http", "--repository", "ghcr.io/User/Image", "--tag", "1.0.0"];

#[test]
fn each_refusal_has_its_message_and_hint() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    let mut table = table();
    let mut told = |ran: Ran, said: &str| {
        let (said, cure) = table.iter().find(|(known, _)| known.starts_with(said)).expect(said);
        let text = flat(&ran.stderr);
        assert!(text.contains(said), "no {said:?} in {}", ran.stderr);
        assert!(text.contains(cure), "{said}: {cure:?} in {}", ran.stderr);
        let said = said.clone();
        table.remove(&said);
    };
    for case in cases() {
        let proxy = FaultProxy::start(live.address);
        proxy.guard(Guard::default());
        proxy.on(case.method, case.part, 9, Fault::Answer(case.status, case.headers, case.body));
        if case.method == "GET" {
            proxy.on("HEAD", case.part, 9, Fault::Answer(case.status, Vec::new(), ""));
        }
        let verify = ["verify", "--plain-http", "ghcr.io/user/image:1.0.0"];
        let args = if case.method == "POST" { &PUBLISH[..] } else { &verify };
        let in_actions = case.said.starts_with("the job's");
        told(run(&workshop, &proxy, args, Some("hunter2-password"), in_actions).code(1), case.said);
        assert_eq!((proxy.count("PUT", ""), proxy.count("PATCH", "")), (0, 0), "{}", case.said);
    }
    for (token, said) in
        [(None, "the registry requires credentials"), (Some("hunter2-wrong"), "the registry does not")]
    {
        let proxy = FaultProxy::start(live.address);
        proxy.guard(Guard { open: false, ..Guard::default() });
        told(run(&workshop, &proxy, &PUBLISH, token, false).code(1), said);
    }
    // Publishing writes names in lower case by itself; elsewhere nothing is asked for at all.
    let capitals = workshop.run(&["verify", "ghcr.io/User/Image:1.0.0"]).code(2);
    capitals.says("names of images have no capitals").says("write ghcr.io/user/image:1.0.0");
    let left: Vec<_> = table.keys().collect();
    assert_eq!(left, ["image names cannot contain capitals: user/image"]);
}

#[test]
fn a_rate_limit_in_the_guise_of_a_refusal_is_waited_for() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    let proxy = FaultProxy::start(live.address);
    proxy.guard(Guard::default());
    let limit = r#"{"errors":[{"code":"DENIED","message":"You have exceeded a secondary rate limit"}]}"#;
    proxy.on("POST", "/blobs/uploads/", 2, Fault::Answer(403, Vec::new(), limit));
    proxy.on("PUT", "/manifests/", 1, Fault::Answer(429, vec![("Retry-After", "0".to_owned())], ""));
    let ran = run(&workshop, &proxy, &PUBLISH, Some("hunter2-password"), false);
    ran.code(0).says("limits the rate of requests").says("trying again in");
}

#[test]
fn a_stalled_answer_times_out_with_an_error() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    let proxy = FaultProxy::start(live.address);
    let repository = format!("{}/user/image", proxy.registry());
    let args = |version| {
        ["publish", "--repository", &repository, "--tag", version, "--tag", "latest", "--timeout", "1"]
    };
    workshop.run(&args("1.0.0")).code(0);
    // The registry has tags and manifests now.
    proxy.on("GET", "/tags/list", 1, Fault::Stall(5));
    proxy.on("GET", "/manifests/", 1, Fault::Stall(100));
    workshop.run(&args("1.1.0")).code(0).says("no data for 1 s");
    workshop.run(&["publish", "--timeout", "0"]).code(2).says("--timeout");
}
