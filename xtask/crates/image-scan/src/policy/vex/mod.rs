//! VEX documents: statements that a vulnerability does not affect the image (OpenVEX specification 0.2.0).
//!
//! Statements about crates (`pkg:cargo/…`, as a product or a subcomponent) apply to the findings of all engines, other
//! statements to Trivy's alone. Trivy gets only the statements that `validate` accepts.

mod validate;

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::finding::{Finding, FindingKind, vex_reason};
use cli_support::error::Fault;
use cli_support::time::seconds_of;
use oci_image::oci::MAX_DOCUMENT;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    timestamp: String,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug, Deserialize)]
struct Statement {
    vulnerability: VulnerabilityName,
    #[serde(default)]
    products: Vec<Product>,
    status: String,
    #[serde(default)]
    justification: String,
    #[serde(default)]
    timestamp: String,
}

/// A string in version 0.0.1 of the specification, an object since.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum VulnerabilityName {
    Name(String),
    Object {
        name: String,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Product {
    Name(String),
    Object {
        #[serde(rename = "@id", default)]
        id: String,
        #[serde(default)]
        identifiers: Identifiers,
        #[serde(default)]
        subcomponents: Vec<Product>,
    },
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Identifiers {
    #[serde(default)]
    purl: String,
}

/// A VEX document.
#[derive(Debug)]
pub struct Vex {
    /// Its path below the workspace's root.
    pub source: String,
    /// The valid statements, oldest first; none for a format that only Trivy reads.
    statements: Option<Vec<Statement>>,
    /// Why statements are not valid.
    notes: Vec<String>,
    /// The document for Trivy, without invalid statements.
    pub for_trivy: Vec<u8>,
}

impl Vex {
    /// Reads the document at `path` below the workspace's root.
    pub fn read(root: &Path, path: &str) -> Result<Self> {
        let at = || Fault::gate("cannot read the VEX document").at(path);
        let whole = root.join(path);
        let size = whole.metadata().with_context(at)?.len();
        if size > MAX_DOCUMENT {
            let what = format!("the VEX document has {size} bytes; the limit is {MAX_DOCUMENT}");
            return Err(Fault::gate(what).at(path).into());
        }
        Self::parse(path, std::fs::read(&whole).with_context(at)?).with_context(at)
    }

    fn parse(source: &str, bytes: Vec<u8>) -> Result<Self> {
        let source = source.to_owned();
        let mut value: serde_json::Value = serde_json::from_slice(&bytes)?;
        let context = value.get("@context").and_then(serde_json::Value::as_str).unwrap_or_default();
        if !context.starts_with("https://openvex.dev/ns") {
            let note = "not OpenVEX, so its statements apply to Trivy's findings only".to_owned();
            return Ok(Self { source, statements: None, notes: vec![note], for_trivy: bytes });
        }
        let listed = value.get_mut("statements").and_then(serde_json::Value::as_array_mut);
        let notes = listed.map(validate::remove_invalid).unwrap_or_default();
        let for_trivy = value.to_string().into_bytes();
        let document: Document = serde_json::from_value(value)?;
        let mut statements = document.statements;
        for one in &mut statements {
            if one.timestamp.is_empty() {
                one.timestamp.clone_from(&document.timestamp);
            }
        }
        // A stable sort: the last of several statements with the same time applies.
        statements.sort_by_key(|one| seconds_of(&one.timestamp).unwrap_or(0));
        Ok(Self { source, statements: Some(statements), notes, for_trivy })
    }

    /// Marks the findings that are not affected by the latest statement about them. Returns notes about the document.
    pub fn apply(&self, findings: &mut [Finding]) -> Vec<String> {
        let mut notes = self.notes.clone();
        if let Some(statements) = &self.statements {
            let open = findings.iter_mut().filter(|finding| finding.ignored.is_none());
            for finding in open.filter(|finding| finding.kind == FindingKind::Vulnerability) {
                let Some(latest) = statements.iter().rfind(|one| one.is_about(finding)) else { continue };
                if ["not_affected", "fixed"].contains(&latest.status.as_str()) {
                    let reason = vex_reason(&latest.status, &latest.justification, &self.source);
                    finding.ignored = Some(reason);
                }
            }
            // Trivy marks findings with the same words.
            let mark = format!("({})", self.source);
            let by_this = |reason: &String| reason.starts_with("VEX: ") && reason.ends_with(&mark);
            if !findings.iter().any(|finding| finding.ignored.as_ref().is_some_and(by_this)) {
                notes.push("no statement applies to a finding".to_owned());
            }
        }
        notes.into_iter().map(|note| format!("{}: {note}", self.source)).collect()
    }
}

impl Product {
    fn purl(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Object { id, identifiers, .. } if identifiers.purl.is_empty() => id,
            Self::Object { identifiers, .. } => &identifiers.purl,
        }
    }

    /// Whether it is a finding's crate, or a crate that depends on it.
    fn has(&self, finding: &Finding) -> bool {
        let is_subject = |purl: &str| {
            cargo(purl).is_some_and(|(name, version)| {
                name == finding.subject && version.is_none_or(|version| version == finding.version)
            })
        };
        match self {
            Self::Object { subcomponents, .. } if !subcomponents.is_empty() => {
                let (name, _) = cargo(self.purl()).unwrap_or_default();
                let above = finding.path.iter().any(|one| one.split('@').next() == Some(name));
                above && subcomponents.iter().any(|one| is_subject(one.purl()))
            }
            _ => is_subject(self.purl()),
        }
    }
}

impl Statement {
    fn is_about(&self, finding: &Finding) -> bool {
        let called = match &self.vulnerability {
            VulnerabilityName::Name(name) => finding.is_called(name),
            VulnerabilityName::Object { name, aliases } => {
                finding.is_called(name) || aliases.iter().any(|alias| finding.is_called(alias))
            }
        };
        called && self.products.iter().any(|product| product.has(finding))
    }
}

/// The name and version in the package URL of a crate. Qualifiers would mean another registry.
fn cargo(purl: &str) -> Option<(&str, Option<String>)> {
    let rest = purl.strip_prefix("pkg:cargo/").filter(|rest| !rest.contains(['?', '#', '/']))?;
    Some(match rest.split_once('@') {
        Some((name, version)) => (name, Some(version.replace("%2B", "+").replace("%2b", "+"))),
        None => (rest, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_workspace::severity::Severity;
    use serde_json::json;

    fn finding() -> Finding {
        Finding {
            subject: "h2".to_owned(),
            version: "0.3.0".to_owned(),
            aliases: ["CVE-1".to_owned()].into(),
            path: ["app", "http@1.0.0", "h2"].map(str::to_owned).into(),
            ..Finding::new(FindingKind::Vulnerability, "RUSTSEC-1", Severity::High, "builtin")
        }
    }

    fn apply(statements: &serde_json::Value) -> Option<String> {
        let document = json!({ "@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2026-01-02T00:00:00Z",
            "statements": statements });
        let vex = Vex::parse("v.json", document.to_string().into_bytes()).unwrap();
        let mut findings = [finding()];
        vex.apply(&mut findings);
        findings[0].ignored.clone()
    }

    #[test]
    fn statements_apply_to_their_products() {
        let with = |products: serde_json::Value| {
            apply(&json!([{ "vulnerability": { "name": "CVE-1" }, "products": products,
                "status": "not_affected", "justification": "vulnerable_code_not_present" }]))
        };
        let sub =
            |product: &str, below: &str| json!([{ "@id": product, "subcomponents": [{ "@id": below }] }]);
        for (products, good) in [
            (json!([{ "@id": "pkg:cargo/h2@0.3.0" }]), true),
            (json!([{ "@id": "x", "identifiers": { "purl": "pkg:cargo/h2@0.3.0" } }]), true),
            (json!([{ "@id": "pkg:cargo/h2" }]), false),
            (json!(["pkg:cargo/h2@0.3.0"]), true),
            (json!([{ "@id": "pkg:cargo/h2@0.3.1" }]), false),
            (json!([{ "@id": "pkg:cargo/h2@0.3.0?repository_url=x" }]), false),
            (json!([{ "@id": "pkg:npm/h2@0.3.0" }]), false),
            (json!([]), false),
            (sub("pkg:cargo/app", "pkg:cargo/h2@0.3.0"), true),
            (sub("pkg:cargo/http@1.0.0", "pkg:cargo/h2@0.3.0"), true),
            (sub("pkg:cargo/http@1.0.0", "pkg:cargo/h2"), false),
            (sub("pkg:cargo/other", "pkg:cargo/h2@0.3.0"), false),
            (sub("pkg:oci/app", "pkg:cargo/h2@0.3.0"), false),
            (sub("pkg:cargo/app", "pkg:cargo/h3@0.3.0"), false),
        ] {
            assert_eq!(with(products.clone()).is_some(), good, "{products}");
        }
    }

    #[test]
    fn the_latest_statement_applies() {
        let one = |name: &str, status: &str, time: &str| {
            json!({ "vulnerability": name, "products": ["pkg:cargo/h2@0.3.0"], "status": status,
                "justification": "component_not_present", "timestamp": time })
        };
        let early = "2026-01-01T00:00:00Z";
        let late = "2026-02-01T00:00:00Z";
        for (statements, good) in [
            (json!([one("RUSTSEC-1", "fixed", early)]), true),
            (json!([one("RUSTSEC-2", "fixed", early)]), false),
            (json!([one("RUSTSEC-1", "affected", early)]), false),
            (json!([one("RUSTSEC-1", "under_investigation", early)]), false),
            (json!([one("RUSTSEC-1", "affected", late), one("CVE-1", "not_affected", early)]), false),
            (json!([one("RUSTSEC-1", "not_affected", late), one("CVE-1", "affected", early)]), true),
        ] {
            assert_eq!(apply(&statements).is_some(), good, "{statements}");
        }
        let message = apply(&json!([one("RUSTSEC-1", "not_affected", early)])).unwrap();
        assert_eq!(message, "VEX: not_affected, component_not_present (v.json)");
        let silent = json!({ "@context": "https://openvex.dev/ns/v0.2.0",
            "statements": [{ "vulnerability": "a", "status": "not_affected" }] });
        let vex = Vex::parse("v", silent.to_string().into_bytes()).unwrap();
        let notes = vex.apply(&mut []);
        assert!(notes[0].starts_with("v: the statement 'a is not_affected' is ignored"), "{vex:?}");
        assert!(vex.statements.is_some_and(|all| all.is_empty()));
        assert!(!String::from_utf8(vex.for_trivy).unwrap().contains("not_affected"));
        let other = Vex::parse("v", b"{\"bomFormat\":\"CycloneDX\"}".to_vec()).unwrap();
        assert_eq!(
            other.apply(&mut []),
            ["v: not OpenVEX, so its statements apply to Trivy's findings only"]
        );
        assert!(Vex::parse("v", Vec::new()).is_err());
    }
}
