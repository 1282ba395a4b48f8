//! `cargo xtask publish` against real registries: Debian's docker-registry, and crane's without a
//! referrers API.

use crate::support;

use serde_json::{Value, json};

use support::Image;
use support::fault_proxy::{Fault, FaultProxy};
use support::live::Live;
use support::published::{Workshop, get, is_whole, states, tagged};

fn registries() -> Vec<Live> {
    [Live::docker(), Live::crane()].into_iter().flatten().collect()
}

#[test]
fn the_referrers_api_lists_each_attachment_once() {
    let Some(live) = support::go_program("referrers-registry").and_then(|path| Live::of_program(&path))
    else {
        return;
    };
    let registry = live.registry();
    let workshop = Workshop::new(7);
    let repository = format!("{registry}/owner/app");
    workshop.publish(&repository, &["1.2.3"]).code(0);
    let again = workshop.publish(&repository, &["1.2.3"]).code(0).json();
    assert_eq!(again["blobs_sent"], 0);
    let (_, list) = get(&registry, &format!("/v2/owner/app/referrers/{}", workshop.digest));
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 2, "{list}");
    // The registry sends no OCI-Subject for a referrer, so the client also keeps the list under the tag
    // (distribution-spec, "Pushing Manifests with Subject"). A reader gets each referrer once.
    workshop.run(&["verify", &format!("{repository}:1.2.3")]).code(0);
}

#[test]
fn publish_sends_the_layout_and_a_second_run_sends_nothing() {
    for live in registries() {
        let registry = live.registry();
        let workshop = Workshop::new(7);
        let repository = format!("{registry}/owner/app");
        let report = workshop.publish(&repository, &["1.2.3", "1.2", "latest"]).code(0).json();
        assert_eq!(report["digest"], workshop.digest);
        assert_eq!(report["reference"], format!("{repository}@{}", workshop.digest));
        assert!(report["bytes_sent"].as_u64().unwrap() > 200_000, "{report}");
        for tag in ["1.2.3", "1.2", "latest"] {
            assert_eq!(tagged(&registry, "owner/app", tag).as_ref(), Some(&workshop.digest), "{tag}");
        }
        assert!(is_whole(&registry, "owner/app", "1.2.3"));
        let again = workshop.publish(&repository, &["1.2.3", "1.2", "latest"]).code(0).json();
        assert_eq!((&again["bytes_sent"], &again["blobs_sent"]), (&json!(0), &json!(0)));
        assert!(states(&again).iter().all(|(_, state)| state == "unchanged"), "{again}");
        assert_eq!(report["attached"], again["attached"]);
        // The list of what is attached, as a registry without an API for it has it.
        let fallback = format!("/v2/owner/app/manifests/sha256-{}", &workshop.digest[7..]);
        let (status, list) = get(&registry, &fallback);
        assert_eq!(status, 200);
        let list: Value = serde_json::from_slice(&list).unwrap();
        assert_eq!(list["manifests"].as_array().unwrap().len(), 2, "provenance and scan: {list}");
    }
}

#[test]
fn of_an_unchanged_image_nothing_is_put() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let workshop = Workshop::new(6);
    let repository = format!("{}/owner/app", proxy.registry());
    let tags = ["1.2.3", "1.2", "latest"];
    workshop.publish(&repository, &tags).code(0);
    let methods = ["POST", "PUT", "PATCH", "DELETE"];
    let first = (methods.map(|method| proxy.count(method, "")), proxy.seen().len());
    let report = workshop.publish(&repository, &tags).code(0).json();
    assert!(states(&report).iter().all(|(_, state)| state == "unchanged"), "{report}");
    let again = methods.map(|method| proxy.count(method, ""));
    let more: Vec<_> = again.iter().zip(first.0).map(|(all, first)| all - first).collect();
    assert_eq!(more, [0, 0, 0, 0]);
    let asked = proxy.seen().len() - first.1;
    assert!(asked <= 31, "{asked} requests");
}

#[test]
fn a_version_is_never_overwritten_by_other_bytes() {
    let Some(live) = Live::docker() else { return };
    let mut workshop = Workshop::new(7);
    let repository = format!("{}/owner/app", live.registry());
    workshop.publish(&repository, &["1.2.3"]).code(0);
    let first = workshop.digest.clone();
    workshop.image(8, 100_000);
    let ran = workshop.publish(&repository, &["1.2.3", "latest"]).code(3);
    ran.says("this version is published with other bytes").says(&first);
    assert_eq!(tagged(&live.registry(), "owner/app", "1.2.3"), Some(first));
    assert_eq!(tagged(&live.registry(), "owner/app", "latest"), None);
}

#[test]
fn without_a_passing_scan_of_the_same_image_a_reason_is_wanted() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(7);
    let repository = format!("{}/owner/app", live.registry());
    workshop.scan(false);
    workshop.publish(&repository, &["1.0.0"]).code(3).says("did not pass its scan");
    std::fs::remove_file(workshop.hello.path().join("target/xtask/scan.json")).unwrap();
    workshop.publish(&repository, &["1.0.0"]).code(3).says("has not been scanned").says("--allow-unscanned");
    assert_eq!(get(&live.registry(), "/v2/owner/app/tags/list").0, 404, "nothing was sent");
    let args = ["publish", "--json", "--repository", &repository, "--tag", "1.0.0"];
    let report =
        workshop.run(&[&args[..], &["--allow-unscanned", "the scanner is down"]].concat()).code(0).json();
    let provenance = report["attached"][0]["digest"].as_str().unwrap();
    let (_, manifest) = get(&live.registry(), &format!("/v2/owner/app/manifests/{provenance}"));
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let (_, statement) = get(&live.registry(), &format!("/v2/owner/app/blobs/{layer}"));
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["allowUnscanned"], "the scanner is down");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], workshop.digest[7..]);
    let revision = workshop.run(&["version", "--json"]).json()["revision"].clone();
    assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], revision);
}

#[test]
fn the_tags_are_derived_and_must_be_about_this_very_image() {
    let Some(live) = Live::docker() else { return };
    let mut workshop = Workshop::new(7);
    let settings = format!(
        "package = \"hello\"\nrepository = \"{}/owner/app\"\n\
         [[tags]]\ntype = \"semver\"\npattern = \"{{{{version}}}}\"\n\
         [[tags]]\ntype = \"semver\"\npattern = \"{{{{major}}}}.{{{{minor}}}}\"\n",
        live.registry()
    );
    workshop.hello.write("xtask/image.toml", &settings);
    workshop.hello.commit();
    workshop.run(&["publish"]).code(2).says("the image's revision is").says("cargo xtask image");
    support::published::layout(&workshop.hello.layout(), 7, 1000, &json!({}));
    workshop.run(&["publish"]).code(2).says("the image's revision is not named");
    workshop.hello.git(&["tag", "v0.3.0"]);
    workshop.image(7, 1000);
    let plan = workshop.run(&["publish", "--dry-run"]).code(0).stdout;
    assert!(plan.contains("0.3, latest") && plan.contains("owner/app"), "{plan}");
    let tags = states(&workshop.run(&["publish", "--json"]).code(0).json());
    let names: Vec<_> = tags.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(names, ["0.3.0", "0.3", "latest"]);
    workshop.hello.git(&["tag", "--delete", "v0.3.0"]);
    workshop.hello.git(&["tag", "v0.4.0"]);
    workshop.run(&["publish"]).code(2).says("0.4.0").says("0.3.0");
}

#[test]
fn a_layer_that_was_changed_after_the_scan_is_not_sent() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let workshop = Workshop::new(7);
    let repository = format!("{}/owner/app", proxy.registry());
    let blobs = std::fs::read_dir(workshop.hello.layout().join("blobs/sha256")).unwrap().flatten();
    let largest = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap().path();
    let mut bytes = std::fs::read(&largest).unwrap();
    bytes[50_000] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let name = largest.file_name().unwrap().to_str().unwrap().to_owned();
    let ran = workshop.publish(&repository, &["1.0.0"]).code(3);
    ran.says(&largest.display().to_string())
        .says(&format!("no longer has the digest sha256:{name}"))
        .says("build and scan the image again");
    assert_eq!(
        (proxy.count("PUT", "/manifests/"), get(&live.registry(), "/v2/owner/app/tags/list").0),
        (0, 404)
    );
}

#[test]
fn layouts_of_one_platform_each_are_joined_and_then_want_a_scan_of_their_own() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(7);
    let repository = format!("{}/owner/app", live.registry());
    let whole = workshop.digest.clone();
    let parts = ["amd64", "arm64"].map(|arch| {
        let dir = workshop.hello.path().join(arch);
        support::published::only(&workshop.hello.layout(), &dir, arch);
        dir.display().to_string()
    });
    std::fs::remove_dir_all(workshop.hello.layout()).unwrap();
    workshop.hello.write("other/file", "not of a layout");
    let other = workshop.hello.path().join("other").display().to_string();
    let args =
        ["publish", "--repository", &repository, "--tag", "1.0.0", "--image", &other, "--merge", &parts[1]];
    workshop.run(&args).code(2).says("name an empty or a new folder for the merged image: --image DIR");
    let args =
        ["publish", "--json", "--repository", &repository, "--tag", "1.0.0", "--merge", &parts[1], &parts[0]];
    // One of them alone is not what the settings say, however well it was scanned, or not scanned at all.
    let half = ["publish", "--repository", &repository, "--tag", "1.0.0", "--image", &parts[0]];
    let ran = workshop.run(&[&half[..], &["--allow-unscanned", "x"]].concat()).code(3);
    ran.says("the image has nothing for linux/arm64").says("cargo xtask image --platform all");
    assert_eq!(get(&live.registry(), "/v2/owner/app/tags/list").0, 404);
    std::fs::remove_file(workshop.hello.path().join("target/xtask/scan.json")).unwrap();
    workshop.run(&args).code(3).says("has not been scanned").says(&whole);
    workshop.scan(true);
    assert_eq!(workshop.run(&args).code(0).json()["digest"], whole);
    assert!(is_whole(&live.registry(), "owner/app", "1.0.0"));
}

#[test]
fn an_image_of_one_platform_is_published_as_a_manifest() {
    let Some(live) = Live::docker() else { return };
    if !support::have_targets() {
        return;
    }
    let workshop = Workshop::new(8);
    let repository = format!("{}/owner/one", live.registry());
    workshop.hello.write("xtask/advisories.jsonl", &support::one_fact());
    workshop.hello.write(
        "xtask/image.toml",
        "package = \"hello\"\nplatforms = [\"linux/amd64\"]\n[container.healthcheck]\ncommand = [\"/usr/bin/hello\"]\n\
         [scan]\nmin-advisories = 1\nmax-age = 36500\n",
    );
    workshop.hello.commit();
    std::fs::remove_dir_all(workshop.hello.layout()).unwrap();
    workshop.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    let digest = support::Image::read(&workshop.hello.layout()).digest();
    workshop.run(&["scan", "--engine", "builtin"]).code(0);
    workshop.run(&["sbom"]).code(0);
    let report = workshop.publish(&repository, &["0.3.0"]).code(0).json();
    assert_eq!(report["digest"], digest);
    assert_eq!(support::published::tagged(&live.registry(), "owner/one", "0.3.0"), Some(digest));
    let kinds: Vec<_> =
        report["attached"].as_array().unwrap().iter().map(|one| &one["artifact_type"]).collect();
    assert_eq!(kinds.len(), 4, "provenance, scan, CycloneDX, SPDX: {report}");
    let verify = ["verify", "--json", &format!("{repository}:0.3.0"), "--require-sbom"];
    let checks = workshop.run(&verify).code(0).json();
    assert!(checks["checks"].as_array().unwrap().iter().all(|one| one["state"] != "failed"), "{checks}");
    // Again, and nothing is sent.
    assert_eq!(workshop.publish(&repository, &["0.3.0"]).code(0).json()["blobs_sent"], 0);
}

#[test]
fn no_tag_is_put_on_a_manifest_that_the_registry_lost() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(5);
    for (place, number, what) in [("blobs", 0, "the blob"), ("manifests", 1, "the manifest")] {
        let proxy = FaultProxy::start(live.address);
        let repository = format!("{}/owner/lost{number}", proxy.registry());
        workshop.publish(&repository, &["first"]).code(0);
        let image = Image::read(&workshop.hello.layout());
        let top: Value = serde_json::from_slice(&image.blob(&image.index["manifests"][0]["digest"])).unwrap();
        let manifest = &top["manifests"][0]["digest"];
        let layers: Value = serde_json::from_slice(&image.blob(manifest)).unwrap();
        let lost = if place == "blobs" { &layers["layers"][0]["digest"] } else { manifest };
        let part = format!("/{place}/{}", lost.as_str().unwrap());
        // There when it is asked for first, a manifest by its bytes, and gone when the tags are to be put.
        proxy.on(if place == "blobs" { "HEAD" } else { "GET" }, &part, 1, Fault::Slow(1));
        proxy.on("HEAD", &part, 9, Fault::Answer(404, Vec::new(), ""));
        let ran = workshop.publish(&repository, &["second"]).code(1);
        ran.says(&format!("the registry accepted {what}")).says("no tag was written");
        assert_eq!(tagged(&live.registry(), &format!("owner/lost{number}"), "second"), None);
    }
}
