//! The list of linked crates inside a binary.
//!
//! The format is that of cargo-auditable (`PARSING.md`): JSON, compressed with zlib, in the section `.dep-v0`. Trivy, Grype,
//! Syft and cargo-audit read it. cargo-auditable is not used because it is a separate program, and because its list comes
//! from `cargo metadata`, which adds features of development dependencies and crates that are not linked. Here the list comes
//! from `cargo tree` for one target. It is written into the finished file, so strip and LTO cannot remove it.

#[cfg(test)]
mod sample;
mod section;
mod tree;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;
use semver::Version;
use serde::{Deserialize, Serialize};

use cli_support::error::Fault;

/// The longest list that is read, decompressed: ten times the largest known.
const MAX_BYTES: u64 = 8 << 20;

/// The most crates that a list may have; large programs have a thousand.
const MAX_CRATES: usize = 10_000;

/// The longest name of a crate, in bytes: the longest file name on Linux. crates.io allows 64.
const MAX_NAME_BYTES: usize = 255;

/// The most crates that a dependency path names.
const MAX_PATH_CRATES: usize = 32;

/// Written as `format`: procedural macros are not in the list (auditable-serde, revision 1).
const FORMAT: u32 = 1;

/// The crates of one binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The crates, including the binary's own.
    pub packages: Vec<Crate>,
    /// How the list was made (auditable-serde, `VersionInfo::format`).
    #[serde(default)]
    pub format: u32,
}

/// One crate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// `crates.io`, `registry`, `git` or `local`.
    pub source: String,
    /// Whether it is linked.
    #[serde(default, skip_serializing_if = "DependencyKind::is_runtime")]
    pub kind: DependencyKind,
    /// The indexes in the list of its dependencies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<usize>,
    /// Whether it is the binary's own crate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
}

/// How a crate belongs to the binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyKind {
    /// Linked into it.
    #[default]
    Runtime,
    /// Run while it was built.
    Build,
}

impl DependencyKind {
    // serde passes references.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_runtime(&self) -> bool {
        *self == Self::Runtime
    }
}

impl Audit {
    /// Parses the output of the command of `binary::linked`.
    pub fn of_tree(text: &str) -> Result<Self, Fault> {
        let audit = Self { packages: tree::read(text)?, format: FORMAT };
        audit.check()?;
        Ok(audit)
    }

    /// The list in an executable; none where it has none.
    pub fn of_binary(bytes: &[u8]) -> Result<Option<Self>> {
        section::find(bytes)?.map(Self::from_section).transpose()
    }

    fn from_section(bytes: &[u8]) -> Result<Self> {
        let mut json = Vec::new();
        let mut limited = ZlibDecoder::new(bytes).take(MAX_BYTES + 1);
        limited.read_to_end(&mut json).context("the audit section is damaged")?;
        if json.len() as u64 > MAX_BYTES {
            return Err(
                Fault::failed(format!("the audit section is over the limit of {MAX_BYTES} bytes")).into()
            );
        }
        // Readers stop at the end of the first list, so another list could follow. Zeros are padding.
        let behind = limited.into_inner().into_inner();
        if behind.iter().any(|byte| *byte != 0) {
            let what = format!(
                "{} bytes follow the list of crates in the audit section: they may be a second list, which readers ignore",
                behind.len()
            );
            return Err(Fault::failed(what).into());
        }
        let audit: Self =
            serde_json::from_slice(&json).context("the audit section is not a list of crates")?;
        audit.check()?;
        Ok(audit)
    }

    /// The executable with this list added. The same executable and list give the same bytes.
    pub fn put_into(&self, executable: &[u8]) -> Result<Vec<u8>> {
        // A fixed level and a backend in Rust, so that all machines compress alike.
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&serde_json::to_vec(self)?)?;
        Ok(section::put(executable, &zlib.finish()?)?)
    }

    /// The crates that are linked.
    pub fn linked(&self) -> impl Iterator<Item = &Crate> {
        self.packages.iter().filter(|package| package.kind == DependencyKind::Runtime)
    }

    fn check(&self) -> Result<(), Fault> {
        let count = self.packages.len();
        if count > MAX_CRATES {
            return Err(Fault::failed(format!("the list has {count} crates; the limit is {MAX_CRATES}")));
        }
        if let Some(package) = self.packages.iter().find(|package| package.name.len() > MAX_NAME_BYTES) {
            let what = format!(
                "the name of a crate has {} bytes; the limit is {MAX_NAME_BYTES}",
                package.name.len()
            );
            return Err(Fault::failed(what));
        }
        // With duplicates, a short list could give many findings.
        let mut seen = BTreeSet::new();
        let key =
            |package: &'_ Crate| (package.name.clone(), package.version.clone(), package.source.clone());
        if let Some(package) = self.packages.iter().find(|package| !seen.insert(key(package))) {
            let what = format!("the list of crates has {} {} twice", package.name, package.version);
            return Err(Fault::failed(what));
        }
        let dangling = self.packages.iter().flat_map(|package| &package.dependencies).any(|&at| at >= count);
        let roots = self.packages.iter().filter(|package| package.root).count();
        if dangling || roots > 1 {
            return Err(Fault::failed(
                "the list of crates is inconsistent: a dependency is not in it, or it has two roots",
            ));
        }
        Ok(())
    }

    /// The dependency paths of all crates.
    pub fn paths(&self) -> Paths<'_> {
        let mut above = vec![None; self.packages.len()];
        let roots = self.packages.iter().enumerate().filter(|(_, package)| package.root).map(|(at, _)| at);
        let mut waiting: std::collections::VecDeque<_> = roots.collect();
        let mut seen = vec![false; self.packages.len()];
        for &at in &waiting {
            seen[at] = true;
        }
        while let Some(at) = waiting.pop_front() {
            for &below in &self.packages[at].dependencies {
                if !std::mem::replace(&mut seen[below], true) {
                    above[below] = Some(at);
                    waiting.push_back(below);
                }
            }
        }
        let (mut names, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for package in &self.packages {
            if !names.insert(package.name.as_str()) {
                twice.insert(package.name.as_str());
            }
        }
        Paths { audit: self, above, twice }
    }
}

/// The shortest dependency paths from the binary's own crate to all others.
#[derive(Debug)]
pub struct Paths<'a> {
    audit: &'a Audit,
    above: Vec<Option<usize>>,
    twice: BTreeSet<&'a str>,
}

impl Paths<'_> {
    /// The shortest path from the root to the crate at this index, both included. A crate that is listed in two
    /// versions is `name@version`. Of a very long path, the end.
    pub fn to(&self, wanted: usize) -> Vec<String> {
        let way = std::iter::successors(Some(wanted), |&at| self.above[at]).take(MAX_PATH_CRATES);
        let mut path: Vec<_> = way.map(|at| self.label(at)).collect();
        path.reverse();
        path
    }

    fn label(&self, at: usize) -> String {
        let package = &self.audit.packages[at];
        if self.twice.contains(package.name.as_str()) {
            format!("{}@{}", package.name, package.version)
        } else {
            package.name.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str =
        "0 app v0.1.0 (/ws/app)\n1 http v1.0.0\n2 bytes v1.0.0\n1 old v0.9.0\n2 bytes v0.4.0\n";

    #[test]
    fn the_crate_list_is_read_back_from_the_binary_with_dependency_paths() {
        let audit = Audit::of_tree(TREE).unwrap();
        let binary = audit.put_into(&sample::elf()).unwrap();
        assert_eq!(Audit::of_binary(&binary).unwrap().unwrap(), audit);
        assert_eq!(audit.put_into(&binary).unwrap(), binary, "a second time changes nothing");
        let shorter = Audit::of_tree("0 app v0.1.0 (/ws/app)\n").unwrap();
        assert_eq!(shorter.put_into(&binary).unwrap(), shorter.put_into(&sample::elf()).unwrap());
        let old = audit.packages.iter().position(|package| package.version == Version::new(0, 4, 0)).unwrap();
        assert_eq!(audit.paths().to(old), ["app", "old", "bytes@0.4.0"]);
        assert!(Audit::of_binary(&sample::elf()).unwrap().is_none());
    }

    #[test]
    fn a_section_with_other_content_is_an_error() {
        let zlib = |text: &[u8]| {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
            zlib.write_all(text).unwrap();
            zlib.finish().unwrap()
        };
        let bomb = zlib(&vec![b' '; 9 << 20]);
        let stray =
            zlib(br#"{"packages":[{"name":"a","version":"1.0.0","source":"local","dependencies":[7]}]}"#);
        let cases = [
            (&b"not zlib"[..], "damaged"),
            (&bomb, "over the limit"),
            (&zlib(b"[]x"), "not a list"),
            (&stray, "is inconsistent"),
        ];
        for (section, expected) in cases {
            let binary = section::put(&sample::elf(), section).unwrap();
            let error = format!("{:#}", Audit::of_binary(&binary).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn bytes_after_the_crate_list_are_only_padding() {
        let audit = Audit::of_tree(TREE).unwrap();
        let binary = audit.put_into(&sample::elf()).unwrap();
        let list = section::find(&binary).unwrap().unwrap().to_vec();
        for (behind, good) in [
            (&[][..], true),
            (&[0; 7], true),
            (&list, false),
            (&[&[0; 8], &list[..]].concat(), false),
            (b"\n", false),
            (&[&[0; 4096][..], &[1]].concat(), false),
        ] {
            let section = [&list[..], behind].concat();
            let read = Audit::of_binary(&section::put(&sample::elf(), &section).unwrap());
            match read {
                Ok(read) => assert!(good && read == Some(audit.clone()), "{behind:?}"),
                Err(error) => {
                    assert!(!good && error.to_string().contains("bytes follow the list"), "{error:#}");
                }
            }
        }
        // A stream without its end is no list.
        let cut = section::put(&sample::elf(), &list[..list.len() - 1]).unwrap();
        assert!(Audit::of_binary(&cut).is_err());
    }

    #[test]
    fn a_cycle_ends() {
        let mut audit = Audit::of_tree(TREE).unwrap();
        let last = audit.packages.len() - 1;
        audit.packages[last].dependencies = vec![0];
        assert_eq!(audit.paths().to(0), ["app"]);
    }
}
