//! Which files of an image are of a package of its operating system, as the packages' own lists have it.

use super::inventory::Inventory;
use super::osdb;
use super::rootfs::Content;

/// Lines that are followed for one file. No two packages have the same one.
const MAX_LINES: usize = 1_000;

/// Whether a file, by its path without a slash at the beginning and links followed, is of a package that is
/// installed. Where packages have no lists that can be read here (RPM), no file is.
pub fn owned(inventory: &Inventory, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let leads_there = |line: &str| inventory.rootfs.resolve(line).is_some_and(|(found, _)| found == path);
    let files = inventory.rootfs.files();
    let lines = files.flat_map(|(list, node)| -> Box<dyn Iterator<Item = &str>> {
        match &node.content {
            Content::Packages(found) => Box::new(found.files.iter().map(String::as_str)),
            Content::Listed(text) if is_installed(inventory, list) => {
                Box::new(text.lines().map(osdb::listed))
            }
            _ => Box::new(std::iter::empty()),
        }
    });
    lines.filter(|line| line.rsplit('/').next() == Some(name)).take(MAX_LINES).any(leads_there)
}

/// Whether the package whose files a list names is one of those that are there.
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
