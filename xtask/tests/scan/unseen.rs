//! Images and advisories that cannot be read as a whole.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::json;

use crate::control::{SETTINGS, control, scan};
use crate::support::published::digest;
use crate::support::{Image, Ran, copy, forge, path_without};

/// A change of a program's bytes and mode.
pub type Change = fn(&mut Vec<u8>, &mut u32);

#[test]
fn an_incompletely_scanned_image_does_not_pass() {
    let Some(good) = &control(true) else { return };
    let kept = good.path().join("kept");
    copy(&good.layout(), &kept);
    let without_section: Change = |elf, _| {
        let at = elf.windows(8).position(|bytes| bytes == b".dep-v0\0").unwrap();
        elf[at + 1] = b'x';
    };
    let without_bit: Change = |_, mode| *mode = 0o644;
    let cases = [(without_section, "no section .dep-v0"), (without_bit, "no executable bit")];
    for (change, expected) in cases {
        rewrite(&good.layout(), change);
        scan(good, &[]).code(3).says(expected);
        fs::remove_dir_all(good.layout()).unwrap();
        copy(&kept, &good.layout());
    }
    // A platform is missing.
    let path = good.layout().join("index.json");
    let mut image = Image::read(&good.layout());
    let entries = image.entries();
    image.index["manifests"] =
        entries.into_iter().filter(|entry| entry["platform"]["architecture"] == "amd64").collect();
    fs::write(&path, image.index.to_string()).unwrap();
    scan(good, &["--platform", "all"]).code(3).says("nothing for linux/arm64");
    scan(good, &["--platform", "linux/amd64"]).code(0);
    // The scan passes without --platform, and warns that `publish` will not.
    scan(good, &[]).code(0).says("nothing for linux/arm64, which publish requires");
    fs::copy(kept.join("index.json"), &path).unwrap();
    // A truncated blob.
    let image = Image::read(&good.layout());
    let layer = image.manifest("arm64")["layers"][0]["digest"].as_str().unwrap()[7..].to_owned();
    let blob = good.layout().join("blobs/sha256").join(&layer);
    let bytes = fs::read(&blob).unwrap();
    fs::write(&blob, &bytes[..bytes.len() / 2]).unwrap();
    scan(good, &[]).code(3).says("linux/arm64 layer 1 of 1");
    fs::write(&blob, bytes).unwrap();
    // Advisories that are too old, truncated, or missing.
    good.write("xtask/image.toml", &SETTINGS.replace("36500", "3"));
    scan(good, &[]).code(3).says("days old; the limit is 3 days");
    good.write("xtask/image.toml", SETTINGS);
    let facts = good.path().join("xtask/advisories.jsonl");
    let text = fs::read_to_string(&facts).unwrap();
    fs::write(&facts, text.lines().take(500).collect::<Vec<_>>().join("\n")).unwrap();
    scan(good, &[]).code(3).says("advisories, the file has 499");
    fs::remove_file(&facts).unwrap();
    // Those of the program are there.
    scan(good, &[]).code(0);
    fs::write(&facts, text).unwrap();
    scan(good, &[]).code(0);
    // In CI Trivy is required for an image with a base image.
    let in_ci = || {
        let mut command = good.command();
        command.env("CI", "true").env("PATH", path_without("trivy"));
        Ran::of(command.args(["scan", "--offline"]))
    };
    in_ci().code(0);
    good.write("xtask/image.toml", &format!("base = 'debian:12'\n{SETTINGS}"));
    in_ci().code(3).says("Trivy is required here");
    good.write("xtask/image.toml", SETTINGS);
}

/// Changes the binary for amd64, and all digests.
pub fn rewrite(layout: &Path, change: Change) {
    let image = Image::read(layout);
    let mut manifest = image.manifest("amd64");
    let last = manifest["layers"].as_array().unwrap().len() - 1;
    let blob = image.blob(&manifest["layers"][last]["digest"]);
    let mut tar = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(&blob[..])).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mut header) = (entry.path().unwrap().into_owned(), entry.header().clone());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if header.entry_type().is_file() {
            let mut mode = header.mode().unwrap();
            change(&mut bytes, &mut mode);
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
        }
        tar.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut gzip = flate2::read::GzEncoder::new(&tar[..], flate2::Compression::fast());
    let mut packed = Vec::new();
    gzip.read_to_end(&mut packed).unwrap();
    let mut config = image.config("amd64");
    config["rootfs"]["diff_ids"][last] = json!(digest(&tar));
    forge::put(layout, &mut manifest["layers"][last], &packed);
    forge::put(layout, &mut manifest["config"], config.to_string().as_bytes());
    let mut index = image.index.clone();
    let mut entries = image.entries();
    let entry = entries.iter_mut().find(|entry| entry["platform"]["architecture"] == "amd64").unwrap();
    forge::put(layout, entry, manifest.to_string().as_bytes());
    index["manifests"] = entries.into();
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}
