//! What a container sees of an image's layers, one over the other (image-spec layer.md, "Applying
//! Changesets"), kept as facts about each path.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::form::Form;
use super::layer::{Entry, Kind};
use super::{osdb, secrets};
use crate::audit::{self, Audit};
use crate::error::Fault;

/// The longest program that is looked into, in bytes. One program is in memory at a time.
const LONGEST_PROGRAM: u64 = 512 << 20;
/// The longest file that is in memory as a whole, and what of os-release(5) is read.
const LONGEST_TEXT: u64 = 1 << 20;
/// The longest list of a package's files, and what a layer may have of them, in bytes. One with all of a
/// large TeX has 14 MB of lists.
const LONGEST_LIST: u64 = 8 << 20;
const MOST_LISTED: usize = 64 << 20;
/// The most crates in all lists of an image, layers that hide each other counted too. Large images have a
/// few thousand, and each takes memory for every finding about it.
const MOST_CRATES: usize = 50_000;

/// What tells of a file what it is, in bytes: a script's first line is the longest.
const BEGINNING: u64 = 512;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// All paths of an image.
#[derive(Debug, Default)]
pub struct Rootfs {
    /// What is at each path.
    pub nodes: BTreeMap<String, Node>,
    /// Files with secrets that an upper layer hides, or that are known for something else: whoever pulls
    /// the image has them all the same.
    pub buried: BTreeMap<String, Vec<&'static str>>,
    /// Crates in the lists of all programs that were read.
    crates: usize,
}

/// What is at a path.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// What a kernel takes it for.
    pub form: Form,
    /// What was found in it.
    pub content: Content,
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
pub struct Layer {
    nodes: BTreeMap<String, Node>,
    gone: Vec<String>,
    emptied: Vec<String>,
    secrets: BTreeMap<String, Vec<&'static str>>,
    crates: usize,
    listed: usize,
}

impl Layer {
    /// Takes in an entry.
    pub fn add(&mut self, entry: Entry, content: &mut dyn Read, below: &Rootfs) -> Result<()> {
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        if name == OPAQUE {
            self.emptied.push(folder.to_owned());
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if ["", ".", ".."].contains(&hidden) {
                return Err(Fault::gate("this hides a file without a name").into());
            }
            let slash = if folder.is_empty() { "" } else { "/" };
            self.gone.push(format!("{folder}{slash}{hidden}"));
            return Ok(());
        }
        let mut mode = entry.mode;
        let mut form = Form::Data;
        let content = match &entry.kind {
            Kind::File => {
                let (content, secrets) = look(&entry, content, &mut form)?;
                if !secrets.is_empty() {
                    self.secrets.insert(entry.path.clone(), secrets);
                }
                content
            }
            Kind::Hardlink(target) => {
                let target = self.nodes.get(target).or_else(|| below.nodes.get(target));
                let target =
                    target.ok_or_else(|| Fault::failed("a hard link to a file that is not there"))?;
                // One file with two names has one mode.
                mode = target.mode;
                form = target.form.clone();
                match (osdb::Database::at(&entry.path), &target.content) {
                    // What was read under another name was not read as this.
                    (Some(_), Content::Plain | Content::Secrets(_)) => {
                        return Err(Fault::gate("a package database that is a link to another file").into());
                    }
                    (_, content) => content.clone(),
                }
            }
            _ => Content::Plain,
        };
        match &content {
            Content::Program(Some(audit)) => self.crates += audit.packages.len(),
            Content::Listed(text) => self.listed += text.len(),
            _ => {}
        }
        if self.crates + below.crates > MOST_CRATES {
            let what =
                format!("the lists in the image's programs have more than {MOST_CRATES} crates in all");
            return Err(Fault::gate(what).into());
        }
        if self.listed > MOST_LISTED {
            let what = format!(
                "the lists of packages' files in the layer are over the limit of {MOST_LISTED} bytes"
            );
            return Err(Fault::gate(what).into());
        }
        let folder = entry.kind == Kind::Folder;
        let node = Node { kind: entry.kind, mode, form, content };
        let before = self.nodes.insert(entry.path, node);
        // Nobody's tool writes that, and only the last would be seen here.
        if before.is_some_and(|before| !folder || before.kind != Kind::Folder) {
            return Err(Fault::gate("the layer has two of this name").into());
        }
        Ok(())
    }

    /// An error where something lies below what is no folder. That is asked once, with all paths known: asked
    /// for each of them, deep ones would take very long.
    fn check(&self) -> Result<(), Fault> {
        for (path, _) in self.nodes.iter().filter(|(_, node)| node.kind != Kind::Folder) {
            let below = format!("{path}/");
            let next = self.nodes.range(below.clone()..).next();
            if let Some((inside, _)) = next.filter(|(inside, _)| inside.starts_with(&below)) {
                let what = format!("the layer has '{inside}', whose path leads through what is no folder");
                return Err(Fault::gate(what));
            }
        }
        Ok(())
    }
}

impl Rootfs {
    /// Lays a layer on top.
    pub fn apply(&mut self, layer: Layer) -> Result<(), Fault> {
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

    fn lay(&mut self, layer: Layer) {
        for path in layer.gone {
            self.nodes.remove(&path);
            remove_below(&mut self.nodes, &path);
        }
        for folder in layer.emptied {
            remove_below(&mut self.nodes, &folder);
        }
        for (path, node) in layer.nodes {
            if !matches!(node.kind, Kind::Folder) {
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
            if let Some(Node { kind: Kind::Symlink(target), .. }) = self.nodes.get(&at.join("/")) {
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
        let is_file = |node: &Node| matches!(node.kind, Kind::File | Kind::Hardlink(_));
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

/// What is in a file, and the secrets in one that is known for something else.
fn look(entry: &Entry, content: &mut dyn Read, form: &mut Form) -> Result<(Content, Vec<&'static str>)> {
    let mut start = Vec::new();
    content.take(BEGINNING).read_to_end(&mut start).context("the file is cut short")?;
    *form = Form::of(&start);
    if audit::executable(&start) {
        if entry.size > LONGEST_PROGRAM {
            let why = format!("it is longer than {LONGEST_PROGRAM} bytes");
            return Ok((Content::Unreadable(why), Vec::new()));
        }
        content.take(LONGEST_PROGRAM).read_to_end(&mut start).context("the file is cut short")?;
        let content = match Audit::of_binary(&start) {
            Ok(audit) => Content::Program(audit.map(Arc::new)),
            Err(error) => Content::Unreadable(format!("{error:#}")),
        };
        return Ok((content, Vec::new()));
    }
    let database = osdb::Database::at(&entry.path);
    let is_list = osdb::package_of_list(&entry.path).is_some();
    // Of these the whole is needed.
    let whole = if is_list { LONGEST_LIST } else { LONGEST_TEXT };
    let whole = database.map_or(whole, osdb::Database::longest);
    content.take(whole.saturating_sub(BEGINNING)).read_to_end(&mut start).context("the file is cut short")?;
    let known = match database {
        Some(kind) => Some(Content::Packages(kind.read(&mut start.as_slice(), entry.size)?)),
        None if ["etc/os-release", "usr/lib/os-release"].contains(&entry.path.as_str()) => {
            Some(Content::Release(String::from_utf8_lossy(&start).into_owned()))
        }
        None if is_list => Some(Content::Listed(String::from_utf8_lossy(&start).into())),
        None => None,
    };
    let mut all = start.as_slice().chain(content);
    let found = secrets::find(&entry.path, entry.size, &mut all).context("the file is cut short")?;
    if let Some(known) = known {
        return Ok((known, found));
    }
    Ok(if found.is_empty() { (Content::Plain, found) } else { (Content::Secrets(found), Vec::new()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.to_owned(), kind, mode: 0o755, size: 0 }
    }

    fn over(rootfs: &mut Rootfs, entries: &[(&str, Kind)]) {
        let mut layer = Layer::default();
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
            &[("a", Kind::Folder), ("a/b", Kind::File), ("a/c", Kind::File), ("ab", Kind::File)],
        );
        over(&mut rootfs, &[("a/.wh.b", Kind::File), ("a/d", Kind::File)]);
        assert_eq!(paths(&rootfs), ["a", "a/c", "a/d", "ab"]);
        over(&mut rootfs, &[("a/.wh..wh..opq", Kind::File), ("a/e", Kind::File)]);
        assert_eq!(paths(&rootfs), ["a", "a/e", "ab"]);
        over(&mut rootfs, &[("a", Kind::Folder)]);
        assert_eq!(paths(&rootfs), ["a", "a/e", "ab"], "a folder over a folder keeps what is in it");
        over(&mut rootfs, &[("a", Kind::File)]);
        assert_eq!(paths(&rootfs), ["a", "ab"], "a file over a folder does not");
        over(&mut rootfs, &[(".wh.a", Kind::File)]);
        assert_eq!(paths(&rootfs), ["ab"]);
    }

    #[test]
    fn links_are_followed_within_the_image() {
        let mut rootfs = Rootfs::default();
        let link = |target: &str| Kind::Symlink(target.to_owned());
        over(
            &mut rootfs,
            &[
                ("bin", link("usr/bin")),
                ("usr/bin/x", Kind::File),
                ("usr/bin/y", link("/bin/../bin/x")),
                ("loop", link("loop")),
            ],
        );
        assert_eq!(rootfs.resolve("/bin/y").unwrap().0, "usr/bin/x");
        assert!(rootfs.resolve("/loop").is_none() && rootfs.resolve("/nowhere").is_none());
        let mut layer = Layer::default();
        let lost = entry("z", Kind::Hardlink("nowhere".to_owned()));
        assert!(layer.add(lost, &mut std::io::empty(), &rootfs).is_err());
    }
}
