//! The attached documents: result of the scan, bills of materials.

use super::checks::{Check, Demands, State, check, one_line};
use crate::publish::{DocumentKind, Scan};
use cli_support::digest::Digest;

/// An attached document.
#[derive(Debug)]
pub(super) enum Found {
    /// Its bytes.
    Document(Vec<u8>),
    /// It is not in the signed list of the required signer.
    Unsigned,
}

/// The message for a document without the required signature.
pub(super) const UNSIGNED: &str = "it does not have the required signature";

/// Checks the newest result of a scan of the image `digest`. `unscanned` is the reason in the provenance for
/// publishing without. `now` is in seconds since 1970.
pub(super) fn scanned(
    found: Vec<Result<Found, String>>,
    digest: &Digest,
    unscanned: Option<String>,
    demands: &Demands,
    now: u64,
) -> Check {
    const NAME: &str = "scan";
    let failed = |why: String| check(NAME, State::Failed, why);
    let mut newest: Option<Scan> = None;
    let mut why = "there is none".to_owned();
    for one in found {
        let scan = match one {
            Ok(Found::Document(bytes)) => Scan::parse(bytes, now).map_err(|error| one_line(&error)),
            Ok(Found::Unsigned) => Err(UNSIGNED.to_owned()),
            Err(error) => Err(error),
        };
        match scan {
            Ok(scan) if scan.digest != *digest => why = format!("it is of another image, {}", scan.digest),
            Ok(scan) if newest.as_ref().is_some_and(|other| other.seconds > scan.seconds) => {}
            Ok(scan) => newest = Some(scan),
            Err(error) => why = error,
        }
    }
    // A failed scan counts more than the reason for publishing.
    if let Some(failure) = newest.as_ref().filter(|scan| !scan.passed)
        && !(unscanned.is_some() && demands.takes_failed)
    {
        return failed(format!("the image did not pass at {}", failure.time));
    }
    if let Some(reason) = unscanned {
        let wanted = demands.scanned || demands.scanned_within_days.is_some();
        let state = if wanted { State::Failed } else { State::Absent };
        return check(NAME, state, format!("published without one: {reason}"));
    }
    let Some(scan) = newest else { return failed(why) };
    let age = now.saturating_sub(scan.seconds) / 86_400;
    match demands.scanned_within_days {
        Some(most) if age > most => {
            let state = if demands.takes_older { State::Waived } else { State::Failed };
            check(NAME, state, format!("it is {age} days old; the limit is {most}"))
        }
        _ => check(NAME, State::Ok, format!("passed at {}", scan.time)),
    }
}

/// Checks bills of materials: whether there is one if one is `wanted`, and whether each has the format of its artifact
/// type.
pub(super) fn sbom(found: Vec<(&DocumentKind, Vec<Result<Found, String>>)>, wanted: bool) -> Check {
    const NAME: &str = "sbom";
    let (mut counts, mut why) = (Vec::new(), "there is none");
    for (kind, found) in found {
        let mut count = 0;
        for one in found {
            let read = one.and_then(|one| match one {
                Found::Unsigned => Ok(false),
                Found::Document(bytes) => {
                    let document = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
                    if (kind.is)(&document) { Ok(true) } else { Err(format!("it is not {}", kind.name)) }
                }
            });
            match read {
                Ok(true) => count += 1,
                Ok(false) => why = UNSIGNED,
                Err(error) => return check(NAME, State::Failed, error),
            }
        }
        if count > 0 {
            counts.push(format!("{count} {}", kind.name));
        }
    }
    match (&counts[..], wanted) {
        ([], true) => check(NAME, State::Failed, why),
        ([], false) => check(NAME, State::Absent, why),
        (counts, _) => check(NAME, State::Ok, counts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-10T00:00:00Z.
    const NOW: u64 = 1_768_003_200;

    type Case<'a> = (Vec<Result<Found, String>>, Option<&'a str>, Demands, State, &'a str);

    fn scan(of: &[u8], passed: bool, time: &str) -> Found {
        let digest = Digest::of(of);
        let text =
            format!(r#"{{"schema":"xtask.scan/1","digest":"{digest}","passed":{passed},"time":"{time}"}}"#);
        Found::Document(text.into_bytes())
    }

    #[test]
    fn the_newest_sound_scan_of_this_image_decides() {
        const FIRST: &str = "2026-01-01T00:00:00Z";
        const LATER: &str = "2026-01-08T00:00:00+01:00";
        let strict = Demands { scanned: true, ..Demands::default() };
        let within = |days| Demands { scanned_within_days: Some(days), ..Demands::default() };
        let again = |days| Demands { takes_older: true, ..within(days) };
        let takes_failed = Demands { takes_failed: true, ..Demands::default() };
        let lax = Demands::default();
        let good = |time| Ok(scan(b"image", true, time));
        let bad = |time| Ok(scan(b"image", false, time));
        let cases: Vec<Case<'_>> = vec![
            (vec![], None, lax.clone(), State::Failed, "there is none"),
            (vec![good(FIRST)], None, strict.clone(), State::Ok, "passed at 2026-01-01"),
            (vec![good(FIRST)], None, within(9), State::Ok, "passed"),
            (vec![good(FIRST)], None, within(8), State::Failed, "9 days old"),
            (vec![good(FIRST)], None, again(9), State::Ok, "passed"),
            (vec![good(FIRST)], None, again(8), State::Waived, "9 days old"),
            (vec![bad(FIRST)], None, again(8), State::Failed, "did not pass"),
            (vec![], None, again(8), State::Failed, "there is none"),
            (vec![good(FIRST)], Some("hotfix"), again(8), State::Failed, "without one: hotfix"),
            (vec![bad(FIRST)], Some("hotfix"), lax.clone(), State::Failed, "did not pass"),
            (vec![bad(FIRST)], Some("hotfix"), takes_failed.clone(), State::Absent, "without one: hotfix"),
            (vec![bad(FIRST)], None, takes_failed, State::Failed, "did not pass"),
            (vec![good(FIRST), bad(LATER)], None, lax.clone(), State::Failed, "did not pass"),
            (vec![bad(LATER), good(FIRST)], None, lax.clone(), State::Failed, "did not pass"),
            (vec![bad(FIRST), good(LATER)], None, lax.clone(), State::Ok, "passed at 2026-01-08"),
            (vec![Ok(scan(b"other", true, FIRST))], None, lax.clone(), State::Failed, "another image"),
            (vec![good("2026-01-10T00:06:00Z")], None, lax.clone(), State::Failed, "in the future"),
            (vec![good("9999-01-01T00:00:00Z")], None, within(9), State::Failed, "in the future"),
            (vec![good("2026-01-01")], None, lax.clone(), State::Failed, "not a time of RFC 3339"),
            (vec![Ok(Found::Unsigned)], None, lax.clone(), State::Failed, "required signature"),
            (vec![Ok(Found::Unsigned), good(FIRST)], None, lax.clone(), State::Ok, "passed"),
            (vec![Err("cut".to_owned())], None, lax.clone(), State::Failed, "cut"),
            (vec![good(FIRST)], Some("hotfix"), strict, State::Failed, "without one: hotfix"),
            (vec![good(FIRST)], Some("hotfix"), within(30), State::Failed, "without one: hotfix"),
            (vec![], Some("hotfix"), lax, State::Absent, "without one: hotfix"),
        ];
        for (number, (found, unscanned, demands, state, words)) in cases.into_iter().enumerate() {
            let check = scanned(found, &Digest::of(b"image"), unscanned.map(str::to_owned), &demands, NOW);
            assert_eq!(check.state, state, "{number}: {check:?}");
            assert!(check.detail.contains(words), "{number}: {check:?}");
        }
    }

    #[test]
    fn bills_of_materials_are_of_their_kind_and_signed_where_that_is_wanted() {
        let bom = |text: &str| Ok(Found::Document(text.as_bytes().to_vec()));
        let good = r#"{"bomFormat":"CycloneDX"}"#;
        for (found, wanted, state, words) in [
            (vec![], false, State::Absent, "there is none"),
            (vec![], true, State::Failed, "there is none"),
            (vec![bom(good), bom(good)], true, State::Ok, "2 CycloneDX, 1 SPDX"),
            (vec![bom(good), Ok(Found::Unsigned)], true, State::Ok, "1 CycloneDX"),
            (vec![Ok(Found::Unsigned)], true, State::Failed, "required signature"),
            (vec![Ok(Found::Unsigned)], false, State::Absent, "required signature"),
            (vec![bom("{}")], false, State::Failed, "not CycloneDX"),
            (vec![bom(r#"{"spdxVersion":"SPDX-2.3"}"#)], false, State::Failed, "not CycloneDX"),
            (vec![bom("x")], false, State::Failed, "expected value"),
            (vec![Err("cut".to_owned())], false, State::Failed, "cut"),
        ] {
            let spdx = if found.len() == 2 && words.contains("SPDX") {
                vec![bom(r#"{"spdxVersion":"SPDX-2.3"}"#)]
            } else {
                Vec::new()
            };
            let kinds = DocumentKind::of_check("sbom").zip([found, spdx]).collect();
            let check = sbom(kinds, wanted);
            assert!(check.state == state && check.detail.contains(words), "{check:?}");
        }
    }
}
