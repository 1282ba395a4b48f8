//! SARIF 2.1.0 (OASIS) for GitHub code scanning, with the keys that GitHub reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::finding::{Finding, FindingKind};
use crate::policy::gate::Rules;
use cli_support::error::Fault;
use rust_workspace::severity::Severity;

/// The rule about parts of the image that were not seen.
const BLIND: &str = "XT-BLIND";

/// The document. `faults` are about parts that were not seen.
pub fn document(findings: &[Finding], faults: &[Fault], rules: &Rules) -> Value {
    let mut described: BTreeMap<&str, Value> = BTreeMap::new();
    for finding in findings {
        described.entry(&finding.id).or_insert_with(|| rule(finding));
    }
    let places: BTreeMap<_, _> = described.keys().zip(0..).map(|(id, place)| (*id, place)).collect();
    let results = findings.iter().map(|finding| {
        let place = places.get(finding.id.as_str()).copied().unwrap_or(0_usize);
        result(finding, rules.fails(finding), place)
    });
    let mut all: Vec<_> = described.values().cloned().collect();
    let blind = all.len();
    if !faults.is_empty() {
        all.push(json!({
            "id": BLIND,
            "shortDescription": { "text": "a part of the image was not scanned, or a result cannot be trusted" },
            "defaultConfiguration": { "level": "error" },
            "properties": { "tags": ["security", "blind"], "security-severity": number(Severity::High) },
        }));
    }
    let unseen = faults.iter().map(|fault| {
        let text = fault.to_string();
        json!({
            "ruleId": BLIND,
            "ruleIndex": blind,
            "level": "error",
            "message": { "text": text },
            "locations": location(rust_workspace::settings::file()),
            "partialFingerprints": { "finding/v1": format!("{BLIND}/{text}") },
        })
    });
    let notifications: Vec<_> = faults
        .iter()
        .map(|fault| {
            json!({ "level": "error", "descriptor": { "id": BLIND }, "message": { "text": fault.to_string() } })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cargo xtask scan",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": all,
            } },
            "invocations": [{
                "executionSuccessful": faults.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results.chain(unseen).collect::<Vec<_>>(),
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

fn result(finding: &Finding, fails: bool, rule: usize) -> Value {
    let version = if finding.version.is_empty() { String::new() } else { format!(" {}", finding.version) };
    let mut text = format!("{}{version}: {} ({})", finding.subject, finding.id, finding.severity);
    if finding.path.len() > 1 {
        text.push_str(&format!("; {}", finding.path.join(" > ")));
    }
    if !finding.fixed.is_empty() {
        text.push_str(&format!("; fixed in {}", finding.fixed));
    }
    if !finding.note.is_empty() {
        text.push_str(&format!("; {}", finding.note));
    }
    // GitHub needs a file of the repository for each result.
    let file = match finding.kind {
        FindingKind::Vulnerability | FindingKind::Notice | FindingKind::Licence => "Cargo.lock",
        FindingKind::Config if finding.place == "Dockerfile" => "Dockerfile",
        FindingKind::Config | FindingKind::Secret => rust_workspace::settings::file(),
    };
    let mut result = json!({
        "ruleId": finding.id,
        "ruleIndex": rule,
        "level": if fails { "error" } else { level(finding) },
        "message": { "text": text },
        "locations": location(file),
        // GitHub shows the same finding in two runs as one alert.
        "partialFingerprints": { "finding/v1": format!("{}/{}/{}/{}", finding.id, finding.subject, finding.version, finding.place) },
    });
    if let Some(reason) = &finding.ignored {
        result["suppressions"] = json!([{ "kind": "external", "justification": reason }]);
    }
    result
}

fn location(file: &str) -> Value {
    json!([{ "physicalLocation": {
        "artifactLocation": { "uri": file, "uriBaseId": "%SRCROOT%" },
        "region": { "startLine": 1 },
    } }])
}

fn level(finding: &Finding) -> &'static str {
    match (finding.kind, finding.severity) {
        (FindingKind::Notice, _) | (_, Severity::Info | Severity::Low) => "note",
        (_, Severity::Medium) => "warning",
        (_, Severity::High | Severity::Critical | Severity::Unknown) => "error",
    }
}

fn tag(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Vulnerability => "vulnerability",
        FindingKind::Secret => "secret",
        FindingKind::Config => "misconfiguration",
        FindingKind::Licence => "license",
        FindingKind::Notice => "notice",
    }
}

/// The score by which GitHub sorts and rates a rule: one in the range of the severity.
fn number(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.0"),
        Severity::Info | Severity::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_workspace::settings::Unrated;

    #[test]
    fn faults_are_results() {
        let rules = Rules { severity: vec![Severity::Critical], unknown: Unrated::Fail, ignore: Vec::new() };
        let finding = Finding::new(FindingKind::Config, "XT-ROOT", Severity::High, "builtin");
        let mute = document(&[finding], &[Fault::gate("it says nothing").at("/app")], &rules);
        let run = &mute["runs"][0];
        let ids: Vec<_> = run["results"].as_array().unwrap().iter().map(|one| &one["ruleId"]).collect();
        assert_eq!(ids, ["XT-ROOT", "XT-BLIND"]);
        let at = run["results"][1]["ruleIndex"].as_u64().unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][usize::try_from(at).unwrap()]["id"], "XT-BLIND");
        assert_eq!(run["results"][1]["message"]["text"], "/app: it says nothing");
        let ended = &run["invocations"][0];
        assert_eq!(
            (&ended["executionSuccessful"], &ended["toolExecutionNotifications"][0]["level"]),
            (&json!(false), &json!("error"))
        );
        let clean = document(&[], &[], &rules);
        assert_eq!(clean["runs"][0]["invocations"][0]["executionSuccessful"], true);
        assert_eq!(clean["runs"][0]["results"], json!([]));
    }
}
