//! Whether Trivy saw everything in an image, and has advisories for it.

use std::collections::BTreeSet;

use super::NAME;
use super::answer::{HISTORY, OS_PACKAGES, System, TrivyReport};
use crate::finding::{Finding, FindingKind};
use crate::image::inventory::Inventory;
use cli_support::error::Fault;
use rust_workspace::severity::Severity;

/// The rule about a distribution without updates.
const END_OF_LIFE: &str = "XT-END-OF-LIFE";
/// The rule about a distribution without advisories.
pub(super) const UNKNOWN_SYSTEM: &str = "XT-UNKNOWN-SYSTEM";
/// The rule about a history that Trivy does not check.
const UNCHECKED_HISTORY: &str = "XT-UNCHECKED-HISTORY";

const INTACT: &str = "check that the image's package database is intact";

/// A finding of this engine that fails by default, because other findings may be missing.
pub(super) fn critical(id: &str, subject: String, note: &str, place: &str) -> Finding {
    Finding {
        subject,
        note: note.to_owned(),
        place: place.to_owned(),
        ..Finding::new(FindingKind::Config, id, Severity::Critical, NAME)
    }
}

/// A finding where the distribution gets no updates, or Trivy has no advisories for it.
pub(super) fn unsupported_system(
    report: &TrivyReport,
    inventory: &Inventory,
    platform: &str,
) -> Option<Finding> {
    let system = report.metadata.system.as_ref();
    let has_packages = report.results.iter().any(|outcome| outcome.class == OS_PACKAGES);
    let (id, note) = match system {
        Some(system) if system.ended => (END_OF_LIFE, "its support has ended, so new advisories are missing"),
        _ if !inventory.databases.is_empty() && !has_packages => {
            (UNKNOWN_SYSTEM, "Trivy has no advisories for its packages")
        }
        _ => return None,
    };
    let subject = system.map_or_else(|| "an unknown system".to_owned(), System::name);
    Some(critical(id, subject, note, "/etc/os-release").on(platform))
}

/// A finding where Trivy did not check the image's history. It converts the history to a Dockerfile, and skips all checks
/// without an error where it cannot parse that.
pub(super) fn unchecked_history(
    report: &TrivyReport,
    inventory: &Inventory,
    platform: &str,
) -> Option<Finding> {
    let steps = inventory.image.config.get("history").and_then(serde_json::Value::as_array);
    let has_steps = steps.is_some_and(|steps| !steps.is_empty());
    let checked = report.results.iter().any(|one| one.class == "config" && one.target.contains("@sha256:"));
    (has_steps && !checked).then(|| {
        let note = "Trivy cannot parse a step of the history, so it did not check the image's config";
        critical(UNCHECKED_HISTORY, HISTORY.to_owned(), note, HISTORY).on(platform)
    })
}

/// Compares the crates that Trivy saw with those in the image. Returns their number.
pub(super) fn check_crates(
    report: &TrivyReport,
    inventory: &Inventory,
    platform: &str,
) -> Result<usize, Fault> {
    let programs = report.results.iter().filter(|outcome| outcome.r#type == "rustbinary");
    let seen = programs.flat_map(|outcome| &outcome.packages);
    let seen: BTreeSet<_> = seen.map(|package| (package.name.clone(), package.version.clone())).collect();
    let linked = inventory.audited().flat_map(|(_, audit)| audit.linked());
    let linked: BTreeSet<_> = linked.map(|one| (one.name.clone(), one.version.to_string())).collect();
    match linked.difference(&seen).next() {
        None => Ok(seen.len()),
        Some((name, version)) => {
            let (seen, linked) = (seen.len(), linked.len());
            let what = format!("Trivy saw {seen} of {linked} crates, and not {name} {version}");
            let hint = "trivy image --list-all-pkgs prints what it sees";
            Err(Fault::gate(what).at(platform).hint(hint))
        }
    }
}

/// Compares the packages that Trivy saw with those in the image.
pub(super) fn check_packages(
    report: &TrivyReport,
    inventory: &Inventory,
    platform: &str,
) -> Result<(), Fault> {
    let seen = report.results.iter().filter(|outcome| outcome.class == OS_PACKAGES);
    let seen: BTreeSet<_> = seen.flat_map(|one| &one.packages).map(|package| &package.name).collect();
    if let Some(package) = inventory.packages.iter().find(|package| !seen.contains(&package.name)) {
        let (seen, all) = (seen.len(), inventory.packages.len());
        let what =
            format!("Trivy saw {seen} of {all} packages of the operating system, and not {}", package.name);
        return Err(Fault::gate(what).at(platform).hint(INTACT));
    }
    // Only Trivy reads RPM databases.
    if !inventory.databases.is_empty() && seen.is_empty() {
        let what = "Trivy saw no package in the package database";
        return Err(Fault::gate(what).at(platform).hint(INTACT));
    }
    Ok(())
}
