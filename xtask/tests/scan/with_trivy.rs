//! The positive control with the real Trivy, and with what only has its name.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::comments::comments;
use crate::control::{CRATES, SETTINGS, advisories, aliases_of, finding};
use crate::deployed::deployed;
use crate::distributions::distributions;
use crate::listed::{listed, overlooked};
use crate::support::{self, Hello, Ran, have_program, path_without};

pub fn with_trivy(bad: &Hello, good: &Hello) {
    if !have_program("trivy", "trivy", &["--version"]) {
        return;
    }
    let Some(maker) = support::go_program("trivy-db") else { return };
    let cache = bad.path().join("trivy-cache");
    let yaml = bad.path().join("facts.yaml");
    fs::write(&yaml, facts_as_yaml()).unwrap();
    let make = |day: &str| {
        let status = Command::new(&maker).arg(&cache).arg(day).arg(&yaml).status().unwrap();
        assert!(status.success());
    };
    let trivy = |hello: &Hello, args: &[&str]| {
        let mut command = hello.command();
        command.env("TRIVY_CACHE_DIR", &cache);
        Ran::of(command.args(["scan", "--offline"]).args(args))
    };
    // Without a database Trivy ends oddly, and that is no pass.
    trivy(good, &["--engine", "trivy"]).code(3).says("Trivy did not finish");
    make("2026-08-21");
    let report = trivy(bad, &["--engine", "trivy", "--json"]).code(3).json();
    for (severity, id, name, ..) in CRATES {
        let aliases = aliases_of(id);
        let found = aliases.iter().find_map(|alias| finding(&report, alias));
        let found = found.unwrap_or_else(|| panic!("{id} {aliases:?}: {report:#}"));
        assert_eq!((&found["severity"], &found["path"]), (&json!(severity), &json!(["hello", name])));
        assert_eq!(found["found_by"], json!(["trivy"]));
    }
    let report = trivy(bad, &["--json"]).code(3).json();
    for (_, id, ..) in CRATES {
        assert_eq!(finding(&report, id).unwrap()["found_by"], json!(["builtin", "trivy"]), "{id}");
    }
    for args in [&["--engine", "trivy", "--json"][..], &["--json"]] {
        let report = trivy(good, args).code(0).json();
        for platform in report["platforms"].as_array().unwrap() {
            assert_eq!(platform["crates"], platform["trivy_crates"], "all of them seen");
        }
        // The config has a health check, which Trivy looks for in the history alone.
        assert_eq!(report["findings"], json!([]));
    }
    overlooked(bad, &trivy);
    listed(bad, &trivy);
    deployed(good, &trivy);
    comments(good, &trivy);
    distributions(good, &trivy);
    // A fresh database without an advisory finds nothing in anything.
    let whole = fs::read_to_string(&yaml).unwrap();
    for (name, expected) in [("cargo::facts", "about cargo packages"), ("vulnerability", "")] {
        let others = whole.replace(&format!("bucket: {name}\n"), "bucket: another\n");
        fs::write(&yaml, others).unwrap();
        fs::remove_dir_all(&cache).unwrap();
        make("2026-08-21");
        let ran = trivy(good, &["--json"]);
        if expected.is_empty() {
            ran.code(0)
        } else {
            ran.code(3).says(expected)
        };
    }
    fs::write(&yaml, whole).unwrap();
    fs::remove_dir_all(&cache).unwrap();
    make("2026-08-21");
    // One that is too old.
    good.write("xtask/image.toml", &SETTINGS.replace("36500", "3"));
    trivy(good, &["--engine", "trivy"]).code(3).says("Trivy's database is of 2026-08-21");
    good.write("xtask/image.toml", SETTINGS);
    // A program of that name that answers with nothing at all.
    impostor(good);
}

/// Trivy's name, another program: what it does not see does not pass.
#[cfg(unix)]
fn impostor(good: &Hello) {
    let bin = good.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (answer, expected) in [
        ("{\"SchemaVersion\":2,\"Results\":[]}", "looked at another image"),
        ("{\"SchemaVersion\":9}", "schema 9"),
        ("", "not understood"),
    ] {
        let program = format!(
            "#!/bin/sh\ncase \"$*\" in version*|*\"quiet version\"*) echo '{{\"Version\":\"0.74.0\"}}' ;; *) printf '%s' '{answer}' ;; esac\n"
        );
        fs::write(bin.join("trivy"), program).unwrap();
        support::make_executable(&bin.join("trivy"));
        let mut command = good.command();
        command.env("PATH", format!("{}:{}", bin.display(), path_without("trivy")));
        Ran::of(command.args(["scan", "--engine", "trivy"])).code(3).says(expected);
    }
    fs::write(bin.join("trivy"), "#!/bin/sh\necho '{\"Version\":\"0.1.0\"}'\n").unwrap();
    let mut command = good.command();
    command.env("PATH", format!("{}:{}", bin.display(), path_without("trivy")));
    Ran::of(command.arg("scan")).code(3).says("not one of the versions known");
}

#[cfg(not(unix))]
fn impostor(_: &Hello) {}

/// The five advisories as a database for Trivy, in the format of bolt-fixtures. Trivy knows them by CVE
/// or GHSA, as its own database does.
fn facts_as_yaml() -> String {
    let mut crates = String::new();
    let mut ratings = String::new();
    for advisory in advisories() {
        let Some((severity, id, name, ..)) = CRATES.iter().find(|row| advisory["id"] == row.1) else {
            continue;
        };
        let key = aliases_of(id).remove(0);
        let list = |name: &str| advisory.get(name).cloned().unwrap_or(json!([]));
        let (patched, unaffected) = (list("patched"), list("unaffected"));
        crates.push_str(&format!(
            "    - bucket: {name}\n      pairs:\n        - key: {key}\n          value:\n            \
             PatchedVersions: {patched}\n            UnaffectedVersions: {unaffected}\n"
        ));
        ratings.push_str(&format!(
            "    - key: {key}\n      value:\n        Severity: {}\n",
            severity.to_uppercase()
        ));
    }
    format!(
        "- bucket: data-source\n  pairs:\n    - key: cargo::facts\n      value:\n        ID: facts\n        Name: facts\n\
         - bucket: debian 12\n  pairs:\n    - bucket: nothing\n      pairs:\n        - key: CVE-1\n          value:\n            FixedVersion: '1'\n\
         - bucket: cargo::facts\n  pairs:\n{crates}- bucket: vulnerability\n  pairs:\n{ratings}"
    )
}
