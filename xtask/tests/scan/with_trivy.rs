//! The positive control with the real Trivy, and with what only has its name.

use std::fs;

use serde_json::json;

use crate::control::{CRATES, SETTINGS, aliases_of, finding};
use crate::database::{DAY, Database};
use crate::deployed::deployed;
use crate::distributions::distributions;
use crate::listed::{listed, overlooked};
use crate::support::{self, Hello, Ran, have_program, path_without};

pub fn with_trivy(bad: &Hello, good: &Hello) {
    if !have_program("trivy", "trivy", &["--version"]) {
        return;
    }
    let Some(database) = Database::new(bad) else { return };
    let trivy = |hello: &Hello, args: &[&str]| database.scan(hello, args);
    // Without a database Trivy ends oddly, and that is no pass.
    trivy(good, &["--engine", "trivy"]).code(3).says("Trivy did not finish");
    database.make(DAY);
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
    distributions(good, &trivy);
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
