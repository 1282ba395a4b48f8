//! What VEX documents and Trivy's own list overlook.

use std::fs;

use serde_json::json;

use crate::control::{CRATES, SETTINGS, aliases_of, finding};
use crate::support::{Hello, Ran, in_days};

/// What a VEX document says not to matter passes both engines and is shown; without the builtin engine too.
pub fn overlooked(bad: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let ids = CRATES.iter().map(|row| (row.1, row.2, row.3));
    let statements: Vec<_> = ids
        .chain([("RUSTSEC-2020-0060", "futures-task", "0.3.4")])
        .map(|(id, name, version)| {
            let aliases = aliases_of(id);
            json!({ "vulnerability": { "name": aliases[0], "aliases": aliases },
                "products": [{ "@id": format!("pkg:cargo/{name}@{version}") }],
                "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path" })
        })
        .collect();
    let document = json!({ "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex/1",
        "author": "a test", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": statements });
    bad.write("vex.json", &document.to_string());
    bad.write("xtask/image.toml", &format!("{SETTINGS}vex = ['vex.json']\n"));
    for engine in ["auto", "trivy", "builtin"] {
        let report = trivy(bad, &["--engine", engine, "--json"]).code(0).json();
        for (_, id, ..) in CRATES {
            let found = aliases_of(id).iter().find_map(|alias| finding(&report, alias)).cloned();
            let found = found.unwrap_or_else(|| panic!("{engine} {id}: {report:#}"));
            let why = found["ignored"].as_str().unwrap_or_default();
            assert!(why.contains("VEX: not_affected, vulnerable_code_not_in"), "{engine} {found:#}");
            assert_eq!(found["fails"], false);
        }
    }
    // A statement about another version is none about this.
    bad.write("vex.json", &document.to_string().replace("spin@0.5.1", "spin@0.5.2"));
    let report = trivy(bad, &["--json"]).code(3).json();
    assert_eq!(finding(&report, "RUSTSEC-2019-0013").unwrap()["fails"], true);
    // A reason is wanted, and a document that is there.
    for engine in ["trivy", "builtin"] {
        bad.write("vex.json", &document.to_string().replace("justification", "x"));
        trivy(bad, &["--engine", engine]).code(3).says("without a reason");
        // A statement about every version there will ever be is none either.
        bad.write("vex.json", &document.to_string().replace("spin@0.5.1", "spin"));
        trivy(bad, &["--engine", engine]).code(3).says("a package URL with a version");
    }
    fs::remove_file(bad.path().join("vex.json")).unwrap();
    trivy(bad, &["--engine", "builtin"]).code(3).says("vex.json: the VEX document cannot be read");
    bad.write("xtask/image.toml", SETTINGS);
}

/// What Trivy's own list says is overlooked with a reason and a day, and nothing else is, however the list
/// is written.
pub fn listed(bad: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let day = in_days(30);
    let entry = |id: &str| format!("  - id: {id}\n    statement: a test\n    expired_at: {day}\n");
    let ids: Vec<_> = CRATES.iter().flat_map(|row| aliases_of(row.1)).collect();
    let all: Vec<_> = ids.iter().map(|id| entry(id)).collect();
    let good = format!("vulnerabilities:\n{}", all.concat());
    bad.write(".trivyignore.yaml", &good);
    // Where Trivy looks for lists of its own accord, nothing is read.
    bad.write(".trivyignore", "CVE-2021-25900\n");
    let report = trivy(bad, &["--engine", "trivy", "--json"]).code(0).json();
    let found = report["findings"].as_array().unwrap();
    let why = format!("a test (until {day}) (.trivyignore.yaml)");
    let about = |name: &str| found.iter().find(|one| one["subject"] == name).unwrap();
    assert!(CRATES.iter().all(|row| about(row.2)["ignored"] == why.as_str()), "{report:#}");
    // The builtin engine has no such list.
    trivy(bad, &[]).code(3);
    let first = &ids[0];
    for (other, expected) in [
        (format!("vulnerabilities:\n  - id: {first}\n    statement: why\n"), "no day on which it ends"),
        (good.replace(&day, "9999-12-31"), "366 are the most"),
        (format!("{good}  - id:\t{first}\n"), "a tab or a control"),
        (format!("{good}  - ? id\n    : {first}\n"), "not understood"),
        (good.replacen("a test", &format!("ok\r  - id: {first}"), 1), "a tab or a control"),
        (good.replacen("statement: a test\n", "statement: \"a\n", 1), "not understood"),
        (
            good.replacen(
                &format!("a test\n    expired_at: {day}\n"),
                &format!("\"a\n    expired_at: {day} #\"\n"),
                1,
            ),
            "not understood",
        ),
    ] {
        bad.write(".trivyignore.yaml", &other);
        trivy(bad, &["--engine", "trivy"]).code(3).says(expected);
    }
    fs::remove_file(bad.path().join(".trivyignore.yaml")).unwrap();
    fs::remove_file(bad.path().join(".trivyignore")).unwrap();
}
