//! OCI image layouts on disk (image-layout.md), with atomic writes.
//!
//! A blob gets its name when it is complete; `index.json` is replaced by a rename; unreachable blobs are removed after that.
//! After a crash the layout has the old image or the new one, and the next run removes the rest.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::oci::{self, Descriptor, Index, MAX_DOCUMENT, Manifest};
use super::walk::{Visit, walk};
use cli_support::digest::{Digest, Hasher};
use cli_support::error::Fault;
use cli_support::files::{self, Sink};
use cli_support::temporary::Temporary;

const MARKER: &str = "oci-layout";
const MARKER_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX_FILE: &str = "index.json";
/// The longest description of the lock's holder that is read, in bytes.
const MAX_HOLDER_BYTES: u64 = 1000;
const PARTIAL: &str = ".partial-";
/// The file that marks a layout as written by xtask. Readers of layouts ignore it.
const OWN: &str = ".xtask.json";
/// The files beside the blobs.
const FILES: [&str; 3] = [MARKER, INDEX_FILE, OWN];
/// Its content without notes.
const NO_NOTES: &[u8] = b"{}\n";
/// The annotation of `index.json` with the same meaning, of earlier versions.
const OURS: &str = "xtask";

/// Whether a run that was killed can leave a file of this name in a layout.
fn is_partial(name: &str) -> bool {
    name.starts_with(PARTIAL) || FILES.iter().any(|file| files::partial(Path::new(file)) == Path::new(name))
}

/// A layout's folder.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Opens the layout at `dir`.
    pub fn open(dir: &Path) -> Result<Self> {
        let layout = Self { dir: dir.to_owned() };
        if !layout.is_one() {
            return Err(Fault::failed("this is not an OCI image layout: it has no file 'oci-layout'")
                .at(dir.display())
                .into());
        }
        Ok(layout)
    }

    /// Checks that an image can be written to `dir`: a new or empty folder, or a layout written by xtask. Others are refused,
    /// because a write removes unreachable blobs.
    pub fn may_write(dir: &Path) -> Result<(), Fault> {
        let refuse = |what: String| {
            Err(Fault::usage(what).at(dir.display()).hint("name an empty or a new folder: --output DIR"))
        };
        if dir.symlink_metadata().is_ok() && !dir.is_dir() {
            return refuse("this is not a folder".to_owned());
        }
        let own = |name: &std::ffi::OsStr| {
            let name = name.to_string_lossy();
            name == "blobs" || FILES.contains(&&*name) || is_partial(&name)
        };
        let foreign =
            fs::read_dir(dir).into_iter().flatten().flatten().find(|entry| !own(&entry.file_name()));
        if let Some(entry) = foreign {
            let name = entry.file_name();
            return refuse(format!(
                "the folder is not an image layout: it contains {}",
                name.to_string_lossy()
            ));
        }
        let mut bytes = Vec::new();
        let index = open(&dir.join(INDEX_FILE), INDEX_FILE).ok();
        let index =
            index.and_then(|file| file.take(MAX_DOCUMENT).read_to_end(&mut bytes).ok()).map(|_| bytes);
        let index = index.and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
        match index {
            Some(index) if !index.annotations.contains_key(OURS) && !dir.join(OWN).is_file() => {
                refuse("this layout was made by another program, and its blobs would be removed".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The layout that contains this path, if any. A file written there would damage it.
    pub fn around(path: &Path) -> Option<PathBuf> {
        let path = std::path::absolute(path).ok()?;
        path.ancestors().skip(1).find(|dir| dir.join(MARKER).is_file()).map(Path::to_owned)
    }

    /// Opens or creates the layout at `dir`, and removes partial blobs of a crashed run.
    pub fn create(dir: &Path) -> Result<Self> {
        Self::may_write(dir)?;
        let layout = Self { dir: dir.to_owned() };
        let blobs = layout.blobs();
        fs::create_dir_all(&blobs).with_context(|| blobs.display().to_string())?;
        layout.replace(MARKER, MARKER_TEXT)?;
        layout.sweep(is_partial)?;
        Ok(layout)
    }

    fn is_one(&self) -> bool {
        self.dir.join(MARKER).is_file()
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn blobs(&self) -> PathBuf {
        self.dir.join("blobs").join("sha256")
    }

    /// The path of a blob.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Whether a blob of this size exists.
    pub fn has(&self, digest: &Digest, size: u64) -> bool {
        self.blob_path(digest).metadata().is_ok_and(|meta| meta.is_file() && meta.len() == size)
    }

    /// Whether a blob exists and matches its digest.
    pub fn has_intact(&self, descriptor: &Descriptor) -> bool {
        let mut hasher = Hasher::new();
        let read = self.has(&descriptor.digest, descriptor.size)
            && self.blob(&descriptor.digest).is_ok_and(|mut file| io::copy(&mut file, &mut hasher).is_ok());
        read && hasher.finish() == (descriptor.digest, descriptor.size)
    }

    /// Writes a blob from memory.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, bytes);
        if !self.has_intact(&descriptor) {
            let mut blob = self.writer()?;
            blob.write_all(bytes).context("write a blob")?;
            blob.commit()?;
        }
        Ok(descriptor)
    }

    /// Starts a blob of unknown digest.
    pub fn writer(&self) -> Result<BlobWriter> {
        BlobWriter::begin(self.blobs())
    }

    /// Opens a blob for reading.
    pub fn blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        open(&path, "the layout has no such blob")
    }

    /// Reads a document (up to [`MAX_DOCUMENT`] bytes) and checks its digest.
    pub fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let path = self.blob_path(&descriptor.digest);
        let fault = |what: String| Fault::failed(what).at(path.display());
        if descriptor.size > MAX_DOCUMENT {
            let size = descriptor.size;
            return Err(
                fault(format!("a document of {size} bytes is over the limit of {MAX_DOCUMENT}")).into()
            );
        }
        let mut bytes = Vec::new();
        self.blob(&descriptor.digest)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
        if Digest::of(&bytes) != descriptor.digest || bytes.len() as u64 != descriptor.size {
            return Err(fault("the blob does not match its digest".to_owned()).into());
        }
        Ok(bytes)
    }

    /// `index.json`.
    pub fn index(&self) -> Result<Index> {
        let path = self.dir.join(INDEX_FILE);
        let mut bytes = Vec::new();
        open(&path, "the layout has no index.json")?
            .take(MAX_DOCUMENT + 1)
            .read_to_end(&mut bytes)
            .with_context(|| path.display().to_string())?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            bail!(Fault::failed("index.json is over the limit of 4 MiB").at(path.display()));
        }
        oci::from_bytes(&path.display().to_string(), &bytes)
    }

    /// The entries of `index.json`, with the entries of each index in its place.
    pub fn images(&self) -> Result<Vec<Descriptor>> {
        let mut images = Vec::new();
        for entry in self.index()?.manifests {
            if entry.is_index() {
                let index: Index = oci::from_bytes(&entry.digest.to_string(), &self.read(&entry)?)?;
                images.extend(index.manifests);
            } else {
                images.push(entry);
            }
        }
        Ok(images)
    }

    /// The notes for later runs.
    pub fn notes(&self) -> Option<String> {
        let mut text = String::new();
        open(&self.dir.join(OWN), OWN).ok()?.take(MAX_DOCUMENT).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Writes notes for later runs. They are not part of the image.
    pub fn note(&self, text: &str) -> Result<()> {
        self.replace(OWN, text.as_bytes())
    }

    /// Writes `index` as `index.json` and removes all blobs that it does not reach.
    pub fn publish(&self, index: &Index) -> Result<()> {
        let kept: BTreeSet<_> = self.reachable(index)?.iter().map(Digest::hex).collect();
        if !self.dir.join(OWN).is_file() {
            self.replace(OWN, NO_NOTES)?;
        }
        self.replace(INDEX_FILE, &oci::to_bytes(index)?)?;
        self.sweep(|name| name.starts_with(PARTIAL) || name.len() == 64 && !kept.contains(name))
    }

    /// All blobs that `index` reaches; an error if one is missing.
    pub fn reachable(&self, index: &Index) -> Result<BTreeSet<Digest>> {
        let mut seen = BTreeSet::new();
        let present = |blob: &Descriptor| {
            let missing = || Fault::failed(format!("blob of {} bytes is missing or cut short", blob.size));
            let path = self.blob_path(&blob.digest);
            if self.has(&blob.digest, blob.size) { Ok(()) } else { Err(missing().at(path.display())) }
        };
        walk(&self.dir.display(), index.manifests.clone(), 0, |entry| {
            present(entry)?;
            if !seen.insert(entry.digest) {
                return Ok(Visit::Next);
            }
            let what = entry.digest.to_string();
            if entry.is_index() {
                let nested: Index = oci::from_bytes(&what, &self.read(entry)?)?;
                return Ok(Visit::Enter(nested.manifests));
            }
            if entry.is_manifest() {
                let manifest: Manifest = oci::from_bytes(&what, &self.read(entry)?)?;
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    present(blob)?;
                    seen.insert(blob.digest);
                }
            }
            Ok(Visit::Next)
        })?;
        Ok(seen)
    }

    fn sweep(&self, stale: impl Fn(&str) -> bool) -> Result<()> {
        for dir in [self.blobs(), self.dir.clone()] {
            for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
                let entry = entry?;
                if stale(&entry.file_name().to_string_lossy()) {
                    fs::remove_file(entry.path()).with_context(|| entry.path().display().to_string())?;
                }
            }
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        let mut old = Vec::new();
        let read = open(&path, name)
            .is_ok_and(|file| file.take(bytes.len() as u64 + 1).read_to_end(&mut old).is_ok());
        if read && old == bytes {
            return Ok(());
        }
        files::replace(&path, bytes)
    }
}

/// Opens a regular file; opening a pipe would block. `lacks` is the message if it does not exist.
fn open(path: &Path, lacks: &str) -> Result<File> {
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(Fault::failed("this is not a regular file").at(path.display()).into());
    }
    File::open(path).with_context(|| Fault::failed(lacks).at(path.display()))
}

/// A partial blob. It gets its name in the layout when it is complete.
#[derive(Debug)]
pub struct BlobWriter {
    blobs: PathBuf,
    // Dropped before `partial`: Windows cannot remove an open file.
    file: File,
    partial: Temporary,
    hasher: Hasher,
}

impl BlobWriter {
    fn begin(blobs: PathBuf) -> Result<Self> {
        // The layout is locked, so only this process makes these names.
        for number in 0_u32.. {
            let partial = blobs.join(format!("{PARTIAL}{}-{number}", std::process::id()));
            match File::create_new(&partial) {
                Ok(file) => {
                    return Ok(Self { blobs, file, partial: Temporary::new(partial), hasher: Hasher::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| partial.display().to_string()),
            }
        }
        bail!(Fault::failed("too many unfinished blobs").at(blobs.display()))
    }

    /// Renames the blob to its digest. Returns the digest and the size in bytes.
    pub fn commit(self) -> Result<(Digest, u64)> {
        drop(self.file);
        let (digest, size) = self.hasher.finish();
        let path = self.blobs.join(digest.hex());
        self.partial.rename(&path).with_context(|| path.display().to_string())?;
        Ok((digest, size))
    }

    /// Renames the blob to its digest if it matches `expected`.
    pub fn commit_as(self, expected: &Descriptor) -> Result<()> {
        drop(self.file);
        let (digest, size) = self.hasher.finish();
        if (digest, size) != (expected.digest, expected.size) {
            let what =
                format!("the bytes are {digest} ({size} bytes), not {} ({})", expected.digest, expected.size);
            bail!(Fault::failed(what));
        }
        let path = self.blobs.join(digest.hex());
        self.partial.rename(&path).with_context(|| path.display().to_string())
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.write_all(&bytes[..written])?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The lock of a layout; a second process waits for it.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks the layout at `dir`. If another process has the lock, calls `waiting` once with a description of it: a space and
    /// text in brackets, or nothing if that cannot be read.
    pub fn take(dir: &Path, waiting: impl FnOnce(&str)) -> Result<Self> {
        // By the real path: a link to the folder is the same layout.
        let dir = dir
            .canonicalize()
            .or_else(|_| std::path::absolute(dir))
            .with_context(|| dir.display().to_string())?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let path = dir.with_file_name(format!(".{name}.lock"));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Some systems do not allow others to read a locked file.
                let _ = (&mut file).take(MAX_HOLDER_BYTES).read_to_string(&mut holder);
                waiting(&if holder.is_empty() { holder } else { format!(" ({holder})") });
                file.lock().with_context(|| path.display().to_string())?;
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| path.display().to_string());
            }
        }
        // Only the command's name: its arguments may contain secrets.
        let command = std::env::args_os().nth(1).unwrap_or_default();
        let holder = format!("process {}, cargo xtask {}", std::process::id(), command.to_string_lossy());
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        written.with_context(|| path.display().to_string())?;
        Ok(Self { _file: file })
    }
}

impl Sink for BlobWriter {
    fn restart(&mut self) -> io::Result<()> {
        self.file.restart()?;
        self.hasher = Hasher::new();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Annotations, LAYER_GZIP};

    #[test]
    fn publish_keeps_reachable_blobs_and_removes_the_others() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(&temp.path().join("image")).unwrap();
        let kept = layout.put(LAYER_GZIP, b"kept").unwrap();
        let stale = layout.put(LAYER_GZIP, b"stale").unwrap();
        layout.writer().unwrap().write_all(b"given up").unwrap();
        assert!(!layout.blobs().join(format!("{PARTIAL}{}-0", std::process::id())).exists());
        fs::write(layout.blobs().join(format!("{PARTIAL}1-0")), b"of a run that was killed").unwrap();
        let killed = FILES.map(|file| files::partial(&layout.dir().join(file)));
        for file in &killed {
            fs::write(file, b"of a run that was killed").unwrap();
        }
        layout.publish(&Index::new(vec![kept.clone()], Annotations::new())).unwrap();
        assert!(layout.has(&kept.digest, 4) && !layout.has(&stale.digest, 5));
        let names: Vec<_> = fs::read_dir(layout.blobs()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let again = Layout::create(layout.dir()).unwrap();
        assert!(killed.iter().all(|file| !file.exists()));
        assert_eq!(again.index().unwrap().manifests, [kept]);
        assert!(Layout::may_write(layout.dir()).is_ok());
        assert!(again.index().unwrap().annotations.is_empty());
        assert_eq!(again.notes().as_deref(), Some("{}\n"));
        again.note("kept").unwrap();
        again.publish(&again.index().unwrap()).unwrap();
        assert_eq!(again.notes().as_deref(), Some("kept"));
        fs::remove_file(layout.dir().join(OWN)).unwrap();
        assert!(Layout::create(layout.dir()).unwrap_err().to_string().contains("made by another program"));
    }

    #[test]
    fn an_index_with_a_missing_blob_is_not_published() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let missing = Descriptor::of(LAYER_GZIP, b"nowhere");
        let error = layout.publish(&Index::new(vec![missing], Annotations::new())).unwrap_err();
        assert!(error.to_string().contains("missing or cut short"), "{error}");
        assert!(layout.index().is_err());
    }

    #[test]
    fn a_folder_with_other_files_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("thesis.doc"), b"").unwrap();
        assert!(Layout::create(temp.path()).unwrap_err().to_string().contains("thesis.doc"));
        assert!(Layout::open(temp.path()).is_err());
    }

    #[test]
    fn indexes_that_nest_too_deep_are_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let mut inner = layout.put(oci::INDEX, br#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
        for _ in 0..8 {
            let bytes = oci::to_bytes(&Index::new(vec![inner.clone()], Annotations::new())).unwrap();
            inner = layout.put(oci::INDEX, &bytes).unwrap();
        }
        let error = layout.reachable(&Index::new(vec![inner], Annotations::new())).unwrap_err();
        assert!(error.to_string().contains("nest deeper"), "{error}");
    }
}
