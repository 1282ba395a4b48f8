//! Debian's packages.

use anyhow::Result;
use xshell::cmd;

use super::{Machine, REGISTRY, STATE, read};

/// Bookworm's docker.io is 20.10 and has no buildx. These packages of Debian unstable need nothing newer than
/// bookworm's libc6, so that they are fetched from there one by one and installed beside bookworm's.
const NEWER: [&str; 8] = [
    "docker.io",
    "docker-cli",
    "docker-buildx",
    "containerd",
    "tini-static",
    "crane",
    "cosign",
    "docker-registry",
];
const USUAL: [&str; 7] =
    ["runc", "iptables", "podman", "skopeo", "mmdebstrap", "qemu-user-static", "shellcheck"];

/// Podman asks for limits that a process without CAP_SYS_RESOURCE may not set, and crun refuses the hybrid cgroup
/// hierarchy (v1 controllers beside v2), which runc takes.
const PODMAN: &str = "[containers]
default_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]
[engine]
runtime = \"runc\"
";

pub(super) fn install(machine: &Machine) -> Result<String> {
    let sh = &machine.sh;
    if lacks(machine, &NEWER) || lacks(machine, &USUAL) {
        machine.logged("apt-update", cmd!(sh, "apt-get -qq -o DPkg::Lock::Timeout=600 update"))?;
        let debs = if lacks(machine, &NEWER) { download(machine)? } else { Vec::new() };
        machine.logged(
            "install",
            cmd!(
                sh,
                "apt-get -qq -o DPkg::Lock::Timeout=600 install --no-install-recommends {debs...} {USUAL...}"
            ),
        )?;
        // Under systemd the package starts a registry with a password on the port of the step `registry`.
        if has_systemd(machine) {
            cmd!(sh, "systemctl disable --now docker-registry").quiet().run()?;
        }
    }
    // Drop-ins, so that plain `podman load`, `run` and `push` work in a sandbox.
    for (dir, text) in [
        ("/etc/containers/containers.conf.d", PODMAN.to_owned()),
        // Docker and crane use plain HTTP for localhost by themselves, podman and skopeo only when told.
        (
            "/etc/containers/registries.conf.d",
            format!("[[registry]]\nlocation = \"{REGISTRY}\"\ninsecure = true\n"),
        ),
    ] {
        sh.create_dir(dir)?;
        sh.write_file(format!("{dir}/50-engines.conf"), text)?;
    }
    let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let versions = [
        read(cmd!(sh, "docker buildx version"))?,
        read(cmd!(sh, "podman --version"))?,
        read(cmd!(sh, "skopeo --version"))?,
    ];
    Ok(versions.map(first).join(", "))
}

pub(super) fn has_systemd(machine: &Machine) -> bool {
    machine.sh.path_exists("/run/systemd/system")
}

/// Whether a package is missing. dpkg decides: a command of the same name on PATH may be another one.
fn lacks(machine: &Machine, names: &[&str]) -> bool {
    let format = "${db:Status-Status}\n";
    names.iter().any(|name| {
        let status = read(cmd!(machine.sh, "dpkg-query -W -f {format} {name}"));
        !status.is_ok_and(|status| status.lines().any(|line| line == "installed"))
    })
}

/// Downloads packages of Debian unstable, with lists of their own: the machine's suites stay as they are.
fn download(machine: &Machine) -> Result<Vec<String>> {
    let sh = &machine.sh;
    let (apt, debs) = (format!("{STATE}/apt"), format!("{STATE}/debs"));
    for dir in [format!("{apt}/lists/partial"), format!("{apt}/cache/archives/partial")] {
        sh.create_dir(dir)?;
    }
    let mirror = machine.mirror()?;
    let source =
        format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} sid main\n");
    sh.write_file(format!("{apt}/sources.list"), source)?;
    let options = [
        format!("-oDir::Etc::sourcelist={apt}/sources.list"),
        "-oDir::Etc::sourceparts=/dev/null".to_owned(),
        format!("-oDir::State::Lists={apt}/lists"),
        format!("-oDir::Cache={apt}/cache"),
        "-oAPT::Sandbox::User=root".to_owned(),
    ];
    let options = &options;
    machine.logged("apt-sid", cmd!(sh, "apt-get -qq {options...} update"))?;
    sh.remove_path(&debs)?;
    sh.create_dir(&debs)?;
    let _dir = sh.push_dir(&debs);
    machine.logged("apt-download", cmd!(sh, "apt-get -qq {options...} download {NEWER...}"))?;
    let files = sh.read_dir(&debs)?.into_iter().map(|path| path.display().to_string());
    Ok(files.collect())
}
