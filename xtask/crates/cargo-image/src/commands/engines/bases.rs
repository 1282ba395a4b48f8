//! Base images that stand for the official ones, which cannot be pulled here.

use anyhow::Result;
use xshell::cmd;

use super::{CACHE, Machine, REGISTRY, STATE, read, succeeds};
use cli_support::digest::Digest;
use cli_support::error::Fault;

/// The release of Rust in the image.
const RUST: &str = "1.95";
/// A change of the recipe below makes the image anew.
const RECIPE: u32 = 1;

/// `local/rust`: the same places, variables and rustup as in the official image, so that a Dockerfile that works
/// with one works with the other. The documentation, half of the toolchain's size, is left out.
pub(super) fn rust(machine: &Machine) -> Result<String> {
    let sh = &machine.sh;
    let image = format!("local/rust:{RUST}");
    let sysroot = read(cmd!(sh, "rustc --print sysroot"))?;
    let about = read(cmd!(sh, "rustc -vV"))?;
    let field = |name: &str| {
        about.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let (version, host) = (field("release:"), field("host:"));
    if !version.starts_with(&format!("{RUST}.")) {
        return Err(Fault::failed(format!("rustc is {version}; the image is to have {RUST}")).into());
    }
    let toolchain = format!("{version}-{host}");
    let key = key(machine, &sysroot, &toolchain)?;
    let format = "{{index .Config.Labels \"engines.key\"}}";
    let label = read(cmd!(sh, "docker image inspect -f {format} {image}"));
    if label.is_ok_and(|label| label == key) {
        return Ok("is there already".to_owned());
    }
    let (mirror, rustup) = (machine.mirror()?, read(cmd!(sh, "sh -c {WHICH_RUSTUP}"))?);
    let home = format!("\"$1/usr/local/rustup/toolchains/{toolchain}\"");
    let proxies = "for p in cargo cargo-clippy cargo-fmt clippy-driver rustc rustdoc rustfmt; do ln \
        \"$1/usr/local/cargo/bin/rustup\" \"$1/usr/local/cargo/bin/$p\"; done";
    let settings = format!(
        "printf 'version = \"12\"\\ndefault_toolchain = \"{toolchain}\"\\nprofile = \"minimal\"\\n[overrides]\\n' \
         >\"$1/usr/local/rustup/settings.toml\""
    );
    let hooks = [
        format!("mkdir -p \"$1\"/usr/local/cargo/bin {home}"),
        format!(
            "tar -C '{sysroot}' --exclude=./share/doc --exclude=./share/man -c . | tar -C {home} --no-same-owner -x"
        ),
        format!("cp '{rustup}' \"$1/usr/local/cargo/bin/rustup\""),
        proxies.to_owned(),
        settings,
    ]
    .map(|hook| format!("--customize-hook={hook}"));
    let tar = format!("{STATE}/rust.tar");
    machine.logged(
        "rust",
        cmd!(
            sh,
            "mmdebstrap --quiet --variant=minbase --include=gcc,libc6-dev,ca-certificates {hooks...} bookworm {tar} {mirror}"
        ),
    )?;
    let changes = [
        "ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("ENV RUST_VERSION={version}"),
        "CMD [\"bash\"]".to_owned(),
        format!("LABEL engines.key={key}"),
    ]
    .map(|change| format!("--change={change}"));
    machine.logged("rust-import", cmd!(sh, "docker import {changes...} {tar} {image}"))?;
    sh.remove_path(&tar)?;
    Ok(image)
}

const WHICH_RUSTUP: &str = "command -v rustup";

/// Says what the image is made of: it is made anew when the toolchain changes, such as by a target that was added.
fn key(machine: &Machine, sysroot: &str, toolchain: &str) -> Result<String> {
    let mut parts = vec![RECIPE.to_string(), toolchain.to_owned()];
    for dir in ["bin", "lib/rustlib"] {
        let files = machine.sh.read_dir(format!("{sysroot}/{dir}"))?;
        parts.extend(files.iter().map(|path| path.display().to_string()));
    }
    Ok(Digest::of(parts.join("\n").as_bytes()).short())
}

const PYTHON: &str = "3.11-slim";
const STAMP: &str = "1700000000";

/// `localhost:5000/python` for amd64 and arm64.
pub(super) fn python(machine: &Machine) -> Result<String> {
    let sh = &machine.sh;
    let image = format!("{REGISTRY}/python:{PYTHON}");
    if succeeds(cmd!(sh, "crane digest {image}")) {
        return Ok("is there already".to_owned());
    }
    for arch in ["amd64", "arm64"] {
        root(machine, arch)?;
    }
    // A second layer with python in /usr/local/bin, where the official image has it.
    let names = format!("{STATE}/python-names");
    sh.remove_path(&names)?;
    let bin = format!("{names}/usr/local/bin");
    sh.create_dir(&bin)?;
    cmd!(sh, "ln -s /usr/bin/python3.11 {bin}/python3").quiet().run()?;
    cmd!(sh, "ln -s python3 {bin}/python").quiet().run()?;
    cmd!(
        sh,
        "tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@{STAMP} -C {names} -cf {names}.tar usr"
    )
    .quiet()
    .run()?;
    let of = |arch: &str| format!("{REGISTRY}/python:{arch}");
    for arch in ["amd64", "arm64"] {
        let (one, root) = (of(arch), tar_of(arch));
        machine.logged(
            "python-append",
            cmd!(sh, "crane append --oci-empty-base -f {root}.gz -f {names}.tar -t {one}"),
        )?;
        let path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";
        machine.logged(
            "python-mutate",
            cmd!(sh, "crane mutate {one} -t {one} --set-platform linux/{arch} --cmd python3 --env {path} --env PYTHON_VERSION=3.11.2"),
        )?;
    }
    let (amd64, arm64) = (of("amd64"), of("arm64"));
    machine.logged("python-index", cmd!(sh, "crane index append -m {amd64} -m {arm64} -t {image}"))?;
    Ok(image)
}

fn tar_of(arch: &str) -> String {
    format!("{CACHE}/python-{arch}.tar")
}

/// The file system for one architecture. Its packages are unpacked and not configured, so that no program of the
/// other architecture has to run. What scripts would have done is a table of users; dash's package has /bin/sh.
fn root(machine: &Machine, arch: &str) -> Result<()> {
    let sh = &machine.sh;
    let tar = tar_of(arch);
    if sh.path_exists(format!("{tar}.gz")) {
        return Ok(());
    }
    let hooks = [
        "cp \"$1/usr/share/base-passwd/passwd.master\" \"$1/etc/passwd\"",
        "cp \"$1/usr/share/base-passwd/group.master\" \"$1/etc/group\"",
        "rm -rf \"$1\"/usr/share/doc \"$1\"/usr/share/man \"$1\"/usr/share/info \"$1\"/usr/share/locale",
        "find \"$1/var/lib/apt\" \"$1/var/cache\" -type f -delete",
    ]
    .map(|hook| format!("--customize-hook={hook}"));
    let (mirror, part) = (machine.mirror()?, format!("{tar}.part.tar"));
    let log = format!("python-{arch}");
    let packages = "base-files,base-passwd,dash,coreutils,python3";
    machine.logged(
        &log,
        cmd!(
            sh,
            "mmdebstrap --quiet --variant=extract --architectures={arch} --include={packages} --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr {hooks...} bookworm {part} {mirror}"
        )
        .env("SOURCE_DATE_EPOCH", STAMP),
    )?;
    // mmdebstrap takes three files from this machine; without them every machine makes the same image. From a pipe:
    // deleting in a file, GNU tar 1.34 loses the entries at its end.
    let script = "tar --delete -f - ./etc/hostname ./etc/resolv.conf ./etc/apt/sources.list <\"$0\" >\"$1\"";
    let clean = format!("{tar}.clean.tar");
    machine.logged(&log, cmd!(sh, "sh -c {script} {part} {clean}"))?;
    sh.remove_path(&part)?;
    machine.logged(&log, cmd!(sh, "gzip -nf {clean}"))?;
    Ok(std::fs::rename(format!("{clean}.gz"), format!("{tar}.gz"))?)
}
