//! Dropping xtask into another workspace: copy the folder and the alias, name the package, done.

mod support;

use std::fs;
use std::process::Command;

use support::{Hello, Image, Ran, copy, have_targets, root};

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
    let mut cargo = Command::new("cargo");
    cargo.current_dir(hello.path()).args(["xtask", "image", "--engine", "native", "--json"]);
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
        cargo.env_remove(name);
    }
    let report = Ran::of(cargo.env("CARGO_TARGET_DIR", &target)).code(0).json();
    let image = Image::read(&target.join("image"));
    assert_eq!(report["digest"], image.digest());
    assert_eq!(report["reference"], serde_json::Value::Null, "no repository is named, and none is made up");
}
