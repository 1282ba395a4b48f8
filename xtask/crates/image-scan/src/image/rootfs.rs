//! The file system of an image: its layers applied one over the other (image-spec layer.md, "Applying Changesets").

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file_type::FileType;
use super::osdb;
use super::tar_entries::EntryKind;
use cli_support::error::Fault;
use rust_workspace::audit::Audit;

/// Links of one path that are followed, as in Linux (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// All paths of an image.
#[derive(Debug, Default)]
pub struct Rootfs {
    /// The node at each path, without a leading slash.
    pub nodes: BTreeMap<String, Node>,
    /// Secrets in files that an upper layer hides, and in files with another [`Content`]. They are still in the image.
    pub buried: BTreeMap<String, Vec<&'static str>>,
    /// Crates of all programs in all layers so far.
    pub(super) crates: usize,
}

/// A file, folder, link or device.
#[derive(Clone, Debug)]
pub struct Node {
    /// The kind.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Its type as an executable file.
    pub file_type: FileType,
    /// The content.
    pub content: Content,
}

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub enum Content {
    /// Not needed by a scan.
    #[default]
    Plain,
    /// A program, and its embedded list of crates.
    Program(Option<Arc<Audit>>),
    /// A program that cannot be read, and why.
    Unreadable(String),
    /// Packages of the operating system.
    Packages(osdb::Packages),
    /// The files of one package, a line each.
    PackageFiles(Box<str>),
    /// os-release(5).
    Release(String),
    /// Secrets, by kind.
    Secrets(Vec<&'static str>),
}

impl Node {
    /// Whether it has an executable bit.
    pub fn executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// The changes of one layer.
#[derive(Debug, Default)]
pub struct LayerChanges {
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) whiteouts: Vec<String>,
    pub(super) opaque: Vec<String>,
    pub(super) secrets: BTreeMap<String, Vec<&'static str>>,
    pub(super) crates: usize,
    pub(super) listed: usize,
}

impl Rootfs {
    /// Applies a layer.
    pub fn apply(&mut self, layer: LayerChanges) -> Result<(), Fault> {
        layer.check()?;
        self.crates += layer.crates;
        let secrets: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|(path, node)| match &node.content {
                Content::Secrets(kinds) => Some((path.clone(), kinds.clone())),
                _ => None,
            })
            .collect();
        self.buried.extend(layer.secrets.clone());
        self.replace(layer);
        for (path, kinds) in secrets {
            let seen = self.nodes.get(&path).is_some_and(|node| matches!(node.content, Content::Secrets(_)));
            if !seen {
                self.buried.insert(path, kinds);
            }
        }
        Ok(())
    }

    fn replace(&mut self, layer: LayerChanges) {
        for path in layer.whiteouts {
            self.nodes.remove(&path);
            remove_below(&mut self.nodes, &path);
        }
        for folder in layer.opaque {
            remove_below(&mut self.nodes, &folder);
        }
        for (path, node) in layer.nodes {
            if !matches!(node.kind, EntryKind::Folder) {
                remove_below(&mut self.nodes, &path);
            }
            self.nodes.insert(path, node);
        }
    }

    /// The path and node behind a path, links followed within the image; none where there is none.
    pub fn resolve(&self, path: &str) -> Option<(&str, &Node)> {
        let mut waiting: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let (mut at, mut links) = (Vec::<String>::new(), 0);
        while let Some(part) = waiting.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(part),
            }
            if let Some(Node { kind: EntryKind::Symlink(target), .. }) = self.nodes.get(&at.join("/")) {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                at.pop();
                if target.starts_with('/') {
                    at.clear();
                }
                waiting.extend(target.rsplit('/').map(str::to_owned));
            }
        }
        self.nodes.get_key_value(&at.join("/")).map(|(path, node)| (path.as_str(), node))
    }

    /// Every file with its path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Node)> {
        let is_file = |node: &Node| matches!(node.kind, EntryKind::File | EntryKind::Hardlink(_));
        self.nodes.iter().filter(move |(_, node)| is_file(node)).map(|(path, node)| (path.as_str(), node))
    }
}

fn remove_below(nodes: &mut BTreeMap<String, Node>, folder: &str) {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let below: Vec<_> = nodes
        .range(prefix.clone()..)
        .map(|(path, _)| path)
        .take_while(|path| path.starts_with(&prefix))
        .cloned()
        .collect();
    for path in &below {
        nodes.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tar_entries::Entry;
    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.to_owned(), kind, mode: 0o755, size: 0 }
    }

    fn over(rootfs: &mut Rootfs, entries: &[(&str, EntryKind)]) {
        let mut layer = LayerChanges::default();
        for (path, kind) in entries {
            layer.add(entry(path, kind.clone()), &mut std::io::empty(), rootfs).unwrap();
        }
        rootfs.apply(layer).unwrap();
    }

    fn paths(rootfs: &Rootfs) -> Vec<&str> {
        rootfs.nodes.keys().map(String::as_str).collect()
    }

    #[test]
    fn whiteouts_and_files_replace_lower_layers() {
        let mut rootfs = Rootfs::default();
        over(
            &mut rootfs,
            &[
                ("a", EntryKind::Folder),
                ("a/b", EntryKind::File),
                ("a/c", EntryKind::File),
                ("ab", EntryKind::File),
            ],
        );
        over(&mut rootfs, &[("a/.wh.b", EntryKind::File), ("a/d", EntryKind::File)]);
        assert_eq!(paths(&rootfs), ["a", "a/c", "a/d", "ab"]);
        over(&mut rootfs, &[("a/.wh..wh..opq", EntryKind::File), ("a/e", EntryKind::File)]);
        assert_eq!(paths(&rootfs), ["a", "a/e", "ab"]);
        over(&mut rootfs, &[("a", EntryKind::Folder)]);
        assert_eq!(paths(&rootfs), ["a", "a/e", "ab"], "a folder over a folder keeps its files");
        over(&mut rootfs, &[("a", EntryKind::File)]);
        assert_eq!(paths(&rootfs), ["a", "ab"], "a file over a folder removes them");
        over(&mut rootfs, &[(".wh.a", EntryKind::File)]);
        assert_eq!(paths(&rootfs), ["ab"]);
    }

    #[test]
    fn symlinks_resolve_within_the_image() {
        let mut rootfs = Rootfs::default();
        let link = |target: &str| EntryKind::Symlink(target.to_owned());
        over(
            &mut rootfs,
            &[
                ("bin", link("usr/bin")),
                ("usr/bin/x", EntryKind::File),
                ("usr/bin/y", link("/bin/../bin/x")),
                ("loop", link("loop")),
            ],
        );
        assert_eq!(rootfs.resolve("/bin/y").unwrap().0, "usr/bin/x");
        assert!(rootfs.resolve("/loop").is_none() && rootfs.resolve("/nowhere").is_none());
        let mut layer = LayerChanges::default();
        let lost = entry("z", EntryKind::Hardlink("nowhere".to_owned()));
        assert!(layer.add(lost, &mut std::io::empty(), &rootfs).is_err());
    }
}
