//! The package databases of operating systems in an image: enough to say what is there, by name and
//! version, and that the builtin scanner knows no advisories for it.

use std::io::Read;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::error::Fault;

/// The longest database that is read, in bytes; Debian's is 1 MB for 500 packages.
const LONGEST: u64 = 64 << 20;

/// How the states of a package end that is no longer there, or not yet (dpkg(1)).
const GONE: [&str; 2] = [" not-installed", " config-files"];

/// What kind of database a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    /// Debian and its descendants.
    Dpkg,
    /// Alpine.
    Apk,
    /// Fedora, SUSE and their like: its presence is seen, its content is not read.
    Rpm,
}

/// The packages of a database, or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// The kind.
    pub database: Database,
    /// What is installed.
    pub list: Vec<Package>,
}

/// One package of an operating system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, in the system's own notation.
    pub version: String,
    /// The architecture that it was built for.
    pub arch: String,
}

impl Database {
    /// The database that a path in an image is.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "var/lib/dpkg/status" => Some(Self::Dpkg),
            "lib/apk/db/installed" | "usr/lib/apk/db/installed" => Some(Self::Apk),
            _ if path.starts_with("var/lib/rpm/") || path.starts_with("usr/lib/sysimage/rpm/") => {
                Some(Self::Rpm)
            }
            // Distroless images have a file for each package.
            _ => {
                let name = path.strip_prefix("var/lib/dpkg/status.d/")?;
                (!name.contains('/') && !name.ends_with(".md5sums")).then_some(Self::Dpkg)
            }
        }
    }

    /// Reads the database, `size` bytes long.
    pub fn read(self, content: &mut dyn Read, size: u64) -> Result<Packages> {
        if self == Self::Rpm {
            return Ok(Packages { database: self, list: Vec::new() });
        }
        if size > LONGEST {
            return Err(
                Fault::failed(format!("the package database is over the limit of {LONGEST} bytes")).into()
            );
        }
        let mut bytes = Vec::new();
        content.take(LONGEST).read_to_end(&mut bytes).context("the package database is cut short")?;
        let text = String::from_utf8_lossy(&bytes);
        let list = match self {
            Self::Apk => stanzas(&text, ["P:", "V:", "A:"], None),
            _ => stanzas(&text, ["Package:", "Version:", "Architecture:"], Some("Status:")),
        };
        Ok(Packages { database: self, list })
    }
}

/// Blocks of lines between empty ones.
fn stanzas(text: &str, [name, version, arch]: [&str; 3], status: Option<&str>) -> Vec<Package> {
    let package = |stanza: &str| {
        let field =
            |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)).map(|v| v.trim().to_owned());
        let gone =
            status.and_then(field).is_some_and(|status| GONE.iter().any(|gone| status.ends_with(gone)));
        let package = Package {
            name: field(name)?,
            version: field(version).unwrap_or_default(),
            arch: field(arch).unwrap_or_default(),
        };
        (!gone).then_some(package)
    };
    text.split("\n\n").filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed() {
        let dpkg = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDepends: x\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: bare\nStatus: install ok unpacked\nVersion: 2\n";
        let apk = "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\n\nP:busybox\nV:1.36\n";
        let read = |database: Database, text: &str| {
            let packages = database.read(&mut text.as_bytes(), text.len() as u64).unwrap();
            packages.list.iter().map(|p| format!("{} {} {}", p.name, p.version, p.arch)).collect::<Vec<_>>()
        };
        assert_eq!(read(Database::Dpkg, dpkg), ["libc6 2.36-9 amd64", "bare 2 "]);
        assert_eq!(read(Database::Apk, apk), ["musl 1.2.5-r0 x86_64", "busybox 1.36 "]);
        assert!(Database::Dpkg.read(&mut std::io::empty(), LONGEST + 1).is_err());
    }

    #[test]
    fn where_databases_are() {
        for (path, expected) in [
            ("var/lib/dpkg/status", Some(Database::Dpkg)),
            ("var/lib/dpkg/status.d/base", Some(Database::Dpkg)),
            ("var/lib/dpkg/status.d/base.md5sums", None),
            ("lib/apk/db/installed", Some(Database::Apk)),
            ("var/lib/rpm/rpmdb.sqlite", Some(Database::Rpm)),
            ("var/lib/dpkg/available", None),
        ] {
            assert_eq!(Database::at(path), expected, "{path}");
        }
    }
}
