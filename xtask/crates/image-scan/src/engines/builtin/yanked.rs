//! Yanked crates. Only the registry's index lists them (the Cargo book, "Registry Index", sparse protocol).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use semver::Version;
use serde::Deserialize;

use crate::engines::builtin::{NAME, from_registry};
use crate::finding::{Finding, FindingKind};
use crate::image::inventory::Inventory;
use cli_support::error::Fault;
use cli_support::threads::each;
use oci_registry::{Downloads, retry::Policy, wire::Timeouts};
use rust_workspace::severity::Severity;

/// The rule's id.
const ID: &str = "XT-YANKED";
/// The longest file of an index, in bytes. The longest at crates.io has 4 MB.
const MAX_BYTES: u64 = 64 << 20;
/// The most crates that are looked up.
const MAX_ENTRIES: usize = 2_000;
/// The time after which no more requests start. The result is only a warning.
const DEADLINE: Duration = Duration::from_secs(10);
/// The timeout of one request without progress.
const IDLE: Duration = Duration::from_secs(3);

/// The versions of crates.io's crates in all platforms, by name.
pub fn crates<'a>(inventories: &'a [Inventory]) -> BTreeMap<&'a str, BTreeSet<&'a Version>> {
    let mut names: BTreeMap<&'a str, BTreeSet<&'a Version>> = BTreeMap::new();
    for inventory in inventories {
        let all = inventory.audited().flat_map(|(_, audit)| audit.linked());
        for package in all.filter(|package| from_registry(package)) {
            names.entry(&package.name).or_default().insert(&package.version);
        }
    }
    names
}

/// Looks up each crate, and gives a note for each version that is yanked or missing.
pub fn look_up(
    index: &str,
    crates: &BTreeMap<&str, BTreeSet<&Version>>,
) -> Result<BTreeMap<(String, Version), &'static str>> {
    if crates.len() > MAX_ENTRIES {
        let what = format!("the image has {} crates; the limit is {MAX_ENTRIES}", crates.len());
        return Err(Fault::failed(what).into());
    }
    let started = Instant::now();
    let policy = Policy { attempts: 2, total: IDLE / 2, ..Policy::default() };
    let downloads = Downloads::with(policy, Timeouts { connect: IDLE, idle: IDLE });
    let names: Vec<_> = crates.iter().collect();
    let notes = each(&names, |(name, versions)| {
        if started.elapsed() > DEADLINE {
            let what = format!("not all crates were looked up within {} s", DEADLINE.as_secs());
            return Err(Fault::failed(what).at(index).into());
        }
        let path =
            path(name).with_context(|| Fault::failed(format!("'{name}' is not a valid crate name")))?;
        let address = format!("{}/{path}", index.trim_end_matches('/'));
        let file = downloads.get(&address, MAX_BYTES)?;
        let notes = not_offered(file.as_deref().unwrap_or_default(), versions).with_context(|| address)?;
        Ok(notes
            .into_iter()
            .map(|(version, what)| (((**name).to_owned(), version), what))
            .collect::<Vec<_>>())
    })?;
    Ok(notes.into_iter().flatten().collect())
}

/// The path of a crate's file in the index; none for an invalid name, which could lead to another path.
fn path(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return None;
    }
    let name = name.to_ascii_lowercase();
    Some(match name.len() {
        1 | 2 => format!("{}/{name}", name.len()),
        3 => format!("3/{}/{name}", &name[..1]),
        _ => format!("{}/{}/{name}", &name[..2], &name[2..4]),
    })
}

#[derive(Deserialize)]
struct Line {
    vers: Version,
    #[serde(default)]
    yanked: bool,
}

/// The versions that a crate's file in the index does not offer, each with a note.
fn not_offered(file: &[u8], versions: &BTreeSet<&Version>) -> Result<Vec<(Version, &'static str)>> {
    let mut state: BTreeMap<Version, bool> = BTreeMap::new();
    for line in file.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let line: Line = serde_json::from_slice(line).context("not a registry index")?;
        state.insert(line.vers, line.yanked);
    }
    let notes = versions.iter().filter_map(|version| match state.get(version) {
        Some(false) => None,
        Some(true) => Some(((*version).clone(), "this version was yanked")),
        None => Some(((*version).clone(), "this version is not in the registry's index")),
    });
    Ok(notes.collect())
}

/// The notes as findings. They are warnings, because versions are yanked for many reasons.
pub fn findings(inventory: &Inventory, notes: &BTreeMap<(String, Version), &'static str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (program, audit) in inventory.audited() {
        let paths = audit.paths();
        for (at, package) in audit.packages.iter().enumerate().filter(|(_, one)| from_registry(one)) {
            let Some(what) = notes.get(&(package.name.clone(), package.version.clone())) else { continue };
            findings.push(Finding {
                subject: package.name.clone(),
                version: package.version.to_string(),
                path: paths.to(at),
                place: program.path.clone(),
                note: (*what).to_owned(),
                link: format!("https://crates.io/crates/{}/versions", package.name),
                platforms: [inventory.image.platform.to_string()].into(),
                ..Finding::new(FindingKind::Notice, ID, Severity::Info, NAME)
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_paths() {
        for (name, expected) in [
            ("a", Some("1/a")),
            ("ab", Some("2/ab")),
            ("abc", Some("3/a/abc")),
            ("Serde_json", Some("se/rd/serde_json")),
            ("", None),
            ("../x", None),
            ("a/b", None),
            ("bücher", None),
        ] {
            assert_eq!(path(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn yanked_and_missing_versions_are_noted() {
        let file =
            b"{\"vers\":\"1.0.0\",\"yanked\":false}\n{\"vers\":\"1.0.1\",\"yanked\":true,\"more\":1}\n";
        let versions: Vec<Version> = ["1.0.0", "1.0.1", "1.0.2"].map(|text| text.parse().unwrap()).into();
        let notes = not_offered(file, &versions.iter().collect()).unwrap();
        let shown: Vec<_> = notes.iter().map(|(version, what)| format!("{version} {what}")).collect();
        assert_eq!(
            shown,
            ["1.0.1 this version was yanked", "1.0.2 this version is not in the registry's index"]
        );
        assert!(not_offered(b"<html>", &versions.iter().collect()).is_err());
    }
}
