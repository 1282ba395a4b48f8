//! The contents of an image, and images whose contents are not seen.

use super::*;
use crate::engines::builtin::advisory_db::{AdvisoryDb, document};
use crate::engines::builtin::{checks, licence};
use crate::engines::builtin::{findings, not_covered};
use crate::policy::blind_spots::{KnownPackages, blind_spots};

fn inventory(layers: &[Vec<u8>]) -> Inventory {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let packed: Vec<_> = layers.iter().map(|tar| pack(&layout, tar)).collect();
    publish(&layout, vec![image(&layout, "amd64", &packed)]);
    read(layout.dir()).unwrap().remove(0)
}

#[test]
fn crates_of_a_program_are_read() {
    let taken = inventory(&[Tar::default().file("bin/app", 0o755, &program()).end()]);
    assert_eq!((taken.crates(), crate::image::entrypoint::file(&taken).as_deref()), (3, Some("/bin/app")));
    assert!(blind_spots(&taken, Some("/bin/app"), KnownPackages::None, &[]).is_empty());
    assert!(not_covered(&taken).is_empty());
    let lines = [
        r#"{"id":"RUSTSEC-1","package":"bytes","date":"2026-01-01","patched":[">= 2"],"cvss":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}"#,
        r#"{"id":"RUSTSEC-2","package":"app","date":"2026-01-01"}"#,
    ];
    let facts = document("2026-01-01", &lines.map(str::to_owned));
    let found = findings(&taken, &AdvisoryDb::parse(&facts).unwrap()).unwrap();
    assert_eq!(found.len(), 1, "the workspace's own crates are not looked up");
    assert_eq!((found[0].path.join(" > "), found[0].fixed.as_str()), ("app > bytes".to_owned(), ">=2"));
}

#[test]
fn unseen_content_does_not_pass() {
    let silent = elf();
    let empty = Audit { packages: Vec::new(), format: 1 }.put_into(&elf()).unwrap();
    let mut broken = program();
    let middle = broken.windows(2).rposition(|pair| pair == [0x78, 0xda]).unwrap();
    broken[middle + 4..middle + 12].fill(0xff);
    let file = |mode, content: &[u8]| Tar::default().file("bin/app", mode, content);
    let cases: [(Tar, &str); 8] = [
        (file(0o755, &silent), "no section .dep-v0"),
        (file(0o644, &program()), "no executable bit"),
        (file(0o755, &empty), "list of crates is empty"),
        (file(0o755, &broken), "cannot read the program"),
        (Tar::default().file("etc/x", 0o644, b""), "no program was found"),
        (Tar::default().file("bin/other", 0o755, &program()), "is not in the image"),
        (file(0o755, &program()).file("bin/second", 0o755, &silent), "no section .dep-v0"),
        (file(0o755, b"#!/bin/sh\n"), "no program was found"),
    ];
    for (tar, expected) in cases {
        let taken = inventory(&[tar.end()]);
        let faults: Vec<_> = blind_spots(&taken, Some("/bin/app"), KnownPackages::None, &[])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
    }
}

#[test]
fn packages_are_not_covered_by_the_builtin_engine() {
    let base = Tar::default()
        .file("var/lib/dpkg/status", 0o644, b"Package: libc6\nStatus: install ok installed\nVersion: 2\n")
        .file("bin/sh", 0o755, &elf());
    let taken = inventory(&[base.end(), Tar::default().file("bin/app", 0o755, &program()).end()]);
    assert!(blind_spots(&taken, Some("/bin/app"), KnownPackages::None, &[]).is_empty());
    let gaps = not_covered(&taken).join("\n");
    assert!(
        gaps.contains("1 packages of the operating system (dpkg)") && gaps.contains("1 programs"),
        "{gaps}"
    );
}

#[test]
fn secrets_in_hidden_files_are_found() {
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n", "A".repeat(64));
    let lower = Tar::default().file("bin/app", 0o755, &elf()).file("root/key", 0o600, key.as_bytes());
    let upper = Tar::default()
        .file("bin/app", 0o4755, &program())
        .file("root/.wh.key", 0o644, b"")
        .file("srv/open", 0o666, b"");
    let taken = inventory(&[lower.end(), upper.end()]);
    assert!(
        blind_spots(&taken, Some("/bin/app"), KnownPackages::None, &[]).is_empty(),
        "the program in the upper layer counts"
    );
    let found = checks::findings(&taken);
    let ids: Vec<_> = found.iter().map(|finding| format!("{} {}", finding.id, finding.place)).collect();
    assert_eq!(ids, ["XT-SETUID /bin/app", "XT-WRITABLE /srv/open", "XT-SECRET /root/key"]);
    assert!(found[2].note.contains("still in the image"));
    // In a long file, and in os-release.
    let mut long = vec![b' '; 3 << 20];
    long.extend_from_slice(key.as_bytes());
    let release = Tar::default().file("etc/os-release", 0o644, format!("ID=x\n{key}").as_bytes());
    let found = checks::findings(&inventory(&[release.file("srv/long", 0o644, &long).end()]));
    let notes: Vec<_> = found.iter().map(|finding| format!("{} {}", finding.place, finding.note)).collect();
    assert_eq!(notes, ["/srv/long a private key", "/etc/os-release a private key"]);
}

#[test]
fn zstd_layers_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let tar =
        Tar::default().file("bin/app", 0o755, &program()).file("long", 0o644, &vec![b'x'; 300_000]).end();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let blob = ruzstd::encoding::compress_to_vec(&tar[..], level);
    let descriptor = layout.put("application/vnd.oci.image.layer.v1.tar+zstd", &blob).unwrap();
    let packed = Packed { descriptor, diff_id: cli_support::digest::Digest::of(&tar) };
    publish(&layout, vec![image(&layout, "amd64", &[packed])]);
    let taken = read(temp.path()).unwrap().remove(0);
    assert_eq!((taken.crates(), taken.rootfs.nodes.len()), (3, 2));
}

#[test]
fn licences_must_be_allowed() {
    let taken = inventory(&[Tar::default().file("bin/app", 0o755, &program()).end()]);
    let key = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    let licences =
        [(key("h2", "0.3.0"), licence::CrateMetadata { license: Some("MIT".to_owned()), source: None })]
            .into();
    let (found, _) = licence::findings(&taken, &licences, &["MIT".to_owned()], true);
    let shown: Vec<_> = found.iter().map(|finding| format!("{} {}", finding.subject, finding.note)).collect();
    assert_eq!(shown, ["bytes the crate is not in Cargo.lock, so its licence is not known"]);
    // In another image such a licence is unknown, also where Cargo.lock has a crate of that name from another source.
    let (found, unknown) = licence::findings(&taken, &licences, &["MIT".to_owned()], false);
    assert_eq!((found.len(), unknown), (0, 2));
    let source = Some("registry+https://github.com/rust-lang/crates.io-index".to_owned());
    let licences =
        [(key("h2", "0.3.0"), licence::CrateMetadata { license: Some("GPL-3.0".to_owned()), source })].into();
    let (found, unknown) = licence::findings(&taken, &licences, &["MIT".to_owned()], false);
    assert_eq!((found.len(), unknown), (1, 1));
}
