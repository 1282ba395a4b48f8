//! The buildx engine: the command line, and the import of BuildKit's image.
//!
//! BuildKit's layers contain times and folders of the machine. So only the files are imported: they are compared with the
//! settings, and the binary goes into the same layers that the native engine writes. Both engines give the same digest.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;

use super::base::Base;
use super::layer::{Source, Tree};
use cli_support::digest::{Digest, Hasher};
use cli_support::error::Fault;
use cli_support::process::{Cmd, Need};
use oci_image::archive;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, Manifest};
use oci_image::platform::Platform;
use rust_workspace::settings::{Buildx, Bytes, Secret};

/// The named build context of a base image in a layout on disk.
const BASE_CONTEXT: &str = "xtask-base";
/// The largest unpacked size of a layer above the base image, in bytes.
const MAX_UNPACKED: u64 = 4 << 30;

/// The inputs of the command line.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The workspace's root: the build context.
    pub root: &'a Path,
    /// The archive that BuildKit writes.
    pub output: &'a Path,
    /// The platforms.
    pub platforms: &'a [Platform],
    /// Settings and flags.
    pub options: &'a Buildx,
    /// Labels for the image.
    pub labels: &'a Annotations,
    /// The commit's time.
    pub epoch: u64,
    /// The Dockerfile's argument BASE.
    pub base: BaseArgument,
}

/// The value of the Dockerfile's argument BASE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseArgument {
    /// `scratch` or a reference.
    Name(String),
    /// An image layout on disk, and the digest in it.
    Layout(PathBuf, Digest),
}

/// The `docker buildx build` of a request.
pub fn command(request: &Request<'_>) -> Cmd {
    let options = request.options;
    let platforms: Vec<_> = request.platforms.iter().map(ToString::to_string).collect();
    let mut cmd = Cmd::new("docker")
        .args(["buildx", "build", "--progress", "plain", "--provenance", "false", "--sbom", "false"])
        .args(["--platform", &platforms.join(",")])
        .arg("--output")
        .arg(format!("type=oci,{}", csv_field(&format!("dest={}", request.output.display()))))
        .arg("--file")
        .arg(request.root.join(&options.dockerfile));
    // The build stage passes it to cargo, as the native engine does.
    cmd = cmd.args(["--build-arg".to_owned(), format!("SOURCE_DATE_EPOCH={}", request.epoch)]);
    let (base, context) = match &request.base {
        BaseArgument::Name(name) => (name.clone(), None),
        BaseArgument::Layout(dir, digest) => {
            (BASE_CONTEXT.to_owned(), Some(format!("oci-layout://{}@{digest}", dir.display())))
        }
    };
    cmd = cmd.args(["--build-arg".to_owned(), format!("BASE={base}")]);
    let contexts = options.contexts.iter().map(|(name, value)| format!("{name}={value}"));
    for context in contexts.chain(context.map(|value| format!("{BASE_CONTEXT}={value}"))) {
        cmd = cmd.args(["--build-context".to_owned(), context]);
    }
    for (flag, value) in [("--builder", &options.builder), ("--network", &options.network)] {
        if let Some(value) = value {
            cmd = cmd.args([flag, value]);
        }
    }
    if options.network.as_deref() == Some("host") {
        cmd = cmd.args(["--allow", "network.host"]);
    }
    // Docker since 28.3 also reads credentials from this variable.
    cmd = cmd.needs(Need::ActionsCache).keep("DOCKER_AUTH_CONFIG");
    for name in options.secrets.iter().filter_map(Secret::variable) {
        cmd = cmd.keep(name);
    }
    let secrets: Vec<_> = options.secrets.iter().map(|secret| secret.0.clone()).collect();
    for (flag, values) in
        [("--secret", &secrets), ("--cache-from", &options.cache_from), ("--cache-to", &options.cache_to)]
    {
        for value in values {
            cmd = cmd.args([flag, value]);
        }
    }
    for (name, value) in request.labels {
        cmd = cmd.args(["--label".to_owned(), format!("{name}={value}")]);
    }
    cmd.arg(request.root).dir(request.root)
}

/// A field of Docker's comma-separated values (RFC 4180).
fn csv_field(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// An image that the Dockerfile names could not be pulled.
#[derive(Debug)]
pub struct CannotPull;

impl fmt::Display for CannotPull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image that the Dockerfile names could not be pulled")
    }
}

impl std::error::Error for CannotPull {}

/// Whether a line of BuildKit's output says that an image could not be pulled.
pub fn cannot_pull(line: &str) -> bool {
    line.contains("failed to resolve source metadata") || line.contains("failed to load metadata")
}

/// BuildKit's image of one platform.
#[derive(Debug)]
pub struct Found {
    /// The image's configuration.
    pub config: serde_json::Value,
    /// The files above the base image.
    files: BTreeMap<String, FoundFile>,
}

#[derive(Debug, Clone)]
struct FoundFile {
    mode: u32,
    digest: Digest,
    path: PathBuf,
}

/// Reads BuildKit's archive: configuration and files above the base image, by platform. The files are unpacked below
/// `scratch`.
pub fn read(
    made: &Path,
    platforms: &[Platform],
    base: &Base,
    scratch: &Path,
) -> Result<BTreeMap<Platform, Found>> {
    let layout = archive::unpack(made, &scratch.join("layout"))?;
    let index = images(&layout)?;
    let mut found = BTreeMap::new();
    for &platform in platforms {
        let entry = match &index.manifests[..] {
            [only] if only.platform.is_none() => only,
            _ => index.find(platform).ok_or_else(|| {
                Fault::failed(format!("BuildKit made no image for {platform}")).at(made.display())
            })?,
        };
        let manifest: Manifest = oci::from_bytes("BuildKit's manifest", &layout.read(entry)?)?;
        let config = oci::from_bytes("BuildKit's config", &layout.read(&manifest.config)?)?;
        let below = base.below.get(&platform).map_or(0, |below| below.layers.len());
        check_base(platform, &config, base)?;
        let dir = scratch.join(platform.arch());
        let mut files = BTreeMap::new();
        for layer in manifest.layers.iter().skip(below) {
            unpack(&layout, layer, &dir, &mut files).with_context(|| format!("layer {}", layer.digest))?;
        }
        found.insert(platform, Found { config, files });
    }
    Ok(found)
}

/// The index of the images: `index.json` itself, or the one index that it names.
fn images(layout: &Layout) -> Result<Index> {
    let top = layout.index()?;
    match &top.manifests[..] {
        [only] if only.is_index() => oci::from_bytes("BuildKit's index", &layout.read(only)?),
        _ => Ok(top),
    }
}

fn check_base(platform: Platform, config: &serde_json::Value, base: &Base) -> Result<()> {
    let ids: Vec<Digest> = match config.pointer("/rootfs/diff_ids") {
        Some(ids) => serde_json::from_value(ids.clone())?,
        None => Vec::new(),
    };
    let expected = base.below.get(&platform).map(|below| below.diff_ids.as_slice()).unwrap_or_default();
    if ids.starts_with(expected) {
        return Ok(());
    }
    let what = format!("{platform}: the Dockerfile's image is not based on the base image of image.toml");
    Err(Fault::failed(what).hint("begin its last stage with: ARG BASE=scratch / FROM ${BASE}").into())
}

fn unpack(
    layout: &Layout,
    layer: &Descriptor,
    dir: &Path,
    files: &mut BTreeMap<String, FoundFile>,
) -> Result<()> {
    let blob = layout.blob(&layer.digest)?;
    let gzip = layer.media_type.ends_with("gzip");
    let plain: Box<dyn Read> = if gzip { Box::new(GzDecoder::new(blob)) } else { Box::new(blob) };
    let mut tar = tar::Archive::new(plain.take(MAX_UNPACKED));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        if !kind.is_file() || name.starts_with(".wh.") {
            let what = format!("the Dockerfile's image has something other than a file at /{path}");
            return Err(Fault::failed(what)
                .hint("COPY only files: the engines cannot make other entries alike")
                .into());
        }
        // Named by number: a path in the image is never used as a path on this machine.
        let copy = dir.join(files.len().to_string());
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let mut file = File::create(&copy).with_context(|| copy.display().to_string())?;
        io::copy(&mut entry, &mut file).with_context(|| format!("/{path}"))?;
        let found =
            FoundFile { mode: entry.header().mode()? & 0o7777, digest: digest_of(&copy)?, path: copy };
        files.insert(path, found);
    }
    Ok(())
}

fn digest_of(path: &Path) -> Result<Digest> {
    let mut hasher = Hasher::new();
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    io::copy(&mut file, &mut hasher).with_context(|| path.display().to_string())?;
    Ok(hasher.finish().0)
}

impl Found {
    /// The executable file at `path`, an absolute path in the image.
    pub fn binary(&self, path: &str) -> Result<PathBuf> {
        let file = self.files.get(path.trim_start_matches('/')).ok_or_else(|| {
            let all: Vec<_> = self.files.keys().map(|path| format!("/{path}")).collect();
            Fault::failed(format!("the Dockerfile's image has no {path}"))
                .hint(format!("COPY the binary there; its files: {}", all.join(", ")))
        })?;
        if file.mode & 0o111 == 0 {
            return Err(Fault::failed(format!("{path} is not executable in the Dockerfile's image")).into());
        }
        Ok(file.path.clone())
    }

    /// The differences from `expected` and the binary, one line for each file.
    pub fn differences(&self, expected: &Tree, binary: &str) -> Result<Vec<String>> {
        let binary = binary.trim_start_matches('/');
        let mut lines = Vec::new();
        for (path, node) in expected.files() {
            let Some(found) = self.files.get(path) else {
                lines.push(format!("/{path}: in image.toml, not in the Dockerfile's image"));
                continue;
            };
            if found.mode != node.mode {
                lines.push(format!(
                    "/{path}: mode {:04o} in image.toml, {:04o} in the Dockerfile's image",
                    node.mode, found.mode
                ));
            }
            let Source::File(source) = &node.source else { continue };
            if found.digest != digest_of(source)? {
                let size = fs::metadata(&found.path).map_or(0, |meta| meta.len());
                lines.push(format!("/{path}: other bytes ({}) in the Dockerfile's image", Bytes(size)));
            }
        }
        let known = |path: &str| path == binary || expected.files().any(|(other, _)| other == path);
        let unknown = self.files.keys().filter(|path| !known(path));
        lines.extend(unknown.map(|path| format!("/{path}: in the Dockerfile's image, not in image.toml")));
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_its_argument_and_no_secret_its_value() {
        let options = Buildx {
            builder: Some("k8s".to_owned()),
            network: Some("host".to_owned()),
            contexts: BTreeMap::from([("rust:1".to_owned(), "docker-image://local/rust".to_owned())]),
            secrets: vec![
                Secret("id=ca,src=/ca.pem".to_owned()),
                Secret("id=gh,env=GITHUB_TOKEN".to_owned()),
            ],
            cache_from: vec!["type=gha".to_owned()],
            cache_to: vec!["type=gha,mode=max".to_owned()],
            ..Buildx::default()
        };
        let request = Request {
            root: Path::new("/ws"),
            output: Path::new("/ws/out"),
            platforms: &Platform::ALL,
            options: &options,
            labels: &Annotations::from([("a".to_owned(), "b c".to_owned())]),
            epoch: 7,
            base: BaseArgument::Layout("/base".into(), Digest::of(b"")),
        };
        let expected = "docker buildx build --progress plain --provenance false --sbom false \
            --platform linux/amd64,linux/arm64 --output type=oci,dest=/ws/out --file /ws/Dockerfile \
            --build-arg SOURCE_DATE_EPOCH=7 --build-arg BASE=xtask-base --build-context rust:1=docker-image://local/rust --build-context \
            xtask-base=oci-layout:///base@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 \
            --builder k8s --network host --allow network.host --secret id=ca,src=/ca.pem --secret id=gh,env=GITHUB_TOKEN --cache-from type=gha \
            --cache-to type=gha,mode=max --label 'a=b c' /ws";
        let command = command(&request);
        assert_eq!(command.to_string(), expected);
        for (name, left) in [
            ("ACTIONS_RUNTIME_TOKEN", true),
            ("ACTIONS_RESULTS_URL", true),
            ("ACTIONS_CACHE_URL", true),
            ("GITHUB_TOKEN", true),
            ("GHCR_TOKEN", false),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", false),
            ("COSIGN_PASSWORD", false),
        ] {
            assert_eq!(!command.withholds(name), left, "{name}");
        }
    }
}
