//! The changes of one layer: added files, and whiteouts of files in lower layers (image-spec layer.md, "Representing
//! Changes", "Whiteouts").

use std::io::Read;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::file_type::FileType;
use super::rootfs::{Content, LayerChanges, Node, Rootfs};
use super::tar_entries::{Entry, EntryKind};
use super::{osdb, secrets};
use cli_support::error::Fault;
use rust_workspace::audit::Audit;

/// The longest program that is read, in bytes. One program is in memory at a time.
const MAX_PROGRAM_BYTES: u64 = 512 << 20;
/// The longest os-release(5), in bytes, and the part of other files that is held in memory.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// The longest list of a package's files, and all lists of a layer together, in bytes. A full TeX Live has 14 MB.
const MAX_LIST_BYTES: u64 = 8 << 20;
const MAX_LISTED_BYTES: usize = 64 << 20;
/// The most crates of all programs in all layers of an image. Large images have a few thousand.
const MAX_CRATES: usize = 50_000;

/// Bytes at the beginning of a file by which its type is known. The first line of a script is the longest.
const BEGINNING: u64 = 512;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

impl LayerChanges {
    /// Adds an entry of the layer; `below` are the layers below it.
    pub fn add(&mut self, entry: Entry, content: &mut dyn Read, below: &Rootfs) -> Result<()> {
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        if name == OPAQUE {
            self.opaque.push(folder.to_owned());
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if ["", ".", ".."].contains(&hidden) {
                return Err(Fault::gate("the whiteout names no file").into());
            }
            let slash = if folder.is_empty() { "" } else { "/" };
            self.whiteouts.push(format!("{folder}{slash}{hidden}"));
            return Ok(());
        }
        let mut mode = entry.mode;
        let mut file_type = FileType::Data;
        let content = match &entry.kind {
            EntryKind::File => {
                let (content, secrets) = read_file(&entry, content, &mut file_type)?;
                if !secrets.is_empty() {
                    self.secrets.insert(entry.path.clone(), secrets);
                }
                content
            }
            EntryKind::Hardlink(target) => {
                let target = self.nodes.get(target).or_else(|| below.nodes.get(target));
                let target = target.ok_or_else(|| Fault::failed("the hard link's target does not exist"))?;
                // Both names are of one file, with one mode.
                mode = target.mode;
                file_type = target.file_type.clone();
                match (osdb::Database::at(&entry.path), &target.content) {
                    // The target was not read as a database.
                    (Some(_), Content::Plain | Content::Secrets(_)) => {
                        return Err(Fault::gate("the package database is a hard link to another file").into());
                    }
                    (_, content) => content.clone(),
                }
            }
            _ => Content::Plain,
        };
        match &content {
            Content::Program(Some(audit)) => self.crates += audit.packages.len(),
            Content::PackageFiles(text) => self.listed += text.len(),
            _ => {}
        }
        if self.crates + below.crates > MAX_CRATES {
            let what = format!("the image's programs have more than {MAX_CRATES} crates together");
            return Err(Fault::gate(what).into());
        }
        if self.listed > MAX_LISTED_BYTES {
            let what =
                format!("the layer's lists of package files are over the limit of {MAX_LISTED_BYTES} bytes");
            return Err(Fault::gate(what).into());
        }
        let folder = entry.kind == EntryKind::Folder;
        let node = Node { kind: entry.kind, mode, file_type, content };
        let before = self.nodes.insert(entry.path, node);
        // No tool writes two files of one name, and only the second would be scanned.
        if before.is_some_and(|before| !folder || before.kind != EntryKind::Folder) {
            return Err(Fault::gate("the layer has two entries of this name").into());
        }
        Ok(())
    }

    /// An error where a path leads through something that is not a folder. Checked once for all paths: for each path
    /// on its own, deep paths would take quadratic time.
    pub(super) fn check(&self) -> Result<(), Fault> {
        for (path, _) in self.nodes.iter().filter(|(_, node)| node.kind != EntryKind::Folder) {
            let below = format!("{path}/");
            let next = self.nodes.range(below.clone()..).next();
            if let Some((inside, _)) = next.filter(|(inside, _)| inside.starts_with(&below)) {
                let what = format!("the layer has '{inside}', but '{path}' is not a folder");
                return Err(Fault::gate(what));
            }
        }
        Ok(())
    }
}

/// Reads a file. Gives its content, and apart from that the secrets in a file whose content is something else.
fn read_file(
    entry: &Entry,
    content: &mut dyn Read,
    file_type: &mut FileType,
) -> Result<(Content, Vec<&'static str>)> {
    let mut start = Vec::new();
    content.take(BEGINNING).read_to_end(&mut start).context("the file is cut short")?;
    *file_type = FileType::of(&start);
    if matches!(file_type, FileType::Elf(_)) {
        if entry.size > MAX_PROGRAM_BYTES {
            let why = format!("it is over the limit of {MAX_PROGRAM_BYTES} bytes");
            return Ok((Content::Unreadable(why), Vec::new()));
        }
        content.take(MAX_PROGRAM_BYTES).read_to_end(&mut start).context("the file is cut short")?;
        let content = match Audit::of_binary(&start) {
            Ok(audit) => Content::Program(audit.map(Arc::new)),
            Err(error) => Content::Unreadable(format!("{error:#}")),
        };
        return Ok((content, Vec::new()));
    }
    let database = osdb::Database::at(&entry.path);
    let is_list = osdb::package_of_list(&entry.path).is_some();
    let whole = if is_list { MAX_LIST_BYTES } else { MAX_TEXT_BYTES };
    let whole = database.map_or(whole, osdb::Database::max_bytes);
    content.take(whole.saturating_sub(BEGINNING)).read_to_end(&mut start).context("the file is cut short")?;
    let known = match database {
        Some(kind) => Some(Content::Packages(kind.read(&mut start.as_slice(), entry.size)?)),
        None if ["etc/os-release", "usr/lib/os-release"].contains(&entry.path.as_str()) => {
            Some(Content::Release(String::from_utf8_lossy(&start).into_owned()))
        }
        None if is_list => Some(Content::PackageFiles(String::from_utf8_lossy(&start).into())),
        None => None,
    };
    let mut all = start.as_slice().chain(content);
    let found = secrets::find(&entry.path, entry.size, &mut all).context("the file is cut short")?;
    if let Some(known) = known {
        return Ok((known, found));
    }
    Ok(if found.is_empty() { (Content::Plain, found) } else { (Content::Secrets(found), Vec::new()) })
}
