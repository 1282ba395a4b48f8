//! `cargo xtask prune` against real registries: what goes, what stays, and what happens meanwhile.
//!
//! `XTASK_KILLS` sets how many runs are killed; the default is for every day.

use crate::support;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::fault_proxy::{Fault, FaultProxy};
use support::live::Live;
use support::published::{INDEX, MANIFEST, Workshop, check, digest, get, is_whole, put, refer, tagged};
use support::{Ran, have_program};

fn settings(registry: &str) -> String {
    format!(
        "package = \"hello\"\nrepository = \"{registry}/owner/app\"\n[[environments]]\nname = \"staging\"\n"
    )
}

/// A workspace that has published 1.1.0 to 1.N.0; their digests.
fn workshop(registry: &str, count: u64) -> (Workshop, Vec<String>) {
    let mut workshop = Workshop::new(1);
    workshop.hello.write("xtask/image.toml", &settings(registry));
    let mut digests = Vec::new();
    for seed in 1..=count {
        workshop.image(seed, 1000);
        digests.push(workshop.digest.clone());
        let version = format!("1.{seed}.0");
        workshop.publish(&format!("{registry}/owner/app"), &[&version, "latest"]).code(0);
    }
    (workshop, digests)
}

/// The image of a tag as a consumer and as crane see it.
#[track_caller]
fn is_clean(workshop: &Workshop, registry: &str, tag: &str) {
    let image = format!("{registry}/owner/app:{tag}");
    let report = workshop.run(&["verify", "--json", &image]).code(0).json();
    assert_eq!(check(&report, "provenance").0, "ok", "{tag}");
    if have_program("crane", "crane", &["version"]) {
        let crane =
            std::process::Command::new("crane").args(["validate", "--remote", &image]).output().unwrap();
        assert!(crane.status.success(), "{tag}: {crane:?}");
    }
}

#[test]
fn pruning_leaves_all_that_something_kept_leads_to() {
    let with_api = support::go_program("referrers-registry").and_then(|path| Live::of_program(&path));
    for live in [Live::docker(), Live::crane(), with_api].into_iter().flatten() {
        let registry = live.registry();
        let (workshop, digests) = workshop(&registry, 4);
        // The first is old, and runs in an environment; the second has a tag that stays.
        workshop.run(&["promote", "1.1.0", "--to", "staging"]).code(0);
        let (_, bytes) = get(&registry, "/v2/owner/app/manifests/1.2.0");
        put(&registry, "/v2/owner/app/manifests/lts", INDEX, &bytes);
        let args = ["prune", "--keep", "1", "--json"];
        let report = workshop.run(&args).code(0).json();
        assert_eq!((&report["tags"], &report["held"]), (&json!(["1.3.0"]), &json!(["1.1.0", "1.2.0"])));
        assert_eq!(report["held_by"]["1.2.0"], json!({ "same": ["lts"], "leading": [] }));
        workshop
            .run(&args[..3])
            .code(0)
            .says("stays: staging names the same image")
            .says("stays: lts names the same image");
        assert_eq!(report["deleted"], 0);
        assert!(tagged(&registry, "owner/app", "1.3.0").is_some(), "a dry run deletes nothing");
        let report = workshop.run(&[&args[..], &["--delete"]].concat()).code(0).json();
        assert_eq!(report["deleted"], report["manifests"].as_array().unwrap().len());
        let list = format!("sha256-{}", &digests[2][7..]);
        for tag in ["1.3.0", "xtask-prune", &list] {
            assert_eq!(tagged(&registry, "owner/app", tag), None, "{tag}");
        }
        for tag in ["1.1.0", "1.2.0", "1.4.0", "latest", "staging", "lts"] {
            is_clean(&workshop, &registry, tag);
        }
        let report = workshop.run(&args).code(0).json();
        assert_eq!((&report["tags"], &report["manifests"]), (&json!([]), &json!([])));
    }
}

#[test]
fn forms_of_tags_are_counted_each_on_its_own() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let (workshop, _) = workshop(&registry, 1);
    let (_, bytes) = get(&registry, "/v2/owner/app/manifests/1.1.0");
    // Others have published these, each its own bytes: a space more.
    let tags = ["1.0.0", "1.0.0-slim", "1.1.0-slim", "v1.2.0-slim", "1-slim", "1.1.0-rc.1", "1.1.0-rc.2"];
    for (spaces, tag) in tags.into_iter().enumerate() {
        let bytes = [&bytes[..], " ".repeat(spaces + 1).as_bytes()].concat();
        put(&registry, &format!("/v2/owner/app/manifests/{tag}"), INDEX, &bytes);
    }
    let prune = || workshop.run(&["prune", "--keep", "1", "--json"]).code(0).json()["tags"].clone();
    assert_eq!(prune(), json!(["1.0.0", "1.0.0-slim", "1.1.0-rc.1", "1.1.0-rc.2", "1.1.0-slim"]));
    let rule = "\n[[tags]]\ntype = \"semver\"\npattern = \"{{version}}\"\nsuffix = \"-slim\"\n";
    workshop.hello.write("xtask/image.toml", &(settings(&registry) + rule));
    assert_eq!(prune(), json!(["1.0.0", "1.0.0-slim", "1.1.0-rc.1", "1.1.0-slim"]));
}

#[test]
fn subjects_of_kept_referrers_are_kept() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let (workshop, digests) = workshop(&registry, 4);
    let tag = |name: &str, manifest: &str| {
        let (_, bytes) = get(&registry, &format!("/v2/owner/app/manifests/{manifest}"));
        put(&registry, &format!("/v2/owner/app/manifests/{name}"), MANIFEST, &bytes);
    };
    // A referrer that somebody tagged, and one of a platform of another image.
    let note = refer(&registry, "owner/app", &digests[0], "application/x.note", &json!({}));
    tag("notes", &note);
    let (_, index) = get(&registry, "/v2/owner/app/manifests/1.2.0");
    let index: Value = serde_json::from_slice(&index).unwrap();
    let platform = index["manifests"][0]["digest"].as_str().unwrap();
    tag("notes-of-a-platform", &refer(&registry, "owner/app", platform, "application/x.note", &json!({})));
    // The list of the third names a part of the fourth, which does not refer to it.
    let (_, index) = get(&registry, "/v2/owner/app/manifests/1.4.0");
    let other = digest(&index);
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [{ "mediaType": INDEX, "digest": other, "size": index.len() }] });
    let path = format!("/v2/owner/app/manifests/sha256-{}", &digests[2][7..]);
    put(&registry, &path, INDEX, list.to_string().as_bytes());
    let report = workshop.run(&["prune", "--keep", "0", "--keep-tag", "latest", "--delete", "--json"]);
    let report = report.code(0).json();
    assert_eq!((&report["held"], &report["tags"]), (&json!(["1.1.0", "1.4.0"]), &json!(["1.2.0", "1.3.0"])));
    is_clean(&workshop, &registry, "1.1.0");
    is_clean(&workshop, &registry, "1.4.0");
    // The platform stays, and what hangs on it; its image goes.
    let (status, _) = get(&registry, &format!("/v2/owner/app/manifests/{platform}"));
    assert_eq!((status, tagged(&registry, "owner/app", "1.2.0")), (200, None));
}

#[test]
fn invalid_tags_are_kept_and_reported() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, _) = workshop(&proxy.registry(), 2);
    let odd = r#"{"name":"owner/app","tags":["1.1.0","latest","1.2.0","-x","a/b","ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt","sha256-short","b\u00fccher","a b",".."]}"#;
    proxy.on("GET", "/tags/list", 99, Fault::Answer(200, Vec::new(), odd));
    let ran = workshop.run(&["prune", "--keep", "1", "--delete", "--json"]).code(0);
    let report = ran.says("it is not valid in a request").json();
    assert_eq!(
        (&report["tags"], report["notes"].as_array().unwrap().len()),
        (&json!(["1.1.0"]), 4),
        "{report}"
    );
    is_clean(&workshop, &proxy.registry(), "1.2.0");
}

#[test]
fn an_image_promoted_during_prune_is_kept() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, digests) = workshop(&proxy.registry(), 3);
    // The first request to delete is a question; meanwhile the second image comes to an environment.
    proxy.on("DELETE", "", 1, Fault::Slow(4000));
    let ran = thread::scope(|scope| {
        let run = scope.spawn(|| workshop.run(&["prune", "--keep", "1", "--delete", "--json"]));
        let started = Instant::now();
        while proxy.count("DELETE", "") == 0 {
            assert!(started.elapsed() < Duration::from_secs(30));
            thread::sleep(Duration::from_millis(5));
        }
        workshop.run(&["promote", "1.2.0", "--to", "staging"]).code(0);
        run.join().unwrap()
    });
    let report = ran.code(0).json();
    assert_eq!(report["tags"], json!(["1.1.0", "1.2.0"]), "both were to go");
    assert!(report["spared"].as_array().unwrap().contains(&json!(digests[1])), "{report}");
    assert_eq!(tagged(&live.registry(), "owner/app", "1.1.0"), None);
    for tag in ["1.2.0", "staging", "1.3.0"] {
        is_clean(&workshop, &live.registry(), tag);
    }
    assert_eq!(tagged(&live.registry(), "owner/app", "xtask-prune"), None);
}

#[test]
fn through_a_registry_that_fails_nothing_kept_is_lost() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let (workshop, _) = workshop(&proxy.registry(), 3);
    proxy.chaos(20, 11);
    let ran = workshop.run(&["prune", "--keep", "1", "--delete"]);
    eprintln!("{} of {} requests faulty", proxy.went_wrong(), proxy.seen().len());
    proxy.chaos(0, 1);
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    is_clean(&workshop, &live.registry(), "1.3.0");
    workshop.run(&["prune", "--keep", "1", "--delete"]).code(0);
    for tag in ["1.1.0", "1.2.0", "xtask-prune"] {
        assert_eq!(tagged(&live.registry(), "owner/app", tag), None, "{tag}: {ran:?}");
    }
}

#[test]
fn prune_fails_before_any_change_if_the_registry_does_not_delete() {
    let Some(live) = Live::docker_with("", false) else { return };
    let (workshop, _) = workshop(&live.registry(), 2);
    let before = live.revisions("owner/app");
    workshop.run(&["prune", "--keep", "1", "--delete"]).code(1).says("nothing has been deleted");
    assert_eq!(live.revisions("owner/app"), before);
}

#[test]
fn a_prune_that_is_killed_is_ended_by_the_next() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let kills = std::env::var("XTASK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8_u32);
    let mut took = Duration::from_secs(1);
    let mut broken_off = 0;
    for kill in 0..kills {
        let (workshop, digests) = workshop(&registry, 3);
        workshop.run(&["promote", "1.1.0", "--to", "staging"]).code(0);
        refer(&registry, "owner/app", &digests[1], "application/x.note", &json!({}));
        let before = reached(&registry);
        let args = ["prune", "--keep", "1", "--delete", "--json"];
        let mut child = workshop.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // It looks for a third of the time before it writes anything.
        thread::sleep(took.mul_f64(0.3 + 0.7 * (f64::from(kill) * 0.618).fract()));
        child.kill().unwrap();
        child.wait().unwrap();
        // A tag is on a whole image or gone.
        if tagged(&registry, "owner/app", "1.2.0").is_some() {
            assert!(is_whole(&registry, "owner/app", "1.2.0"), "killed as number {kill}");
        }
        let started = Instant::now();
        let report = Ran::of(&mut workshop.command(&args)).code(0).json();
        broken_off += usize::from(report["remains"].as_u64().unwrap() > 0);
        took = started.elapsed().max(Duration::from_millis(400));
        for tag in ["1.1.0", "staging", "1.3.0", "latest"] {
            is_clean(&workshop, &registry, tag);
        }
        // Lists of referrers that were replaced by longer ones have no name, before and after.
        let left: BTreeSet<_> = live.revisions("owner/app").intersection(&before).cloned().collect();
        let reached = reached(&registry);
        assert_eq!(left, reached, "killed as number {kill}");
        assert!(reached.len() < before.len());
    }
    eprintln!("{broken_off} of {kills} prunes left something to the next");
}

/// All manifests that the tags of the repository lead to, by what lists say.
fn reached(registry: &str) -> BTreeSet<String> {
    let (_, tags) = get(registry, "/v2/owner/app/tags/list");
    let tags: Value = serde_json::from_slice(&tags).unwrap();
    let tags = tags["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
    let mut waiting: Vec<String> = tags.collect();
    let mut all = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        let (status, bytes) = get(registry, &format!("/v2/owner/app/manifests/{name}"));
        assert_eq!(status, 200, "{name}");
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        if all.insert(digest(&bytes)) {
            let entries = manifest["manifests"].as_array().into_iter().flatten();
            waiting.extend(entries.map(|entry| entry["digest"].as_str().unwrap().to_owned()));
        }
    }
    all
}
