//! The builtin engine on vulnerable and on fixed crates.

use serde_json::json;

use crate::control::{CRATES, control, finding, scan};

#[test]
fn vulnerable_crates_are_found_and_fixed_ones_pass() {
    let (Some(bad), Some(good)) = (control(false), control(true)) else { return };
    let report = scan(&bad, &["--json"]).code(3).says("failing findings").json();
    for (severity, id, name, version, _) in CRATES {
        let finding = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
        assert_eq!((&finding["severity"], &finding["subject"]), (&json!(severity), &json!(name)));
        assert_eq!((&finding["version"], &finding["path"]), (&json!(version), &json!(["hello", name])));
        assert_eq!(finding["platforms"], json!(["linux/amd64", "linux/arm64"]));
        assert_eq!(finding["fails"], json!(["critical", "high", "unknown"].contains(&severity)), "{id}");
    }
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
    // A list that skips a worse severity is refused.
    scan(&bad, &["--severity", "low"]).code(2);
    let report = scan(&good, &["--json", "--severity", "critical,high,medium,low"]).code(0).json();
    assert!(CRATES.iter().all(|(_, id, ..)| finding(&report, id).is_none()), "{report:#}");
    for platform in report["platforms"].as_array().unwrap() {
        assert!(platform["crates"].as_u64().unwrap() > 5 && platform["seconds"].is_f64(), "{platform}");
    }
}
