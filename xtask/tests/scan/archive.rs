//! Archives, and what is told of them.

use std::fs;

use serde_json::{Value, json};

use crate::control::{SETTINGS, facts, scan};
use crate::support::{Hello, have_targets};

#[test]
fn an_archive_is_scanned_as_a_layout_is() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", SETTINGS);
    hello.write("xtask/advisories.jsonl", &facts());
    hello.run(&["image", "--engine", "native", "--platform", "all", "--archive", "image.tar"]).code(0);
    let whole = scan(&hello, &["--json"]).code(0).json();
    let archive = scan(&hello, &["--json", "--image", "image.tar"]).code(0).json();
    let manifests = |report: &Value| {
        let platforms = report["platforms"].as_array().unwrap().iter();
        platforms
            .map(|one| (one["platform"].clone(), one["manifest"].clone(), one["crates"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(manifests(&whole), manifests(&archive));
    let sarif = scan(&hello, &["--format", "sarif"]).code(0).json();
    assert_eq!((&sarif["version"], &sarif["runs"][0]["results"]), (&json!("2.1.0"), &json!([])));
    scan(&hello, &["--json", "--format", "sarif"]).code(2).says("one of them");
    // A login in an address goes nowhere, and is not said again.
    let from = hello.run(&["advisories", "update", "--from", "http://me:hunter2@127.0.0.1:1/db.tar"]).code(2);
    hello.write(
        "xtask/image.toml",
        &format!("{SETTINGS}yanked = true\nindex = 'http://me:hunter2@127.0.0.1:1'\n"),
    );
    let index = scan(&hello, &[]).code(2).says("a login has no place");
    assert!(!format!("{from:?}{index:?}").contains("hunter2"), "{from:?}{index:?}");
    // Of an archive the licences are known as far as the lock file goes.
    hello.write("xtask/image.toml", &format!("{SETTINGS}licences = ['MIT']\n"));
    let plan = scan(&hello, &["--dry-run", "--image", "image.tar"]).code(0);
    assert!(plan.stdout.contains("licences"), "{}", plan.stdout);
    hello.write("xtask/image.toml", SETTINGS);
    // A part of the archive that is not what its name says.
    let mut bytes = fs::read(hello.path().join("image.tar")).unwrap();
    let gzip = bytes.windows(3).position(|window| window == [0x1f, 0x8b, 8]).unwrap();
    bytes[gzip + 200] ^= 1;
    fs::write(hello.path().join("broken.tar"), bytes).unwrap();
    let broken = scan(&hello, &["--image", "broken.tar"]);
    assert_ne!(broken.code, Some(0), "{broken:?}");
    hello.write("not.tar", "nothing");
    assert_ne!(scan(&hello, &["--image", "not.tar"]).code, Some(0));
}
