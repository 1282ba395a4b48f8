//! SPDX 2.3, in JSON (ISO/IEC 5962 and its successor).

use serde_json::{Value, json};

use super::{Component, ComponentKind, Escaped, Sbom, UNLISTED};

const UNKNOWN: &str = "NOASSERTION";

/// The document.
pub fn document(sbom: &Sbom<'_>) -> Value {
    let own = id("image");
    let digest = sbom.image.digest;
    let mut packages = vec![json!({
        "SPDXID": own,
        "name": sbom.name.text,
        "versionInfo": digest.to_string(),
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{ "algorithm": "SHA256", "checksumValue": digest.hex() }],
        "externalRefs": [purl(&sbom.purl())],
    })];
    packages.extend(sbom.components.iter().map(package));
    let relation = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", &own)];
    for one in &sbom.components {
        relations.push(relation(&own, "CONTAINS", &id(&one.key)));
        relations.extend(one.depends.iter().map(|below| relation(&id(&one.key), "DEPENDS_ON", &id(below))));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{} {}", sbom.name.text, sbom.image.platform),
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}", Escaped(sbom.name.short()), digest.hex()),
        "creationInfo": {
            "created": sbom.created,
            "creators": [concat!("Tool: xtask-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relations,
    })
}

fn package(one: &Component) -> Value {
    let purpose = match one.kind {
        ComponentKind::Program | ComponentKind::Unlisted => "APPLICATION",
        ComponentKind::Crate | ComponentKind::Package => "LIBRARY",
        ComponentKind::System => "OPERATING-SYSTEM",
    };
    let mut value = json!({
        "SPDXID": id(&one.key),
        "name": one.name,
        "downloadLocation": one.download.as_deref().unwrap_or(UNKNOWN),
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": one.licence.as_deref().unwrap_or(UNKNOWN),
        "copyrightText": UNKNOWN,
        "primaryPackagePurpose": purpose,
    });
    if !one.version.is_empty() {
        value["versionInfo"] = json!(one.version);
    }
    if one.kind == ComponentKind::Unlisted {
        value["comment"] = json!(UNLISTED);
    }
    if !one.purl.is_empty() {
        value["externalRefs"] = json!([purl(&one.purl)]);
    }
    value
}

fn purl(text: &str) -> Value {
    json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": text })
}

/// Letters, digits, dots and hyphens are all that an identifier may have (section 3.2).
fn id(key: &str) -> String {
    let mut id = "SPDXRef-".to_owned();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b".-".contains(&byte) {
            id.push(char::from(byte));
        } else {
            // Two keys must not give one id.
            id.push_str(&format!("-{byte:02x}-"));
        }
    }
    id
}
