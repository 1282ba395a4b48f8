//! Downloads Trivy where it is not installed, at the version and with the digest in the settings.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use semver::Version;

use super::{TESTED, Trivy};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::files;
use oci_registry::download;
use rust_workspace::settings::TrivyPin;

/// The longest archive and program, in bytes; those of 0.74.0 have 50 MB and 180 MB.
const MAX_BYTES: u64 = 256 << 20;
const MAX_PROGRAM_BYTES: u64 = 1 << 30;

/// The official releases.
const OFFICIAL: &str =
    "https://github.com/aquasecurity/trivy/releases/download/v{version}/trivy_{version}_{archive}.tar.gz";

/// Machines: the name in the settings, the name in the archive, and the digest of the archive of 0.74.0. Many public
/// repositories pin these digests; a wrong one would refuse the download.
const MACHINES: [(&str, &str, &str); 4] = [
    ("linux-x86_64", "Linux-64bit", "2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a"),
    ("linux-aarch64", "Linux-ARM64", "b94ce1976bbf3c15b514b605ee88be7c6d94a29be2302847ff01cb794d47aad5"),
    ("macos-x86_64", "macOS-64bit", "472816f6888dda689d075c30254d4210b4d1035acf365aa72332f584c2f60485"),
    ("macos-aarch64", "macOS-ARM64", "1caada5e0e2091909357c7525d3aa76f4b660b13821bc143b190c7483e31cc11"),
];

/// A pinned download for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Its address.
    pub url: String,
    /// The digest of the archive.
    pub digest: Digest,
    /// The path of the program.
    pub program: PathBuf,
    version: Version,
}

impl Fetch {
    /// The download in the settings; none where they pin only an image.
    ///
    /// # Errors
    /// The settings have no digest for this machine.
    pub fn of(pin: &TrivyPin, tools: &Path) -> Result<Option<Self>, Fault> {
        Self::on(&format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH), pin, tools)
    }

    fn on(machine: &str, pin: &TrivyPin, tools: &Path) -> Result<Option<Self>, Fault> {
        if pin.image.is_some() && pin.url.is_none() && pin.sha256.is_empty() {
            return Ok(None);
        }
        let known = MACHINES.iter().find(|(name, ..)| *name == machine);
        let archive = known.map_or(machine, |(_, archive, _)| archive);
        let built_in = || {
            let (_, _, hex) = known.filter(|_| pin.version.to_string() == TESTED)?;
            format!("sha256:{hex}").parse().ok()
        };
        let Some(digest) = pin.sha256.get(machine).copied().or_else(built_in) else {
            if pin.image.is_some() {
                return Ok(None);
            }
            let what = format!("[scan.trivy] has no sha256 of Trivy {} for {machine}", pin.version);
            let list = OFFICIAL.replace("{archive}.tar.gz", "checksums.txt");
            let list = list.replace("{version}", &pin.version.to_string());
            let name = format!("trivy_{}_{archive}.tar.gz", pin.version);
            return Err(Fault::usage(what).at(rust_workspace::settings::file()).hint(format!(
                "sha256 = {{ {machine} = \"…\" }}: the digits on the line of {name} in {list}"
            )));
        };
        let url = pin.url.as_deref().unwrap_or(OFFICIAL);
        let url = url.replace("{version}", &pin.version.to_string());
        let url = url.replace("{machine}", machine).replace("{archive}", archive);
        let name = format!("trivy{}", std::env::consts::EXE_SUFFIX);
        // The digest in the path: another pin is another program.
        let program = tools.join(format!("trivy-{}-{}", pin.version, digest.short())).join(name);
        Ok(Some(Self { url, digest, program, version: pin.version.clone() }))
    }

    /// The downloaded Trivy.
    pub fn trivy(&self) -> Trivy {
        Trivy { program: self.program.clone(), version: self.version.clone(), image: None }
    }

    /// Downloads it, unless an earlier run did.
    pub fn run(&self) -> Result<String> {
        if self.program.is_file() {
            return Ok("already downloaded".to_owned());
        }
        let bytes = download(&self.url, MAX_BYTES)?;
        let found = Digest::of(&bytes);
        if found != self.digest {
            let what = format!("the download has the digest {found}, but the settings pin {}", self.digest);
            return Err(Fault::gate(what)
                .at(&self.url)
                .hint("do not run it: it may have been tampered with")
                .into());
        }
        let program = unpack(&bytes).with_context(|| self.url.clone())?;
        install(&self.program, &program).with_context(|| self.program.display().to_string())?;
        Ok(format!("{} bytes of {}", program.len(), self.digest))
    }
}

/// The program in a release's tar.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut tar = tar::Archive::new(GzDecoder::new(bytes).take(MAX_PROGRAM_BYTES));
    for entry in tar.entries()? {
        let entry = entry?;
        let name = entry.path()?.display().to_string();
        if ["trivy", "trivy.exe"].contains(&name.trim_start_matches("./"))
            && entry.header().entry_type().is_file()
        {
            let mut program = Vec::new();
            entry.take(MAX_PROGRAM_BYTES).read_to_end(&mut program)?;
            return Ok(program);
        }
    }
    Err(Fault::gate("the archive has no file named trivy").into())
}

/// Writes a program in one rename, so that a partial one is never run.
fn install(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    files::replace_with(path, |file| {
        file.write_all(bytes)?;
        executable(file)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_of_machines() {
        let own = Digest::of(b"own");
        let pin = |version: &str, url: Option<&str>, machines: &[&str], image: bool| TrivyPin {
            version: version.parse().unwrap(),
            url: url.map(str::to_owned),
            sha256: machines.iter().map(|machine| ((*machine).to_owned(), own)).collect(),
            image: image.then(|| "trivy@sha256:…".to_owned()),
        };
        let on = |machine: &str, pin: &TrivyPin| match Fetch::on(machine, pin, Path::new("/t")) {
            Ok(Some(fetch)) => format!("{} {}", fetch.url.rsplit('/').next().unwrap(), fetch.digest.short()),
            Ok(None) => "none".to_owned(),
            Err(fault) => fault.to_string(),
        };
        for (machine, pin, expected) in [
            (
                "linux-x86_64",
                pin(TESTED, None, &[], false),
                "trivy_0.74.0_Linux-64bit.tar.gz 2ae6fe3ee734".to_owned(),
            ),
            (
                "linux-x86_64",
                pin(TESTED, None, &["linux-x86_64"], false),
                format!("trivy_0.74.0_Linux-64bit.tar.gz {}", own.short()),
            ),
            (
                "macos-aarch64",
                pin(TESTED, Some("https://m/{machine}"), &[], false),
                "macos-aarch64 1caada5e0e20".to_owned(),
            ),
            ("linux-x86_64", pin(TESTED, None, &[], true), "none".to_owned()),
            ("linux-x86_64", pin("0.75.0", Some("https://m/x"), &[], true), "none".to_owned()),
        ] {
            assert_eq!(on(machine, &pin), expected, "{machine} {pin:?}");
        }
        for (machine, version) in [("linux-x86_64", "0.75.0"), ("linux-riscv64", TESTED)] {
            assert!(on(machine, &pin(version, None, &[], false)).contains(&format!("for {machine}")));
        }
        let fault =
            Fetch::on("linux-aarch64", &pin("0.75.0", None, &[], false), Path::new("/t")).unwrap_err();
        let help = cli_support::error::render(&fault.into());
        assert!(help.contains("line of trivy_0.75.0_Linux-ARM64.tar.gz in https://github.com/aquasecurity/trivy/releases/download/v0.75.0/trivy_0.75.0_checksums.txt"), "{help}");
    }
}
