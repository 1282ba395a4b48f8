//! SBOMs (software bills of materials) of an image, from the lists of crates in its programs and its package databases.
//!
//! The same image gives the same bytes: times come from the image, names from digests.

mod cyclonedx;
mod spdx;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use cyclonedx::document as cyclonedx;
pub use spdx::document as spdx;

use crate::engines::builtin::from_registry;
use crate::engines::builtin::licence::Licences;
use crate::image::inventory::Inventory;
use crate::image::osdb::Database;
use crate::image::platforms::Image;
use crate::policy::unlisted::ExceptedProgram;
use cli_support::time::rfc3339;
use cli_support::time::seconds_of;
use rust_workspace::audit::Crate;

/// The description of a program with unknown content.
const UNLISTED: &str = "no list of crates and in no package: its content is unknown";

/// The SBOM of one platform, for both formats.
#[derive(Debug)]
pub struct Sbom<'a> {
    name: &'a ImageName,
    image: &'a Image,
    created: String,
    components: Vec<Component>,
}

/// The name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// The repository's name, or the image's title.
    pub text: String,
    /// The repository from which it can be pulled.
    pub repository: Option<String>,
}

impl ImageName {
    /// The name of an image in a repository.
    pub fn of_repository(repository: String) -> Self {
        Self { text: repository.clone(), repository: Some(repository) }
    }

    /// The title in an image's label, or else a part of its digest.
    pub fn of_image(image: &Image) -> Self {
        let title = image.config.pointer("/config/Labels/org.opencontainers.image.title");
        let title = title.and_then(Value::as_str).map(str::trim).filter(|title| !title.is_empty());
        let text = title.map_or_else(|| format!("image-{}", image.digest.short()), str::to_owned);
        Self { text, repository: None }
    }

    /// The last part: `app` of `ghcr.io/example/app`.
    pub fn short(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or(&self.text)
    }
}

/// A component.
#[derive(Debug)]
struct Component {
    /// Unique in the document.
    key: String,
    kind: ComponentKind,
    name: String,
    version: String,
    /// The package URL; empty for a private crate, which may share its name with one at crates.io.
    purl: String,
    /// The address of its source (SPDX section 7.7).
    download: Option<String>,
    licence: Option<String>,
    depends: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ComponentKind {
    Program,
    /// A program with unknown content.
    Unlisted,
    Crate,
    Package,
    System,
}

impl<'a> Sbom<'a> {
    /// The SBOM of an image by this name. `licences` has the metadata of known crates; excepted programs are components
    /// with unknown content.
    pub fn of(
        name: &'a ImageName,
        inventory: &'a Inventory,
        licences: &Licences,
        excepted: &[ExceptedProgram],
    ) -> Self {
        let image = &inventory.image;
        let created = image.config.get("created").and_then(Value::as_str);
        let mut components = crates(inventory, licences);
        components.extend(system(inventory));
        components.extend(excepted.iter().map(unlisted));
        // An invalid time, or one that a format cannot express, becomes 1970.
        let created = rfc3339(created.and_then(seconds_of).unwrap_or(0));
        Self { name, image, created, components }
    }

    /// The number of components.
    pub fn count(&self) -> usize {
        self.components.len()
    }

    /// The image's package URL (purl-spec, type oci).
    fn purl(&self) -> String {
        let digest = self.image.digest.to_string().replace(':', "%3A");
        let platform = &self.image.platform;
        let query = qualifiers(&[
            ("arch", &platform.architecture),
            ("os", &platform.os),
            ("repository_url", self.name.repository.as_deref().unwrap_or_default()),
        ]);
        format!("pkg:oci/{}@{digest}{query}", Escaped(&self.name.short().to_lowercase()))
    }
}

/// The qualifiers of a package URL, without empty ones.
fn qualifiers(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", Escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// A crate's package URL (purl-spec, type cargo: without a qualifier the crate is crates.io's) and the address of its
/// source, from the list of crates and from `cargo metadata`.
fn origin(package: &Crate, known: Option<&str>) -> (String, Option<String>) {
    let version = package.version.to_string();
    let plain = format!("pkg:cargo/{}@{}", Escaped(&package.name), Escaped(&version));
    // In lists of this workspace `registry` is a private registry; some other tools write it for crates.io.
    if package.source != "registry" && from_registry(package) {
        let at = format!("https://crates.io/api/v1/crates/{}/{version}/download", package.name);
        return (plain, Some(at));
    }
    let (kind, address) = known.and_then(|known| known.split_once('+')).unwrap_or_default();
    match (package.source.as_str(), kind) {
        ("git", "git") => {
            let (url, commit) = address.split_once('#').unwrap_or((address, ""));
            let url = url.split('?').next().unwrap_or(url);
            let at = if commit.is_empty() { format!("git+{url}") } else { format!("git+{url}@{commit}") };
            (format!("{plain}{}", qualifiers(&[("vcs_url", &at)])), Some(at))
        }
        ("registry", "registry" | "sparse") => {
            (format!("{plain}{}", qualifiers(&[("repository_url", address)])), None)
        }
        _ => (String::new(), None),
    }
}

fn crates(inventory: &Inventory, licences: &Licences) -> Vec<Component> {
    let mut all: BTreeMap<String, Component> = BTreeMap::new();
    for (_, audit) in inventory.audited() {
        let key = |at: usize| {
            let package = &audit.packages[at];
            let origin =
                if package.source == "crates.io" { String::new() } else { format!("-{}", package.source) };
            format!("cargo-{}-{}{origin}", package.name, package.version)
        };
        for (at, package) in audit.packages.iter().enumerate() {
            let version = package.version.to_string();
            let known = licences.get(&(package.name.clone(), version.clone()));
            let licence = known.and_then(|known| known.license.as_deref());
            let (purl, download) = origin(package, known.and_then(|known| known.source.as_deref()));
            let depends = package.dependencies.iter().map(|&below| key(below));
            let component = all.entry(key(at)).or_insert_with(|| Component {
                key: key(at),
                kind: if package.root { ComponentKind::Program } else { ComponentKind::Crate },
                name: package.name.clone(),
                purl,
                download,
                version,
                licence: licence.map(expression),
                depends: BTreeSet::new(),
            });
            component.depends.extend(depends);
        }
    }
    all.into_values().collect()
}

fn unlisted(program: &ExceptedProgram) -> Component {
    Component {
        key: format!("unlisted-{}", program.path),
        kind: ComponentKind::Unlisted,
        name: program.path.clone(),
        version: String::new(),
        purl: String::new(),
        download: None,
        licence: None,
        depends: BTreeSet::new(),
    }
}

/// Replaces Cargo's old notation for a choice by that of SPDX.
fn expression(text: &str) -> String {
    let parts: Vec<_> = text.split('/').map(str::trim).collect();
    parts.join(" OR ")
}

fn system(inventory: &Inventory) -> Vec<Component> {
    let release = inventory.release();
    let id = release.get("ID").map_or("linux", String::as_str);
    let version = release.get("VERSION_ID").map_or("", String::as_str);
    let distro = if version.is_empty() { id.to_owned() } else { format!("{id}-{version}") };
    let kind = if inventory.databases.contains(&Database::Apk) { "apk" } else { "deb" };
    let mut components = Vec::new();
    if !inventory.databases.is_empty() {
        components.push(Component {
            key: format!("system-{distro}"),
            kind: ComponentKind::System,
            name: id.to_owned(),
            version: version.to_owned(),
            purl: String::new(),
            download: None,
            licence: None,
            depends: BTreeSet::new(),
        });
    }
    components.extend(inventory.packages.iter().map(|package| Component {
        key: format!("{kind}-{}-{}-{}", package.name, package.version, package.arch),
        kind: ComponentKind::Package,
        name: package.name.clone(),
        version: package.version.clone(),
        purl: format!(
            "pkg:{kind}/{}/{}{}{}",
            Escaped(id),
            Escaped(&package.name),
            if package.version.is_empty() {
                String::new()
            } else {
                format!("@{}", Escaped(&package.version))
            },
            qualifiers(&[("arch", &package.arch), ("distro", &distro)])
        ),
        download: None,
        licence: None,
        depends: BTreeSet::new(),
    }));
    components
}

/// Percent-encoding of a package URL's parts (purl-spec, "Character encoding").
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_escaped() {
        assert_eq!(Escaped("1.0.0+b~1:2").to_string(), "1.0.0%2Bb~1%3A2");
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
    }

    #[test]
    fn only_crates_of_crates_io_have_a_plain_package_url() {
        let git = "git+https://example.org/x?branch=main#abc";
        let purl = "pkg:cargo/x@1.0.0";
        for (source, known, expected, download) in [
            ("crates.io", None, purl.to_owned(), Some("https://crates.io/api/v1/crates/x/1.0.0/download")),
            (
                "registry+https://github.com/rust-lang/crates.io-index",
                None,
                purl.to_owned(),
                Some("https://crates.io/api/v1/crates/x/1.0.0/download"),
            ),
            ("local", None, String::new(), None),
            ("git", None, String::new(), None),
            ("registry", None, String::new(), None),
            (
                "git",
                Some(git),
                format!("{purl}?vcs_url=git%2Bhttps%3A%2F%2Fexample.org%2Fx%40abc"),
                Some("git+https://example.org/x@abc"),
            ),
            (
                "registry",
                Some("sparse+https://example.org/index/"),
                format!("{purl}?repository_url=https%3A%2F%2Fexample.org%2Findex%2F"),
                None,
            ),
            ("local", Some(git), String::new(), None),
        ] {
            let package = Crate {
                name: "x".to_owned(),
                version: "1.0.0".parse().unwrap(),
                source: source.to_owned(),
                kind: rust_workspace::audit::DependencyKind::Runtime,
                dependencies: Vec::new(),
                root: false,
            };
            let expected = (expected, download.map(str::to_owned));
            assert_eq!(origin(&package, known), expected, "{source} {known:?}");
        }
    }
}
