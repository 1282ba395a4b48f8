//! Crates that their makers took back (yanked), which only the registry's index knows (the Cargo book,
//! "Registry Index", sparse protocol).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use semver::Version;
use serde::Deserialize;

use super::builtin::{NAME, from_registry};
use super::finding::{Finding, FindingKind};
use super::inventory::Inventory;
use cli_support::error::Fault;
use oci_registry::{Downloads, retry::Policy, wire::Timeouts};
use rust_workspace::severity::Severity;

/// The rule's name.
const ID: &str = "XT-YANKED";
/// The longest file of an index; that of the crate with the most versions has 4 MB.
const MAX_BYTES: u64 = 64 << 20;
/// The most crates that are asked about. Whoever makes an image longer does not want to be looked at.
const MAX_ENTRIES: usize = 2_000;
/// Questions at one time.
const AT_ONCE: usize = 8;
/// No question is asked later than this after the first, and none waits longer: all of it is worth a warning.
const LAST_QUESTION: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(3);

/// The crates of crates.io in all images, by name.
pub fn asked<'a>(inventories: &'a [Inventory]) -> BTreeMap<&'a str, BTreeSet<&'a Version>> {
    let mut names: BTreeMap<&'a str, BTreeSet<&'a Version>> = BTreeMap::new();
    for inventory in inventories {
        let all = inventory.audited().flat_map(|(_, audit)| audit.linked());
        for package in all.filter(|package| from_registry(package)) {
            names.entry(&package.name).or_default().insert(&package.version);
        }
    }
    names
}

/// Asks the index about each crate, and gives what is to be said of its versions.
pub fn look_up(
    index: &str,
    asked: &BTreeMap<&str, BTreeSet<&Version>>,
) -> Result<BTreeMap<(String, Version), &'static str>> {
    if asked.len() > MAX_ENTRIES {
        let what = format!("the image has {} crates; {MAX_ENTRIES} are looked up at most", asked.len());
        return Err(Fault::failed(what).into());
    }
    let started = Instant::now();
    let policy = Policy { attempts: 2, total: IDLE / 2, ..Policy::default() };
    let downloads = Downloads::with(policy, Timeouts { connect: IDLE, idle: IDLE });
    let names: Vec<_> = asked.iter().collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || -> Result<()> {
        while let Some((name, versions)) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = path(name).with_context(|| Fault::failed(format!("'{name}' is no crate's name")))?;
            let address = format!("{}/{path}", index.trim_end_matches('/'));
            let stop = |error: anyhow::Error| {
                // One that does not answer will not answer the other questions either.
                next.store(names.len(), Ordering::Relaxed);
                error
            };
            if started.elapsed() > LAST_QUESTION {
                let what = format!("not all of it was answered in {} s", LAST_QUESTION.as_secs());
                return Err(stop(Fault::failed(what).at(index).into()));
            }
            let file = downloads.get(&address, MAX_BYTES).map_err(stop)?;
            let said = say(file.as_deref().unwrap_or_default(), versions).with_context(|| address.clone());
            for (version, what) in said.map_err(stop)? {
                let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                found.insert(((**name).to_owned(), version), what);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(names.len())).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// A crate's file in the index; none where the name could be no crate's, and would lead elsewhere.
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

/// What a crate's file says of these versions, where that is not that all is well.
fn say(file: &[u8], versions: &BTreeSet<&Version>) -> Result<Vec<(Version, &'static str)>> {
    let mut state: BTreeMap<Version, bool> = BTreeMap::new();
    for line in file.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let line: Line = serde_json::from_slice(line).context("this is no index of crates")?;
        state.insert(line.vers, line.yanked);
    }
    let said = versions.iter().filter_map(|version| match state.get(version) {
        Some(false) => None,
        Some(true) => Some(((*version).clone(), "its makers took this version back (yanked)")),
        None => Some(((*version).clone(), "this version is not in the registry's index any more")),
    });
    Ok(said.collect())
}

/// What was said, as findings: warnings, since a version that is taken back may be so for many reasons.
pub fn findings(inventory: &Inventory, said: &BTreeMap<(String, Version), &'static str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (program, audit) in inventory.audited() {
        let paths = audit.paths();
        for (at, package) in audit.packages.iter().enumerate().filter(|(_, one)| from_registry(one)) {
            let Some(what) = said.get(&(package.name.clone(), package.version.clone())) else { continue };
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
    fn where_a_crate_is_in_the_index() {
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
    fn what_an_index_says_of_versions() {
        let file =
            b"{\"vers\":\"1.0.0\",\"yanked\":false}\n{\"vers\":\"1.0.1\",\"yanked\":true,\"more\":1}\n";
        let versions: Vec<Version> = ["1.0.0", "1.0.1", "1.0.2"].map(|text| text.parse().unwrap()).into();
        let said = say(file, &versions.iter().collect()).unwrap();
        let shown: Vec<_> = said.iter().map(|(version, what)| format!("{version} {what}")).collect();
        assert_eq!(
            shown,
            [
                "1.0.1 its makers took this version back (yanked)",
                "1.0.2 this version is not in the registry's index any more"
            ]
        );
        assert!(say(b"<html>", &versions.iter().collect()).is_err());
    }
}
