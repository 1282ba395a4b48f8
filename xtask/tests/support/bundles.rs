//! Signatures changed in a registry behind the back of whoever made them: Sigstore bundles under digests that are right.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::published::{INDEX, MANIFEST, digest, get, listed, put};

/// The type of a bundle in a manifest.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The bundles about `subject` in a repository, in the order of the list under the tag.
pub fn read(registry: &str, repository: &str, subject: &str) -> Vec<Value> {
    manifests(registry, repository, subject)
        .iter()
        .map(|manifest| bundle(registry, repository, manifest))
        .collect()
}

/// Puts what `change` makes of each bundle about `subject` in the repository `from` into the repository `to`, which
/// has the subject and no list yet.
pub fn copy(registry: &str, from: &str, to: &str, subject: &str, change: impl Fn(&mut Value)) {
    let mut entries = Vec::new();
    for mut manifest in manifests(registry, from, subject) {
        let mut bundle = bundle(registry, from, &manifest);
        change(&mut bundle);
        let bytes = bundle.to_string();
        manifest["layers"][0]["digest"] = put_blob(registry, to, bytes.as_bytes()).into();
        manifest["layers"][0]["size"] = bytes.len().into();
        put_blob(registry, to, b"{}");
        let bytes = manifest.to_string();
        let name = digest(bytes.as_bytes());
        put(registry, &format!("/v2/{to}/manifests/{name}"), MANIFEST, bytes.as_bytes());
        entries.push(serde_json::json!({
            "mediaType": MANIFEST, "digest": name, "size": bytes.len(), "artifactType": BUNDLE,
        }));
    }
    let list =
        serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    put(registry, &format!("/v2/{to}/manifests/sha256-{}", &subject[7..]), INDEX, list.as_bytes());
}

fn manifests(registry: &str, repository: &str, subject: &str) -> Vec<Value> {
    let manifest = |entry: &Value| {
        let (_, bytes) =
            get(registry, &format!("/v2/{repository}/manifests/{}", entry["digest"].as_str().unwrap()));
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let all = listed(registry, repository, subject);
    all.iter().map(manifest).filter(|manifest| manifest["artifactType"] == BUNDLE).collect()
}

fn bundle(registry: &str, repository: &str, manifest: &Value) -> Value {
    let name = manifest["layers"][0]["digest"].as_str().unwrap();
    serde_json::from_slice(&get(registry, &format!("/v2/{repository}/blobs/{name}")).1).unwrap()
}

/// Uploads a blob, past every client.
fn put_blob(registry: &str, repository: &str, bytes: &[u8]) -> String {
    let opened = ask(registry, "POST", &format!("/v2/{repository}/blobs/uploads/"), b"");
    let location = opened.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().trim();
    let (_, path) = location.split_once(registry).unwrap_or(("", location));
    let name = digest(bytes);
    let separator = if path.contains('?') { '&' } else { '?' };
    let closed = ask(registry, "PUT", &format!("{path}{separator}digest={name}"), bytes);
    assert!(closed.contains(" 201 "), "{closed}");
    name
}

fn ask(registry: &str, method: &str, path: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(registry).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {registry}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
