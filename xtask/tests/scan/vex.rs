//! VEX documents, and Trivy's own ignore files.

use std::fs;

use serde_json::json;

use crate::control::{CRATES, SETTINGS, aliases_of, control, finding};
use crate::database::Database;
use crate::support::Hello;

#[test]
fn vex_statements_except_findings_of_both_engines() {
    let Some(bad) = &control(false) else { return };
    let Some(database) = Database::new(bad) else { return };
    database.make();
    let trivy = |hello: &Hello, args: &[&str]| database.scan(hello, args);
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
    // A statement about another version does not apply.
    bad.write("vex.json", &document.to_string().replace("spin@0.5.1", "spin@0.5.2"));
    let report = trivy(bad, &["--json"]).code(3).json();
    assert_eq!(finding(&report, "RUSTSEC-2019-0013").unwrap()["fails"], true);
    // A statement needs a reason, and a version.
    for engine in ["trivy", "builtin"] {
        bad.write("vex.json", &document.to_string().replace("justification", "x"));
        trivy(bad, &["--engine", engine]).code(3).says("it has no reason");
        bad.write("vex.json", &document.to_string().replace("spin@0.5.1", "spin"));
        trivy(bad, &["--engine", engine]).code(3).says("a package URL with a version");
    }
    fs::remove_file(bad.path().join("vex.json")).unwrap();
    trivy(bad, &["--engine", "builtin"]).code(3).says("vex.json: cannot read the VEX document");
    bad.write("xtask/image.toml", SETTINGS);
}

#[test]
fn ignore_files_of_trivy_are_refused() {
    let Some(bad) = &control(false) else { return };
    let Some(database) = Database::new(bad) else { return };
    database.make();
    let trivy = |hello: &Hello, args: &[&str]| database.scan(hello, args);
    let ids: Vec<_> = CRATES.iter().flat_map(|row| aliases_of(row.1)).collect();
    for (name, list) in [
        (".trivyignore", ids.join("\n")),
        (".trivyignore.yaml", format!("vulnerabilities:\n  - id: {}\n", ids.join("\n  - id: "))),
    ] {
        bad.write(name, &list);
        let ran = trivy(bad, &["--engine", "trivy"]).code(3).says("ignore files are not used");
        ran.says("[[scan.ignore]]").says(name);
        fs::remove_file(bad.path().join(name)).unwrap();
    }
}
