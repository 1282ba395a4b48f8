//! `cargo xtask scan` on images in a registry that is nobody's friend: each ends soon, with a reason, and
//! never as a pass.

use crate::support;

use std::io::BufRead as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Hello, Ran, have_targets, published};

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
        ("garbage", "<html>".to_owned(), 3, "not a JSON object"),
        ("empty", json!({ "mediaType": MANIFEST }).to_string(), 3, "missing field `schemaVersion`"),
        ("nothing", with(json!(7)).to_string(), 3, "invalid type"),
        ("negative", layer(&zeros, -1).to_string(), 3, "expected u64"),
        ("digest", layer("sha256:zz", 1).to_string(), 3, "is not a digest"),
        ("missing", layer(&zeros, 5).to_string(), 3, "lacks a part of the image"),
        ("short", layer(&own_digest, 5).to_string(), 3, "the manifest says 5 bytes"),
        ("endless", layer(&own_digest, 1 << 60).to_string(), 3, "over the limit of 17179869184"),
        ("lying", index(itself).to_string(), 3, "should be sha256:000"),
        ("long", " ".repeat(5 << 20), 3, "longer than"),
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
    hello.write("xtask/advisories.jsonl", &support::one_fact());
    for (name, _, code, expected) in cases {
        let started = Instant::now();
        let mut command = hello.command();
        let image = format!("{server}/hostile/image:{name}");
        command.args(["scan", "--engine", "builtin", "--json", "--image", &image]);
        let ran = Ran::of(&mut command).code(code).says(expected);
        assert!(ran.stderr.contains("hostile/image") || code == 3, "it says where: {}", ran.stderr);
        assert_eq!(ran.json()["passes"], false, "{name}");
        assert!(started.elapsed() < Duration::from_secs(20), "{name}: {:?}", started.elapsed());
    }
}

#[test]
fn what_a_registry_lost_does_not_pass_from_an_earlier_scan() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", "package = 'hello'\n[container.healthcheck]\ncommand = ['/usr/bin/hello']\n[scan]\nmax-age = 36500\nmin-advisories = 1\n");
    hello.write("xtask/advisories.jsonl", &support::one_fact());
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    let image = support::Image::read(&hello.layout());
    let layer = image.manifest("amd64")["layers"][0]["digest"].as_str().unwrap().to_owned();
    let (gone, blobs) = (Arc::new(AtomicBool::new(false)), hello.layout().join("blobs/sha256"));
    let (lost, top) = (Arc::clone(&gone), hello.layout().join("index.json"));
    let server = support::files(move |path| {
        let name = path.rsplit('/').next()?;
        match name.strip_prefix("sha256:") {
            Some(_) if name == layer && lost.load(Ordering::Relaxed) => None,
            Some(hex) => std::fs::read(blobs.join(hex)).ok(),
            None if name == "one" => std::fs::read(&top).ok(),
            None => Some(b"{}".to_vec()),
        }
    });
    let scan = || {
        let mut command = hello.command();
        let image = format!("{server}/some/image:one");
        command.args(["scan", "--engine", "builtin", "--image", &image]);
        Ran::of(&mut command)
    };
    scan().code(0);
    gone.store(true, Ordering::Relaxed);
    scan().code(3).says("the registry lacks a part of the image");
}

#[test]
fn what_is_no_image_is_told_alike_wherever_it_is() {
    let hello = Hello::new();
    hello.write("xtask/advisories.jsonl", &support::one_fact());
    hello.write("folder/x", "");
    hello.write("garbage.tar", "nothing");
    for (args, code, expected) in [
        (&["scan", "--engine", "builtin", "--image", "folder"][..], 3, "not an OCI image layout"),
        (&["scan", "--engine", "builtin", "--image", "garbage.tar"], 3, "the image cannot be looked at"),
        (&["sbom", "--image", "folder"], 3, "not an OCI image layout"),
        (&["sbom", "--image", "garbage.tar"], 3, "the image cannot be looked at"),
        (&["scan"], 2, "there is no image yet"),
        (&["sbom"], 2, "there is no image yet"),
        (&["scan", "--engine", "builtin", "--image", "localhost:1/a/b"], 1, "localhost:1"),
    ] {
        let mut command = hello.command();
        Ran::of(command.args(args)).code(code).says(expected);
    }
}

#[test]
fn whoever_waits_is_told_for_whom() {
    let hello = Hello::new();
    hello.write("xtask/advisories.jsonl", &support::one_fact());
    // Nobody takes up this connection's question.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/a/b:c", silent.local_addr().unwrap());
    let command = || {
        let mut command = hello.command();
        command.args(["scan", "--engine", "builtin", "--image"]);
        command
    };
    let mut first = command().arg(image).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let lock = hello.path().join("target/xtask/.scan.lock");
    while !std::fs::read_to_string(&lock).is_ok_and(|text| text.contains("cargo xtask scan")) {
        assert!(first.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut second = command().arg(".").stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut errors = std::io::BufReader::new(second.stderr.take().unwrap());
    while !said.contains("waiting for it to end") {
        assert!(errors.read_line(&mut said).unwrap() > 0, "{said}");
    }
    assert!(said.contains(&format!("process {}, cargo xtask scan", first.id())), "{said}");
    first.kill().unwrap();
    first.wait().unwrap();
    second.wait().unwrap();
}
