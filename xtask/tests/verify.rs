//! What a consumer takes for true of a published image, and what not.

mod support;

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use support::fault_proxy::{FaultProxy, Guard};
use support::live::Live;
use support::published::Workshop;
use support::{Ran, have_program};

fn check(report: &Value, name: &str) -> (String, String) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    (check["state"].as_str().unwrap().to_owned(), check["detail"].as_str().unwrap().to_owned())
}

#[track_caller]
fn fails(ran: Ran, name: &str, words: &str) {
    let report = ran.code(3).json();
    let (state, detail) = check(&report, name);
    assert!(state == "failed" && detail.contains(words), "{report:#}");
}

/// Publishes, signed with the workspace's key.
fn publish_signed(workshop: &Workshop, repository: &str) -> Ran {
    let args = ["publish", "--json", "--repository", repository, "--tag", "1.0.0", "--sign", "key"];
    let mut publish = workshop.command(&args);
    Ran::of(publish.env("COSIGN_KEY", "cosign.key").env("COSIGN_PASSWORD", "hunter2-key"))
}

#[test]
fn who_trusts_a_key_takes_only_documents_that_it_has_signed() {
    let Some(live) = Live::docker() else { return };
    if !have_program("cosign", "cosign", &["version"]) {
        return;
    }
    let workshop = Workshop::new(3);
    let mut keys = std::process::Command::new("cosign");
    keys.arg("generate-key-pair").current_dir(workshop.hello.path()).env("COSIGN_PASSWORD", "hunter2-key");
    assert!(keys.output().unwrap().status.success());
    let repository = format!("{}/owner/app", live.registry());
    let image = format!("{repository}:1.0.0");
    let verify = |more: &[&str]| workshop.run(&[&["verify", "--json", &image], more].concat());
    let key = ["--key", "cosign.pub"];
    workshop.publish(&repository, &["1.0.0"]).code(0);
    assert_eq!(check(&verify(&[]).code(0).json(), "scan").0, "ok");
    fails(verify(&key), "scan", "not signed by whom is wanted");

    let sbom = json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "of": workshop.digest });
    workshop.hello.write("target/sbom/hello.cdx.json", &sbom.to_string());
    publish_signed(&workshop, &repository).code(0);
    let report = verify(&[&key[..], &["--require-sbom"]].concat()).code(0).json();
    assert!(check(&report, "scan").1.contains("2024-01-02"), "{report:#}");
    assert_eq!(check(&report, "sbom"), ("ok".into(), "1 CycloneDX".into()));
    let again = publish_signed(&workshop, &repository).code(0).json();
    let steps = again["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == "attest-documents").unwrap();
    assert_eq!(step["outcome"], "this key has signed it already");

    // Somebody else may push, says that a later scan passed, and brings a bill of materials.
    let later = json!({ "schema": "xtask.scan/1", "digest": workshop.digest, "passed": true, "time": "2025-01-02T03:04:05Z" });
    workshop.hello.write("target/xtask/scan.json", &later.to_string());
    workshop.hello.write("target/sbom/hello.cdx.json", &format!("{sbom:#}"));
    workshop.publish(&repository, &["1.0.0"]).code(0);
    assert!(check(&verify(&[]).code(0).json(), "scan").1.contains("2025-01-02"));
    let report = verify(&[&key[..], &["--require-sbom"]].concat()).code(0).json();
    assert!(check(&report, "scan").1.contains("2024-01-02"), "{report:#}");
    assert_eq!(check(&report, "sbom").1, "1 CycloneDX");
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
    for (time, words) in [("9999-01-01T00:00:00Z", "yet to come"), ("last week", "no time of RFC 3339")] {
        scan(time);
        workshop.publish(&repository, &["1.0.0"]).code(1).says(words).says("cargo xtask scan");
    }
    workshop.hello.write("target/xtask/scan.json", "garbage");
    workshop.publish(&repository, &["1.0.0"]).code(1).says("this is no result of a scan");
    let args = ["publish", "--repository", &repository, "--tag", "1.0.0", "--allow-unscanned", "hotfix"];
    workshop.run(&args).code(0).says("the image counts as not scanned").says("allowed: hotfix");
    let verify = |more: &[&str]| workshop.run(&[&["verify", "--json", &image], more].concat());
    fails(verify(&[]), "scan", "published without one: hotfix");
    fails(verify(&["--scanned-within", "9999"]), "scan", "published without one: hotfix");
    let report = verify(&["--allow-unscanned"]).code(0).json();
    assert_eq!(check(&report, "scan").0, "absent");
    // A reason that was not needed is not told.
    scan("2024-01-02T03:04:05Z");
    workshop.run(&args).code(0);
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
    verify(&[]).code(1).says("wants credentials");
    verify(&["--token-stdin"]).code(2).says("--user");
    let ran = verify(&["--token-stdin", "--user", "user"]).code(0);
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}
