//! Types of the OCI image-spec.
//!
//! Not from a crate, because equal values must give equal bytes: maps are sorted, absent fields are omitted, and digests are
//! checked when they are read.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::platform::Platform;
use cli_support::digest::Digest;
use cli_support::error::Fault;

/// Image index (image-index.md).
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Image manifest (manifest.md).
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Image configuration (config.md).
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer, gzip-compressed (layer.md).
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The largest number of nested indexes in an image, its own included; real images have one or two. All commands have the
/// same limit, so that none accepts an image that another refuses.
pub const MAX_INDEX_DEPTH: usize = 4;

/// The longest manifest, index or configuration that is read: 4 MiB, which every registry must accept.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Names and values attached to a manifest, an index or a descriptor (annotations.md).
pub type Annotations = BTreeMap<String, String>;

/// The name, type and size of some content (descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The platform of a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformSpec>,
    /// Annotations of the reference, not of the content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

/// `platform` of a descriptor (image-index.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformSpec {
    /// A GOARCH.
    pub architecture: String,
    /// A GOOS.
    pub os: String,
    /// The variant of the architecture, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl PlatformSpec {
    /// Whether this is `platform`.
    pub fn is(&self, platform: Platform) -> bool {
        let variant = self.variant.as_deref();
        self.os == platform.os()
            && self.architecture == platform.arch()
            && matches!(variant, None | Some("v8"))
    }
}

impl fmt::Display for PlatformSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl From<Platform> for PlatformSpec {
    fn from(platform: Platform) -> Self {
        Self { architecture: platform.arch().to_owned(), os: platform.os().to_owned(), variant: None }
    }
}

/// An image index (image-index.md); `index.json` of a layout is one too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`INDEX`], or Docker's.
    #[serde(default)]
    pub media_type: String,
    /// Its entries.
    pub manifests: Vec<Descriptor>,
    /// Annotations of the index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

/// An image manifest (manifest.md).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`MANIFEST`], or Docker's.
    #[serde(default)]
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Annotations of the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Index {
    /// An index of these.
    pub fn new(manifests: Vec<Descriptor>, annotations: Annotations) -> Self {
        Self { schema_version: 2, media_type: INDEX.to_owned(), manifests, annotations }
    }

    /// The first manifest for a platform, as container engines choose.
    pub fn find(&self, platform: Platform) -> Option<&Descriptor> {
        self.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(|spec| spec.is(platform)))
    }
}

/// The entry of `index.json` for these manifests: the only one, else the index that `put` writes.
pub fn top_of(
    mut manifests: Vec<Descriptor>,
    put: impl FnOnce(Vec<Descriptor>) -> Result<Descriptor>,
) -> Result<Descriptor> {
    match (manifests.pop(), manifests.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => put(manifests.into_iter().chain(last).collect()),
    }
}

/// The annotations with an image's name in `index.json`: that of annotations.md, and containerd's, which Docker and Podman
/// read first.
pub const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

impl Descriptor {
    /// The descriptor with a full name such as `docker.io/owner/app:1.2.3`. Readers expand short names differently.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.annotations.extend(NAMES.map(|key| (key.to_owned(), name.to_owned())));
        self
    }

    /// A descriptor of `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Annotations::new(),
        }
    }

    /// Whether it names an index.
    pub fn is_index(&self) -> bool {
        is_index(&self.media_type)
    }

    /// Whether it names a manifest.
    pub fn is_manifest(&self) -> bool {
        [MANIFEST, DOCKER_MANIFEST].contains(&self.media_type.as_str())
    }

    /// The layer with the image-spec's media type in place of Docker's.
    #[must_use]
    pub fn as_oci_layer(&self) -> Self {
        let mut layer = self.clone();
        if layer.media_type == DOCKER_LAYER_GZIP {
            LAYER_GZIP.clone_into(&mut layer.media_type);
        }
        layer
    }
}

/// Whether a media type is that of an index.
pub fn is_index(media_type: &str) -> bool {
    [INDEX, DOCKER_INDEX].contains(&media_type)
}

/// Serializes a document without white space and with sorted maps.
pub fn to_bytes(document: &impl Serialize) -> Result<Vec<u8>> {
    // A `Value` sorts the maps of every type.
    Ok(serde_json::to_vec(&serde_json::to_value(document)?)?)
}

/// Parses a document; `what` and its digest are for messages.
pub fn from_bytes<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .with_context(|| Fault::failed(format!("{what} is not as the OCI image-spec has it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_equal_bytes_and_maps_are_sorted() {
        let mut manifest = Descriptor::of(MANIFEST, b"{}");
        manifest.platform = Some(Platform::LinuxArm64.into());
        manifest.annotations = [("b", "2"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let bytes = to_bytes(&Index::new(vec![manifest], Annotations::new())).unwrap();
        let expected = concat!(
            r#"{"manifests":[{"annotations":{"a":"1","b":"2"},"#,
            r#""digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","#,
            r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""platform":{"architecture":"arm64","os":"linux"},"size":2}],"#,
            r#""mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#,
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn a_wrong_digest_is_refused_on_reading() {
        let text = br#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:../x","size":1}]}"#;
        assert!(from_bytes::<Index>("index.json", text).is_err());
    }
}
