//! Image archives.

use std::fs;

use serde_json::{Value, json};

use crate::control::{SETTINGS, facts, scan};
use crate::support::{Hello, Image, Ran, have_targets};

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
    scan(&hello, &["--json", "--format", "sarif"]).code(2).says("different formats");
    // A login in an address is refused and not repeated.
    let from = hello.run(&["advisories", "update", "--from", "http://me:hunter2@127.0.0.1:1/db.tar"]).code(2);
    hello.write(
        "xtask/image.toml",
        &format!("{SETTINGS}yanked = true\nindex = 'http://me:hunter2@127.0.0.1:1'\n"),
    );
    let index = scan(&hello, &[]).code(2).says("the address contains a login");
    assert!(!format!("{from:?}{index:?}").contains("hunter2"), "{from:?}{index:?}");
    // Licences of an archive are those in Cargo.lock.
    hello.write("xtask/image.toml", &format!("{SETTINGS}licences = ['MIT']\n"));
    let plan = scan(&hello, &["--dry-run", "--image", "image.tar"]).code(0);
    assert!(plan.stdout.contains("licences"), "{}", plan.stdout);
    hello.write("xtask/image.toml", SETTINGS);
    // A changed byte in a layer.
    let mut bytes = fs::read(hello.path().join("image.tar")).unwrap();
    let gzip = bytes.windows(3).position(|window| window == [0x1f, 0x8b, 8]).unwrap();
    bytes[gzip + 200] ^= 1;
    fs::write(hello.path().join("broken.tar"), bytes).unwrap();
    let broken = scan(&hello, &["--image", "broken.tar"]);
    assert_ne!(broken.code, Some(0), "{broken:?}");
    hello.write("not.tar", "nothing");
    assert_ne!(scan(&hello, &["--image", "not.tar"]).code, Some(0));
}

/// `docker save` of a pulled image leaves out other platforms and attestations.
#[test]
fn missing_platforms_of_an_archive_are_skipped() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", SETTINGS);
    hello.write("xtask/advisories.jsonl", &facts());
    hello.run(&["image", "--engine", "native", "--platform", "all", "--archive", "image.tar"]).code(0);
    let layout = Image::read(&hello.layout());
    let of = |arch: &str| {
        let entry =
            layout.entries().into_iter().find(|entry| entry["platform"]["architecture"] == arch).unwrap();
        entry["digest"].as_str().unwrap()[7..].to_owned()
    };
    // Without these blobs.
    let without = |lacks: &[&str]| {
        let from = fs::read(hello.path().join("image.tar")).unwrap();
        let mut to = tar::Builder::new(fs::File::create(hello.path().join("saved.tar")).unwrap());
        for entry in tar::Archive::new(&from[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let (path, mut header) = (entry.path().unwrap().into_owned(), entry.header().clone());
            if !lacks.iter().any(|hex| path.ends_with(hex)) {
                to.append_data(&mut header, path, entry).unwrap();
            }
        }
        to.finish().unwrap();
    };
    let scan = |more: &[&str]| scan(&hello, &[&["--json", "--image", "saved.tar"], more].concat());
    let platforms = |ran: Ran| {
        let report = ran.code(0).json();
        let platforms = report["platforms"].as_array().unwrap().iter();
        platforms.map(|one| one["platform"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    without(&[&of("arm64")]);
    let ran = scan(&[]).says("linux/arm64: the archive lists it but does not contain it");
    assert_eq!(platforms(ran), ["linux/amd64"]);
    scan(&["--platform", "linux/arm64"]).code(3).says("the image has nothing for linux/arm64");
    // A missing layer is an error, unless the platform is not wanted.
    let layer = layout.manifest("arm64")["layers"][0]["digest"].as_str().unwrap()[7..].to_owned();
    without(&[&layer]);
    scan(&[]).code(3).says("missing or cut short");
    assert_eq!(platforms(scan(&["--platform", "linux/amd64"])), ["linux/amd64"]);
    without(&[&of("arm64"), &of("amd64")]);
    scan(&[])
        .code(3)
        .says("the layout has no image: linux/amd64: the archive lists it but does not contain it");
    without(&[]);
    assert_eq!(platforms(scan(&[])), ["linux/amd64", "linux/arm64"]);
    assert_eq!(platforms(scan(&["--platform", "linux/arm64"])), ["linux/arm64"]);
}
