//! The steps of `cargo xtask assets`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::archive::{self, ArchivedFile, Content};
use super::release;
use crate::commands::version::VersionReport;
use crate::publish::{CYCLONEDX, ImageBundle, SPDX, Scan, Signer, find_sboms, is_whole, scan_gate};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::files;
use cli_support::plan::Action;
use cli_support::process::Cmd;
use cli_support::ui::Progress;
use image_scan::image::platforms::{self, Image, Wanted};
use oci_image::platform::Platform;
use oci_registry::GithubRepository;
use rust_workspace::version::{version_of, version_tag};

/// The checksums, in the format of sha256sum(1).
pub const SUMS: &str = "SHA256SUMS";
/// Their signature, a bundle of Sigstore.
pub const BUNDLE: &str = "SHA256SUMS.sigstore.json";

/// A file of the release.
#[derive(Clone, Debug, Serialize)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
    /// The result of its upload.
    pub state: Option<&'static str>,
}

/// A step of `cargo xtask assets`.
#[derive(Debug)]
pub enum AssetStep {
    /// Checks the image.
    Gate,
    /// Checks the tag on GitHub.
    Tag(String),
    /// Reads the files of each platform.
    Read,
    /// Writes the archives.
    Archives,
    /// Compares the archives with the image.
    Compare,
    /// Copies the SBOMs.
    Sboms,
    /// Writes SHA256SUMS.
    Checksums,
    /// Signs SHA256SUMS; the folder is for files that the signer reads.
    Sign(Signer, PathBuf, Cmd),
    /// Uploads the files.
    Upload(String),
}

/// The state between the steps.
#[derive(Debug)]
pub struct AssetsWork {
    /// The image.
    pub bundle: ImageBundle,
    /// The image's version, as a part of file names.
    pub version: String,
    /// The platforms of the settings.
    pub platforms: Vec<Platform>,
    /// The files of an archive.
    pub content: Content,
    /// The folder for the files.
    pub output: PathBuf,
    /// The last scan.
    pub scan: Option<Scan>,
    /// Whether the scan must be by Trivy.
    pub needs_trivy: bool,
    /// An exception of the settings that has expired.
    pub over: Option<String>,
    /// The repository for the upload.
    pub github: Option<GithubRepository>,
    /// The files that were made.
    pub assets: Vec<Asset>,
    /// The page of the release, after an upload.
    pub release: Option<String>,
    root: PathBuf,
    sboms: [PathBuf; 2],
    read: BTreeMap<Platform, (Image, Vec<ArchivedFile>)>,
}

impl AssetsWork {
    /// The state before the first step. An error if the image has no version.
    pub fn new(checkout: &VersionReport, bundle: ImageBundle, output: PathBuf) -> Result<Self, Fault> {
        let version = bundle.label("version").and_then(version_of_image);
        let version = version.ok_or_else(|| {
            Fault::usage("the image has no label org.opencontainers.image.version with a version")
                .at(bundle.layout.dir().display())
                .hint("cargo xtask image --platform all")
        })?;
        let (settings, package) = (&checkout.workspace.settings, &checkout.package);
        let name = package.binary.clone();
        let binary = settings.container.path.clone().unwrap_or_else(|| format!("/usr/bin/{name}"));
        let files = settings.files.iter().map(|file| file.target.clone()).collect();
        Ok(Self {
            version,
            platforms: settings.platforms.clone(),
            content: Content { name, binary, files },
            output,
            root: checkout.workspace.root.clone(),
            sboms: [package.target_dir.join("sbom"), package.target_dir.join("xtask")],
            bundle,
            scan: None,
            needs_trivy: false,
            over: None,
            github: None,
            assets: Vec::new(),
            release: None,
            read: BTreeMap::new(),
        })
    }

    /// The name of a platform's files without ending, as cargo-binstall expects it.
    pub fn stem(&self, platform: Platform) -> String {
        format!("{}-{}-{}", self.content.name, self.version, platform.musl_target())
    }

    fn gate(&self) -> Result<String> {
        is_whole(&self.bundle.lacks(&self.platforms), self.bundle.layout.dir())?;
        let digest = self.bundle.digest();
        Ok(scan_gate(self.scan.as_ref(), &digest, self.needs_trivy, self.over.as_deref(), None)?)
    }

    fn read(&mut self) -> Result<String> {
        let layout = &self.bundle.layout;
        let found = platforms::find(layout, Some(self.bundle.digest()), Wanted(Some(&self.platforms)))?;
        for platform in &self.platforms {
            let image = found.images.iter().find(|image| image.platform.is(*platform));
            let image = image.with_context(|| format!("the image has nothing for {platform}"))?;
            self.read.insert(*platform, (image.clone(), self.content.read(layout, image)?));
        }
        let of = |(platform, (_, files)): (&Platform, &(Image, Vec<ArchivedFile>))| {
            let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
            format!("{platform}: {} files, {bytes} bytes", files.len())
        };
        Ok(self.read.iter().map(of).collect::<Vec<_>>().join("; "))
    }

    fn write(&mut self, name: String, bytes: &[u8]) -> Result<()> {
        fs::create_dir_all(&self.output).with_context(|| self.output.display().to_string())?;
        files::replace(&self.output.join(&name), bytes)?;
        let (bytes, digest) = (bytes.len() as u64, Digest::of(bytes));
        self.assets.push(Asset { name, bytes, digest, state: None });
        Ok(())
    }

    fn archives(&mut self) -> Result<String> {
        for (platform, (image, files)) in std::mem::take(&mut self.read) {
            let stem = self.stem(platform);
            let archive = archive::pack(&stem, &files, archive::time(&image.config))?;
            self.write(format!("{stem}.tar.gz"), &archive)?;
            self.read.insert(platform, (image, files));
        }
        Ok(format!("{} archives", self.read.len()))
    }

    fn compare(&self) -> Result<String> {
        let mut same = Vec::new();
        for (platform, (image, _)) in &self.read {
            let stem = self.stem(*platform);
            let path = self.output.join(format!("{stem}.tar.gz"));
            let at = || path.display().to_string();
            let archived = archive::unpack(&stem, &fs::read(&path).with_context(at)?).with_context(at)?;
            if archived != self.content.read(&self.bundle.layout, image)? {
                let what = format!("the archive has other files than the image for {platform}");
                return Err(Fault::gate(what).at(path.display()).into());
            }
            let binary = archived.iter().find(|file| file.path == self.content.name);
            same.extend(binary.map(|file| format!("{platform} {}", Digest::of(&file.bytes))));
        }
        Ok(format!("the same binaries: {}", same.join(", ")))
    }

    fn sboms(&mut self) -> Result<String> {
        let found = find_sboms(&self.sboms, &self.bundle);
        let mut copied = 0;
        for (platform, (image, _)) in std::mem::take(&mut self.read) {
            let manifest = image.digest.hex();
            for (kind, ending) in [(&CYCLONEDX, "cdx.json"), (&SPDX, "spdx.json")] {
                let is_about = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&manifest);
                let mut of_kind = found.iter().filter(|sbom| sbom.kind.media_type == kind.media_type);
                let sbom = of_kind.find(|sbom| is_about(&sbom.bytes)).ok_or_else(|| {
                    Fault::gate(format!("there is no {} SBOM of this image for {platform}", kind.name))
                        .at(self.sboms[0].display())
                        .hint("cargo xtask sbom")
                })?;
                self.write(format!("{}.{ending}", self.stem(platform)), &sbom.bytes)?;
                copied += 1;
            }
        }
        Ok(format!("{copied} documents"))
    }

    fn checksums(&mut self) -> Result<String> {
        self.assets.sort_by(|a, b| a.name.cmp(&b.name));
        let line = |asset: &Asset| format!("{}  {}\n", asset.digest.hex(), asset.name);
        let sums: String = self.assets.iter().map(line).collect();
        // The signature of an earlier run is not of these checksums.
        let bundle = self.output.join(BUNDLE);
        match fs::remove_file(&bundle) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| bundle.display().to_string());
            }
            _ => {}
        }
        let count = self.assets.len();
        self.write(SUMS.to_owned(), sums.as_bytes())?;
        Ok(format!("{count} files"))
    }

    fn sign(&mut self, signer: &Signer, folder: &Path, command: &Cmd, progress: &Progress) -> Result<String> {
        signer.prepare(folder)?;
        command.follow(|line| progress.output(line))?;
        let path = self.output.join(BUNDLE);
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
        self.assets.push(Asset { name: BUNDLE.to_owned(), bytes: size, digest, state: None });
        Ok(BUNDLE.to_owned())
    }

    fn upload(&mut self, tag: &str, progress: &Progress) -> Result<String> {
        let github = self.github.take().context("no repository")?;
        let notes = fs::read_to_string(self.root.join("CHANGELOG.md")).ok();
        let notes = notes.and_then(|text| release::notes(&text, &self.version));
        let version = version_of(&self.version);
        let draft = release::Draft {
            tag: tag.to_owned(),
            notes,
            prerelease: version.is_some_and(|version| !version.pre.is_empty()),
        };
        let url = release::publish(&github, &draft, &self.output, &mut self.assets, progress)?;
        self.release = Some(url.clone());
        Ok(url)
    }
}

/// A version in a label as a part of file names, which GitHub would change if it had `+`.
fn version_of_image(label: &str) -> Option<String> {
    semver::Version::parse(label).ok().map(|version| version_tag(&version))
}

impl Action for AssetStep {
    type State = AssetsWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Sign(_, _, command) => Some(command),
            _ => None,
        }
    }

    fn run(&self, work: &mut AssetsWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Gate => work.gate(),
            Self::Tag(tag) => {
                let github = work.github.as_ref().context("no repository")?;
                release::check_tag(github, tag, work.bundle.label("revision"))
            }
            Self::Read => work.read(),
            Self::Archives => work.archives(),
            Self::Compare => work.compare(),
            Self::Sboms => work.sboms(),
            Self::Checksums => work.checksums(),
            Self::Sign(signer, folder, command) => work.sign(signer, folder, command, progress),
            Self::Upload(tag) => work.upload(tag, progress),
        }
    }
}
