//! The settings, `xtask/image.toml`.

mod build;
mod buildx;
mod commands;
mod container;
mod environments;
mod exceptions;
mod publish;
mod reader;
#[cfg(test)]
mod reference;
mod regex;
mod scan;
mod sections;
mod size;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml::de::DeTable;

use crate::paths;
pub use build::{BuildSettings, CompileC};
pub use buildx::{Buildx, Secret};
use cli_support::error::{Fault, Faults};
use cli_support::files;
pub use commands::WorkspaceCommand;
pub use container::{Container, Healthcheck, Port, StopSignal};
pub use environments::{Environment, is_issuer};
pub use exceptions::{Exception, Ignore, Unlisted, proposed, too_far};
pub use reader::line_column;
pub use regex::check_regex;
pub use scan::{Scan, TrivyPin, Unrated};
pub use sections::{Budgets, ExtraFile, Settings, Sign, Slow};
pub use size::Bytes;

pub use crate::paths::settings as file;

/// The networks that RUN steps can have.
pub const NETWORKS: [&str; 3] = ["default", "none", "host"];

/// A workspace and its settings.
#[derive(Debug)]
pub struct Workspace {
    /// The workspace's root folder.
    pub root: PathBuf,
    /// Its settings.
    pub settings: Settings,
}

impl Workspace {
    /// Finds the workspace of the current folder or of a parent, and reads its settings.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the current folder")?;
        Self::open(&paths::find(&here)?)
    }

    /// Reads the settings of the workspace at `root`.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join(file());
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let text = String::from_utf8(text).map_err(|error| {
            Fault::usage(format!("not UTF-8 from byte {} on", error.utf8_error().valid_up_to())).at(file())
        })?;
        let mut settings = reader::read::<Settings>(Path::new(file()), &text)?;
        settings.scan.locate(&text);
        Ok(Self { root: root.to_owned(), settings })
    }
}

impl Settings {
    /// The defaults for a package and its binary.
    pub fn minimal(package: &str, binary: Option<&str>) -> Result<Self, Faults> {
        let binary = binary.map_or_else(String::new, |binary| format!("binary = \"{binary}\"\n"));
        reader::read(Path::new(file()), &format!("package = \"{package}\"\n{binary}"))
    }
}

/// Writes `base` into the settings of the workspace at `root`, and keeps the rest of the file.
pub fn pin_base(root: &Path, base: &str) -> Result<()> {
    let path = root.join(file());
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    files::replace(&path, replace_base(&text, base)?.as_bytes())
}

fn replace_base(text: &str, base: &str) -> Result<String> {
    let (settings, errors) = DeTable::parse_recoverable(text);
    if let Some(error) = errors.first() {
        return Err(Fault::usage(error.message()).at(file()).into());
    }
    // The span of a string includes its quotes.
    Ok(match settings.get_ref().get("base") {
        Some(old) => format!("{}\"{base}\"{}", &text[..old.span().start], &text[old.span().end..]),
        None => format!("base = \"{base}\"\n{text}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cli_support::error::render;
    use expect_test::{Expect, expect};
    use oci_image::platform::Platform;

    fn read(text: &str) -> Result<Settings, cli_support::error::Faults> {
        reader::read(Path::new("image.toml"), text)
    }

    fn errors(text: &str, expected: &Expect) {
        expected.assert_eq(&render(&read(text).unwrap_err().into()));
    }

    #[test]
    fn a_name_is_enough() {
        let settings = read("package = 'hello'").unwrap();
        assert_eq!(settings.platforms, Platform::ALL);
        assert_eq!(settings.container.user, "65532:65532");
        assert_eq!(settings.base, "scratch");
    }

    #[test]
    fn all_mistakes_are_reported_at_once_each_in_its_place() {
        let text = r#"
pakage = "gateway"
platforms = ["linux/amd64", "linux/mips"]
labels = { a = 1 }

[container]
user = "root user"
expose = ["80/tpc"]
path = "usr/bin/x"

[budgets]
compressed = "8 MX"
secnds = 3

[[files]]
source = "a"
mode = "999"
"#;
        errors(
            text,
            &expect![[r#"
                error: image.toml:1:1: the key 'package' is missing
                error: image.toml:2:1: unknown key 'pakage'
                  help: did you mean 'package'?
                error: image.toml:3:29: unknown platform 'linux/mips': linux/amd64 and linux/arm64 can be built
                error: image.toml:4:16: expected a string, found integer
                error: image.toml:7:8: user 'root user' is not 'user[:group]' in letters, digits, '_', '-' and '.'
                error: image.toml:8:11: port '80/tpc' is not NUMBER, NUMBER/tcp or NUMBER/udp
                error: image.toml:9:8: path 'usr/bin/x' must be absolute, without '.' or '..'
                error: image.toml:12:14: '8 MX' is not a size: expected a number and B, kB, MB, GB, KiB, MiB or GiB
                error: image.toml:13:1: unknown key 'secnds'
                  help: did you mean 'seconds'?
                error: image.toml:15:1: the key 'target' is missing
                error: image.toml:17:8: mode '999' is not three or four octal digits
            "#]],
        );
    }

    #[test]
    fn tags_and_environments() {
        let text = r#"
package = "x"
latest = "never"

[[tags]]
type = "semver"

[[tags]]
type = "ref"
event = "fork"

[[tags]]
type = "calver"

[[environments]]
tag = "a"
signd = true
"#;
        errors(
            text,
            &expect![[r#"
                error: image.toml:3:10: latest 'never' is not auto, true or false
                error: image.toml:5:1: the key 'pattern' is missing
                error: image.toml:10:9: event 'fork' is not branch, tag or pr
                error: image.toml:13:8: type 'calver' is not semver, ref, edge, sha, schedule or raw
                error: image.toml:15:1: the key 'name' is missing
                error: image.toml:17:1: unknown key 'signd'
                  help: did you mean 'signed'?
            "#]],
        );
        let settings = read("package = 'x'\n[[environments]]\nname = 'dev'").unwrap();
        assert_eq!((settings.environments[0].tag.as_str(), settings.tags.len()), ("dev", 0));
    }

    #[test]
    fn broken_toml_has_a_place_too() {
        errors(
            "package = \"x\nbase = 1",
            &expect![[r#"
                error: image.toml:1:13: the file is not valid TOML here: invalid basic string, expected `"`
            "#]],
        );
        errors(
            "package = \"x\"\npackage = 1\nbase = \n",
            &expect![[r#"
                error: image.toml:2:1: the key 'package' is set twice
                error: image.toml:3:8: the file is not valid TOML here: string values must be quoted, expected literal string
            "#]],
        );
    }

    #[test]
    fn pinning_changes_the_base_and_nothing_else() {
        for (before, after) in [
            ("package = 'x' # c\nbase = 'b:1' # d\n", "package = 'x' # c\nbase = \"b@sha\" # d\n"),
            ("base = \"b:1\"\n[container]\n", "base = \"b@sha\"\n[container]\n"),
            ("[container]\n", "base = \"b@sha\"\n[container]\n"),
        ] {
            assert_eq!(replace_base(before, "b@sha").unwrap(), after);
        }
    }
}
