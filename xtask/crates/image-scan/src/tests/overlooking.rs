//! Programs that nobody knows: told with the lines that overlook them, and never taken for what was seen.

use super::starting::base;
use super::*;
use crate::builtin::{Packages, blind_spots};
use crate::unlisted::{self, Overlooked};
use rust_workspace::settings::{Exception, Unlisted};

const TODAY: &str = "2026-01-10";

fn taken(tar: Tar, config: &serde_json::Value) -> Inventory {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    publish(&layout, vec![image(&layout, "amd64", &[pack(&layout, &tar.end())])]);
    let mut taken = look(temp.path()).unwrap().remove(0);
    taken.image.config = json!({ "config": config });
    taken
}

fn entry(path: &str, expires: &str) -> Unlisted {
    Unlisted { path: path.to_owned(), exception: Exception::new("why", expires.parse().unwrap()) }
}

fn overlooked(taken: &Inventory, expected: Option<&str>, entries: &[Unlisted]) -> Vec<Overlooked> {
    let silent = unlisted::silent(taken, expected);
    unlisted::overlooked(taken, &silent, entries, TODAY.parse().unwrap())
}

fn said(taken: &Inventory, expected: Option<&str>, packages: Packages, entries: &[Unlisted]) -> String {
    let overlooked = overlooked(taken, expected, entries);
    let faults = blind_spots(taken, expected, packages, &overlooked);
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_entry_is_for_one_program_and_until_its_day() {
    let tar = || {
        base()
            .file("usr/local/bin/python3.11", 0o755, &elf())
            .entry(EntryType::Symlink, "usr/local/bin/python3", "python3.11", 0o777, b"")
            .file("opt/other", 0o755, &elf())
    };
    let nobody = "/usr/local/bin/python3.11: the container starts this program";
    let start = json!({ "Entrypoint": ["python3"] });
    for (path, expires, config, expected) in [
        ("/usr/local/bin/python3.11", "2026-01-10", &start, ""),
        ("/usr/local/bin/python3", "2026-01-10", &start, ""),
        ("/usr/local/bin/python3.11", "2026-01-09", &start, nobody),
        ("/usr/local/bin/python", "2026-01-10", &start, nobody),
        ("/usr/local/bin", "2026-01-10", &start, nobody),
        ("/opt/other", "2026-01-10", &start, nobody),
        ("/opt/other", "2026-01-10", &json!({ "Cmd": ["/bin/tini", "/opt/other"] }), ""),
    ] {
        let taken = taken(tar(), config);
        let entries = [entry(path, expires)];
        let said = said(&taken, None, Packages::Asked, &entries);
        assert!(
            said.contains(expected) && said.is_empty() == expected.is_empty(),
            "{path} {expires}: {said}"
        );
        let overlooked = overlooked(&taken, None, &entries);
        let seen = [(&taken, overlooked.as_slice())];
        let (faults, notes) = unlisted::judge(&entries, &seen, TODAY.parse().unwrap());
        assert_eq!(faults.len(), usize::from(expires < TODAY), "{path} {expires}");
        assert_eq!(notes.len(), usize::from(!expected.is_empty() && expires >= TODAY), "{path} {expires}");
        let found = unlisted::findings(&overlooked, &taken);
        assert_eq!(found.len(), usize::from(expected.is_empty()));
        let told = |one: &crate::finding::Finding| one.ignored.as_deref() == Some("why (until 2026-01-10)");
        assert!(found.iter().all(told), "{found:#?}");
    }
}

#[test]
fn what_is_overlooked_is_nothing_that_was_seen() {
    let silent = || Tar::default().file("bin/app", 0o755, &elf());
    let start = json!({ "Entrypoint": ["/bin/app"] });
    let rpm = || silent().file("var/lib/rpm/rpmdb.sqlite", 0o644, b"SQLite format 3\0");
    let dpkg = || {
        let status = b"Package: base\nStatus: install ok installed\nVersion: 2\n";
        silent().file("var/lib/dpkg/status", 0o644, status)
    };
    let nothing = "no program in it says which crates it is made of";
    let own = "/bin/app: the program does not say which crates";
    for (tar, expected, packages, says) in [
        (silent(), None, Packages::Asked, nothing),
        (silent().file("bin/listed", 0o755, &program()), None, Packages::Unknown, ""),
        // The workspace's own program is never overlooked.
        (silent().file("bin/listed", 0o755, &program()), Some("/bin/app"), Packages::Unknown, own),
        (dpkg(), None, Packages::Unknown, nothing),
        (dpkg(), None, Packages::Asked, ""),
        (rpm(), None, Packages::Unknown, nothing),
        (rpm(), None, Packages::Read, nothing),
        // Here Trivy's answer decides.
        (rpm(), None, Packages::Asked, ""),
    ] {
        let taken = taken(tar, &start);
        let said = said(&taken, expected, packages, &[entry("/bin/app", TODAY)]);
        assert!(
            said.contains(says) && said.is_empty() == says.is_empty(),
            "{expected:?} {packages:?}: {said}"
        );
    }
}

#[test]
fn trivys_answer_decides_about_packages_that_it_alone_can_read() {
    use crate::trivy::read;
    let program = Tar::default().file("bin/app", 0o755, &elf());
    let program = program.file("var/lib/rpm/rpmdb.sqlite", 0o644, b"SQLite format 3\0");
    let taken = taken(program, &json!({ "Entrypoint": ["/bin/app"] }));
    let overlooked = overlooked(&taken, None, &[entry("/bin/app", TODAY)]);
    assert_eq!(overlooked.len(), 1);
    for (results, seen) in [
        (json!([{ "Class": "os-pkgs", "Packages": [{ "Name": "glibc", "Version": "2" }] }]), true),
        // No result at all is an unknown system, a finding that may be overlooked.
        (json!([]), false),
    ] {
        let answer = json!({ "SchemaVersion": 2, "Results": results,
            "Metadata": { "ImageID": taken.image.config_digest, "OS": { "Family": "fedora", "Name": "43" } } });
        let answer = read(answer.to_string().as_bytes(), &taken).unwrap();
        assert_eq!(answer.nothing_seen(&taken, &overlooked).is_none(), seen, "{answer:?}");
    }
}

#[test]
fn comments_that_an_image_brings_along_do_not_pass_unseen() {
    use crate::trivy::read;
    let hides = b"# trivy:ignore:*\nresource \"x\" \"y\" {\n}\n";
    let says = b"# trivy:ignore:DS-0021:exp:2026-02-01 pinned elsewhere\nRUN apt-get install x\n";
    let tar = Tar::default()
        .file("bin/app", 0o755, &program())
        .file("app/main.tf", 0o644, hides)
        .file("app/pod.yaml", 0o644, hides)
        .file("app/Dockerfile", 0o644, says)
        .file("app/note.txt", 0o644, hides);
    let mut taken = taken(tar, &json!({ "Entrypoint": ["/bin/app"] }));
    let step = "RUN /bin/sh -c apt-get install x # trivy:ignore:DS-0021 # buildkit";
    taken.image.config["history"] = json!([{ "created_by": step }]);
    let crates = taken.audited().flat_map(|(_, audit)| audit.linked());
    let crates = crates.map(|one| json!({ "Name": one.name, "Version": one.version }));
    let results = json!([
        { "Target": "bin/app", "Type": "rustbinary", "Packages": crates.collect::<Vec<_>>() },
        { "Target": "app/pod.yaml", "Class": "config", "Type": "kubernetes" },
    ]);
    let answer = json!({ "SchemaVersion": 2, "Results": results, "Metadata": { "ImageID": taken.image.config_digest } });
    let answer = read(answer.to_string().as_bytes(), &taken).unwrap();
    let shown: Vec<_> =
        answer.findings.iter().map(|one| format!("{} {} {:?}", one.id, one.subject, one.ignored)).collect();
    let expected = [
        "XT-INLINE-IGNORE /app/Dockerfile None",
        "XT-INLINE-IGNORE /app/main.tf None",
        "XT-INLINE-IGNORE /app/pod.yaml None",
        "XT-INLINE-IGNORE history None",
    ];
    assert_eq!(shown, expected);
}
