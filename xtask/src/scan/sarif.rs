//! Findings for GitHub code scanning: SARIF 2.1.0 (OASIS), with the parts that GitHub reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::finding::{Finding, Kind};
use super::gate::Rules;
use super::severity::Severity;

/// The document.
pub fn document(findings: &[Finding], rules: &Rules) -> Value {
    let mut described: BTreeMap<&str, Value> = BTreeMap::new();
    for finding in findings {
        described.entry(&finding.id).or_insert_with(|| rule(finding));
    }
    let places: BTreeMap<_, _> = described.keys().zip(0..).map(|(id, place)| (*id, place)).collect();
    let results = findings.iter().map(|finding| {
        let place = places.get(finding.id.as_str()).copied().unwrap_or(0_usize);
        result(finding, rules.fails(finding), place)
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cargo xtask scan",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": described.values().collect::<Vec<_>>(),
            } },
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    let mut rule = json!({
        "id": finding.id,
        "shortDescription": { "text": format!("{} in {}", finding.id, finding.subject) },
        "defaultConfiguration": { "level": level(finding) },
        "properties": { "tags": ["security", tag(finding.kind)] },
    });
    if !finding.link.is_empty() {
        rule["helpUri"] = json!(finding.link);
        rule["help"] = json!({ "text": finding.link });
    }
    if let Some(score) = number(finding.severity) {
        rule["properties"]["security-severity"] = json!(score);
    }
    rule
}

fn result(finding: &Finding, fails: bool, place: usize) -> Value {
    let version = if finding.version.is_empty() { String::new() } else { format!(" {}", finding.version) };
    let mut text = format!("{}{version}: {} ({})", finding.subject, finding.id, finding.severity);
    if finding.path.len() > 1 {
        text.push_str(&format!("; {}", finding.path.join(" > ")));
    }
    if !finding.fixed.is_empty() {
        text.push_str(&format!("; mended in {}", finding.fixed));
    }
    if !finding.note.is_empty() {
        text.push_str(&format!("; {}", finding.note));
    }
    // GitHub shows results at files of the repository: crates come in by the lock file.
    let file = match finding.kind {
        Kind::Vulnerability | Kind::Notice | Kind::Licence => "Cargo.lock",
        Kind::Config if finding.place == "Dockerfile" => "Dockerfile",
        Kind::Config | Kind::Secret => crate::settings::FILE,
    };
    let mut result = json!({
        "ruleId": finding.id,
        "ruleIndex": place,
        "level": if fails { "error" } else { level(finding) },
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": file, "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": 1 },
        } }],
        // The same finding in two runs is one alert.
        "partialFingerprints": { "finding/v1": format!("{}/{}/{}/{}", finding.id, finding.subject, finding.version, finding.place) },
    });
    if let Some(reason) = &finding.ignored {
        result["suppressions"] = json!([{ "kind": "external", "justification": reason }]);
    }
    result
}

fn level(finding: &Finding) -> &'static str {
    match (finding.kind, finding.severity) {
        (Kind::Notice, _) | (_, Severity::Info | Severity::Low) => "note",
        (_, Severity::Medium) => "warning",
        (_, Severity::High | Severity::Critical | Severity::Unknown) => "error",
    }
}

fn tag(kind: Kind) -> &'static str {
    match kind {
        Kind::Vulnerability => "vulnerability",
        Kind::Secret => "secret",
        Kind::Config => "misconfiguration",
        Kind::Licence => "license",
        Kind::Notice => "notice",
    }
}

/// The number by which GitHub sorts: within the severity's bounds, whatever the exact score.
fn number(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.0"),
        Severity::Info | Severity::Unknown => None,
    }
}
