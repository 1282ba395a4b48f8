//! What is known of crates that should not be used: facts from the RustSec advisory database, kept in
//! the repository, so that a scan needs neither tool nor network.
//!
//! One JSON object a line, sorted by id, after a line that says where they come from: a change of the
//! database is a change of a few lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::cvss_score;
use super::range;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::time::Date;
use rust_workspace::severity::Severity;

/// Where the facts are, below the workspace's root.
pub const FILE: &str = "xtask/advisories.jsonl";

const SCHEMA: &str = "xtask.advisories/1";

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbHeader {
    schema: String,
    /// Where the facts were taken from.
    pub source: String,
    /// The source's commit, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The day up to which the source is known to be complete.
    pub date: Date,
    /// How many there are: a file that was cut short is noticed.
    pub advisories: usize,
    /// The digest of all lines below: one that was changed by hand or in a merge is noticed.
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
    /// When it was made known.
    pub date: Date,
    /// Other names of the same thing: CVE and GHSA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Versions in which it is fixed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patched: Vec<VersionReq>,
    /// Versions that never had it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unaffected: Vec<VersionReq>,
    /// A CVSS vector, version 3 or 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss: Option<String>,
    /// `unmaintained`, `unsound` or `notice`; none for a vulnerability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub informational: Option<String>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Date>,
    /// The operating systems that it is about; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub os: Vec<String>,
    /// The architectures that it is about; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arch: Vec<String>,
}

impl Advisory {
    /// Whether it is about this version of its crate.
    pub fn affects(&self, version: &Version) -> bool {
        self.withdrawn.is_none() && range::affects(version, self.patched.iter().chain(&self.unaffected))
    }

    /// Whether it is about programs on Linux on this architecture, as Rust names it.
    pub fn concerns(&self, arch: &str) -> bool {
        let names = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        names(&self.os, "linux") && names(&self.arch, arch)
    }

    /// How bad it is: from its CVSS vector; without one, unknown.
    pub fn severity(&self) -> Severity {
        self.cvss.as_deref().and_then(cvss_score::score).map_or(Severity::Unknown, Severity::of_score)
    }

    /// Where it is explained.
    pub fn link(&self) -> String {
        format!("https://rustsec.org/advisories/{}.html", self.id)
    }
}

/// All advisories and where they are from.
#[derive(Clone, Debug)]
pub struct AdvisoryDb {
    /// Their source.
    pub head: DbHeader,
    by_crate: BTreeMap<String, Vec<Advisory>>,
}

impl AdvisoryDb {
    /// The advisories of this source.
    pub fn new(source: String, commit: Option<String>, date: Date, advisories: Vec<Advisory>) -> Self {
        let (schema, count) = (SCHEMA.to_owned(), advisories.len());
        let head = DbHeader { schema, source, commit, date, advisories: count, body: None };
        Self { head, by_crate: index(advisories) }
    }

    /// Reads the file below `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let hint = "cargo xtask advisories update makes it anew, with --from DIR, TAR or URL where github.com cannot be reached";
        let text = std::fs::read_to_string(&path).with_context(|| {
            Fault::gate("there are no advisories to hold the crates against").at(FILE).hint(hint)
        })?;
        Self::parse(&text).with_context(|| Fault::gate("the advisories cannot be read").at(FILE).hint(hint))
    }

    /// Reads the format that [`AdvisoryDb::print`] writes.
    pub fn parse(text: &str) -> Result<Self> {
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let head: DbHeader = serde_json::from_str(first).context("line 1")?;
        if head.schema != SCHEMA {
            return Err(Fault::failed(format!("line 1: '{}' is not '{SCHEMA}'", head.schema)).into());
        }
        let advisories = (2..).zip(body.lines()).map(|(number, line)| {
            serde_json::from_str::<Advisory>(line).with_context(|| format!("line {number}"))
        });
        let advisories = advisories.collect::<Result<Vec<_>>>()?;
        if advisories.len() != head.advisories {
            let what = format!(
                "the first line promises {} advisories, {} follow",
                head.advisories,
                advisories.len()
            );
            return Err(Fault::failed(what).into());
        }
        if advisories.is_empty() {
            return Err(Fault::failed("there is no advisory in it").into());
        }
        // What stands twice could stand for one that is missing.
        if let Some((number, pair)) =
            (3..).zip(advisories.windows(2)).find(|(_, pair)| pair[0].id >= pair[1].id)
        {
            let what = format!("line {number}: {} does not come after {}", pair[1].id, pair[0].id);
            return Err(Fault::failed(what).into());
        }
        // Git may have turned the ends of lines into those of another system.
        let unix = body.replace("\r\n", "\n");
        let promised = head.body.ok_or_else(|| {
            Fault::failed("line 1: the key 'body' is missing, the digest of all lines below")
        })?;
        if promised != Digest::of(unix.as_bytes()) {
            let what = format!("the lines below the first are not those that it promises ({promised})");
            return Err(Fault::failed(what).into());
        }
        Ok(Self { head, by_crate: index(advisories) })
    }

    /// The file's text.
    pub fn print(&self) -> Result<String> {
        let mut body = String::new();
        let mut all: Vec<_> = self.all().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        for advisory in all {
            writeln!(body, "{}", serde_json::to_string(advisory)?)?;
        }
        let head = DbHeader { body: Some(Digest::of(body.as_bytes())), ..self.head.clone() };
        Ok(format!("{}\n{body}", serde_json::to_string(&head)?))
    }

    /// Every advisory, sorted by crate.
    pub fn all(&self) -> impl Iterator<Item = &Advisory> {
        self.by_crate.values().flatten()
    }

    /// The advisories about a version of a crate.
    pub fn about<'a>(&'a self, name: &str, version: &'a Version) -> impl Iterator<Item = &'a Advisory> {
        self.by_crate.get(name).into_iter().flatten().filter(|advisory| advisory.affects(version))
    }

    /// The day of what is known: the newest advisory's own. One in the head that is later was written by hand, or
    /// is that of files that were copied.
    pub fn day(&self) -> Date {
        self.all().map(|advisory| advisory.date).max().unwrap_or(self.head.date).min(self.head.date)
    }

    /// An error where there are fewer advisories than `least`: a handful of them would let everything pass.
    pub fn check_count(&self, least: u64) -> Result<(), Fault> {
        let count = self.head.advisories as u64;
        if count < least {
            let what = format!("there are {count} advisories; {least} are wanted at least");
            return Err(Fault::gate(what)
                .at(FILE)
                .hint("cargo xtask advisories update (--from DIR, TAR or URL), or min-advisories in [scan] of xtask/image.toml"));
        }
        Ok(())
    }

    /// An error where these facts are older than those that they take the place of, or a tenth fewer.
    pub fn check_follows(&self, old: &Self, fewer: bool) -> Result<(), Fault> {
        if old.day() > self.day() {
            let what = format!("{FILE} is of {}, the source of {}", old.day(), self.day());
            return Err(Fault::failed(what).hint(format!("to go back, delete {FILE} first")));
        }
        let (before, after) = (old.head.advisories, self.head.advisories);
        if !fewer && after < before - before / 10 {
            let what = format!("{FILE} has {before} advisories, the source {after}: too many are gone");
            return Err(Fault::failed(what).hint("if that is as it should be: --allow-fewer"));
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

/// The file's text with these lines below the first.
#[cfg(test)]
pub fn document(date: &str, lines: &[String]) -> String {
    let body: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let digest = Digest::of(body.as_bytes());
    let count = lines.len();
    let head = serde_json::json!({
        "schema": SCHEMA, "source": "test", "date": date, "advisories": count, "body": digest,
    });
    format!("{head}\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> AdvisoryDb {
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
    fn what_is_printed_is_read_again_and_a_cut_is_noticed() {
        let text = facts().print().unwrap();
        let again = AdvisoryDb::parse(&text).unwrap();
        assert_eq!(again.print().unwrap(), text);
        let first = text.lines().next().unwrap();
        assert!(AdvisoryDb::parse(first).unwrap_err().to_string().contains("promises 1"));
        assert!(AdvisoryDb::parse("").is_err());
        assert!(AdvisoryDb::parse(&text.replace("advisories/1", "advisories/2")).is_err());
        let edited = AdvisoryDb::parse(&text.replace(">=1.2", ">=1.1")).unwrap_err().to_string();
        assert!(edited.contains("not those that it promises"), "{edited}");
        assert!(AdvisoryDb::parse(&text.replace('\n', "\r\n")).is_ok());
        let at = text.find(",\"body\"").unwrap();
        let without = format!("{}{}", &text[..at], &text[text.find('}').unwrap()..]);
        assert!(AdvisoryDb::parse(&without).unwrap_err().to_string().contains("'body' is missing"));
    }

    #[test]
    fn ids_ascend_and_there_are_some() {
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
    fn facts_go_forward() {
        let of = |date: &str, count: usize| {
            let mut facts = facts();
            facts.head.date = date.parse().unwrap();
            facts.by_crate.values_mut().flatten().for_each(|one| one.date = facts.head.date);
            facts.head.advisories = count;
            facts
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
    fn who_is_affected_and_where() {
        let facts = facts();
        let ids = |name, version: &str| facts.about(name, &version.parse().unwrap()).count();
        assert_eq!((ids("x", "1.1.9"), ids("x", "1.2.0"), ids("y", "1.0.0")), (1, 0, 0));
        assert!(!facts.all().next().unwrap().concerns("x86_64"));
    }

    #[test]
    fn a_day_that_no_advisory_bears_out_makes_nothing_younger() {
        let mut dressed_up = facts();
        dressed_up.head.date = "2026-01-01".parse().unwrap();
        assert_eq!(dressed_up.day(), "2024-06-01".parse().unwrap());
    }

    #[test]
    fn a_handful_of_facts_is_refused() {
        for (least, good) in [(0, true), (1, true), (2, false)] {
            assert_eq!(facts().check_count(least).is_ok(), good, "{least}");
        }
    }

    /// The fixture's right-hand side is what the crate `rustsec` 0.34 says of each version: which advisories
    /// affect it, and how they are rated. Half the versions stand at the edge of a range. `xtask/tests/support/verdicts`
    /// makes it anew (docs/scan.md).
    #[test]
    fn every_verdict_is_that_of_the_rustsec_crate() {
        let facts = AdvisoryDb::parse(include_str!("fixture/advisories.jsonl")).unwrap();
        let mut count = 0;
        for line in include_str!("fixture/verdicts.txt").lines() {
            let mut words = line.splitn(3, ' ');
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            let version = version.parse().unwrap();
            let mut found: Vec<_> = facts
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
