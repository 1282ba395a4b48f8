//! CycloneDX 1.6, in JSON (ECMA-424).

use serde_json::{Value, json};

use super::{Component, ComponentKind, Sbom, UNLISTED};

/// The document.
pub fn document(sbom: &Sbom<'_>) -> Value {
    let own = sbom.purl();
    let mut dependencies = vec![json!({
        "ref": own,
        "dependsOn": keys(sbom, &[ComponentKind::Program, ComponentKind::Unlisted]),
    })];
    dependencies
        .extend(sbom.components.iter().map(|one| json!({ "ref": one.key, "dependsOn": one.depends })));
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(&sbom.image.digest.hex()),
        "version": 1,
        "metadata": {
            "timestamp": sbom.created,
            "tools": { "components": [
                { "type": "application", "name": "xtask", "version": env!("CARGO_PKG_VERSION") },
            ] },
            "component": {
                "type": "container",
                "bom-ref": own,
                "name": sbom.name.text,
                "version": sbom.image.digest.to_string(),
                "purl": own,
                "properties": [{ "name": "xtask:platform", "value": sbom.image.platform.to_string() }],
            },
        },
        "components": sbom.components.iter().map(component).collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    let unlisted = keys(sbom, &[ComponentKind::Unlisted]);
    if !unlisted.is_empty() {
        document["compositions"] = json!([{ "aggregate": "unknown", "dependencies": unlisted }]);
    }
    document
}

fn keys<'a>(sbom: &'a Sbom<'_>, kinds: &[ComponentKind]) -> Vec<&'a str> {
    sbom.components.iter().filter(|one| kinds.contains(&one.kind)).map(|one| one.key.as_str()).collect()
}

fn component(one: &Component) -> Value {
    let kind = match one.kind {
        ComponentKind::Program | ComponentKind::Unlisted => "application",
        ComponentKind::Crate | ComponentKind::Package => "library",
        ComponentKind::System => "operating-system",
    };
    let mut value = json!({ "type": kind, "bom-ref": one.key, "name": one.name });
    if !one.version.is_empty() {
        value["version"] = json!(one.version);
    }
    if !one.purl.is_empty() {
        value["purl"] = json!(one.purl);
    }
    if one.kind == ComponentKind::Unlisted {
        value["description"] = json!(UNLISTED);
    }
    if let Some(licence) = &one.licence {
        value["licenses"] = json!([{ "expression": licence }]);
    }
    value
}

/// A UUID of version 8, for custom formats (RFC 9562, section 5.8), from 32 digits of the digest.
fn serial(hex: &str) -> String {
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
