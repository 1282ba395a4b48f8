//! Which statements count: those that keep a finding from failing must say why, and about which version.

use serde_json::Value;

/// Where a statement says why.
const REASONS: [&str; 4] = ["justification", "impact_statement", "status_notes", "action_statement"];

/// Takes out what does not count, and says of each what it lacks. The next version of a package is another
/// one, of which nobody said anything yet.
pub fn keep_sound(statements: &mut Vec<Value>) -> Vec<String> {
    let mut notes = Vec::new();
    statements.retain_mut(|statement| {
        let status = text(statement, "status");
        if !["not_affected", "fixed"].contains(&status) {
            return true;
        }
        let vulnerability = &statement["vulnerability"];
        let name = vulnerability.as_str().unwrap_or_else(|| text(vulnerability, "name"));
        let said = format!("the statement that {name} is {status} does not count");
        let reason = REASONS.iter().map(|key| text(statement, key)).find(|text| !text.trim().is_empty());
        let reason = reason.map(Value::from);
        let Some(reason) = reason else {
            notes.push(format!("{said}: it is without a reason ({})", REASONS.join(", ")));
            return false;
        };
        // Where Trivy takes the reason from that it repeats.
        statement["justification"] = reason;
        let products = statement.get_mut("products").and_then(Value::as_array_mut);
        let (mut before, mut after) = (0, 0);
        if let Some(products) = products {
            before = products.len();
            products.retain_mut(has_version);
            after = products.len();
        }
        if after < before || before == 0 {
            let which = if after > 0 { "for each of its products" } else { "at all" };
            let said = said.replace("count", &format!("count {which}"));
            notes.push(format!("{said}: a product is a package URL with a version (pkg:cargo/NAME@VERSION)"));
        }
        after > 0
    });
    notes
}

/// Whether it names a version, itself or below it; parts that do not are taken out.
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
            // Qualifiers may have an `@` of their own.
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
    fn a_statement_has_a_reason_and_a_version() {
        let one = json!(["pkg:cargo/h2@0.3.0"]);
        for (statement, count, note) in [
            (json!({ "status": "fixed", "products": one }), 0, "without a reason"),
            (json!({ "status": "fixed", "products": one, "status_notes": " " }), 0, "without a reason"),
            (json!({ "status": "fixed", "products": one, "status_notes": "patched" }), 1, ""),
            (json!({ "status": "fixed", "products": one, "action_statement": "patched" }), 1, ""),
            (json!({ "status": "not_affected", "products": one, "impact_statement": "x" }), 1, ""),
            (json!({ "status": "affected", "products": ["pkg:cargo/h2"] }), 1, ""),
            (json!({ "status": "fixed", "status_notes": "x" }), 0, "count at all"),
        ] {
            let mut statements = vec![statement];
            let notes = keep_sound(&mut statements).join(";");
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
        assert!(keep_sound(&mut statements)[0].contains("for each"));
        assert_eq!(statements[0]["products"], json!(["pkg:a/b@1"]));
    }
}
