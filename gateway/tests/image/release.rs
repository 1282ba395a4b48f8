//! The whole way of a release: scanned, published, run, promoted, rolled back, pruned; always the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::have::{have, have_program};
use super::live::Live;
use super::{Container, docker, folder, get, native, root, run, targets, turn, xtask};

/// A copy of the workspace's settings in which every environment is in a registry of this machine.
struct Desk {
    folder: TempDir,
    repository: String,
    signing: bool,
}

impl Desk {
    fn new(registry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = format!("{registry}/example/gateway");
        run(Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(folder.path()));
        let signing = have_program("cosign", "cosign", &["version"]);
        if signing {
            let mut cosign = Command::new("cosign");
            cosign.arg("generate-key-pair").current_dir(folder.path()).env("COSIGN_PASSWORD", "");
            run(&mut cosign);
        }
        let settings = folder.path().join("xtask/image.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        let (own, _) = text.split_once("[[environments]]").unwrap();
        let key = if signing { "signed = true\nkey = \"cosign.pub\"\n" } else { "" };
        let environments = format!(
            "[[environments]]\nname = \"staging\"\nscanned-within-days = 1\n\n[[environments]]\nname = \"production\"\n\
             after = \"staging\"\nrepository = \"{registry}/production/gateway\"\n{key}"
        );
        let own = own.replace("ghcr.io/example/gateway", &repository);
        std::fs::write(&settings, own + &environments).unwrap();
        Self { folder, repository, signing }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).arg("--json").current_dir(self.folder.path());
        for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "CI"] {
            command.env_remove(name);
        }
        command.env_remove("CARGO_TARGET_DIR").env("COSIGN_KEY", "cosign.key").env("COSIGN_PASSWORD", "");
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&run(&mut self.command(args))).unwrap()
    }

    /// Scans and publishes; gives the report.
    fn publish(&self, image: &Path, version: &str) -> Value {
        self.json(&["scan", "--engine", "builtin", "--image", image.to_str().unwrap()]);
        self.publish_again(image, version)
    }

    fn publish_again(&self, image: &Path, version: &str) -> Value {
        let sign = if self.signing { "key" } else { "none" };
        let image = image.to_str().unwrap();
        let args = ["publish", "--repository", &self.repository, "--sign", sign, "--image", image];
        self.json(&[&args[..], &["--tag", version, "--tag", "latest"]].concat())
    }

    fn verify(&self, reference: &str) {
        let key = if self.signing { &["--key", "cosign.pub"][..] } else { &[] };
        self.json(&[&["verify", reference], key].concat());
    }

    /// What runs in an environment.
    fn runs(&self, environment: &str) -> String {
        let report = self.json(&["environments"]);
        let mut rows = report["environments"].as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == environment || row["environment"] == environment);
        row.unwrap_or_else(|| panic!("{environment} in {report}"))["digest"].as_str().unwrap().to_owned()
    }
}

/// The xtask of this workspace, built by cargo if it is not.
fn program() -> PathBuf {
    run(&mut xtask(&["version"]));
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug").join("xtask")
}

/// Registries of three kinds: with a referrers API, without one, and one that never heard of referrers.
fn registries() -> Vec<Live> {
    let referrers = Path::new(env!("CARGO_TARGET_TMPDIR")).join("referrers-registry");
    let path = format!("{}:/usr/local/go/bin", std::env::var("PATH").unwrap_or_default());
    let mut go = Command::new("timeout");
    go.env("PATH", path).current_dir(root().join("xtask/tests/support/referrers-registry"));
    let built = go.args(["900", "go", "build", "-o"]).arg(&referrers).arg(".").output();
    let built = built.is_ok_and(|output| output.status.success());
    let with_api =
        have("go", built, "go cannot build xtask/tests/support/referrers-registry").then_some(referrers);
    let with_api = with_api.and_then(|program| Live::of_program(&program));
    [Live::docker(), Live::crane(), with_api].into_iter().flatten().collect()
}

#[test]
fn a_release_goes_all_the_way_as_the_same_bytes() {
    let _turn = turn();
    if !targets() {
        return;
    }
    // The second image has another time, which makes it another one.
    let later = folder("later");
    let mut image = xtask(&["image", "--engine", "native", "--platform", "all", "--output"]);
    run(image.arg(&later).env("SOURCE_DATE_EPOCH", "1700000000"));
    for live in registries() {
        let desk = Desk::new(&live.registry());
        let first = desk.publish(native(), "1.0.0");
        let digest = first["digest"].as_str().unwrap();
        let again = desk.publish_again(native(), "1.0.0");
        assert_eq!((&again["blobs_sent"], &again["bytes_sent"]), (&0.into(), &0.into()), "{again}");
        let image = format!("{}@{digest}", desk.repository);
        desk.verify(&image);
        valid(&image);
        answers(&image);

        desk.json(&["promote", "1.0.0", "--to", "staging"]);
        desk.json(&["promote", "--from", "staging", "--to", "production"]);
        let second = desk.publish(&later, "1.1.0");
        let newer = second["digest"].as_str().unwrap();
        assert_ne!(digest, newer);
        desk.json(&["promote", "1.1.0", "--to", "staging"]);
        desk.json(&["promote", "--from", "staging", "--to", "production"]);
        assert_eq!(desk.runs("production"), newer);
        desk.json(&["promote", digest, "--to", "production"]);
        assert_eq!((desk.runs("staging"), desk.runs("production")), (newer.to_owned(), digest.to_owned()));

        let pruned = desk.json(&["prune", "--keep", "1", "--delete"]);
        let production = format!("{}/production/gateway@{digest}", live.registry());
        for image in [&format!("{}@{newer}", desk.repository), &production] {
            desk.verify(image);
            valid(image);
        }
        // What staging and the highest version lead to stays; the first version had a tag of its own.
        assert_eq!(pruned["tags"], serde_json::json!(["1.0.0"]), "{pruned}");
        assert!(!desk.command(&["verify", &image]).output().unwrap().status.success(), "{pruned}");
    }
}

/// Crane finds nothing wrong with it.
fn valid(image: &str) {
    if have_program("crane", "crane", &["version"]) {
        run(Command::new("crane").args(["validate", "--insecure", "--remote", image]));
    }
}

/// Docker pulls it by its digest and runs it.
fn answers(image: &str) {
    if !docker() {
        return;
    }
    let args =
        ["run", "--detach", "--rm", "--read-only", "--cap-drop", "ALL", "--publish", "127.0.0.1::8080"];
    let container = run(Command::new("docker").args(args).arg(image));
    let container = Container("docker", container.lines().last().unwrap().to_owned());
    let address = run(Command::new("docker").args(["port", &container.1, "8080/tcp"]));
    assert!(get(&address, "/").starts_with("HTTP/1.1 200"));
    run(Command::new("docker").args(["exec", &container.1, "/usr/bin/gateway", "health"]));
}
