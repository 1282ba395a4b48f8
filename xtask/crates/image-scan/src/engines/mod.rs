//! Vulnerability scanners behind one interface. A third scanner is one more module that implements [`Engine`].

pub mod builtin;
mod database_age;
pub mod trivy;

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::finding::Finding;
use crate::image::inventory::Inventory;
use cli_support::error::Fault;
use cli_support::process::Cmd;
use cli_support::time::Date;
use cli_support::ui::Progress;
use oci_image::layout::Layout;

/// A vulnerability scanner. It is called in this order: [`probe`](Engine::probe), [`scan`](Engine::scan),
/// [`database`](Engine::database).
pub trait Engine: fmt::Debug {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// The child process of a scan, for the plan.
    fn command(&self) -> Option<&Cmd> {
        None
    }

    /// Checks that the engine has a database with advisories. A scan with an empty one finds nothing in any image.
    fn probe(&self, inventories: &[Inventory], progress: &Progress) -> Result<Probe>;

    /// Scans every platform, in the order of the inventories.
    fn scan(
        &self,
        layout: &Layout,
        inventories: &[Inventory],
        progress: &Progress,
    ) -> Result<Vec<PlatformScan>>;

    /// Describes the database that the scan used.
    fn database(&self) -> Result<Database>;
}

/// Result of the check of a database.
#[derive(Debug, Default)]
pub struct Probe {
    /// Why no result of the engine counts.
    pub faults: Vec<Fault>,
    /// Operating systems without advisories.
    pub findings: Vec<Finding>,
}

/// The result of one engine for one platform.
#[derive(Debug, Default)]
pub struct PlatformScan {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Crates that the engine saw.
    pub crates: usize,
    /// Packages of the operating system that the engine looked up; none where it looks up no such packages.
    pub packages: Option<usize>,
    /// Parts of the image that the engine has no advisories for.
    pub not_covered: Vec<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// The database of an engine.
#[derive(Debug)]
pub struct Database {
    /// The engine, as reports show it.
    pub report: EngineReport,
    /// The name of the database in messages: `Trivy's database`.
    pub what: &'static str,
    /// Its file below the workspace's root, where it has one.
    pub file: Option<&'static str>,
    /// The greatest age in days where the settings set none.
    pub max_age: u64,
    /// How to get a newer one.
    pub hint: String,
}

/// An engine that scanned the image (docs/json.md, `engines[]`).
#[derive(Clone, Debug, Serialize)]
pub struct EngineReport {
    /// The name.
    pub name: &'static str,
    /// The version.
    pub version: String,
    /// The date of the database.
    pub database: Date,
    /// The commit of the database's source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The number of advisories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advisories: Option<usize>,
}
