//! `cargo xtask assets`: the files of a release, made of a real image.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::github::{Github, TOKEN};
use crate::support::published::{Workshop, digest, signing};
use crate::support::{Hello, Image, Ran, facts, have, have_targets, in_days};

const TARGETS: [(&str, &str); 2] =
    [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")];

/// A scanned image of version 0.3.0 for both platforms.
fn released() -> Workshop {
    let hello = Hello::new();
    hello.write(".gitignore", "/target\ncosign.*\n");
    hello.write("LICENSE", "MIT\n");
    hello.write("hello.1", ".TH hello 1\n");
    let files = [("LICENSE", "doc/hello/LICENSE"), ("hello.1", "man/man1/hello.1")];
    let files = files
        .map(|(source, target)| format!("[[files]]\nsource = '{source}'\ntarget = '/usr/share/{target}'\n"));
    hello.write("xtask/image.toml", &format!("package = 'hello'\n{}", files.concat()));
    let today = in_days(0);
    let line =
        |number| format!(r#"{{"id":"RUSTSEC-2021-{number:04}","package":"none-{number}","date":"{today}"}}"#);
    let lines: Vec<String> = (1..=500).map(line).collect();
    hello.write(
        "xtask/advisories.jsonl",
        &facts(&today, &lines.iter().map(String::as_str).collect::<Vec<_>>()),
    );
    hello.commit();
    hello.git(&["tag", "v0.3.0"]);
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    Workshop { hello, digest: String::new() }
}

fn scan(workshop: &Workshop) {
    workshop.run(&["scan", "--engine", "builtin"]).code(0);
    workshop.run(&["sbom"]).code(0);
}

fn shell(dir: &Path, line: &str) -> String {
    let output = Command::new("bash").args(["-c", line]).current_dir(dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The bytes of a file in the only or the last layer of a platform that has it, read without our code.
fn in_image(layout: &Path, arch: &str, path: &str) -> Vec<u8> {
    use std::io::Read as _;
    let image = Image::read(layout);
    let entry = image.entries().into_iter().find(|entry| entry["platform"]["architecture"] == arch).unwrap();
    let blob = |digest: &serde_json::Value| layout.join("blobs/sha256").join(&digest.as_str().unwrap()[7..]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(blob(&entry["digest"])).unwrap()).unwrap();
    let mut found = None;
    for layer in manifest["layers"].as_array().unwrap() {
        let gzip = flate2::read::GzDecoder::new(fs::File::open(blob(&layer["digest"])).unwrap());
        for file in tar::Archive::new(gzip).entries().unwrap() {
            let mut file = file.unwrap();
            if file.path().unwrap() == Path::new(path) {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                found = Some(bytes);
            }
        }
    }
    found.unwrap()
}

#[test]
fn the_files_of_a_release_are_those_of_the_image() {
    if !have_targets() {
        return;
    }
    let workshop = released();
    workshop.run(&["assets"]).code(3).says("has not been scanned");
    workshop.run(&["scan", "--engine", "builtin"]).code(0);
    workshop
        .run(&["assets"])
        .code(3)
        .says("no CycloneDX SBOM of this image for linux/amd64")
        .says("cargo xtask sbom");
    workshop.run(&["sbom"]).code(0);
    if !workshop.key_pair() {
        return;
    }
    let make = |args: &[&str]| {
        let mut command = signing(workshop.command(&["assets", "--json"]));
        Ran::of(command.args(args)).code(0).json()
    };
    let report = make(&[]);
    let dir = workshop.hello.path().join("target/assets");
    // As a user checks it.
    assert_eq!(shell(&dir, "sha256sum --check --strict SHA256SUMS").lines().count(), 6);
    let verify = "cosign verify-blob --key ../../cosign.pub --bundle SHA256SUMS.sigstore.json \
         --insecure-ignore-tlog SHA256SUMS";
    shell(&dir, verify);
    for (arch, target) in TARGETS {
        let folder = format!("hello-0.3.0-{target}");
        shell(&dir, &format!("tar xzf {folder}.tar.gz"));
        let binary = fs::read(dir.join(&folder).join("hello")).unwrap();
        assert!(binary == in_image(&workshop.hello.layout(), arch, "usr/bin/hello"), "{arch}");
        assert_eq!(fs::read_to_string(dir.join(&folder).join("LICENSE")).unwrap(), "MIT\n");
        assert!(dir.join(&folder).join("share/man/man1/hello.1").is_file());
        assert_eq!(shell(&dir, &format!("tar tzf {folder}.tar.gz")).lines().count(), 3);
        for ending in ["cdx.json", "spdx.json"] {
            assert!(dir.join(format!("{folder}.{ending}")).is_file());
        }
    }
    if std::env::consts::ARCH == "x86_64" {
        assert!(shell(&dir, "hello-0.3.0-x86_64-unknown-linux-musl/hello").contains("hello from"));
    }
    let steps = report["steps"].as_array().unwrap();
    let compared = steps.iter().find(|step| step["name"] == "compare").unwrap()["outcome"].to_string();
    assert!(compared.contains(&digest(&in_image(&workshop.hello.layout(), "arm64", "usr/bin/hello"))));
    // The same bytes again, elsewhere; a change of a file fails the checks.
    make(&["--output", "target/again"]);
    let sums = fs::read(dir.join("SHA256SUMS")).unwrap();
    assert!(sums == fs::read(workshop.hello.path().join("target/again/SHA256SUMS")).unwrap());
    fs::write(dir.join("SHA256SUMS"), [&sums[..], b"\n"].concat()).unwrap();
    let forged = Command::new("bash").args(["-c", verify]).current_dir(&dir).output().unwrap();
    assert!(!forged.status.success());
    // Without a signer there is no signature of other checksums.
    workshop.run(&["assets", "--sign", "none"]).code(0);
    assert!(!dir.join("SHA256SUMS.sigstore.json").exists());
    // An image of one platform is no release.
    workshop.run(&["image", "--engine", "native", "--platform", "linux/amd64"]).code(0);
    workshop.run(&["assets", "--sign", "none"]).code(3).says("linux/arm64");
}

#[test]
fn a_release_is_published_when_all_files_are_there() {
    if !have_targets() {
        return;
    }
    let workshop = released();
    scan(&workshop);
    if !have("cosign", workshop.key_pair(), "cosign is not on PATH") {
        return;
    }
    let github = Github::start();
    let upload = |args: &[&str]| {
        let mut command = workshop.command(&["assets", "--upload", "--json"]);
        github.job(&mut command);
        let mut command = signing(command);
        let ran = Ran::of(command.args(args));
        assert!(!format!("{ran:?}").contains(TOKEN), "{ran:?}");
        ran
    };
    let states = |report: &serde_json::Value| {
        let assets = report["assets"].as_array().unwrap();
        assets.iter().map(|asset| asset["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let head = shell(workshop.hello.path(), "git rev-parse HEAD").trim().to_owned();
    // The tag must be there, of the image's commit; nothing is made before.
    upload(&[]).code(3).says("GitHub has no tag v0.3.0 in o/r").says("git push origin v0.3.0");
    github.state.lock().unwrap().tags = vec![("v0.3.0".to_owned(), "0".repeat(40))];
    upload(&[]).code(3).says("the image's commit is");
    assert!(github.state.lock().unwrap().releases.is_empty());
    let plan = upload(&["--dry-run"]).code(0).json();
    let steps: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
    let expected = ["gate", "tag", "read", "archives", "compare", "sboms", "checksums", "sign", "upload"];
    assert_eq!(steps, expected);
    // An upload that breaks off leaves a draft, and the next run completes it.
    github.state.lock().unwrap().tags[0].1 = head;
    github.state.lock().unwrap().breaks = true;
    upload(&[]).code(1).says("502");
    assert_eq!(github.state.lock().unwrap().releases[0]["draft"], true);
    let report = upload(&[]).code(0).json();
    assert_eq!(report["release"], "https://github.com/o/r/releases/tag/v0.3.0");
    assert_eq!(states(&report), ["uploaded"; 8]);
    {
        let state = github.state.lock().unwrap();
        let release = &state.releases[0];
        assert_eq!((state.releases.len(), release["assets"].as_array().unwrap().len()), (1, 8));
        assert_eq!((&release["draft"], &release["prerelease"]), (&false.into(), &false.into()));
        assert_eq!(release["generate_release_notes"], true);
        for asset in release["assets"].as_array().unwrap() {
            let path = workshop.hello.path().join("target/assets").join(asset["name"].as_str().unwrap());
            assert_eq!(asset["digest"], digest(&fs::read(path).unwrap()).as_str());
        }
        let last = state.requests.last().unwrap();
        assert!(last.starts_with("PATCH "), "published before it was complete: {last}");
    }
    // Another run changes nothing: the signature of the same checksums stays.
    let requests = github.state.lock().unwrap().requests.len();
    assert_eq!(states(&upload(&[]).code(0).json()), ["unchanged"; 8]);
    assert_eq!(github.state.lock().unwrap().requests.len(), requests + 2);
    // Files of a published release do not change.
    github.state.lock().unwrap().releases[0]["assets"][0]["digest"] = "sha256:0".into();
    upload(&[]).code(3).says("the release v0.3.0 is published with another hello-0.3.0-aarch64");
    // Without variables, without a signer.
    let mut alone = workshop.command(&["assets", "--upload", "--sign", "none"]);
    Ran::of(&mut alone).code(2).says("GITHUB_REPOSITORY is not set").says("release.yml");
    let mut unsigned = workshop.command(&["assets", "--upload"]);
    github.job(&mut unsigned);
    Ran::of(&mut unsigned).code(2).says("neither an identity nor COSIGN_KEY");
}
