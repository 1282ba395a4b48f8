//! Bases whose index holds other indexes, on disk and in a registry.

use crate::support;

use std::path::Path;

use serde_json::{Value, json};
use support::live::Live;
use support::published::{INDEX, MANIFEST, Workshop, layout, put};
use support::{Hello, Image, forge, have_targets};

const NATIVE: [&str; 3] = ["image", "--engine", "native"];

/// Changes a layout so that its image is an index with these entries: the bytes of that index.
fn top(dir: &Path, entries: &[Value]) -> Vec<u8> {
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    let bytes = index.to_string().into_bytes();
    let mut entry = json!({ "mediaType": INDEX });
    forge::put(dir, &mut entry, &bytes);
    let json = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    std::fs::write(dir.join("index.json"), json.to_string()).unwrap();
    bytes
}

/// The entry by which `index.json` names the image that the layout has now.
fn entry(dir: &Path) -> Value {
    Image::read(dir).index["manifests"][0].clone()
}

/// The image of a layout with its platforms apart: one in the third index below, one in the second. The
/// bytes of each index, lowest first.
fn nest(dir: &Path) -> Vec<Vec<u8>> {
    let image = Image::read(dir);
    let index = image.json(&image.index["manifests"][0]["digest"]);
    let lowest = top(dir, &[index["manifests"][1].clone()]);
    let middle = top(dir, &[entry(dir), index["manifests"][0].clone()]);
    let highest = top(dir, &[entry(dir)]);
    vec![lowest, middle, highest]
}

#[track_caller]
fn stands_on(hello: &Hello, below: &[Value; 2], digest: &Value) {
    let image = Image::read(&hello.layout());
    for (arch, below) in ["amd64", "arm64"].into_iter().zip(below) {
        let manifest = image.manifest(arch);
        assert_eq!(&manifest["annotations"]["org.opencontainers.image.base.digest"], digest);
        let layers = below["layers"].as_array().unwrap();
        assert_eq!(&manifest["layers"].as_array().unwrap()[..layers.len()], &layers[..], "{arch}");
    }
}

#[test]
fn a_layout_whose_index_holds_indexes_is_a_base() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.commit();
    let dir = hello.path().join("below");
    layout(&dir, 3, 10_000, &json!({}));
    let image = Image::read(&dir);
    let index = image.json(&image.index["manifests"][0]["digest"]);
    let below = [0, 1].map(|number| image.json(&index["manifests"][number]["digest"]));
    nest(&dir);
    let args = [&NATIVE[..], &["--base", "./below", "--platform"]].concat();
    hello.run(&[&args[..], &["all"]].concat()).code(0);
    stands_on(&hello, &below, &entry(&dir)["digest"]);
    // Of what is at any depth, the one that is missing is told from those that are there.
    let mut other = index["manifests"][0].clone();
    other["platform"]["architecture"] = json!("s390x");
    top(&dir, &[index["manifests"][0].clone()]);
    let attestation = json!({ "mediaType": MANIFEST, "digest": other["digest"], "size": other["size"], "platform": { "os": "unknown", "architecture": "unknown" } });
    top(&dir, &[entry(&dir), attestation, other]);
    let ran = hello.run(&[&args[..], &["linux/arm64"]].concat()).code(1);
    ran.says("it has nothing for linux/arm64, but for linux/s390x, linux/amd64\n").says("--platform");
}

#[test]
fn an_image_in_a_registry_whose_index_holds_indexes_is_a_base() {
    let Some(live) = Live::docker().filter(|_| have_targets()) else { return };
    let registry = live.registry();
    let workshop = Workshop::new(5);
    workshop.publish(&format!("{registry}/owner/below"), &["1.0.0"]).code(0);
    let dir = workshop.hello.layout();
    let image = Image::read(&dir);
    let index = image.json(&image.index["manifests"][0]["digest"]);
    let below = [0, 1].map(|number| image.json(&index["manifests"][number]["digest"]));
    for bytes in nest(&dir) {
        put(&registry, "/v2/owner/below/manifests/nested", INDEX, &bytes);
    }
    let digest = entry(&dir)["digest"].clone();
    let hello = Hello::new();
    hello.commit();
    let base = format!("{registry}/owner/below:nested");
    hello.run(&[&NATIVE[..], &["--base", &base, "--platform", "all"]].concat()).code(0);
    stands_on(&hello, &below, &digest);
}
