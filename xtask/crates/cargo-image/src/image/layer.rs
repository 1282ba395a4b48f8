//! Layers: files as a reproducible tar.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

use super::layer_cache::LayerCache;
use cli_support::digest::{Digest, Hasher};
use cli_support::error::Fault;
use oci_image::layout::Layout;
use oci_image::oci::{Annotations, Descriptor, LAYER_GZIP};
use rust_workspace::settings::ExtraFile;

const DIRECTORY_MODE: u32 = 0o755;

/// Files by their path in the image, without the leading slash, in the order of the tar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<String, Node>,
}

/// The content and the permission bits of a file or folder in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The content.
    pub source: Source,
    /// Permission bits.
    pub mode: u32,
}

/// Where the content of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// These bytes.
    Bytes(Cow<'static, [u8]>),
    /// No file but an empty folder.
    Folder,
}

/// A layer in a layout.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The compressed blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar (config.md, `rootfs.diff_ids`).
    pub diff_id: Digest,
    /// The tar's length in bytes.
    pub unpacked: u64,
    /// Its entry in the image's history.
    pub made_by: String,
}

impl Tree {
    /// Adds a file of this machine; `target` is absolute.
    pub fn add(&mut self, target: &str, source: impl Into<PathBuf>, mode: u32) -> Result<(), Fault> {
        self.add_node(target, Node { source: Source::File(source.into()), mode })
    }

    /// Adds a file or an empty folder; `target` is absolute.
    pub fn add_node(&mut self, target: &str, node: Node) -> Result<(), Fault> {
        let path = relative(target);
        let clash = |other: &str| {
            Fault::usage(format!("{target} conflicts with /{other}: one of them would have to be a folder"))
                .at(rust_workspace::settings::file())
        };
        if path.is_empty() {
            return Err(
                Fault::usage(format!("'{target}' names no file")).at(rust_workspace::settings::file())
            );
        }
        if let Some(other) = self.blocks(&path) {
            return Err(clash(other));
        }
        match self.files.insert(path.clone(), node) {
            Some(_) => Err(Fault::usage(format!("two sources have the target {target}"))
                .at(rust_workspace::settings::file())),
            None => Ok(()),
        }
    }

    /// A file that would have to be a folder for `path`, or that needs `path` to be a folder.
    fn blocks(&self, path: &str) -> Option<&str> {
        let above =
            |short: &str, long: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('/'));
        self.files.keys().find(|other| above(other, path) || above(path, other)).map(String::as_str)
    }

    /// Whether it has a file at this absolute path.
    pub fn contains(&self, target: &str) -> bool {
        self.files.contains_key(&relative(target))
    }

    /// Checks that `what` of another layer, at `target`, does not conflict with a file of this tree.
    pub fn leaves_room_for(&self, target: &str, what: &str) -> Result<(), Fault> {
        let path = relative(target);
        let other =
            self.files.get_key_value(&path).map(|(other, _)| other.as_str()).or_else(|| self.blocks(&path));
        match other {
            _ if path.is_empty() => {
                Err(Fault::usage(format!("'{target}' names no file")).at(rust_workspace::settings::file()))
            }
            Some(other) => Err(Fault::usage(format!("/{other} conflicts with {what} {target}"))
                .at(rust_workspace::settings::file())),
            None => Ok(()),
        }
    }

    /// The files of the settings' `[[files]]`, below `root`.
    pub fn of_settings(root: &Path, files: &[ExtraFile]) -> Result<Self> {
        let mut tree = Self::default();
        let real = root.canonicalize().with_context(|| root.display().to_string())?;
        for file in files {
            let source = root.join(&file.source);
            let fault = |what: String| {
                Fault::usage(format!("files: source = \"{}\": {what}", file.source))
                    .at(rust_workspace::settings::file())
            };
            let found = source.canonicalize().map_err(|error| fault(error.to_string()))?;
            if !found.starts_with(&real) || found == real {
                return Err(fault(
                    "only files and folders inside the workspace can be in the image".to_owned(),
                )
                .into());
            }
            tree.add_all(&source, &file.target, file.mode.map(|mode| mode.0))?;
        }
        Ok(tree)
    }

    fn add_all(&mut self, source: &Path, target: &str, mode: Option<u32>) -> Result<()> {
        let meta = source.symlink_metadata().map_err(|error| {
            Fault::usage(format!("{}: {error}", source.display())).at(rust_workspace::settings::file())
        })?;
        if meta.is_dir() {
            for entry in source.read_dir().with_context(|| source.display().to_string())? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name
                    .to_str()
                    .ok_or_else(|| Fault::usage("a file's name is not UTF-8").at(entry.path().display()))?;
                self.add_all(&entry.path(), &format!("{target}/{name}"), mode)?;
            }
            return Ok(());
        }
        if !meta.is_file() {
            return Err(Fault::usage("only files and folders can be in the image")
                .at(source.display())
                .into());
        }
        let executable = if is_executable(&meta) { 0o755 } else { 0o644 };
        Ok(self.add(target, source, mode.unwrap_or(executable))?)
    }

    /// The files, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.files.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every folder above the files, sorted.
    fn directories(&self) -> BTreeSet<String> {
        let above = |path: &String| {
            let ends = path.match_indices('/').map(|(at, _)| at);
            ends.map(|end| path[..end].to_owned()).collect::<Vec<_>>()
        };
        self.files.keys().flat_map(above).collect()
    }

    /// Writes the tree as a layer to `layout`. With `directories` the layer also has the folders above the files. On a base
    /// image it must not: an entry for a folder could replace a link such as `/bin -> usr/bin`.
    pub fn pack(
        &self,
        layout: &Layout,
        directories: bool,
        made_by: &str,
        known: &LayerCache,
    ) -> Result<Layer> {
        let made_by = made_by.to_owned();
        let mut hasher = Hasher::new();
        self.write_tar(&mut hasher, directories)?;
        let (diff_id, unpacked) = hasher.finish();
        if let Some(descriptor) = known.find(layout, &diff_id) {
            return Ok(Layer { descriptor, diff_id, unpacked, made_by });
        }
        let gzip =
            GzBuilder::new().mtime(0).operating_system(255).write(layout.writer()?, Compression::best());
        let mut both = Both { tar: Hasher::new(), gzip };
        self.write_tar(&mut both, directories)?;
        let (diff_id, unpacked) = both.tar.finish();
        let (digest, size) = both.gzip.finish().context("compress a layer")?.commit()?;
        let media_type = LAYER_GZIP.to_owned();
        let descriptor =
            Descriptor { media_type, digest, size, platform: None, annotations: Annotations::new() };
        Ok(Layer { descriptor, diff_id, unpacked, made_by })
    }

    fn write_tar(&self, out: &mut impl Write, directories: bool) -> Result<()> {
        let mut tar = tar::Builder::new(out);
        let folders = if directories { self.directories() } else { BTreeSet::new() };
        for folder in folders {
            let mut header = header(tar::EntryType::Directory, DIRECTORY_MODE, 0);
            tar.append_data(&mut header, format!("{folder}/"), io::empty())?;
        }
        for (path, node) in self.files() {
            match &node.source {
                Source::File(source) => {
                    let at = || source.display().to_string();
                    let file = File::open(source).with_context(at)?;
                    let size = file.metadata().with_context(at)?.len();
                    let mut header = header(tar::EntryType::Regular, node.mode, size);
                    tar.append_data(&mut header, path, file).with_context(at)?;
                }
                Source::Bytes(bytes) => {
                    let mut header = header(tar::EntryType::Regular, node.mode, bytes.len() as u64);
                    tar.append_data(&mut header, path, &bytes[..])?;
                }
                Source::Folder => {
                    let mut header = header(tar::EntryType::Directory, node.mode, 0);
                    tar.append_data(&mut header, format!("{path}/"), io::empty())?;
                }
            }
        }
        tar.into_inner()?;
        Ok(())
    }
}

/// A path in the image without the leading slash, as in a tar.
fn relative(target: &str) -> String {
    target.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// A header with owner root and time 0, equal on all machines.
fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

struct Both<W> {
    tar: Hasher,
    gzip: W,
}

impl<W: Write> Write for Both<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.gzip.write(bytes)?;
        self.tar.write_all(&bytes[..written])?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()
    }
}

#[cfg(unix)]
fn is_executable(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    meta.permissions().mode() & 0o111 != 0
}

// No such bit on this system; `mode` in the settings sets it.
#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use cli_support::error::render;

    fn listing(layer: &Layer, layout: &Layout) -> Vec<String> {
        let gzip = flate2::read::GzDecoder::new(layout.blob(&layer.descriptor.digest).unwrap());
        let mut tar = tar::Archive::new(gzip);
        let entries = tar.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            let owner = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
            assert_eq!(owner, (0, 0, 0), "{path}");
            format!("{:o} {path}", header.mode().unwrap())
        });
        entries.collect()
    }

    #[test]
    fn a_layer_is_sorted_and_the_same_from_any_folder() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(&temp.path().join("image")).unwrap();
        let mut digests = BTreeSet::new();
        for folder in ["one", "two/deeper"] {
            let source = temp.path().join(folder);
            std::fs::create_dir_all(source.join("etc/x")).unwrap();
            std::fs::write(source.join("etc/x/b"), "b").unwrap();
            std::fs::write(source.join("etc/a"), "a").unwrap();
            let mut tree = Tree::default();
            tree.add_all(&source, "/opt", None).unwrap();
            tree.add("/bin/run", source.join("etc/a"), 0o555).unwrap();
            let layer = tree.pack(&layout, true, "test", &LayerCache::default()).unwrap();
            let expected = [
                "755 bin/",
                "755 opt/",
                "755 opt/etc/",
                "755 opt/etc/x/",
                "555 bin/run",
                "644 opt/etc/a",
                "644 opt/etc/x/b",
            ];
            assert_eq!(listing(&layer, &layout), expected);
            digests.insert(layer.descriptor.digest);
        }
        assert_eq!(digests.len(), 1);
    }

    #[test]
    fn on_a_base_its_own_folders_are_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(&temp.path().join("image")).unwrap();
        let mut tree = Tree::default();
        let source = temp.path().join("f");
        std::fs::write(&source, "x").unwrap();
        tree.add("/bin/f", &source, 0o755).unwrap();
        assert_eq!(
            listing(&tree.pack(&layout, false, "test", &LayerCache::default()).unwrap(), &layout),
            ["755 bin/f"]
        );
        for (target, fits) in
            [("//bin//f", false), ("/bin", false), ("/bin/f/x", false), ("/", false), ("/bin/g", true)]
        {
            assert_eq!(tree.leaves_room_for(target, "the binary").is_ok(), fits, "{target}");
            assert_eq!(tree.clone().add(target, &source, 0o755).is_ok(), fits, "{target}");
        }
    }

    #[test]
    fn files_of_the_settings_stay_within_the_workspace() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("ws")).unwrap();
        std::fs::write(temp.path().join("outside"), "x").unwrap();
        for source in ["/etc/hostname", "../outside", ".", "nothing"] {
            let file = ExtraFile { source: source.to_owned(), target: "/f".to_owned(), mode: None };
            let error = Tree::of_settings(&temp.path().join("ws"), &[file]).unwrap_err();
            assert!(render(&error).contains("xtask/image.toml: files: source"), "{error:#}");
        }
    }
}
