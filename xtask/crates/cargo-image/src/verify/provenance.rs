//! The provenance that is attached to an image.

use serde_json::Value;

use super::checks::{Check, Demands, State, check};
use super::documents::{Found, UNSIGNED};
use crate::publish::PROVENANCE;
use cli_support::digest::Digest;

/// Checks the provenance of the image `digest`, and returns its reason for publishing without a scan. `label` is the
/// commit in the image's label.
///
/// Several runs may have published the same bytes: one valid statement is enough, preferably of a run with a passing
/// scan.
pub(super) fn provenance(
    found: Vec<Result<Found, String>>,
    digest: &Digest,
    label: Option<&str>,
    demands: &Demands,
) -> (Check, Option<String>) {
    const NAME: &str = "provenance";
    let mut why = "there is none".to_owned();
    let mut unscanned = None;
    for one in found.into_iter().rev() {
        let checked = one.and_then(|one| match one {
            Found::Unsigned => Err(UNSIGNED.to_owned()),
            Found::Document(bytes) => read(&bytes, digest)?.holds(label, demands),
        });
        match checked {
            Ok(statement) => {
                let how = if demands.trust.is_some() { ", signed" } else { "" };
                let detail =
                    format!("by {} from {}{how}", statement.builder, shown(statement.revision.as_deref()));
                let check = check(NAME, State::Ok, detail);
                match statement.unscanned {
                    None => return (check, None),
                    Some(reason) => drop(unscanned.get_or_insert((check, reason))),
                }
            }
            Err(wrong) => why = wrong,
        }
    }
    match unscanned {
        Some((check, reason)) => (check, Some(reason)),
        None => (check(NAME, State::Failed, why), None),
    }
}

fn shown(revision: Option<&str>) -> &str {
    revision.unwrap_or("an unknown commit")
}

/// The checked content of a provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Provenance {
    builder: String,
    revision: Option<String>,
    unscanned: Option<String>,
}

impl Provenance {
    /// Checks the commit against `label`, and the required builder.
    fn holds(self, label: Option<&str>, demands: &Demands) -> Result<Self, String> {
        if let Some(wanted) = demands.builder.as_ref().filter(|wanted| !self.builder.starts_with(*wanted)) {
            return Err(format!("built by {}, but {wanted} is required", self.builder));
        }
        let label = label.map(|text| text.trim_end_matches("-dirty"));
        match (self.revision.as_deref(), label) {
            (Some(own), Some(label)) if own != label => {
                Err(format!("it names the commit {own}, but the image has {label}"))
            }
            _ => Ok(self),
        }
    }
}

/// Parses a statement about `digest`.
fn read(bytes: &[u8], digest: &Digest) -> Result<Provenance, String> {
    let statement: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON".to_owned())?;
    let text = |pointer: &str| statement.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    if !(PROVENANCE.is)(&statement) {
        return Err("not SLSA v1 provenance".to_owned());
    }
    let subjects = statement["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !subjects.iter().any(|subject| subject["digest"]["sha256"] == digest.hex()) {
        return Err("it is about another image".to_owned());
    }
    let builder = text("/predicate/runDetails/builder/id").ok_or("it names no builder")?;
    let materials = statement.pointer("/predicate/buildDefinition/resolvedDependencies");
    let commits = materials.and_then(Value::as_array).into_iter().flatten();
    Ok(Provenance {
        builder,
        revision: commits.filter_map(|one| one["digest"]["gitCommit"].as_str()).map(str::to_owned).next(),
        unscanned: text("/predicate/buildDefinition/externalParameters/allowUnscanned"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn provenance_of_another_image_is_refused() {
        let digest = Digest::of(b"image");
        let good = json!({
            "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{ "digest": { "sha256": digest.hex() } }],
            "predicate": {
                "buildDefinition": { "resolvedDependencies": [{ "digest": { "gitCommit": "abc" } }] },
                "runDetails": { "builder": { "id": "urn:b" } },
            },
        });
        let read = |value: &Value| super::read(value.to_string().as_bytes(), &digest);
        assert_eq!(
            read(&good).unwrap(),
            Provenance { builder: "urn:b".into(), revision: Some("abc".into()), unscanned: None }
        );
        for (pointer, words) in [
            ("/predicateType", "not SLSA"),
            ("/subject/0/digest/sha256", "another image"),
            ("/predicate/runDetails/builder/id", "no builder"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = Value::Null;
            assert!(read(&bad).unwrap_err().contains(words), "{pointer}");
        }
        assert!(super::read(b"x", &digest).is_err());
    }

    #[test]
    fn one_valid_provenance_is_enough() {
        let digest = Digest::of(b"image");
        let statement_by = |builder: &str, revision: &str, unscanned: Option<&str>| {
            let statement = json!({
                "predicateType": "https://slsa.dev/provenance/v1",
                "subject": [{ "digest": { "sha256": digest.hex() } }],
                "predicate": {
                    "buildDefinition": {
                        "externalParameters": { "allowUnscanned": unscanned },
                        "resolvedDependencies": [{ "digest": { "gitCommit": revision } }],
                    },
                    "runDetails": { "builder": { "id": builder } },
                },
            });
            Ok(Found::Document(statement.to_string().into_bytes()))
        };
        let demands = Demands { builder: Some("urn:b".into()), ..Demands::default() };
        let good = || statement_by("urn:b/1", "abc", None);
        let hotfix = || statement_by("urn:b/2", "abc", Some("hotfix"));
        for (what, found, state, words, unscanned) in [
            ("none", vec![], State::Failed, "there is none", None),
            ("one", vec![good()], State::Ok, "by urn:b/1 from abc", None),
            ("unscanned", vec![hotfix()], State::Ok, "urn:b/2", Some("hotfix")),
            ("scanned before", vec![good(), hotfix()], State::Ok, "urn:b/1", None),
            ("scanned later", vec![hotfix(), good()], State::Ok, "urn:b/1", None),
            (
                "another builder",
                vec![statement_by("urn:c", "abc", None)],
                State::Failed,
                "urn:b is required",
                None,
            ),
            (
                "another commit",
                vec![statement_by("urn:b", "abd", None)],
                State::Failed,
                "the commit abd",
                None,
            ),
            ("unsigned", vec![Ok(Found::Unsigned)], State::Failed, UNSIGNED, None),
            ("cut", vec![Err("cut".to_owned()), good()], State::Ok, "urn:b/1", None),
            ("no JSON", vec![Ok(Found::Document(vec![]))], State::Failed, "not JSON", None),
        ] {
            let (check, reason) = provenance(found, &digest, Some("abc-dirty"), &demands);
            assert!(check.state == state && check.detail.contains(words), "{what}: {check:?}");
            assert_eq!(reason.as_deref(), unscanned, "{what}");
        }
    }
}
