//! What Trivy's database knows, held against what an image has: an empty one finds nothing in anything.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::answer::{SYSTEM, TrivyReport};
use super::bolt;
use cli_support::error::Fault;

/// Distributions as Trivy calls them in its answers, and what their buckets' names begin with where that
/// is something else.
const SYSTEMS: [(&str, &str); 14] = [
    ("amazon", "amazon linux"),
    ("azurelinux", "azure linux"),
    ("centos", "red hat"),
    ("cbl-mariner", "cbl-mariner"),
    ("opensuse", "opensuse"),
    ("opensuse-leap", "opensuse leap"),
    ("opensuse-tumbleweed", "opensuse tumbleweed"),
    ("opensuse.leap", "opensuse leap"),
    ("opensuse.tumbleweed", "opensuse tumbleweed"),
    ("oracle", "oracle linux"),
    ("photon", "photon os"),
    ("redhat", "red hat"),
    ("slem", "suse linux enterprise micro"),
    ("sles", "suse linux enterprise"),
];

/// Kinds of package as Trivy calls them in its answers, and the ecosystem whose buckets tell of them.
const ECOSYSTEMS: [(&str, &str); 12] = [
    ("rustbinary", "cargo"),
    ("cargo", "cargo"),
    ("gobinary", "go"),
    ("gomod", "go"),
    ("node-pkg", "npm"),
    ("python-pkg", "pip"),
    ("conda-pkg", "pip"),
    ("gemspec", "rubygems"),
    ("jar", "maven"),
    ("composer-vendor", "composer"),
    ("dotnet-core", "nuget"),
    ("nuget", "nuget"),
];

/// What Trivy was asked about in an image, as far as its database is divided by it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    ecosystems: BTreeSet<&'static str>,
    /// The distributions whose packages it saw, and their versions.
    systems: BTreeSet<(String, String)>,
}

impl Asked {
    pub(super) fn of(report: &TrivyReport) -> Self {
        let seen = report.results.iter().filter(|outcome| !outcome.packages.is_empty());
        let of = |kind: &str| ECOSYSTEMS.iter().find(|(name, _)| *name == kind).map(|(_, name)| *name);
        let (mut ecosystems, mut has_system) = (BTreeSet::new(), false);
        for outcome in seen {
            ecosystems.extend(of(&outcome.r#type));
            has_system |= outcome.class == SYSTEM;
        }
        // One that gets no more updates is a finding of its own, and may be gone from the database.
        let system = report.metadata.system.as_ref().filter(|one| has_system && !one.ended);
        let systems = system.map(|one| (one.family.clone(), one.version.clone())).into_iter().collect();
        Self { ecosystems, systems }
    }

    /// Both: what it was asked about in several images.
    pub fn extend(&mut self, other: Self) {
        self.ecosystems.extend(other.ecosystems);
        self.systems.extend(other.systems);
    }
}

/// What the database knows: the names of what it has advisories of.
#[derive(Clone, Debug)]
pub struct Knowledge {
    buckets: BTreeSet<String>,
    path: PathBuf,
}

impl Knowledge {
    /// Reads the database in Trivy's cache.
    pub fn read(cache: Option<&Path>) -> Result<Self> {
        let cache = cache.map_or_else(usual, Path::to_owned);
        let path = cache.join("db").join("trivy.db");
        let no = || {
            Fault::gate("Trivy's database cannot be read")
                .at(path.display())
                .hint("have Trivy fetch it anew: scan without --offline")
        };
        let names = bolt::buckets(File::open(&path).with_context(no)?).with_context(no)?;
        let buckets = names.into_iter().map(|name| name.to_lowercase()).collect();
        Ok(Self { buckets, path })
    }

    /// An error where it knows nothing of what Trivy was asked about.
    pub fn check(&self, asked: &Asked) -> Result<(), Fault> {
        let knows = |ecosystem: &str| {
            let mut rests = self.buckets.iter().filter_map(|name| name.strip_prefix(ecosystem));
            rests.any(|rest| rest.starts_with("::"))
        };
        let ecosystems = asked.ecosystems.iter().filter(|ecosystem| !knows(ecosystem));
        let systems = asked.systems.iter().filter(|(family, version)| !self.knows(family, version));
        let none: Vec<_> = ecosystems
            .map(|ecosystem| format!("{ecosystem} packages"))
            .chain(systems.map(|(family, version)| format!("{family} {version}")))
            .collect();
        if none.is_empty() {
            return Ok(());
        }
        let what = format!("Trivy's database has no advisories at all about {}", none.join(", "));
        Err(Fault::gate(what)
            .at(self.path.display())
            .hint("have Trivy fetch it anew: scan without --offline, from places that have a whole one (databases in [scan])"))
    }

    /// Whether it knows this distribution, in this version or in the release that it is of.
    fn knows(&self, family: &str, version: &str) -> bool {
        let known = SYSTEMS.iter().find(|(name, _)| *name == family);
        let prefix = known.map_or(family, |(_, prefix)| prefix);
        let version = version.split_whitespace().next().unwrap_or_default();
        self.buckets.iter().filter_map(|name| name.strip_prefix(prefix)).any(|rest| {
            // Red Hat's are about all of its releases.
            if rest.is_empty() {
                return true;
            }
            let Some(release) = rest.strip_prefix(' ') else { return false };
            let after = version.strip_prefix(release);
            after.is_some_and(|after| after.is_empty() || after.starts_with(['.', '-']))
                || (release == "edge" && version.contains('_'))
        })
    }
}

/// Trivy's own place: a folder of its name where the system keeps what programs can make anew.
fn usual() -> PathBuf {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = var("TRIVY_CACHE_DIR") {
        return dir;
    }
    let caches = match std::env::consts::OS {
        "macos" => var("HOME").map(|home| home.join("Library").join("Caches")),
        "windows" => var("LocalAppData"),
        _ => var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache"))),
    };
    // Trivy falls back to the place for what is temporary.
    caches.unwrap_or_else(std::env::temp_dir).join("trivy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_knows_nothing_of_what_is_there_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("db")).unwrap();
        let with = |names: &[&str]| {
            std::fs::write(temp.path().join("db/trivy.db"), bolt::tests::database(names)).unwrap();
            Knowledge::read(Some(temp.path())).unwrap()
        };
        let all = with(&[
            "cargo::RustSec",
            "debian 12",
            "alpine 3.20",
            "alpine edge",
            "Red Hat",
            "wolfi",
            "amazon linux 2",
            "SUSE Linux Enterprise 15.5",
            "pip::x",
        ]);
        for (family, version, known) in [
            ("debian", "12.5", true),
            ("debian", "12", true),
            ("debian", "1.2", false),
            ("debian", "120", false),
            ("debian", "13.1", false),
            ("debian", "", false),
            ("alpine", "3.20.1", true),
            ("alpine", "3.2", false),
            ("alpine", "3.23_alpha20250612", true),
            ("centos", "8", true),
            ("redhat", "9.4", true),
            ("wolfi", "20230201", true),
            ("amazon", "2 (Karoo)", true),
            ("amazon", "2023.6", false),
            ("sles", "15.5", true),
            ("rocky", "9.3", false),
            ("", "", false),
        ] {
            assert_eq!(all.knows(family, version), known, "{family} {version}");
        }
        let report: TrivyReport = serde_json::from_str(
            r#"{"SchemaVersion":2,"Metadata":{"OS":{"Family":"debian","Name":"12.5"}},"Results":[
            {"Class":"os-pkgs","Type":"debian","Packages":[{"Name":"bash"}]},
            {"Class":"lang-pkgs","Type":"rustbinary","Packages":[{"Name":"app"}]},
            {"Class":"lang-pkgs","Type":"node-pkg"}]}"#,
        )
        .unwrap();
        for (names, expected) in [
            (&["cargo::x", "debian 12"][..], None),
            (&["debian 12"], Some("about cargo packages")),
            (&["cargo::x", "debian 11"], Some("about debian 12.5")),
            (&["vulnerability"], Some("about cargo packages, debian 12.5")),
        ] {
            let told = with(names).check(&Asked::of(&report)).err().map(|fault| fault.to_string());
            assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().ends_with(expected.unwrap_or_default()));
        }
        std::fs::write(temp.path().join("db/trivy.db"), "garbage").unwrap();
        assert!(Knowledge::read(Some(temp.path())).is_err());
    }
}
