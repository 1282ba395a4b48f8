//! Tags that move only ever move forward, whatever a registry's list of tags says or leaves out.

mod support;

use serde_json::{Value, json};

use support::fault_proxy::{Fault, FaultProxy};
use support::live::Live;
use support::published::{Workshop, layout, tagged};

fn states(report: &Value) -> Vec<(String, String)> {
    let rows = report["tags"].as_array().unwrap().iter();
    rows.map(|row| (row["tag"].as_str().unwrap().into(), row["state"].as_str().unwrap().into())).collect()
}

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
fn where_no_tag_tells_the_version_the_image_itself_does() {
    let Some(live) = Live::docker() else { return };
    let mut workshop = Workshop::new(1);
    let repository = format!("{}/owner/app", live.registry());
    let mut state_of = |version: &str, tag: &str| {
        let labels = json!({ "org.opencontainers.image.version": version });
        workshop.digest = layout(&workshop.hello.layout(), 1, 1000, &labels);
        workshop.scan(true);
        let report = workshop.publish(&repository, &[tag]).code(0).json();
        (states(&report)[0].1.clone(), workshop.digest.clone())
    };
    for (version, tag, expected) in [
        ("1.3.0", "latest", "created"),
        ("1.2.9", "latest", "left: 1.3.0 is out"),
        ("1.4.0-rc.1", "latest", "left: not for this version"),
        ("1.3.1", "latest", "moved"),
        ("1.3.1", "1", "created"),
        ("1.3.0", "1", "left: 1.3.1 is out"),
    ] {
        let (state, _) = state_of(version, tag);
        assert_eq!(state, expected, "{version} {tag}");
    }
    let (_, digest) = state_of("1.3.1", "latest");
    assert_eq!(tagged(&live.registry(), "owner/app", "latest"), Some(digest));
}

#[test]
fn a_list_of_tags_that_lacks_what_is_there_decides_nothing() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let mut workshop = Workshop::new(1);
    let repository = format!("{}/owner/app", proxy.registry());
    workshop.publish(&repository, &["1.3.0", "latest"]).code(0);
    let first = workshop.digest.clone();
    workshop.image(2, 1000);
    for (answer, times, words) in [
        ("{}", 1, "no list of tags"),
        (r#"{"errors":[]}"#, 1, "no list of tags"),
        (r#"{"name":"owner/app","tags":null}"#, 8, "its list of tags does not"),
        (r#"{"name":"owner/app","tags":["1.0.0"]}"#, 8, "its list of tags does not"),
    ] {
        proxy.on("GET", "/tags/list", times, Fault::Answer(200, Vec::new(), answer));
        workshop.publish(&repository, &["1.2.0", "latest"]).code(1).says(words);
        assert_eq!(tagged(&live.registry(), "owner/app", "latest").as_ref(), Some(&first), "{answer}");
    }
    // One that only comes late.
    proxy.on("GET", "/tags/list", 3, Fault::Answer(200, Vec::new(), r#"{"tags":["1.3.0"]}"#));
    let report = workshop.publish(&repository, &["1.2.0", "latest"]).code(0).json();
    assert_eq!(states(&report)[1].1, "left: 1.3.0 is out");
}
