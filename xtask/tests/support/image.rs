//! An image in a layout, as its tests read it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A layout read the plain way, every blob held against its name.
pub struct Image {
    pub dir: PathBuf,
    pub index: Value,
}

impl Image {
    #[track_caller]
    pub fn read(dir: &Path) -> Self {
        use sha2::Digest as _;
        let marker: Value = serde_json::from_slice(&fs::read(dir.join("oci-layout")).unwrap()).unwrap();
        assert_eq!(marker["imageLayoutVersion"], "1.0.0");
        for entry in fs::read_dir(dir.join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let digest = sha2::Sha256::digest(fs::read(&path).unwrap());
            let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            assert_eq!(name, hex, "a blob is not what its name says");
        }
        let index = serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap();
        let image = Self { dir: dir.to_owned(), index };
        image.check(&image.index["manifests"]);
        image
    }

    fn check(&self, entries: &Value) {
        for entry in entries.as_array().unwrap() {
            let bytes = self.blob(&entry["digest"]);
            assert_eq!(entry["size"], bytes.len());
            assert_ne!(entry["platform"]["os"], "unknown");
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            if let Some(manifests) = value.get("manifests") {
                self.check(manifests);
            } else {
                for blob in value["layers"].as_array().unwrap().iter().chain([&value["config"]]) {
                    assert_eq!(blob["size"], self.blob(&blob["digest"]).len());
                }
            }
        }
    }

    pub fn blob(&self, digest: &Value) -> Vec<u8> {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        fs::read(self.dir.join("blobs/sha256").join(hex)).unwrap()
    }

    pub fn json(&self, digest: &Value) -> Value {
        serde_json::from_slice(&self.blob(digest)).unwrap()
    }

    /// The digest of the layout's one image: of its index, or of its only manifest.
    pub fn digest(&self) -> String {
        let entries = self.index["manifests"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{}", self.index);
        entries[0]["digest"].as_str().unwrap().to_owned()
    }

    /// The entries of the platforms' manifests.
    pub fn entries(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for entry in self.index["manifests"].as_array().unwrap() {
            if entry["mediaType"].as_str().unwrap().contains("index") {
                found.extend(self.json(&entry["digest"])["manifests"].as_array().unwrap().clone());
            } else {
                found.push(entry.clone());
            }
        }
        found
    }

    /// The manifest of a platform such as `amd64`.
    pub fn manifest(&self, arch: &str) -> Value {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry["platform"]["architecture"] == arch);
        self.json(&entry.unwrap()["digest"])
    }

    pub fn config(&self, arch: &str) -> Value {
        self.json(&self.manifest(arch)["config"]["digest"])
    }

    /// Every file of a platform's layers: path and mode, with the bytes.
    pub fn files(&self, arch: &str) -> Vec<(String, u32, Vec<u8>)> {
        let mut files = Vec::new();
        for layer in self.manifest(arch)["layers"].as_array().unwrap() {
            let blob = self.blob(&layer["digest"]);
            let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&blob[..]));
            for entry in tar.entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                let path = entry.path().unwrap().display().to_string();
                files.push((path, entry.header().mode().unwrap(), bytes));
            }
        }
        files
    }
}
