//! The programs that a container starts must be known.

use super::*;
use crate::engines::builtin::not_covered;
use crate::policy::blind_spots::{KnownPackages, blind_spots};

/// A distribution, with a program with a list of crates in `bin/decoy`.
pub(super) fn base() -> Tar {
    Tar::default()
        .file("var/lib/dpkg/status", 0o644, b"Package: base\nStatus: install ok installed\nVersion: 2\n")
        .file("var/lib/dpkg/info/base.list", 0o644, b"/.\n/bin\n/bin/sh\n/bin/env\n/bin/tini\n")
        .file("var/lib/dpkg/info/gone.list", 0o644, b"/bin/orphan\n")
        .entry(EntryType::Symlink, "bin", "usr/bin", 0o777, b"")
        .file("usr/bin/sh", 0o755, &elf())
        .file("usr/bin/env", 0o755, &elf())
        .file("usr/bin/tini", 0o755, &elf())
        .file("usr/bin/orphan", 0o755, &elf())
        .file("usr/bin/decoy", 0o755, &program())
}

fn taken(tar: Tar) -> Inventory {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    publish(&layout, vec![image(&layout, "amd64", &[pack(&layout, &tar.end())])]);
    read(temp.path()).unwrap().remove(0)
}

fn report_of(taken: &Inventory) -> String {
    let faults = blind_spots(taken, None, KnownPackages::All, &[]);
    faults.iter().flat_map(|fault| [fault.to_string(), "\n".to_owned()]).collect()
}

#[test]
fn a_started_program_has_a_list_or_belongs_to_a_package() {
    let mut arm = program();
    arm[18] = 183;
    let tar = base()
        .file("app", 0o755, &elf())
        .file("quiet", 0o644, &elf())
        .file("arm", 0o755, &arm)
        .entry(EntryType::Directory, "folder", "", 0o755, b"")
        .entry(EntryType::Symlink, "link", "usr/bin/decoy", 0o777, b"")
        .file("windows", 0o755, b"MZ\0\0")
        .file("script", 0o755, b"#!/bin/sh -e\nexec /app\n")
        .file("lost", 0o755, b"#!/bin/bash\n")
        .file("python", 0o755, b"#!/usr/bin/env -S A=b app2\n")
        .file("usr/bin/app2", 0o755, &elf())
        .file("loop", 0o755, b"#!/loop\n")
        .file("empty", 0o755, b"#!\n");
    let mut taken = taken(tar);
    let unknown = "whose content is unknown";
    let cases = [
        (json!({ "Entrypoint": ["/bin/decoy"] }), ""),
        (json!({ "Entrypoint": ["/link"] }), ""),
        (json!({ "Cmd": ["decoy"] }), ""),
        (json!({ "Entrypoint": ["./decoy"], "WorkingDir": "/bin" }), ""),
        (json!({ "Entrypoint": ["/bin/sh", "-c", "decoy"] }), ""),
        (json!({ "Entrypoint": ["/bin/tini", "--", "/bin/decoy"] }), ""),
        (json!({ "Entrypoint": ["/script"] }), ""),
        (json!({}), ""),
        (json!({ "Entrypoint": ["/app"] }), unknown),
        (json!({ "Entrypoint": ["/bin/orphan"] }), unknown),
        (json!({ "Entrypoint": ["/bin/tini", "--"], "Cmd": ["/app"] }), unknown),
        (json!({ "Entrypoint": ["/bin/sh", "-c", "/app --port 1"] }), unknown),
        (json!({ "Entrypoint": ["/python"] }), unknown),
        (json!({ "Entrypoint": ["/quiet"] }), "no executable bit"),
        (json!({ "Entrypoint": ["/folder"] }), "which is a folder"),
        (json!({ "Entrypoint": ["/windows"] }), "neither an ELF program nor a script"),
        (json!({ "Entrypoint": ["/lost"] }), "the script /lost starts this file, which is not in the image"),
        (json!({ "Entrypoint": ["/loop"] }), "more than 5 interpreters"),
        (json!({ "Entrypoint": ["/empty"] }), "the script /empty starts a command with an empty name"),
        (json!({ "Entrypoint": ["/none"] }), "the container starts this file, which is not in the image"),
        (json!({ "Entrypoint": ["decoy"], "Env": ["PATH=/opt"] }), "is not in the image"),
        (json!({ "Entrypoint": [], "Cmd": ["none"] }), "is not in the image"),
        (json!({ "Entrypoint": [""] }), "a command with an empty name"),
        (json!({ "Entrypoint": "/bin/decoy" }), "Entrypoint in the image config has another type"),
        (json!({ "Entrypoint": ["/arm"] }), "another architecture"),
    ];
    let always = "linux/amd64 /arm: the program is for another architecture (ELF machine 183) than its platform, amd64\n";
    for (config, expected) in cases {
        taken.image.config = json!({ "config": config });
        let found = report_of(&taken)
            .replace(always, if config["Entrypoint"] == json!(["/arm"]) { always } else { "" });
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{config}: {found}");
    }
    taken.image.config = json!({ "config": { "Cmd": ["/script"] } });
    assert!(not_covered(&taken).join("").contains("starts a script"));
}

#[test]
fn package_files_of_apk_and_distroless_are_known() {
    let apk = b"P:busybox\nV:1\nF:bin\nR:busybox\n";
    let sums = b"d41d8cd98f00b204e9800998ecf8427e  bin/busybox\n";
    let status = b"Package: busybox\nVersion: 1\n";
    let with = |tar: Tar| {
        tar.file("bin/busybox", 0o755, &elf())
            .entry(EntryType::Symlink, "bin/app", "busybox", 0o777, b"")
            .file("decoy", 0o755, &program())
    };
    let list = "var/lib/dpkg/status.d/busybox";
    for (tar, good) in [
        (Tar::default().file("lib/apk/db/installed", 0o644, apk), true),
        (Tar::default().file(list, 0o644, status).file(&format!("{list}.md5sums"), 0o644, sums), true),
        (Tar::default().file(list, 0o644, status), false),
        (
            Tar::default().file(list, 0o644, status).file("var/lib/dpkg/status.d/x.md5sums", 0o644, sums),
            false,
        ),
        (Tar::default().file("var/lib/rpm/rpmdb.sqlite", 0o644, b"SQLite format 3\0"), false),
    ] {
        let found = report_of(&taken(with(tar)));
        assert_eq!(found.is_empty(), good, "{found}");
    }
}

#[test]
fn a_program_for_another_architecture_does_not_pass() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let tar = Tar::default().file("bin/app", 0o755, &program()).end();
    for (arch, good) in [("amd64", true), ("arm64", false), ("386", false), ("new", true)] {
        publish(&layout, vec![image(&layout, arch, &[pack(&layout, &tar)])]);
        let found = report_of(&read(temp.path()).unwrap()[0]);
        assert_eq!(!found.contains("another architecture"), good, "{arch}: {found}");
    }
}
