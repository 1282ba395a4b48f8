//! `cargo xtask image --engine native` in a workspace that is not this one.

use crate::support;

use std::fs;
use std::time::Duration;

use support::{Hello, Image, Ran, have, have_targets};

const NATIVE: [&str; 3] = ["image", "--engine", "native"];

fn native<'a>(more: &[&'a str]) -> Vec<&'a str> {
    NATIVE.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn a_package_name_is_enough_for_an_image_of_both_platforms() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.commit();
    let report = hello.run(&native(&["--platform", "all", "--json"])).code(0).json();
    let image = Image::read(&hello.layout());
    assert_eq!(report["digest"], image.digest());
    assert_eq!(image.entries().len(), 2, "both platforms, below one index");
    for (arch, machine) in [("amd64", 0x3e), ("arm64", 0xb7)] {
        let config = image.config(arch);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"][0], "/usr/bin/hello");
        assert_eq!(config["created"], "2024-02-29T12:34:56Z");
        let labels = &config["config"]["Labels"];
        assert_eq!(labels["org.opencontainers.image.licenses"], "MIT");
        assert_eq!(labels, &image.manifest(arch)["annotations"]);
        let files = image.files(arch);
        let (path, mode, elf) = files.last().unwrap();
        assert_eq!((path.as_str(), *mode), ("usr/bin/hello", 0o755));
        assert_eq!(elf[18], machine, "the ELF file's machine");
    }
    let rows = report["platforms"].as_array().unwrap();
    let whole: u64 = image.manifest("amd64")["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["size"].as_u64().unwrap())
        .sum();
    let config = image.manifest("amd64")["config"]["size"].as_u64().unwrap();
    assert_eq!(rows[0]["compressed_bytes"], whole + config);
}

#[test]
fn an_image_from_scratch_gets_certificates_time_zones_and_tmp() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write(
        "xtask/image.toml",
        "package = \"hello\"\n[container]\nca-certificates = true\ntime-zones = true\ntmp = true\n\
         stop-signal = \"SIGINT\"\nvolumes = [\"/data\"]\n",
    );
    hello.commit();
    hello.run(&native(&["--platform", "linux/amd64"])).code(0);
    let image = Image::read(&hello.layout());
    let config = &image.config("amd64")["config"];
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["Volumes"], serde_json::json!({ "/data": {} }));
    let files = image.files("amd64");
    let file = |path: &str| files.iter().find(|(name, ..)| name == path).expect(path);
    assert_eq!(file("tmp/").1, 0o1777);
    let (_, mode, zone) = file("usr/share/zoneinfo/Europe/Berlin");
    assert_eq!((*mode, &zone[..4]), (0o644, &b"TZif"[..]));
    let (_, _, pem) = file("etc/ssl/certs/ca-certificates.crt");
    let pem = std::str::from_utf8(pem).unwrap();
    let (begins, ends) =
        (pem.matches("-----BEGIN CERTIFICATE-----\n"), pem.matches("-----END CERTIFICATE-----\n"));
    let (begins, ends) = (begins.count(), ends.count());
    assert!(begins == ends && begins > 100, "{begins} {ends}");
    assert!(pem.lines().all(|line| line.len() <= 64), "RFC 7468 section 2");
}

#[test]
fn two_clones_in_different_folders_give_one_digest() {
    if !have_targets() {
        return;
    }
    let digests: Vec<_> = (0..2)
        .map(|_| {
            let hello = Hello::new();
            hello.commit();
            let mut run = hello.command();
            run.args(native(&["--json"]));
            support::Ran::of(&mut run).code(0).json()["digest"].clone()
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn verify_passes_where_builds_agree_and_explains_where_not() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.commit();
    hello.run(&native(&["--verify"])).code(0).says("the same bytes from another folder");
    // Remapping cannot undo a path that a build script puts into the binary.
    hello.write("hello/build.rs", "fn main() { println!(\"cargo::rustc-env=WHERE={}\", std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()); }");
    hello.write("hello/src/main.rs", "fn main() { println!(\"{}\", env!(\"WHERE\")); }");
    let ran = hello.run(&native(&["--verify"])).code(1);
    ran.says("two builds of the same source differ").says("/usr/bin/hello: ").says("from byte");
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let hello = Hello::new();
    hello.commit();
    let plan = hello.run(&native(&["--dry-run", "--json", "--archive", "x.tar"])).code(0).json();
    let steps: Vec<_> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    let known = ["base", "graph", "compile", "audit", "layers", "layout", "archive"];
    assert_eq!(steps.iter().filter(|name| **name != "target").copied().collect::<Vec<_>>(), known);
    assert!(
        plan["steps"].as_array().unwrap().iter().all(|step| !step["reason"].as_str().unwrap().is_empty())
    );
    assert!(!hello.path().join("target").exists() && !hello.path().join("x.tar").exists());
}

#[test]
fn an_image_over_budget_exits_3_after_the_full_report() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", "package = \"hello\"\n[budgets]\ncompressed = \"1 kB\"\n");
    let ran = hello.run(&native(&["--json"])).code(3).says("1.00 kB allowed");
    assert_eq!(ran.json()["over_budget"].as_array().unwrap().len(), 1);
    Image::read(&hello.layout());
}

#[test]
fn a_slow_build_is_a_warning_before_the_second_build_and_a_failure_where_the_settings_say_so() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.commit();
    hello.write("xtask/image.toml", "package = \"hello\"\n[budgets]\nseconds = 0\n");
    let ran = hello.run(&native(&["--verify"])).code(0).says("warning: linux/");
    let told = ran.stderr.find("s to build, 0 s allowed").unwrap();
    assert!(told < ran.stderr.find("verify").unwrap(), "{}", ran.stderr);
    hello.write("xtask/image.toml", "package = \"hello\"\n[budgets]\nseconds = 0\nslow = \"fail\"\n");
    hello.write("hello/src/main.rs", "fn main() {}\n");
    hello.run(&NATIVE).code(3).says("s to build, 0 s allowed");
    hello.write("xtask/image.toml", "package = \"hello\"\n[budgets]\nslow = \"no\"\n");
    hello.run(&NATIVE).code(2).says("'no' is neither warn nor fail");
}

#[test]
fn mistakes_in_the_settings_are_exit_2_all_at_once() {
    let hello = Hello::new();
    hello.write("xtask/image.toml", "package = \"hello\"\nplatfroms = []\nbase = 1\n");
    let ran = hello.run(&NATIVE).code(2);
    let ran = ran.says("xtask/image.toml:2:1: unknown key 'platfroms'").says("did you mean 'platforms'?");
    ran.says("xtask/image.toml:3:8: expected a string");
    hello.write("xtask/image.toml", "package = \"helo\"\n");
    hello.run(&NATIVE).code(2).says("its packages: hello");
    hello.write("xtask/image.toml", "package = \"hello\"\nbase = \"Up/Case\"\n");
    hello.run(&NATIVE).code(2);
}

#[test]
fn a_c_dependency_is_an_error_with_the_path_to_it() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"hello\", \"middle\", \"native\", \"cc\"]\nresolver = \"3\"\n",
    );
    let package = |name: &str, rest: &str| {
        hello.write(
            &format!("{name}/Cargo.toml"),
            &format!("[package]\nname = \"{name}\"\nversion = \"0.3.0\"\nedition = \"2024\"\n{rest}"),
        );
        hello.write(&format!("{name}/src/lib.rs"), "");
    };
    hello.write("hello/Cargo.toml", "[package]\nname = \"hello\"\nversion = \"0.3.0\"\nedition = \"2024\"\n[dependencies]\nmiddle = { path = \"../middle\" }\n");
    package("middle", "[dependencies]\nnative = { path = \"../native\" }\n");
    package(
        "native",
        "build = \"build.rs\"\nlinks = \"native\"\n[build-dependencies]\ncc = { path = \"../cc\" }\n",
    );
    hello.write("native/build.rs", "fn main() {}");
    package("cc", "");
    fs::remove_file(hello.path().join("Cargo.lock")).unwrap();
    let lock = std::process::Command::new("cargo")
        .args(["generate-lockfile", "--offline"])
        .current_dir(hello.path())
        .status();
    assert!(lock.unwrap().success());
    let refused = hello
        .run(&NATIVE)
        .code(1)
        .says("hello > middle > native (cc): the crate native compiles or looks for C");
    // The command of the hint prints the path.
    let hint = refused.stderr.split("cargo tree ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let tree = Ran::of(
        std::process::Command::new("cargo").arg("tree").args(hint.split(' ')).current_dir(hello.path()),
    );
    assert!(tree.code(0).stdout.contains("middle v0.3.0"), "cargo tree {hint}");
    // Without the key `links`, what the build script links decides.
    package("native", "build = \"build.rs\"\n[build-dependencies]\ncc = { path = \"../cc\" }\n");
    hello.run(&NATIVE).code(0).says("build scripts of native can compile C");
    let links = r#"fn main() {
        let dir = std::env::var("OUT_DIR").unwrap();
        std::fs::write(format!("{dir}/libsmall.a"), "!<arch>\n").unwrap();
        println!("cargo:rustc-link-search=native={dir}\ncargo:rustc-link-lib=static=small");
    }"#;
    hello.write("native/build.rs", links);
    hello.run(&NATIVE).code(1).says("build scripts link C libraries into the image: native (static=small)");
    hello.write("xtask/image.toml", "package = \"hello\"\n[build]\nallow-c = [\"native\"]\n");
    hello.run(&NATIVE).code(0);
}

#[test]
fn a_failing_build_shows_the_command_and_its_last_lines() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("hello/src/main.rs", "fn main() { let x: u32 = \"no\"; }");
    let ran = hello.run(&NATIVE).code(1);
    ran.says("error[E0308]").says("cargo build --release --locked --package hello");
}

#[test]
fn the_host_target_is_used_if_rustup_cannot_add_the_target() {
    let rustup = support::have_program("rustup", "rustup", &["--version"]);
    if !rustup || !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return;
    }
    // A linked toolchain is one that rustup cannot add targets to; this one lacks the musl targets.
    let hello = Hello::new();
    let sysroot = support::Ran::of(std::process::Command::new("rustc").args(["--print", "sysroot"])).stdout;
    let home = tempfile::tempdir().unwrap();
    let toolchain = home.path().join("toolchains/bare");
    link_without_musl(std::path::Path::new(sysroot.trim()), &toolchain);
    let run = |args: &[&str]| {
        let mut command = hello.command();
        command
            .env("RUSTUP_HOME", home.path())
            .env("RUSTUP_TOOLCHAIN", "bare")
            .env("RUSTC", toolchain.join("bin/rustc"));
        command.env("CARGO", toolchain.join("bin/cargo"));
        support::Ran::of(command.args(args))
    };
    let ran = run(&native(&["--platform", "linux/amd64"])).code(0);
    let ran = ran.says("x86_64-unknown-linux-gnu is built instead");
    ran.says("other bytes than elsewhere");
    let image = Image::read(&hello.layout());
    assert_eq!(image.files("amd64").last().unwrap().0, "usr/bin/hello");
    let ran = run(&native(&["--platform", "linux/arm64"])).code(1);
    ran.says("rustup target add --toolchain bare aarch64-unknown-linux-musl");
}

#[cfg(unix)]
fn link_without_musl(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::symlink;
    fs::create_dir_all(to.join("lib/rustlib")).unwrap();
    // rustc finds its sysroot from where it lies, through links; so its own files are copied as hard links.
    let hard = |name: &str| {
        fs::create_dir_all(to.join(name)).unwrap();
        for entry in fs::read_dir(from.join(name)).unwrap().flatten() {
            if entry.file_type().unwrap().is_file() {
                let target = to.join(name).join(entry.file_name());
                fs::hard_link(entry.path(), &target)
                    .or_else(|_| fs::copy(entry.path(), &target).map(drop))
                    .unwrap();
            }
        }
    };
    hard("bin");
    hard("lib");
    symlink(from.join("libexec"), to.join("libexec")).unwrap();
    for entry in fs::read_dir(from.join("lib/rustlib")).unwrap().flatten() {
        if !entry.file_name().to_string_lossy().ends_with("-musl") {
            symlink(entry.path(), to.join("lib/rustlib").join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn the_second_of_two_runs_waits_with_a_message() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.run(&NATIVE).code(0);
    // The lock is held by this test, as another run would hold it.
    let lock = fs::File::create(hello.path().join("target/.image.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = hello.command();
    let mut child = command.args(NATIVE).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut first).unwrap();
    assert!(first.contains("another run is writing"), "{first}");
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    drop(lock);
    // The rest has to be read, or the pipe fills up.
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn killed_at_any_moment_the_image_is_the_old_one_or_the_new_one() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.commit();
    // A layer of some size that is another in each round, so that writing takes long enough to be hit.
    let mut noise: Vec<u8> =
        (0..4_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let mut write_noise = |round: u32| {
        noise[..4].copy_from_slice(&round.to_le_bytes());
        fs::write(hello.path().join("noise"), &noise).unwrap();
    };
    write_noise(1000);
    hello.write(
        "xtask/image.toml",
        "package = \"hello\"\n[[files]]\nsource = \"noise\"\ntarget = \"/noise\"\n",
    );
    hello.run(&NATIVE).code(0);
    write_noise(1001);
    let started = std::time::Instant::now();
    hello.run(&NATIVE).code(0);
    let mut longest = started.elapsed().max(Duration::from_millis(50));
    let leftovers = || walk(hello.path()).len();
    let clean = leftovers();
    let mut seen = std::collections::BTreeSet::new();
    let mut killed = 0;
    for round in 0..100_u32 {
        let mut command = hello.command();
        write_noise(round);
        // Another time in the labels makes another image too.
        command.args(NATIVE).env("SOURCE_DATE_EPOCH", (1_700_000_000 + round).to_string());
        command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        let delay = longest * (round * 37 % 100) / 100;
        std::thread::sleep(delay);
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // It ended before the kill: the next one is killed earlier.
            longest = longest.min(delay);
        } else {
            // The machine may have become slower since the first run.
            longest += longest / 50;
            killed += 1;
        }
        seen.insert(Image::read_whole(&hello.layout()));
    }
    assert!(killed > 50, "{killed} of 100 runs were hit while they ran");
    assert!(seen.len() > 1, "some runs got as far as a new image");
    hello.run(&NATIVE).code(0);
    assert_eq!(leftovers(), clean, "the next run sweeps up: {:?}", walk(&hello.layout()));
}

impl Image {
    /// The digest of the image, whose every blob is there and whole; blobs that nothing names are allowed.
    fn read_whole(dir: &std::path::Path) -> String {
        let unnamed = dir.join("blobs/sha256");
        for entry in fs::read_dir(&unnamed).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".partial-") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        Self::read(dir).digest()
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        // Cargo's own folders are cargo's.
        if path.is_dir() && entry.file_name() != "release" && entry.file_name() != ".git" {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_foreign_output_folder_is_left_unchanged() {
    let hello = Hello::new();
    let ran = hello.run(&native(&["--output", "hello"])).code(2);
    ran.says("is not an image layout");
    assert!(hello.path().join("hello/src/main.rs").exists());
}

#[test]
fn doctor_reports_missing_targets_docker_and_git() {
    let hello = Hello::new();
    let ran = hello.run(&["doctor", "--json"]).code(0).json();
    let tools: Vec<_> =
        ran["tools"].as_array().unwrap().iter().map(|tool| tool["tool"].as_str().unwrap()).collect();
    assert!(tools.contains(&"docker") && tools.contains(&"x86_64-unknown-linux-musl"), "{tools:?}");
    let mut alone = hello.command();
    // Only the toolchain is left on PATH.
    let rustc = which("rustc");
    alone.env("PATH", rustc.parent().unwrap()).args(["doctor"]);
    let ran = support::Ran::of(&mut alone).code(0);
    ran.says("docker is not on PATH").says("docs.docker.com");
}

fn which(program: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file()).unwrap()
}

#[test]
fn a_layout_on_disk_is_a_base() {
    if !have_targets() || !have("linux", cfg!(target_os = "linux"), "runs on Linux") {
        return;
    }
    let below = Hello::new();
    below.commit();
    below.run(&native(&["--platform", "all"])).code(0);
    let base = Image::read(&below.layout());
    let hello = Hello::new();
    hello.commit();
    let reference = below.layout().display().to_string();
    hello.write("hello/src/main.rs", "fn main() {}\n");
    hello.run(&native(&["--platform", "all", "--base", &reference])).code(0);
    let image = Image::read(&hello.layout());
    let manifest = image.manifest("arm64");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.base.digest"], base.digest());
    assert_eq!(manifest["layers"][0], base.manifest("arm64")["layers"][0]);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn github_gets_sections_outputs_and_a_summary() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", "package = \"hello\"\nrepository = \"ghcr.io/example/hello\"\n");
    let (outputs, summary) = (hello.path().join("outputs"), hello.path().join("summary.md"));
    let mut command = hello.command();
    command.args(NATIVE).env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", &outputs);
    let ran = support::Ran::of(command.env("GITHUB_STEP_SUMMARY", &summary)).code(0);
    assert_eq!(ran.stderr.matches("::group::").count(), ran.stderr.matches("::endgroup::").count());
    assert!(ran.stderr.contains("::group::compile"), "{}", ran.stderr);
    let digest = Image::read(&hello.layout()).digest();
    let expected = format!("digest={digest}\nreference=ghcr.io/example/hello@{digest}\n");
    assert_eq!(fs::read_to_string(outputs).unwrap(), expected);
    assert!(fs::read_to_string(summary).unwrap().contains("| linux/"));
}

#[test]
fn a_plan_and_an_error_show_a_secret_by_its_source_alone() {
    let hello = Hello::new();
    hello.write("Dockerfile", "FROM scratch\n");
    let mut command = hello.command();
    command.args(["image", "--dry-run", "--secret", "id=token,env=PLANTED"]).env("PLANTED", "s3cr3t-value");
    let ran = support::Ran::of(&mut command);
    assert!(!ran.stdout.contains("s3cr3t-value") && !ran.stderr.contains("s3cr3t-value"), "{ran:?}");
    hello.run(&["image", "--secret", "s3cr3t-value"]).code(2);
}
