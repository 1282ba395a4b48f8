//! Which files of an image belong to packages of its operating system.

use super::inventory::Inventory;
use super::osdb;
use super::rootfs::Content;

/// Lines that are resolved for one file. No two packages contain the same file.
const MAX_LINES: usize = 1_000;

/// Whether an installed package contains the file at `path` (no leading slash, links resolved). False for packages of
/// RPM, because their databases are not read.
pub fn in_package(inventory: &Inventory, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let leads_there = |line: &str| inventory.rootfs.resolve(line).is_some_and(|(found, _)| found == path);
    let files = inventory.rootfs.files();
    let lines = files.flat_map(|(list, node)| -> Box<dyn Iterator<Item = &str>> {
        match &node.content {
            Content::Packages(found) => Box::new(found.files.iter().map(String::as_str)),
            Content::PackageFiles(text) if is_installed(inventory, list) => {
                Box::new(text.lines().map(osdb::path_in_line))
            }
            _ => Box::new(std::iter::empty()),
        }
    });
    lines.filter(|line| line.rsplit('/').next() == Some(name)).take(MAX_LINES).any(leads_there)
}

/// Whether the package of a list of files is installed.
fn is_installed(inventory: &Inventory, list: &str) -> bool {
    match osdb::package_of_list(list) {
        Some((folder, name)) if folder.ends_with("status.d/") => inventory
            .rootfs
            .nodes
            .get(&format!("{folder}{name}"))
            .is_some_and(|node| matches!(node.content, Content::Packages(_))),
        Some((_, name)) => {
            let name = name.split(':').next().unwrap_or(name);
            inventory.packages.iter().any(|package| package.name == name)
        }
        None => false,
    }
}
