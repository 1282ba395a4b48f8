//! docs/how-to-adopt.md, typed into a workspace that is not this one.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Hello, Image, Ran, copy, have, have_targets, path_without, root};

const USER: &str = "-c user.name=t -c user.email=t@localhost -c commit.gpgsign=false";
const URL: &str = "https://github.com/example/gateway";

/// A repository with this folder, as somebody would clone it, and a workspace beside it.
struct Foreign {
    dir: tempfile::TempDir,
    /// Compiled crates are shared between runs of these tests.
    target: PathBuf,
}

impl Foreign {
    fn new(workspace: &Hello) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let foreign = Self { dir, target: root().join("target").join("foreign") };
        let clone = foreign.path("gateway");
        fs::create_dir_all(&clone).unwrap();
        copy(&root().join("xtask"), &clone.join("xtask"));
        for name in ["Cargo.lock", ".cargo/config.toml"] {
            fs::create_dir_all(clone.join(name).parent().unwrap()).unwrap();
            fs::copy(root().join(name), clone.join(name)).unwrap();
        }
        fs::write(clone.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"xtask\"]\n")
            .unwrap();
        // Of the packages in Cargo.lock those of the gateway are not here.
        foreign.sh(&clone, "cargo metadata --format-version 1 --offline >/dev/null");
        foreign.sh(&clone, &format!("git init -q . && git add -A && git {USER} commit -q -m all"));
        copy(workspace.path(), &foreign.path("ws"));
        fs::remove_dir_all(foreign.path("ws/xtask")).unwrap();
        // The newest crates would be others than those that are compiled already.
        let hello = fs::read_to_string(foreign.path("ws/Cargo.lock")).unwrap();
        let hello = hello.split("[[package]]").nth(1).unwrap().to_owned();
        let lock = fs::read_to_string(clone.join("Cargo.lock")).unwrap();
        fs::write(foreign.path("ws/Cargo.lock"), format!("{lock}\n[[package]]{hello}")).unwrap();
        foreign.sh(&foreign.path("ws"), "cargo metadata --format-version 1 --offline >/dev/null");
        foreign.sh(&foreign.path("ws"), &format!("git add -A && git {USER} commit -q -m 'without xtask'"));
        foreign
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn sh(&self, dir: &Path, line: &str) -> Ran {
        let mut sh = Command::new("sh");
        sh.args(["-ec", line]).current_dir(dir).env("CARGO_TARGET_DIR", &self.target);
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CI", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
            sh.env_remove(name);
        }
        // Trivy's database is not on every machine that runs this test.
        let bin = self.path("installed/bin");
        sh.env("PATH", format!("{}:{}", bin.display(), path_without("trivy")));
        sh.env("CARGO_INSTALL_ROOT", self.path("installed"));
        Ran::of(&mut sh).code(0)
    }

    /// Does what a section of the document says: writes its files and runs its commands.
    fn follow(&self, section: &str) {
        let document = fs::read_to_string(root().join("docs/how-to-adopt.md")).unwrap();
        let text =
            document.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
        let url = format!("file://{}", self.path("gateway").display());
        let ws = self.path("ws");
        let mut file = None;
        for (at, part) in text.replace(URL, &url).split("```").enumerate() {
            if at % 2 == 0 {
                let last = part.trim_end().lines().last().unwrap_or_default();
                file = last.strip_prefix('`').and_then(|name| name.strip_suffix("`:")).map(str::to_owned);
                if part.contains("Add the package to the members") {
                    let manifest = fs::read_to_string(ws.join("Cargo.toml")).unwrap();
                    let manifest = manifest.replace("members = [", "members = [\"xtask\", ");
                    fs::write(ws.join("Cargo.toml"), manifest).unwrap();
                }
                continue;
            }
            let (kind, block) = part.split_once('\n').unwrap();
            match (kind, &file) {
                ("console", _) => {
                    for line in block.lines() {
                        let line = line.strip_prefix("$ ").unwrap();
                        // Unoptimised, and with the crates that are compiled already.
                        let line = line.replace("cargo install", "cargo install --debug");
                        let line = line.replace("xtask image", "xtask image --engine native --json");
                        let ran = self.sh(&ws, &line);
                        if line.contains("--json") {
                            let image = Image::read(&self.target.join("image"));
                            assert_eq!(ran.json()["digest"], image.digest(), "{section}");
                        }
                    }
                }
                (_, Some(name)) => {
                    fs::create_dir_all(ws.join(name).parent().unwrap()).unwrap();
                    fs::write(ws.join(name), block).unwrap();
                }
                _ => {}
            }
        }
    }

    /// A second `init` finds nothing to do; a scan finds advisories without a file in the workspace.
    fn check(&self) {
        let ws = self.path("ws");
        assert_eq!(self.sh(&ws, "cargo xtask init").stdout, "nothing to change\n");
        self.sh(&ws, "cargo xtask scan").says("which publish requires: cargo xtask image --platform all");
    }

    fn changed(&self) -> Vec<String> {
        let status = self.sh(&self.path("ws"), "git status --porcelain --untracked-files=all").stdout;
        status.lines().map(|line| line[3..].to_owned()).collect()
    }
}

fn foreign() -> Option<Foreign> {
    if !have_targets() || !have("crates.io", crates(), "cargo cannot reach the registry of crates") {
        return None;
    }
    let hello = Hello::new();
    hello.write(".cargo/config.toml", "[build]\njobs = 2\n");
    hello.write(".gitignore", "");
    hello.commit();
    Some(Foreign::new(&hello))
}

/// Whether cargo has the crates of this workspace.
fn crates() -> bool {
    let mut fetch = Command::new("cargo");
    fetch.args(["fetch", "--quiet", "--locked"]).current_dir(root());
    fetch.status().is_ok_and(|status| status.success())
}

#[test]
fn the_installed_program_works_in_any_workspace() {
    let Some(foreign) = foreign() else { return };
    foreign.follow("Install the program");
    foreign.check();
    let changed = foreign.changed();
    assert!(
        changed
            .iter()
            .all(|name| [".cargo/config.toml", "image.toml", "Cargo.lock"].contains(&name.as_str())),
        "{changed:?}"
    );
}

#[test]
fn a_git_dependency_is_enough() {
    let Some(foreign) = foreign() else { return };
    foreign.follow("A dependency");
    foreign.check();
    let config = fs::read_to_string(foreign.path("ws/.cargo/config.toml")).unwrap();
    assert_eq!(
        config,
        "[build]\njobs = 2\n\n[alias]\nxtask = \"run --quiet --package xtask --bin xtask --\"\n"
    );
}

#[test]
fn the_folder_can_be_copied() {
    let Some(foreign) = foreign() else { return };
    foreign.follow("Copy the folder");
    foreign.check();
}
