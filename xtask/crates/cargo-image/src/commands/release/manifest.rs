//! The version in Cargo.toml.

use std::ops::Range;

use anyhow::{Context as _, Result};
use cli_support::error::Fault;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The manifest with another version. `keys` leads to the table that has it: `package`, or `workspace` and `package`.
/// None where the version is not written there, such as `version.workspace = true`.
pub fn with_version(text: &str, keys: &[&str], version: &str) -> Result<Option<String>> {
    let document = DeTable::parse(text).map_err(|error| Fault::usage(error.message().to_owned()))?;
    let mut table = document.get_ref();
    for key in keys {
        let Some(DeValue::Table(below)) = table.get(*key).map(Spanned::get_ref) else { return Ok(None) };
        table = below;
    }
    let Some(old) = table.get("version").filter(|old| old.get_ref().is_str()) else { return Ok(None) };
    let Range { start, end } = old.span();
    let before = text.get(..start).context("the version's place")?;
    let after = text.get(end..).context("the version's place")?;
    Ok(Some(format!("{before}\"{version}\"{after}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_changes() {
        let own = "[package]\nname = 'a' # version = '1'\nversion = '0.1.0' # keep\n[dependencies]\nb = { version = '1' }\n";
        assert_eq!(
            with_version(own, &["package"], "0.2.0").unwrap().unwrap(),
            own.replace("'0.1.0'", "\"0.2.0\"")
        );
        assert_eq!(with_version(own, &["workspace", "package"], "0.2.0").unwrap(), None);
        let inherits = "[package]\nname = 'a'\nversion.workspace = true\n";
        assert_eq!(with_version(inherits, &["package"], "0.2.0").unwrap(), None);
        let root = "[workspace.package]\nversion = \"0.1.0\"\n";
        assert_eq!(
            with_version(root, &["workspace", "package"], "0.2.0").unwrap().unwrap(),
            "[workspace.package]\nversion = \"0.2.0\"\n"
        );
        assert!(with_version("[package\n", &["package"], "1.0.0").is_err());
    }
}
