//! The environment of the one who calls changes neither an image nor what is said of one.

use crate::support;

use serde_json::{Value, json};

use support::live::Live;
use support::published::{Workshop, check, signing};
use support::{Hello, Image, Ran, facts, have_targets, in_days};

/// Variables that change what cargo, git, cosign, Trivy and Docker print, look at or make, or how.
const HOSTILE: [(&str, &str); 64] = [
    ("CARGO_ALIAS_TREE", "version"),
    ("CARGO_BUILD_RUSTFLAGS", "--cfg hostile -Cdebuginfo=2"),
    ("CARGO_BUILD_TARGET", "no-such-target"),
    ("CARGO_ENCODED_RUSTFLAGS", "--cfg=hostile\u{1f}-Cdebuginfo=2"),
    ("CARGO_LOG", "trace"),
    ("CARGO_MANIFEST_DIR", "/nowhere"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "--cfg hostile"),
    ("CARGO_TERM_COLOR", "always"),
    ("CARGO_TERM_PROGRESS_WHEN", "never"),
    ("CARGO_TERM_VERBOSE", "true"),
    ("CARGO_UNSTABLE_BUILD_STD", "std"),
    ("__CARGO_DEFAULT_LIB_METADATA", "hostile"),
    ("RUSTC_FORCE_RUSTC_VERSION", "1.2.3"),
    ("RUSTFLAGS", "--cfg hostile -Cdebuginfo=2"),
    ("RUSTUP_TERM_COLOR", "always"),
    ("CLICOLOR", "1"),
    ("CLICOLOR_FORCE", "1"),
    ("COLORTERM", "truecolor"),
    ("FORCE_COLOR", "3"),
    ("LANG", "de_DE.UTF-8"),
    ("LANGUAGE", "de"),
    ("LC_ALL", "tr_TR.ISO-8859-9"),
    ("LC_MESSAGES", "de_DE.UTF-8"),
    ("TZ", "Pacific/Kiritimati"),
    ("TERM", "xterm-256color"),
    ("PAGER", "false"),
    ("GIT_PAGER", "false"),
    ("LESS", "-X"),
    ("GIT_CEILING_DIRECTORIES", "/"),
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", "color.ui"),
    ("GIT_CONFIG_VALUE_0", "always"),
    ("GIT_CONFIG_KEY_1", "log.showSignature"),
    ("GIT_CONFIG_VALUE_1", "true"),
    ("GIT_DIR", "/nowhere"),
    ("GIT_INDEX_FILE", "/nowhere/index"),
    ("GIT_NAMESPACE", "hostile"),
    ("GIT_TRACE", "1"),
    ("GIT_TRACE_SETUP", "1"),
    ("GIT_WORK_TREE", "/nowhere"),
    ("COSIGN_CHECK_CLAIMS", "false"),
    ("COSIGN_CERTIFICATE_IDENTITY", "somebody"),
    ("COSIGN_EXPERIMENTAL", "1"),
    ("COSIGN_NEW_BUNDLE_FORMAT", "false"),
    ("COSIGN_OUTPUT", "text"),
    ("COSIGN_OUTPUT_FILE", "/nowhere/file"),
    ("COSIGN_REPOSITORY", "localhost:1/elsewhere"),
    ("COSIGN_TIMEOUT", "1ns"),
    ("SIGSTORE_ROOT_FILE", "/nowhere"),
    ("TUF_MIRROR", "http://127.0.0.1:1"),
    ("TUF_ROOT_JSON", "/nowhere"),
    ("TRIVY_CONFIG", "/nowhere"),
    ("TRIVY_FORMAT", "table"),
    ("TRIVY_IGNORE_UNFIXED", "true"),
    ("TRIVY_QUIET", "false"),
    ("TRIVY_SEVERITY", "LOW"),
    ("TRIVY_SKIP_FILES", "**/*"),
    ("DOCKER_CONTENT_TRUST", "1"),
    ("DOCKER_DEFAULT_PLATFORM", "windows/amd64"),
    ("DOCKER_HIDE_LEGACY_COMMANDS", "1"),
    ("BUILDX_GIT_LABELS", "full"),
    ("BUILDKIT_PROGRESS", "tty"),
];

fn hostile(hello: &Hello, args: &[&str]) -> Ran {
    Ran::of(hello.command().args(args).envs(HOSTILE))
}

/// A workspace with crates of crates.io's, which lie in a folder of its own. One of them is reached in two ways,
/// so that cargo marks what it lists twice; and its configuration wants colours.
fn diamond() -> Hello {
    let hello = Hello::new();
    let hex = "0".repeat(64);
    let mut lock = "version = 4\n".to_owned();
    for (name, below) in [
        ("base", &["bottom"][..]),
        ("bottom", &[]),
        ("hello", &["left", "right"]),
        ("left", &["base"]),
        ("right", &["base"]),
    ] {
        lock += &format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.3.0\"\n");
        let needs: Vec<_> = below.iter().map(|one| format!("{one} = \"0.3\"\n")).collect();
        let needs = needs.concat();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.3.0\"\nedition = \"2024\"\nlicense = \"MIT\"\n[dependencies]\n{needs}"
        );
        if name == "hello" {
            hello.write("hello/Cargo.toml", &manifest);
        } else {
            hello.write(&format!("vendor/{name}/Cargo.toml"), &manifest);
            hello.write(&format!("vendor/{name}/src/lib.rs"), "");
            let sums = json!({ "files": {}, "package": hex });
            hello.write(&format!("vendor/{name}/.cargo-checksum.json"), &sums.to_string());
            lock += "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
            lock += &format!("checksum = \"{hex}\"\n");
        }
        let quoted: Vec<_> = below.iter().map(|one| format!(" \"{one}\",\n")).collect();
        if !below.is_empty() {
            lock += &format!("dependencies = [\n{}]\n", quoted.concat());
        }
    }
    hello.write("Cargo.lock", &lock);
    hello.write("hello/src/main.rs", "fn main() { println!(\"{}\", cfg!(hostile)); }\n");
    hello.write(
        ".cargo/config.toml",
        "[source.crates-io]\nreplace-with = \"vendor\"\n[source.vendor]\ndirectory = \"vendor\"\n[term]\ncolor = \"always\"\n",
    );
    hello.write(
        "xtask/image.toml",
        "package = \"hello\"\n[container.healthcheck]\ncommand = [\"/usr/bin/hello\"]\n[scan]\nmin-advisories = 1\nlicences = [\"MIT\"]\n",
    );
    let today = in_days(0);
    let one = json!({ "id": "RUSTSEC-2021-0001", "package": "none", "date": today }).to_string();
    hello.write("xtask/advisories.jsonl", &facts(&today, &[&one]));
    hello.commit();
    hello
}

#[test]
fn image_and_scan_are_the_same_in_any_environment() {
    if !have_targets() {
        return;
    }
    let hello = diamond();
    let image = ["image", "--engine", "native", "--platform", "all", "--json"];
    let scan = ["scan", "--engine", "builtin", "--json"];
    let digest = hello.run(&image).code(0).json()["digest"].clone();
    // Durations differ between runs.
    let said = |ran: Ran| {
        let mut report = ran.code(0).json();
        for step in report["steps"].as_array_mut().unwrap() {
            step["seconds"] = Value::Null;
        }
        for platform in report["platforms"].as_array_mut().unwrap() {
            platform["seconds"] = Value::Null;
            assert_eq!(platform["crates"], 5, "{platform}");
        }
        report["time"] = Value::Null;
        report
    };
    let report = said(hello.run(&scan));
    std::fs::remove_dir_all(hello.path().join("target")).unwrap();
    let ran = hostile(&hello, &image).code(0);
    assert_eq!(ran.json()["digest"], digest, "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    assert_eq!(Image::read(&hello.layout()).digest(), digest.as_str().unwrap());
    assert_eq!(said(hostile(&hello, &scan)), report);
    let again = hello.run(&image).code(0);
    assert_eq!(again.json()["digest"], digest, "what was left in cargo's folder is the same too");
}

#[test]
fn a_signature_is_made_and_found_in_any_environment() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(3);
    if !workshop.key_pair() {
        return;
    }
    let repository = format!("{}/owner/app", live.registry());
    let publish = ["publish", "--json", "--repository", &repository, "--tag", "1.0.0"];
    let verify = ["verify", "--json", &format!("{repository}:1.0.0"), "--key", "cosign.pub"];
    let mut run = signing(workshop.command(&publish));
    Ran::of(run.envs(HOSTILE)).code(0);
    for variables in [&[][..], &HOSTILE] {
        let mut run = workshop.command(&verify);
        let report = Ran::of(run.envs(variables.iter().copied())).code(0).json();
        assert_eq!(check(&report, "signature").0, "ok", "{report:#}");
    }
    // Asking whether it is signed already reads cosign's answer too.
    let mut run = signing(workshop.command(&publish));
    Ran::of(run.envs(HOSTILE)).code(0).says("already signed with this key");
}
