//! The digest in an overlay of kustomize.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use cli_support::digest::Digest;
use cli_support::error::Fault;

/// An overlay, whose image gets another digest.
#[derive(Debug)]
pub struct Overlay {
    /// Its `kustomization.yaml`.
    pub path: PathBuf,
    repository: String,
}

impl Overlay {
    /// The overlay in a folder, which must name an image of this repository by a digest.
    pub fn find(folder: &Path, repository: &str) -> Result<Self, Fault> {
        let overlay = Self { path: folder.join("kustomization.yaml"), repository: repository.to_owned() };
        overlay.read()?;
        Ok(overlay)
    }

    /// The text, and the place of the digest in it.
    fn read(&self) -> Result<(String, Range<usize>), Fault> {
        let text = fs::read_to_string(&self.path).map_err(|error| {
            Fault::usage(format!("the overlay cannot be read: {error}"))
                .at(self.path.display())
                .hint("--write names a folder with a kustomization.yaml")
        })?;
        match digest(&text, &self.repository) {
            Some(range) => Ok((text, range)),
            None => Err(Fault::usage(format!("no image has newName: {} and a digest", self.repository))
                .at(self.path.display())
                .hint("write both below images:, with a digest of 64 zeros until the first promotion")),
        }
    }

    /// Writes the digest; the rest of the file stays as it is.
    pub fn write(&self, digest: Digest) -> Result<String> {
        let (mut text, range) = self.read()?;
        let before = text.get(range.clone()).unwrap_or_default().to_owned();
        let digest = digest.to_string();
        if before == digest {
            return Ok(format!("has {digest} already"));
        }
        text.replace_range(range, &digest);
        let failed = || Fault::failed("the image is deployed, but the overlay could not be written");
        fs::write(&self.path, text).with_context(|| {
            failed().at(self.path.display()).hint("run the same command again to write it")
        })?;
        Ok(format!("{digest} in place of {before}"))
    }
}

/// The place of the digest of the image with this `newName`, in the list below `images:`.
fn digest(text: &str, repository: &str) -> Option<Range<usize>> {
    let (mut in_images, mut is_named, mut found) = (false, false, None);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        let bare = line.trim_start();
        if !bare.starts_with('#') && !bare.is_empty() && line.len() == bare.len() && !bare.starts_with('-') {
            if is_named && found.is_some() {
                break;
            }
            in_images = bare.trim_end() == "images:";
            (is_named, found) = (false, None);
        }
        if !in_images {
            continue;
        }
        let item = bare.trim_start_matches("- ");
        if item.len() < bare.len() {
            if is_named && found.is_some() {
                break;
            }
            (is_named, found) = (false, None);
        }
        let Some((key, value)) = item.trim_end().split_once(": ") else { continue };
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        match key {
            "newName" => is_named = value == repository,
            "digest" => found = line.find(value).map(|place| begin + place..begin + place + value.len()),
            _ => {}
        }
    }
    found.filter(|_| is_named)
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn the_digest_of_the_image_is_found() {
        let text = "resources:\n  - a.yaml\n# newName: r/app\nimages:\n  - name: other\n    newName: r/other\n    \
            digest: sha256:1\n  - name: app\n    digest: \"sha256:2\" # promoted\n    newName: r/app\npatches:\n  - \
            target: {}\n    digest: sha256:3\n";
        let found = |name: &str| digest(text, name).map(|range| &text[range]);
        assert_eq!(found("r/app"), Some("sha256:2"));
        assert_eq!(found("r/other"), Some("sha256:1"));
        assert_eq!(found("r/none"), None);
        assert_eq!(digest("images:\n- newName: r/app\n  digest: sha256:4\n", "r/app"), Some(35..43));
        assert_eq!(digest("images:\n  - newName: r/app\n    newTag: v1\n", "r/app"), None);
        assert_eq!(digest("patches:\n  - newName: r/app\n    digest: sha256:4\n", "r/app"), None);
    }
}
