//! Programs with unknown content: without a list of crates, and in no package. The settings can except them for a time
//! (`[[scan.unlisted]]`).

use std::collections::BTreeSet;

use serde::Serialize;

use crate::finding::{BUILTIN, Finding, FindingKind};
use crate::image::entrypoint;
use crate::image::inventory::Inventory;
use cli_support::error::Fault;
use cli_support::time::Date;
use rust_workspace::settings::{Unlisted, file, proposed};
use rust_workspace::severity::Severity;

/// The rule's id.
const ID: &str = "XT-UNLISTED";
/// The message for a program without a list of crates.
pub(super) const NO_LIST: &str = "the program has no list of crates: it has no section .dep-v0";

/// A program with unknown content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProgram {
    /// Its path, links resolved.
    pub path: String,
    /// Whether the container starts it.
    pub starts: bool,
}

/// An unknown program that an entry of the settings excepts.
#[derive(Clone, Debug, Serialize)]
pub struct ExceptedProgram {
    /// Its path, links resolved.
    pub path: String,
    /// The reason in the settings.
    pub reason: String,
    /// The last day of the exception.
    pub expires: Date,
}

impl UnknownProgram {
    /// The message.
    pub fn what(&self) -> &'static str {
        if self.starts {
            "the container starts this program, whose content is unknown: it has no section .dep-v0 and belongs to no package"
        } else {
            NO_LIST
        }
    }

    /// The hint, with the lines of the settings for an exception.
    pub fn hint(&self) -> String {
        let package = if self.starts { ", or install it from a package of the operating system" } else { "" };
        format!(
            "build it with cargo xtask image or cargo auditable{package}; or except it for a time in {}:\n[[scan.unlisted]]\npath = {}\nreason = \"why it may be trusted\"\nexpires = \"{}\"",
            file(),
            toml_string(&self.path),
            proposed()
        )
    }
}

/// A basic string (TOML v1.0.0, "String").
fn toml_string(text: &str) -> String {
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

/// The unknown programs of an image: those that it starts, and on a base without packages every executable one. Never
/// the workspace's own program, which is at `expected`.
pub fn unknown_programs(inventory: &Inventory, expected: Option<&str>) -> Vec<UnknownProgram> {
    let started = entrypoint::unknown_programs(inventory);
    let bare = inventory.is_bare();
    let unlisted = inventory.programs.iter().filter(|program| {
        bare && program.executable && program.audit.is_none() && program.unreadable.is_none()
    });
    let paths: BTreeSet<_> = unlisted.map(|program| program.path.clone()).chain(started.clone()).collect();
    let own = expected.and_then(|path| inventory.rootfs.resolve(path)).map(|(path, _)| format!("/{path}"));
    let others = paths.into_iter().filter(|path| Some(path) != own.as_ref());
    others.map(|path| UnknownProgram { starts: started.contains(&path), path }).collect()
}

/// The unknown programs that an unexpired entry excepts. An entry may name a link to the program.
pub fn excepted(
    inventory: &Inventory,
    expected: Option<&str>,
    entries: &[Unlisted],
    today: Date,
) -> Vec<ExceptedProgram> {
    let valid: Vec<_> = entries.iter().filter(|entry| entry.exception.expires >= today).collect();
    let excepted = unknown_programs(inventory, expected).into_iter().filter_map(|program| {
        let entry = valid.iter().find(|entry| names(inventory, entry, &program.path))?;
        let (reason, expires) = (entry.exception.reason.clone(), entry.exception.expires);
        Some(ExceptedProgram { path: program.path, reason, expires })
    });
    excepted.collect()
}

/// Whether an entry names the program at a path.
fn names(inventory: &Inventory, entry: &Unlisted, path: &str) -> bool {
    inventory.rootfs.resolve(&entry.path).is_some_and(|(found, _)| format!("/{found}") == path)
}

/// Faults for expired entries, and notes about entries that no platform needs.
pub fn check_entries(
    entries: &[Unlisted],
    scanned: &[(&Inventory, &[ExceptedProgram])],
    today: Date,
) -> (Vec<Fault>, Vec<String>) {
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    for entry in entries {
        let (path, exception) = (&entry.path, &entry.exception);
        let mut programs =
            scanned.iter().flat_map(|(inventory, all)| all.iter().map(move |one| (inventory, one)));
        if exception.expires < today {
            let what =
                format!("the exception for {path} expired on {}: {}", exception.expires, exception.reason);
            let hint = "build the program with a list of crates, or set a later day";
            faults.push(Fault::gate(what).at(&exception.place).hint(hint));
        } else if !programs.any(|(inventory, one)| names(inventory, entry, &one.path)) {
            let place = &exception.place;
            notes.push(format!("{place}: no program needs the exception for {path}; remove the entry"));
        }
    }
    (faults, notes)
}

/// Excepted programs as findings, so that the report shows them.
pub fn findings(excepted: &[ExceptedProgram], inventory: &Inventory) -> Vec<Finding> {
    let finding = |one: &ExceptedProgram| Finding {
        subject: one.path.clone(),
        place: one.path.clone(),
        note: "the content of this program is unknown".to_owned(),
        platforms: [inventory.image.platform.to_string()].into(),
        ignored: Some(format!("{} (until {})", one.reason, one.expires)),
        ..Finding::new(FindingKind::Config, ID, Severity::Critical, BUILTIN)
    };
    excepted.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_valid_toml_strings() {
        for path in ["/bin/app", "/bin/a\"b\\c", "/bin/\u{1b}[0m\nexpires", "/bücher"] {
            let text = format!("path = {}", toml_string(path));
            let table = toml::de::DeTable::parse(&text).unwrap();
            assert_eq!(table.get_ref()["path"].get_ref().as_str(), Some(path));
        }
    }

    #[test]
    fn the_proposed_lines_are_valid_settings() {
        let hint = UnknownProgram { path: "/usr/local/bin/app".to_owned(), starts: true }.hint();
        let (_, lines) = hint.split_once('\n').unwrap();
        let text = format!("package = 'x'\n{lines}\n");
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("xtask")).unwrap();
        std::fs::write(temp.path().join(file()), text).unwrap();
        let settings = rust_workspace::settings::Workspace::open(temp.path()).unwrap().settings;
        let entry = &settings.scan.unlisted[0];
        assert_eq!((&*entry.path, &*entry.exception.place), ("/usr/local/bin/app", "xtask/image.toml:2:1"));
    }
}
