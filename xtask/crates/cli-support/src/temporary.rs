//! Temporary files and folders, removed when the process ends, also after a signal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static THERE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file or folder that is removed when this value is dropped.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    /// Registers the file or folder at `path`, which this process has made.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        there().push(path.clone());
        Self { path, kept: false }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it to its final path, where it is kept.
    pub fn rename(mut self, to: &Path) -> io::Result<()> {
        let mut there = there();
        fs::rename(&self.path, to)?;
        self.kept = true;
        forget(&mut there, &self.path);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // Delete and deregister under one lock; otherwise the exit handler could delete a new file at the same path.
            let mut there = there();
            remove(&self.path);
            forget(&mut there, &self.path);
        }
    }
}

/// Removes all registered files and folders. No other can be registered until the returned guard is dropped.
#[cfg(unix)]
pub fn remove_all() -> impl Sized {
    let there = there();
    there.iter().for_each(|path| remove(path));
    there
}

fn there() -> MutexGuard<'static, Vec<PathBuf>> {
    THERE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget(there: &mut Vec<PathBuf>, path: &Path) {
    if let Some(at) = there.iter().position(|one| one == path) {
        there.swap_remove(at);
    }
}

/// Ignores errors: a later run or the system removes the rest.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_value_removes_its_file_and_a_renamed_file_is_kept() {
        let temp = tempfile::tempdir().unwrap();
        let (folder, file, moved) = (temp.path().join("a"), temp.path().join("b"), temp.path().join("c"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x"), "").unwrap();
        let held = Temporary::new(&folder);
        fs::write(&file, "first").unwrap();
        let first = Temporary::new(&file);
        first.rename(&moved).unwrap();
        // The first value no longer owns this path.
        fs::write(&file, "second").unwrap();
        let second = Temporary::new(&file);
        assert!(folder.exists() && file.exists());
        assert!(second.rename(&temp.path().join("nowhere/d")).is_err());
        drop(held);
        assert!(!folder.exists() && !file.exists());
        assert_eq!(fs::read_to_string(moved).unwrap(), "first");
        assert!(!there().iter().any(|path| path.starts_with(temp.path())));
    }
}
