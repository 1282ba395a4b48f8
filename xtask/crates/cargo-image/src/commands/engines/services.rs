//! Services: dockerd, qemu's binary formats, a registry.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use xshell::cmd;

use super::packages::has_systemd;
use super::{Machine, REGISTRY, STATE, read, succeeds};
use cli_support::error::Fault;

const DAEMON_JSON: &str = "/etc/docker/daemon.json";

pub(super) fn dockerd(machine: &Machine) -> Result<String> {
    let sh = &machine.sh;
    if has_containerd_store(machine) {
        return Ok("runs already".to_owned());
    }
    if !sh.path_exists(DAEMON_JSON) {
        sh.create_dir("/etc/docker")?;
        sh.write_file(DAEMON_JSON, "{\"features\":{\"containerd-snapshotter\":true}}\n")?;
    }
    if has_systemd(machine) {
        cmd!(sh, "systemctl restart docker").quiet().run()?;
    } else if !answers(machine) {
        remove_stale_pid(machine)?;
        machine.daemon("dockerd", "/usr/sbin/dockerd")?;
    }
    if !wait(Duration::from_mins(1), || answers(machine)) {
        let last = machine.tail("dockerd");
        return Err(Fault::failed(format!("dockerd does not answer{last}")).into());
    }
    if !has_containerd_store(machine) {
        return Err(Fault::failed("dockerd runs without the containerd image store")
            .at(DAEMON_JSON)
            .hint("it needs {\"features\":{\"containerd-snapshotter\":true}}")
            .into());
    }
    Ok(String::new())
}

fn answers(machine: &Machine) -> bool {
    succeeds(cmd!(machine.sh, "docker info"))
}

fn has_containerd_store(machine: &Machine) -> bool {
    let format = "{{.DriverStatus}}";
    read(cmd!(machine.sh, "docker info -f {format}"))
        .is_ok_and(|status| status.contains("io.containerd.snapshotter"))
}

/// A killed dockerd leaves its pid file. Where another process has that number now, dockerd would not start.
fn remove_stale_pid(machine: &Machine) -> Result<()> {
    let file = "/var/run/docker.pid";
    let Ok(pid) = machine.sh.read_file(file) else { return Ok(()) };
    let name = machine.sh.read_file(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    if name.trim() != "dockerd" {
        machine.sh.remove_path(file)?;
    }
    Ok(())
}

/// Lets the kernel, and so every engine, run arm64 programs through qemu.
pub(super) fn binfmt(machine: &Machine) -> Result<String> {
    let sh = &machine.sh;
    let dir = "/proc/sys/fs/binfmt_misc";
    if !sh.path_exists(format!("{dir}/register")) {
        cmd!(sh, "mount -t binfmt_misc binfmt_misc {dir}").quiet().run()?;
    }
    let format = format!("{dir}/qemu-aarch64");
    if !sh.path_exists(&format) {
        // The flag F opens qemu now, so that containers need no copy of it.
        let rule = sh.read_binary_file("/usr/lib/binfmt.d/qemu-aarch64.conf")?;
        std::fs::write(format!("{dir}/register"), rule)?;
    }
    if sh.read_file(&format)?.lines().any(|line| line == "enabled") {
        return Ok(String::new());
    }
    Err(Fault::failed("qemu's format is not enabled").at(format).into())
}

pub(super) fn registry(machine: &Machine) -> Result<String> {
    if registry_answers() {
        return Ok("runs already".to_owned());
    }
    let port = REGISTRY.rsplit(':').next().unwrap_or_default();
    let config = format!("{STATE}/registry.yml");
    let text = format!(
        "version: 0.1\nlog: {{ level: warn }}\nstorage:\n  delete: {{ enabled: true }}\n  \
         filesystem: {{ rootdirectory: {STATE}/registry }}\nhttp: {{ addr: \"127.0.0.1:{port}\" }}\n"
    );
    machine.sh.write_file(&config, text)?;
    machine.daemon("registry", &format!("docker-registry serve {config}"))?;
    if wait(Duration::from_secs(20), registry_answers) {
        return Ok(String::new());
    }
    Err(Fault::failed(format!("the registry does not answer{}", machine.tail("registry")))
        .at(REGISTRY)
        .into())
}

/// Whether the registry answers /v2/ with 200, which means without a password.
fn registry_answers() -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(REGISTRY)?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        write!(stream, "GET /v2/ HTTP/1.0\r\nHost: {REGISTRY}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// Asks every half second until it is so.
fn wait(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let pause = Duration::from_millis(500);
    for _ in 0..limit.as_millis() / pause.as_millis() {
        if is_so() {
            return true;
        }
        sleep(pause);
    }
    is_so()
}
