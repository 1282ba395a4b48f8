//! Building once more, in another folder and from nothing, and comparing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::assemble::assemble;
use super::compare;
use super::layout::Layout;
use super::work::{Work, clear};
use crate::build::{Build, follow_cargo, with_bill};
use crate::error::Fault;
use crate::process::{Cmd, find};
use crate::ui::Progress;

/// The second build.
#[derive(Debug)]
pub struct Verify {
    /// The folder that the source is copied to.
    pub copy: PathBuf,
    /// The build there.
    pub build: Build,
    /// Its command.
    pub command: Cmd,
}

impl Verify {
    /// Does it; the difference is told file by file.
    pub fn run(&self, work: &mut Work, progress: &Progress) -> Result<String> {
        clear(&self.copy)?;
        progress.detail("copying the source");
        copy_source(&work.setup.root, &self.copy)?;
        // Targets may have changed since the plan, where one could not be added.
        let cmd = self.build.command(&work.build.targets, &work.build.toolchain);
        follow_cargo(&cmd, progress)?;
        let outputs =
            work.build.targets.iter().map(|target| Ok((target.platform, with_bill(&self.build, target)?.0)));
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
                .cure("something of the machine gets into the image: a path, a time, an order")
                .into())
        };
        clear(&self.copy)?;
        clear(second.dir())?;
        outcome
    }
}

fn copy_base(work: &Work, to: &Layout) -> Result<()> {
    for below in work.base.below.values() {
        for layer in &below.layers {
            fs::copy(work.layout.blob_path(&layer.digest), to.blob_path(&layer.digest))
                .with_context(|| format!("layer {}", layer.digest))?;
        }
    }
    Ok(())
}

/// Copies what makes up the source: what git tracks or would, or everything but `target` without git.
pub fn copy_source(root: &Path, to: &Path) -> Result<()> {
    let listed = Cmd::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .dir(root)
        .read_bytes()
        .ok()
        .filter(|_| find("git").is_some());
    match listed {
        Some(list) => {
            for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
                let name = String::from_utf8_lossy(name).into_owned();
                // Listed and yet not there: deleted and not committed.
                if root.join(&name).is_file() {
                    copy_file(&root.join(&name), &to.join(&name))?;
                }
            }
            Ok(())
        }
        None => copy_folder(root, to),
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in from.read_dir().with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() && name != "target" && name != ".git" {
            copy_folder(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() {
            copy_file(&entry.path(), &to.join(&name))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}
