//! The workflows of this repository, run by act from the first step to the last, without an edited line.
//!
//! docker-registry behind TLS stands in for ghcr.io, a local issuer for token.actions.githubusercontent.com, a local
//! Sigstore for the public one, and small actions for those of GitHub's marketplace. The names lead to this machine
//! by an `/etc/hosts` that only this test sees, in a mount namespace of its own. Its network namespace has only a loopback
//! device, so that no run reaches the real hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::github::{Github, TOKEN};
use crate::support::live::Live;
use crate::support::sigstore::{IssuerTls, Sigstore};
use crate::support::{
    Hello, Ran, XTASK, facts, have, have_program, have_targets, in_days, path_without, root,
};

/// Set for the run inside the namespace.
const INSIDE: &str = "XTASK_TEST_NAMESPACE";
const NAME: &str = "workflows::a_release_and_its_promotion_run_under_act";
const HOSTS: [(&str, &str); 2] =
    [("127.0.0.2", "ghcr.io"), ("127.0.0.3", "token.actions.githubusercontent.com")];
/// bcrypt of [`TOKEN`], the password of the registry.
const PASSWORD: &str = "$2b$04$l62Ic2n76FqC3pd3cCwLZuIrTb600QAb7bIzLP7xQhdxziCXmY4M6";

/// An action, and the script that does its work here. Inputs are variables that begin with `INPUT_`.
const ACTIONS: [(&str, &str, &[&str]); 7] = [
    ("actions/checkout", CHECKOUT, &["fetch-depth", "persist-credentials", "ref"]),
    ("actions/cache", "true", &["path", "key"]),
    ("docker/setup-buildx-action", "true", &[]),
    // Its database cannot be downloaded here: the scans are those of the builtin engine.
    ("aquasecurity/setup-trivy", "true", &[]),
    ("sigstore/cosign-installer", "cosign version", &[]),
    (
        "github/codeql-action/upload-sarif",
        "grep -q '\"2.1.0\"' \"$INPUT_SARIF_FILE\" && echo \"uploaded as $INPUT_CATEGORY\"",
        &["sarif_file", "category"],
    ),
    (
        "actions/upload-artifact",
        "ls \"$INPUT_PATH\"",
        &["name", "path", "if-no-files-found", "retention-days"],
    ),
];

/// A tag is checked out detached, a branch under its name.
const CHECKOUT: &str = r#"git init -q .
git remote add origin https://github.com/o/r
ref=${INPUT_REF:-$GITHUB_REF}
git fetch -q "file://$SOURCE" '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
case $ref in
  refs/tags/*) git checkout -q --detach "$ref" ;;
  *) git checkout -q -B "${ref#refs/heads/}" "origin/${ref#refs/heads/}" ;;
esac"#;

/// Writes the actions as git repositories; returns the arguments of act for a workflow.
fn actions(dir: &Path, workflow: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    for (name, script, inputs) in ACTIONS {
        let repository = name.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
        let below = name[repository.len()..].trim_start_matches('/');
        let folder = dir.join(&repository);
        fs::create_dir_all(folder.join(below)).unwrap();
        let declared: serde_json::Map<_, _> =
            inputs.iter().map(|input| ((*input).to_owned(), json!({ "required": false }))).collect();
        let env: serde_json::Map<_, _> = inputs
            .iter()
            .map(|input| {
                let name = input.to_uppercase().replace('-', "_");
                (format!("INPUT_{name}"), format!("${{{{ inputs.{input} }}}}").into())
            })
            .collect();
        // JSON is YAML.
        let action = json!({
            "name": name, "inputs": declared,
            "runs": { "using": "composite", "steps": [{ "shell": "bash", "run": script, "env": env }] },
        });
        fs::write(folder.join(below).join("action.yml"), action.to_string()).unwrap();
        let script =
            "git init -q . && git add . && git -c user.name=t -c user.email=t@localhost commit -qm action";
        assert!(Command::new("bash").args(["-c", script]).current_dir(&folder).status().unwrap().success());
        if let Some((_, rest)) = workflow.split_once(&format!("uses: {name}@")) {
            let commit = rest.split_whitespace().next().unwrap();
            arguments.push(format!("--local-repository={repository}@{commit}={}", folder.display()));
        }
    }
    arguments
}

/// A certificate authority, and a certificate of it for the names in [`HOSTS`].
fn certificates(dir: &Path) {
    let names = HOSTS.map(|(_, name)| format!("DNS:{name}")).join(",");
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=test \
         -days 2 2>/dev/null
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.csr -subj /CN=test \
         2>/dev/null
         printf 'subjectAltName={names}' >extensions
         openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions \
         -out tls.pem 2>/dev/null"
    );
    assert!(Command::new("bash").args(["-euc", &script]).current_dir(dir).status().unwrap().success());
}

#[test]
fn a_release_and_its_promotion_run_under_act() {
    let there = have_program("act", "act", &["--version"])
        && have("root", is_root(), "a mount namespace needs root")
        && have_targets();
    if !there {
        return;
    }
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let hosts = HOSTS.map(|(address, name)| format!("{address} {name}\n")).concat();
    fs::write(dir.path().join("hosts"), hosts + "127.0.0.1 localhost\n").unwrap();
    let mut command = Command::new("unshare");
    let line = "ip link set lo up && mount --bind \"$0/hosts\" /etc/hosts && exec \"$@\"";
    command.args(["--mount", "--net", "bash", "-c", line]);
    command.arg(dir.path()).arg(std::env::current_exe().unwrap()).args(["--exact", NAME, "--nocapture"]);
    command.env(INSIDE, dir.path()).env("SSL_CERT_FILE", dir.path().join("ca.pem"));
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    eprintln!("{}", ran.stderr);
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// The repository, with its workflows as they are.
fn workspace() -> Hello {
    let hello = Hello::new();
    for workflow in ["ci.yml", "release.yml", "promote.yml"] {
        let text = fs::read_to_string(root().join(".github/workflows").join(workflow)).unwrap();
        hello.write(&format!(".github/workflows/{workflow}"), &text);
    }
    let today = in_days(0);
    let line =
        |number| format!(r#"{{"id":"RUSTSEC-2021-{number:04}","package":"none-{number}","date":"{today}"}}"#);
    let lines: Vec<String> = (1..=500).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    hello.write("xtask/advisories.jsonl", &facts(&today, &lines));
    hello.write(
        "xtask/image.toml",
        r"package = 'hello'
repository = 'ghcr.io/o/r'
[[tags]]
type = 'semver'
pattern = '{{version}}'
[[environments]]
name = 'staging'
[[environments]]
name = 'production'
after = 'staging'
signed = true
identity = '^https://github\.com/o/r/\.github/workflows/release\.yml@refs/tags/v'
",
    );
    hello.write(".cargo/config.toml", "[alias]\nxtask = 'image'\n");
    hello.commit();
    hello.git(&["branch", "-M", "main"]);
    hello.git(&["remote", "add", "origin", "https://github.com/o/r"]);
    hello.git(&["tag", "v0.3.0"]);
    hello
}

/// The workspace, and the services that its workflows reach.
struct Runner {
    hello: Hello,
    sigstore: Sigstore,
    github: Github,
    dir: tempfile::TempDir,
}

impl Runner {
    /// Runs a workflow for an event.
    fn act(&self, event: &str, workflow: &str, payload: &serde_json::Value, arguments: &[&str]) -> Ran {
        self.act_as("", event, workflow, payload, arguments)
    }

    /// The same with other claims in the job's token.
    fn act_as(
        &self,
        claims: &str,
        event: &str,
        workflow: &str,
        payload: &serde_json::Value,
        arguments: &[&str],
    ) -> Ran {
        let path = format!(".github/workflows/{workflow}");
        let text = fs::read_to_string(self.hello.path().join(&path)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let event_file = folder.path().join("event.json");
        fs::write(&event_file, payload.to_string()).unwrap();
        let bin = self.dir.path().join("bin");
        let mut act = Command::new("act");
        act.current_dir(self.hello.path())
            .args([event, "--actor", "octocat"])
            .arg("-e")
            .arg(&event_file)
            .args(["-W", &path]);
        act.args([
            "-P",
            "ubuntu-24.04=-self-hosted",
            "--action-offline-mode",
            "--pull=false",
            "--no-cache-server",
        ]);
        act.args(["--defaultbranch", "main", "--no-skip-checkout", "--bind", "-s"]);
        act.arg(format!("GITHUB_TOKEN={TOKEN}")).args(actions(folder.path(), &text));
        let ssl = std::env::var("SSL_CERT_FILE").unwrap();
        let token = format!(
            "{}/token?api-version=2&job_workflow_ref=o/r/{path}@{}{claims}",
            self.sigstore.issuer(),
            payload["ref"].as_str().unwrap_or("refs/heads/main")
        );
        let root = self.sigstore.trusted_root().display().to_string();
        let config = self.sigstore.signing_config().display().to_string();
        let source = self.hello.path().join(".git").display().to_string();
        let path = format!("{}:{}", bin.display(), path_without("trivy"));
        let given = [
            ("PATH", path.as_str()),
            ("SSL_CERT_FILE", &ssl),
            ("SOURCE", &source),
            ("COSIGN_TRUSTED_ROOT", &root),
            ("COSIGN_SIGNING_CONFIG", &config),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", &token),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "test"),
            ("GITHUB_API_URL", &self.github.api),
            // act 0.2.89 lacks this one of GitHub's variables.
            ("RUNNER_ENVIRONMENT", "github-hosted"),
        ];
        act.args(arguments);
        for (name, value) in given {
            act.args(["--env", &format!("{name}={value}")]);
        }
        Ran::of(&mut act)
    }
}

fn inside() {
    let dir = std::env::var(INSIDE).unwrap();
    let (key, certificate) = (format!("{dir}/tls.key"), format!("{dir}/tls.pem"));
    let tls = format!("  tls: {{certificate: {certificate}, key: {key}}}\n");
    fs::write(format!("{dir}/htpasswd"), format!("octocat:{PASSWORD}\n")).unwrap();
    let auth = format!("{tls}auth: {{htpasswd: {{realm: test, path: {dir}/htpasswd}}}}\n");
    let Some(_registry) = Live::docker_at("127.0.0.2:443", &auth, true) else { return };
    let issuer =
        IssuerTls { address: "127.0.0.3:443", name: HOSTS[1].1, certificate: &certificate, key: &key };
    let Some(sigstore) = Sigstore::start_with(Some(&issuer)) else {
        return;
    };
    let runner =
        Runner { hello: workspace(), sigstore, github: Github::start(), dir: tempfile::tempdir().unwrap() };
    fs::create_dir(runner.dir.path().join("bin")).unwrap();
    // As the installed program: cargo passes the name of the subcommand first.
    let program = runner.dir.path().join("bin/cargo-image");
    fs::write(&program, format!("#!/bin/sh\nshift\nexec {XTASK} \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let head =
        Command::new("git").args(["rev-parse", "HEAD"]).current_dir(runner.hello.path()).output().unwrap();
    let head = String::from_utf8(head.stdout).unwrap().trim().to_owned();
    runner.github.state.lock().unwrap().tags = vec![("v0.3.0".to_owned(), head.clone())];
    let repository =
        json!({ "full_name": "o/r", "name": "r", "owner": { "login": "o" }, "default_branch": "main" });
    let push = json!({ "ref": "refs/tags/v0.3.0", "after": head, "repository": repository });
    // act 0.2.89 lacks this one of GitHub's variables too.
    let workflow_ref = "GITHUB_WORKFLOW_REF=o/r/.github/workflows/release.yml@refs/tags/v0.3.0";
    // With the token of another workflow, what is published is not signed as the release demands.
    let claim = "&job_workflow_ref=o/r/.github/workflows/other.yml@refs/heads/main";
    let refused = runner.act_as(claim, "push", "release.yml", &push, &["--env", workflow_ref]).code(1);
    assert!(refused.stdout.contains("signature   failed"), "{}", refused.stdout);
    assert!(runner.github.state.lock().unwrap().releases.is_empty());
    let release = runner.act("push", "release.yml", &push, &["--env", workflow_ref]).code(0);
    eprintln!("{}", release.stdout);
    assert!(!format!("{release:?}").contains(TOKEN));
    assert!(release.stdout.contains("signature   ok"));
    {
        let state = runner.github.state.lock().unwrap();
        let release = &state.releases[0];
        assert_eq!((&release["draft"], &release["tag_name"]), (&json!(false), &json!("v0.3.0")));
        assert_eq!(release["assets"].as_array().unwrap().len(), 8);
    }
    // A run from the released tag publishes the same bytes with a new scan.
    let again = runner.act("workflow_dispatch", "release.yml", &push, &["--env", workflow_ref]).code(0);
    let digest = |ran: &Ran| {
        let (_, rest) = ran.stdout.split_once("ghcr.io/o/r@sha256:").unwrap();
        rest[..64].to_owned()
    };
    assert_eq!(digest(&again), digest(&release));
    assert!(again.stdout.contains("1 of 11 blobs sent"), "{}", again.stdout);
    // Production takes what runs in staging and was signed by the workflow.
    for (environment, code) in [("production", 1), ("staging", 0), ("production", 0)] {
        let dispatch = json!({
            "ref": "refs/heads/main", "repository": repository,
            "inputs": { "image": "0.3.0", "environment": environment },
        });
        let ran = runner.act("workflow_dispatch", "promote.yml", &dispatch, &[]).code(code);
        eprintln!("{}", ran.stdout);
        let line = format!("{environment} runs ghcr.io/o/r@sha256:");
        assert_eq!(ran.stdout.contains(&line), code == 0, "{environment}");
    }
    let push = json!({ "ref": "refs/heads/main", "after": head, "repository": repository });
    let ran = runner.act("push", "ci.yml", &push, &["--job", "image", "--matrix", "engine:native"]).code(0);
    assert!(ran.stdout.contains("Job succeeded"), "{}", ran.stdout);
    eprintln!("{}", ran.stdout);
}
