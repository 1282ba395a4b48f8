//! What the settings overlook.

use crate::control::{CRATES, SETTINGS, scan};
use crate::support::{Hello, in_days};

pub fn ignoring(bad: &Hello) {
    let entries = |expires: &str| {
        // The version of futures-task that was chosen has two.
        let ids = CRATES.iter().map(|row| row.1).chain(["RUSTSEC-2020-0060"]);
        let entry = |id| format!("[[scan.ignore]]\nid = '{id}'\nreason = 'a test'\nexpires = '{expires}'\n");
        format!("{SETTINGS}{}", ids.map(entry).collect::<Vec<_>>().concat())
    };
    bad.write("xtask/image.toml", &entries("2999-01-01"));
    scan(bad, &[]).code(2).says("366 are the most");
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
    scan(bad, &[]).code(3).says("was to be ignored until 2020-01-01");
    bad.write("xtask/image.toml", &format!("{SETTINGS}[[scan.ignore]]\nid = 'x'\nexpires = '2999-01-01'\n"));
    scan(bad, &[]).code(2).says("the key 'reason' is missing");
    bad.write("xtask/image.toml", SETTINGS);
}
