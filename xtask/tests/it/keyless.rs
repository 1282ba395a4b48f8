//! Keyless signing and verification: what needs no Sigstore, and all of it against a local one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::live::Live;
use crate::support::published::{Workshop, check};
use crate::support::sigstore::Sigstore;
use crate::support::{Ran, bundles};

const RELEASE: &str = r"^https://github\.com/example/gateway/\.github/workflows/release\.yml@refs/tags/v";

#[test]
fn an_identity_that_is_no_regular_expression_is_refused_before_anything_is_asked() {
    let workshop = Workshop::new(3);
    let image = "localhost:1/owner/app:1.0.0";
    for (identity, words) in
        [("", "it is empty"), ("(", "unclosed group"), ("*", "missing expression"), ("(?=a)", "look-around")]
    {
        let ran = workshop.run(&["verify", image, "--identity", identity]).code(2);
        ran.says("is not a regular expression").says(words);
    }
    workshop.run(&["verify", image, "--identity", "x", "--issuer", "gitlab"]).code(2).says("is not a URL");
    workshop
        .run(&["verify", image, "--issuer", "https://gitlab.com"])
        .code(2)
        .says("--issuer needs --identity");
}

#[test]
fn settings_of_a_private_sigstore_name_files_that_are_there() {
    let workshop = Workshop::new(3);
    let image = "localhost:1/owner/app:1.0.0";
    let settings = "package = \"hello\"\n[sign]\ntrusted-root = \"root.json\"\n";
    workshop.hello.write("xtask/image.toml", settings);
    let ran = workshop.run(&["verify", image, "--identity", "x"]).code(2);
    ran.says("xtask/image.toml: [sign] trusted-root").says("root.json does not exist");
    workshop.hello.write("xtask/image.toml", "package = \"hello\"\n");
    let mut verify = workshop.command(&["verify", image, "--identity", "x"]);
    Ran::of(verify.env("COSIGN_TRUSTED_ROOT", "/no/such/root.json")).code(2).says("COSIGN_TRUSTED_ROOT");
    workshop.hello.write("xtask/image.toml", &format!("{settings}other = 1\n"));
    workshop.run(&["verify", image]).code(2).says("other");
}

#[test]
fn the_issuer_of_an_environment_is_its_own() {
    let workshop = Workshop::new(3);
    let environment = |issuer: &str| {
        format!(
            "package = \"hello\"\nrepository = \"localhost:1/owner/app\"\n[[environments]]\nname = \"live\"\n\
             signed = true\nidentity = '^https://gitlab'\n{issuer}"
        )
    };
    workshop.hello.write("xtask/image.toml", &environment("issuer = 'https://gitlab.example'\n"));
    let promote = ["promote", "1.0.0", "--to", "live", "--dry-run"];
    workshop.run(&promote).code(0);
    workshop.run(&[&promote[..], &["--issuer", "https://gitlab.example"]].concat()).code(0);
    let ran = workshop.run(&[&promote[..], &["--issuer", "https://other.example"]].concat()).code(2);
    ran.says("--issuer is https://other.example").says("has https://gitlab.example");
    workshop.hello.write("xtask/image.toml", &environment(""));
    workshop.run(&[&promote[..], &["--issuer", "https://other.example"]].concat()).code(0);
    workshop.hello.write("xtask/image.toml", &environment("issuer = 'gitlab'\n"));
    workshop.run(&promote).code(2).says("issuer 'gitlab' is not a URL");
}

#[test]
fn a_token_of_any_ci_is_an_identity() {
    let workshop = Workshop::new(3);
    if !crate::support::have_program("cosign", "cosign", &["version"]) {
        return;
    }
    let args = ["publish", "--dry-run", "--repository", "localhost:1/a", "--tag", "1.0.0"];
    let mut publish = workshop.command(&args);
    publish.env_remove("ACTIONS_ID_TOKEN_REQUEST_URL").env("SIGSTORE_ID_TOKEN", "hunter2.hunter2.hunter2");
    let ran = Ran::of(&mut publish).code(0).says("cosign sign --yes --recursive localhost:1/a@sha256:");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    let ran = workshop.run(&[&args[..], &["--sign", "keyless"]].concat()).code(2);
    ran.says("this run has no identity").says("SIGSTORE_ID_TOKEN");
}

/// A registry, a workspace with the settings of the local Sigstore, and an image that its job has published.
struct Stage {
    _live: Live,
    sigstore: Sigstore,
    workshop: Workshop,
    repository: String,
}

impl Stage {
    fn new() -> Option<Self> {
        let live = Live::docker()?;
        let sigstore = Sigstore::start()?;
        let workshop = Workshop::new(3);
        let repository = format!("{}/owner/app", live.registry());
        for (name, path) in
            [("root.json", sigstore.trusted_root()), ("config.json", sigstore.signing_config())]
        {
            fs::copy(path, workshop.hello.path().join(name)).unwrap();
        }
        workshop.hello.write(
            "xtask/image.toml",
            &format!(
                "package = \"hello\"\nrepository = \"{repository}\"\n[sign]\ntrusted-root = \"root.json\"\n\
                 signing-config = \"config.json\"\n[[environments]]\nname = \"live\"\nsigned = true\n\
                 identity = '{RELEASE}'\nissuer = '{}'\n",
                sigstore.issuer()
            ),
        );
        Some(Self { _live: live, sigstore, workshop, repository })
    }

    /// `publish` as a job with these claims.
    fn publish(&self, tag: &str, claims: &str) -> Ran {
        let args = ["publish", "--repository", &self.repository, "--tag", tag, "--sign", "keyless"];
        Ran::of(self.job(&mut self.workshop.command(&args), claims))
    }

    fn job<'a>(&self, command: &'a mut Command, claims: &str) -> &'a mut Command {
        let url = format!("{}/token?api-version=2{claims}", self.sigstore.issuer());
        command.env("ACTIONS_ID_TOKEN_REQUEST_URL", url).env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "test");
        // Variables that would change the inputs or the output of cosign.
        command.env("COSIGN_OUTPUT", "text").env("COSIGN_INSECURE_IGNORE_SCT", "true")
    }

    fn verify(&self, tag: &str, identity: &str, issuer: &str) -> Ran {
        let image = format!("{}:{tag}", self.repository);
        let args = ["verify", "--json", &image, "--identity", identity, "--issuer", issuer];
        Ran::of(self.workshop.command(&args).env("COSIGN_OUTPUT", "text"))
    }

    fn signature(&self, tag: &str, identity: &str, issuer: &str) -> String {
        check(&self.verify(tag, identity, issuer).json(), "signature").0.to_owned()
    }

    fn root(&self, change: impl Fn(&mut Value)) {
        let path: PathBuf = self.workshop.hello.path().join("root.json");
        let mut root = serde_json::from_slice(&fs::read(self.sigstore.trusted_root()).unwrap()).unwrap();
        change(&mut root);
        fs::write(path, root.to_string()).unwrap();
    }
}

/// Ends the time in which a key or a chain of a trusted root counts, before anything was signed.
fn end(entry: &mut Value) {
    let of = if entry.get("publicKey").is_some() { &mut entry["publicKey"] } else { entry };
    of["validFor"] = json!({ "start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z" });
}

#[test]
fn only_the_job_signed_at_a_private_sigstore_is_trusted() {
    let Some(stage) = Stage::new() else { return };
    let issuer = stage.sigstore.issuer();
    stage.publish("1.0.0", "").code(0);
    stage.verify("1.0.0", RELEASE, &issuer).code(0);
    stage.workshop.run(&["promote", "1.0.0", "--to", "live"]).code(0);
    for (what, identity, by) in [
        ("another workflow", r"/other\.yml@", &*issuer),
        ("another branch", r"release\.yml@refs/heads/", &issuer),
        ("another repository", r"^https://github\.com/other/", &issuer),
        ("another issuer", RELEASE, "https://token.actions.githubusercontent.com"),
    ] {
        assert_eq!(stage.signature("1.0.0", identity, by), "failed", "{what}");
    }
    for key in ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"] {
        stage.root(|root| root[key] = json!([]));
        stage.verify("1.0.0", RELEASE, &issuer).code(3).says("signature: cosign:");
    }
    for key in ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"] {
        let other =
            if key == "certificateAuthorities" { "timestampAuthorities" } else { "certificateAuthorities" };
        for (what, change) in [
            ("expired", &(|root: &mut Value| end(&mut root[key][0])) as &dyn Fn(&mut Value)),
            ("another's", &|root: &mut Value| match key {
                "tlogs" => root[key][0]["publicKey"] = root["ctlogs"][0]["publicKey"].clone(),
                "ctlogs" => root[key][0]["publicKey"] = root["tlogs"][0]["publicKey"].clone(),
                _ => root[key][0]["certChain"] = root[other][0]["certChain"].clone(),
            }),
        ] {
            stage.root(change);
            let ran = stage.verify("1.0.0", RELEASE, &issuer);
            // Cosign 3.1 does not hold the end of a log's key against entries of Rekor v2, which have no time of their own.
            let counts = what == "expired" && key == "tlogs";
            assert_eq!(ran.code, Some(if counts { 0 } else { 3 }), "{what} {key}: {}", ran.stderr);
        }
    }
    stage.root(|_| ());
    stage.verify("1.0.0", RELEASE, &issuer).code(0);
    // A job of another workflow of the same repository signs, and does not count as the release's.
    let other = "&job_workflow_ref=example/gateway/.github/workflows/other.yml@refs/heads/main";
    stage.publish("1.0.1", other).code(0);
    stage.verify("1.0.1", r"/other\.yml@refs/heads/main$", &issuer).code(0);
    let other = "&job_workflow_ref=example/gateway/.github/workflows/other.yml@refs/heads/main";
    stage.publish("1.0.4", &format!("{other}&exp=-10")).code(1).says("cosign sign");
    assert_eq!(
        crate::support::published::tagged(stage.repository.split('/').next().unwrap(), "owner/app", "1.0.4"),
        None
    );
    // A token of any CI, and an environment whose issuer only the flag names.
    let (_, answer) = crate::support::published::get_with(
        issuer.strip_prefix("http://").unwrap(),
        "/token?audience=sigstore",
        "Authorization: bearer test",
    );
    let token: Value = serde_json::from_slice(&answer).unwrap();
    let args = ["publish", "--repository", &stage.repository, "--tag", "1.0.3"];
    let mut publish = stage.workshop.command(&args);
    publish
        .env_remove("ACTIONS_ID_TOKEN_REQUEST_URL")
        .env("SIGSTORE_ID_TOKEN", token["value"].as_str().unwrap());
    Ran::of(&mut publish).code(0);
    let settings = std::fs::read_to_string(stage.workshop.hello.path().join("xtask/image.toml")).unwrap();
    let unnamed: Vec<_> = settings.lines().filter(|line| !line.starts_with("issuer")).collect();
    stage.workshop.hello.write("xtask/image.toml", &unnamed.join("\n"));
    stage.workshop.run(&["promote", "1.0.3", "--to", "live"]).code(3);
    stage.workshop.run(&["promote", "1.0.3", "--to", "live", "--issuer", &issuer]).code(0);
    stage.workshop.hello.write("xtask/image.toml", &settings);
    let args = ["publish", "--repository", &stage.repository, "--tag", "1.0.2", "--sign", "keyless"];
    let mut publish = stage.workshop.command(&args);
    stage.job(&mut publish, "").env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "other");
    Ran::of(&mut publish).code(1);
}

/// A change of a bundle, and whether the signature counts after it.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Value), bool);

#[test]
fn a_signature_that_was_changed_does_not_count() {
    let Some(stage) = Stage::new() else { return };
    let issuer = stage.sigstore.issuer();
    stage.publish("1.0.0", "").code(0);
    let (registry, from) = stage.repository.split_once('/').unwrap();
    let subject = &stage.workshop.digest;
    let others = bundles::read(registry, from, subject);
    assert_eq!(others.len(), 3, "the image, its provenance, the list of documents");
    // The value of another bundle about the same image.
    let other = |bundle: &Value, at: &str| {
        let other = others.iter().find(|other| other["dsseEnvelope"] != bundle["dsseEnvelope"]).unwrap();
        other.pointer(at).unwrap().clone()
    };
    let swap = |at: &'static str| {
        move |bundle: &mut Value| *bundle.pointer_mut(at).unwrap() = other(&bundle.clone(), at)
    };
    let (entries, times) =
        ("/verificationMaterial/tlogEntries", "/verificationMaterial/timestampVerificationData");
    let (others_payload, others_entry, others_time) =
        (swap("/dsseEnvelope/payload"), swap(entries), swap(times));
    let others_certificate = swap("/verificationMaterial/certificate");
    let changes: [Change<'_>; 8] = [
        ("nothing", &|_| (), true),
        ("another's payload", &others_payload, false),
        ("another's certificate", &others_certificate, false),
        ("another's log entry", &others_entry, false),
        ("another's time", &others_time, false),
        ("no log entry", &|bundle| *bundle.pointer_mut(entries).unwrap() = json!([]), false),
        ("no time", &|bundle| *bundle.pointer_mut(times).unwrap() = json!({}), false),
        (
            "no proof of the log entry",
            &|bundle| {
                let entry = bundle.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap();
                entry.as_object_mut().unwrap().remove("inclusionProof");
            },
            false,
        ),
    ];
    for (number, (what, change, counts)) in changes.into_iter().enumerate() {
        let to = format!("changed/{number}");
        let repository = format!("{registry}/{to}");
        let args =
            ["publish", "--repository", &repository, "--tag", "1.0.0", "--sign", "none", "--attach", "never"];
        stage.workshop.run(&args).code(0);
        bundles::copy(registry, from, &to, subject, change);
        let image = format!("{repository}:1.0.0");
        let args =
            ["verify", "--json", &image, "--identity", RELEASE, "--issuer", &issuer, "--allow-unscanned"];
        let ran = stage.workshop.run(&args);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let signature =
            report["checks"].as_array().into_iter().flatten().find(|check| check["name"] == "signature");
        let signature = signature.map(|check| (check["state"].clone(), check["detail"].clone()));
        let expected = if counts { "ok" } else { "failed" };
        assert_eq!(
            signature.as_ref().map(|(found, _)| found == expected),
            Some(true),
            "{what}: {signature:?} {}",
            ran.stderr
        );
    }
}
