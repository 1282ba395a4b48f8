//! Checks of a published image by a consumer.

use crate::support;

use std::io::Write as _;
use std::process::Stdio;

use serde_json::json;

use support::Ran;
use support::fault_proxy::{FaultProxy, Guard};
use support::live::Live;
use support::published::{INDEX, KEY_PASSWORD, Workshop, check, put, signing};

#[track_caller]
fn fails(ran: Ran, name: &str, words: &str) {
    let report = ran.code(3).json();
    let (state, detail) = check(&report, name);
    assert!(state == "failed" && detail.contains(words), "{report:#}");
}

/// Publishes, signed with the workspace's key.
fn publish_signed(workshop: &Workshop, repository: &str) -> Ran {
    let args = ["publish", "--json", "--repository", repository, "--tag", "1.0.0"];
    Ran::of(&mut signing(workshop.command(&args)))
}

/// Publishes without a scan, for a reason.
fn publish_unscanned(workshop: &Workshop, repository: &str) -> Ran {
    let args = ["publish", "--repository", repository, "--tag", "1.0.0", "--allow-unscanned", "hotfix"];
    workshop.run(&args)
}

/// A registry, and a workspace with a key that has published nothing there yet; none where cosign or the
/// registry is missing.
fn with_key() -> Option<(Live, Workshop, String)> {
    let live = Live::docker()?;
    let workshop = Workshop::new(3);
    let repository = format!("{}/owner/app", live.registry());
    workshop.key_pair().then_some((live, workshop, repository))
}

/// Cosign itself, in the workspace.
#[track_caller]
fn cosign(workshop: &Workshop, args: &[&str]) {
    let mut command = std::process::Command::new("cosign");
    command.args(args).current_dir(workshop.hello.path()).env("COSIGN_PASSWORD", KEY_PASSWORD);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A signing config that tells no public log.
const NO_SERVICES: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;

#[test]
fn a_key_that_signed_something_of_an_image_has_not_signed_the_image() {
    for live in [Live::docker(), Live::crane()].into_iter().flatten() {
        let workshop = Workshop::new(3);
        if !workshop.key_pair() {
            return;
        }
        let repository = format!("{}/owner/app", live.registry());
        let image = format!("{repository}:1.0.0");
        workshop.publish(&repository, &["1.0.0"]).code(0);
        let verify = || workshop.run(&["verify", "--json", &image, "--key", "cosign.pub"]);
        fails(verify(), "signature", "cosign: no ");
        workshop.hello.write("services.json", NO_SERVICES);
        workshop.hello.write("custom.json", "{}");
        let by_key = ["--yes", "--key", "cosign.key", "--signing-config", "services.json"];
        let image = format!("{repository}@{}", workshop.digest);
        cosign(
            &workshop,
            &[&["attest"], &by_key[..], &["--type", "custom", "--predicate", "custom.json", &image]].concat(),
        );
        fails(verify(), "signature", "but the image is not");
        // Which is no reason for a release to go without one.
        publish_signed(&workshop, &repository).code(0);
        assert_eq!(check(&verify().code(0).json(), "signature").0, "ok");
        let by_tag = ["--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false"];
        let other = Workshop::new(4);
        assert!(other.key_pair());
        let repository = format!("{}/owner/other", live.registry());
        other.publish(&repository, &["1.0.0"]).code(0);
        let image = format!("{repository}@{}", other.digest);
        cosign(&other, &[&["sign", "--yes", "--key", "cosign.key"], &by_tag[..], &[&image]].concat());
        let report = other.run(&["verify", "--json", &image, "--key", "cosign.pub"]).code(3).json();
        assert_eq!(check(&report, "signature").0, "ok", "{report:#}");
    }
}

#[test]
fn a_failure_of_cosign_is_not_a_missing_signature() {
    let Some((_live, workshop, repository)) = with_key() else { return };
    publish_signed(&workshop, &repository).code(0);
    workshop.hello.write("garbage.pub", "garbage");
    let image = format!("{repository}:1.0.0");
    let ran = workshop.run(&["verify", &image, "--key", "garbage.pub"]).code(1);
    ran.says("cosign could not verify the signature").says("garbage.pub");
    workshop
        .run(&["verify", &image, "--key", "missing.pub"])
        .code(2)
        .says("--key: the public key is neither");
}

#[test]
fn an_image_is_named_by_a_tag_or_a_digest_and_lists_something() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let workshop = Workshop::new(3);
    let repository = format!("{registry}/owner/app");
    workshop.publish(&repository, &["1.0.0", "latest"]).code(0);
    workshop
        .run(&["verify", &repository])
        .code(2)
        .says("the reference has neither a tag nor a digest")
        .says(":1.2.3");
    let nothing = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }).to_string();
    put(&registry, "/v2/owner/app/manifests/empty", INDEX, nothing.as_bytes());
    let ran = workshop.run(&["verify", "--json", &format!("{repository}:empty")]);
    fails(ran, "complete", "lists no image");
}

#[test]
fn an_image_that_failed_its_scan_is_promoted_nowhere() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    let repository = format!("{}/owner/app", live.registry());
    let settings =
        format!("package = \"hello\"\nrepository = \"{repository}\"\n[[environments]]\nname = \"staging\"\n");
    workshop.hello.write("xtask/image.toml", &settings);
    workshop.scan(false);
    publish_unscanned(&workshop, &repository).code(0);
    let image = format!("{repository}:1.0.0");
    fails(workshop.run(&["verify", "--json", &image]), "scan", "did not pass");
    let report = workshop.run(&["verify", "--json", &image, "--allow-unscanned"]).code(0).json();
    assert_eq!(check(&report, "scan"), ("absent", "published without one: hotfix"));
    workshop.run(&["promote", "1.0.0", "--to", "staging"]).code(3).says("did not pass");
}

#[test]
fn verify_with_a_key_accepts_only_documents_signed_by_it() {
    let Some((_live, workshop, repository)) = with_key() else { return };
    let image = format!("{repository}:1.0.0");
    let verify = |more: &[&str]| workshop.run(&[&["verify", "--json", &image], more].concat());
    let key = ["--key", "cosign.pub"];
    workshop.publish(&repository, &["1.0.0"]).code(0);
    assert_eq!(check(&verify(&[]).code(0).json(), "scan").0, "ok");
    fails(verify(&key), "scan", "does not have the required signature");

    let sbom = json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "of": workshop.digest });
    workshop.hello.write("target/sbom/hello.cdx.json", &sbom.to_string());
    publish_signed(&workshop, &repository).code(0);
    let report = verify(&[&key[..], &["--require-sbom"]].concat()).code(0).json();
    assert!(check(&report, "scan").1.contains("2024-01-02"), "{report:#}");
    assert_eq!(check(&report, "sbom"), ("ok", "1 CycloneDX"));
    let again = publish_signed(&workshop, &repository).code(0).json();
    let steps = again["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == "attest-documents").unwrap();
    assert_eq!(step["outcome"], "already signed with this key");

    // Somebody else may push, says that a later scan passed, and brings a bill of materials.
    let later = json!({ "schema": "xtask.scan/1", "digest": workshop.digest, "passed": true, "time": "2025-01-02T03:04:05Z" });
    workshop.hello.write("target/xtask/scan.json", &later.to_string());
    workshop.hello.write("target/sbom/hello.cdx.json", &format!("{sbom:#}"));
    workshop.publish(&repository, &["1.0.0"]).code(0);
    assert!(check(&verify(&[]).code(0).json(), "scan").1.contains("2025-01-02"));
    let report = verify(&[&key[..], &["--require-sbom"]].concat()).code(0).json();
    assert!(check(&report, "scan").1.contains("2024-01-02"), "{report:#}");
    assert_eq!(check(&report, "sbom").1, "1 CycloneDX");

    // The owner of the key publishes the same bytes again, and the later scan counts.
    let again = publish_signed(&workshop, &repository).code(0).json();
    assert_eq!(again["digest"], workshop.digest);
    let report = verify(&key).code(0).json();
    assert!(check(&report, "scan").1.contains("2025-01-02"), "{report:#}");
}

#[test]
fn an_image_without_a_passing_scan_fails_unless_that_is_asked_for() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    let repository = format!("{}/owner/app", live.registry());
    let image = format!("{repository}:1.0.0");
    let scan = |time: &str| {
        let scan =
            json!({ "schema": "xtask.scan/1", "digest": workshop.digest, "passed": true, "time": time });
        workshop.hello.write("target/xtask/scan.json", &scan.to_string());
    };
    for (time, words) in [("9999-01-01T00:00:00Z", "in the future"), ("last week", "not a time of RFC 3339")]
    {
        scan(time);
        workshop.publish(&repository, &["1.0.0"]).code(1).says(words).says("cargo xtask scan");
    }
    workshop.hello.write("target/xtask/scan.json", "garbage");
    workshop.publish(&repository, &["1.0.0"]).code(1).says("not a result of a scan");
    let publish = || publish_unscanned(&workshop, &repository);
    publish().code(0).says("the image counts as not scanned").says("allowed: hotfix");
    let verify = |more: &[&str]| workshop.run(&[&["verify", "--json", &image], more].concat());
    fails(verify(&[]), "scan", "published without one: hotfix");
    fails(verify(&["--scanned-within", "9999"]), "scan", "published without one: hotfix");
    let report = verify(&["--allow-unscanned"]).code(0).json();
    assert_eq!(check(&report, "scan").0, "absent");
    // A reason that was not needed is not told.
    scan("2024-01-02T03:04:05Z");
    publish().code(0);
    assert_eq!(check(&verify(&[]).code(0).json(), "scan").0, "ok");
}

#[test]
fn a_private_image_is_verified_with_a_token_that_is_handed_in() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let workshop = Workshop::new(3);
    workshop.publish(&format!("{}/user/image", live.registry()), &["1.0.0"]).code(0);
    proxy.guard(Guard { open: false, ..Guard::default() });
    let image = format!("{}/user/image:1.0.0", proxy.registry());
    let verify = |args: &[&str]| {
        let mut run = workshop.command(&[&["verify", &image], args].concat());
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().unwrap();
        // It may have ended without reading it.
        let _ = child.stdin.take().unwrap().write_all(b"hunter2-password\n");
        Ran::from_output(child.wait_with_output().unwrap())
    };
    verify(&[]).code(1).says("requires credentials");
    verify(&["--token-stdin"]).code(2).says("--user");
    let ran = verify(&["--token-stdin", "--user", "user"]).code(0);
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}
