//! The gateway that is measured: given by file, or compiled as for the image.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The gateway's own folder in the source.
pub fn gateway_dir() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.parent().unwrap_or(lab).to_owned()
}

/// The folder for what is kept between runs: tools in fixed versions.
pub fn cache() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| gateway_dir().join("../target")).join("gateway-lab")
}

/// The certificate and key of the gateway's tests.
pub fn certificate() -> (PathBuf, PathBuf) {
    let data = gateway_dir().join("tests/data");
    (data.join("localhost.crt"), data.join("localhost.key"))
}

/// The program given, or one compiled now with the image's own profile and target.
pub fn gateway(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return path.canonicalize().with_context(|| format!("the gateway {}", path.display()));
    }
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    eprintln!("gateway-lab: compiling the gateway for {target}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(gateway_dir())
        .args(["build", "--locked", "--release", "--package", "gateway", "--target", &target])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("the gateway does not compile; --gateway BINARY measures another");
    }
    // Cargo names what it made, wherever its target folder is.
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "gateway")
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .context("cargo named no program")
}
