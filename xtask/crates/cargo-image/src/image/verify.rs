//! Building once more, in another folder and from nothing, and comparing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::assemble::assemble;
use super::work::ImageWork;
use cli_support::error::Fault;
use cli_support::files::remove_dir;
use cli_support::process::{Cmd, find};
use cli_support::ui::Progress;
use oci_image::compare;
use oci_image::layout::Layout;
use rust_workspace::binary::{Build, Zig, follow_cargo, with_sbom};

/// The second build.
#[derive(Debug)]
pub struct Verify {
    /// The folder that is copied: the repository's top folder, or the workspace where there is no repository.
    pub source: PathBuf,
    /// The folder that the source is copied to.
    pub copy: PathBuf,
    /// The build there.
    pub build: Build,
    /// Its command.
    pub command: Cmd,
}

impl Verify {
    /// Builds again and compares. The error lists the differences by file.
    pub fn run(&self, work: &mut ImageWork, progress: &Progress) -> Result<String> {
        remove_dir(&self.copy)?;
        progress.detail("copying the source");
        copy_source(&self.source, &self.copy)?;
        if self.build.zig.is_some() {
            let triples: Vec<_> = work.build.targets.iter().map(|target| target.triple).collect();
            Zig::prepare(&self.build.zig_dir(), &triples)?;
        }
        // A target that could not be added was replaced after the plan was made.
        let cmd = self.build.command(&work.build.targets, &work.build.toolchain);
        follow_cargo(&cmd, progress)?;
        let outputs = work.build.targets.iter().map(|target| {
            let list = self.build.linked(&[target.triple]).read()?;
            Ok((target.platform, with_sbom(&self.build, target, &list)?.0))
        });
        let binaries: BTreeMap<_, _> = outputs.collect::<Result<_>>()?;
        let second = Layout::create(&self.copy.with_file_name("verify-image"))?;
        copy_base(work, &second)?;
        let image = assemble(&second, &work.base, &work.content(&binaries)?, &work.setup.recipe)?;
        second.publish(&image.index)?;
        let (one, two) = (work.layout.index()?, second.index()?);
        let outcome = if compare::same(&one, &two) {
            Ok(format!("the same bytes from another folder: {}", image.digest))
        } else {
            let lines = compare::differences(&work.layout, &second)?;
            let what = format!("two builds of the same source differ:\n{}", lines.join("\n"));
            Err(Fault::failed(what)
                .hint("the build depends on the machine: look for a path, a time or an order")
                .into())
        };
        remove_dir(&self.copy)?;
        remove_dir(second.dir())?;
        outcome
    }
}

fn copy_base(work: &ImageWork, to: &Layout) -> Result<()> {
    for below in work.base.below.values() {
        for layer in &below.layers {
            fs::copy(work.layout.blob_path(&layer.digest), to.blob_path(&layer.digest))
                .with_context(|| format!("layer {}", layer.digest))?;
        }
    }
    Ok(())
}

/// Copies the source: the files that git tracks or would track; without git, everything except `target`.
pub fn copy_source(root: &Path, to: &Path) -> Result<()> {
    let listed = rust_workspace::git::command(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .read_raw()
        .ok()
        .filter(|list| find("git").is_some() && !list.is_empty());
    let Some(list) = listed else { return copy_folder(root, to, &root.join("target")) };
    // The build needs Cargo.lock, also where git ignores it.
    for name in list.split(|byte| *byte == 0).chain([&b"Cargo.lock"[..]]).filter(|name| !name.is_empty()) {
        let name = String::from_utf8(name.to_vec()).context("a file's name is not UTF-8")?;
        copy_entry(&root.join(&name), &to.join(&name), root)?;
    }
    Ok(())
}

/// Copies an entry of git's list. A missing file was deleted without a commit; a folder is a submodule.
fn copy_entry(from: &Path, to: &Path, root: &Path) -> Result<()> {
    match from.symlink_metadata() {
        Ok(meta) if meta.is_file() => copy_file(from, to),
        Ok(meta) if meta.is_symlink() => copy_link(from, to),
        Ok(meta) if meta.is_dir() => copy_folder(from, to, &root.join("target")),
        _ => Ok(()),
    }
}

fn copy_folder(from: &Path, to: &Path, but: &Path) -> Result<()> {
    for entry in from.read_dir().with_context(|| from.display().to_string())? {
        let entry = entry?;
        if entry.path() != but && entry.file_name() != ".git" {
            copy_entry(&entry.path(), &to.join(entry.file_name()), but.parent().unwrap_or(from))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    let target = fs::read_link(from).with_context(|| from.display().to_string())?;
    if to.symlink_metadata().is_ok() {
        return Ok(());
    }
    std::os::unix::fs::symlink(target, to).with_context(|| to.display().to_string())
}

// Links need special rights on this system: copy the file that the link leads to.
#[cfg(not(unix))]
fn copy_link(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() { copy_file(from, to) } else { Ok(()) }
}

fn make_parent(to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    Ok(())
}
