//! Whether Trivy saw what is in an image, and has advisories for it.

use std::collections::BTreeSet;

use super::NAME;
use super::answer::{SYSTEM, System, TrivyReport};
use crate::finding::{Finding, FindingKind};
use crate::inventory::Inventory;
use cli_support::error::Fault;
use rust_workspace::severity::Severity;

/// A distribution that gets no more updates.
const ENDED_SYSTEM: &str = "XT-END-OF-LIFE";
/// A distribution that Trivy knows nothing of.
pub(super) const UNKNOWN_SYSTEM: &str = "XT-UNKNOWN-SYSTEM";

/// What keeps the distribution's packages from being known: it gets no more updates, or Trivy has no
/// advisories for it at all (or cannot tell which it is), so that no result is of its packages.
pub(super) fn system(report: &TrivyReport, inventory: &Inventory, platform: &str) -> Option<Finding> {
    let system = report.metadata.system.as_ref();
    let has_packages = report.results.iter().any(|outcome| outcome.class == SYSTEM);
    let (id, note) = match system {
        Some(system) if system.ended => {
            (ENDED_SYSTEM, "its makers give no more updates, so that advisories about it have stopped")
        }
        _ if !inventory.databases.is_empty() && !has_packages => {
            (UNKNOWN_SYSTEM, "Trivy has no advisories for its packages")
        }
        _ => return None,
    };
    Some(Finding {
        subject: system.map_or_else(|| "an unknown system".to_owned(), System::name),
        note: note.to_owned(),
        place: "/etc/os-release".to_owned(),
        platforms: [platform.to_owned()].into(),
        // Not seeing anything is as bad as it gets, and fails whatever the list of severities.
        ..Finding::new(FindingKind::Config, id, Severity::Critical, NAME)
    })
}

/// Holds the packages that Trivy saw against those that are there.
pub(super) fn check_packages(
    report: &TrivyReport,
    inventory: &Inventory,
    platform: &str,
) -> Result<(), Fault> {
    let packages: BTreeSet<_> = report
        .results
        .iter()
        .filter(|outcome| outcome.class == SYSTEM)
        .flat_map(|outcome| &outcome.packages)
        .map(|package| &package.name)
        .collect();
    if let Some(package) = inventory.packages.iter().find(|package| !packages.contains(&package.name)) {
        let what = format!(
            "Trivy saw {} packages of the operating system of {}: {} is not among them",
            packages.len(),
            inventory.packages.len(),
            package.name
        );
        return Err(Fault::gate(what).at(platform).hint("is its database of packages whole?"));
    }
    // What is in a database of RPM packages only Trivy knows; without one of them it saw none of it.
    if !inventory.databases.is_empty() && packages.is_empty() {
        return Err(Fault::gate("there is a database of packages, and Trivy saw no package in it")
            .at(platform)
            .hint("is its database of packages whole?"));
    }
    Ok(())
}
