//! Images changed behind the back of whoever made them, under digests that are right.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Changes the config of every platform, as [`platforms`] does.
pub fn configs(layout: &Path, change: impl Fn(&mut Value)) {
    platforms(layout, |_, config| change(config));
}

/// Changes manifest and config of every platform of a layout, which are all that is left of it then.
pub fn platforms(layout: &Path, change: impl Fn(&mut Value, &mut Value)) {
    let path = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut entries = super::Image::read(layout).entries();
    for entry in &mut entries {
        let mut manifest = read(layout, &entry["digest"]);
        let mut config = read(layout, &manifest["config"]["digest"]);
        change(&mut manifest, &mut config);
        put(layout, &mut manifest["config"], config.to_string().as_bytes());
        put(layout, entry, manifest.to_string().as_bytes());
    }
    index["manifests"] = entries.into();
    fs::write(path, index.to_string()).unwrap();
}

/// The program that a workspace's image was made with, without its list of crates, as a file beside it; and
/// what puts that into the image at a path.
pub fn unlisted(hello: &super::Hello, path: &str) -> String {
    let mut program =
        fs::read(hello.path().join("target/xtask/bin/x86_64-unknown-linux-musl/hello")).unwrap();
    let at = program.windows(8).position(|bytes| bytes == b".dep-v0\0").unwrap();
    program[at + 1] = b'x';
    fs::write(hello.path().join("unlisted"), program).unwrap();
    format!("[[files]]\nsource = 'unlisted'\ntarget = '{path}'\nmode = '0755'\n")
}

fn read(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(hex)).unwrap()).unwrap()
}

/// Puts a blob into the layout and lets a descriptor name it.
pub fn put(layout: &Path, descriptor: &mut Value, bytes: &[u8]) {
    let digest = super::published::digest(bytes);
    fs::write(layout.join("blobs/sha256").join(&digest[7..]), bytes).unwrap();
    descriptor["digest"] = json!(digest);
    descriptor["size"] = json!(bytes.len());
}
