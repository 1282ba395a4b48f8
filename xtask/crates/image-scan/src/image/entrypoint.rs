//! The programs that a container starts (image-spec config.md, "Entrypoint", "Cmd", "Env", "WorkingDir"; execve(2)).

use std::collections::BTreeSet;

use serde_json::Value;

use super::file_type::{FileType, machine};
use super::inventory::Inventory;
use super::package_files::in_package;
use super::rootfs::{Content, Node};
use super::tar_entries::EntryKind;

/// The search path of container engines where the config sets no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Interpreters of interpreters that Linux follows.
const MAX_INTERPRETERS: usize = 5;

const NAME_A_PROGRAM: &str = "name a program of the image in Entrypoint or Cmd";
const MAKE_EXECUTABLE: &str = "set the file's mode to 0755";
const REBUILD: &str = "build the image again for this platform";

/// Why the container cannot start.
#[derive(Debug)]
pub struct StartFailure {
    /// The path, or `config`.
    pub place: String,
    /// The problem.
    pub what: String,
    /// The hint.
    pub hint: &'static str,
}

impl StartFailure {
    fn new(place: impl Into<String>, what: impl Into<String>, hint: &'static str) -> Self {
        Self { place: place.into(), what: what.into(), hint }
    }
}

/// A file of the image: its path without a leading slash, and its node.
type Found<'a> = (&'a str, &'a Node);

/// The path of the file that the container starts, links resolved; none where the config names none or the file does
/// not exist.
pub fn file(inventory: &Inventory) -> Option<String> {
    let words = words(&inventory.image.config);
    look_up(inventory, words.first()?).map(|(path, _)| format!("/{path}"))
}

/// Why the container cannot start as its config says. Programs for another architecture are left out where their path is
/// in `reported`.
pub fn failures(inventory: &Inventory, reported: &[&str]) -> Vec<StartFailure> {
    if let Some(key) = malformed(&inventory.image.config) {
        let what = format!("{key} in the image config has another type than in the image-spec (config.md)");
        return vec![StartFailure::new("config", what, "build the image again")];
    }
    let words = words(&inventory.image.config);
    let mut failures = Vec::new();
    let arch = &inventory.image.platform.architecture;
    for (path, node) in programs(inventory, &words, &mut failures) {
        let (FileType::Elf(of), place) = (&node.file_type, format!("/{path}")) else { continue };
        if machine(arch).is_some_and(|wanted| wanted != *of) && !reported.contains(&&*place) {
            failures.push(StartFailure::new(place, other_architecture(*of, arch), REBUILD));
        }
    }
    failures
}

/// The paths of started programs that have no list of crates and belong to no package.
pub fn unknown_programs(inventory: &Inventory) -> BTreeSet<String> {
    let words = words(&inventory.image.config);
    let programs = programs(inventory, &words, &mut Vec::new()).into_iter();
    let unlisted = programs.filter(|(_, node)| {
        matches!(node.file_type, FileType::Elf(_)) && matches!(node.content, Content::Program(None))
    });
    unlisted.filter(|(path, _)| !in_package(inventory, path)).map(|(path, _)| format!("/{path}")).collect()
}

/// The message for a program that the platform's machines cannot run.
pub fn other_architecture(machine: u16, arch: &str) -> String {
    format!("the program is for another architecture (ELF machine {machine}) than its platform, {arch}")
}

/// Whether the container starts a script that belongs to no package. Which programs a script starts is not known.
pub fn is_script(inventory: &Inventory) -> bool {
    let words = words(&inventory.image.config);
    let found = words.first().and_then(|first| look_up(inventory, first));
    found.is_some_and(|(path, node)| {
        matches!(node.file_type, FileType::Script(_)) && !in_package(inventory, path)
    })
}

/// The programs in the command: its first word, and absolute paths behind it, as in `tini -- /app` and
/// `/bin/sh -c /app`.
fn programs<'a>(
    inventory: &'a Inventory,
    words: &'a [String],
    failures: &mut Vec<StartFailure>,
) -> Vec<Found<'a>> {
    let Some(first) = words.first() else { return Vec::new() };
    let mut programs = interpreters(inventory, first, failures);
    let paths = words.iter().skip(1).filter_map(|word| word.split_whitespace().next());
    let paths = paths.filter(|word| word.starts_with('/')).filter_map(|word| inventory.rootfs.resolve(word));
    programs.extend(paths);
    programs
}

/// The ELF programs that the kernel executes for a word: the file itself, or the interpreters of a script.
fn interpreters<'a>(
    inventory: &'a Inventory,
    first: &'a str,
    failures: &mut Vec<StartFailure>,
) -> Vec<Found<'a>> {
    let (mut programs, mut word, mut by) = (Vec::new(), first, "the container".to_owned());
    let mut fail = |place: &str, what: String, hint| failures.push(StartFailure::new(place, what, hint));
    for _ in 0..MAX_INTERPRETERS {
        if word.is_empty() {
            fail("config", format!("{by} starts a command with an empty name"), NAME_A_PROGRAM);
            return programs;
        }
        let Some((path, node)) = look_up(inventory, word) else {
            fail(word, format!("{by} starts this file, which is not in the image"), NAME_A_PROGRAM);
            return programs;
        };
        let place = format!("/{path}");
        if !matches!(node.kind, EntryKind::File | EntryKind::Hardlink(_)) {
            let what = if node.kind == EntryKind::Folder { "a folder" } else { "not a file" };
            fail(&place, format!("{by} starts this path, which is {what}"), NAME_A_PROGRAM);
            return programs;
        }
        // `blind_spots` checks programs with a list of crates.
        if !node.executable() && !matches!(node.content, Content::Program(Some(_))) {
            fail(&place, format!("{by} starts this file, which has no executable bit"), MAKE_EXECUTABLE);
        }
        match &node.file_type {
            FileType::Elf(_) => {
                programs.push((path, node));
                return programs;
            }
            FileType::Data => {
                let what = format!("{by} starts this file, which is neither an ELF program nor a script");
                fail(&place, what, NAME_A_PROGRAM);
                return programs;
            }
            FileType::Script(line) => {
                let mut words = line.split_whitespace();
                word = words.next().unwrap_or_default();
                // env looks up the program itself.
                if word.rsplit('/').next() == Some("env") {
                    programs.extend(look_up(inventory, word));
                    let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
                    word = program.unwrap_or_default();
                }
                by = format!("the script {place}");
            }
        }
    }
    fail(first, format!("it has more than {MAX_INTERPRETERS} interpreters"), NAME_A_PROGRAM);
    programs
}

/// The words of the command: Entrypoint followed by Cmd.
fn words(config: &Value) -> Vec<String> {
    let list = |key: &str| config.pointer(key).and_then(Value::as_array).into_iter().flatten();
    let words = list("/config/Entrypoint").chain(list("/config/Cmd"));
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether a value has the right type.
type Check<'a> = &'a dyn Fn(&Value) -> bool;

/// The first key about the start that has another type than in the image-spec. Container engines write null for keys
/// that are not set.
fn malformed(config: &Value) -> Option<&'static str> {
    let strings = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let types: [(&str, Check<'_>); 6] = [
        ("", &Value::is_object),
        ("/Entrypoint", &strings),
        ("/Cmd", &strings),
        ("/Env", &strings),
        ("/WorkingDir", &Value::is_string),
        ("/User", &Value::is_string),
    ];
    let wrong = types.iter().find(|(key, is_valid)| {
        let value = config.pointer(&format!("/config{key}"));
        value.is_some_and(|value| !value.is_null() && !is_valid(value))
    });
    wrong.map(|(key, _)| if key.is_empty() { "config" } else { &key[1..] })
}

/// Looks up a word of the command as container engines do: a name on PATH, preferably an executable one; a path with a
/// slash from the working folder.
fn look_up<'a>(inventory: &'a Inventory, word: &str) -> Option<Found<'a>> {
    let get = |key: &str| inventory.image.config.pointer(key);
    if word.contains('/') {
        let folder = get("/config/WorkingDir").and_then(Value::as_str).unwrap_or_default();
        let folder = if word.starts_with('/') { "" } else { folder };
        return inventory.rootfs.resolve(&format!("{folder}/{word}"));
    }
    let env = get("/config/Env").and_then(Value::as_array);
    let mut set = env.into_iter().flatten().filter_map(|entry| entry.as_str()?.strip_prefix("PATH="));
    let dirs = set.next_back().unwrap_or(DEFAULT_PATH).split(':');
    let found: Vec<_> = dirs.filter_map(|dir| inventory.rootfs.resolve(&format!("{dir}/{word}"))).collect();
    let runs = |node: &Node| node.executable() && node.kind != EntryKind::Folder;
    found.iter().find(|(_, node)| runs(node)).or_else(|| found.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_of_the_wrong_type_are_named() {
        for (config, expected) in [
            (json!({}), None),
            (json!({ "config": null }), None),
            (json!({ "config": { "Entrypoint": null, "Cmd": ["a"], "Env": [], "User": "1" } }), None),
            (json!({ "config": [] }), Some("config")),
            (json!({ "config": { "Entrypoint": "/app" } }), Some("Entrypoint")),
            (json!({ "config": { "Cmd": ["a", 1] } }), Some("Cmd")),
            (json!({ "config": { "Env": { "PATH": "/" } } }), Some("Env")),
            (json!({ "config": { "WorkingDir": 7 } }), Some("WorkingDir")),
            (json!({ "config": { "User": 0 } }), Some("User")),
        ] {
            assert_eq!(malformed(&config), expected, "{config}");
        }
    }
}
