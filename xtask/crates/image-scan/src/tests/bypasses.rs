//! Content that must not switch a check off.

use super::*;
use crate::engines::builtin::advisory_db::{AdvisoryDb, document};
use crate::engines::builtin::{self, checks, licence};
use crate::engines::trivy;
use crate::finding;
use crate::policy::blind_spots::{KnownPackages, blind_spots};
use crate::policy::gate::Rules;
use crate::report::{ScanReport, ScanResult};

fn layout(tar: Tar) -> (tempfile::TempDir, Layout) {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let packed = pack(&layout, &tar.end());
    publish(&layout, vec![image(&layout, "amd64", &[packed])]);
    (temp, layout)
}

fn inventory(tar: Tar) -> Result<Inventory, String> {
    let (_temp, layout) = layout(tar);
    read(layout.dir()).map(|mut all| all.remove(0))
}

fn faults(taken: &Inventory) -> String {
    let faults: Vec<_> =
        blind_spots(taken, None, KnownPackages::All, &[]).iter().map(ToString::to_string).collect();
    faults.join("\n")
}

#[test]
fn an_empty_package_database_is_not_a_distribution() {
    for (path, content, fault) in [
        ("var/lib/rpm/x", &b""[..], ""),
        ("var/lib/dpkg/status", b"", "(dpkg) has no packages"),
        ("lib/apk/db/installed", b"F:lib\n", "(apk) has no packages"),
    ] {
        let tar = Tar::default().file("bin/app", 0o4755, &program()).file("bin/mute", 0o755, &elf());
        let taken = inventory(tar.file(path, 0o644, content)).unwrap();
        assert!(taken.is_bare(), "{path}");
        let message = faults(&taken);
        assert!(message.contains("no section .dep-v0") && message.contains(fault), "{path}: {message}");
        assert!(checks::findings(&taken).iter().any(|one| one.severity.to_string() == "high"), "{path}");
    }
    let tar = Tar::default().file("bin/app", 0o755, &program());
    let rpm = tar.file("var/lib/rpm/Packages", 0o644, b"");
    assert!(inventory(rpm).is_err_and(|why| why.contains("an RPM database but is not one")));
}

#[test]
fn trivy_must_see_packages_of_a_database() {
    let tar = Tar::default().file("bin/app", 0o755, &program());
    let taken = inventory(tar.file("var/lib/rpm/rpmdb.sqlite", 0o644, b"SQLite format 3\0")).unwrap();
    assert!(!taken.is_bare());
    // `auto` requires Trivy for it.
    assert!(builtin::not_covered(&taken).join("").contains("a database of RPM packages, which is not read"));
    let left = Tar::default().file("bin/app", 0o755, &program());
    let left = inventory(left.file("var/lib/rpm/Packages", 0o644, b"left over")).unwrap_err();
    assert!(
        left.contains("'var/lib/rpm/Packages'") && left.contains("an RPM database but is not one"),
        "{left}"
    );
    let crates: Vec<_> = taken
        .audited()
        .flat_map(|(_, audit)| &audit.packages)
        .map(|one| json!({ "Name": one.name, "Version": one.version }))
        .collect();
    let answer = |packages: Option<serde_json::Value>, system: serde_json::Value| {
        let id = taken.image.config_digest.to_string();
        let mut results = vec![json!({ "Class": "lang-pkgs", "Type": "rustbinary", "Packages": crates })];
        results.extend(packages.map(|packages| json!({ "Class": "os-pkgs", "Packages": packages })));
        let metadata = json!({ "ImageID": id, "OS": system });
        let json = json!({ "SchemaVersion": 2, "Metadata": metadata, "Results": results });
        let answer = trivy::read(json.to_string().as_bytes(), &taken).map_err(|error| error.to_string())?;
        let shown = answer.findings.iter().map(|one| format!("{} {} {}", one.id, one.severity, one.subject));
        Ok::<_, String>(shown.collect::<Vec<_>>().join("; "))
    };
    let there = || Some(json!([{ "Name": "glibc" }]));
    let centos = |ended| json!({ "Family": "centos", "Name": "8", "EOSL": ended });
    assert!(answer(Some(json!([])), centos(false)).is_err_and(|why| why.contains("saw no package")));
    for (packages, system, expected) in [
        (there(), centos(false), ""),
        (there(), json!(null), ""),
        (there(), centos(true), "XT-END-OF-LIFE critical centos 8"),
        (None, json!({ "Family": "fedora", "Name": "42" }), "XT-UNKNOWN-SYSTEM critical fedora 42"),
        (None, json!(null), "XT-UNKNOWN-SYSTEM critical an unknown system"),
    ] {
        assert_eq!(answer(packages, system).as_deref(), Ok(expected));
    }
}

#[test]
fn a_missing_health_check_is_one_finding() {
    let mut taken = inventory(Tar::default().file("bin/app", 0o755, &program())).unwrap();
    let crates: Vec<_> = taken
        .audited()
        .flat_map(|(_, audit)| &audit.packages)
        .map(|one| json!({ "Name": one.name, "Version": one.version }))
        .collect();
    for (test, expected) in [(json!(["CMD", "x"]), &[][..]), (json!(["NONE"]), &["XT-HEALTH", "DS-0026"])] {
        taken.image.config = json!({ "config": { "User": "1", "Healthcheck": { "Test": test } } });
        let unhealthy = json!([{ "ID": "DS-0026", "Severity": "LOW", "Status": "FAIL" }]);
        let json = json!({ "SchemaVersion": 2, "Metadata": { "ImageID": taken.image.config_digest.to_string() },
            "Results": [
                { "Type": "rustbinary", "Packages": crates },
                { "Target": "/x@sha256:0", "Class": "config", "Misconfigurations": unhealthy },
            ] });
        let mut found = trivy::read(json.to_string().as_bytes(), &taken).unwrap().findings;
        found.extend(checks::findings(&taken));
        let merged = finding::merge(found);
        let names = merged.iter().flat_map(|one| one.aliases.iter().chain([&one.id])).map(String::as_str);
        let mut names: Vec<_> = names.collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!((merged.len(), names), (expected.len().min(1), expected.to_vec()));
    }
}

#[test]
fn a_long_list_of_crates_is_refused() {
    for (count, good) in [(9_999, true), (10_001, false)] {
        let mut audit = Audit::of_tree(TREE).unwrap();
        let first = audit.packages.len();
        let one =
            |number| rust_workspace::audit::Crate { name: format!("c{number}"), ..audit.packages[1].clone() };
        let more: Vec<_> = (first..count).map(one).collect();
        audit.packages.extend(more);
        let bytes = audit.put_into(&elf()).unwrap();
        let taken = inventory(Tar::default().file("bin/app", 0o755, &bytes)).unwrap();
        let message = faults(&taken);
        assert_eq!(message.is_empty(), good, "{count}: {message}");
    }
}

#[test]
fn the_source_of_a_crate_decides() {
    let line = r#"{"id":"RUSTSEC-1","package":"bytes","date":"2026-01-01"}"#.to_owned();
    let facts = AdvisoryDb::parse(&document("2026-01-01", &[line])).unwrap();
    for (source, asked) in [
        ("crates.io", true),
        ("registry", true),
        ("https://github.com/rust-lang/crates.io-index", true),
        ("registry+https://github.com/rust-lang/crates.io-index", true),
        ("sparse+https://index.crates.io/", true),
        ("local", true),
        ("git", false),
        ("https://crates.io.example.org", false),
        ("", false),
    ] {
        let mut audit = Audit::of_tree(TREE).unwrap();
        for package in audit.packages.iter_mut().filter(|package| package.name == "bytes") {
            package.source = source.to_owned();
        }
        let tar = Tar::default().file("bin/app", 0o755, &audit.put_into(&elf()).unwrap());
        let taken = inventory(tar).unwrap();
        assert_eq!(builtin::findings(&taken, &facts).unwrap().len(), usize::from(asked), "{source}");
        let gaps = builtin::not_covered(&taken).join("");
        assert_eq!(gaps.contains("1 crates that are not from crates.io"), !asked, "{source}: {gaps}");
    }
    let mut audit = Audit::of_tree(TREE).unwrap();
    for package in audit.packages.iter_mut().filter(|package| !package.root) {
        package.kind = rust_workspace::audit::DependencyKind::Build;
    }
    let tar = Tar::default().file("bin/app", 0o755, &audit.put_into(&elf()).unwrap());
    assert!(faults(&inventory(tar).unwrap()).contains("list of crates is empty"));
}

#[test]
fn long_names_and_paths_are_shortened() {
    let list = |length: usize| {
        let mut audit = Audit::of_tree(TREE).unwrap();
        let first = audit.packages[0].clone();
        let one = |number: usize| rust_workspace::audit::Crate {
            name: format!("{number:0length$}"),
            root: number == 0,
            dependencies: (number + 1 < 2_500).then_some(number + 1).into_iter().collect(),
            ..first.clone()
        };
        audit.packages = (0..2_500).map(one).collect();
        Tar::default().file("bin/app", 0o755, &audit.put_into(&elf()).unwrap())
    };
    assert!(faults(&inventory(list(256)).unwrap()).contains("the name of a crate has 256 bytes"));
    let taken = inventory(list(255)).unwrap();
    let (found, _) = licence::findings(&taken, &licence::Licences::new(), &[], true);
    assert_eq!((found.len(), found[2_000].path.len()), (2_499, 32));
    let rules =
        Rules { severity: Vec::new(), unknown: rust_workspace::settings::Unrated::Fail, ignore: Vec::new() };
    let result = ScanResult {
        findings: finding::merge(found),
        faults: Vec::new(),
        notes: Vec::new(),
        platforms: Vec::new(),
        engines: Vec::new(),
        yanked: String::new(),
    };
    let report = ScanReport {
        image: "x",
        result: &result,
        rules: &rules,
        steps: &[],
        faults: &[],
        blind: 0,
        complete: true,
    };
    let (table, markdown) = (report.table(), report.markdown());
    assert!(table.contains("and 1999 more") && table.len() < 10_000_000, "{}", table.len());
    assert!(markdown.len() < 1 << 20, "GitHub accepts no longer summary: {}", markdown.len());
}
