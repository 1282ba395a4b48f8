//! The real Trivy on the positive control, with complete and incomplete databases, and programs that only have its name.

use std::fs;

use serde_json::json;

use crate::control::{CRATES, SETTINGS, aliases_of, control, finding, plain};
use crate::database::{Database, debian};
use crate::support::{self, Ran, path_without};

#[test]
fn both_engines_find_the_same_crates() {
    let (Some(bad), Some(good)) = (control(false), control(true)) else { return };
    let Some(database) = Database::new(&bad) else { return };
    database.make();
    let report = database.scan(&bad, &["--engine", "trivy", "--json"]).code(3).json();
    for (severity, id, name, ..) in CRATES {
        let aliases = aliases_of(id);
        let found = aliases.iter().find_map(|alias| finding(&report, alias));
        let found = found.unwrap_or_else(|| panic!("{id} {aliases:?}: {report:#}"));
        assert_eq!((&found["severity"], &found["path"]), (&json!(severity), &json!(["hello", name])));
        assert_eq!(found["found_by"], json!(["trivy"]));
    }
    let report = database.scan(&bad, &["--json"]).code(3).json();
    for (_, id, ..) in CRATES {
        assert_eq!(finding(&report, id).unwrap()["found_by"], json!(["builtin", "trivy"]), "{id}");
    }
    for args in [&["--engine", "trivy", "--json"][..], &["--json"]] {
        let report = database.scan(&good, args).code(0).json();
        for platform in report["platforms"].as_array().unwrap() {
            assert_eq!(platform["crates"], platform["trivy_crates"], "Trivy sees all crates");
        }
        // The config has a health check. Trivy looks for one in the history.
        assert_eq!(report["findings"], json!([]));
    }
    // A database that is too old.
    good.write("xtask/image.toml", &SETTINGS.replace("36500", "3"));
    database.scan(&good, &["--engine", "trivy"]).code(3).says("Trivy's database is of 2026-08-21");
}

#[test]
fn a_database_without_advisories_does_not_pass() {
    let Some(hello) = plain() else { return };
    let Some(database) = Database::new(&hello) else { return };
    let scan = || database.scan(&hello, &["--engine", "trivy"]);
    scan().code(3).says("Trivy failed on the probe of its database");
    database.make();
    scan().code(0);
    let none = "no advisories about crates";
    // Without any source, and with one for Debian alone.
    for content in ["[]\n", &debian("openssl")] {
        database.make_of(content);
        scan().code(3).says(none);
    }
    for content in [&b""[..], b"not a database", &[0; 4096]] {
        database.make();
        fs::write(database.file(), content).unwrap();
        let ran = scan().code(3);
        let refused = ran.stderr.contains(none) || ran.stderr.contains("Trivy failed on the probe");
        assert!(refused, "{} bytes: {}", content.len(), ran.stderr);
    }
}

/// Other programs with Trivy's name.
#[cfg(unix)]
#[test]
fn another_program_named_trivy_does_not_pass() {
    let Some(good) = plain() else { return };
    let bin = good.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (answer, expected) in [
        ("{\"SchemaVersion\":2,\"Results\":[]}", "scanned another image"),
        ("{\"SchemaVersion\":9}", "has schema 9"),
        ("", "cannot parse Trivy's answer"),
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
    Ran::of(command.arg("scan")).code(3).says("is not supported");
}
