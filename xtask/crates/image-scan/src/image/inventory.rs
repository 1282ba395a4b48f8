//! The programs and packages in the image of one platform.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::file_type::FileType;
use super::layer::{self, Limits};
use super::osdb::{Database, OsPackage};
use super::platforms::Image;
use super::rootfs::{Content, LayerChanges, Rootfs};
use oci_image::layout::Layout;
use rust_workspace::audit::Audit;

/// The content of an image.
#[derive(Debug)]
pub struct Inventory {
    /// The image.
    pub image: Image,
    /// Programs, by path.
    pub programs: Vec<Program>,
    /// The kinds of package database.
    pub databases: BTreeSet<Database>,
    /// Packages of the operating system, sorted.
    pub packages: Vec<OsPackage>,
    /// The file system.
    pub rootfs: Rootfs,
}

/// A program in an image.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its path.
    pub path: String,
    /// Whether it has an executable bit.
    pub executable: bool,
    /// Its `e_machine` (System V ABI).
    pub machine: u16,
    /// The list of linked crates in it; none where it has no list.
    pub audit: Option<Arc<Audit>>,
    /// Why it cannot be read.
    pub unreadable: Option<String>,
}

/// Reads every layer of an image.
pub fn read(layout: &Layout, image: &Image) -> Result<Inventory> {
    let mut rootfs = Rootfs::default();
    for (number, (descriptor, diff_id)) in image.layers.iter().zip(&image.diff_ids).enumerate() {
        let what = || format!("{} layer {} of {}", image.platform, number + 1, image.layers.len());
        let mut layer = LayerChanges::default();
        let blob = layout.blob(&descriptor.digest).with_context(what)?;
        layer::read(blob, descriptor, diff_id, Limits::default(), |entry, content| {
            layer.add(entry, content, &rootfs)
        })
        .with_context(what)?;
        rootfs.apply(layer).with_context(what)?;
    }
    let (mut programs, mut databases, mut packages) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (path, node) in rootfs.files() {
        let program = |audit, unreadable| Program {
            path: format!("/{path}"),
            executable: node.executable(),
            machine: if let FileType::Elf(machine) = node.file_type { machine } else { 0 },
            audit,
            unreadable,
        };
        match &node.content {
            Content::Program(audit) => programs.push(program(audit.clone(), None)),
            Content::Unreadable(why) => programs.push(program(None, Some(why.clone()))),
            Content::Packages(found) => {
                databases.insert(found.database);
                packages.extend(found.list.iter().cloned());
            }
            Content::Plain | Content::Secrets(_) | Content::Release(_) | Content::PackageFiles(_) => {}
        }
    }
    Ok(Inventory {
        image: image.clone(),
        programs,
        databases,
        packages: packages.into_iter().collect(),
        rootfs,
    })
}

impl Inventory {
    /// Whether the image has no packages of an operating system. An empty database is not a distribution.
    pub fn is_bare(&self) -> bool {
        self.packages.is_empty() && !self.databases.contains(&Database::Rpm)
    }

    /// The programs with a list of crates.
    pub fn audited(&self) -> impl Iterator<Item = (&Program, &Audit)> {
        self.programs.iter().filter_map(|program| program.audit.as_deref().map(|audit| (program, audit)))
    }

    /// The keys of os-release(5).
    pub fn release(&self) -> BTreeMap<String, String> {
        let found = ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| {
            match self.rootfs.resolve(path) {
                Some((_, node)) => match &node.content {
                    Content::Release(text) => Some(text),
                    _ => None,
                },
                None => None,
            }
        });
        let pair = |line: &str| {
            let (key, value) = line.split_once('=')?;
            Some((key.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        };
        found.map(|text| text.lines().filter_map(pair).collect()).unwrap_or_default()
    }

    /// The number of different linked crates.
    pub fn crates(&self) -> usize {
        let all = self.audited().flat_map(|(_, audit)| audit.linked());
        all.map(|package| (&package.name, &package.version)).collect::<BTreeSet<_>>().len()
    }
}
