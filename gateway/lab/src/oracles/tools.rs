//! Tools that are not packages of the system: kept in a folder below the target folder, in fixed versions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::program::run;
use crate::target;

/// The version of h2spec.
pub const H2SPEC: &str = "v2.2.1+incompatible";

/// Held while a tool is installed: other processes wait for the complete tool.
fn lock() -> Result<File> {
    fs::create_dir_all(target::cache())?;
    let path = target::cache().join("install.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}

/// h2spec, built by Go where it is not there yet.
pub fn h2spec() -> Result<PathBuf> {
    let _lock = lock()?;
    let home = target::cache().join("bin");
    let program = home.join(format!("h2spec-{H2SPEC}"));
    if !program.is_file() {
        fs::create_dir_all(&home)?;
        eprintln!("gateway-lab: building h2spec {H2SPEC}");
        // Go waits without end for a server that stalls.
        run(Command::new("timeout").env("GOBIN", &home).args([
            "--kill-after=10",
            "900",
            "go",
            "install",
            &format!("github.com/summerwind/h2spec/cmd/h2spec@{H2SPEC}"),
        ]))
        .context("h2spec")?;
        fs::rename(home.join("h2spec"), &program)?;
    }
    Ok(program)
}

/// A Python with the packages of `python/requirements.txt`.
pub fn python() -> Result<PathBuf> {
    let wanted = fs::read_to_string(script("requirements.txt"))?;
    let _lock = lock()?;
    let home = target::cache().join("python");
    let installed = home.join("installed.txt");
    let python = home.join("bin/python");
    if fs::read_to_string(&installed).ok().as_deref() != Some(&wanted) {
        eprintln!("gateway-lab: installing Python packages into {}", home.display());
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
            .context("a Python environment")?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(script("requirements.txt")))
        .context("Python packages")?;
        fs::write(&installed, &wanted)?;
    }
    Ok(python)
}

/// A file beside the lab's source.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
}

/// The version of a package in `python/requirements.txt`.
pub fn package(name: &str) -> Result<String> {
    let wanted = fs::read_to_string(script("requirements.txt"))?;
    let line = wanted.lines().find(|line| line.starts_with(&format!("{name}==")));
    line.map(|line| line.replace("==", " ")).with_context(|| format!("{name} is not in requirements.txt"))
}

/// A program's output without the escape sequences of a terminal.
pub fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(
            part.split_once(|letter: char| letter.is_ascii_alphabetic()).map_or("", |(_, rest)| rest),
        );
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(plain("connected: \u{1b}[1;32m0\u{1b}[0m."), "connected: 0.");
        assert_eq!(plain("none"), "none");
    }
}
