//! What a container starts (image-spec config.md, "Entrypoint", "Cmd", "Env", "WorkingDir"; execve(2)).

use std::collections::BTreeSet;

use serde_json::Value;

use super::file_type::{FileType, machine};
use super::inventory::Inventory;
use super::layer::EntryKind;
use super::owned::owned;
use super::rootfs::{Content, Node};

/// Where a bare name is looked for if the config sets no PATH, as container engines have it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Interpreters of interpreters that Linux follows.
const MAX_DEPTH: usize = 5;

const RENAME: &str = "name a program of the image in Entrypoint or Cmd";

/// What is wrong with a start: where, what, and what to do.
type Wrong = (String, String, &'static str);

/// The file that the container starts, links followed; none where its config names none, or one that is not
/// there.
pub fn file(inventory: &Inventory) -> Option<String> {
    let words = words(&inventory.image.config);
    look_up(inventory, words.first()?).map(|(path, _)| format!("/{path}"))
}

/// What keeps the container from starting as its config says. Files in `known` are already spoken of.
pub fn wrong(inventory: &Inventory, known: &[&str]) -> Vec<Wrong> {
    if let Some(key) = malformed(&inventory.image.config) {
        let what = format!("{key} of the image's config is not as image-spec has it (config.md)");
        return vec![(
            "config".to_owned(),
            what,
            "make the image again; engines take such a key differently",
        )];
    }
    let words = words(&inventory.image.config);
    let mut all = Vec::new();
    let arch = &inventory.image.platform.architecture;
    for (path, node) in programs(inventory, &words, &mut all) {
        let (FileType::Elf(of), place) = (&node.form, format!("/{path}")) else { continue };
        if machine(arch).is_some_and(|wanted| wanted != *of) && !known.contains(&&*place) {
            all.push((place, foreign(*of, arch), "build the image again for this platform"));
        }
    }
    all
}

/// The programs that the container starts, by path, and that are without a list and of no package.
pub fn silent(inventory: &Inventory) -> BTreeSet<String> {
    let words = words(&inventory.image.config);
    let programs = programs(inventory, &words, &mut Vec::new()).into_iter();
    let elf = programs.filter(|(_, node)| matches!(node.form, FileType::Elf(_)));
    let silent = elf.filter(|(_, node)| matches!(node.content, Content::Program(None)));
    silent.filter(|(path, _)| !owned(inventory, path)).map(|(path, _)| format!("/{path}")).collect()
}

/// The files that the command's words start, one after the other: `tini -- /app`, `/bin/sh -c /app`. What
/// keeps the first from starting goes into `all`.
fn programs<'a>(
    inventory: &'a Inventory,
    words: &'a [String],
    all: &mut Vec<Wrong>,
) -> Vec<(&'a str, &'a Node)> {
    let Some(first) = words.first() else { return Vec::new() };
    let mut programs = followed(inventory, first, all);
    let told = words.iter().skip(1).filter_map(|word| word.split_whitespace().next());
    let told = told.filter(|word| word.starts_with('/')).filter_map(|word| inventory.rootfs.resolve(word));
    programs.extend(told);
    programs
}

/// What to say of a program that is for another machine.
pub fn foreign(of: u16, arch: &str) -> String {
    format!("the program is for another architecture (ELF machine {of}) than its platform, {arch}")
}

/// Whether the container starts a script that is of no package: what it starts in turn cannot be told.
pub fn is_script(inventory: &Inventory) -> bool {
    let words = words(&inventory.image.config);
    let found = words.first().and_then(|first| look_up(inventory, first));
    found.is_some_and(|(path, node)| matches!(node.form, FileType::Script(_)) && !owned(inventory, path))
}

/// The programs that starting a word comes to: itself, or the interpreter of a script. What keeps it from
/// starting goes into `all`.
fn followed<'a>(inventory: &'a Inventory, first: &'a str, all: &mut Vec<Wrong>) -> Vec<(&'a str, &'a Node)> {
    let (mut programs, mut word, mut by) = (Vec::new(), first, "the container".to_owned());
    for _ in 0..MAX_DEPTH {
        if word.is_empty() {
            all.push(("config".to_owned(), format!("{by} starts a command without a name"), RENAME));
            return programs;
        }
        let Some((path, node)) = look_up(inventory, word) else {
            all.push((word.to_owned(), format!("{by} starts this, and it is not in the image"), RENAME));
            return programs;
        };
        let place = format!("/{path}");
        if !matches!(node.kind, EntryKind::File | EntryKind::Hardlink(_)) {
            let what = if node.kind == EntryKind::Folder { "a folder" } else { "no file" };
            all.push((place, format!("{by} starts this, and it is {what}"), RENAME));
            return programs;
        }
        // Of a program with a list that is said elsewhere.
        if !node.executable() && !matches!(node.content, Content::Program(Some(_))) {
            let what = format!("{by} starts this, and it has no executable bit");
            all.push((place.clone(), what, "give the file mode 0755"));
        }
        match &node.form {
            FileType::Elf(_) => {
                programs.push((path, node));
                return programs;
            }
            FileType::Data => {
                let what = format!("{by} starts this, and it is neither an ELF program nor a script");
                all.push((place, what, RENAME));
                return programs;
            }
            FileType::Script(line) => {
                let mut words = line.split_whitespace();
                word = words.next().unwrap_or_default();
                // env looks for the next word itself.
                if word.rsplit('/').next() == Some("env") {
                    programs.extend(look_up(inventory, word));
                    let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
                    word = program.unwrap_or_default();
                }
                by = format!("the script {place}");
            }
        }
    }
    all.push((first.to_owned(), "its interpreters are scripts without end".to_owned(), RENAME));
    programs
}

/// The command's words: those of Entrypoint with those of Cmd behind them, else Cmd's.
fn words(config: &Value) -> Vec<String> {
    let list = |key: &str| {
        let list = config.pointer(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut words = list("/config/Entrypoint");
    words.extend(list("/config/Cmd"));
    words
}

/// Whether a value is of the kind that it should be.
type Check<'a> = &'a dyn Fn(&Value) -> bool;

/// The first key about the start whose value is of another kind than the specification's. Engines write null
/// for what is not set.
fn malformed(config: &Value) -> Option<&'static str> {
    let strings = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let kinds: [(&str, Check<'_>); 6] = [
        ("", &Value::is_object),
        ("/Entrypoint", &strings),
        ("/Cmd", &strings),
        ("/Env", &strings),
        ("/WorkingDir", &Value::is_string),
        ("/User", &Value::is_string),
    ];
    let wrong = kinds.iter().find(|(key, good)| {
        let value = config.pointer(&format!("/config{key}"));
        value.is_some_and(|value| !value.is_null() && !good(value))
    });
    wrong.map(|(key, _)| if key.is_empty() { "config" } else { &key[1..] })
}

/// What a word of the command leads to, as a container engine looks for it: a bare name on PATH, and there the
/// first that may be run; a path with a slash from the working folder.
fn look_up<'a>(inventory: &'a Inventory, word: &str) -> Option<(&'a str, &'a Node)> {
    let get = |key: &str| inventory.image.config.pointer(key);
    if word.contains('/') {
        let folder = get("/config/WorkingDir").and_then(Value::as_str).unwrap_or_default();
        let folder = if word.starts_with('/') { "" } else { folder };
        return inventory.rootfs.resolve(&format!("{folder}/{word}"));
    }
    let env = get("/config/Env").and_then(Value::as_array);
    let mut set = env.into_iter().flatten().filter_map(|entry| entry.as_str()?.strip_prefix("PATH="));
    let dirs = set.next_back().unwrap_or(PATH).split(':');
    let found: Vec<_> = dirs.filter_map(|dir| inventory.rootfs.resolve(&format!("{dir}/{word}"))).collect();
    let runs = |node: &Node| node.executable() && node.kind != EntryKind::Folder;
    found.iter().find(|(_, node)| runs(node)).or_else(|| found.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_of_another_kind_are_named() {
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
