//! `cargo xtask scan` on images in a registry that is nobody's friend: each ends soon, with a reason, and
//! never as a pass.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Hello, Ran, published};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[test]
fn malformed_documents_are_refused_with_a_reason() {
    let config =
        json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } });
    let config = config.to_string().into_bytes();
    let own = json!({ "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": published::digest(&config), "size": config.len() });
    let with =
        |layers: Value| json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": own, "layers": layers });
    let layer =
        |digest: &str, size: i64| with(json!([{ "mediaType": LAYER, "digest": digest, "size": size }]));
    let index = |entries: Value| json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    let zeros = format!("sha256:{}", "0".repeat(64));
    let own_digest = published::digest(&config);
    let itself = json!([{ "mediaType": INDEX, "digest": zeros, "size": 9 }]);
    let cases: Vec<(&str, String, i32, &str)> = vec![
        ("garbage", "<html>".to_owned(), 1, "not a JSON object"),
        ("empty", json!({ "mediaType": MANIFEST }).to_string(), 1, "missing field `schemaVersion`"),
        ("nothing", with(json!(7)).to_string(), 1, "invalid type"),
        ("negative", layer(&zeros, -1).to_string(), 1, "expected u64"),
        ("digest", layer("sha256:zz", 1).to_string(), 1, "is not a digest"),
        ("missing", layer(&zeros, 5).to_string(), 1, "no such image"),
        ("short", layer(&own_digest, 5).to_string(), 1, "the manifest says 5 bytes"),
        ("endless", layer(&own_digest, 1 << 60).to_string(), 1, "over the limit of 17179869184"),
        ("lying", index(itself).to_string(), 1, "should be sha256:000"),
        ("long", " ".repeat(5 << 20), 1, "longer than"),
        ("without", index(json!([])).to_string(), 3, "no image to look at"),
        ("program", with(json!([])).to_string(), 3, "no program was found"),
    ];
    let answers: Vec<_> = cases.iter().map(|(name, text, ..)| ((*name).to_owned(), text.clone())).collect();
    let server = support::files(move |path| {
        let (_, name) = path.rsplit_once('/')?;
        match name {
            "" => Some(b"{}".to_vec()),
            name if name == own_digest => Some(config.clone()),
            name if name == zeros && path.contains("/manifests/") => Some(b"{}".to_vec()),
            name => answers.iter().find(|(one, _)| one == name).map(|(_, text)| text.clone().into_bytes()),
        }
    });
    let hello = Hello::new();
    let fact = "{\"schema\":\"xtask.advisories/1\",\"source\":\"a test\",\"date\":\"2026-08-21\",\"advisories\":1}\n\
        {\"id\":\"RUSTSEC-2021-0001\",\"package\":\"none\",\"date\":\"2021-01-01\"}\n";
    hello.write("xtask/advisories.jsonl", fact);
    for (name, _, code, expected) in cases {
        let started = Instant::now();
        let mut command = hello.command();
        let image = format!("{server}/hostile/image:{name}");
        command.env_remove("CI").args(["scan", "--engine", "builtin", "--json", "--image", &image]);
        let ran = Ran::of(&mut command).code(code).says(expected);
        assert!(ran.stderr.contains("hostile/image") || code == 3, "it says where: {}", ran.stderr);
        assert_eq!(ran.json()["passes"], false, "{name}");
        assert!(started.elapsed() < Duration::from_secs(20), "{name}: {:?}", started.elapsed());
    }
}
