//! Detects changed files by polling.
//!
//! Polling follows links, like a reader. It therefore detects a file that was written in place, a file
//! renamed into place by an editor, and the links of a Kubernetes volume, where `..data` is replaced and the
//! files themselves remain the same links.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Polling interval. A change is reported when two polls find the same state, so that a file is not read
/// while it is written.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// State of a file: device, inode, size, and the times of the last write and the last status change, each in
/// seconds and nanoseconds.
type FileStamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// Files and their state when they were last read.
#[derive(Debug, Default)]
pub struct Watched {
    files: Vec<PathBuf>,
    read: Vec<Option<FileStamp>>,
    /// The state found by the last poll, if it differed.
    changed: Option<Vec<Option<FileStamp>>>,
}

impl Watched {
    /// Adds files that are about to be read: later writes are changes.
    pub fn add(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        for file in files {
            if !self.files.contains(&file) {
                self.read.push(stamp(&file));
                self.files.push(file);
            }
        }
    }

    /// Whether no file is watched.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Polls the files. True once per change, when the last poll found the same state.
    ///
    /// A file that is missing now is being replaced, or reading it would fail anyway.
    pub fn look(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(|file| stamp(file)).collect();
        let is_missing = self.read.iter().zip(&now).any(|(read, now)| read.is_some() && now.is_none());
        if now == self.read || is_missing {
            self.changed = None;
            return false;
        }
        if self.changed.as_ref() == Some(&now) {
            self.read = now;
            self.changed = None;
            return true;
        }
        self.changed = Some(now);
        false
    }
}

fn stamp(file: &Path) -> Option<FileStamp> {
    let found = fs::metadata(file).ok()?;
    let (written, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.size(), written, changed))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::Watched;

    #[test]
    fn every_kind_of_change_is_reported_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).expect("a file");
        for version in ["..1", "..2"] {
            fs::create_dir(path(version)).expect("a folder");
            write(&format!("{version}/mounted"), version);
        }
        symlink("..1", path("..data")).expect("a link");
        symlink("..data/mounted", path("mounted")).expect("a link");
        write("file", "1");
        let mut watched = Watched::default();
        watched.add([path("file"), path("mounted"), path("none"), path("file")]);
        assert!(!watched.look() && !watched.look());
        let changes: [(&str, &dyn Fn()); 6] = [
            ("written in place", &|| write("file", "22")),
            ("renamed into place", &|| {
                write("new", "33");
                fs::rename(path("new"), path("file")).expect("renamed");
            }),
            ("removed and written", &|| {
                fs::remove_file(path("file")).expect("removed");
                write("file", "44");
            }),
            ("another link in the way", &|| {
                symlink("..2", path("..next")).expect("a link");
                fs::rename(path("..next"), path("..data")).expect("renamed");
            }),
            ("a file that was missing", &|| write("none", "1")),
            ("a link in place of a file", &|| {
                fs::remove_file(path("file")).expect("removed");
                symlink("..1/mounted", path("file")).expect("a link");
            }),
        ];
        for (what, change) in changes {
            change();
            let looks = [watched.look(), watched.look(), watched.look()];
            assert_eq!(looks, [false, true, false], "{what}");
        }
    }

    #[test]
    fn file_is_reported_after_its_last_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "1").expect("a file");
        let mut watched = Watched::default();
        watched.add([file.clone()]);
        for length in 2..5 {
            fs::write(&file, "x".repeat(length)).expect("a file");
            assert!(!watched.look());
        }
        fs::remove_file(&file).expect("removed");
        assert!(!watched.look() && !watched.look());
        fs::write(&file, "5").expect("a file");
        assert_eq!([watched.look(), watched.look()], [false, true]);
    }
}
