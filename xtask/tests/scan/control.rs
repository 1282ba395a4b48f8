//! The positive control: one crate of each severity, its image, and the facts about it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{self, Hello, Ran, have, path_without, root};

/// One crate a severity: its advisory, the version that has it and one that has not.
pub const CRATES: [(&str, &str, &str, &str, &str); 5] = [
    ("critical", "RUSTSEC-2021-0003", "smallvec", "1.6.0", "1.15.1"),
    ("high", "RUSTSEC-2019-0013", "spin", "0.5.1", "0.5.2"),
    ("medium", "RUSTSEC-2020-0061", "futures-task", "0.3.4", "0.3.31"),
    ("low", "RUSTSEC-2024-0367", "gix-path", "0.10.9", "0.10.22"),
    ("unknown", "RUSTSEC-2021-0114", "nanorand", "0.6.0", "0.6.1"),
];

pub const SETTINGS: &str =
    "package = 'hello'\n[container.healthcheck]\ncommand = ['/usr/bin/hello']\n[scan]\nmax-age = 36500\n";

/// A workspace whose binary links these crates, and its image for both platforms.
pub fn control(fixed: bool) -> Option<Hello> {
    let hello = Hello::new();
    let versions =
        CRATES.map(|(_, _, name, bad, good)| format!("{name} = \"={}\"\n", if fixed { good } else { bad }));
    let manifest = "[package]\nname = \"hello\"\nversion = \"0.3.0\"\nedition = \"2024\"\n[dependencies]\n";
    hello.write("hello/Cargo.toml", &format!("{manifest}{}", versions.concat()));
    hello.write("hello/src/main.rs", "fn main() {}\n");
    hello.write("xtask/image.toml", SETTINGS);
    hello.write("xtask/advisories.jsonl", &facts());
    fs::remove_file(hello.path().join("Cargo.lock")).unwrap();
    let locked = Command::new("cargo").arg("generate-lockfile").current_dir(hello.path()).output().unwrap();
    let why = String::from_utf8_lossy(&locked.stderr).into_owned();
    if !have("crates.io", locked.status.success(), &why) {
        return None;
    }
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    Some(hello)
}

pub fn scan(hello: &Hello, args: &[&str]) -> Ran {
    let mut command = hello.command();
    command.env("PATH", path_without("trivy"));
    Ran::of(command.args(["scan", "--engine", "builtin"]).args(args))
}

pub fn finding<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["findings"].as_array().unwrap().iter().find(|finding| {
        let aliases = finding["aliases"].as_array().unwrap();
        finding["id"] == id || aliases.iter().any(|alias| alias == id)
    })
}

/// The repository's facts up to a day, so that later ones do not turn what is fixed here into a finding.
pub fn facts() -> String {
    let text = fs::read_to_string(root().join("xtask/advisories.jsonl")).unwrap();
    let known = |line: &&str| {
        let advisory: Value = serde_json::from_str(line).unwrap();
        advisory["date"].as_str().unwrap() <= "2026-08-21"
    };
    let lines: Vec<_> = text.lines().skip(1).filter(known).collect();
    support::facts("2026-08-21", &lines)
}

pub fn advisories() -> Vec<Value> {
    facts().lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn aliases_of(id: &str) -> Vec<String> {
    let advisory = advisories().into_iter().find(|advisory| advisory["id"] == id).unwrap();
    let aliases = advisory["aliases"].as_array().cloned().unwrap_or_default();
    let aliases = aliases.iter().map(|alias| alias.as_str().unwrap().to_owned());
    aliases.chain([id.to_owned()]).collect()
}
