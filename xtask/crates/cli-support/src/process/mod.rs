//! Child processes. Only this module starts them.
//!
//! A [`Cmd`] is data: a plan prints it, a test compares it. Arguments are never joined into a shell string, and no secret
//! is an argument.

mod env;
mod run;
mod stop;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

pub use env::Need;
pub use run::{ChildFailed, hand_over};
pub use stop::{checkpoint, stop_on_signals};

/// A command line with its environment, not yet run.
#[derive(Clone, PartialEq, Eq)]
pub struct Cmd {
    program: OsString,
    name: Option<&'static str>,
    args: Vec<OsString>,
    env: BTreeMap<String, Option<OsString>>,
    secret_env: BTreeMap<String, OsString>,
    needs: Vec<Need>,
    keeps: Vec<String>,
    stdin: Option<Vec<u8>>,
    dir: Option<PathBuf>,
    limit: Option<Duration>,
}

impl Cmd {
    /// A command that runs `program`, found on PATH unless it is a path.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            name: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            secret_env: BTreeMap::new(),
            needs: Vec::new(),
            keeps: Vec::new(),
            stdin: None,
            dir: None,
            limit: None,
        }
    }

    /// Shows the program under this name in place of its path.
    #[must_use]
    pub fn shown_as(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments, in order.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, shown in plans and logs.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes a variable from the child's environment.
    #[must_use]
    pub fn unset(mut self, name: impl Into<String>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// Sets an environment variable whose value is never shown.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.secret_env.insert(name.into(), value.into());
        self
    }

    /// Passes the secrets of this process for `need` to the child. By default it gets none.
    #[must_use]
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Passes this variable to the child, secret or not.
    #[must_use]
    pub fn keep(mut self, name: impl Into<String>) -> Self {
        self.keeps.push(name.into().to_ascii_uppercase());
        self
    }

    /// Sets the child's standard input, which is never shown. By default it is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Sets the working folder; by default that of this process.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets a time limit. A child that exceeds it is killed, which is an error.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Program and arguments for display, with `***` in place of values that are secret by their name.
    pub fn argv(&self) -> Vec<String> {
        let name = self.name.map_or_else(|| self.program.to_string_lossy().into_owned(), str::to_owned);
        let args = self.args.iter().map(|arg| redact(&arg.to_string_lossy()));
        std::iter::once(name).chain(args).collect()
    }

    fn shown_env(&self) -> impl Iterator<Item = (&str, String)> {
        let secret = self.secret_env.keys().map(|name| (name.as_str(), "***".to_owned()));
        let open = self.env.iter().map(|(name, value)| {
            let value = value.as_ref().map_or_else(String::new, |v| v.to_string_lossy().into_owned());
            (name.as_str(), value)
        });
        open.chain(secret)
    }
}

/// The command line in shell syntax.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.shown_env() {
            write!(f, "{name}={} ", quote(&value))?;
        }
        for (i, part) in self.argv().iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { " " }, quote(part))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cmd({self})")
    }
}

impl Serialize for Cmd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let env: BTreeMap<_, _> = self.shown_env().collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("argv", &self.argv())?;
        if !env.is_empty() {
            map.serialize_entry("env", &env)?;
        }
        if let Some(dir) = &self.dir {
            map.serialize_entry("dir", &dir.to_string_lossy())?;
        }
        map.end()
    }
}

fn quote(part: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !part.is_empty() && part.chars().all(plain) {
        part.to_owned()
    } else if part.contains(|c: char| c.is_control()) {
        // CARGO_ENCODED_RUSTFLAGS is separated by an unprintable byte.
        let shown = |c: char| if c.is_control() { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() };
        let escaped = part.replace('\\', r"\\").replace('\'', r"\'");
        format!("$'{}'", escaped.chars().map(shown).collect::<Vec<_>>().concat())
    } else {
        format!("'{}'", part.replace('\'', r"'\''"))
    }
}

/// Masks the secrets in an argument: the value of a field such as `secret_access_key=…`, and the password in a URL.
/// Docker takes both as arguments, so they can come from settings or flags.
fn redact(arg: &str) -> String {
    let field = |field: &str| match field.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        _ => field.to_owned(),
    };
    let fields: Vec<_> = arg.split(',').map(field).collect();
    let joined = fields.join(",");
    let Some((scheme, rest)) = joined.split_once("://") else {
        return match joined.split_once('@') {
            Some((user, host))
                if user.contains(':') && !user.contains('/') && !host.starts_with("sha256:") =>
            {
                format!("***@{host}")
            }
            _ => joined,
        };
    };
    match rest.split_once('@') {
        Some((user, host)) if user.contains(':') && !user.contains('/') => format!("{scheme}://***@{host}"),
        _ => joined,
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "token", "password", "access_key", "account_key"].iter().any(|word| name.contains(word))
}

/// The path of a program on PATH, if there is one.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
        .find(|candidate| is_executable(candidate))
}

#[cfg(unix)]
fn is_executable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &std::path::Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_arguments_are_masked() {
        for (arg, shown) in [
            ("type=s3,region=x,secret_access_key=S3CR3T", "type=s3,region=x,secret_access_key=***"),
            ("x=https://me:S3CR3T@host/r.git", "x=https://***@host/r.git"),
            ("base=oci-layout:///dir@sha256:ab", "base=oci-layout:///dir@sha256:ab"),
            ("id=token,env=NAME", "id=token,env=NAME"),
            ("me:S3CR3T@host/db", "***@host/db"),
            ("name:tag@sha256:ab", "name:tag@sha256:ab"),
            ("git@host:x", "git@host:x"),
            ("org.opencontainers.image.title=a,b", "org.opencontainers.image.title=a,b"),
        ] {
            assert_eq!(Cmd::new("x").arg(arg).argv()[1], shown);
        }
    }

    #[test]
    fn the_command_line_is_shell_syntax_without_secrets() {
        let cmd = Cmd::new("docker")
            .args(["login", "--user", "o'brien", ""])
            .env("A", "b c")
            .env("B", "x\u{1f}y")
            .secret_env("TOKEN", "hunter2")
            .stdin("hunter2");
        assert_eq!(cmd.to_string(), r"A='b c' B=$'x\x1fy' TOKEN='***' docker login --user 'o'\''brien' ''");
        let json = serde_json::to_string(&cmd).unwrap();
        assert!(!json.contains("hunter2") && !format!("{cmd:?}").contains("hunter2"), "{json}");
    }
}
