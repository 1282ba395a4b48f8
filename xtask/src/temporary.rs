//! Files and folders that go away with the run that made them, also where a signal ends it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static THERE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file or a folder that is removed with this value; one that was moved away meanwhile stays.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// What this very run has made at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        there().push(path.clone());
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.path);
        there().retain(|path| *path != self.path);
    }
}

/// Removes all that is there, and lets nothing be made afterwards for as long as the answer lives.
pub fn remove_all() -> impl Sized {
    let there = there();
    there.iter().for_each(|path| remove(path));
    there
}

fn there() -> MutexGuard<'static, Vec<PathBuf>> {
    THERE.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (folder, file) = (temp.path().join("folder"), temp.path().join("file"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x"), "").unwrap();
        fs::write(&file, "").unwrap();
        let held = [Temporary::new(&folder), Temporary::new(&file)];
        fs::rename(&file, temp.path().join("moved")).unwrap();
        drop(held);
        assert!(!folder.exists() && !file.exists() && temp.path().join("moved").exists());
        assert!(!there().contains(&folder));
    }
}
