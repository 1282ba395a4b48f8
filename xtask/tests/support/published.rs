//! An image made by hand and a workspace to publish it from.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Hello, Ran, have_program};

/// The password of the key that signs.
pub const KEY_PASSWORD: &str = "hunter2-key";

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// `sha256:` and 64 digits.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |out, byte| out + &format!("{byte:02x}"))
}

/// Bytes that no part of is like another, and that are others for each seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// Writes a layout with an image of two platforms, its layers made of `seed`; gives the image's digest.
pub fn layout(dir: &Path, seed: u64, bytes: usize, labels: &Value) -> String {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(blobs.join(&digest[7..]), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    };
    // A layer of both platforms, and one of each.
    let shared = tar_gz("shared", &noise(1, 20_000));
    let manifests: Vec<_> = ["amd64", "arm64"]
        .into_iter()
        .enumerate()
        .map(|(number, arch)| {
            let own = tar_gz(arch, &noise(seed * 2 + number as u64, bytes));
            let layers = [&shared, &own];
            let diff_ids: Vec<_> = layers.iter().map(|(tar, _)| digest(tar)).collect();
            let config = json!({ "architecture": arch, "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
            let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
            let layers: Vec<_> =
                layers.iter().map(|(_, gz)| put("application/vnd.oci.image.layer.v1.tar+gzip", gz)).collect();
            let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": labels });
            let mut entry = put(MANIFEST, manifest.to_string().as_bytes());
            entry["platform"] = json!({ "architecture": arch, "os": "linux" });
            entry
        })
        .collect();
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": labels });
    let top = put(INDEX, index.to_string().as_bytes());
    let json = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [top] });
    fs::write(dir.join("index.json"), json.to_string()).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    top["digest"].as_str().unwrap().to_owned()
}

/// A tar of one file, and the same compressed.
fn tar_gz(name: &str, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    use std::io::Write as _;
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes).unwrap();
    let tar = tar.into_inner().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    (tar, gz.finish().unwrap())
}

/// A workspace with an image that passed its scan.
pub struct Workshop {
    pub hello: Hello,
    pub digest: String,
}

impl Workshop {
    /// An image of its own for each seed, of the commit that is there.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, 100_000)
    }

    pub fn with(seed: u64, bytes: usize) -> Self {
        let hello = Hello::new();
        hello.commit();
        let mut workshop = Self { hello, digest: String::new() };
        workshop.image(seed, bytes);
        workshop
    }

    /// Makes another image of what is there now.
    pub fn image(&mut self, seed: u64, bytes: usize) {
        let version = self.hello.run(&["version", "--json"]).code(0).json();
        let labels = json!({
            "org.opencontainers.image.version": version["version"],
            "org.opencontainers.image.revision": version["revision"],
        });
        self.image_with(seed, bytes, &labels);
    }

    /// Makes another image with these annotations.
    pub fn image_with(&mut self, seed: u64, bytes: usize, labels: &Value) {
        self.digest = layout(&self.hello.layout(), seed, bytes, labels);
        self.scan(true);
    }

    /// Leaves the result of a scan, as `cargo xtask scan` does.
    pub fn scan(&self, passed: bool) {
        let scan = json!({ "schema": "xtask.scan/1", "digest": self.digest, "passed": passed,
            "time": "2024-01-02T03:04:05Z", "engines": [{ "name": "builtin" }, { "name": "trivy" }] });
        self.hello.write("target/xtask/scan.json", &scan.to_string());
    }

    /// A command with no credentials of this machine's.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.hello.command();
        // Rust's own folders are below the home that is taken away.
        for (name, folder) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")] {
            if let (None, Some(home)) = (std::env::var_os(name), std::env::var_os("HOME")) {
                command.env(name, Path::new(&home).join(folder));
            }
        }
        command.args(args).env("HOME", self.hello.path()).env_remove("XDG_RUNTIME_DIR");
        command.env_remove("XDG_CONFIG_HOME").env_remove("REGISTRY_AUTH_FILE").env_remove("GHCR_TOKEN");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Makes a key pair of cosign's in the workspace; false, with a word why, where cosign is missing.
    #[must_use]
    pub fn key_pair(&self) -> bool {
        self.key_pair_with(KEY_PASSWORD)
    }

    /// The same with this password.
    #[must_use]
    pub fn key_pair_with(&self, password: &str) -> bool {
        if !have_program("cosign", "cosign", &["version"]) {
            return false;
        }
        let mut command = Command::new("cosign");
        command.arg("generate-key-pair").current_dir(self.hello.path()).env("COSIGN_PASSWORD", password);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        true
    }

    /// `publish` under these tags.
    pub fn publish(&self, repository: &str, tags: &[&str]) -> Ran {
        let mut args = vec!["publish", "--json", "--repository", repository];
        args.extend(tags.iter().flat_map(|tag| ["--tag", tag]));
        self.run(&args)
    }
}

/// A command that signs with the workspace's key.
pub fn signing(mut command: Command) -> Command {
    command.args(["--sign", "key"]).env("COSIGN_KEY", "cosign.key").env("COSIGN_PASSWORD", KEY_PASSWORD);
    command
}

/// The tags in the report of a publish, and what happened to each.
pub fn states(report: &Value) -> Vec<(String, String)> {
    let rows = report["tags"].as_array().unwrap().iter();
    rows.map(|row| (row["tag"].as_str().unwrap().into(), row["state"].as_str().unwrap().into())).collect()
}

/// The state and the detail of a check in the report of a verify.
pub fn check<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    (check["state"].as_str().unwrap(), check["detail"].as_str().unwrap())
}

/// An HTTP request to a registry on this machine: status and body. No client of ours has a part in it.
pub fn get(registry: &str, path: &str) -> (u16, Vec<u8>) {
    get_as(registry, path, &format!("{INDEX}, {MANIFEST}"))
}

/// The same to any server, for an answer of one of these types.
pub fn get_as(registry: &str, path: &str, accept: &str) -> (u16, Vec<u8>) {
    get_with(registry, path, &format!("Accept: {accept}"))
}

/// The same with this header.
pub fn get_with(registry: &str, path: &str, header: &str) -> (u16, Vec<u8>) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(registry).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {registry}\r\n{header}\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&bytes[9..12]).parse().unwrap();
    (status, bytes[end + 4..].to_vec())
}

/// Puts a manifest, past every client.
pub fn put(registry: &str, path: &str, media_type: &str, body: &[u8]) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(registry).unwrap();
    let length = body.len();
    write!(
        stream,
        "PUT {path} HTTP/1.0\r\nHost: {registry}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 201 "), "{answer}");
}

/// The digest that a tag names, from the manifest's bytes; none where there is no such tag.
pub fn tagged(registry: &str, repository: &str, tag: &str) -> Option<String> {
    let (status, body) = get(registry, &format!("/v2/{repository}/manifests/{tag}"));
    (status == 200).then(|| digest(&body))
}

/// Entries of the fallback index, the tag `sha256-<hex>`, for this digest.
pub fn listed(registry: &str, repository: &str, digest: &str) -> Vec<Value> {
    let (_, list) = get(registry, &format!("/v2/{repository}/manifests/sha256-{}", &digest[7..]));
    let list: Value = serde_json::from_slice(&list).unwrap_or_default();
    list["manifests"].as_array().cloned().unwrap_or_default()
}

/// Puts a manifest that refers to `subject`, with this artifact type and these annotations, past every
/// client, into a repository that has the blob `{}`; and into the list under the tag. Gives its digest.
pub fn refer(registry: &str, repository: &str, subject: &str, kind: &str, annotations: &Value) -> String {
    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let (_, bytes) = get(registry, &format!("/v2/{repository}/manifests/{subject}"));
    let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 2 });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": empty, "layers": [empty],
        "subject": { "mediaType": INDEX, "digest": subject, "size": bytes.len() }, "annotations": annotations,
    })
    .to_string();
    let name = digest(manifest.as_bytes());
    put(registry, &format!("/v2/{repository}/manifests/{name}"), MANIFEST, manifest.as_bytes());
    let mut entries = listed(registry, repository, subject);
    entries.push(json!({
        "mediaType": MANIFEST, "digest": name, "size": manifest.len(), "artifactType": kind,
        "annotations": annotations,
    }));
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    put(registry, &format!("/v2/{repository}/manifests/sha256-{}", &subject[7..]), INDEX, list.as_bytes());
    name
}

/// Whether all that a tag leads to is there: the index, its manifests, their blobs.
pub fn is_whole(registry: &str, repository: &str, tag: &str) -> bool {
    let get = |path: &str| get(registry, &format!("/v2/{repository}/{path}"));
    let (status, index) = get(&format!("manifests/{tag}"));
    let Ok(index) = serde_json::from_slice::<Value>(&index) else { return false };
    let entries = index["manifests"].as_array().cloned().unwrap_or_default();
    status == 200
        && entries.iter().all(|entry| {
            let name = entry["digest"].as_str().unwrap();
            let (status, bytes) = get(&format!("manifests/{name}"));
            let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
            let mut blobs = layers.iter().chain([&manifest["config"]]);
            status == 200
                && digest(&bytes) == name
                && blobs.all(|blob| {
                    let name = blob["digest"].as_str().unwrap();
                    digest(&get(&format!("blobs/{name}")).1) == name
                })
        })
}

/// A layout with one platform of another layout's image.
pub fn only(from: &Path, dir: &Path, arch: &str) {
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    for entry in fs::read_dir(from.join("blobs/sha256")).unwrap().flatten() {
        fs::copy(entry.path(), dir.join("blobs/sha256").join(entry.file_name())).unwrap();
    }
    fs::copy(from.join("oci-layout"), dir.join("oci-layout")).unwrap();
    let read = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
    let mut json = read(fs::read(from.join("index.json")).unwrap());
    let top = json["manifests"][0]["digest"].as_str().unwrap()[7..].to_owned();
    let mut index = read(fs::read(from.join("blobs/sha256").join(top)).unwrap());
    index["manifests"].as_array_mut().unwrap().retain(|entry| entry["platform"]["architecture"] == arch);
    let bytes = index.to_string().into_bytes();
    fs::write(dir.join("blobs/sha256").join(&digest(&bytes)[7..]), &bytes).unwrap();
    json["manifests"] = json!([{ "mediaType": INDEX, "digest": digest(&bytes), "size": bytes.len() }]);
    fs::write(dir.join("index.json"), json.to_string()).unwrap();
}
