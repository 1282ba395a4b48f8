//! Files and folders.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Removes a folder and all that is in it; a folder that does not exist is no error.
pub fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| dir.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Where a download is written to. It starts over where the bytes do not match the digest.
pub trait Sink: Write {
    /// Discards everything written so far.
    fn restart(&mut self) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

impl Sink for File {
    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.rewind()
    }
}

impl Sink for BufWriter<File> {
    fn restart(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_mut().restart()
    }
}
