//! Tags that move only ever move forward, whatever a registry's list of tags says or leaves out.

use crate::support;

use serde_json::json;

use support::fault_proxy::{Fault, FaultProxy};
use support::live::Live;
use support::published::{INDEX, Workshop, get, put, states, tagged};

#[test]
fn moving_tags_only_go_forward() {
    let Some(live) = Live::docker() else { return };
    let mut workshop = Workshop::new(1);
    let repository = format!("{}/owner/app", live.registry());
    let mut digests = Vec::new();
    let versions = [
        ("1.1.0", "1.1", "1"),
        ("1.2.0", "1.2", "1"),
        ("1.1.1", "1.1", "1"),
        ("1.10.0", "1.10", "1"),
        ("2.0.0-rc.1", "2.0", "2"),
    ];
    for (seed, (version, minor, major)) in versions.into_iter().enumerate() {
        workshop.image(seed as u64 + 1, 1000);
        digests.push(workshop.digest.clone());
        let tags = if version.contains('-') { vec![version] } else { vec![version, minor, major, "latest"] };
        let report = workshop.publish(&repository, &tags).code(0).json();
        if version == "1.1.1" {
            let state = |tag: &str| states(&report).into_iter().find(|(name, _)| name == tag).unwrap().1;
            assert_eq!(state("1.1"), "moved");
            assert_eq!(
                (state("1"), state("latest")),
                ("left: 1.2.0 is out".into(), "left: 1.2.0 is out".into())
            );
        }
    }
    for (tag, of) in [("1.1", 2), ("1.2", 1), ("1", 3), ("latest", 3), ("2.0.0-rc.1", 4)] {
        assert_eq!(tagged(&live.registry(), "owner/app", tag).as_ref(), Some(&digests[of]), "{tag}");
    }
}

#[test]
fn the_version_label_is_used_if_no_tag_has_the_version() {
    let Some(live) = Live::docker() else { return };
    let mut workshop = Workshop::new(1);
    let repository = format!("{}/owner/app", live.registry());
    let mut state_of = |version: &str, tag: &str| {
        let labels = json!({ "org.opencontainers.image.version": version });
        workshop.image_with(1, 1000, &labels);
        let report = workshop.publish(&repository, &[tag]).code(0).json();
        (states(&report)[0].1.clone(), workshop.digest.clone())
    };
    for (version, tag, expected) in [
        ("1.3.0", "latest", "created"),
        ("1.2.9", "latest", "left: the image there says 1.3.0"),
        ("1.4.0-rc.1", "latest", "left: not for this version"),
        ("1.3.1", "latest", "moved"),
        ("1.3.1", "1", "created"),
        ("1.3.0", "1", "left: the image there says 1.3.1"),
    ] {
        let (state, _) = state_of(version, tag);
        assert_eq!(state, expected, "{version} {tag}");
    }
    let (_, digest) = state_of("1.3.1", "latest");
    assert_eq!(tagged(&live.registry(), "owner/app", "latest"), Some(digest));
}

#[test]
fn a_day_that_reads_as_a_version_holds_a_tag_and_is_named() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let mut workshop = Workshop::new(1);
    let repository = format!("{registry}/owner/app");
    workshop.publish(&repository, &["1.2.0", "latest"]).code(0);
    // As other tools have tagged nightly images.
    let (_, bytes) = get(&registry, "/v2/owner/app/manifests/1.2.0");
    let tag = |name: &str| put(&registry, &format!("/v2/owner/app/manifests/{name}"), INDEX, &bytes);
    for day in ["20240101", "2024", "2024.01.15", "2024-01-15", "2024.1", "night-2024.1.15"] {
        tag(day);
    }
    workshop.image(2, 1000);
    let report = workshop.publish(&repository, &["1.3.0", "latest"]).code(0).json();
    assert_eq!(states(&report)[1].1, "moved");
    tag("2024.1.15");
    workshop.image(3, 1000);
    let ran = workshop.publish(&repository, &["1.4.0", "latest"]).code(0);
    let ran = ran.says("the tag 2024.1.15 is a higher version than 1.4.0").says("delete the tag 2024.1.15");
    assert_eq!(states(&ran.json())[1].1, "left: 2024.1.15 is out");
}

#[test]
fn an_image_without_a_version_takes_no_tag_from_one_that_has_one() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let mut workshop = Workshop::new(1);
    let (unlabelled, labelled) = (json!({}), json!({ "org.opencontainers.image.version": "1.3.0" }));
    // The image in the registry and its tags; then the reason that keeps `latest` where it is.
    for (seed, (what, labels, tags, held)) in [
        ("nothing", &unlabelled, "", ""),
        ("another without one", &unlabelled, "latest", ""),
        ("a branch and a day", &unlabelled, "main 20240101", ""),
        ("a version before a release", &unlabelled, "1.3.0-rc.1", ""),
        ("an image that says it", &labelled, "latest", "the image there says 1.3.0"),
        ("a tag that says it", &unlabelled, "v1.3.0 latest", "v1.3.0 is out"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("owner/app{seed}");
        let repository = format!("{registry}/{name}");
        workshop.image_with(seed as u64 + 1, 1000, labels);
        if !tags.is_empty() {
            workshop.publish(&repository, &tags.split(' ').collect::<Vec<_>>()).code(0);
        }
        let first = tagged(&registry, &name, "latest");
        workshop.image_with(100, 1000, &unlabelled);
        let publish = |tags: &[&str]| workshop.publish(&repository, tags);
        if held.is_empty() {
            publish(&["latest"]).code(0);
            assert_eq!(tagged(&registry, &name, "latest").as_ref(), Some(&workshop.digest), "{what}");
            continue;
        }
        let refused = publish(&["latest"]).code(3).says("or also --tag VERSION");
        refused.says("cannot move `latest`: the image has no version label, and the ").says("1.3.0");
        assert_eq!(tagged(&registry, &name, "latest"), first, "{what}");
        // A version beside it decides, as ever.
        let report = publish(&["1.2.0", "latest"]).code(0).json();
        assert_eq!(states(&report)[1].1, format!("left: {held}"), "{what}");
        let report = publish(&["1.4.0", "latest"]).code(0).json();
        assert_eq!(states(&report)[1].1, "moved", "{what}");
        assert_eq!(states(&publish(&["latest"]).code(0).json())[0].1, "unchanged", "{what}");
    }
}

#[test]
fn an_incomplete_tag_list_moves_no_tag() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let mut workshop = Workshop::new(1);
    let repository = format!("{}/owner/app", proxy.registry());
    workshop.publish(&repository, &["1.3.0", "latest"]).code(0);
    let first = workshop.digest.clone();
    workshop.image(2, 1000);
    for answer in ["{}", r#"{"errors":[]}"#] {
        proxy.on("GET", "/tags/list", 9, Fault::Answer(200, Vec::new(), answer));
        let report = workshop.publish(&repository, &["1.2.0", "latest"]).code(0).json();
        let state = "left: the registry lists no tags, and the image there names no version";
        assert_eq!(states(&report)[1].1, state, "{answer}");
        assert_eq!(tagged(&live.registry(), "owner/app", "latest").as_ref(), Some(&first), "{answer}");
        proxy.forget();
    }
    for answer in [r#"{"name":"owner/app","tags":null}"#, r#"{"name":"owner/app","tags":["1.0.0"]}"#] {
        // Once beforehand, and eight times when the tag is to be moved.
        proxy.on("GET", "/tags/list", 9, Fault::Answer(200, Vec::new(), answer));
        workshop.publish(&repository, &["1.2.0", "latest"]).code(1).says("its list of tags lacks it");
        assert_eq!(tagged(&live.registry(), "owner/app", "latest").as_ref(), Some(&first), "{answer}");
    }
    // One that only comes late.
    proxy.on("GET", "/tags/list", 3, Fault::Answer(200, Vec::new(), r#"{"tags":["1.3.0"]}"#));
    let report = workshop.publish(&repository, &["1.2.0", "latest"]).code(0).json();
    assert_eq!(states(&report)[1].1, "left: 1.3.0 is out");
}
