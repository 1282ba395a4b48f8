//! Versions and tags out of real repositories of git's.

use crate::support;

use std::process::Command;

use support::{Hello, Ran, xtask};

/// A workspace with three commits; `tag` puts a tag on one of them, counted from the last.
struct History(Hello);

impl History {
    fn new() -> Self {
        let hello = Hello::new();
        hello.commit();
        for number in 0..2 {
            hello.git(&["commit", "--quiet", "--allow-empty", "--message", &number.to_string()]);
        }
        Self(hello)
    }

    fn tag(self, name: &str, back: usize) -> Self {
        self.0.git(&["tag", name, &format!("HEAD~{back}")]);
        self
    }

    fn run(&self, args: &[&str], reference: Option<&str>) -> Ran {
        let mut command = self.0.command();
        if let Some(reference) = reference {
            command.env("GITHUB_ACTIONS", "true").env("GITHUB_REF", reference);
        }
        Ran::of(command.args(args))
    }

    #[track_caller]
    fn version(&self, expected: &str) {
        let ran = self.run(&["version"], None).code(0);
        assert!(ran.stdout.starts_with(expected), "{ran:?}");
    }
}

#[test]
fn the_nearest_tag_that_is_a_version_decides() {
    History::new().tag("v0.3.0", 2).version("0.3.1-dev.2+g");
    History::new().tag("0.3.0", 1).version("0.3.1-dev.1+g");
    // Tags that only look like a version, a moving tag, a tag of another package.
    let others = ["v1.2.3.4", "v1", "1.2", "v1.2.3_x", "v9"];
    let history = others.iter().fold(History::new().tag("v0.3.0", 2), |history, tag| history.tag(tag, 1));
    history.version("0.3.1-dev.2+g");
    History::new().tag("v0.3.0", 1).tag("0.3.5", 1).tag("v0.3.5-rc.1", 1).version("0.3.6-dev.1+g");
    // Cargo.toml already has the next version.
    History::new().tag("v0.2.0", 2).version("0.3.0-dev.2+g");
    History::new().tag("v0.3.0+build.7", 0).version("0.3.0\n");
}

#[test]
fn gits_settings_change_nothing() {
    let history = History::new().tag("v0.3.0", 2).tag("v0.3.1", 2).tag("v0.3.2", 2);
    let settings = [
        ("column.ui", "always"),
        ("column.tag", "always"),
        ("color.ui", "always"),
        ("log.showSignature", "true"),
        ("status.showUntrackedFiles", "no"),
        ("i18n.logOutputEncoding", "UTF-16"),
    ];
    for (name, value) in settings {
        history.0.git(&["config", name, value]);
    }
    history.version("0.3.3-dev.2+g");
    history.0.write("new.rs", "");
    assert!(history.run(&["version"], None).code(0).stdout.ends_with(".dirty\n"));
    let history = History::new().tag("v0.3.0", 0).tag("v0.3.0-rc.1", 0);
    history.0.git(&["config", "column.ui", "always"]);
    history.version("0.3.0\n");
    assert!(history.run(&["tags"], None).code(0).stdout.contains("v0.3.0 "));
}

#[test]
fn a_version_tag_of_git_must_match_the_crate() {
    let history = History::new().tag("v9.9.9", 0);
    for reference in [None, Some("refs/heads/main"), Some("refs/tags/v9.9.9")] {
        history.run(&["tags"], reference).code(2).says("git's tag is version 9.9.9").says("hello has 0.3.0");
    }
    // Of two on one commit the one counts that the run is for, else the highest.
    let history = History::new().tag("v0.3.0", 0).tag("v0.3.1", 0);
    let run = |args: &[&str]| history.run(args, Some("refs/tags/v0.3.0")).code(0).stdout;
    assert_eq!(run(&["version"]), "0.3.0\n");
    assert!(run(&["tags"]).contains("0.3.0") && !run(&["tags"]).contains("0.3.1"));
    history.run(&["version"], None).code(2).says("git's tag is version 0.3.1");
}

#[test]
fn a_shallow_clone_is_refused_with_a_hint() {
    let history = History::new().tag("v0.2.0", 2);
    let from = format!("file://{}", history.0.path().display());
    let to = tempfile::tempdir().unwrap();
    let clone = |depth: &str, tag: bool| {
        let dir = to.path().join(format!("{depth}-{tag}"));
        let mut git = Command::new("git");
        git.args(["clone", "--quiet", "--depth", depth]).arg(&from).arg(&dir);
        assert!(git.status().unwrap().success());
        if tag {
            let tagged = Command::new("git").args(["tag", "v0.3.0"]).current_dir(&dir).status().unwrap();
            assert!(tagged.success());
        }
        Ran::of(xtask(&dir).arg("version")).code(0)
    };
    let ran = clone("1", false).says("this clone is shallow").says("fetch-depth: 0");
    assert!(ran.stdout.starts_with("0.3.0-dev+g"), "{ran:?}");
    let ran = clone("1", true);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("0.3.0\n", ""));
}

#[test]
fn patterns_are_looked_at_when_the_settings_are_read() {
    let hello = Hello::new();
    hello.write(
        "xtask/image.toml",
        r#"package = "hello"
flavor = "latest=true"

[[tags]]
type = "semver"
pattern = "{{major}}.{{minro}}"

[[tags]]
type = "raw"
value = "x-{{branch"

[[tags]]
type = "schedule"
pattern = "{{date 'YYYYMMDD' tz='Asia/Tokyo'}}"
enable = "{{is_main}}"

[[tags]]
type = "match"
pattern = 'v(.*)'

[[tags]]
type = "pep440"
pattern = "{{version}}"
"#,
    );
    hello.commit();
    let ran = hello.run(&["image", "--dry-run"]).code(2);
    for said in [
        "image.toml:2:10: expected a table, found string",
        "image.toml:6:11: '{{major}}.{{minro}}': unknown name 'minro'",
        "image.toml:10:9: 'x-{{branch': '{{' without '}}'",
        "image.toml:14:11: '{{date 'YYYYMMDD' tz='Asia/Tokyo'}}': a date is",
        "image.toml:15:10: '{{is_main}}': unknown name 'is_main'",
        "image.toml:18:8: type 'match' is not supported",
        "image.toml:22:8: type 'pep440' is for Python's versions",
    ] {
        assert!(ran.stderr.contains(said), "no {said:?} in\n{}", ran.stderr);
    }
}
