//! Trivy where it is not installed: fetched once, at the version that the settings pin, by its digest.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use semver::Version;

use super::Trivy;
use crate::digest::Digest;
use crate::error::Fault;
use crate::registry::download;
use crate::settings::TrivyPin;

/// The longest archive and the longest program, in bytes; today's are 50 MB and 180 MB.
const LONGEST: u64 = 256 << 20;
const LONGEST_PROGRAM: u64 = 1 << 30;

/// A download that is pinned for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where it is, this version's and this machine's.
    pub url: String,
    /// The digest of what must come.
    pub digest: Digest,
    /// Where the program goes.
    pub program: PathBuf,
    version: Version,
}

impl Fetch {
    /// What the settings pin for this machine; none where they pin nothing.
    pub fn of(pin: &TrivyPin, tools: &Path) -> Option<Self> {
        let machine = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let digest = *pin.sha256.get(&machine)?;
        let url =
            pin.url.as_ref()?.replace("{version}", &pin.version.to_string()).replace("{machine}", &machine);
        let name = format!("trivy{}", std::env::consts::EXE_SUFFIX);
        // By the digest, so that another pin is another program.
        let program = tools.join(format!("trivy-{}-{}", pin.version, digest.short())).join(name);
        Some(Self { url, digest, program, version: pin.version.clone() })
    }

    /// The Trivy that there will be.
    pub fn trivy(&self) -> Trivy {
        Trivy { program: self.program.clone(), version: self.version.clone(), image: None }
    }

    /// Fetches it, if it is not there from before.
    pub fn run(&self) -> Result<String> {
        if self.program.is_file() {
            return Ok("there from before".to_owned());
        }
        let bytes = download(&self.url, LONGEST)?;
        let found = Digest::of(&bytes);
        if found != self.digest {
            let what = format!("what came is {found}, not {} as the settings pin it", self.digest);
            return Err(Fault::gate(what)
                .at(&self.url)
                .cure("it may have been tampered with: do not run it")
                .into());
        }
        let program = unpack(&bytes).with_context(|| self.url.clone())?;
        install(&self.program, &program).with_context(|| self.program.display().to_string())?;
        Ok(format!("{} bytes of {}", program.len(), self.digest))
    }
}

/// The one file that is wanted of a release's tar, by its name alone.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut tar = tar::Archive::new(GzDecoder::new(bytes).take(LONGEST_PROGRAM));
    for entry in tar.entries()? {
        let entry = entry?;
        let name = entry.path()?.display().to_string();
        if ["trivy", "trivy.exe"].contains(&name.trim_start_matches("./"))
            && entry.header().entry_type().is_file()
        {
            let mut program = Vec::new();
            entry.take(LONGEST_PROGRAM).read_to_end(&mut program)?;
            return Ok(program);
        }
    }
    Err(Fault::gate("the archive has no file named trivy").into())
}

/// Puts a program in its place in one rename, so that no half of one is ever run.
fn install(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let partial = path.with_extension("partial");
    let mut file = fs::File::create(&partial)?;
    file.write_all(bytes)?;
    executable(&file)?;
    drop(file);
    Ok(fs::rename(&partial, path)?)
}

#[cfg(unix)]
fn executable(file: &fs::File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.set_permissions(fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn executable(_: &fs::File) -> Result<()> {
    Ok(())
}
