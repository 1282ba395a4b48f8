//! The scan's result, as `cargo xtask scan` leaves it, and the gate that it opens.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use super::parcel::Parcel;
use crate::digest::Digest;
use crate::error::Fault;
use crate::git::{now, rfc3339};

/// The kind of document that is read here; later versions only add keys.
const SCHEMA: &str = "xtask.scan/1";

/// What a scan found of an image. The file may say more; all of it is attached to the image.
#[derive(Debug, Clone, Deserialize)]
pub struct Scan {
    schema: String,
    /// The image's digest.
    pub digest: Digest,
    /// Whether the image passed.
    pub passed: bool,
    /// When it was scanned, RFC 3339.
    pub time: String,
    /// The file, as it is.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

impl Scan {
    /// Reads the result at `path`; none where there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Self::parse(bytes).with_context(|| path.display().to_string()).map(Some)
    }

    /// Reads a result from its bytes.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let mut scan: Self = serde_json::from_slice(&bytes)
            .with_context(|| Fault::failed("this is no result of a scan").cure("cargo xtask scan"))?;
        if scan.schema != SCHEMA {
            return Err(Fault::failed(format!("its schema is {}, and {SCHEMA} is read here", scan.schema))
                .cure("scan again: cargo xtask scan")
                .into());
        }
        scan.bytes = bytes;
        Ok(scan)
    }
}

/// Leaves the result of a scan where [`Scan::read`] finds it, beside what the scan itself reports.
///
/// `image` is the layout that was scanned. A scan of some of its platforms is no scan of the image: then
/// nothing is left, not even an older result.
pub fn record(path: &Path, image: &Path, mut report: Value, passed: bool) -> Result<()> {
    let parcel = Parcel::read(image)?;
    let seen: Vec<Digest> = report["platforms"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|platform| platform["manifest"].as_str()?.parse().ok())
        .collect();
    if !parcel.manifests.iter().all(|entry| seen.contains(&entry.digest)) {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| path.display().to_string())
            }
            _ => Ok(()),
        };
    }
    report["digest"] = serde_json::json!(parcel.digest());
    report["passed"] = passed.into();
    report["time"] = rfc3339(now()).into();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(path, format!("{report:#}\n")).with_context(|| path.display().to_string())
}

/// Whether an image may be published: a scan of this very digest passed, or somebody says why without.
pub fn gate(scan: Option<&Scan>, digest: &Digest, unscanned: Option<&str>) -> Result<String, Fault> {
    let no = match scan {
        Some(scan) if scan.digest == *digest && scan.passed => return Ok(format!("passed at {}", scan.time)),
        Some(scan) if scan.digest == *digest => "the image did not pass its scan".to_owned(),
        Some(scan) => format!("the scan is of another image, {}", scan.digest),
        None => "the image has not been scanned".to_owned(),
    };
    match unscanned.map(str::trim) {
        Some("") => Err(Fault::usage("--allow-unscanned: a reason is wanted")),
        Some(reason) => Ok(format!("{no}; allowed: {reason}")),
        None => Err(Fault::gate(no).at(digest).cure(
            "cargo xtask scan, or publish with --allow-unscanned REASON, which the provenance will say",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_a_passing_scan_of_the_same_digest_opens_the_gate() {
        let digest = Digest::of(b"image");
        let scan = |digest: &Digest, passed: bool| {
            let text = format!(
                r#"{{"schema":"{SCHEMA}","digest":"{digest}","passed":{passed},"time":"2026-01-01T00:00:00Z","more":1}}"#
            );
            Scan::parse(text.into_bytes()).unwrap()
        };
        let other = Digest::of(b"other");
        let cases = [
            (Some(scan(&digest, true)), None, Ok("passed at 2026")),
            (Some(scan(&digest, false)), None, Err((Kind::Gate, "did not pass"))),
            (Some(scan(&other, true)), None, Err((Kind::Gate, "another image"))),
            (None, None, Err((Kind::Gate, "not been scanned"))),
            (None, Some("hotfix"), Ok("not been scanned; allowed: hotfix")),
            (None, Some(" "), Err((Kind::Usage, "a reason"))),
        ];
        for (scan, unscanned, expected) in cases {
            match (gate(scan.as_ref(), &digest, unscanned), expected) {
                (Ok(said), Ok(words)) => assert!(said.contains(words), "{said}"),
                (Err(fault), Err((kind, words))) => {
                    assert!(fault.kind() == kind && fault.to_string().contains(words), "{fault}");
                }
                (found, _) => panic!("{scan:?}: {found:?}"),
            }
        }
        for bad in ["{}", "[]", r#"{"schema":"xtask.scan/2","digest":"sha256:00","passed":true,"time":""}"#] {
            assert!(Scan::parse(bad.into()).is_err(), "{bad}");
        }
    }
}
