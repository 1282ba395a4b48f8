//! What a scan says about one platform and one engine.

use serde::Serialize;

use super::entrypoint;
use super::inventory::Inventory;
use super::osdb::Database;
use super::unlisted::Overlooked;
use cli_support::digest::Digest;
use cli_support::time::Date;

/// An engine that ran.
#[derive(Clone, Debug, Serialize)]
pub struct Engine {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// The day of what it knows.
    pub database: Date,
    /// The commit of what it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How many advisories it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advisories: Option<usize>,
}

/// One platform as it was seen.
#[derive(Clone, Debug, Serialize)]
pub struct PlatformReport {
    /// What it runs on.
    pub platform: String,
    /// Its manifest's digest.
    pub manifest: Digest,
    /// Layers that were read.
    pub layers: usize,
    /// Paths in it.
    pub paths: usize,
    /// Programs and libraries in it.
    pub programs: usize,
    /// Programs that say which crates they are made of.
    pub audited: usize,
    /// The program that the container starts.
    pub starts: Option<String>,
    /// Programs that nobody knows, and that are overlooked.
    pub overlooked: Vec<Overlooked>,
    /// Crates that are linked.
    pub crates: usize,
    /// What the list of crates is worth: `verified`, `unverified` or `mismatch`; none where nobody looked.
    pub list: Option<&'static str>,
    /// Crates that Trivy saw.
    pub trivy_crates: Option<usize>,
    /// Packages of the operating system.
    pub packages: usize,
    /// The kinds of package database in it.
    pub databases: Vec<Database>,
    /// What the builtin engine does not cover.
    pub not_covered: Vec<String>,
    /// Seconds that the builtin engine took.
    pub seconds: f64,
}

impl PlatformReport {
    /// What an inventory comes to, taken in so many seconds.
    pub fn of(inventory: &Inventory, seconds: f64) -> Self {
        Self {
            platform: inventory.image.platform.to_string(),
            manifest: inventory.image.digest,
            layers: inventory.image.layers.len(),
            paths: inventory.rootfs.nodes.len(),
            programs: inventory.programs.len(),
            audited: inventory.audited().count(),
            starts: entrypoint::file(inventory),
            overlooked: Vec::new(),
            crates: inventory.crates(),
            list: None,
            trivy_crates: None,
            packages: inventory.packages.len(),
            databases: inventory.databases.iter().copied().collect(),
            not_covered: Vec::new(),
            seconds,
        }
    }
}
