//! One platform in the report (docs/json.md, `platforms[]`).

use serde::Serialize;

use crate::engines::{PlatformScan, trivy};
use crate::image::entrypoint;
use crate::image::inventory::Inventory;
use crate::image::osdb::Database;
use crate::policy::unlisted::ExceptedProgram;
use cli_support::digest::Digest;

/// One platform.
#[derive(Clone, Debug, Serialize)]
pub struct PlatformReport {
    /// The platform.
    pub platform: String,
    /// The manifest's digest.
    pub manifest: Digest,
    /// The number of layers.
    pub layers: usize,
    /// The number of paths.
    pub paths: usize,
    /// The number of programs and libraries.
    pub programs: usize,
    /// The number of programs with a list of crates.
    pub audited: usize,
    /// The program that the container starts.
    pub starts: Option<String>,
    /// Unknown programs that the settings except.
    pub overlooked: Vec<ExceptedProgram>,
    /// The number of linked crates.
    pub crates: usize,
    /// The comparison of the list of crates with the source: `verified`, `unverified` or `mismatch`; none where the
    /// scan ended before it.
    pub list: Option<&'static str>,
    /// The number of crates that Trivy saw.
    pub trivy_crates: Option<usize>,
    /// The number of packages of the operating system.
    pub packages: usize,
    /// The kinds of package database.
    pub databases: Vec<Database>,
    /// Parts of the image that the builtin engine does not cover.
    pub not_covered: Vec<String>,
    /// Seconds for reading the platform and for the builtin engine.
    pub seconds: f64,
}

impl PlatformReport {
    /// The report of an inventory that was read in so many seconds.
    pub fn of(inventory: &Inventory, seconds: f64, overlooked: Vec<ExceptedProgram>) -> Self {
        Self {
            platform: inventory.image.platform.to_string(),
            manifest: inventory.image.digest,
            layers: inventory.image.layers.len(),
            paths: inventory.rootfs.nodes.len(),
            programs: inventory.programs.len(),
            audited: inventory.audited().count(),
            starts: entrypoint::file(inventory),
            overlooked,
            crates: inventory.crates(),
            list: None,
            trivy_crates: None,
            packages: inventory.packages.len(),
            databases: inventory.databases.iter().copied().collect(),
            not_covered: Vec::new(),
            seconds,
        }
    }

    /// Adds what an engine saw.
    pub fn add(&mut self, engine: &str, scan: &PlatformScan) {
        if engine == trivy::NAME {
            self.trivy_crates = Some(scan.crates);
        } else {
            self.seconds += scan.seconds;
        }
        self.not_covered.extend(scan.not_covered.iter().cloned());
    }
}
