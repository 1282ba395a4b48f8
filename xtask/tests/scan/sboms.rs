//! SBOMs of the positive control.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::control::{CRATES, control};
use crate::support::have_program;

#[test]
fn sboms_are_reproducible_and_agree_with_syft() {
    let Some(good) = &control(true) else { return };
    let read = |format: &str, name: &str| {
        good.run(&["sbom", "--format", format, "--output", "sboms"]).code(0);
        fs::read_to_string(good.path().join("sboms").join(name)).unwrap()
    };
    for arch in ["amd64", "arm64"] {
        let text = read("cyclonedx", &format!("hello-linux-{arch}.cdx.json"));
        assert_eq!(text, read("cyclonedx", &format!("hello-linux-{arch}.cdx.json")));
        let sbom: Value = serde_json::from_str(&text).unwrap();
        let component =
            |one: &Value| format!("{} {}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap());
        let mut crates: Vec<_> = sbom["components"].as_array().unwrap().iter().map(component).collect();
        crates.sort();
        for (_, _, name, _, version) in CRATES {
            assert!(crates.contains(&format!("{name} {version}")), "{crates:?}");
        }
        let smallvec =
            sbom["components"].as_array().unwrap().iter().find(|one| one["name"] == "smallvec").unwrap();
        assert_eq!(smallvec["purl"], "pkg:cargo/smallvec@1.15.1");
        assert_eq!(smallvec["licenses"][0]["expression"], "MIT OR Apache-2.0");
        let sbom: Value =
            serde_json::from_str(&read("spdx", &format!("hello-linux-{arch}.spdx.json"))).unwrap();
        assert_eq!(sbom["packages"].as_array().unwrap().len(), crates.len() + 1);
        if have_program("syft", "syft", &["version"]) {
            let triple = if arch == "amd64" { "x86_64" } else { "aarch64" };
            let binary = format!("file:target/xtask/bin/{triple}-unknown-linux-musl/hello");
            let output = Command::new("syft")
                .args(["-q", &binary, "-o", "json"])
                .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
                .current_dir(good.path())
                .output()
                .unwrap();
            let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
            let mut seen: Vec<_> = seen["artifacts"].as_array().unwrap().iter().map(component).collect();
            seen.sort();
            assert_eq!(seen, crates);
        }
    }
}
