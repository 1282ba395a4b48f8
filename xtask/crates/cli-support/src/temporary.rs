//! Files and folders that go away with the run that made them, also where a signal ends it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static THERE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file or a folder that is removed with this value.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    stays: bool,
}

impl Temporary {
    /// What this very run has made at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        there().push(path.clone());
        Self { path, stays: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it to where it stays.
    pub fn rename(mut self, to: &Path) -> io::Result<()> {
        let mut there = there();
        fs::rename(&self.path, to)?;
        self.stays = true;
        forget(&mut there, &self.path);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.stays {
            // As in a rename, within one lock: as soon as it is gone another may be made under its name.
            let mut there = there();
            remove(&self.path);
            forget(&mut there, &self.path);
        }
    }
}

/// Removes all that is there, and lets nothing be made afterwards for as long as the answer lives.
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

/// What cannot be removed is left: the runs that come after sweep up, or the system does.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_value_and_stays_where_it_was_moved() {
        let temp = tempfile::tempdir().unwrap();
        let (folder, file, moved) = (temp.path().join("a"), temp.path().join("b"), temp.path().join("c"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x"), "").unwrap();
        let held = Temporary::new(&folder);
        fs::write(&file, "first").unwrap();
        let first = Temporary::new(&file);
        first.rename(&moved).unwrap();
        // The name is free for another, which the first one has nothing to do with.
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
