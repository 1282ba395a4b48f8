//! Valid statements: one that excepts a finding must have a reason, and a version of the product.

use serde_json::Value;

/// The keys with a reason.
const REASONS: [&str; 4] = ["justification", "impact_statement", "status_notes", "action_statement"];

/// Removes invalid statements, and gives a note about each. A statement without a version would also apply to later
/// versions, which its author did not know.
pub(super) fn remove_invalid(statements: &mut Vec<Value>) -> Vec<String> {
    let mut notes = Vec::new();
    statements.retain_mut(|statement| {
        let status = text(statement, "status");
        if !["not_affected", "fixed"].contains(&status) {
            return true;
        }
        let vulnerability = &statement["vulnerability"];
        let name = vulnerability.as_str().unwrap_or_else(|| text(vulnerability, "name"));
        let ignored = format!("the statement '{name} is {status}' is ignored");
        let reason = REASONS.iter().map(|key| text(statement, key)).find(|text| !text.trim().is_empty());
        let reason = reason.map(Value::from);
        let Some(reason) = reason else {
            notes.push(format!("{ignored}: it has no reason ({})", REASONS.join(", ")));
            return false;
        };
        // Trivy repeats the reason from this key.
        statement["justification"] = reason;
        let products = statement.get_mut("products").and_then(Value::as_array_mut);
        let (mut before, mut after) = (0, 0);
        if let Some(products) = products {
            before = products.len();
            products.retain_mut(has_version);
            after = products.len();
        }
        if after < before || before == 0 {
            let which = if after > 0 { " for some of its products" } else { "" };
            notes.push(format!(
                "{ignored}{which}: a product must be a package URL with a version (pkg:cargo/NAME@VERSION)"
            ));
        }
        after > 0
    });
    notes
}

/// Whether a product or one of its subcomponents has a version. Removes subcomponents without one.
fn has_version(product: &mut Value) -> bool {
    match product.get_mut("subcomponents").and_then(Value::as_array_mut) {
        Some(parts) if !parts.is_empty() => {
            parts.retain_mut(has_version);
            !parts.is_empty()
        }
        _ => {
            let purl = product.as_str().unwrap_or_else(|| {
                let purl = text(&product["identifiers"], "purl");
                if purl.is_empty() { text(product, "@id") } else { purl }
            });
            // Qualifiers may contain an `@`.
            let path = purl.split(['?', '#']).next().unwrap_or_default();
            let last = path.strip_prefix("pkg:").and_then(|path| path.rsplit('/').next());
            last.and_then(|last| last.split_once('@')).is_some_and(|(_, version)| !version.is_empty())
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_need_a_reason_and_a_version() {
        let one = json!(["pkg:cargo/h2@0.3.0"]);
        for (statement, count, note) in [
            (json!({ "status": "fixed", "products": one }), 0, "has no reason"),
            (json!({ "status": "fixed", "products": one, "status_notes": " " }), 0, "has no reason"),
            (json!({ "status": "fixed", "products": one, "status_notes": "patched" }), 1, ""),
            (json!({ "status": "fixed", "products": one, "action_statement": "patched" }), 1, ""),
            (json!({ "status": "not_affected", "products": one, "impact_statement": "x" }), 1, ""),
            (json!({ "status": "affected", "products": ["pkg:cargo/h2"] }), 1, ""),
            (json!({ "status": "fixed", "status_notes": "x" }), 0, "must be a package URL"),
        ] {
            let mut statements = vec![statement];
            let notes = remove_invalid(&mut statements).join(";");
            assert_eq!((statements.len(), notes.is_empty()), (count, note.is_empty()), "{notes}");
            assert!(notes.contains(note), "{notes}");
        }
        for (product, sound) in [
            (json!("pkg:cargo/h2@0.3.0"), true),
            (json!("pkg:cargo/h2"), false),
            (json!("pkg:cargo/h2@"), false),
            (json!("pkg:deb/debian/bash?x=a@1"), false),
            (json!("pkg:npm/@scope/name"), false),
            (json!("pkg:npm/%40scope/name@1"), true),
            (json!({ "@id": "https://example.org/product@1" }), false),
            (json!({ "@id": "x", "identifiers": { "purl": "pkg:cargo/h2@1" } }), true),
            (json!({ "@id": "pkg:oci/app", "subcomponents": ["pkg:cargo/h2@1", "pkg:cargo/h3"] }), true),
            (json!({ "@id": "pkg:oci/app@sha256:1", "subcomponents": ["pkg:cargo/h2"] }), false),
            (json!(7), false),
            (json!({ "subcomponents": [{ "subcomponents": [] }] }), false),
        ] {
            assert_eq!(has_version(&mut product.clone()), sound, "{product}");
        }
        let both = json!({ "status": "fixed", "status_notes": "x", "products": ["pkg:a/b@1", "pkg:a/b"] });
        let mut statements = vec![both];
        assert!(remove_invalid(&mut statements)[0].contains("for some"));
        assert_eq!(statements[0]["products"], json!(["pkg:a/b@1"]));
    }
}
