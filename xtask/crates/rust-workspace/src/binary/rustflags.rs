//! The conditions (`--cfg`) that the workspace's `.cargo/config.toml` sets. All other flags of that file are omitted: an
//! image is built with fixed flags.

use std::fs;
use std::path::Path;
use std::str::FromStr as _;

use cargo_metadata::cargo_platform::{Cfg, CfgExpr};
use toml::de::{DeTable, DeValue};

use crate::settings::line_column;

/// The flags of one `rustflags` key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// `build`, or the `NAME` of `target.NAME`.
    section: Section,
    /// `FILE:LINE`.
    place: String,
    /// `NAME` of `--cfg NAME`.
    conditions: Vec<String>,
    /// The flags that are omitted.
    others: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Section {
    Build,
    Target(String),
}

/// The flags in the configuration of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceFlags {
    entries: Vec<Entry>,
}

impl WorkspaceFlags {
    /// Reads `.cargo/config.toml` of the workspace at `root`. Cargo reports a file that cannot be read.
    pub fn read(root: &Path) -> Self {
        // If both exist, cargo reads the one without an extension.
        let paths = ["config", "config.toml"].map(|name| root.join(".cargo").join(name));
        let read = |path: &std::path::PathBuf| {
            let text = fs::read_to_string(path).ok()?;
            Some(Self { entries: entries(&text, &path.display().to_string()) })
        };
        paths.iter().find_map(read).unwrap_or_default()
    }

    /// The arguments for rustc that set the conditions of a target.
    pub fn conditions(&self, triple: &str) -> Vec<String> {
        let of_target = self.entries.iter().filter(|entry| match &entry.section {
            Section::Build => false,
            Section::Target(name) => matches(name, triple),
        });
        let mut found: Vec<_> = of_target.collect();
        // Cargo reads build.rustflags only where no target has flags (the Cargo Book, "build.rustflags").
        if found.is_empty() {
            found = self.entries.iter().filter(|entry| entry.section == Section::Build).collect();
        }
        let names = found.iter().flat_map(|entry| &entry.conditions);
        names.flat_map(|name| ["--cfg".to_owned(), name.clone()]).collect()
    }

    /// A warning for each key with flags that are omitted.
    pub fn omitted(&self) -> Vec<String> {
        let with_others = self.entries.iter().filter(|entry| !entry.others.is_empty());
        let note = |entry: &Entry| {
            let section = match &entry.section {
                Section::Build => "build".to_owned(),
                Section::Target(name) => format!("target.{name}"),
            };
            let flags = entry.others.join(" ");
            format!("{}: {section}.rustflags: '{flags}' has no effect on the image; --cfg has", entry.place)
        };
        with_others.map(note).collect()
    }
}

/// Whether the name of a target's section, a triple or `cfg(…)`, is that of a Linux target.
fn matches(name: &str, triple: &str) -> bool {
    let Some(expression) = name.strip_prefix("cfg(").and_then(|rest| rest.strip_suffix(')')) else {
        return name == triple;
    };
    CfgExpr::from_str(expression).is_ok_and(|expression| expression.matches(&conditions_of(triple)))
}

/// Output of `rustc --print cfg` for 64-bit Linux targets, without CPU features.
fn conditions_of(triple: &str) -> Vec<Cfg> {
    let mut parts = triple.split('-');
    let arch = parts.next().unwrap_or_default();
    let env = parts.next_back().unwrap_or_default();
    let lines = [
        "unix".to_owned(),
        format!("target_arch=\"{arch}\""),
        format!("target_env=\"{env}\""),
        "target_os=\"linux\"".to_owned(),
        "target_family=\"unix\"".to_owned(),
        "target_vendor=\"unknown\"".to_owned(),
        "target_pointer_width=\"64\"".to_owned(),
        "target_endian=\"little\"".to_owned(),
    ];
    lines.iter().filter_map(|line| Cfg::from_str(line).ok()).collect()
}

fn entries(text: &str, path: &str) -> Vec<Entry> {
    let Ok(config) = DeTable::parse(text) else { return Vec::new() };
    let section = |name: &str| config.get_ref().get(name)?.get_ref().as_table();
    let build = section("build").into_iter().map(|table| (Section::Build, table));
    let targets = section("target").into_iter().flatten();
    let targets = targets.filter_map(|(name, target)| {
        Some((Section::Target(name.get_ref().to_string()), target.get_ref().as_table()?))
    });
    let found = build.chain(targets).filter_map(|(section, table)| {
        let value = table.get("rustflags")?;
        let (conditions, others) = split(&words(value.get_ref()));
        let place = format!("{path}:{}", line_column(text, value.span().start).0);
        Some(Entry { section, place, conditions, others })
    });
    found.collect()
}

/// The flags as a list, or as one text with spaces.
fn words(value: &DeValue<'_>) -> Vec<String> {
    match value {
        DeValue::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        DeValue::Array(list) => {
            list.iter().filter_map(|word| Some(word.get_ref().as_str()?.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// The names of `--cfg`, and all other flags. `--check-cfg` is neither: it changes no code.
fn split(words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut conditions, mut others) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("--cfg", name)) => conditions.push(name.to_owned()),
            Some(("--check-cfg", _)) => {}
            _ if word == "--cfg" => conditions.extend(words.next().cloned()),
            _ if word == "--check-cfg" => drop(words.next()),
            _ => others.push(word.clone()),
        }
    }
    (conditions, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_that_cargo_sets() {
        let arm = "aarch64-unknown-linux-musl";
        for (config, expected) in [
            (
                "[build]\nrustflags = ['--cfg', 'tokio_unstable', '-Ctarget-cpu=native']",
                "--cfg tokio_unstable",
            ),
            ("[build]\nrustflags = '--cfg=a --cfg b=\"c\" --check-cfg cfg(a)'", "--cfg a --cfg b=\"c\""),
            ("[target.'cfg(unix)']\nrustflags = '--cfg a'\n[build]\nrustflags = '--cfg b'", "--cfg a"),
            ("[target.'cfg(windows)']\nrustflags = '--cfg a'\n[build]\nrustflags = '--cfg b'", "--cfg b"),
            (
                "[target.'cfg(all(target_arch = \"aarch64\", target_env = \"musl\"))']\nrustflags = '--cfg a'",
                "--cfg a",
            ),
            ("[target.aarch64-unknown-linux-musl]\nrustflags = '--cfg a'", "--cfg a"),
            ("[target.x86_64-unknown-linux-musl]\nrustflags = '--cfg a'", ""),
            ("not toml", ""),
        ] {
            let flags = WorkspaceFlags { entries: entries(config, "c") };
            assert_eq!(flags.conditions(arm).join(" "), expected, "{config}");
        }
    }

    #[test]
    fn other_flags_are_named() {
        let text = "[build]\njobs = 2\nrustflags = ['-Cx', '--cfg', 'a']\n[target.'cfg(unix)']\nlinker = 'l'\n\
                    rustflags = 'y'\n[target.a]\nrustflags = '--cfg b'\n";
        let flags = WorkspaceFlags { entries: entries(text, "config.toml") };
        let expected = [
            "config.toml:3: build.rustflags: '-Cx' has no effect on the image; --cfg has",
            "config.toml:6: target.cfg(unix).rustflags: 'y' has no effect on the image; --cfg has",
        ];
        assert_eq!(flags.omitted(), expected);
    }
}
