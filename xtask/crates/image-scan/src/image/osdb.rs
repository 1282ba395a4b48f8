//! The package databases of operating systems: which packages an image has. The packages of RPM databases are not read;
//! only Trivy reads them.

use std::io::Read;

use anyhow::{Context as _, Result};
use serde::Serialize;

use cli_support::error::Fault;

/// The longest database, in bytes; Debian's has 1 MB for 500 packages.
const MAX_BYTES: u64 = 64 << 20;

/// The paths of RPM databases: folder and file.
const RPM: [(&str, &str); 6] = [
    ("var/lib/rpm/", "rpmdb.sqlite"),
    ("var/lib/rpm/", "Packages"),
    ("var/lib/rpm/", "Packages.db"),
    ("usr/lib/sysimage/rpm/", "rpmdb.sqlite"),
    ("usr/lib/sysimage/rpm/", "Packages"),
    ("usr/lib/sysimage/rpm/", "Packages.db"),
];

/// How the status of a package ends that is not installed (dpkg(1)).
const NOT_INSTALLED: [&str; 2] = [" not-installed", " config-files"];

/// A kind of package database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    /// Debian and its descendants.
    Dpkg,
    /// Alpine.
    Apk,
    /// Fedora, SUSE and others. Its content is not read.
    Rpm,
}

/// The packages of a database, or of one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// The kind of database.
    pub database: Database,
    /// The installed packages.
    pub list: Vec<OsPackage>,
    /// The files of these packages, where the database lists them (apk).
    pub files: Vec<String>,
}

/// One package of an operating system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OsPackage {
    /// Its name.
    pub name: String,
    /// Its version, in the system's own notation.
    pub version: String,
    /// Its architecture.
    pub arch: String,
}

impl Database {
    /// The kind of database at a path; none where the path is not a database's.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "var/lib/dpkg/status" => Some(Self::Dpkg),
            "lib/apk/db/installed" | "usr/lib/apk/db/installed" => Some(Self::Apk),
            _ if RPM.iter().any(|(dir, name)| path.strip_prefix(dir) == Some(*name)) => Some(Self::Rpm),
            // Distroless images have one file for each package.
            _ => {
                let name = path.strip_prefix("var/lib/dpkg/status.d/")?;
                (!name.contains('/') && !name.ends_with(".md5sums")).then_some(Self::Dpkg)
            }
        }
    }

    /// The most bytes that [`Database::read`] needs.
    pub fn max_bytes(self) -> u64 {
        if self == Self::Rpm { 16 } else { MAX_BYTES }
    }

    /// Reads the database, `size` bytes long.
    pub fn read(self, content: &mut dyn Read, size: u64) -> Result<Packages> {
        if self == Self::Rpm {
            // Another file at this path would make the image look like a distribution.
            let mut head = Vec::new();
            content.take(16).read_to_end(&mut head).context("the package database is cut short")?;
            if !is_rpm(&head) {
                return Err(Fault::failed("the file has the name of an RPM database but is not one")
                    .hint("remove the file from its layer, or use a base image with an intact database")
                    .into());
            }
            return Ok(Packages { database: self, list: Vec::new(), files: Vec::new() });
        }
        if size > MAX_BYTES {
            return Err(Fault::failed(format!(
                "the package database is over the limit of {MAX_BYTES} bytes"
            ))
            .into());
        }
        let mut bytes = Vec::new();
        content.take(MAX_BYTES).read_to_end(&mut bytes).context("the package database is cut short")?;
        let text = String::from_utf8_lossy(&bytes);
        let list: Vec<_> = match self {
            Self::Apk => stanzas(&text, ["P:", "V:", "A:"], None),
            _ => stanzas(&text, ["Package:", "Version:", "Architecture:"], Some("Status:")),
        };
        if list.iter().any(|package| package.name.is_empty()) {
            return Err(Fault::failed("the package database has a package without a name").into());
        }
        let files = if self == Self::Apk { apk_files(&text) } else { Vec::new() };
        Ok(Packages { database: self, list, files })
    }
}

/// The folder and the package name of a list of package files: dpkg's `.list`, or the checksums of distroless images.
pub fn package_of_list(path: &str) -> Option<(&str, &str)> {
    let lists = [("var/lib/dpkg/info/", ".list"), ("var/lib/dpkg/status.d/", ".md5sums")];
    lists.iter().find_map(|(folder, ending)| {
        let name = path.strip_prefix(folder)?.strip_suffix(ending)?;
        (!name.is_empty() && !name.contains('/')).then_some((*folder, name))
    })
}

/// The path in a line of such a list. In checksums it follows 32 digits and two spaces.
pub fn path_in_line(line: &str) -> &str {
    match line.split_at_checked(32) {
        Some((sum, rest)) if sum.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest.trim_start(),
        _ => line,
    }
}

/// The files in an apk database: `F:` names a folder, each following `R:` a file in it.
fn apk_files(text: &str) -> Vec<String> {
    let (mut files, mut folder) = (Vec::new(), "");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("F:") {
            folder = name;
        } else if let Some(name) = line.strip_prefix("R:") {
            files.push(format!("{folder}/{name}"));
        }
    }
    files
}

/// Whether a file is an RPM database: SQLite, ndb or Berkeley DB.
fn is_rpm(head: &[u8]) -> bool {
    let berkeley = [[0x61, 0x15, 0x06, 0x00], [0x00, 0x06, 0x15, 0x61]];
    head.starts_with(b"SQLite format 3")
        || head.starts_with(b"RpmP")
        || head.get(12..16).is_some_and(|magic| berkeley.iter().any(|one| one == magic))
}

/// Packages in blocks of `Key: value` lines that are separated by empty lines.
fn stanzas(text: &str, [name, version, arch]: [&str; 3], status: Option<&str>) -> Vec<OsPackage> {
    let package = |stanza: &str| {
        let field =
            |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)).map(|v| v.trim().to_owned());
        let is_removed = |status: String| NOT_INSTALLED.iter().any(|end| status.ends_with(end));
        let removed = status.and_then(field).is_some_and(is_removed);
        let package = OsPackage {
            name: field(name)?,
            version: field(version).unwrap_or_default(),
            arch: field(arch).unwrap_or_default(),
        };
        (!removed).then_some(package)
    };
    text.split("\n\n").filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_read() {
        let dpkg = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDepends: x\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: bare\nStatus: install ok unpacked\nVersion: 2\n";
        let apk = "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\n\nP:busybox\nV:1.36\n";
        let read = |database: Database, text: &str| {
            let packages = database.read(&mut text.as_bytes(), text.len() as u64).unwrap();
            packages.list.iter().map(|p| format!("{} {} {}", p.name, p.version, p.arch)).collect::<Vec<_>>()
        };
        assert_eq!(read(Database::Dpkg, dpkg), ["libc6 2.36-9 amd64", "bare 2 "]);
        assert_eq!(read(Database::Apk, apk), ["musl 1.2.5-r0 x86_64", "busybox 1.36 "]);
        assert!(Database::Dpkg.read(&mut std::io::empty(), MAX_BYTES + 1).is_err());
        assert!(Database::Apk.read(&mut &b"P:\nV:1\n"[..], 1).is_err());
        let berkeley = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x61, 0x15, 6, 0];
        for (content, good) in [
            (&b""[..], false),
            (b"Packages", false),
            (b"SQLite format 3\0", true),
            (b"RpmP\0", true),
            (&berkeley, true),
        ] {
            assert_eq!(Database::Rpm.read(&mut &content[..], 1).is_ok(), good, "{content:?}");
        }
    }

    #[test]
    fn lists_of_package_files_are_read() {
        for (path, expected) in [
            ("var/lib/dpkg/info/bash.list", Some("bash")),
            ("var/lib/dpkg/info/libc6:amd64.list", Some("libc6:amd64")),
            ("var/lib/dpkg/status.d/base.md5sums", Some("base")),
            ("var/lib/dpkg/info/bash.md5sums", None),
            ("var/lib/dpkg/info/.list", None),
            ("var/lib/dpkg/info/x/y.list", None),
        ] {
            assert_eq!(package_of_list(path).map(|(_, name)| name), expected, "{path}");
        }
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        for (line, expected) in [
            ("/bin/bash".to_owned(), "/bin/bash"),
            (format!("{sum}  usr/bin/x"), "usr/bin/x"),
            (format!("/{sum}"), &format!("/{sum}")),
        ] {
            assert_eq!(path_in_line(&line), expected);
        }
        assert_eq!(apk_files("P:musl\nF:lib\nR:ld\nR:libc\nF:\nR:init\n"), ["lib/ld", "lib/libc", "/init"]);
    }

    #[test]
    fn database_paths() {
        for (path, expected) in [
            ("var/lib/dpkg/status", Some(Database::Dpkg)),
            ("var/lib/dpkg/status.d/base", Some(Database::Dpkg)),
            ("var/lib/dpkg/status.d/base.md5sums", None),
            ("lib/apk/db/installed", Some(Database::Apk)),
            ("var/lib/rpm/rpmdb.sqlite", Some(Database::Rpm)),
            ("usr/lib/sysimage/rpm/Packages.db", Some(Database::Rpm)),
            ("var/lib/rpm/x", None),
            ("var/lib/rpm/.rpm.lock", None),
            ("var/lib/rpm/x/Packages", None),
            ("var/lib/dpkg/available", None),
        ] {
            assert_eq!(Database::at(path), expected, "{path}");
        }
    }
}
