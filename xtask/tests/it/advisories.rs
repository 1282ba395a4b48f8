//! `cargo xtask advisories update --pull-request`, as the scheduled workflow runs it.

use crate::support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;

use support::{Hello, Ran, one_fact};

const ADVISORY: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\npackage = \"none\"\ndate = \"2026-09-01\"\n\n[versions]\npatched = [\">= 2.0.0\"]\n```\n\n# Something\n";

/// A stand-in for GitHub's API that gives these answers, one a connection, and hands on what it was sent.
fn github(answers: Vec<(&'static str, &'static str)>) -> (String, mpsc::Receiver<String>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.local_addr().unwrap());
    let (to, from) = mpsc::channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = server.accept().unwrap();
            let (mut asked, mut buffer) = (String::new(), [0; 4096]);
            while !asked.ends_with('}') {
                let read = stream.read(&mut buffer).unwrap();
                asked.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
            to.send(asked).unwrap();
        }
    });
    (address, from)
}

/// Output of git in a folder, without the user's settings.
fn git(dir: &std::path::Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn changes_become_one_pull_request() {
    let hello = Hello::new();
    hello.write("xtask/advisories.jsonl", &one_fact());
    hello.commit();
    let remote = tempfile::tempdir().unwrap();
    git(remote.path(), &["init", "--quiet", "--bare"]);
    hello.git(&["remote", "add", "origin", remote.path().to_str().unwrap()]);
    let source = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(source.path().join("crates/none")).unwrap();
    std::fs::write(source.path().join("crates/none/RUSTSEC-2026-0001.md"), ADVISORY).unwrap();
    let exists = r#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists for o:xtask/advisories."}]}"#;
    let (api, asked) = github(vec![
        ("201 Created", r#"{"html_url":"https://github.com/o/r/pull/7"}"#),
        ("422 Unprocessable Entity", exists),
        (
            "403 Forbidden",
            r#"{"message":"GitHub Actions is not permitted to create or approve pull requests."}"#,
        ),
    ]);
    let from = source.path().to_str().unwrap();
    let update = |more: &[&str]| {
        let mut command = hello.command();
        // As on a runner: git knows nobody.
        command.env("HOME", remote.path()).env("XDG_CONFIG_HOME", remote.path());
        command
            .env("GITHUB_REPOSITORY", "o/r")
            .env("GITHUB_TOKEN", "hunter2-token")
            .env("GITHUB_API_URL", &api);
        let ran =
            Ran::of(command.args(["advisories", "update", "--from", from, "--pull-request"]).args(more));
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
        ran
    };
    let head = git(hello.path(), &["rev-parse", "HEAD"]);
    let base = git(hello.path(), &["symbolic-ref", "--short", "HEAD"]);
    update(&["--dry-run"]).code(0).says("a pull request in o/r");
    assert_eq!(git(hello.path(), &["status", "--porcelain"]), "");
    update(&[]).code(0).says("https://github.com/o/r/pull/7");
    let request = asked.recv().unwrap();
    assert!(request.starts_with("POST /repos/o/r/pulls HTTP/1.1\r\n"), "{request}");
    let head_of = request.to_lowercase();
    assert!(head_of.contains("\r\nauthorization: bearer hunter2-token\r\n"), "{request}");
    assert!(head_of.contains("\r\nx-github-api-version: 2022-11-28\r\n"), "{request}");
    let body: serde_json::Value = serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["head"], &body["base"]), (&"xtask/advisories".into(), &base.into()));
    assert_eq!(body["title"], "Advisories of 2026-09-01");
    // One commit on what is checked out, of this one file; nothing here has moved but the file.
    let pushed =
        |what: &str| git(remote.path(), &["log", "-1", &format!("--format={what}"), "xtask/advisories"]);
    assert_eq!(pushed("%P %s %an"), format!("{head} Advisories of 2026-09-01 github-actions[bot]"));
    let changed = git(remote.path(), &["diff", "--name-only", &head, "xtask/advisories"]);
    assert_eq!(changed, "xtask/advisories.jsonl");
    assert_eq!(git(hello.path(), &["rev-parse", "HEAD"]), head);
    assert_eq!(git(hello.path(), &["status", "--porcelain"]), "M xtask/advisories.jsonl");
    update(&[]).code(0).says("the open pull request has the new commit");
    update(&[]).code(1).says("is not permitted to create").says("Allow GitHub Actions to create and approve");
    // After the merge.
    hello.git(&["commit", "--quiet", "--all", "--message", "merged"]);
    update(&[]).code(0).says("no changes");
    let mut alone = hello.command();
    Ran::of(alone.args(["advisories", "update", "--from", from, "--pull-request"]))
        .code(2)
        .says("GITHUB_REPOSITORY is not set")
        .says("advisories.yml");
}
