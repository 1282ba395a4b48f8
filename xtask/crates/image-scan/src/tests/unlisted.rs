//! Exceptions for unknown programs.

use super::entrypoint::base;
use super::*;
use crate::policy::blind_spots::{KnownPackages, blind_spots, nothing_scanned};
use crate::policy::unlisted::{self, ExceptedProgram};
use rust_workspace::settings::{Exception, Unlisted};

const TODAY: &str = "2026-01-10";

fn taken(tar: Tar, config: &serde_json::Value) -> Inventory {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    publish(&layout, vec![image(&layout, "amd64", &[pack(&layout, &tar.end())])]);
    let mut taken = read(temp.path()).unwrap().remove(0);
    taken.image.config = json!({ "config": config });
    taken
}

fn entry(path: &str, expires: &str) -> Unlisted {
    Unlisted { path: path.to_owned(), exception: Exception::new("why", expires.parse().unwrap()) }
}

fn excepted(taken: &Inventory, expected: Option<&str>, entries: &[Unlisted]) -> Vec<ExceptedProgram> {
    unlisted::excepted(taken, expected, entries, TODAY.parse().unwrap())
}

fn report_of(
    taken: &Inventory,
    expected: Option<&str>,
    packages: KnownPackages,
    entries: &[Unlisted],
) -> String {
    let excepted = excepted(taken, expected, entries);
    let faults = blind_spots(taken, expected, packages, &excepted);
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_exception_is_for_one_program_until_it_expires() {
    let tar = || {
        base()
            .file("usr/local/bin/python3.11", 0o755, &elf())
            .entry(EntryType::Symlink, "usr/local/bin/python3", "python3.11", 0o777, b"")
            .file("opt/other", 0o755, &elf())
    };
    let unknown = "/usr/local/bin/python3.11: the container starts this program";
    let start = json!({ "Entrypoint": ["python3"] });
    for (path, expires, config, expected) in [
        ("/usr/local/bin/python3.11", "2026-01-10", &start, ""),
        ("/usr/local/bin/python3", "2026-01-10", &start, ""),
        ("/usr/local/bin/python3.11", "2026-01-09", &start, unknown),
        ("/usr/local/bin/python", "2026-01-10", &start, unknown),
        ("/usr/local/bin", "2026-01-10", &start, unknown),
        ("/opt/other", "2026-01-10", &start, unknown),
        ("/opt/other", "2026-01-10", &json!({ "Cmd": ["/bin/tini", "/opt/other"] }), ""),
    ] {
        let taken = taken(tar(), config);
        let entries = [entry(path, expires)];
        let report = report_of(&taken, None, KnownPackages::All, &entries);
        assert!(
            report.contains(expected) && report.is_empty() == expected.is_empty(),
            "{path} {expires}: {report}"
        );
        let excepted = excepted(&taken, None, &entries);
        let seen = [(&taken, excepted.as_slice())];
        let (faults, notes) = unlisted::check_entries(&entries, &seen, TODAY.parse().unwrap());
        assert_eq!(faults.len(), usize::from(expires < TODAY), "{path} {expires}");
        assert_eq!(notes.len(), usize::from(!expected.is_empty() && expires >= TODAY), "{path} {expires}");
        let found = unlisted::findings(&excepted, &taken);
        assert_eq!(found.len(), usize::from(expected.is_empty()));
        let told = |one: &crate::finding::Finding| one.ignored.as_deref() == Some("why (until 2026-01-10)");
        assert!(found.iter().all(told), "{found:#?}");
    }
}

#[test]
fn excepted_programs_do_not_count_as_seen() {
    let silent = || Tar::default().file("bin/app", 0o755, &elf());
    let start = json!({ "Entrypoint": ["/bin/app"] });
    let rpm = || silent().file("var/lib/rpm/rpmdb.sqlite", 0o644, b"SQLite format 3\0");
    let dpkg = || {
        let status = b"Package: base\nStatus: install ok installed\nVersion: 2\n";
        silent().file("var/lib/dpkg/status", 0o644, status)
    };
    let nothing = "no program in the image has a list of crates";
    let own = "/bin/app: the program has no list of crates";
    for (tar, expected, packages, says) in [
        (silent(), None, KnownPackages::All, nothing),
        (silent().file("bin/listed", 0o755, &program()), None, KnownPackages::None, ""),
        // The workspace's own program cannot be excepted.
        (silent().file("bin/listed", 0o755, &program()), Some("/bin/app"), KnownPackages::None, own),
        (dpkg(), None, KnownPackages::None, nothing),
        (dpkg(), None, KnownPackages::All, ""),
        (rpm(), None, KnownPackages::None, nothing),
        (rpm(), None, KnownPackages::Read, nothing),
        // Trivy's answer decides.
        (rpm(), None, KnownPackages::All, ""),
    ] {
        let taken = taken(tar, &start);
        let report = report_of(&taken, expected, packages, &[entry("/bin/app", TODAY)]);
        assert!(
            report.contains(says) && report.is_empty() == says.is_empty(),
            "{expected:?} {packages:?}: {report}"
        );
    }
}

#[test]
fn trivy_must_see_a_package_of_rpm() {
    use crate::engines::trivy::read;
    let program = Tar::default().file("bin/app", 0o755, &elf());
    let program = program.file("var/lib/rpm/rpmdb.sqlite", 0o644, b"SQLite format 3\0");
    let taken = taken(program, &json!({ "Entrypoint": ["/bin/app"] }));
    let excepted = excepted(&taken, None, &[entry("/bin/app", TODAY)]);
    assert_eq!(excepted.len(), 1);
    for (results, seen) in [
        (json!([{ "Class": "os-pkgs", "Packages": [{ "Name": "glibc", "Version": "2" }] }]), true),
        // Without results the system is unknown, a finding that can be excepted.
        (json!([]), false),
    ] {
        let answer = json!({ "SchemaVersion": 2, "Results": results,
            "Metadata": { "ImageID": taken.image.config_digest, "OS": { "Family": "fedora", "Name": "43" } } });
        let answer = read(answer.to_string().as_bytes(), &taken).unwrap();
        assert_eq!(nothing_scanned(&taken, answer.packages, &excepted).is_none(), seen, "{answer:?}");
    }
}

#[test]
fn an_ignore_comment_in_the_history_is_a_finding() {
    use crate::engines::trivy::read;
    let tar = Tar::default().file("bin/app", 0o755, &program());
    let mut taken = taken(tar, &json!({ "Entrypoint": ["/bin/app"] }));
    let step = "RUN /bin/sh -c apt-get install x # trivy:ignore:DS-0021 # buildkit";
    taken.image.config["history"] = json!([{ "created_by": step }]);
    let crates = taken.audited().flat_map(|(_, audit)| audit.linked());
    let crates = crates.map(|one| json!({ "Name": one.name, "Version": one.version }));
    let results = json!([
        { "Target": "bin/app", "Type": "rustbinary", "Packages": crates.collect::<Vec<_>>() },
        { "Target": "/x@sha256:0", "Class": "config", "Type": "dockerfile" },
    ]);
    let answer = json!({ "SchemaVersion": 2, "Results": results, "Metadata": { "ImageID": taken.image.config_digest } });
    let answer = read(answer.to_string().as_bytes(), &taken).unwrap();
    let shown: Vec<_> =
        answer.findings.iter().map(|one| format!("{} {} {:?}", one.id, one.subject, one.ignored)).collect();
    assert_eq!(shown, ["XT-INLINE-IGNORE history None"]);
}
