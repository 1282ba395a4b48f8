//! Yanked crates.

use serde_json::json;

use crate::control::{SETTINGS, control, scan};
use crate::support;

#[test]
fn yanked_versions_are_warnings() {
    let Some(good) = &control(true) else { return };
    let server = support::files(|path| match path {
        "/sm/al/smallvec" => Some(b"{\"vers\":\"1.15.1\",\"yanked\":true}".to_vec()),
        "/sp/in/spin" => Some(b"{\"vers\":\"0.5.2\",\"yanked\":false}".to_vec()),
        _ => None,
    });
    good.write("xtask/image.toml", &format!("{SETTINGS}index = 'http://{server}'\n"));
    let report = scan(good, &["--json", "--yanked"]).code(0).json();
    let found = |name: &str| {
        let mut findings = report["findings"].as_array().unwrap().iter();
        findings.find(|one| one["id"] == "XT-YANKED" && one["subject"] == name)
    };
    let smallvec = found("smallvec").unwrap();
    assert_eq!((&smallvec["kind"], &smallvec["fails"]), (&json!("notice"), &json!(false)));
    assert!(smallvec["note"].as_str().unwrap().contains("was yanked"), "{smallvec}");
    assert!(found("spin").is_none() && report["yanked"].as_str().unwrap().contains("looked up at"));
    let report = scan(good, &["--json"]).code(0).json();
    assert_eq!(report["yanked"], "not looked up: not requested");
    good.write("xtask/image.toml", &format!("{SETTINGS}yanked = true\nindex = 'http://127.0.0.1:1'\n"));
    scan(good, &[]).code(0).says("yanked versions were not looked up");
    // An index that accepts connections and does not answer.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let index = format!("yanked = true\nindex = 'http://{}'\n", silent.local_addr().unwrap());
    good.write("xtask/image.toml", &format!("{SETTINGS}{index}"));
    scan(good, &[]).code(0).says("yanked versions were not looked up");
}
