//! `[scan]`: what an image must not have in it, and what may be overlooked until when.

use std::collections::BTreeMap;

use super::exceptions::{Ignore, Unlisted};
use super::reader::{FromToml, Mistake, Strings, Table, Value, wrong};
use crate::severity::Severity;
use cli_support::digest::Digest;
use cli_support::mask::has_login;
use cli_support::time::Date;

/// What a scan insists on.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The severities that fail; critical and high where unset. Those that nobody has rated (`unknown`)
    /// fail too, unless `unknown = "warn"` says otherwise.
    pub severity: Vec<Severity>,
    /// What a vulnerability without a rating is.
    pub unknown: Unrated,
    /// Days that advisories may be old, those in the workspace and Trivy's; by their own ages where unset
    /// (`scan::age`).
    pub max_age: Option<u64>,
    /// The fewest advisories that the builtin engine may know; 500 where unset.
    pub min_advisories: u64,
    /// Whether Trivy must be there; in CI (`CI=true`) it must where unset.
    pub require_trivy: Option<bool>,
    /// Whether the registry's index is asked which versions of crates were taken back; in CI it is where
    /// unset.
    pub yanked: Option<bool>,
    /// The index that is asked, of crates.io or a mirror of it (sparse protocol).
    pub index: String,
    /// Where Trivy gets its database, the first that answers; its own places where unset.
    pub databases: Vec<String>,
    /// Where Trivy keeps its database; its own place where unset.
    pub cache: Option<String>,
    /// VEX documents for Trivy, below the workspace's root.
    pub vex: Vec<String>,
    /// Files and folders that say how the image is deployed, which Trivy looks at; `deploy`, if it is
    /// there, where unset.
    pub deploy: Option<Vec<String>>,
    /// Whether vulnerabilities without a fixed version are left out of Trivy's findings.
    pub ignore_unfixed: bool,
    /// SPDX identifiers of the licences that linked crates may have; any where unset.
    pub licences: Vec<String>,
    /// The Trivy that is fetched where there is none on PATH; none where unset.
    pub trivy: Option<TrivyPin>,
    /// Findings that are allowed.
    pub ignore: Vec<Ignore>,
    /// Programs without a list of crates that are allowed.
    pub unlisted: Vec<Unlisted>,
}

/// A download of Trivy, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrivyPin {
    /// Its version.
    pub version: semver::Version,
    /// Where its archives (tar, gzip) are, its makers' place where unset; `{version}`, `{machine}`
    /// (`linux-x86_64`) and `{archive}` (`Linux-64bit`, as its makers say) stand for parts of the name. A
    /// company's mirror goes here.
    pub url: Option<String>,
    /// The archives' digests by machine: `linux-x86_64`, `linux-aarch64`, `macos-aarch64`. Those of the
    /// version that the tests use are known.
    pub sha256: BTreeMap<String, Digest>,
    /// Its image, by digest, for where Docker answers and nothing could be fetched.
    pub image: Option<String>,
}

/// What a vulnerability without a rating is to the gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unrated {
    /// A failure.
    #[default]
    Fail,
    /// A warning.
    Warn,
}

/// What is said of an address with a login in it; the address itself is not.
const LOGIN: &str = "a login has no place in an address: it is shown wherever the address is. Trivy takes TRIVY_USERNAME and TRIVY_PASSWORD, or what docker login left";

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
    /// The first entry whose day is over, where it stands.
    pub fn over(&self, today: Date) -> Option<String> {
        let excuses = self.ignore.iter().map(|entry| &entry.exception);
        let mut excuses = excuses.chain(self.unlisted.iter().map(|entry| &entry.exception));
        let over = excuses.find(|exception| exception.expires < today)?;
        Some(format!("{}, until {}", over.place, over.expires))
    }

    /// Finds out where in the settings each entry stands that overlooks something.
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

/// An image's name with a digest: a tag alone may be another program tomorrow.
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
    fn what_is_not_said_is_strict() {
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
            assert!(told.contains("a login has no place") && !told.contains("hunter2"), "{told}");
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
