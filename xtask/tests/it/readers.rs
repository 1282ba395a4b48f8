//! Every reader of image layouts that is here takes ours, of one platform and of two (docs/compatibility.md).

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use support::live::Live;
use support::published::{INDEX, MANIFEST, digest, get};
use support::{Hello, Image, Ran, have_program, have_targets};

const NAME: &str = "docker.io/example/readers:0.3.0";

/// A workspace with a short name of Docker Hub's, its layouts of one platform and of two, each beside its archive
/// (`NAME.tar`) and itself as a tar (`NAME.layout.tar`).
struct Made {
    hello: Hello,
}

const LAYOUTS: [&str; 2] = ["one", "two"];

impl Made {
    fn new() -> Option<Self> {
        if !have_targets() {
            return None;
        }
        let hello = Hello::new();
        hello.write("xtask/image.toml", "package = \"hello\"\nrepository = \"example/readers\"\n");
        let made = Self { hello };
        for (name, platforms) in LAYOUTS.into_iter().zip(["host", "all"]) {
            let archive = made.path(&format!("{name}.tar")).display().to_string();
            let image = ["image", "--engine", "native", "--platform", platforms, "--output", name];
            made.hello.run(&[&image[..], &["--archive", &archive]].concat()).code(0);
            let mut tar =
                tar::Builder::new(fs::File::create(made.path(&format!("{name}.layout.tar"))).unwrap());
            tar.append_dir_all(".", made.path(name)).unwrap();
            tar.finish().unwrap();
        }
        Some(made)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.hello.path().join(name)
    }

    fn digest(&self, name: &str) -> String {
        Image::read(&self.path(name)).digest()
    }
}

#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_layout_has_one_entry_with_its_whole_name_and_nothing_private() {
    let Some(made) = Made::new() else { return };
    for (name, media_type) in LAYOUTS.into_iter().zip([MANIFEST, INDEX]) {
        let text = fs::read_to_string(made.path(name).join("index.json")).unwrap();
        assert!(!text.contains("xtask"), "{text}");
        let index: Value = serde_json::from_str(&text).unwrap();
        assert!(index.get("annotations").is_none(), "{text}");
        let entries = index["manifests"].as_array().unwrap();
        assert_eq!((entries.len(), &entries[0]["mediaType"]), (1, &media_type.into()), "{text}");
        for key in ["org.opencontainers.image.ref.name", "io.containerd.image.name"] {
            assert_eq!(entries[0]["annotations"][key], NAME, "{text}");
        }
    }
}

/// Docker and Podman: the archive, and the layout itself as a tar, under the right name, and both can be run.
fn loads(program: &str, shown: &str) {
    let Some(made) = Made::new() else { return };
    for name in LAYOUTS {
        for tar in [format!("{name}.tar"), format!("{name}.layout.tar")] {
            let loaded = run(program, &["load", "--input", made.path(&tar).to_str().unwrap()]);
            assert_eq!(loaded.trim().rsplit(' ').next().unwrap(), shown, "{program} {tar}: {loaded}");
            let said = run(program, &["run", "--rm", "--pull", "never", shown]);
            assert!(said.starts_with("hello from"), "{program} {tar}: {said}");
            run(program, &["rmi", "--force", shown]);
        }
    }
    // As `cargo xtask image --load` does it.
    if program == "docker" {
        made.hello.run(&["image", "--engine", "native", "--load"]).code(0).says("readers:0.3.0");
        let listed = run("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}", "example/readers"]);
        assert_eq!(listed.trim(), shown);
        let said = run("docker", &["run", "--rm", "--pull", "never", listed.trim()]);
        assert!(said.starts_with("hello from"), "{said}");
        run("docker", &["rmi", "--force", shown]);
    }
}

#[test]
fn docker_loads_and_runs_it() {
    if have_program("docker", "docker", &["info"]) {
        loads("docker", "example/readers:0.3.0");
    }
}

#[test]
fn podman_loads_and_runs_it() {
    if have_program("podman", "podman", &["info"]) {
        loads("podman", NAME);
        let Some(made) = Made::new() else { return };
        for name in LAYOUTS {
            // Podman makes a name of the path, which may have no capitals.
            let mut pull = Command::new("podman");
            pull.args(["pull", "--quiet", &format!("oci:{name}")]).current_dir(made.hello.path());
            let ran = Ran::of(&mut pull).code(0);
            assert!(run("podman", &["run", "--rm", ran.stdout.trim()]).starts_with("hello from"));
            run("podman", &["rmi", "--force", ran.stdout.trim()]);
        }
    }
}

#[test]
fn clients_of_registries_push_the_very_digest() {
    let (Some(live), Some(made)) = (Live::docker(), Made::new()) else { return };
    let registry = live.registry();
    let in_registry = |repository: &str, tag: &str| {
        let (status, body) = get(&registry, &format!("/v2/{repository}/manifests/{tag}"));
        assert_eq!(status, 200, "{repository}:{tag}");
        body
    };
    for name in LAYOUTS {
        let (dir, expected) = (made.path(name).display().to_string(), made.digest(name));
        if have_program("skopeo", "skopeo", &["--version"]) {
            let to = format!("docker://{registry}/readers/skopeo:{name}");
            run(
                "skopeo",
                &["copy", "--all", "--quiet", "--dest-tls-verify=false", &format!("oci:{dir}"), &to],
            );
            assert_eq!(digest(&in_registry("readers/skopeo", name)), expected);
        }
        if have_program("crane", "crane", &["version"]) {
            run("crane", &["push", "--insecure", &dir, &format!("{registry}/readers/crane:{name}")]);
            assert_eq!(digest(&in_registry("readers/crane", name)), expected);
            // This flag pushes index.json itself: what it wraps is the image, and nothing else is in it.
            run(
                "crane",
                &["push", "--insecure", "--index", &dir, &format!("{registry}/readers/index:{name}")],
            );
            let index = in_registry("readers/index", name);
            assert_eq!(index, fs::read(made.path(name).join("index.json")).unwrap());
        }
        if have_program("oras", "oras", &["version"]) {
            let to = format!("{registry}/readers/oras:{name}");
            let from = format!("{dir}@{expected}");
            run("oras", &["cp", "--from-oci-layout", "--to-plain-http", &from, &to]);
            assert_eq!(digest(&in_registry("readers/oras", name)), expected);
        }
        if have_program("regctl", "regctl", &["version"]) {
            let to = format!("{registry}/readers/regctl:{name}");
            let host = format!("reg={registry},tls=disabled");
            run("regctl", &["--host", &host, "image", "copy", &format!("ocidir://{dir}:0.3.0"), &to]);
            assert_eq!(digest(&in_registry("readers/regctl", name)), expected);
        }
    }
}

#[test]
fn buildx_accepts_the_layout_as_a_build_context() {
    if !have_program("docker", "docker", &["buildx", "inspect"]) {
        return;
    }
    let Some(made) = Made::new() else { return };
    let context = made.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM readers\nLABEL further=yes\n").unwrap();
    for name in LAYOUTS {
        let base = format!("readers=oci-layout://{}", made.path(name).display());
        let out = made.path(&format!("{name}.built.tar")).display().to_string();
        let output = format!("type=oci,dest={out}");
        let args = ["buildx", "build", "--quiet", "--build-context", &base, "--output", &output];
        run("docker", &[&args[..], &[context.to_str().unwrap()]].concat());
        assert!(Path::new(&out).metadata().unwrap().len() > 10_000);
    }
}

/// Syft 1.18 reads the manifest of one platform, from the folder and from the archive, and no index; Docker's list
/// in the archive it reads in both.
#[test]
fn syft_sees_the_crates() {
    if !have_program("syft", "syft", &["version"]) {
        return;
    }
    let Some(made) = Made::new() else { return };
    for (source, name) in [
        ("oci-dir", "one"),
        ("oci-archive", "one.tar"),
        ("docker-archive", "one.tar"),
        ("docker-archive", "two.tar"),
    ] {
        let target = format!("{source}:{}", made.path(name).display());
        let mut syft = Command::new("syft");
        syft.args(["scan", "--quiet", "--output", "json", &target]).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
        let output = syft.output().unwrap();
        assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
        let bill: Value = serde_json::from_slice(&output.stdout).unwrap();
        let crates: Vec<_> = bill["artifacts"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(crates, ["hello"], "{target}");
    }
}

/// Without a database: what is asked for is only what it sees.
#[test]
fn trivy_sees_the_crates_of_each_platform() {
    if !have_program("trivy", "trivy", &["--version"]) {
        return;
    }
    let Some(made) = Made::new() else { return };
    for name in LAYOUTS {
        let image = Image::read(&made.path(name));
        let manifests =
            image.entries().into_iter().map(|entry| format!("@{}", entry["digest"].as_str().unwrap()));
        // Below an index Trivy is not led by a digest: `cargo xtask scan` gives it a layout of its own.
        let asked: Vec<_> = if name == "one" { manifests.collect() } else { vec![String::new()] };
        for digest in asked {
            let target = format!("{}{digest}", made.path(name).display());
            let cache = made.path("trivy-cache").display().to_string();
            let args =
                ["image", "--quiet", "--cache-dir", &cache, "--scanners", "license", "--list-all-pkgs"];
            let json = run(
                "trivy",
                &[&args[..], &["--offline-scan", "--format", "json", "--input", &target]].concat(),
            );
            let report: Value = serde_json::from_str(&json).unwrap();
            let crates = &report["Results"][0]["Packages"];
            assert_eq!(crates[0]["Name"], "hello", "{target}: {json}");
        }
    }
}
