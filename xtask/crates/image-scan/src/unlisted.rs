//! Programs of which nobody knows what they are made of: without a list of crates, and of no package. The
//! settings can overlook one for a time.

use std::collections::BTreeSet;

use serde::Serialize;

use super::entrypoint;
use super::finding::{BUILTIN, Finding, FindingKind};
use super::inventory::Inventory;
use cli_support::error::Fault;
use cli_support::time::Date;
use rust_workspace::settings::{FILE, Unlisted, proposed};
use rust_workspace::severity::Severity;

/// The rule that such a program breaks.
const ID: &str = "XT-UNLISTED";

/// A program that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProgram {
    /// Its path, links followed.
    pub path: String,
    /// Whether the container starts it.
    pub starts: bool,
}

/// One that is overlooked.
#[derive(Clone, Debug, Serialize)]
pub struct Overlooked {
    /// Its path, links followed.
    pub path: String,
    /// Why.
    pub reason: String,
    /// The last day on which it is.
    pub expires: Date,
}

impl UnknownProgram {
    /// What it is, in words.
    pub fn what(&self) -> &'static str {
        if self.starts {
            "the container starts this program, which has no section .dep-v0 and is of no package of the operating system: nobody knows what it is made of"
        } else {
            "the program does not say which crates are in it: it has no section .dep-v0"
        }
    }

    /// What to do, with the lines of the settings that overlook it.
    pub fn hint(&self) -> String {
        let expires = proposed();
        let mend = if self.starts {
            "build it with the list of crates in it (cargo xtask image, or cargo auditable), or install it from a package of the operating system"
        } else {
            "build it with the list of crates in it (cargo xtask image, or cargo auditable)"
        };
        format!(
            "{mend}; else {FILE} can overlook it for a time:\n[[scan.unlisted]]\npath = {}\nreason = \"why it may be trusted\"\nexpires = \"{expires}\"",
            quoted(&self.path)
        )
    }
}

/// A string as TOML has it (v1.0.0, "String").
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(char))),
            char => out.push(char),
        }
    }
    out + "\""
}

/// The programs of an image that nobody knows: those that it starts, and on a base without packages all that
/// may be run. The program at `expected` is the workspace's own, and none of them.
pub fn silent(inventory: &Inventory, expected: Option<&str>) -> Vec<UnknownProgram> {
    let started = entrypoint::silent(inventory);
    let bare = inventory.is_bare();
    let mute = inventory.programs.iter().filter(|program| {
        bare && program.executable && program.audit.is_none() && program.unreadable.is_none()
    });
    let paths: BTreeSet<_> = mute.map(|program| program.path.clone()).chain(started.clone()).collect();
    let own = expected.and_then(|path| inventory.rootfs.resolve(path)).map(|(path, _)| format!("/{path}"));
    let others = paths.into_iter().filter(|path| Some(path) != own.as_ref());
    others.map(|path| UnknownProgram { starts: started.contains(&path), path }).collect()
}

/// Those of them that an entry is for whose day is not over. An entry may name a link to the program.
pub fn overlooked(
    inventory: &Inventory,
    silent: &[UnknownProgram],
    entries: &[Unlisted],
    today: Date,
) -> Vec<Overlooked> {
    let valid: Vec<_> = entries.iter().filter(|entry| entry.exception.expires >= today).collect();
    let entry_for = |one: &UnknownProgram| {
        valid.iter().find(|entry| leads_to(inventory, entry, &one.path)).map(|entry| &entry.exception)
    };
    let found = silent.iter().filter_map(|one| entry_for(one).map(|exception| (one, exception)));
    found
        .map(|(one, exception)| Overlooked {
            path: one.path.clone(),
            reason: exception.reason.clone(),
            expires: exception.expires,
        })
        .collect()
}

/// Whether an entry names the program at a path.
fn leads_to(inventory: &Inventory, entry: &Unlisted, path: &str) -> bool {
    inventory.rootfs.resolve(&entry.path).is_some_and(|(found, _)| format!("/{found}") == path)
}

/// Entries whose day is over, as faults, and those that no program of any platform needs.
pub fn judge(
    entries: &[Unlisted],
    seen: &[(&Inventory, &[Overlooked])],
    today: Date,
) -> (Vec<Fault>, Vec<String>) {
    let (over, valid): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.exception.expires < today);
    let fault = |entry: &&Unlisted| {
        let what = format!("{} was to be overlooked until {}", entry.path, entry.exception.expires);
        let what = format!("{what}: {}", entry.exception.reason);
        Fault::gate(what)
            .at(&entry.exception.place)
            .hint("look at it again: list its crates, or set a later day")
    };
    let is_needed = |entry: &&Unlisted| {
        let mut programs =
            seen.iter().flat_map(|(inventory, all)| all.iter().map(move |one| (inventory, one)));
        programs.any(|(inventory, one)| leads_to(inventory, entry, &one.path))
    };
    let idle = valid.iter().filter(|entry| !is_needed(entry));
    let note = |entry: &&Unlisted| {
        format!(
            "{}: no program at {} needs to be overlooked; its entry can go",
            entry.exception.place, entry.path
        )
    };
    (over.iter().map(fault).collect(), idle.map(note).collect())
}

/// What is overlooked, as the report has it: nobody is to take such a program for one that was seen.
pub fn findings(overlooked: &[Overlooked], inventory: &Inventory) -> Vec<Finding> {
    let finding = |one: &Overlooked| Finding {
        subject: one.path.clone(),
        place: one.path.clone(),
        note: "nobody knows what this program is made of".to_owned(),
        platforms: [inventory.image.platform.to_string()].into(),
        ignored: Some(format!("{} (until {})", one.reason, one.expires)),
        ..Finding::new(FindingKind::Config, ID, Severity::Critical, BUILTIN)
    };
    overlooked.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_string_of_toml() {
        for path in ["/bin/app", "/bin/a\"b\\c", "/bin/\u{1b}[0m\nexpires", "/bücher"] {
            let text = format!("path = {}", quoted(path));
            let table = toml::de::DeTable::parse(&text).unwrap();
            assert_eq!(table.get_ref()["path"].get_ref().as_str(), Some(path));
        }
    }

    #[test]
    fn the_lines_that_are_proposed_are_read() {
        let hint = UnknownProgram { path: "/usr/local/bin/app".to_owned(), starts: true }.hint();
        let (_, lines) = hint.split_once('\n').unwrap();
        let text = format!("package = 'x'\n{lines}\n");
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("xtask")).unwrap();
        std::fs::write(temp.path().join(FILE), text).unwrap();
        let settings = rust_workspace::settings::Workspace::open(temp.path()).unwrap().settings;
        let entry = &settings.scan.unlisted[0];
        assert_eq!((&*entry.path, &*entry.exception.place), ("/usr/local/bin/app", "xtask/image.toml:2:1"));
    }
}
