//! The commands in the documents of this repository are commands of this program, with flags that it has.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use rust_workspace::settings::Workspace;

const PROGRAM: &str = "cargo xtask ";

/// The command lines in a text: those of consoles, and code between backquotes.
fn lines(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() { Some(language) } else { None };
            continue;
        }
        match block {
            Some("console") => {
                let line = line.strip_prefix("$ ").unwrap_or_default();
                found.extend(line.split(" && ").map(|part| (part.to_owned(), true)));
            }
            Some(_) => {}
            None => found.extend(line.split('`').skip(1).step_by(2).map(|part| (part.to_owned(), false))),
        }
    }
    found
}

/// The words after `cargo xtask`, up to a pipe, a redirection or a comment; none for other programs and for parts of a line
/// such as `cargo xtask ci [CHECK]`.
fn words(line: &str) -> Option<Vec<String>> {
    let (_, rest) = line.split_once(PROGRAM)?;
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in rest.chars().chain([' ']) {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (letter, _) => word.push(letter),
        }
    }
    let end = words.iter().position(|word| ["|", "\\|", ">", "#", "…"].contains(&word.as_str()));
    words.truncate(end.unwrap_or(words.len()));
    (!words.iter().any(|word| word.starts_with('['))).then_some(words)
}

/// Whether a word is a placeholder such as `DAYS`.
fn is_placeholder(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() > 2 && bytes.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_')
}

#[test]
fn the_commands_of_documents_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the root");
    // A workspace that has copied the folder has other documents.
    if !root.join("docs/commands.md").is_file() {
        return;
    }
    let workspace = Workspace::open(root).expect("the settings");
    let cli = crate::commands::workspace::add(crate::Cli::command(), &workspace.settings.commands);
    let cli = cli.expect("commands");
    let documents = fs::read_dir(root.join("docs")).expect("documents").flatten().map(|entry| entry.path());
    let own = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    let documents = documents.chain(own.map(|name| root.join(name)));
    let documents: Vec<PathBuf> =
        documents.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    let (mut checked, mut wrong) = (0, Vec::new());
    for path in documents {
        let text = fs::read_to_string(&path).expect("text");
        for (line, is_console) in lines(&text.replace("\\\n", " ")) {
            let Some(words) = words(&line).filter(|words| !words.iter().all(|word| is_placeholder(word)))
            else {
                continue;
            };
            checked += 1;
            let all = ["cargo xtask".to_owned()].into_iter().chain(words.iter().cloned());
            let Err(error) = cli.clone().try_get_matches_from(all) else { continue };
            let fine = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
                // Text names commands without their arguments, and breaks lines.
                ErrorKind::MissingRequiredArgument
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                | ErrorKind::ValueValidation
                | ErrorKind::InvalidValue => !is_console,
                _ => words.first().is_some_and(|word| is_placeholder(word)),
            };
            if !fine {
                wrong.push(format!("{}: {line}: {error}", path.display()));
            }
        }
    }
    assert!(checked > 100, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
