//! Keyless signing and verification: what needs no Sigstore, and all of it against a local one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::Ran;
use crate::support::live::Live;
use crate::support::published::{Workshop, check};
use crate::support::sigstore::Sigstore;

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
        // What would change what cosign looks at, or how it answers.
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

    fn root(&self, change: impl Fn(&mut serde_json::Value)) {
        let path: PathBuf = self.workshop.hello.path().join("root.json");
        let mut root = serde_json::from_slice(&fs::read(self.sigstore.trusted_root()).unwrap()).unwrap();
        change(&mut root);
        fs::write(path, root.to_string()).unwrap();
    }
}

#[test]
fn a_job_signs_at_a_private_sigstore_and_nobody_else_counts() {
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
        stage.root(|root| root[key] = serde_json::json!([]));
        let ran = stage.verify("1.0.0", RELEASE, &issuer);
        assert_ne!(ran.code, Some(0), "without {key}: {}", ran.stdout);
    }
    stage.root(|_| ());
    stage.verify("1.0.0", RELEASE, &issuer).code(0);
    // A job of another workflow of the same repository.
    let other = "&job_workflow_ref=example/gateway/.github/workflows/other.yml@refs/heads/main";
    stage.publish("1.0.1", &format!("{other}&exp=-10")).code(1).says("cosign sign");
    assert_eq!(
        crate::support::published::tagged(stage.repository.split('/').next().unwrap(), "owner/app", "1.0.1"),
        None
    );
    let args = ["publish", "--repository", &stage.repository, "--tag", "1.0.2", "--sign", "keyless"];
    let mut publish = stage.workshop.command(&args);
    stage.job(&mut publish, "").env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "other");
    Ran::of(&mut publish).code(1);
}
