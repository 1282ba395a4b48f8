//! The advisory file `xtask/advisories.jsonl`: ids, versions and ratings from the RustSec advisory database.
//!
//! A header line, then one JSON object a line, sorted by id: an update changes few lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::engines::builtin::cvss_score;
use crate::engines::builtin::range;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::time::Date;
use rust_workspace::severity::Severity;

/// The file's path below the workspace's root.
pub const FILE: &str = "xtask/advisories.jsonl";

/// The advisories of this program's source, for a workspace without the file.
const BUILT_IN: &str = include_str!("../../../../../advisories.jsonl");

/// The file that `cargo xtask advisories update` writes: that of the workspace at `root` where its folder exists, otherwise
/// the user's own.
pub fn destination(root: &Path) -> Option<PathBuf> {
    let own = root.join(FILE);
    // A workspace with its settings in this folder keeps the advisories beside them.
    let beside = own.with_file_name("image.toml").exists();
    if own.exists() || beside { Some(own) } else { cache() }
}

/// The user's own file (XDG Base Directory Specification, XDG_CACHE_HOME).
fn cache() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(folder.join("cargo-xtask").join("advisories.jsonl"))
}

const SCHEMA: &str = "xtask.advisories/1";

/// The header line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbHeader {
    schema: String,
    /// The source of the advisories.
    pub source: String,
    /// The source's commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The date of the newest advisory.
    pub date: Date,
    /// The number of advisories. Detects a truncated file.
    pub advisories: usize,
    /// The digest of the other lines. Detects edits and bad merges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Digest>,
}

/// One advisory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// `RUSTSEC-2024-0003`.
    pub id: String,
    /// The crate.
    pub package: String,
    /// When it was published.
    pub date: Date,
    /// Other ids: CVE and GHSA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Fixed versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patched: Vec<VersionReq>,
    /// Versions that were never affected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unaffected: Vec<VersionReq>,
    /// A CVSS vector, version 3 or 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss: Option<String>,
    /// `unmaintained`, `unsound` or `notice`; none for a vulnerability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub informational: Option<String>,
    /// When it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Date>,
    /// The affected operating systems; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub os: Vec<String>,
    /// The affected architectures; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arch: Vec<String>,
}

impl Advisory {
    /// Whether it affects this version of its crate.
    pub fn affects(&self, version: &Version) -> bool {
        self.withdrawn.is_none() && range::affects(version, self.patched.iter().chain(&self.unaffected))
    }

    /// Whether it affects Linux on this architecture (Rust's name).
    pub fn concerns(&self, arch: &str) -> bool {
        let names = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        names(&self.os, "linux") && names(&self.arch, arch)
    }

    /// The severity of its CVSS vector; unknown without one.
    pub fn severity(&self) -> Severity {
        self.cvss.as_deref().and_then(cvss_score::score).map_or(Severity::Unknown, Severity::of_score)
    }

    /// The page at rustsec.org.
    pub fn link(&self) -> String {
        format!("https://rustsec.org/advisories/{}.html", self.id)
    }
}

/// The advisories of a file.
#[derive(Clone, Debug)]
pub struct AdvisoryDb {
    /// The header.
    pub header: DbHeader,
    by_crate: BTreeMap<String, Vec<Advisory>>,
}

impl AdvisoryDb {
    /// A database of these advisories.
    pub fn new(source: String, commit: Option<String>, date: Date, advisories: Vec<Advisory>) -> Self {
        let (schema, count) = (SCHEMA.to_owned(), advisories.len());
        let header = DbHeader { schema, source, commit, date, advisories: count, body: None };
        Self { header, by_crate: index(advisories) }
    }

    /// Reads the file of the workspace at `root`; without one, the newer of the user's own and that of this program.
    pub fn read(root: &Path) -> Result<Self> {
        let own = root.join(FILE);
        if own.exists() {
            return Self::of_file(&own, FILE);
        }
        let built_in = Self::parse(BUILT_IN).context("the advisories of this program")?;
        match cache().filter(|path| path.exists()) {
            Some(path) => {
                let cached = Self::of_file(&path, &path.display().to_string())?;
                Ok(if cached.date() < built_in.date() { built_in } else { cached })
            }
            None => Ok(built_in),
        }
    }

    fn of_file(path: &Path, shown: &str) -> Result<Self> {
        let hint = "run cargo xtask advisories update --from DIR, TAR or URL";
        let text = std::fs::read_to_string(path)
            .with_context(|| Fault::gate("cannot read the advisory file").at(shown).hint(hint))?;
        Self::parse(&text).with_context(|| Fault::gate("the advisory file is damaged").at(shown).hint(hint))
    }

    /// Parses what [`AdvisoryDb::print`] writes.
    pub fn parse(text: &str) -> Result<Self> {
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let header: DbHeader = serde_json::from_str(first).context("line 1")?;
        if header.schema != SCHEMA {
            return Err(Fault::failed(format!("line 1: '{}' is not '{SCHEMA}'", header.schema)).into());
        }
        let advisories = (2..).zip(body.lines()).map(|(number, line)| {
            serde_json::from_str::<Advisory>(line).with_context(|| format!("line {number}"))
        });
        let advisories = advisories.collect::<Result<Vec<_>>>()?;
        if advisories.len() != header.advisories {
            let (expected, found) = (header.advisories, advisories.len());
            let what = format!("line 1 says {expected} advisories, the file has {found}");
            return Err(Fault::failed(what).into());
        }
        if advisories.is_empty() {
            return Err(Fault::failed("the file has no advisory").into());
        }
        // A duplicate could hide a missing advisory in the count.
        if let Some((number, pair)) =
            (3..).zip(advisories.windows(2)).find(|(_, pair)| pair[0].id >= pair[1].id)
        {
            let what = format!("line {number}: {} does not come after {}", pair[1].id, pair[0].id);
            return Err(Fault::failed(what).into());
        }
        // Git may have converted line endings.
        let unix = body.replace("\r\n", "\n");
        let expected = header.body.ok_or_else(|| {
            Fault::failed("line 1: the key 'body' is missing, the digest of the other lines")
        })?;
        if expected != Digest::of(unix.as_bytes()) {
            let what = format!("the lines do not have the digest in line 1, {expected}: the file was edited");
            return Err(Fault::failed(what).into());
        }
        Ok(Self { header, by_crate: index(advisories) })
    }

    /// The file's text.
    pub fn print(&self) -> Result<String> {
        let mut body = String::new();
        let mut all: Vec<_> = self.all().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        for advisory in all {
            writeln!(body, "{}", serde_json::to_string(advisory)?)?;
        }
        let header = DbHeader { body: Some(Digest::of(body.as_bytes())), ..self.header.clone() };
        Ok(format!("{}\n{body}", serde_json::to_string(&header)?))
    }

    /// Every advisory, sorted by crate.
    pub fn all(&self) -> impl Iterator<Item = &Advisory> {
        self.by_crate.values().flatten()
    }

    /// The advisories about a version of a crate.
    pub fn about<'a>(&'a self, name: &str, version: &'a Version) -> impl Iterator<Item = &'a Advisory> {
        self.by_crate.get(name).into_iter().flatten().filter(|advisory| advisory.affects(version))
    }

    /// The date of the newest advisory. A later date in the header does not count.
    pub fn date(&self) -> Date {
        self.all().map(|advisory| advisory.date).max().unwrap_or(self.header.date).min(self.header.date)
    }

    /// An error where there are fewer advisories than `least`.
    pub fn check_count(&self, least: u64) -> Result<(), Fault> {
        let count = self.header.advisories as u64;
        if count < least {
            let what = format!("the file has {count} advisories; at least {least} are required");
            let hint =
                "run cargo xtask advisories update, or lower min-advisories in [scan] of xtask/image.toml";
            return Err(Fault::gate(what).at(FILE).hint(hint));
        }
        Ok(())
    }

    /// An error where these advisories are older than `old`, or more than a tenth fewer.
    pub fn check_follows(&self, old: &Self, fewer: bool) -> Result<(), Fault> {
        if old.date() > self.date() {
            let what = format!("the source is of {}, older than {FILE} of {}", self.date(), old.date());
            return Err(Fault::failed(what).hint(format!("delete {FILE} first to use the older source")));
        }
        let (before, after) = (old.header.advisories, self.header.advisories);
        if !fewer && after < before - before / 10 {
            let what = format!("the source has {after} advisories, a tenth fewer than {FILE} with {before}");
            return Err(Fault::failed(what).hint("use --allow-fewer if the source is right"));
        }
        Ok(())
    }
}

fn index(advisories: Vec<Advisory>) -> BTreeMap<String, Vec<Advisory>> {
    let mut by_crate: BTreeMap<String, Vec<Advisory>> = BTreeMap::new();
    for advisory in advisories {
        by_crate.entry(advisory.package.clone()).or_default().push(advisory);
    }
    by_crate
}

/// A file with these lines below the header.
#[cfg(test)]
pub fn document(date: &str, lines: &[String]) -> String {
    let body: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let digest = Digest::of(body.as_bytes());
    let count = lines.len();
    let header = serde_json::json!({
        "schema": SCHEMA, "source": "test", "date": date, "advisories": count, "body": digest,
    });
    format!("{header}\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> AdvisoryDb {
        let advisory = Advisory {
            id: "RUSTSEC-2024-0001".to_owned(),
            package: "x".to_owned(),
            date: "2024-06-01".parse().unwrap(),
            aliases: vec!["CVE-2024-1".to_owned()],
            patched: vec![VersionReq::parse(">= 1.2").unwrap()],
            unaffected: Vec::new(),
            cvss: None,
            informational: None,
            withdrawn: None,
            os: vec!["windows".to_owned()],
            arch: Vec::new(),
        };
        AdvisoryDb::new("here".to_owned(), None, "2024-06-01".parse().unwrap(), vec![advisory])
    }

    #[test]
    fn edited_and_truncated_files_are_refused() {
        let text = database().print().unwrap();
        let again = AdvisoryDb::parse(&text).unwrap();
        assert_eq!(again.print().unwrap(), text);
        let first = text.lines().next().unwrap();
        assert!(AdvisoryDb::parse(first).unwrap_err().to_string().contains("line 1 says 1"));
        assert!(AdvisoryDb::parse("").is_err());
        assert!(AdvisoryDb::parse(&text.replace("advisories/1", "advisories/2")).is_err());
        let edited = AdvisoryDb::parse(&text.replace(">=1.2", ">=1.1")).unwrap_err().to_string();
        assert!(edited.contains("do not have the digest"), "{edited}");
        assert!(AdvisoryDb::parse(&text.replace('\n', "\r\n")).is_ok());
        let at = text.find(",\"body\"").unwrap();
        let without = format!("{}{}", &text[..at], &text[text.find('}').unwrap()..]);
        assert!(AdvisoryDb::parse(&without).unwrap_err().to_string().contains("'body' is missing"));
    }

    #[test]
    fn ids_must_ascend() {
        for (ids, good) in [
            (&[][..], false),
            (&["A-1"], true),
            (&["A-1", "A-2"], true),
            (&["A-2", "A-1"], false),
            (&["A-1", "A-1"], false),
        ] {
            let line = |id: &&str| format!("{{\"id\":\"{id}\",\"package\":\"x\",\"date\":\"2026-01-01\"}}");
            let lines: Vec<_> = ids.iter().map(line).collect();
            assert_eq!(AdvisoryDb::parse(&document("2026-01-01", &lines)).is_ok(), good, "{ids:?}");
        }
    }

    #[test]
    fn updates_are_newer_and_not_much_smaller() {
        let of = |date: &str, count: usize| {
            let mut changed = database();
            changed.header.date = date.parse().unwrap();
            changed.by_crate.values_mut().flatten().for_each(|one| one.date = changed.header.date);
            changed.header.advisories = count;
            changed
        };
        let old = of("2026-01-10", 1000);
        for (date, count, fewer, good) in [
            ("2026-01-10", 1000, false, true),
            ("2026-01-11", 900, false, true),
            ("2026-01-11", 899, false, false),
            ("2026-01-11", 899, true, true),
            ("2026-01-09", 1001, false, false),
        ] {
            assert_eq!(of(date, count).check_follows(&old, fewer).is_ok(), good, "{date} {count}");
        }
    }

    #[test]
    fn advisories_affect_versions_and_systems() {
        let database = database();
        let ids = |name, version: &str| database.about(name, &version.parse().unwrap()).count();
        assert_eq!((ids("x", "1.1.9"), ids("x", "1.2.0"), ids("y", "1.0.0")), (1, 0, 0));
        assert!(!database.all().next().unwrap().concerns("x86_64"));
    }

    #[test]
    fn a_later_date_in_the_header_does_not_count() {
        let mut redated = database();
        redated.header.date = "2026-01-01".parse().unwrap();
        assert_eq!(redated.date(), "2024-06-01".parse().unwrap());
    }

    #[test]
    fn a_minimum_number_is_required() {
        for (least, good) in [(0, true), (1, true), (2, false)] {
            assert_eq!(database().check_count(least).is_ok(), good, "{least}");
        }
    }

    /// The fixture has the advisories and severities that the crate `rustsec` 0.34 gives for each version. Half of the
    /// versions are at the edge of a range. `xtask/tests/support/verdicts` generates it (see its main.rs).
    #[test]
    fn verdicts_agree_with_the_rustsec_crate() {
        let database = AdvisoryDb::parse(include_str!("fixture/advisories.jsonl")).unwrap();
        let mut count = 0;
        for line in include_str!("fixture/verdicts.txt").lines() {
            let mut words = line.splitn(3, ' ');
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            let version = version.parse().unwrap();
            let mut found: Vec<_> = database
                .about(name, &version)
                .map(|advisory| match advisory.severity() {
                    Severity::Unknown => format!("{}:-", advisory.id),
                    Severity::Info => format!("{}:none", advisory.id),
                    severity => format!("{}:{severity}", advisory.id),
                })
                .collect();
            found.sort();
            assert_eq!(found.join(","), words.next().unwrap_or_default(), "{name} {version}");
            count += 1;
        }
        assert!(count >= 200, "{count}");
    }
}
