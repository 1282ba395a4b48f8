//! Reasons for which an image without findings does not pass: parts of it were not seen.

use super::unlisted::{self, ExceptedProgram};
use crate::image::entrypoint;
use crate::image::file_type::machine;
use crate::image::inventory::{Inventory, Program};
use crate::image::osdb::Database;
use crate::image::rootfs::Content;
use cli_support::error::Fault;

/// Which packages of the operating system an engine looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownPackages {
    /// None.
    None,
    /// Those of databases that are read here (dpkg, apk).
    Read,
    /// All, RPM included: Trivy scans the image.
    All,
}

const REBUILD: &str = "build the image again with cargo xtask image, which embeds the list of crates";

/// All reasons, one fault each. `expected` is the path of the workspace's own program. Excepted programs are not a
/// reason, but do not count as seen.
pub fn blind_spots(
    inventory: &Inventory,
    expected: Option<&str>,
    packages: KnownPackages,
    excepted: &[ExceptedProgram],
) -> Vec<Fault> {
    let on = inventory.image.platform.to_string();
    let mut faults = Vec::new();
    let mut fault = |place: &str, what: &str, hint: &str| {
        faults.push(Fault::gate(what).at(format!("{on} {place}")).hint(hint));
    };
    if inventory.image.platform.os != "linux" {
        fault("image", "only programs for Linux can be read", "remove this platform from the image");
    }
    let own = expected.and_then(|path| own_program(inventory, path));
    if let Some(path) = expected.filter(|_| own.is_none()) {
        fault(path, "the workspace's program is not in the image", REBUILD);
    }
    for program in &inventory.programs {
        if let Some(why) = &program.unreadable {
            fault(&program.path, &format!("cannot read the program: {why}"), REBUILD);
        }
        let Some(audit) = &program.audit else { continue };
        if !program.executable {
            let what = "the program has no executable bit: it cannot start, and Trivy skips it";
            fault(&program.path, what, "set the file's mode to 0755");
        }
        // A list of several crates of which only the program's own is linked hides the others.
        let hidden = audit.packages.len() > 1 && audit.linked().all(|package| package.root);
        if hidden || audit.linked().next().is_none() {
            fault(&program.path, "the program's list of crates is empty", REBUILD);
        }
    }
    if let Some(program) = own.filter(|own| own.audit.is_none() && own.unreadable.is_none()) {
        fault(&program.path, unlisted::NO_LIST, REBUILD);
    }
    for one in unlisted::unknown_programs(inventory, expected) {
        if !excepted.iter().any(|other| other.path == one.path) {
            fault(&one.path, one.what(), &one.hint());
        }
    }
    let foreign = other_architecture(inventory, own);
    for (program, what) in &foreign {
        fault(&program.path, what, "build the image again for this platform");
    }
    let reported: Vec<_> = foreign.iter().map(|(program, _)| &*program.path).collect();
    for failure in entrypoint::failures(inventory, &reported) {
        fault(&failure.place, &failure.what, failure.hint);
    }
    for kind in empty_databases(inventory) {
        let what = format!("the package database ({kind:?}) has no packages").to_lowercase();
        fault("image", &what, "use a base image with an intact package database, or remove the database");
    }
    let has_packages = match packages {
        KnownPackages::None => false,
        KnownPackages::Read => !inventory.packages.is_empty(),
        KnownPackages::All => !inventory.is_bare(),
    };
    if inventory.programs.is_empty() {
        fault("image", "no program was found in the image", REBUILD);
    } else if inventory.audited().next().is_none() && !has_packages {
        fault("image", "no program in the image has a list of crates", REBUILD);
    }
    faults
}

/// A fault where an engine looked up no package and no program has a list of crates: nothing of the image was scanned.
/// Excepted programs do not count as scanned.
pub fn nothing_scanned(
    inventory: &Inventory,
    packages: usize,
    excepted: &[ExceptedProgram],
) -> Option<Fault> {
    let listed = inventory.audited().next().is_some();
    let unread = inventory.packages.is_empty() || !excepted.is_empty();
    if listed || packages > 0 || !unread || inventory.is_bare() {
        return None;
    }
    let what =
        "nothing of the image was scanned: no program has a list of crates, and Trivy found no package";
    let hint =
        "use a base image that Trivy supports; [[scan.unlisted]] and [[scan.ignore]] do not replace that";
    Some(Fault::gate(what).at(&inventory.image.platform).hint(hint))
}

/// Databases that can be read but have no package.
fn empty_databases(inventory: &Inventory) -> impl Iterator<Item = Database> {
    let has = |kind: Database| {
        inventory.rootfs.files().any(|(_, node)| {
            matches!(&node.content, Content::Packages(found) if found.database == kind && !found.list.is_empty())
        })
    };
    inventory.databases.iter().copied().filter(move |kind| *kind != Database::Rpm && !has(*kind))
}

/// Programs with a list of crates, and the workspace's own, that the platform's machines cannot run. The programs that do
/// run there have other crates.
fn other_architecture<'a>(inventory: &'a Inventory, own: Option<&Program>) -> Vec<(&'a Program, String)> {
    let arch = &inventory.image.platform.architecture;
    let Some(wanted) = machine(arch) else { return Vec::new() };
    let is_own = |program: &Program| own.is_some_and(|own| own.path == program.path);
    let counts = |program: &&Program| program.audit.is_some() || is_own(program);
    let of = inventory.programs.iter().filter(counts).filter(|program| program.machine != wanted);
    of.map(|program| (program, entrypoint::other_architecture(program.machine, arch))).collect()
}

/// The program at the path of the workspace's own.
fn own_program<'a>(inventory: &'a Inventory, path: &str) -> Option<&'a Program> {
    let found = inventory.rootfs.resolve(path).map(|(path, _)| format!("/{path}"))?;
    inventory.programs.iter().find(|program| program.path == found)
}
