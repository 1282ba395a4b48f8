//! Paths that servers read in different ways: refused by default, and as a route's settings have it.

use anyhow::{Context as _, Result, ensure};

use crate::conformance::gateway::Settings;
use crate::conformance::message::Wire;
use crate::conformance::script::{Bench, Script};

/// The rows.
pub const ROWS: &[Script] = &[
    Script {
        name: "by default what servers read in different ways is 400",
        rules: &["9110 17.3"],
        run: by_default,
    },
    Script { name: "path_policy: an encoded slash", rules: &["9110 4.2.3", "9110 17.3"], run: encoded_slash },
    Script { name: "path_policy: a backslash", rules: &["9110 17.3"], run: backslash },
    Script { name: "path_policy: a semicolon", rules: &["9110 17.3"], run: semicolon },
    Script { name: "path_policy: two slashes", rules: &["9110 17.3"], run: double_slash },
    Script {
        name: "path_policy: dots behind what is decoded stay below the root",
        rules: &["9110 17.3"],
        run: dots,
    },
];

/// Request targets, and the target that the service sees, or nothing where it is 400.
type Table = [(&'static str, Option<&'static str>)];

fn holds(bench: &Bench<'_>, policy: &str, table: &Table) -> Result<()> {
    let route = if policy.is_empty() { String::new() } else { format!("path_policy = {{ {policy} }}") };
    let gateway = bench.gateway_with(Settings { route: &route, ..Settings::default() })?;
    for (target, wanted) in table {
        bench.service.seen();
        let mut wire = Wire::connect(gateway.plain)?;
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        let status = wire.response("GET")?.context("closed without an answer")?.status();
        let line = bench.service.seen().into_iter().flatten().map(|message| message.line).next();
        let found = line.as_deref().and_then(|line| line.split(' ').nth(1));
        let fine = if wanted.is_some() { 200 } else { 400 };
        ensure!(
            status == fine && found == *wanted,
            "{policy}: {target}: {status}, the service saw {found:?}, not {wanted:?}"
        );
    }
    Ok(())
}

fn by_default(bench: &Bench<'_>) -> Result<()> {
    holds(bench, "", &[("/a%2Fb", None), ("/a%2fb", None), ("/a%5Cb", None), ("/a\\b", None), ("/a;b", None)])
}

fn encoded_slash(bench: &Bench<'_>) -> Result<()> {
    holds(
        bench,
        "encoded_slash = 'keep'",
        &[("/a%2Fb", Some("/a%2Fb")), ("/a%2fb", Some("/a%2Fb")), ("/a%5Cb", None)],
    )?;
    holds(bench, "encoded_slash = 'decode'", &[("/a%2Fb", Some("/a/b"))])?;
    holds(bench, "encoded_slash = 'reject'", &[("/a%2Fb", None)])
}

fn backslash(bench: &Bench<'_>) -> Result<()> {
    holds(bench, "backslash = 'keep'", &[("/a%5Cb", Some("/a%5Cb")), ("/a%2Fb", None)])?;
    holds(bench, "backslash = 'decode'", &[("/a%5Cb", Some("/a/b")), ("/a\\b", Some("/a/b"))])
}

fn semicolon(bench: &Bench<'_>) -> Result<()> {
    holds(
        bench,
        "semicolon = 'keep'",
        &[("/a;jsessionid=1", Some("/a;jsessionid=1")), ("/a;v=1/b", Some("/a;v=1/b"))],
    )
}

fn double_slash(bench: &Bench<'_>) -> Result<()> {
    holds(bench, "double_slash = 'keep'", &[("/x/http://y", Some("/x/http://y"))])?;
    holds(bench, "double_slash = 'merge'", &[("/x//y", Some("/x/y"))])?;
    holds(bench, "double_slash = 'reject'", &[("/x//y", None)])
}

fn dots(bench: &Bench<'_>) -> Result<()> {
    holds(
        bench,
        "encoded_slash = 'decode', backslash = 'decode'",
        &[
            ("/..%2F..%2Fetc", None),
            ("/a/..%2F..%2Fetc", None),
            ("/a%2F..%2Fb", None),
            ("/a/..%5C..%5Cetc", None),
        ],
    )?;
    // Kept, they are one segment of the path, and yet two for who decodes later.
    holds(bench, "encoded_slash = 'keep'", &[("/..%2F..%2Fetc", None), ("/a/%2e%2e%2Fb", None)])
}
