//! The engine that needs neither a tool nor the network: it compares the crates in programs with RustSec's advisories.

pub mod advisory_db;
pub(crate) mod checks;
mod cvss_score;
pub mod import;
pub mod licence;
mod range;
pub mod yanked;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Result;

use super::{Database, Engine, EngineReport, PlatformScan, Probe};
use crate::finding::{BUILTIN, Finding, FindingKind};
use crate::image::entrypoint;
use crate::image::inventory::{Inventory, Program};
use crate::image::osdb;
use advisory_db::{Advisory, AdvisoryDb, FILE};
use cli_support::error::Fault;
use cli_support::ui::Progress;
use oci_image::layout::Layout;
use rust_workspace::audit::{Crate, DependencyKind, Paths};
use rust_workspace::severity::Severity;

/// The engine's name.
pub const NAME: &str = BUILTIN;

/// The most findings about one image. Each may have a long path to its crate.
const MAX_FINDINGS: usize = 10_000;

/// Days that `xtask/advisories.jsonl` may be old where the settings set no limit (docs/decisions.md).
const MAX_AGE: u64 = 180;

/// The builtin engine.
#[derive(Debug)]
pub struct Builtin {
    /// The workspace's root, which has the advisories.
    root: PathBuf,
    /// The fewest advisories.
    min_advisories: u64,
    database: OnceLock<AdvisoryDb>,
}

impl Builtin {
    /// The engine with the advisories below a workspace's root.
    pub fn new(root: PathBuf, min_advisories: u64) -> Self {
        Self { root, min_advisories, database: OnceLock::new() }
    }

    fn advisories(&self) -> Result<&AdvisoryDb> {
        if let Some(database) = self.database.get() {
            return Ok(database);
        }
        let database = AdvisoryDb::read(&self.root)?;
        Ok(self.database.get_or_init(|| database))
    }
}

impl Engine for Builtin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn probe(&self, _: &[Inventory], _: &Progress) -> Result<Probe> {
        let too_few = self.advisories()?.check_count(self.min_advisories).err();
        Ok(Probe { faults: too_few.into_iter().collect(), findings: Vec::new() })
    }

    fn scan(&self, _: &Layout, inventories: &[Inventory], _: &Progress) -> Result<Vec<PlatformScan>> {
        let database = self.advisories()?;
        let scan = |inventory: &Inventory| -> Result<PlatformScan> {
            let started = Instant::now();
            let mut findings = findings(inventory, database)?;
            findings.extend(checks::findings(inventory));
            Ok(PlatformScan {
                findings,
                crates: inventory.crates(),
                packages: None,
                not_covered: not_covered(inventory),
                seconds: started.elapsed().as_secs_f64(),
            })
        };
        inventories.iter().map(scan).collect()
    }

    fn database(&self) -> Result<Database> {
        let database = self.advisories()?;
        let report = EngineReport {
            name: NAME,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: database.date(),
            commit: database.header.commit.clone(),
            advisories: Some(database.header.advisories),
        };
        let hint = "run cargo xtask advisories update (--from DIR, TAR or URL without github.com)".to_owned();
        Ok(Database { report, what: "the advisory file", file: Some(FILE), max_age: MAX_AGE, hint })
    }
}

/// The parts of an image that this engine has no advisories for.
pub(crate) fn not_covered(inventory: &Inventory) -> Vec<String> {
    let platform = &inventory.image.platform;
    let mut lines = Vec::new();
    if inventory.databases.contains(&osdb::Database::Rpm) {
        lines.push(format!("{platform}: a database of RPM packages, which is not read here"));
    }
    let kinds = inventory.databases.iter().filter(|kind| **kind != osdb::Database::Rpm);
    let kinds: Vec<_> = kinds.map(|kind| format!("{kind:?}").to_lowercase()).collect();
    if !kinds.is_empty() {
        let (count, kinds) = (inventory.packages.len(), kinds.join(", "));
        lines.push(format!("{platform}: {count} packages of the operating system ({kinds})"));
    }
    if entrypoint::is_script(inventory) {
        lines.push(format!(
            "{platform}: the container starts a script; the programs that it starts are not known"
        ));
    }
    let all = inventory.audited().flat_map(|(_, audit)| &audit.packages);
    let others: BTreeSet<_> = all
        .filter(|package| !package.root && !is_looked_up(package))
        .map(|package| (&package.name, &package.version, &package.source))
        .collect();
    if !others.is_empty() {
        lines.push(format!("{platform}: {} crates that are not from crates.io", others.len()));
    }
    let without_list = inventory.programs.iter().filter(|program| program.audit.is_none()).count();
    if without_list > 0 {
        lines.push(format!("{platform}: {without_list} programs and libraries without a list of crates"));
    }
    lines
}

/// The advisories that affect the image's crates, one finding for each version of a crate.
///
/// # Errors
/// There are more than [`MAX_FINDINGS`].
pub(crate) fn findings(inventory: &Inventory, database: &AdvisoryDb) -> Result<Vec<Finding>, Fault> {
    let (mut findings, mut seen) = (Vec::new(), BTreeSet::new());
    for (program, audit) in inventory.audited() {
        let paths = audit.paths();
        for (at, package) in audit.packages.iter().enumerate().filter(|(_, one)| is_looked_up(one)) {
            for advisory in database.about(&package.name, &package.version) {
                let build = package.kind == DependencyKind::Build;
                if !seen.insert((&advisory.id, &package.version, build)) {
                    continue;
                }
                if findings.len() == MAX_FINDINGS {
                    let what = format!("more than {MAX_FINDINGS} advisories affect crates of this image");
                    return Err(Fault::gate(what).at(&inventory.image.platform));
                }
                findings.push(finding(inventory, program, &paths, (at, package), advisory));
            }
        }
    }
    Ok(findings)
}

/// Whether a crate is compared with the advisories. A crate in a folder may be a vendored copy from crates.io; only the
/// program's own crate is certainly not.
fn is_looked_up(package: &Crate) -> bool {
    from_registry(package) || package.source == "local" && !package.root
}

/// Whether a crate is from crates.io or a mirror, which other tools write as `registry` or as an address. A private
/// crate, or one from git, may share a name with a crate there.
pub fn from_registry(package: &Crate) -> bool {
    let source = package.source.trim_start_matches("registry+").trim_start_matches("sparse+");
    let address = source.trim_start_matches("https://");
    let known = ["crates.io", "index.crates.io", "static.crates.io", "github.com/rust-lang/crates.io-index"];
    source == "registry"
        || known.iter().any(|name| {
            address.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// The name that Rust and its advisories give an architecture (`GOARCH`).
fn rust_arch(name: &str) -> &str {
    match name {
        "amd64" => "x86_64",
        "386" => "x86",
        "arm64" => "aarch64",
        "ppc64" | "ppc64le" => "powerpc64",
        "ppc" => "powerpc",
        "mipsle" => "mips",
        "mips64le" => "mips64",
        "loong64" => "loongarch64",
        // arm, mips, mips64, riscv64 and s390x have the same name.
        other => other,
    }
}

fn finding(
    inventory: &Inventory,
    program: &Program,
    paths: &Paths<'_>,
    (at, package): (usize, &Crate),
    advisory: &Advisory,
) -> Finding {
    let concerned = advisory.concerns(rust_arch(&inventory.image.platform.architecture));
    let build = package.kind == DependencyKind::Build;
    let (kind, severity, note) = match &advisory.informational {
        Some(kind) => (FindingKind::Notice, Severity::Info, kind.as_str()),
        None if !concerned => (FindingKind::Notice, Severity::Info, "affects other systems only"),
        None if build => (FindingKind::Notice, advisory.severity(), "a build dependency, not linked"),
        None => (FindingKind::Vulnerability, advisory.severity(), ""),
    };
    let fixed: Vec<_> = advisory.patched.iter().map(ToString::to_string).collect();
    Finding {
        aliases: advisory.aliases.iter().cloned().collect(),
        subject: package.name.clone(),
        version: package.version.to_string(),
        fixed: fixed.join(" or "),
        path: paths.to(at),
        place: program.path.clone(),
        note: note.to_owned(),
        link: advisory.link(),
        platforms: [inventory.image.platform.to_string()].into(),
        ..Finding::new(kind, &advisory.id, severity, NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_have_rusts_names() {
        for (image, rust) in [
            ("amd64", "x86_64"),
            ("386", "x86"),
            ("arm64", "aarch64"),
            ("arm", "arm"),
            ("ppc64le", "powerpc64"),
            ("riscv64", "riscv64"),
            ("new", "new"),
        ] {
            assert_eq!(rust_arch(image), rust);
        }
    }
}
