//! Additions to files that keep everything else, and their difference.

use anyhow::Result;
use cli_support::error::Fault;
use toml::de::DeTable;

/// The path of cargo's configuration.
const CONFIG: &str = ".cargo/config.toml";

/// The configuration with the alias `xtask`. An alias that exists is kept.
pub fn with_alias(text: &str, command: &str) -> Result<String, Fault> {
    let has_alias = |text: &str| {
        let config = DeTable::parse(text).ok()?;
        let alias = config.get_ref().get("alias")?.get_ref().as_table()?;
        Some(alias.contains_key("xtask"))
    };
    if has_alias(text) == Some(true) {
        return Ok(text.to_owned());
    }
    let value = format!("\"{command}\"");
    let header = text.split_inclusive('\n').scan(0, |at, line| {
        *at += line.len();
        Some((*at, line))
    });
    let after = match header.into_iter().find(|(_, line)| line.trim() == "[alias]") {
        Some((at, line)) => {
            let end = if line.ends_with('\n') { "" } else { "\n" };
            format!("{}{end}xtask = {value}\n{}", &text[..at], &text[at..])
        }
        None if has_alias(text).is_some() => format!("alias.xtask = {value}\n{text}"),
        None => format!("{}[alias]\nxtask = {value}\n", ended(text, "\n")),
    };
    match has_alias(&after) {
        Some(true) => Ok(after),
        _ => Err(Fault::usage("the alias cannot be added to this file")
            .at(CONFIG)
            .hint(format!("add it by hand, in [alias]: xtask = {value}"))),
    }
}

/// Whether a new folder in the workspace becomes a member: cargo's `*` includes hidden folders.
pub fn takes_any_folder(manifest: &str) -> bool {
    let has = |key: &str, words: &[&str]| {
        let table = DeTable::parse(manifest).ok()?;
        let workspace = table.get_ref().get("workspace")?.get_ref().as_table()?;
        let list = workspace.get(key)?.get_ref().as_array()?;
        Some(list.iter().any(|entry| entry.get_ref().as_str().is_some_and(|entry| words.contains(&entry))))
    };
    has("members", &["*", "./*", "**"]) == Some(true) && has("exclude", &[".cargo", "./.cargo"]) != Some(true)
}

/// The ignore file with an entry more.
pub fn with_ignored(text: &str, entry: &str) -> String {
    format!("{}{entry}\n", ended(text, ""))
}

/// A text whose last line ends, with `between` behind it where it is not empty.
fn ended(text: &str, between: &str) -> String {
    match text {
        "" => String::new(),
        text if text.ends_with('\n') => format!("{text}{between}"),
        text => format!("{text}\n{between}"),
    }
}

/// The lines that differ, `-` before the old and `+` before the new ones. Both texts differ in one place at most.
pub fn difference(path: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut out = format!("{} {path}\n", if before.is_empty() { "new" } else { "changed" });
    let removed = old[start..old.len() - end].iter().map(|line| ("- ", line));
    let added = new[start..new.len() - end].iter().map(|line| ("+ ", line));
    for (sign, line) in removed.chain(added) {
        out.extend([sign, line, "\n"]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_is_added_and_everything_else_stays() {
        let line = "xtask = \"image\"\n";
        for (before, after) in [
            ("", format!("[alias]\n{line}")),
            ("[build]\njobs = 2", format!("[build]\njobs = 2\n\n[alias]\n{line}")),
            ("[alias]\nb = \"build\"\n[net]\n", format!("[alias]\n{line}b = \"build\"\n[net]\n")),
            ("[alias]", format!("[alias]\n{line}")),
            ("alias.b = \"build\"\n", format!("alias.{line}alias.b = \"build\"\n")),
            ("[alias]\nxtask = \"run\"\n", "[alias]\nxtask = \"run\"\n".to_owned()),
        ] {
            assert_eq!(with_alias(before, "image").unwrap(), after, "{before}");
            assert_eq!(with_alias(&after, "image").unwrap(), after, "again: {before}");
        }
        for broken in ["alias = {}\n", "[alias\n"] {
            let fault = with_alias(broken, "image").unwrap_err().to_string();
            assert!(fault.contains(".cargo/config.toml: the alias cannot be added"), "{fault}");
        }
    }

    #[test]
    fn a_glob_of_members_takes_hidden_folders() {
        for (manifest, expected) in [
            ("[workspace]\nmembers = ['*']\n", true),
            ("[workspace]\nmembers = ['a', './*']\nexclude = ['target']\n", true),
            ("[workspace]\nmembers = ['*']\nexclude = ['target', '.cargo']\n", false),
            ("[workspace]\nmembers = ['crates/*', 'a-*']\n", false),
            ("[package]\nname = 'a'\n", false),
            ("[workspace", false),
        ] {
            assert_eq!(takes_any_folder(manifest), expected, "{manifest}");
        }
    }

    #[test]
    fn only_what_differs_is_shown() {
        for (before, after, expected) in [
            ("", "a\nb\n", "new x\n+ a\n+ b\n"),
            ("a\nb\n", "a\nc\nb\n", "changed x\n+ c\n"),
            ("a\n", "a\nb\n", "changed x\n+ b\n"),
            ("a\na\n", "a\na\na\n", "changed x\n+ a\n"),
            ("a\nb", "a\nc", "changed x\n- b\n+ c\n"),
        ] {
            assert_eq!(difference("x", before, after), expected, "{before:?}");
        }
        assert_eq!(with_ignored("a", "/target"), "a\n/target\n");
        assert_eq!(with_ignored("", "/target"), "/target\n");
    }
}
