//! What a container sees of an image's layers, one over the other (image-spec layer.md, "Applying
//! Changesets"), kept as facts about each path.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file_type::FileType;
use super::layer::EntryKind;
use super::osdb;
use cli_support::error::Fault;
use rust_workspace::audit::Audit;

/// All paths of an image.
#[derive(Debug, Default)]
pub struct Rootfs {
    /// What is at each path.
    pub nodes: BTreeMap<String, Node>,
    /// Files with secrets that an upper layer hides, or that are known for something else: whoever pulls
    /// the image has them all the same.
    pub buried: BTreeMap<String, Vec<&'static str>>,
    /// Crates in the lists of all programs that were read.
    pub(super) crates: usize,
}

/// What is at a path.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// What a kernel takes it for.
    pub form: FileType,
    /// What was found in it.
    pub content: Content,
    /// The first line with a comment that makes Trivy ignore findings.
    pub ignore_comment: Option<usize>,
}

/// What was found in a file.
#[derive(Clone, Debug, Default)]
pub enum Content {
    /// Nothing of interest.
    #[default]
    Plain,
    /// A program, and the list of crates that it carries.
    Program(Option<Arc<Audit>>),
    /// A program that could not be looked into, and why.
    Unreadable(String),
    /// Packages of an operating system.
    Packages(osdb::Packages),
    /// The files of one package, a line each.
    Listed(Box<str>),
    /// What the operating system says of itself (os-release(5)).
    Release(String),
    /// Secrets, by kind.
    Secrets(Vec<&'static str>),
}

impl Node {
    /// Whether anybody may run it.
    pub fn executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// One layer being read.
#[derive(Debug, Default)]
pub struct LayerChanges {
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) gone: Vec<String>,
    pub(super) emptied: Vec<String>,
    pub(super) secrets: BTreeMap<String, Vec<&'static str>>,
    pub(super) crates: usize,
    pub(super) listed: usize,
}

impl Rootfs {
    /// Lays a layer on top.
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
        self.lay(layer);
        for (path, kinds) in secrets {
            let seen = self.nodes.get(&path).is_some_and(|node| matches!(node.content, Content::Secrets(_)));
            if !seen {
                self.buried.insert(path, kinds);
            }
        }
        Ok(())
    }

    fn lay(&mut self, layer: LayerChanges) {
        for path in layer.gone {
            self.nodes.remove(&path);
            remove_below(&mut self.nodes, &path);
        }
        for folder in layer.emptied {
            remove_below(&mut self.nodes, &folder);
        }
        for (path, node) in layer.nodes {
            if !matches!(node.kind, EntryKind::Folder) {
                remove_below(&mut self.nodes, &path);
            }
            self.nodes.insert(path, node);
        }
    }

    /// What a path leads to, links followed as a container would; none where it leads nowhere.
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
                if links > 40 {
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

    /// Every file, its path and what is in it.
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
    use super::super::layer::Entry;
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
    fn layers_hide_what_is_below_them() {
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
        assert_eq!(paths(&rootfs), ["a", "a/e", "ab"], "a folder over a folder keeps what is in it");
        over(&mut rootfs, &[("a", EntryKind::File)]);
        assert_eq!(paths(&rootfs), ["a", "ab"], "a file over a folder does not");
        over(&mut rootfs, &[(".wh.a", EntryKind::File)]);
        assert_eq!(paths(&rootfs), ["ab"]);
    }

    #[test]
    fn links_are_followed_within_the_image() {
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
