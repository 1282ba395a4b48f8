//! Finds bills of materials of `cargo xtask sbom` and other programs in folders.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::image_bundle::ImageBundle;
use super::kinds::DocumentKind;

/// The largest file that is read, in bytes. `verify` reads no larger document either.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A bill of materials of an image.
#[derive(Debug)]
pub struct Sbom {
    /// Its format.
    pub kind: &'static DocumentKind,
    /// The file's name.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// The bills of materials of this image in these folders: each contains the digest of one of its manifests. The format
/// is found by the content, not by the file's name.
pub fn find(folders: &[PathBuf], image: &ImageBundle) -> Vec<Sbom> {
    let manifests = image.manifests.iter().chain([&image.top]);
    let digests: Vec<_> = manifests.map(|entry| entry.digest.hex()).collect();
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| read(path, &digests)).collect()
}

fn read(path: &Path, digests: &[String]) -> Option<Sbom> {
    let about = path.metadata().ok().filter(|about| about.is_file() && about.len() <= MAX_BYTES)?;
    let bytes = std::fs::read(path).ok().filter(|bytes| bytes.len() as u64 == about.len())?;
    let text = std::str::from_utf8(&bytes).ok()?;
    if !digests.iter().any(|digest| text.contains(digest)) {
        return None;
    }
    let document: Value = serde_json::from_str(text).ok()?;
    let kind = DocumentKind::of_check("sbom").find(|kind| (kind.is)(&document))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Some(Sbom { kind, name, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sbom_is_recognized_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let of = "a".repeat(64);
        for (name, text, expected) in [
            ("x.cdx.json", format!(r#"{{"bomFormat":"CycloneDX","of":"{of}"}}"#), Some("CycloneDX")),
            ("bill", format!(r#"{{"spdxVersion":"SPDX-2.3","of":"{of}"}}"#), Some("SPDX")),
            ("other.cdx.json", r#"{"bomFormat":"CycloneDX","of":"another image"}"#.to_owned(), None),
            ("scan.json", format!(r#"{{"schema":"xtask.scan/1","digest":"{of}"}}"#), None),
            ("y.cdx.json", format!("CycloneDX {of}"), None),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let found = read(&path, std::slice::from_ref(&of));
            assert_eq!(found.map(|sbom| sbom.kind.name), expected, "{name}");
        }
        assert!(read(folder.path(), &[of]).is_none());
    }
}
