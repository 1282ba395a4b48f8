//! Distributions without updates or without advisories.

use crate::control::{SETTINGS, finding, plain};
use crate::database::Database;
use crate::support::in_days;

#[test]
fn unsupported_distributions_are_critical_findings() {
    let Some(good) = &plain() else { return };
    let Some(database) = Database::new(good) else { return };
    database.make();
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.24-11\n\n";
    good.write("base/status", status);
    let file =
        |source: &str, target: &str| format!("[[files]]\nsource = 'base/{source}'\ntarget = '{target}'\n");
    for (release, version, id) in [
        ("ID=debian\nVERSION_ID=9\n", "9.13\n", Some("XT-END-OF-LIFE")),
        ("ID=debian\nVERSION_ID=12\n", "12.5\n", None),
        // The database has no source for it.
        ("ID=debian\nVERSION_ID=13\n", "13.0\n", Some("XT-UNKNOWN-SYSTEM")),
        ("ID=nobodys\nVERSION_ID=1\n", "", Some("XT-UNKNOWN-SYSTEM")),
    ] {
        good.write("base/os-release", release);
        good.write("base/version", version);
        let mut settings = SETTINGS.to_owned();
        settings.push_str(&file("os-release", "/etc/os-release"));
        settings.push_str(&file("status", "/var/lib/dpkg/status"));
        if !version.is_empty() {
            settings.push_str(&file("version", "/etc/debian_version"));
        }
        good.write("xtask/image.toml", &settings);
        good.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
        let ran = database.scan(good, &["--json"]);
        match id {
            None => drop(ran.code(0)),
            Some(id) => {
                let report = ran.code(3).json();
                let found = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
                let subject = &found["subject"];
                let entry = format!(
                    "[[scan.ignore]]\nid = '{id}'\nsubject = {subject}\nreason = 'a test'\nexpires = '{}'\n",
                    in_days(9)
                );
                good.write("xtask/image.toml", &format!("{settings}{entry}"));
                database.scan(good, &[]).code(0);
            }
        }
    }
}
