//! Docker's credential helpers: programs named `docker-credential-*` that keep secrets elsewhere.
//!
//! They read the server on standard input and answer on standard output, the failures too.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::credential::Credential;
use super::secret::Secret;
use cli_support::error::Fault;
use cli_support::process::{Cmd, Need};

/// The longest a helper may take: some ask their owner to unlock a keychain.
const LIMIT: Duration = Duration::from_secs(30);

/// Messages of helpers that have no credential for a server.
const UNKNOWN: [&str; 2] = ["credentials not found in native keychain", "no credentials server URL"];

/// The keys of a helper's answer.
const KEYS: [&str; 3] = ["ServerURL", "Username", "Secret"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: Option<String>,
    secret: Option<String>,
}

/// The program behind a helper's name.
pub(super) fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

/// Asks a helper for a registry's credential; none where it has none. `named_by` is the file that
/// names the helper, for the error; `path` is where programs are looked for.
pub(super) fn get(
    program: &str,
    named_by: &Path,
    registry: &str,
    path: Option<&str>,
) -> Result<Option<Credential>> {
    let failed = |what: String| Fault::failed(format!("{program}: {what}")).at(named_by.display());
    let name_is_plain = program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !name_is_plain {
        return Err(failed("a helper's name is letters, digits, '-', '_' and '.'".into()).into());
    }
    // Docker Hub's credentials are kept under the URL of its first API.
    let server = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    let mut cmd = Cmd::new(program).arg("get").stdin(server).needs(Need::Registry).limit(LIMIT);
    if let Some(path) = path {
        cmd = cmd.env("PATH", path);
    }
    let mut output = String::new();
    let ended = cmd.follow(|line| {
        output.push_str(line);
        output.push('\n');
    });
    match ended {
        Ok(()) if output.trim().is_empty() => Ok(None),
        Ok(()) => answer(&output).map(Answer::credential).ok_or_else(|| {
            // Its output may contain the secret.
            failed("its answer is not a user name and a secret in JSON".into()).into()
        }),
        Err(_) if UNKNOWN.iter().any(|unknown| output.contains(unknown)) => Ok(None),
        Err(error) => {
            let reason = error.to_string();
            // The first line says how the child ended; those after it are its output.
            let what = reason.lines().next().unwrap_or_default().to_owned();
            // A helper that failed after a complete answer has printed a secret.
            let message = if answer(&output).is_some() { "" } else { output.trim() };
            let what = if message.is_empty() { what } else { format!("{what}: {message}") };
            let hint = format!("install {program}, or take it out of {}", named_by.display());
            Err(failed(what).hint(hint).into())
        }
    }
}

/// A helper's answer in its output. Warnings may stand before the object: standard error comes through the same
/// pipe.
fn answer(output: &str) -> Option<Answer> {
    let starts = output.match_indices('{').map(|(at, _)| at);
    let mut objects = starts.map(|at| {
        serde_json::Deserializer::from_str(&output[at..]).into_iter::<serde_json::Map<_, _>>().next()
    });
    let has_key = |object: &serde_json::Map<String, Value>| {
        KEYS.iter().any(|key| object.contains_key(*key)) || output.trim() == "{}"
    };
    let object = objects.find_map(|object| object?.ok().filter(has_key))?;
    serde_json::from_value(Value::Object(object)).ok()
}

impl Answer {
    /// The credential of the answer; none without a secret.
    fn credential(self) -> Option<Credential> {
        let secret = Secret::new(self.secret.filter(|secret| !secret.is_empty())?);
        let user = self.username.unwrap_or_default();
        Some(if user == "<token>" {
            Credential::Identity(secret)
        } else {
            Credential::Basic { user, secret }
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Runs a helper that is this shell script.
    fn run(script: &str, registry: &str) -> Result<Option<Credential>> {
        let folder = tempfile::tempdir().unwrap();
        // A child writes it: a file that this process had open for writing could be held by the child
        // of another test just then, and be too busy to run.
        Cmd::new("sh")
            .args(["-c", r#"cat > "$0" && chmod +x "$0""#])
            .arg(folder.path().join("docker-credential-test"))
            .stdin(format!("#!/bin/sh\n{script}\n"))
            .read()
            .unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        get("docker-credential-test", Path::new("/h/config.json"), registry, Some(&path))
    }

    fn basic(user: &str, secret: &str) -> Credential {
        Credential::Basic { user: user.into(), secret: Secret::new(secret) }
    }

    #[test]
    fn a_helper_is_asked_for_the_server_on_standard_input() {
        let echo = r#"read s || true; test "$1" = get && echo "{\"ServerURL\":\"$s\",\"Username\":\"$s\",\"Secret\":\"p\"}""#;
        assert_eq!(run(echo, "ghcr.io").unwrap(), Some(basic("ghcr.io", "p")));
        assert_eq!(run(echo, "docker.io").unwrap(), Some(basic("https://index.docker.io/v1/", "p")));
        let token = r#"echo 'warning: {old}' >&2; echo '{"Username":"<token>","Secret":"t"}'"#;
        assert_eq!(run(token, "r.io").unwrap(), Some(Credential::Identity(Secret::new("t"))));
    }

    #[test]
    fn knowing_nothing_is_no_error_but_everything_else_is() {
        let unknown = "echo 'credentials not found in native keychain'; exit 1";
        assert_eq!(run(unknown, "r.io").unwrap(), None);
        for empty in [
            "true",
            "echo",
            "echo '{}'",
            r#"echo '{"ServerURL":"","Username":"","Secret":""}'"#,
            r#"echo '{"ServerURL":"r.io","Username":"u","Secret":""}'"#,
            r#"echo '{"Username":null,"Secret":null}'"#,
            r#"echo '{"Username":"u"}'"#,
        ] {
            assert_eq!(run(empty, "r.io").unwrap(), None, "{empty}");
        }
        for (script, expected) in [
            ("echo 'keychain is locked'; exit 1", "keychain is locked"),
            ("exit 3", "exit status: 3"),
            (r#"echo '{"Username":"u","Secret":"hunter2"}'; exit 1"#, "exit status: 1"),
            ("echo hunter2", "not a user name"),
            (r#"echo '["hunter2"]'"#, "not a user name"),
        ] {
            let error = run(script, "r.io").unwrap_err();
            let text = cli_support::error::render(&error);
            assert!(text.contains(expected) && text.contains("/h/config.json"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_helper_that_is_not_there_is_named_with_its_file() {
        let get = |program: &str| get(program, Path::new("/h/config.json"), "r.io", None).unwrap_err();
        let text = cli_support::error::render(&get("docker-credential-none-such"));
        assert!(text.contains("cannot start docker-credential-none-such"), "{text}");
        assert!(text.contains("take it out of /h/config.json"), "{text}");
        assert!(get("docker-credential-../x").to_string().contains("a helper's name"));
    }
}
