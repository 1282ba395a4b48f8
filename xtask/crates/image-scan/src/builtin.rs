//! The scanner that needs neither tool nor network: the crates that programs say are in them, held
//! against RustSec's facts.

use std::collections::BTreeSet;

use super::advisory_db::{Advisory, AdvisoryDb};
use super::entrypoint;
use super::file_type::machine;
use super::finding::{BUILTIN, Finding, FindingKind};
use super::inventory::{Inventory, Program};
use super::osdb::Database;
use super::rootfs::Content;
use super::unlisted::{self, Overlooked};
use cli_support::error::Fault;
use rust_workspace::audit::{Crate, Paths};
use rust_workspace::severity::Severity;

/// The engine's name.
pub const NAME: &str = BUILTIN;

/// The most findings about one image. Each may name a long way to its crate.
const MAX_FINDINGS: usize = 10_000;

/// Which packages of an image's operating system count as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packages {
    /// None: there is nobody to ask about them.
    Unknown,
    /// Those whose database can be read here.
    Read,
    /// Those of RPM too: Trivy is asked, and must see one at least.
    Asked,
}

/// What keeps a clean answer from meaning anything: each reason on its own. `expected` is the path of
/// the program that must be there, where it is known; `packages` says which packages of the operating system
/// somebody knows, so that an image without any crate is not an unknown one. Programs that are overlooked are
/// none of the reasons, and prove nothing either.
pub fn blind_spots(
    inventory: &Inventory,
    expected: Option<&str>,
    packages: Packages,
    overlooked: &[Overlooked],
) -> Vec<Fault> {
    let on = inventory.image.platform.to_string();
    let mut faults = Vec::new();
    let mut fault = |place: &str, what: String, hint: &str| {
        faults.push(Fault::gate(what).at(format!("{on} {place}")).hint(hint));
    };
    let rebuild = "cargo xtask image makes it anew with the list of crates in it";
    if inventory.image.platform.os != "linux" {
        let what = "programs of other systems than Linux are not looked into".to_owned();
        fault("image", what, "leave this platform out of the image, or publish it on its own");
    }
    if let Some(path) = expected.filter(|path| own(inventory, path).is_none()) {
        fault(path, "the program that the image is made for is not there".to_owned(), rebuild);
    }
    for program in &inventory.programs {
        if let Some(why) = &program.unreadable {
            fault(&program.path, format!("the program cannot be looked into: {why}"), rebuild);
        }
        let Some(audit) = &program.audit else { continue };
        if !program.executable {
            let what =
                "the program has no executable bit: it cannot start, and Trivy passes over it".to_owned();
            fault(&program.path, what, "give the file mode 0755");
        }
        // A program of several crates of which none but its own is linked hides all of them.
        let hidden = audit.packages.len() > 1 && audit.linked().all(|package| package.root);
        if hidden || audit.linked().next().is_none() {
            fault(&program.path, "the program's list of crates is empty".to_owned(), rebuild);
        }
    }
    let own = expected.and_then(|path| own(inventory, path));
    if let Some(program) = own.filter(|own| own.audit.is_none() && own.unreadable.is_none()) {
        let what = "the program does not say which crates are in it: it has no section .dep-v0".to_owned();
        fault(&program.path, what, rebuild);
    }
    for one in unlisted::silent(inventory, expected) {
        if !overlooked.iter().any(|other| other.path == one.path) {
            fault(&one.path, one.what().to_owned(), &one.hint());
        }
    }
    let foreign = foreign(inventory, own);
    for (program, what) in &foreign {
        fault(&program.path, what.clone(), "build the image again for this platform");
    }
    let known: Vec<_> = foreign.iter().map(|(program, _)| &*program.path).collect();
    for (place, what, hint) in entrypoint::wrong(inventory, &known) {
        fault(&place, what, hint);
    }
    for kind in empty_databases(inventory) {
        let what = format!("the database of packages ({kind:?}) has no package in it").to_lowercase();
        fault("image", what, "take a base whose database of packages is whole, or leave it out");
    }
    let has_packages = match packages {
        Packages::Unknown => false,
        Packages::Read => !inventory.packages.is_empty(),
        Packages::Asked => !inventory.is_bare(),
    };
    if inventory.programs.is_empty() {
        fault("image", "no program was found in it, so that nothing can be said of it".to_owned(), rebuild);
    } else if inventory.audited().next().is_none() && !has_packages {
        fault("image", "no program in it says which crates it is made of".to_owned(), rebuild);
    }
    faults
}

/// The kinds of database of which no package is known, though they can be read.
fn empty_databases(inventory: &Inventory) -> impl Iterator<Item = Database> {
    let has = |kind: Database| {
        inventory.rootfs.files().any(|(_, node)| {
            matches!(&node.content, Content::Packages(found) if found.database == kind && !found.list.is_empty())
        })
    };
    inventory.databases.iter().copied().filter(move |kind| *kind != Database::Rpm && !has(*kind))
}

/// Programs with a list, and the expected one, that the platform's machines cannot run. Which crates are in
/// them says nothing of what does run there.
fn foreign<'a>(inventory: &'a Inventory, own: Option<&Program>) -> Vec<(&'a Program, String)> {
    let arch = &inventory.image.platform.architecture;
    let Some(wanted) = machine(arch) else { return Vec::new() };
    let is_own = |program: &Program| own.is_some_and(|own| own.path == program.path);
    let counts = |program: &&Program| program.audit.is_some() || is_own(program);
    let of = inventory.programs.iter().filter(counts).filter(|program| program.machine != wanted);
    of.map(|program| (program, entrypoint::foreign(program.machine, arch))).collect()
}

/// The program at the path where the workspace's own must be.
fn own<'a>(inventory: &'a Inventory, path: &str) -> Option<&'a Program> {
    let found = inventory.rootfs.resolve(path).map(|(path, _)| format!("/{path}"))?;
    inventory.programs.iter().find(|program| program.path == found)
}

/// What this engine does not cover in an image; empty where it covers all of it.
pub fn not_covered(inventory: &Inventory) -> Vec<String> {
    let mut lines = Vec::new();
    if inventory.databases.contains(&Database::Rpm) {
        let platform = &inventory.image.platform;
        lines.push(format!("{platform}: a database of RPM packages, which is not read here"));
    }
    let kinds = inventory.databases.iter().filter(|kind| **kind != Database::Rpm);
    let kinds: Vec<_> = kinds.map(|kind| format!("{kind:?}").to_lowercase()).collect();
    if !kinds.is_empty() {
        lines.push(format!(
            "{}: {} packages of the operating system ({}): there are no advisories for them here",
            inventory.image.platform,
            inventory.packages.len(),
            kinds.join(", ")
        ));
    }
    if entrypoint::is_script(inventory) {
        let platform = &inventory.image.platform;
        lines
            .push(format!("{platform}: the container starts a script, and what that starts is not followed"));
    }
    let all = inventory.audited().flat_map(|(_, audit)| &audit.packages);
    let unasked: BTreeSet<_> = all
        .filter(|package| !package.root && !is_asked(package))
        .map(|package| (&package.name, &package.version, &package.source))
        .collect();
    if !unasked.is_empty() {
        let platform = &inventory.image.platform;
        lines.push(format!(
            "{platform}: {} crates that are not crates.io's were not asked about",
            unasked.len()
        ));
    }
    let silent = inventory.programs.iter().filter(|program| program.audit.is_none()).count();
    if silent > 0 {
        lines.push(format!(
            "{}: {silent} programs and libraries without a list of crates",
            inventory.image.platform
        ));
    }
    lines
}

/// The advisories that the image's crates are affected by, each once for a version of a crate, however many
/// programs have that. An image with very many is refused.
pub fn findings(inventory: &Inventory, facts: &AdvisoryDb) -> Result<Vec<Finding>, Fault> {
    let (mut findings, mut seen) = (Vec::new(), BTreeSet::new());
    for (program, audit) in inventory.audited() {
        let paths = audit.paths();
        for (place, package) in audit.packages.iter().enumerate().filter(|(_, package)| is_asked(package)) {
            for advisory in facts.about(&package.name, &package.version) {
                if !seen.insert((
                    &advisory.id,
                    &package.version,
                    package.kind == rust_workspace::audit::DependencyKind::Build,
                )) {
                    continue;
                }
                if findings.len() == MAX_FINDINGS {
                    let what = format!("more than {MAX_FINDINGS} advisories are about crates of this image");
                    return Err(Fault::gate(what).at(&inventory.image.platform));
                }
                findings.push(finding(inventory, program, &paths, (place, package), advisory));
            }
        }
    }
    Ok(findings)
}

/// Whether the advisories are asked about a crate. A copy in a folder may be one of crates.io's, vendored, and
/// is taken for it by its name; the one that the program is of is not.
fn is_asked(package: &Crate) -> bool {
    from_registry(package) || package.source == "local" && !package.root
}

/// Whether a crate is one that RustSec may speak of. Its names are crates.io's, which other tools write as
/// `registry` or by its addresses, and a mirror serves the same crates; a crate of one's own, or one from
/// git, may share a name by chance.
pub fn from_registry(package: &Crate) -> bool {
    let source = package.source.trim_start_matches("registry+").trim_start_matches("sparse+");
    let address = source.trim_start_matches("https://");
    let known = ["crates.io", "index.crates.io", "static.crates.io", "github.com/rust-lang/crates.io-index"];
    source == "registry"
        || known.iter().any(|name| {
            address.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// An architecture of images (Go's `GOARCH`) by the name that Rust and its advisories give it. Variants of
/// one architecture are one there.
fn arch(name: &str) -> &str {
    match name {
        "amd64" => "x86_64",
        "386" => "x86",
        "arm64" => "aarch64",
        "ppc64" | "ppc64le" => "powerpc64",
        "ppc" => "powerpc",
        "mipsle" => "mips",
        "mips64le" => "mips64",
        "loong64" => "loongarch64",
        // arm, mips, mips64, riscv64 and s390x have one name in both; what is not known stays as it is.
        other => other,
    }
}

fn finding(
    inventory: &Inventory,
    program: &Program,
    paths: &Paths<'_>,
    (place, package): (usize, &Crate),
    advisory: &Advisory,
) -> Finding {
    let arch = arch(&inventory.image.platform.architecture);
    let elsewhere = !advisory.concerns(arch);
    let build = package.kind == rust_workspace::audit::DependencyKind::Build;
    let (kind, severity, note) = match &advisory.informational {
        Some(kind) => (FindingKind::Notice, Severity::Info, kind.clone()),
        None if elsewhere => {
            (FindingKind::Notice, Severity::Info, "about other systems than this one".to_owned())
        }
        None if build => {
            (FindingKind::Notice, advisory.severity(), "ran while building, not linked".to_owned())
        }
        None => (FindingKind::Vulnerability, advisory.severity(), String::new()),
    };
    let fixed: Vec<_> = advisory.patched.iter().map(ToString::to_string).collect();
    Finding {
        aliases: advisory.aliases.iter().cloned().collect(),
        subject: package.name.clone(),
        version: package.version.to_string(),
        fixed: fixed.join(" or "),
        path: paths.to(place),
        place: program.path.clone(),
        note,
        link: advisory.link(),
        platforms: [inventory.image.platform.to_string()].into(),
        ..Finding::new(kind, &advisory.id, severity, NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_go_by_rusts_names() {
        for (image, rust) in [
            ("amd64", "x86_64"),
            ("386", "x86"),
            ("arm64", "aarch64"),
            ("arm", "arm"),
            ("ppc64le", "powerpc64"),
            ("riscv64", "riscv64"),
            ("new", "new"),
        ] {
            assert_eq!(arch(image), rust);
        }
    }
}
