//! Refusals of `cargo xtask image`, and inputs that must not change its result.

use crate::support;

use std::fs;
use std::process::Command;

use support::{Hello, Image, Ran, have_targets};

const NATIVE: [&str; 3] = ["image", "--engine", "native"];

fn plan(hello: &Hello, more: &[&str]) -> Ran {
    hello.run(&[&["image", "--dry-run"], more].concat())
}

#[test]
fn wrong_flags_and_settings_are_reported_before_the_build() {
    let hello = Hello::new();
    hello.commit();
    let head = "package = \"hello\"\n";
    for (settings, says) in [
        ("platforms = []", "xtask/image.toml:2:13: platforms must name at least one"),
        ("repository = \"ghcr.io/a b/c\"", "xtask/image.toml:2:14"),
        ("repository = \"ghcr.io/a/b:1\"", "a name without tag or digest"),
        ("[container]\nentrypoint = []", "entrypoint must name at least one"),
        ("[container]\nenv = { \"A=B\" = \"\" }", "'A=B' is not a name of an environment variable"),
        (
            "[container.healthcheck]\ncommand = [\"x\"]\ninterval = 99999999999",
            "interval must be from 1 to 86400",
        ),
        ("[container.healthcheck]\ncommand = []", "command must name at least one"),
        ("[buildx]\nnetwork = \"hots\"", "network 'hots' is not one of default, none, host"),
        ("[[files]]\nsource = \"/etc/hostname\"\ntarget = \"/x\"", "inside the workspace"),
        ("[[files]]\nsource = \"nothing\"\ntarget = \"/x\"", "files: source = \"nothing\""),
        ("[[files]]\nsource = \"Cargo.toml\"\ntarget = \"/usr/bin\"", "conflicts with the binary"),
        ("[[files]]\nsource = \"Cargo.toml\"\ntarget = \"/usr/bin/hello\"", "conflicts with the binary"),
        ("[container]\npath = \"/\"", "names no file"),
        ("[container]\nstop-signal = \"term\"", "'term' is no signal"),
        ("[container]\nvolumes = [\"data\"]", "path 'data' must be absolute"),
        ("base = \"debian:12\"\n[container]\ntmp = true", "tmp is for base = \"scratch\""),
        (
            "[container]\nca-certificates = true\n[[files]]\nsource = \"Cargo.toml\"\n\
             target = \"/etc/ssl/certs/ca-certificates.crt\"",
            "/etc/ssl/certs/ca-certificates.crt conflicts with the file of [container]",
        ),
        ("[container]\ntmp = true\npath = \"/tmp/hello\"", "/tmp conflicts with the binary /tmp/hello"),
        ("binary = \"helo\"", "no binary 'helo'"),
    ] {
        hello.write("xtask/image.toml", &format!("{head}{settings}\n"));
        plan(&hello, &[]).code(2).says(says);
    }
    hello.write("xtask/image.toml", head);
    fs::write(hello.path().join("plain"), "").unwrap();
    hello.write("layout/oci-layout", "{}");
    for (flags, says) in [
        (&["--archive", "nowhere/x.tar"][..], "its folder does not exist"),
        (&["--output", "layout/sub"], "lies in the image layout"),
        (&["--archive", "layout/x.tar"], "lies in the image layout"),
        (&["--archive", "/dev/null"], "not a plain file"),
        (&["--archive", "hello"], "this is a folder"),
        (&["--output", "plain"], "this is not a folder"),
        (&["--output", "."], "is not an image layout"),
        (&["--base", "./nowhere"], "not an OCI image layout"),
        (&["--pin"], "the base image is not in a registry"),
        (&["--build-context", "rust"], "is not NAME=VALUE"),
        (&["--engine", "native", "--builder", "x"], "--builder is for docker buildx"),
        (&["--network", "hots"], "hots"),
        (&["--platform", "linux/s390x"], "linux/amd64 and linux/arm64 can be built"),
    ] {
        // Where Docker answers and where it does not, the like is refused.
        let says_so = plan(&hello, flags);
        assert!(matches!(says_so.code, Some(1 | 2)), "{flags:?}: {says_so:?}");
        says_so.says(says);
    }
    let secret = plan(&hello, &["--secret", "id=x,value=S3CR3T"]).code(2);
    assert!(!secret.stderr.contains("S3CR3T"), "{}", secret.stderr);
    assert!(!hello.path().join("target").exists(), "nothing was made");
}

#[test]
fn a_device_named_as_archive_stays_a_device() {
    let hello = Hello::new();
    hello.run(&[&NATIVE[..], &["--archive", "/dev/null"]].concat()).code(2);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn settings_of_a_persons_git_do_not_get_into_the_image() {
    let hello = Hello::new();
    hello.commit();
    hello.git(&["tag", "v1.0.0"]);
    hello.git(&["tag", "v1"]);
    hello.git(&["config", "log.showSignature", "true"]);
    hello.git(&["config", "log.date", "relative"]);
    let plan = hello.run(&["image", "--engine", "native", "--dry-run", "--json"]).code(0).json();
    assert!(plan.to_string().contains("SOURCE_DATE_EPOCH\":\"1709210096\""), "{plan}");
}

#[test]
fn a_report_without_git_lists_the_missing_data() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    let ran = hello.run(&[&NATIVE[..], &["--json"]].concat()).code(0).says("there is no git repository here");
    assert_eq!(ran.json()["notes"].as_array().unwrap().len(), 1);
    // A repository that git refuses is an error: the digest would change in silence.
    fs::create_dir(hello.path().join(".git")).unwrap();
    hello.run(&NATIVE).code(1).says("git refuses to read this repository");
}

#[test]
fn a_missing_lock_file_is_reported_with_a_hint() {
    let hello = Hello::new();
    fs::remove_file(hello.path().join("Cargo.lock")).unwrap();
    hello.run(&NATIVE).code(2).says("cargo generate-lockfile");
}

#[test]
fn the_environment_does_not_change_the_bytes() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    // A crate that a flag would bring in, and code with a path in it that a build script has written.
    let package = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.3.0\"\nedition = \"2024\"\n{more}")
    };
    hello.write("Cargo.toml", "[workspace]\nmembers = [\"hello\", \"extra\"]\nresolver = \"3\"\n");
    hello.write("extra/Cargo.toml", &package("extra", ""));
    hello.write("extra/src/lib.rs", "");
    let extra = "[target.'cfg(foo)'.dependencies]\nextra = { path = \"../extra\" }\n";
    hello.write("hello/Cargo.toml", &package("hello", extra));
    hello.write(
        "hello/build.rs",
        "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
         std::fs::write(out + \"/gen.rs\", \"fn get(n: usize) -> u8 { [1, 2][n] }\").unwrap();\n}\n",
    );
    hello.write(
        "hello/src/main.rs",
        "include!(concat!(env!(\"OUT_DIR\"), \"/gen.rs\"));\n\
         fn main() { println!(\"{}\", get(std::env::args().count())); }\n",
    );
    let lock = "version = 4\n\n[[package]]\nname = \"extra\"\nversion = \"0.3.0\"\n\n\
                [[package]]\nname = \"hello\"\nversion = \"0.3.0\"\ndependencies = [\n \"extra\",\n]\n";
    hello.write("Cargo.lock", lock);
    hello.commit();
    let elsewhere = tempfile::tempdir().unwrap();
    let digest = |settings: &[(&str, &str)]| {
        let mut command = hello.command();
        command.args(NATIVE).arg("--json").envs(settings.iter().copied());
        fs::remove_dir_all(hello.path().join("target")).ok();
        Ran::of(&mut command).code(0).json()["digest"].clone()
    };
    let plain = digest(&[]);
    for settings in [
        &[("RUSTFLAGS", "-Copt-level=0"), ("CARGO_ENCODED_RUSTFLAGS", "-Cdebuginfo=2")][..],
        &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"), ("CARGO_INCREMENTAL", "1"), ("RUSTC_BOOTSTRAP", "1")],
        &[
            ("TZ", "Asia/Kathmandu"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("CARGO_BUILD_TARGET", "wasm32-unknown-unknown"),
        ],
        &[("RUSTFLAGS", "--cfg foo")],
        &[("CARGO_BUILD_RUSTFLAGS", "--cfg foo")],
        &[("CARGO_BUILD_BUILD_DIR", elsewhere.path().to_str().unwrap())],
        // The last one: it leaves a folder in the workspace.
        &[("CARGO_HOME", "cargo-home")],
    ] {
        assert_eq!(digest(settings), plain, "{settings:?}");
    }
}

#[test]
fn a_foreign_layout_is_not_removed() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.run(&NATIVE).code(0);
    let index = hello.layout().join("index.json");
    fs::remove_file(hello.layout().join(".xtask.json")).unwrap();
    hello.run(&NATIVE).code(2).says("made by another program");
    // One that only lost its index is taken up again.
    fs::remove_file(&index).unwrap();
    fs::remove_file(hello.layout().join("oci-layout")).unwrap();
    hello.run(&NATIVE).code(0);
    Image::read(&hello.layout());
}

#[test]
fn a_blob_that_went_bad_is_written_again() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.commit();
    hello.run(&NATIVE).code(0);
    let blobs: Vec<_> = fs::read_dir(hello.layout().join("blobs/sha256")).unwrap().flatten().collect();
    for blob in blobs {
        let mut bytes = fs::read(blob.path()).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(blob.path(), bytes).unwrap();
    }
    hello.run(&NATIVE).code(0);
    Image::read(&hello.layout());
}

#[test]
fn files_of_a_killed_run_are_removed_by_the_next_even_if_it_fails() {
    let hello = Hello::new();
    hello.commit();
    let blobs = hello.layout().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(".partial-1-0"), "left behind").unwrap();
    hello.write("hello/src/main.rs", "fn main() { no }");
    hello.run(&NATIVE).code(1);
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 0);
}

#[test]
fn a_base_whose_blob_is_a_device_or_too_long_is_refused() {
    if !have_targets() || !cfg!(target_os = "linux") {
        return;
    }
    let below = Hello::new();
    below.commit();
    below.run(&NATIVE).code(0);
    let image = Image::read(&below.layout());
    let layer = image
        .manifest(std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64").as_str());
    let hex = layer["layers"][0]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let path = below.layout().join("blobs/sha256").join(hex);
    let hello = Hello::new();
    hello.commit();
    let base = below.layout().display().to_string();
    let run = || hello.run(&[&NATIVE[..], &["--base", &base]].concat());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
    run().code(1).says("the bytes are");
    fs::remove_file(&path).unwrap();
    assert!(Command::new("ln").args(["-s", "/dev/zero"]).arg(&path).status().unwrap().success());
    run().code(1).says("the base image has no such blob");
}

#[test]
fn verify_copies_links_and_a_lock_file_that_git_ignores() {
    if !have_targets() || !cfg!(unix) {
        return;
    }
    let hello = Hello::new();
    hello.write(".gitignore", "/target\nCargo.lock\n");
    hello.write("shared/text", "linked");
    assert!(
        Command::new("ln")
            .args(["-s", "../shared", "hello/shared"])
            .current_dir(hello.path())
            .status()
            .unwrap()
            .success()
    );
    hello.write("hello/src/main.rs", "fn main() { println!(\"{}\", include_str!(\"../shared/text\")); }\n");
    hello.commit();
    hello.run(&[&NATIVE[..], &["--verify"]].concat()).code(0).says("the same bytes from another folder");
}

#[test]
fn init_keeps_existing_settings_with_a_message() {
    let hello = Hello::new();
    hello.commit();
    let ran = hello.run(&["init", "--package", "nope"]).code(2);
    ran.says("--package is 'nope', but the settings have 'hello'").says("xtask/image.toml");
    hello.run(&["init", "--repository", "ghcr.io/o/a"]).code(2).says("the settings have none");
    hello.run(&["init", "--package", "hello", "--dry-run"]).code(0);
}

#[test]
fn init_writes_no_alias_that_would_become_a_package() {
    let hello = Hello::new();
    let manifest =
        |exclude: &str| format!("[workspace]\nmembers = ['*']\nexclude = [{exclude}]\nresolver = '3'\n");
    hello.write("Cargo.toml", &manifest("'xtask', 'target'"));
    hello.run(&["init"]).code(0).says("exclude .cargo there").says("cargo image in place of cargo xtask");
    hello.run(&["image", "--dry-run"]).code(0);
    hello.write("Cargo.toml", &manifest("'xtask', 'target', '.cargo'"));
    hello.run(&["init"]).code(0).says("xtask = \"image\"");
    hello.run(&["image", "--dry-run"]).code(0);
}
