//! Promotions that meet each other, that are killed, and that are lied to.
//!
//! `XTASK_KILLS` sets how many are killed; the default is for every day.

use crate::support;

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::fault_proxy::{Fault, FaultProxy};
use support::have_program;
use support::live::Live;
use support::published::{INDEX, MANIFEST, Workshop, digest, get, is_whole, listed, put, refer, tagged};

const RECORD: &str = "application/vnd.xtask.promotion.v1+json";

/// Settings with an environment beside the images, and two with repositories of their own.
fn settings(registry: &str) -> String {
    format!(
        "package = \"hello\"\nrepository = \"{registry}/owner/app\"\n\
         [[environments]]\nname = \"staging\"\n\
         [[environments]]\nname = \"canary\"\nrepository = \"{registry}/canary/app\"\n\
         [[environments]]\nname = \"production\"\nafter = \"canary\"\nrepository = \"{registry}/prod/app\"\n"
    )
}

/// A workspace that has published an image for each of these versions; their digests.
fn workshop(registry: &str, versions: &[&str]) -> (Workshop, Vec<String>) {
    let mut workshop = Workshop::new(1);
    workshop.hello.write("xtask/image.toml", &settings(registry));
    let mut digests = Vec::new();
    for (seed, version) in (1..).zip(versions) {
        workshop.image(seed, 1000);
        digests.push(workshop.digest.clone());
        workshop.publish(&format!("{registry}/owner/app"), &[version]).code(0);
    }
    (workshop, digests)
}

/// The row of an environment in `cargo xtask environments`.
fn environment(workshop: &Workshop, name: &str) -> Value {
    let rows = workshop.run(&["environments", "--json"]).code(0).json();
    let mut rows = rows["environments"].as_array().unwrap().iter();
    rows.find(|row| row["environment"] == name).unwrap().clone()
}

/// Waits until the proxy has seen such a request.
fn wait_for(proxy: &FaultProxy, method: &str, part: &str) {
    let started = Instant::now();
    while proxy.count(method, part) == 0 {
        assert!(started.elapsed() < Duration::from_secs(30), "no {method} {part}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn records_count_only_in_the_repository_of_their_environment() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let (workshop, digests) = workshop(&registry, &["1.0.0", "1.1.0"]);
    let to_production = || workshop.run(&["promote", "1.0.0", "--to", "production"]);
    // Records in the images' repository do not count: others can push there.
    let annotations = json!({
        "xtask.promotion.to": "canary",
        "xtask.promotion.place": format!("{registry}/canary/app:canary"),
        "xtask.promotion.digest": digests[0],
        "xtask.promotion.by": "eve",
        "xtask.promotion.at": "2026-01-02T03:04:05Z",
    });
    refer(&registry, "owner/app", &digests[0], RECORD, &annotations);
    // Nor does it help to call the record something else, where it is listed or tagged.
    let path = format!("/v2/owner/app/manifests/sha256-{}", &digests[0][7..]);
    let (_, list) = get(&registry, &path);
    let list = String::from_utf8(list).unwrap();
    let record = listed(&registry, "owner/app", &digests[0]).last().unwrap()["digest"].clone();
    let (_, record) = get(&registry, &format!("/v2/owner/app/manifests/{}", record.as_str().unwrap()));
    put(&registry, &format!("{path}.sig"), MANIFEST, &record);
    put(&registry, &path, INDEX, list.replace(RECORD, "application/x.note").as_bytes());
    to_production().code(3).says("the image has never been in canary").says("--to canary");
    workshop.run(&["promote", "1.0.0", "--to", "canary"]).code(0);
    // Records of another repository are not copied, and each record names its own repository.
    let records = |repository: &str| -> Vec<String> {
        let all = listed(&registry, repository, &digests[0]);
        let records = all.iter().filter(|entry| entry["artifactType"] == RECORD);
        records
            .map(|entry| entry["annotations"]["xtask.promotion.place"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(records("canary/app"), [format!("{registry}/canary/app:canary")]);
    assert_eq!(tagged(&registry, "canary/app", &format!("sha256-{}.sig", &digests[0][7..])), None);
    workshop.run(&["promote", "1.1.0", "--to", "canary"]).code(0);
    to_production().code(0);
    assert_eq!(records("prod/app"), [format!("{registry}/prod/app:production")]);
    assert_eq!(tagged(&registry, "prod/app", "production").as_ref(), Some(&digests[0]));
    workshop.publish(&format!("{registry}/eve/app"), &["1.0.0"]).code(0);
    let theirs = format!("{registry}/eve/app:1.0.0");
    workshop
        .run(&["promote", &theirs, "--to", "staging"])
        .code(2)
        .says("neither the workspace's nor an environment's")
        .says("owner/app");
}

/// Puts a manifest past every client, and into the list of what refers to `subject`. Gives its digest.
fn hang(registry: &str, subject: &str, media_type: &str, bytes: &str) -> String {
    let name = digest(bytes.as_bytes());
    put(registry, &format!("/v2/owner/app/manifests/{name}"), media_type, bytes.as_bytes());
    let mut entries = listed(registry, "owner/app", subject);
    entries.push(json!({ "mediaType": media_type, "digest": name, "size": bytes.len() }));
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    put(registry, &format!("/v2/owner/app/manifests/sha256-{}", &subject[7..]), INDEX, list.as_bytes());
    name
}

#[test]
fn no_record_rides_into_an_environment_on_an_honest_image() {
    let with_api = support::go_program("referrers-registry").and_then(|path| Live::of_program(&path));
    for live in [Live::docker(), with_api].into_iter().flatten() {
        let registry = live.registry();
        let (workshop, digests) = workshop(&registry, &["1.0.0", "1.1.0"]);
        let (good, bad) = (&digests[0], &digests[1]);
        let of = |name: &str| {
            let (_, bytes) = get(&registry, &format!("/v2/owner/app/manifests/{name}"));
            json!({ "mediaType": INDEX, "digest": name, "size": bytes.len() })
        };
        let note = refer(&registry, "owner/app", good, "application/x.note", &json!({}));
        let (_, note) = get(&registry, &format!("/v2/owner/app/manifests/{note}"));
        let mut note: Value = serde_json::from_slice(&note).unwrap();
        let manifest = note.as_object_mut().unwrap();
        manifest.remove("artifactType");
        manifest["subject"] = of(bad);
        manifest["annotations"] = json!({
            "xtask.promotion.to": "canary",
            "xtask.promotion.place": format!("{registry}/canary/app:canary"),
            "xtask.promotion.digest": bad,
            "xtask.promotion.by": "eve",
            "xtask.promotion.at": "2026-01-02T03:04:05Z",
        });
        let mut config = manifest["config"].clone();
        config["mediaType"] = json!(RECORD);
        // Registries in Go read the second of the two, and say that it is a record.
        let text = note.to_string();
        let record = format!("{},\"Config\":{config}}}", &text[..text.len() - 1]);
        let record = hang(&registry, bad, MANIFEST, &record);
        // Something of the good image that lists the bad one.
        let list = json!({
            "schemaVersion": 2, "mediaType": INDEX, "artifactType": "application/x.note",
            "manifests": [of(bad)], "subject": of(good),
        });
        hang(&registry, good, INDEX, &list.to_string());
        let there = |name: &str| get(&registry, &format!("/v2/canary/app/manifests/{name}")).0;
        workshop.run(&["promote", "1.0.0", "--to", "canary"]).code(0);
        assert_eq!((there(bad), there(&record)), (200, 404));
        workshop.run(&["promote", "1.1.0", "--to", "production"]).code(3).says("has never been in canary");
        let copy = format!("{registry}/canary/app@{bad}");
        workshop.run(&["promote", &copy, "--to", "production"]).code(3).says("has never been in canary");
        // Nor does it come along with its own image, or as a part of something.
        workshop.run(&["promote", "1.1.0", "--to", "canary"]).code(0);
        assert_eq!(there(&record), 404);
        let list = list.to_string().replace(&of(bad).to_string(), &of(&record).to_string());
        hang(&registry, good, INDEX, &list.replace(bad, &record));
        workshop.run(&["promote", "1.0.0", "--to", "production"]).code(3).says("find out who pushed this");
    }
}

#[test]
fn the_second_of_two_simultaneous_promotions_fails() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, _) = workshop(&proxy.registry(), &["1.0.0", "1.1.0"]);
    // Both have read the tag before either writes it.
    proxy.on("GET", "/manifests/1.", 2, Fault::Slow(200));
    let runs = std::thread::scope(|scope| {
        let promote = |version: &'static str| {
            let workshop = &workshop;
            scope.spawn(move || (version, workshop.run(&["promote", version, "--to", "staging"])))
        };
        [promote("1.0.0"), promote("1.1.0")].map(|run| run.join().unwrap())
    });
    let runs_there = tagged(&live.registry(), "owner/app", "staging").unwrap();
    let mut won = 0;
    for (version, run) in runs {
        let this = tagged(&live.registry(), "owner/app", version).unwrap();
        if run.code == Some(0) {
            won += 1;
            assert_eq!(this, runs_there, "{version} says that it won: {}", run.stderr);
        } else {
            run.code(1).says("another promotion to staging was faster");
        }
    }
    assert_eq!(won, 1);
}

#[test]
fn a_promotion_that_waits_fails_if_another_one_finishes() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, digests) = workshop(&proxy.registry(), &["1.0.0", "1.1.0"]);
    // The first is asked to wait just when it writes the tag.
    let busy = Fault::Answer(503, vec![("Retry-After", "3".to_owned())], "");
    proxy.on("PUT", "/manifests/staging", 1, busy);
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| workshop.run(&["promote", "1.0.0", "--to", "staging"]));
        wait_for(&proxy, "PUT", "/manifests/staging");
        let second = workshop.run(&["promote", "1.1.0", "--to", "staging"]);
        (first.join().unwrap(), second)
    });
    second.code(0);
    first.code(1).says("another promotion to staging was faster").says(&digests[1]);
    assert_eq!(tagged(&live.registry(), "owner/app", "staging").as_ref(), Some(&digests[1]));
    assert_eq!(proxy.count("PUT", "/manifests/staging"), 2, "the first did not write once more");
    let row = environment(&workshop, "staging");
    assert_eq!((&row["digest"], &row["previous"]), (&json!(digests[1]), &Value::Null));
    assert!(row["since"].is_string(), "{row}");
}

#[test]
fn a_registry_that_loses_a_tag_is_told_apart_from_a_concurrent_promotion() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, digests) = workshop(&proxy.registry(), &["1.0.0", "1.1.0"]);
    for (version, runs_there) in [("1.0.0", "nothing"), ("1.1.0", &digests[0])] {
        proxy.on("PUT", "/manifests/staging", 1, Fault::Answer(201, Vec::new(), ""));
        let promote = ["promote", version, "--to", "staging"];
        let words = format!("the registry accepted the tag but does not return it: it names {runs_there}");
        workshop.run(&promote).code(1).says(&words);
        workshop.run(&promote).code(0);
    }
}

#[test]
fn a_rollback_accepts_an_old_scan() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let (workshop, _) = workshop(&registry, &["1.0.0", "1.1.0"]);
    let promote = |version: &str| workshop.run(&["promote", version, "--to", "staging"]);
    for version in ["1.0.0", "1.1.0"] {
        promote(version).code(0);
    }
    let of = |days: u64| {
        let days = format!("name = \"staging\"\nscanned-within-days = {days}\n");
        workshop.hello.write("xtask/image.toml", &settings(&registry).replace("name = \"staging\"\n", &days));
    };
    of(30);
    promote("1.0.0").code(0).says("the limit is 30, waived because staging has had the image before");
    let canary =
        settings(&registry).replace("name = \"canary\"\n", "name = \"canary\"\nscanned-within-days = 30\n");
    workshop.hello.write("xtask/image.toml", &canary);
    workshop.run(&["promote", "1.0.0", "--to", "canary"]).code(3).says("the limit is 30");
}

#[test]
fn a_promotion_fails_if_its_source_environment_changes() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, digests) = workshop(&proxy.registry(), &["1.0.0", "1.1.0"]);
    workshop.run(&["promote", "1.0.0", "--to", "staging"]).code(0);
    // While the image is looked at, another one comes to staging.
    let before = proxy.count("GET", "/blobs/");
    proxy.on("GET", "/blobs/", 1, Fault::Slow(3000));
    let ran = thread::scope(|scope| {
        let run = scope.spawn(|| workshop.run(&["promote", "--from", "staging", "--to", "canary"]));
        while proxy.count("GET", "/blobs/") == before {
            thread::sleep(Duration::from_millis(5));
        }
        workshop.run(&["promote", "1.1.0", "--to", "staging"]).code(0);
        run.join().unwrap()
    });
    ran.code(3).says("staging has another image").says(&digests[1]);
    assert_eq!(tagged(&live.registry(), "canary/app", "canary"), None);
}

#[test]
fn a_tag_that_moves_during_a_promotion_does_not_change_the_promoted_digest() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, digests) = workshop(&proxy.registry(), &["1.0.0", "1.1.0"]);
    let (_, other) = get(&live.registry(), "/v2/owner/app/manifests/1.1.0");
    proxy.on("GET", "/blobs/", 1, Fault::Slow(1500));
    let report = thread::scope(|scope| {
        let run = scope.spawn(|| workshop.run(&["promote", "1.0.0", "--to", "canary", "--json"]));
        wait_for(&proxy, "GET", "/blobs/");
        put(&live.registry(), "/v2/owner/app/manifests/1.0.0", INDEX, &other);
        run.join().unwrap().code(0).json()
    });
    assert_eq!(report["digest"], digests[0]);
    assert_eq!(tagged(&live.registry(), "canary/app", "canary").as_ref(), Some(&digests[0]));
}

#[test]
fn a_promotion_that_was_killed_before_its_record_is_recorded_by_the_next() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, digests) = workshop(&proxy.registry(), &["1.0.0", "1.1.0"]);
    // Also where the image has been there before, and has an older record.
    workshop.run(&["promote", "1.0.0", "--to", "staging"]).code(0);
    workshop.run(&["promote", "1.1.0", "--to", "staging"]).code(0);
    proxy.on("PUT", "/manifests/staging", 1, Fault::Slow(60_000));
    let mut run = workshop.command(&["promote", "1.0.0", "--to", "staging"]);
    let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while tagged(&live.registry(), "owner/app", "staging").as_ref() != Some(&digests[0]) {
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let row = environment(&workshop, "staging");
    assert_eq!((&row["digest"], &row["since"], &row["by"]), (&json!(digests[0]), &Value::Null, &Value::Null));
    workshop.run(&["environments"]).code(0).says("unknown (no record)");
    let report = workshop.run(&["promote", "1.0.0", "--to", "staging", "--json"]).code(0).json();
    let row = environment(&workshop, "staging");
    assert_eq!((&row["since"], &row["previous"]), (&report["at"], &json!(digests[1])), "{report}");
    // Now all is said, and nothing is left to say.
    let count = || listed(&live.registry(), "owner/app", &digests[0]).len();
    let before = count();
    let again = workshop.run(&["promote", "1.0.0", "--to", "staging", "--json"]).code(0).json();
    assert_eq!((&again["at"], count()), (&report["at"], before));
}

#[test]
fn a_tag_from_another_tool_has_no_record_before_a_promotion() {
    let Some(live) = Live::crane() else { return };
    let registry = live.registry();
    let (workshop, digests) = workshop(&registry, &["1.0.0"]);
    let (_, bytes) = get(&registry, "/v2/owner/app/manifests/1.0.0");
    put(&registry, "/v2/owner/app/manifests/staging", INDEX, &bytes);
    workshop.run(&["environments"]).code(0).says("unknown (no record)");
    workshop.run(&["promote", &digests[0], "--to", "staging"]).code(0).says("the tag already names it");
    assert!(environment(&workshop, "staging")["since"].is_string());
}

#[test]
fn a_rollback_works_after_a_prune_of_the_source_repository() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let (workshop, digests) = workshop(&registry, &["1.0.0", "1.1.0"]);
    let text = settings(&registry).replace("after = \"canary\"", "after = \"staging\"");
    workshop.hello.write("xtask/image.toml", &text);
    for version in ["1.0.0", "1.1.0"] {
        workshop.run(&["promote", version, "--to", "staging"]).code(0);
        workshop.run(&["promote", "--from", "staging", "--to", "production"]).code(0);
    }
    workshop.run(&["prune", "--keep", "1", "--delete"]).code(0);
    let there = format!("{registry}/prod/app@{}", digests[0]);
    workshop
        .run(&["promote", &digests[0], "--to", "production"])
        .code(1)
        .says(&format!("cargo xtask promote {there} --to production"));
    workshop.run(&["promote", &there, "--to", "production"]).code(0);
    assert_eq!(tagged(&registry, "prod/app", "production").as_ref(), Some(&digests[0]));
    let row = environment(&workshop, "production");
    assert_eq!((&row["previous"], row["since"].is_string()), (&json!(digests[1]), true));
    workshop.run(&["promote", "1.0.0", "--to", "production"]).code(1).says("the registry has no such image");
}

/// Digests of the referrers of an image and its platforms, without records.
fn referrers(registry: &str, repository: &str, digest: &str) -> Vec<String> {
    let all = listed(registry, repository, digest);
    let others = all.iter().filter(|one| !one["artifactType"].as_str().unwrap().contains("xtask.promotion"));
    let mut digests: Vec<_> = others.map(|one| one["digest"].as_str().unwrap().to_owned()).collect();
    digests.sort();
    digests
}

#[test]
fn a_killed_promotion_to_another_repository_resumes_with_all_referrers() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let kills = std::env::var("XTASK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8_u32);
    let (workshop, digests) = workshop(&registry, &["1.0.0"]);
    let digest = &digests[0];
    // Something of a referrer, something of a platform, and a signature as cosign's older versions tag it.
    let note = refer(&registry, "owner/app", digest, "application/x.note", &json!({}));
    refer(&registry, "owner/app", &note, "application/x.signature", &json!({}));
    let (_, index) = get(&registry, &format!("/v2/owner/app/manifests/{digest}"));
    let index: Value = serde_json::from_slice(&index).unwrap();
    let platform = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    refer(&registry, "owner/app", &platform, "application/x.note", &json!({}));
    let (_, manifest) = get(&registry, &format!("/v2/owner/app/manifests/{note}"));
    let mut signature: Value = serde_json::from_slice(&manifest).unwrap();
    signature.as_object_mut().unwrap().remove("subject");
    let sig = format!("sha256-{}.sig", &digest[7..]);
    put(&registry, &format!("/v2/owner/app/manifests/{sig}"), MANIFEST, signature.to_string().as_bytes());
    let mut took = Duration::from_millis(500);
    for kill in 0..kills {
        let prod = format!("prod/app{kill}");
        let text = settings(&registry).replace("canary/app", &prod);
        workshop.hello.write("xtask/image.toml", &text);
        let args = ["promote", "1.0.0", "--to", "canary"];
        let mut child = workshop.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(took.mul_f64((f64::from(kill) * 0.618).fract()));
        child.kill().unwrap();
        child.wait().unwrap();
        if tagged(&registry, &prod, "canary").is_some() {
            assert!(is_whole(&registry, &prod, "canary"), "killed as number {kill}");
        }
        let started = Instant::now();
        workshop.run(&args).code(0);
        took = started.elapsed();
        assert_eq!(tagged(&registry, &prod, "canary").as_ref(), Some(digest));
        assert!(is_whole(&registry, &prod, "canary"));
        for subject in [digest, &note, &platform] {
            let here = referrers(&registry, "owner/app", subject);
            assert!(!here.is_empty());
            assert_eq!(referrers(&registry, &prod, subject), here, "killed as number {kill}: {subject}");
        }
        assert_eq!(tagged(&registry, &prod, &sig), tagged(&registry, "owner/app", &sig));
        assert!(environment(&workshop, "canary")["since"].is_string(), "killed as number {kill}");
    }
    if have_program("crane", "crane", &["version"]) {
        let image = format!("{registry}/prod/app0:canary");
        let crane =
            std::process::Command::new("crane").args(["validate", "--remote", &image]).output().unwrap();
        assert!(crane.status.success(), "{crane:?}");
    }
}

#[test]
fn promotions_succeed_if_one_request_in_five_fails() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, digests) = workshop(&proxy.registry(), &["1.0.0", "1.1.0"]);
    proxy.chaos(20, 7);
    let count = std::env::var("XTASK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_usize);
    let mut done = 0;
    for number in 0..count {
        let (version, digest) = ([("1.0.0", &digests[0]), ("1.1.0", &digests[1])])[number / 2 % 2];
        let environment = ["canary", "staging"][number % 2];
        let ran = workshop.run(&["promote", version, "--to", environment, "--json"]);
        let repository = if environment == "canary" { "canary/app" } else { "owner/app" };
        match ran.code {
            Some(0) => {
                done += 1;
                assert_eq!(tagged(&live.registry(), repository, environment).as_ref(), Some(digest));
                assert!(ran.json()["at"].is_string());
            }
            Some(1) => eprintln!("{version} {environment}:\n{}", ran.stderr),
            _ => panic!("{ran:?}"),
        }
    }
    eprintln!("{done} of {count} promoted, {} of {} requests faulty", proxy.went_wrong(), proxy.seen().len());
    assert!(done * 100 >= count * 95, "{done} of {count}");
    proxy.chaos(0, 1);
    for name in ["canary", "staging"].iter().take(done) {
        let row = environment(&workshop, name);
        assert!(row["since"].is_string(), "{row}");
    }
}
