//! Exceptions in the settings.

use crate::control::{CRATES, SETTINGS, control, scan};
use crate::support::in_days;

#[test]
fn exceptions_apply_until_they_expire() {
    let Some(bad) = &control(false) else { return };
    let entries = |expires: &str| {
        // The version of futures-task that was chosen has two.
        let ids = CRATES.iter().map(|row| row.1).chain(["RUSTSEC-2020-0060"]);
        let entry = |id| format!("[[scan.ignore]]\nid = '{id}'\nreason = 'a test'\nexpires = '{expires}'\n");
        format!("{SETTINGS}{}", ids.map(entry).collect::<Vec<_>>().concat())
    };
    bad.write("xtask/image.toml", &entries("2999-01-01"));
    scan(bad, &[]).code(2).says("the limit is 366");
    bad.write("xtask/image.toml", &entries(&in_days(300)));
    let report = scan(bad, &["--json"]);
    let left: Vec<_> = report.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["fails"] == true)
        .map(|finding| finding["id"].clone())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    report.code(0);
    bad.write("xtask/image.toml", &entries("2020-01-01"));
    scan(bad, &[]).code(3).says("expired on 2020-01-01");
    // An expired entry for a finding that the image does not have is refused too.
    let unused = "[[scan.ignore]]\nid = 'none'\nreason = 'a test'\nexpires = '2020-01-01'\n";
    bad.write("xtask/image.toml", &format!("{SETTINGS}{unused}"));
    scan(bad, &[]).code(3).says("the exception for none expired on 2020-01-01: a test");
    bad.write("xtask/image.toml", &format!("{SETTINGS}[[scan.ignore]]\nid = 'x'\nexpires = '2999-01-01'\n"));
    scan(bad, &[]).code(2).says("the key 'reason' is missing");
    bad.write("xtask/image.toml", SETTINGS);
}
