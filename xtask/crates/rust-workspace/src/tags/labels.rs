//! Templates in labels: `[labels] branch = "{{branch}}"`.

use std::collections::BTreeMap;

use super::derive::TagInputs;
use super::globals::global;
use super::template::fill;
use cli_support::error::Fault;

/// Whether a label has a template.
pub fn has_template(labels: &BTreeMap<String, String>) -> bool {
    labels.values().any(|value| value.contains("{{"))
}

/// Fills in the templates of labels.
pub fn fill_labels(labels: &mut BTreeMap<String, String>, facts: &TagInputs<'_>) -> Result<(), Fault> {
    for value in labels.values_mut() {
        *value = fill(value, |name| global(name, facts))?;
    }
    Ok(())
}
