//! The positive control: one vulnerable crate of each severity, its image, and the advisories.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{self, Hello, Ran, have, have_targets, path_without, root};

/// One crate for each severity: its advisory, a vulnerable version and a fixed one.
pub const CRATES: [(&str, &str, &str, &str, &str); 5] = [
    ("critical", "RUSTSEC-2021-0003", "smallvec", "1.6.0", "1.15.1"),
    ("high", "RUSTSEC-2019-0013", "spin", "0.5.1", "0.5.2"),
    ("medium", "RUSTSEC-2020-0061", "futures-task", "0.3.4", "0.3.31"),
    ("low", "RUSTSEC-2024-0367", "gix-path", "0.10.9", "0.10.22"),
    ("unknown", "RUSTSEC-2021-0114", "nanorand", "0.6.0", "0.6.1"),
];

pub const SETTINGS: &str =
    "package = 'hello'\n[container.healthcheck]\ncommand = ['/usr/bin/hello']\n[scan]\nmax-age = 36500\n";

/// A workspace whose binary links these crates, with its image for both platforms. Every test gets a copy; the original
/// is built once for each binary under test. None where the targets or crates.io are missing.
pub fn control(fixed: bool) -> Option<Hello> {
    if !have_targets() {
        return None;
    }
    let name = if fixed { "scan-fixed" } else { "scan-vulnerable" };
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = File::create(built.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let binary = fs::metadata(support::XTASK).unwrap();
    let stamp = format!("{:?} {}", binary.modified().unwrap(), binary.len());
    let stamp_file = built.with_extension("stamp");
    if fs::read_to_string(&stamp_file).ok().as_ref() != Some(&stamp) {
        let _ = fs::remove_file(&stamp_file);
        let _ = fs::remove_dir_all(&built);
        build(fixed, &built)?;
        fs::write(&stamp_file, stamp).unwrap();
    }
    let hello = Hello::new();
    support::copy(&built, hello.path());
    Some(hello)
}

fn build(fixed: bool, to: &Path) -> Option<()> {
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
    // Without cargo's own build folders.
    for part in ["hello", "xtask", "target/image", "target/xtask/bin"] {
        support::copy(&hello.path().join(part), &to.join(part));
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(hello.path().join(file), to.join(file)).unwrap();
    }
    Some(())
}

/// A workspace without dependencies, with its image for both platforms.
pub fn plain() -> Option<Hello> {
    if !have_targets() {
        return None;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", SETTINGS);
    hello.write("xtask/advisories.jsonl", &facts());
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

/// The repository's advisories up to a date. Later ones could affect the fixed versions.
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
