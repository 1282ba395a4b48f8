//! Statements that a crate's weakness does not concern this product (OpenVEX specification 0.2.0), so that
//! what Trivy leaves out by them is not brought back by the builtin engine.
//!
//! Of the specification the part about crates is honoured: products or subcomponents that are `pkg:cargo/…`.
//! A statement about anything else is Trivy's alone, and what the builtin engine found stays then. Trivy is
//! given the statements that count here (`sound`), and no others.

mod validate;

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::finding::{Finding, FindingKind};
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
    vulnerability: Named,
    #[serde(default)]
    products: Vec<Product>,
    status: String,
    #[serde(default)]
    justification: String,
    #[serde(default)]
    timestamp: String,
}

/// A name alone in the specification's first version, an object since.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Named {
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

/// The statements of one document, the oldest first.
#[derive(Debug)]
pub struct Vex {
    source: String,
    statements: Vec<Statement>,
    /// Which statements do not count, and why.
    pub notes: Vec<String>,
    /// The document as Trivy is given it.
    pub for_trivy: String,
}

impl Vex {
    /// Reads the document at `path` below the workspace's root; none where it is in another format, which
    /// Trivy may know.
    pub fn read(root: &Path, path: &str) -> Result<Option<Self>> {
        let no = "the VEX document cannot be read";
        let at = || Fault::gate(no).at(path);
        let whole = root.join(path);
        let size = whole.metadata().with_context(at)?.len();
        if size > MAX_DOCUMENT {
            return Err(Fault::gate(format!("a VEX document of {size} bytes is too long")).at(path).into());
        }
        Self::parse(path, &std::fs::read(&whole).with_context(at)?).with_context(at)
    }

    fn parse(source: &str, bytes: &[u8]) -> Result<Option<Self>> {
        let mut value: serde_json::Value = serde_json::from_slice(bytes)?;
        let context = value.get("@context").and_then(serde_json::Value::as_str).unwrap_or_default();
        if !context.starts_with("https://openvex.dev/ns") {
            return Ok(None);
        }
        let listed = value.get_mut("statements").and_then(serde_json::Value::as_array_mut);
        let notes = listed.map(validate::keep_sound).unwrap_or_default();
        let for_trivy = value.to_string();
        let document: Document = serde_json::from_value(value)?;
        let mut statements = document.statements;
        for one in &mut statements {
            if one.timestamp.is_empty() {
                one.timestamp.clone_from(&document.timestamp);
            }
        }
        // Those of one time stay as they stand.
        statements.sort_by_key(|one| seconds_of(&one.timestamp).unwrap_or(0));
        let notes = notes.into_iter().map(|note| format!("{source}: {note}")).collect();
        Ok(Some(Self { source: source.to_owned(), statements, notes, for_trivy }))
    }

    /// How many findings do not count by this document, whichever engine left them out.
    pub fn honoured(&self, findings: &[Finding]) -> usize {
        let mark = format!("({})", self.source);
        let by = |why: &String| why.starts_with("VEX: ") && why.ends_with(&mark);
        findings.iter().filter(|finding| finding.ignored.as_ref().is_some_and(by)).count()
    }

    /// Marks the findings that the latest statement about them says not to matter.
    pub fn apply(&self, findings: &mut [Finding]) {
        let open = findings.iter_mut().filter(|finding| finding.ignored.is_none());
        for finding in open.filter(|finding| finding.kind == FindingKind::Vulnerability) {
            let Some(latest) = self.statements.iter().rfind(|one| one.is_about(finding)) else { continue };
            if ["not_affected", "fixed"].contains(&latest.status.as_str()) {
                finding.ignored = Some(ignored(&latest.status, &latest.justification, &self.source));
            }
        }
    }
}

/// Why a finding does not count, as reports say it.
pub fn ignored(status: &str, why: &str, source: &str) -> String {
    let why = if why.is_empty() { String::new() } else { format!(", {why}") };
    format!("VEX: {status}{why} ({source})")
}

impl Product {
    fn purl(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Object { id, identifiers, .. } if identifiers.purl.is_empty() => id,
            Self::Object { identifiers, .. } => &identifiers.purl,
        }
    }

    /// Whether it is the crate that a finding is about, or one that brings that crate in.
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
            Named::Name(name) => finding.is_called(name),
            Named::Object { name, aliases } => {
                finding.is_called(name) || aliases.iter().any(|alias| finding.is_called(alias))
            }
        };
        called && self.products.iter().any(|product| product.has(finding))
    }
}

/// Name and version of a crate's package URL without qualifiers, which would be another registry's.
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
        let vex = Vex::parse("v.json", document.to_string().as_bytes()).unwrap().unwrap();
        let mut findings = [finding()];
        vex.apply(&mut findings);
        findings[0].ignored.clone()
    }

    #[test]
    fn who_is_meant() {
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
    fn what_is_said_and_when() {
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
        let said = apply(&json!([one("RUSTSEC-1", "not_affected", early)])).unwrap();
        assert_eq!(said, "VEX: not_affected, component_not_present (v.json)");
        let silent = json!({ "@context": "https://openvex.dev/ns/v0.2.0",
            "statements": [{ "vulnerability": "a", "status": "not_affected" }] });
        let vex = Vex::parse("v", silent.to_string().as_bytes()).unwrap().unwrap();
        assert!(
            vex.notes[0].starts_with("v: the statement that a is not_affected does not count"),
            "{vex:?}"
        );
        assert!(vex.statements.is_empty() && !vex.for_trivy.contains("not_affected"));
        assert!(Vex::parse("v", b"{\"bomFormat\":\"CycloneDX\"}").unwrap().is_none());
        assert!(Vex::parse("v", b"").is_err());
    }
}
