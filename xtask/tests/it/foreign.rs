//! Dropping xtask into another workspace: copy the folder and the alias, name the package, done.

use crate::support;

use std::fs;
use std::process::Command;

use support::{Hello, Image, Ran, copy, have_targets, path_without, root};

#[test]
fn the_folder_and_the_alias_are_all_it_takes() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    copy(&root().join("xtask"), &hello.path().join("xtask"));
    copy(&root().join(".cargo"), &hello.path().join(".cargo"));
    fs::copy(root().join("Cargo.lock"), hello.path().join("Cargo.lock")).unwrap();
    hello.write("Cargo.toml", "[workspace]\nmembers = [\"hello\", \"xtask\"]\nresolver = \"3\"\n");
    hello.write("xtask/image.toml", "package = \"hello\"\n");
    // Compiled crates are shared between runs of this test; the workspace's own folder is new each time.
    let target = root().join("target").join("foreign");
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(hello.path()).arg("xtask").args(args).env("CARGO_TARGET_DIR", &target);
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CI", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
            cargo.env_remove(name);
        }
        // Trivy's database is not on every machine that runs this test.
        Ran::of(cargo.env("PATH", path_without("trivy"))).code(0)
    };
    let report = cargo(&["image", "--engine", "native", "--json"]).json();
    let image = Image::read(&target.join("image"));
    assert_eq!(report["digest"], image.digest());
    assert_eq!(report["reference"], serde_json::Value::Null, "no repository is named, and none is made up");
    // The first two commands of the README, as they are typed: an image of this machine's platform, and its scan by
    // the settings' defaults and the advisories that came along.
    cargo(&["image"]);
    cargo(&["scan"]).says("which publish will want: cargo xtask image --platform all");
}
