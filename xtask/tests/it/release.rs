//! `cargo xtask release`.

use std::fs;

use crate::support::Hello;

/// A repository with a commit, whose user may commit.
fn repository() -> Hello {
    let hello = Hello::new();
    hello.commit();
    for (key, value) in [("user.name", "t"), ("user.email", "t@localhost"), ("commit.gpgsign", "false")] {
        hello.git(&["config", key, value]);
    }
    hello
}

fn change(hello: &Hello, message: &str) {
    hello.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
}

#[test]
fn a_release_is_a_commit_and_a_tag_with_changelog_and_version() {
    let hello = repository();
    let read = |name: &str| fs::read_to_string(hello.path().join(name)).unwrap();
    let first = hello.run(&["release", "--without-ci", "--json"]).code(0).json();
    assert_eq!(first["tag"], "v0.3.0", "without a tag it is the version of Cargo.toml");
    assert_eq!(hello.run(&["version"]).code(0).stdout.trim(), "0.3.0");
    hello.run(&["release", "--without-ci"]).code(3).says("this commit already is version 0.3.0");

    change(&hello, "feat(cli): greet twice");
    change(&hello, "fix: no panic");
    let plan = hello.run(&["release", "--dry-run", "--json"]).code(0).json();
    let steps: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
    assert_eq!(steps, ["ci", "changelog", "version", "lock", "add", "commit", "tag"]);
    assert_eq!(hello.run(&["version"]).code(0).stdout.trim().split('+').next(), Some("0.3.1-dev.2"));
    hello.run(&["release", "--without-ci"]).code(0).says("git push --follow-tags origin");
    assert_eq!(hello.run(&["version"]).code(0).stdout.trim(), "0.4.0");
    assert!(read("hello/Cargo.toml").contains("version = \"0.4.0\""));
    assert!(read("Cargo.lock").contains("version = \"0.4.0\""), "{}", read("Cargo.lock"));
    let changelog = read("CHANGELOG.md");
    for part in [
        "## [Unreleased]\n\n## [0.4.0] - ",
        "### Added\n\n- greet twice",
        "### Fixed\n\n- no panic",
        "## [0.3.0]",
    ] {
        assert!(changelog.contains(part), "{part}: {changelog}");
    }
    // The image of the tag has the version.
    change(&hello, "docs: words");
    let major = hello.run(&["release", "--without-ci", "--level", "major", "--json"]).code(0).json();
    assert_eq!(major["version"], "1.0.0");
}

#[test]
fn a_refused_release_changes_nothing() {
    let hello = repository();
    hello.write("new.txt", "");
    hello.run(&["release", "--without-ci"]).code(3).says("?? new.txt");
    fs::remove_file(hello.path().join("new.txt")).unwrap();
    // `cargo xtask` is not a command of this workspace: the checks fail.
    hello.run(&["release"]).code(3).says("cargo xtask ci does not pass");
    assert!(!hello.path().join("CHANGELOG.md").exists());
    hello.git(&["checkout", "--quiet", "--detach"]);
    hello.run(&["release", "--without-ci"]).code(3).says("no branch is checked out");
}
