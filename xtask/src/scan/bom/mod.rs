//! The bill of materials of an image: what is in it, for whoever receives it.
//!
//! From the lists in the programs and the databases of packages, so that it says what a scan saw. The
//! same image gives the same bytes: times come from the image, names from digests.

mod cyclonedx;
mod spdx;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use cyclonedx::document as cyclonedx;
pub use spdx::document as spdx;

use super::inventory::Inventory;
use super::licence::Licences;
use super::osdb::Database;
use super::platforms::Image;

/// What an image is made of, in neither format yet.
#[derive(Debug)]
pub struct Bom<'a> {
    name: &'a str,
    image: &'a Image,
    created: String,
    components: Vec<Component>,
}

/// One part.
#[derive(Debug)]
struct Component {
    /// Unique in the document.
    key: String,
    kind: Kind,
    name: String,
    version: String,
    purl: String,
    licence: Option<String>,
    depends: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Program,
    Crate,
    Package,
    System,
}

impl<'a> Bom<'a> {
    /// The bill of an image by this name; `licences` are those of the crates that are known here.
    pub fn of(name: &'a str, inventory: &'a Inventory, licences: &Licences) -> Self {
        let image = &inventory.image;
        let created = image.config.get("created").and_then(Value::as_str).unwrap_or("1970-01-01T00:00:00Z");
        let mut components = crates(inventory, licences);
        components.extend(system(inventory));
        Self { name, image, created: seconds(created), components }
    }

    /// The number of its parts.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// The short name of the repository: `app` of `ghcr.io/example/app`.
    fn short(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }

    /// The image's package URL (purl-spec, type oci).
    fn purl(&self) -> String {
        let digest = self.image.digest.to_string().replace(':', "%3A");
        let platform = &self.image.platform;
        let url = format!("{}", Escaped(self.name));
        let query = format!("arch={}&os={}&repository_url={url}", platform.architecture, platform.os);
        format!("pkg:oci/{}@{digest}?{query}", self.short().to_lowercase())
    }
}

/// A time without fractions of seconds, which SPDX does not take.
fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
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
            let licence = licences.get(&(package.name.clone(), version.clone()));
            let depends = package.dependencies.iter().map(|&below| key(below));
            let component = all.entry(key(at)).or_insert_with(|| Component {
                key: key(at),
                kind: if package.root { Kind::Program } else { Kind::Crate },
                name: package.name.clone(),
                purl: format!("pkg:cargo/{}@{}", package.name, Escaped(&version)),
                version,
                licence: licence.map(|text| expression(text)),
                depends: BTreeSet::new(),
            });
            component.depends.extend(depends);
        }
    }
    all.into_values().collect()
}

/// Cargo's older notation for a choice, in SPDX's.
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
            kind: Kind::System,
            name: id.to_owned(),
            version: version.to_owned(),
            purl: String::new(),
            licence: None,
            depends: BTreeSet::new(),
        });
    }
    components.extend(inventory.packages.iter().map(|package| Component {
        key: format!("{kind}-{}-{}-{}", package.name, package.version, package.arch),
        kind: Kind::Package,
        name: package.name.clone(),
        version: package.version.clone(),
        purl: format!(
            "pkg:{kind}/{id}/{}@{}?arch={}&distro={}",
            Escaped(&package.name),
            Escaped(&package.version),
            package.arch,
            Escaped(&distro)
        ),
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
    fn parts_of_names_are_escaped_and_times_cut() {
        assert_eq!(Escaped("1.0.0+b~1:2").to_string(), "1.0.0%2Bb~1%3A2");
        assert_eq!(seconds("2024-02-29T12:34:56.789Z"), "2024-02-29T12:34:56Z");
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
    }
}
