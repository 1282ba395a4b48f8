//! Notices that files have changed, by looking at them at intervals.
//!
//! A look follows links, as a reader does. So it sees a file that was written in place, one that an
//! editor renamed into place, and the links of a Kubernetes volume, where `..data` is replaced and the
//! files themselves stay the same links.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time from one look to the next. A change is acted on when two looks find the same, so that a
/// file is not read while it is being written.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// What a change of a file shows in: where it is (device and inode), size, and the times of the last
/// write and the last change of its state, each in seconds and nanoseconds.
type FileStamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// Files and how they were when they were last read.
#[derive(Debug, Default)]
pub struct Watched {
    files: Vec<PathBuf>,
    read: Vec<Option<FileStamp>>,
    /// What the last look found, if it differed.
    changed: Option<Vec<Option<FileStamp>>>,
}

impl Watched {
    /// Adds files that are about to be read: what is written after this is a change.
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

    /// Looks at the files. True once for a change, when it was there at the last look too.
    ///
    /// A file that was there and is missing is being replaced, or reading it would fail anyway.
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
    fn every_way_of_changing_a_file_is_noticed_once() {
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
    fn a_file_that_is_being_written_is_waited_for() {
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
