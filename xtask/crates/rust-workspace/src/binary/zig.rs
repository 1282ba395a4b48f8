//! `zig cc` as the C compiler of every target.
//!
//! Build scripts start this program under the names in [`LINKS`]. It removes what zig does not accept, adds zig's own name of
//! the target, and starts zig.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cli_support::error::Fault;
use cli_support::process::{Cmd, find, hand_over};

/// The version that was tried, and the range that is accepted: zig before 0.15 adds undefined-behaviour traps to C code
/// without optimisation, and each release changes its command line.
pub const TESTED: &str = "0.15.2";
const ACCEPTED: &str = "0.15.";

/// How to get it.
pub const INSTALL: &str = "pip install ziglang==0.15.2, or put zig 0.15 on PATH";

/// The variables between cargo and the program that build scripts start.
const PROGRAM: &str = "XTASK_ZIG";
const FLAGS: &str = "XTASK_ZIG_FLAGS";

const PREFIX: &str = "xtask-zig-";

/// The variable of the `cc` crate and zig's command for each tool.
const LINKS: [(&str, &str); 4] = [("CC", "cc"), ("CXX", "c++"), ("AR", "ar"), ("RANLIB", "ranlib")];

/// An installed zig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zig {
    /// The program.
    pub program: PathBuf,
    /// Its version.
    pub version: String,
}

impl Zig {
    /// Finds zig on PATH or in Python's package `ziglang`.
    pub fn find() -> Result<Self, Fault> {
        let on_path = find("zig");
        let program = on_path.or_else(of_python).ok_or_else(|| {
            Fault::usage("[build] c = \"zig\": zig is not installed")
                .at(crate::settings::file())
                .hint(INSTALL)
        })?;
        let version = Cmd::new(&program).arg("version").limit(Duration::from_secs(20)).read();
        let version = version.map_err(|error| {
            Fault::usage(format!("zig does not start: {error:#}")).at(program.display()).hint(INSTALL)
        })?;
        if !version.starts_with(ACCEPTED) {
            let what = format!("zig {version} was not tried; {ACCEPTED}x is accepted");
            return Err(Fault::usage(what).at(program.display()).hint(INSTALL));
        }
        Ok(Self { program, version })
    }

    /// Sets the compilers of these targets for build scripts. `dir` keeps the links and zig's cache; `maps` replace folders of
    /// this machine in debug information and in `__FILE__`.
    pub fn set(&self, mut cmd: Cmd, triples: &[&str], dir: &Path, maps: &[(PathBuf, String)]) -> Cmd {
        let maps = maps.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display()));
        let flags: Vec<_> = maps.collect();
        cmd = cmd.env(PROGRAM, &self.program).env(FLAGS, flags.join("\u{1f}"));
        for name in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
            cmd = cmd.env(name, dir.join("cache"));
        }
        for triple in triples {
            for (variable, tool) in LINKS {
                let name = format!("{variable}_{}", triple.replace('-', "_"));
                cmd = cmd.env(name, dir.join(link_name(tool, triple)));
            }
        }
        cmd
    }

    /// Makes the links to this program in `dir`.
    pub fn prepare(dir: &Path, triples: &[&str]) -> Result<()> {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let own = env::current_exe().context("this program's own file")?;
        for triple in triples {
            for (_, tool) in LINKS {
                let path = dir.join(link_name(tool, triple));
                link(&own, &path).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }
}

/// The zig of the package `ziglang` of PyPI.
fn of_python() -> Option<PathBuf> {
    let script = "import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), 'zig'))";
    let ask = |python: &str| {
        find(python)?;
        Cmd::new(python).args(["-c", script]).limit(Duration::from_secs(20)).read().ok()
    };
    let path = PathBuf::from(["python3", "python"].into_iter().find_map(ask)?);
    Some(path).filter(|path| path.with_extension(env::consts::EXE_EXTENSION).is_file())
}

fn link_name(tool: &str, triple: &str) -> String {
    format!("{PREFIX}{tool}-{triple}{}", env::consts::EXE_SUFFIX)
}

#[cfg(unix)]
fn link(own: &Path, path: &Path) -> std::io::Result<()> {
    if std::fs::read_link(path).is_ok_and(|old| old == own) {
        return Ok(());
    }
    let _ = std::fs::remove_file(path);
    match std::os::unix::fs::symlink(own, path) {
        // Another run made it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(not(unix))]
fn link(own: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::copy(own, path).map(drop)
}

/// Starts zig, if this process was started as a compiler by a build script; none otherwise.
pub fn as_compiler() -> Option<ExitCode> {
    let name = PathBuf::from(env::args_os().next()?);
    let name = name.file_name()?.to_str()?.strip_suffix(env::consts::EXE_SUFFIX)?.strip_prefix(PREFIX)?;
    let (tool, triple) = name.split_once('-')?;
    let program = env::var_os(PROGRAM)?;
    let flags = env::var(FLAGS).unwrap_or_default();
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    Some(hand_over(&program, &command_line(tool, triple, &flags, &arguments)))
}

/// Zig's command line for that of a build script.
fn command_line(tool: &str, triple: &str, flags: &str, arguments: &[OsString]) -> Vec<OsString> {
    let mut line = vec![OsString::from(tool)];
    if !["cc", "c++"].contains(&tool) {
        line.extend(arguments.iter().cloned());
        return line;
    }
    let own = triple.replace("-unknown-", "-");
    line.extend(["-target".to_owned(), own, "-fno-sanitize=undefined".to_owned()].map(OsString::from));
    // The cc crate gives Rust's triple, which zig does not know.
    let is_target = |argument: &&OsString| argument.to_string_lossy().starts_with("--target=");
    line.extend(arguments.iter().filter(|argument| !is_target(argument)).cloned());
    // Last: clang takes the last prefix that matches.
    line.extend(flags.split('\u{1f}').filter(|flag| !flag.is_empty()).map(OsString::from));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zig_gets_its_own_name_of_the_target() {
        let line = |tool: &str, arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            let line =
                command_line(tool, "aarch64-unknown-linux-musl", "-ffile-prefix-map=/a=/b", &arguments);
            line.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
        };
        let given = ["--target=aarch64-unknown-linux-musl", "-O3", "-c", "a.c"];
        let expected =
            "cc -target aarch64-linux-musl -fno-sanitize=undefined -O3 -c a.c -ffile-prefix-map=/a=/b";
        assert_eq!(line("cc", &given), expected);
        assert_eq!(line("ar", &["cq", "liba.a", "a.o"]), "ar cq liba.a a.o");
    }
}
