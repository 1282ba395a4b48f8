//! The archive of a platform: `NAME-VERSION-TARGET.tar.gz` with one folder of the same name. Equal files make equal bytes.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use serde_json::Value;

use cli_support::error::Fault;
use cli_support::time::seconds_of;
use image_scan::image::layer::{self, Limits};
use image_scan::image::platforms::Image;
use image_scan::image::tar_entries::EntryKind;
use oci_image::layout::Layout;

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedFile {
    /// The path below the archive's folder.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Which files of an image an archive has.
#[derive(Clone, Debug)]
pub struct Content {
    /// The binary's name in the archive.
    pub name: String,
    /// The binary's path in the image.
    pub binary: String,
    /// The targets of `[[files]]`: files or folders of the image.
    pub files: Vec<String>,
}

impl Content {
    /// The path in the archive of a file of the image, without leading slash; none for a file of the base image. The binary
    /// and `/usr/share/doc/NAME` are at the top, other files of `/usr` where they would be below a prefix.
    fn place(&self, path: &str) -> Option<String> {
        let plain = |path: &str| path.trim_matches('/').to_owned();
        if path == plain(&self.binary) {
            return Some(self.name.clone());
        }
        let is_of = |target: &String| {
            let target = plain(target);
            path == target || path.strip_prefix(&target).is_some_and(|rest| rest.starts_with('/'))
        };
        let documents = format!("usr/share/doc/{}/", self.name);
        let short = path.strip_prefix(&documents).or_else(|| path.strip_prefix("usr/")).unwrap_or(path);
        self.files.iter().any(is_of).then(|| short.to_owned())
    }

    /// Reads the files from the layers, whose digests are checked. An error if the binary is not there.
    pub fn read(&self, layout: &Layout, image: &Image) -> Result<Vec<ArchivedFile>> {
        let mut files: Vec<ArchivedFile> = Vec::new();
        for (descriptor, diff_id) in image.layers.iter().zip(&image.diff_ids) {
            let blob = layout.blob(&descriptor.digest)?;
            layer::read(blob, descriptor, diff_id, Limits::default(), |entry, content| {
                let Some(path) = self.place(&entry.path).filter(|_| entry.kind == EntryKind::File) else {
                    return Ok(());
                };
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                // An upper layer replaces files of lower ones.
                files.retain(|file| file.path != path);
                files.push(ArchivedFile { path, mode: entry.mode, bytes });
                Ok(())
            })
            .with_context(|| format!("{}: layer {}", image.platform, descriptor.digest))?;
        }
        if !files.iter().any(|file| file.path == self.name) {
            let what = format!("the image for {} has no file {}", image.platform, self.binary);
            return Err(Fault::gate(what).at(layout.dir().display()).hint("cargo xtask image").into());
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

/// The time of the commit in an image's configuration, in seconds since 1970; 0 without one.
pub fn time(config: &Value) -> u64 {
    config["created"].as_str().and_then(seconds_of).unwrap_or_default()
}

/// Makes an archive of files below `folder`.
pub fn pack(folder: &str, files: &[ArchivedFile], time: u64) -> Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(file.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        header.set_size(file.bytes.len() as u64);
        tar.append_data(&mut header, format!("{folder}/{}", file.path), &file.bytes[..])?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// Reads an archive back.
pub fn unpack(folder: &str, archive: &[u8]) -> Result<Vec<ArchivedFile>> {
    let mut tar = tar::Archive::new(GzDecoder::new(archive));
    let mut files = Vec::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let path = path.strip_prefix(&format!("{folder}/")).unwrap_or(&path).to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.push(ArchivedFile { path, mode: entry.header().mode()?, bytes });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_at_the_top_or_below_a_prefix() {
        let content = Content {
            name: "app".to_owned(),
            binary: "/usr/bin/app".to_owned(),
            files: vec!["/usr/share".to_owned(), "/etc/app.toml".to_owned()],
        };
        for (path, expected) in [
            ("usr/bin/app", Some("app")),
            ("usr/bin/apple", None),
            ("usr/share/doc/app/LICENSE", Some("LICENSE")),
            ("usr/share/man/man1/app.1", Some("share/man/man1/app.1")),
            ("usr/shared", None),
            ("etc/app.toml", Some("etc/app.toml")),
            ("etc/passwd", None),
        ] {
            assert_eq!(content.place(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn an_archive_reads_back_and_has_the_same_bytes_each_time() {
        let file = |path: &str, mode, bytes: &[u8]| ArchivedFile {
            path: path.to_owned(),
            mode,
            bytes: bytes.to_vec(),
        };
        let long = "x/".repeat(80) + "end";
        let files = [file("app", 0o755, b"\x7fELF"), file(&long, 0o644, b"text")];
        let archive = pack("app-1.0.0", &files, 1_700_000_000).unwrap();
        assert_eq!(archive, pack("app-1.0.0", &files, 1_700_000_000).unwrap());
        assert_eq!(unpack("app-1.0.0", &archive).unwrap(), files);
        assert!(unpack("app-1.0.0", &archive[..archive.len() / 2]).is_err());
    }
}
