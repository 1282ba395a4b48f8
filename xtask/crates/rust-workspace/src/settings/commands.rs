//! `[[commands]]`: programs of the workspace that are commands of `cargo xtask`.

use super::reader::{FromToml, Mistake, Table, Value, wrong};

/// A program of the workspace, and the command that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceCommand {
    /// The command's name: one word, or two below another command.
    pub name: String,
    /// Its description in the help.
    pub about: String,
    /// The cargo package whose binary it is.
    pub package: String,
    /// Arguments before those of the command line.
    pub arguments: Vec<String>,
}

impl FromToml for WorkspaceCommand {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let name = table.required_at::<String>("name").unwrap_or_default();
        let words: Vec<&str> = name.value.split(' ').collect();
        let is_word = |word: &&str| {
            word.starts_with(|letter: char| letter.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if words.len() > 2 || !words.iter().all(is_word) {
            let what = format!("name '{}' is not one or two words in lower case", name.value);
            table.errors.push(wrong(name.at, what));
        }
        let command = Self {
            name: name.value.clone(),
            about: table.optional("about").unwrap_or_default(),
            package: table.required("package").unwrap_or_default(),
            arguments: table.optional("arguments").unwrap_or_default(),
        };
        table.finish()?;
        Ok(command)
    }
}
