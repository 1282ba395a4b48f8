//! `cargo xtask scan` on images with crates that are known to be bad, fixed, and hidden.

mod archive;
mod comments;
mod control;
mod database;
mod deployed;
mod distributions;
mod fetched;
mod hiding;
mod ignoring;
mod listed;
mod sboms;
#[path = "../support/mod.rs"]
mod support;
mod unlisted;
mod with_trivy;
mod yanked;

use control::{CRATES, control, finding, scan};
use hiding::hiding;
use ignoring::ignoring;
use sboms::bills;
use serde_json::json;
use support::have_targets;
use with_trivy::with_trivy;
use yanked::yanked;

#[test]
fn bad_crates_are_caught_by_both_engines_and_mended_ones_pass() {
    if !have_targets() {
        return;
    }
    let (Some(bad), Some(good)) = (control(false), control(true)) else { return };
    let report = scan(&bad, &["--json"]).code(3).says("does not pass").json();
    for (severity, id, name, version, _) in CRATES {
        let finding = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
        assert_eq!((&finding["severity"], &finding["subject"]), (&json!(severity), &json!(name)));
        assert_eq!((&finding["version"], &finding["path"]), (&json!(version), &json!(["hello", name])));
        assert_eq!(finding["platforms"], json!(["linux/amd64", "linux/arm64"]));
        assert_eq!(finding["fails"], json!(["critical", "high", "unknown"].contains(&severity)), "{id}");
    }
    // What fails is what was asked for; a list that skips what is worse is refused.
    for (severity, list) in [
        ("critical", "critical"),
        ("high", "critical,high"),
        ("medium", "critical,high,medium"),
        ("low", "critical,high,medium,low"),
    ] {
        let report = scan(&bad, &["--json", "--severity", list]).code(3).json();
        let (_, id, ..) = CRATES.iter().find(|row| row.0 == severity).unwrap();
        assert_eq!(finding(&report, id).unwrap()["fails"], true, "{severity}");
    }
    scan(&bad, &["--severity", "low"]).code(2);
    let report = scan(&good, &["--json", "--severity", "critical,high,medium,low"]).code(0).json();
    assert!(CRATES.iter().all(|(_, id, ..)| finding(&report, id).is_none()), "{report:#}");
    for platform in report["platforms"].as_array().unwrap() {
        assert!(platform["crates"].as_u64().unwrap() > 5 && platform["seconds"].is_f64(), "{platform}");
    }
    bills(&good);
    ignoring(&bad);
    yanked(&good);
    hiding(&good);
    with_trivy(&bad, &good);
}
