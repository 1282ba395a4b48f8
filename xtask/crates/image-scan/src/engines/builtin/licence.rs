//! Checks the licences of linked crates (SPDX specification, annex D: licence expressions).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::engines::builtin::{NAME, from_registry};
use crate::finding::{Finding, FindingKind};
use crate::image::inventory::Inventory;
use oci_image::platform::Platform;
use rust_workspace::binary::cargo;
use rust_workspace::severity::Severity;

/// Cargo's licence field: it also allows `/` for OR, and licences that are not in the SPDX list.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: true,
    allow_deprecated: true,
    allow_unknown: true,
    ..ParseMode::STRICT
};

/// The metadata of crates by name and version.
pub type Licences = BTreeMap<(String, String), CrateMetadata>;

/// The metadata of a crate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct CrateMetadata {
    /// Its licence expression.
    pub license: Option<String>,
    /// Its source, as in Cargo.lock; none for a crate of the workspace.
    pub source: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(flatten)]
    known: CrateMetadata,
}

/// Reads the licences of all crates in the workspace's Cargo.lock from `cargo metadata`.
pub fn of_workspace(root: &Path) -> Result<Licences> {
    let targets =
        Platform::ALL.into_iter().flat_map(|platform| ["--filter-platform", platform.musl_target()]);
    // Without the filter cargo would download crates for other systems.
    let cmd = cargo()
        .args(["metadata", "--color", "never", "--format-version", "1", "--locked"])
        .args(targets)
        .dir(root);
    let metadata: Metadata =
        serde_json::from_slice(&cmd.read_bytes().context("cargo metadata, for licences")?)?;
    let with = |package: Package| ((package.name, package.version), package.known);
    Ok(metadata.packages.into_iter().map(with).collect())
}

/// Crates without an allowed licence, and the number of crates with an unknown licence. In the image that is built from
/// this workspace (`here`), crates with an unknown licence are findings.
pub fn findings(
    inventory: &Inventory,
    licences: &Licences,
    allowed: &[String],
    here: bool,
) -> (Vec<Finding>, usize) {
    let (mut findings, mut unknown) = (Vec::new(), BTreeSet::new());
    for (program, audit) in inventory.audited() {
        let paths = audit.paths();
        for (place, package) in audit.packages.iter().enumerate().filter(|(_, package)| !package.root) {
            let name = (package.name.clone(), package.version.to_string());
            // In another image a crate of the same name may have another source.
            let same = |known: &&CrateMetadata| here || from_registry(package) == known.source.is_some();
            let known = licences.get(&name).filter(same);
            if known.is_none() && !here {
                unknown.insert(name);
                continue;
            }
            let expression = known.and_then(|known| known.license.as_deref());
            if expression.is_some_and(|expression| allows(expression, allowed)) {
                continue;
            }
            findings.push(Finding {
                subject: package.name.clone(),
                version: package.version.to_string(),
                path: paths.to(place),
                place: program.path.clone(),
                note: expression.map_or_else(
                    || {
                        if known.is_some() {
                            return "the crate has no licence".to_owned();
                        }
                        "the crate is not in Cargo.lock, so its licence is not known".to_owned()
                    },
                    |text| format!("licence {text}"),
                ),
                platforms: [inventory.image.platform.to_string()].into(),
                ..Finding::new(FindingKind::Licence, "XT-LICENCE", Severity::High, NAME)
            });
        }
    }
    (findings, unknown.len())
}

/// Whether an expression is satisfied by the allowed licences. An invalid expression is not.
fn allows(expression: &str, allowed: &[String]) -> bool {
    let Ok(expression) = Expression::parse_mode(expression, MODE) else { return false };
    expression.evaluate(|wanted| {
        let (name, licence) = (wanted.to_string(), wanted.license.to_string());
        // An exception (WITH) only adds rights, so the licence without it is enough.
        allowed.iter().any(|allowed| *allowed == name || *allowed == licence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT/Apache-2.0", true),
            ("Apache-2.0 / GPL-2.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR GPL-2.0) AND Unicode-3.0", true),
            ("MIT OR Apache-2.0 AND GPL-2.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
            ("", false),
            ("MIT MIT", false),
            ("(MIT", false),
            ("MIT OR", false),
        ] {
            assert_eq!(allows(expression, &allowed), expected, "{expression}");
        }
    }
}
