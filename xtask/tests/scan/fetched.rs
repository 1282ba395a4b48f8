//! A downloaded Trivy.

use std::io::Read as _;

use crate::control::{SETTINGS, facts};
use crate::support::published::digest;
use crate::support::{self, Hello, Ran, have_targets, path_without};

#[cfg(unix)]
#[test]
fn a_download_with_another_digest_is_not_run() {
    let hello = Hello::new();
    if !have_targets() {
        return;
    }
    hello.write("xtask/advisories.jsonl", &facts());
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    let program = b"#!/bin/sh\necho '{\"SchemaVersion\":2}'\n";
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(program.len() as u64);
    tar.append_data(&mut header, "trivy", &program[..]).unwrap();
    let mut archive = Vec::new();
    let tar = tar.into_inner().unwrap();
    flate2::read::GzEncoder::new(&tar[..], flate2::Compression::fast()).read_to_end(&mut archive).unwrap();
    let body = archive.clone();
    let server = support::files(move |_| Some(body.clone()));
    let scan = |sha256: &str| {
        let machine = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let pin = format!(
            "[scan.trivy]\nversion = '0.74.0'\nurl = 'http://{server}/trivy_{{version}}_{{machine}}.tar.gz'\n\
             sha256 = {{ {machine} = '{sha256}' }}\n"
        );
        hello.write("xtask/image.toml", &format!("{SETTINGS}{pin}"));
        let mut command = hello.command();
        command.env("PATH", path_without("trivy"));
        Ran::of(command.args(["scan", "--engine", "trivy"])).code(3)
    };
    scan(&"0".repeat(64)).says("but the settings pin");
    assert!(!hello.path().join("target/xtask/tools").exists(), "the wrong download is not kept");
    // The right one is run, but does not scan the image.
    scan(&digest(&archive)[7..]).says("downloads it once, by its digest").says("scanned another image");
    scan(&digest(&archive)[7..]).says("already downloaded");
}
