//! Trivy's own list of what is overlooked.

use crate::time::Date;

/// Checks `.trivyignore.yaml`: every entry has an id, a reason (`statement`) and a day (`expired_at`)
/// that is not over. Of YAML only what such a list needs is understood; all else is an error.
pub fn check(text: &str, today: Date) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut entries: Vec<(usize, Vec<(String, String)>)> = Vec::new();
    let mut section = false;
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.split(" #").next().unwrap_or_default().trim_end();
        let trimmed = content.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed == "---" {
            continue;
        }
        let indent = content.len() - trimmed.len();
        let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        match (indent, trimmed.strip_prefix("- "), trimmed.split_once(':')) {
            (0, None, Some((_, rest))) if rest.trim().is_empty() => section = true,
            (_, Some(item), _) if section && item.contains(": ") => {
                let pair = item.split_once(':').map(|(key, value)| (key.trim().to_owned(), unquoted(value)));
                entries.push((number, pair.into_iter().collect()));
            }
            // A list within an entry: paths, purls.
            (_, Some(_), _) if !entries.is_empty() => {}
            (1.., None, Some((key, value))) if !entries.is_empty() => {
                if let Some((_, pairs)) = entries.last_mut() {
                    pairs.push((key.trim().to_owned(), unquoted(value)));
                }
            }
            _ => wrong.push(format!("line {number}: not understood: '{trimmed}'")),
        }
    }
    for (number, pairs) in &entries {
        for (at, (key, value)) in pairs.iter().enumerate() {
            // Blocks, anchors, aliases and lists: what they come to is not known here.
            if value.starts_with(['|', '>', '&', '*', '{', '[', '!', '%', '@', '`']) {
                wrong.push(format!("line {number}: not understood: '{key}: {value}'"));
            }
            if pairs[..at].iter().any(|(other, _)| other == key) {
                wrong.push(format!("line {number}: the key '{key}' is there twice"));
            }
        }
        let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let id = get("id").unwrap_or_default();
        if id.is_empty() {
            wrong.push(format!("line {number}: an entry without an id"));
        }
        if get("statement").unwrap_or_default().is_empty() {
            wrong.push(format!("line {number}: {id} has no reason (statement)"));
        }
        match get("expired_at").map(str::parse::<Date>) {
            Some(Ok(day)) if day >= today => {}
            Some(Ok(day)) => wrong.push(format!("line {number}: {id} was to be ignored until {day}")),
            Some(Err(what)) => wrong.push(format!("line {number}: {id}: {what}")),
            None => wrong.push(format!("line {number}: {id} has no day on which it ends (expired_at)")),
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_an_id_a_reason_and_a_day_to_come() {
        let today = "2026-01-10".parse().unwrap();
        let good = "# why\nvulnerabilities:\n  - id: CVE-1\n    expired_at: 2026-01-10\n    statement: \"not reached\"\n    \
            paths:\n      - \"usr/bin/x\"\nsecrets:\n  - id: aws\n    statement: test key # yes\n    expired_at: 2027-01-01\n";
        assert_eq!(check(good, today), [""; 0]);
        for (text, expected) in [
            (good.replace("2026-01-10", "2026-01-09"), "until 2026-01-09"),
            (good.replace("    statement: \"not reached\"\n", ""), "no reason"),
            (good.replace("    expired_at: 2027-01-01\n", ""), "no day"),
            (good.replace("2027-01-01", "soon"), "not a day"),
            (good.replace("- id: aws", "- rule: aws"), "without an id"),
            (good.replace("statement: test key", "statement: |"), "not understood"),
            (good.replace("statement: test key", "statement: >-"), "not understood"),
            (good.replace("id: aws", "id: &a aws"), "not understood"),
            (good.replace("id: aws", "id: *a"), "not understood"),
            (good.replace("statement: test key", "statement: {a: b}"), "not understood"),
            (good.replace("statement: test key", "statement: [a]"), "not understood"),
            (good.replace("expired_at: 2027", "id: b\n    expired_at: 2027"), "'id' is there twice"),
            ("CVE-2020-1\n".to_owned(), "not understood"),
            ("vulnerabilities: [{id: CVE-1}]\n".to_owned(), "not understood"),
        ] {
            let wrong = check(&text, today).join("; ");
            assert!(wrong.contains(expected), "{wrong}");
        }
    }
}
