//! `[scan]`: policy, engines and exceptions.

use std::collections::BTreeMap;

use super::exceptions::{Ignore, Unlisted};
use super::reader::{FromToml, Mistake, Strings, Table, Value, wrong};
use crate::severity::Severity;
use cli_support::digest::Digest;
use cli_support::mask::has_login;
use cli_support::time::Date;

/// The settings of scans.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The severities that fail; by default critical and high. Findings without a rating (`unknown`) also fail unless
    /// `unknown = "warn"`.
    pub severity: Vec<Severity>,
    /// Whether a vulnerability without a rating fails.
    pub unknown: Unrated,
    /// The greatest age of advisories in days; by default that of each engine (`Database::max_age`).
    pub max_age: Option<u64>,
    /// The fewest advisories that the builtin engine needs; by default 500.
    pub min_advisories: u64,
    /// Whether Trivy is required; by default only in CI (`CI=true`).
    pub require_trivy: Option<bool>,
    /// Whether yanked versions are looked up in the registry's index; by default only in CI.
    pub yanked: Option<bool>,
    /// The index of crates.io or of a mirror (sparse protocol).
    pub index: String,
    /// The sources of Trivy's database, in order; by default Trivy's own.
    pub databases: Vec<String>,
    /// The folder of Trivy's database; by default Trivy's own.
    pub cache: Option<String>,
    /// VEX documents, below the workspace's root.
    pub vex: Vec<String>,
    /// Files and folders for deployment that Trivy checks; by default `deploy` if it exists.
    pub deploy: Option<Vec<String>>,
    /// Whether Trivy leaves out vulnerabilities without a fixed version.
    pub ignore_unfixed: bool,
    /// SPDX identifiers of the allowed licences of linked crates; by default all.
    pub licences: Vec<String>,
    /// The Trivy to download where none is on PATH.
    pub trivy: Option<TrivyPin>,
    /// Exceptions for findings.
    pub ignore: Vec<Ignore>,
    /// Exceptions for programs without a list of crates.
    pub unlisted: Vec<Unlisted>,
}

/// A download of Trivy, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrivyPin {
    /// Its version.
    pub version: semver::Version,
    /// The URL of its archives (tar, gzip), such as a mirror; by default that of the official releases. `{version}`,
    /// `{machine}` (`linux-x86_64`) and `{archive}` (`Linux-64bit`) are replaced.
    pub url: Option<String>,
    /// The digests of the archives by machine: `linux-x86_64`, `linux-aarch64`, `macos-aarch64`. Those of the tested
    /// version are built in.
    pub sha256: BTreeMap<String, Digest>,
    /// Its image with a digest, for machines with Docker where nothing can be downloaded.
    pub image: Option<String>,
}

/// The effect of a vulnerability without a rating.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unrated {
    /// A failure.
    #[default]
    Fail,
    /// A warning.
    Warn,
}

/// The message for an address with a login. It does not contain the address.
const LOGIN: &str = "the address contains a login, which logs would show. Set TRIVY_USERNAME and TRIVY_PASSWORD, or use docker login";

impl Default for Scan {
    fn default() -> Self {
        Self {
            severity: vec![Severity::Critical, Severity::High],
            unknown: Unrated::Fail,
            max_age: None,
            min_advisories: 500,
            require_trivy: None,
            yanked: None,
            index: "https://index.crates.io".to_owned(),
            databases: Vec::new(),
            cache: None,
            vex: Vec::new(),
            deploy: None,
            ignore_unfixed: false,
            licences: Vec::new(),
            trivy: None,
            ignore: Vec::new(),
            unlisted: Vec::new(),
        }
    }
}

impl Scan {
    /// The place and day of the first expired entry.
    pub fn over(&self, today: Date) -> Option<String> {
        let exceptions = self.ignore.iter().map(|entry| &entry.exception);
        let mut exceptions = exceptions.chain(self.unlisted.iter().map(|entry| &entry.exception));
        let over = exceptions.find(|exception| exception.expires < today)?;
        Some(format!("{}, until {}", over.place, over.expires))
    }

    /// Sets the place of each exception.
    pub(super) fn locate(&mut self, text: &str) {
        let ignored = self.ignore.iter_mut().map(|entry| &mut entry.exception);
        ignored
            .chain(self.unlisted.iter_mut().map(|entry| &mut entry.exception))
            .for_each(|one| one.locate(text));
    }
}

impl std::str::FromStr for Unrated {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "warn" => Ok(Self::Warn),
            _ => Err(format!("'{text}' is neither fail nor warn")),
        }
    }
}

impl FromToml for Scan {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let at = value.span().start;
        let mut table = Table::new(value)?;
        let default = Self::default();
        let severity = table.parsed_list("severity");
        if let Some(list) = &severity
            && table.errors.is_empty()
            && let Err(what) = Severity::check(list)
        {
            table.errors.push(wrong(at, format!("severity: {what}")));
        }
        let scan = Self {
            severity: severity.unwrap_or(default.severity),
            unknown: table.parsed("unknown").unwrap_or_default(),
            max_age: table.optional("max-age"),
            min_advisories: table.optional("min-advisories").unwrap_or(default.min_advisories),
            require_trivy: table.optional("require-trivy"),
            yanked: table.optional("yanked"),
            index: table.optional("index").unwrap_or(default.index),
            databases: table.optional("databases").unwrap_or_default(),
            cache: table.optional("cache"),
            vex: table.optional("vex").unwrap_or_default(),
            deploy: table.optional("deploy"),
            ignore_unfixed: table.optional("ignore-unfixed").unwrap_or_default(),
            licences: table.optional("licences").unwrap_or_default(),
            trivy: table.optional("trivy"),
            ignore: table.optional("ignore").unwrap_or_default(),
            unlisted: table.optional("unlisted").unwrap_or_default(),
        };
        let addresses = scan.databases.iter().map(|one| ("databases", one));
        for (key, _) in addresses.chain([("index", &scan.index)]).filter(|(_, one)| has_login(one)) {
            table.errors.push(wrong(at, format!("{key}: {LOGIN}")));
        }
        table.finish()?;
        Ok(scan)
    }
}

impl FromToml for TrivyPin {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let span = value.span().start;
        let mut table = Table::new(value)?;
        let version = table.parsed("version");
        let (url, image) = (table.optional::<String>("url"), image(&mut table));
        if url.as_deref().is_some_and(has_login) {
            table.errors.push(wrong(span, format!("url: {LOGIN}")));
        }
        let mut sha256 = BTreeMap::new();
        for (machine, hex) in table.optional::<Strings>("sha256").unwrap_or_default().0 {
            match format!("sha256:{}", hex.trim_start_matches("sha256:")).parse::<Digest>() {
                Ok(digest) => drop(sha256.insert(machine, digest)),
                Err(_) => table
                    .errors
                    .push(wrong(span, format!("sha256 of {machine}: '{hex}' is not 64 hex digits"))),
            }
        }
        if version.is_none() && table.errors.is_empty() {
            table.errors.push(wrong(span, "the key 'version' is missing"));
        }
        let version = version.unwrap_or_else(|| semver::Version::new(0, 0, 0));
        table.finish()?;
        Ok(Self { version, url, sha256, image })
    }
}

/// The name of an image with a digest. A tag alone can move.
fn image(table: &mut Table<'_>) -> Option<String> {
    let image = table.optional_at::<String>("image")?;
    let digest = image.value.rsplit_once('@').map(|(_, digest)| digest.parse::<Digest>());
    if !matches!(digest, Some(Ok(_))) {
        table.errors.push(wrong(image.at, format!("image '{}' has no digest: NAME@sha256:…", image.value)));
    }
    Some(image.value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::reader;
    use cli_support::error::render;
    use expect_test::expect;

    #[test]
    fn defaults_of_scan_are_strict() {
        let scan = reader::read::<Scan>(Path::new("x"), "").unwrap();
        assert_eq!((scan.severity, scan.max_age), (vec![Severity::Critical, Severity::High], None));
        assert_eq!((scan.unknown, scan.require_trivy), (Unrated::Fail, None));
    }

    #[test]
    fn a_login_is_refused_and_not_repeated() {
        for text in [
            "index = 'http://me:hunter2@host'",
            "databases = ['host/db:2', 'me:hunter2@host/db']",
            "[trivy]\nversion = '0.74.0'\nurl = 'https://me:hunter2@host/{version}'",
        ] {
            let told = render(&reader::read::<Scan>(Path::new("x"), text).unwrap_err().into());
            assert!(told.contains("the address contains a login") && !told.contains("hunter2"), "{told}");
        }
        assert!(reader::read::<Scan>(Path::new("x"), "databases = ['host/db@sha256:00']").is_ok());
    }

    #[test]
    fn a_list_of_severities_lets_nothing_worse_pass() {
        for (text, good) in [
            ("severity = []", false),
            ("severity = ['low']", false),
            ("severity = ['unknown']", false),
            ("severity = ['critical']", true),
            ("severity = ['medium', 'critical', 'high']", true),
        ] {
            assert_eq!(reader::read::<Scan>(Path::new("x"), text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn every_mistake_has_its_place() {
        let text = "severity = ['criticl']\nunknown = 'no'\n[trivy]\nversion = '1'\nurl = 'x'\nimage = 'a:1'\n\
            sha256 = { linux-x86_64 = 'abc' }\n";
        let errors = reader::read::<Scan>(Path::new("image.toml"), text).unwrap_err();
        expect![[r#"
            error: image.toml:1:13: unknown severity 'criticl': info, low, medium, high, critical, unknown
            error: image.toml:2:11: 'no' is neither fail nor warn
            error: image.toml:3:1: sha256 of linux-x86_64: 'abc' is not 64 hex digits
            error: image.toml:4:11: unexpected end of input while parsing major version number
            error: image.toml:6:9: image 'a:1' has no digest: NAME@sha256:…
        "#]]
        .assert_eq(&render(&errors.into()));
    }
}
