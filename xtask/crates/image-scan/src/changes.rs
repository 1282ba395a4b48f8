//! One layer's changes while it is read: what it adds, and what it hides of those below it (image-spec layer.md,
//! "Representing Changes", "Whiteouts").

use std::io::Read;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::file_type::FileType;
use super::layer::{Entry, EntryKind};
use super::rootfs::{Content, LayerChanges, Node, Rootfs};
use super::trivy::ignore_comments;
use super::{osdb, secrets};
use cli_support::error::Fault;
use rust_workspace::audit::{self, Audit};

/// The longest program that is looked into, in bytes. One program is in memory at a time.
const MAX_PROGRAM_BYTES: u64 = 512 << 20;
/// The longest file that is in memory as a whole, and what of os-release(5) is read.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// The longest list of a package's files, and what a layer may have of them, in bytes. One with all of a
/// large TeX has 14 MB of lists.
const MAX_LIST_BYTES: u64 = 8 << 20;
const MAX_LISTED: usize = 64 << 20;
/// The most crates in all lists of an image, layers that hide each other counted too. Large images have a
/// few thousand, and each takes memory for every finding about it.
const MAX_CRATES: usize = 50_000;

/// What tells of a file what it is, in bytes: a script's first line is the longest.
const BEGINNING: u64 = 512;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

impl LayerChanges {
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
        let mut form = FileType::Data;
        let mut ignore_comment = None;
        let content = match &entry.kind {
            EntryKind::File => {
                let (content, secrets) = look(&entry, content, &mut form, &mut ignore_comment)?;
                if !secrets.is_empty() {
                    self.secrets.insert(entry.path.clone(), secrets);
                }
                content
            }
            EntryKind::Hardlink(target) => {
                let target = self.nodes.get(target).or_else(|| below.nodes.get(target));
                let target =
                    target.ok_or_else(|| Fault::failed("a hard link to a file that is not there"))?;
                // One file with two names has one mode.
                mode = target.mode;
                form = target.form.clone();
                ignore_comment = target.ignore_comment;
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
        if self.crates + below.crates > MAX_CRATES {
            let what = format!("the lists in the image's programs have more than {MAX_CRATES} crates in all");
            return Err(Fault::gate(what).into());
        }
        if self.listed > MAX_LISTED {
            let what =
                format!("the lists of packages' files in the layer are over the limit of {MAX_LISTED} bytes");
            return Err(Fault::gate(what).into());
        }
        let folder = entry.kind == EntryKind::Folder;
        let node = Node { kind: entry.kind, mode, form, content, ignore_comment };
        let before = self.nodes.insert(entry.path, node);
        // Nobody's tool writes that, and only the last would be seen here.
        if before.is_some_and(|before| !folder || before.kind != EntryKind::Folder) {
            return Err(Fault::gate("the layer has two of this name").into());
        }
        Ok(())
    }

    /// An error where something lies below what is no folder. That is asked once, with all paths known: asked
    /// for each of them, deep ones would take very long.
    pub(super) fn check(&self) -> Result<(), Fault> {
        for (path, _) in self.nodes.iter().filter(|(_, node)| node.kind != EntryKind::Folder) {
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

/// What is in a file, and the secrets in one that is known for something else.
fn look(
    entry: &Entry,
    content: &mut dyn Read,
    form: &mut FileType,
    ignore_comment: &mut Option<usize>,
) -> Result<(Content, Vec<&'static str>)> {
    let mut start = Vec::new();
    content.take(BEGINNING).read_to_end(&mut start).context("the file is cut short")?;
    *form = FileType::of(&start);
    if audit::executable(&start) {
        if entry.size > MAX_PROGRAM_BYTES {
            let why = format!("it is longer than {MAX_PROGRAM_BYTES} bytes");
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
    // Of these the whole is needed.
    let is_configuration = ignore_comments::may_be_obeyed(&entry.path, entry.size);
    let whole = match () {
        () if is_list => MAX_LIST_BYTES,
        () if is_configuration => ignore_comments::MAX_BYTES,
        () => MAX_TEXT_BYTES,
    };
    if is_configuration && entry.size > ignore_comments::MAX_BYTES {
        let what = format!(
            "a file of configuration of {} bytes; {} is the limit",
            entry.size,
            ignore_comments::MAX_BYTES
        );
        return Err(Fault::gate(what).into());
    }
    let whole = database.map_or(whole, osdb::Database::longest);
    content.take(whole.saturating_sub(BEGINNING)).read_to_end(&mut start).context("the file is cut short")?;
    if is_configuration {
        *ignore_comment = ignore_comments::first_line(&String::from_utf8_lossy(&start));
    }
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
