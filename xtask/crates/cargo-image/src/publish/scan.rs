//! The result file of `cargo xtask scan`, and the gate that reads it.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use super::image_bundle::ImageBundle;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::time::{now, rfc3339, seconds_of};
use image_scan::engines::trivy;
use oci_image::platform::Platform;

/// The supported schema; later versions only add keys.
const SCHEMA: &str = "xtask.scan/1";

/// The accepted difference of two machines' clocks, in seconds.
const SKEW: u64 = 300;

/// The result of a scan. The whole file is attached to the image.
#[derive(Debug, Clone, Deserialize)]
pub struct Scan {
    schema: String,
    /// The image's digest.
    pub digest: Digest,
    /// Whether the image passed.
    pub passed: bool,
    /// The engines.
    #[serde(default)]
    engines: Vec<Engine>,
    /// The time of the scan, RFC 3339.
    pub time: String,
    /// The same in seconds since 1970.
    #[serde(skip)]
    pub seconds: u64,
    /// The file's bytes.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// An engine that scanned.
#[derive(Debug, Clone, Deserialize)]
struct Engine {
    name: String,
}

impl Scan {
    /// Whether Trivy scanned the image.
    fn has_trivy(&self) -> bool {
        self.engines.iter().any(|engine| engine.name == trivy::NAME)
    }

    /// Reads the result at `path`; none where there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Self::parse(bytes, now()).with_context(|| path.display().to_string()).map(Some)
    }

    /// Parses a result. An error if it is invalid, or if its time is after `now`, in seconds since 1970, by more than
    /// clocks differ.
    pub fn parse(bytes: Vec<u8>, now: u64) -> Result<Self> {
        const AGAIN: &str = "scan again: cargo xtask scan";
        let mut scan: Self = serde_json::from_slice(&bytes)
            .with_context(|| Fault::failed("not a result of a scan").hint(AGAIN))?;
        if scan.schema != SCHEMA {
            let what = format!("its schema is {}; the supported one is {SCHEMA}", scan.schema);
            return Err(Fault::failed(what).hint(AGAIN).into());
        }
        let wrong = |what: &str| Fault::failed(format!("the time '{}' {what}", scan.time)).hint(AGAIN);
        let seconds = seconds_of(&scan.time).ok_or_else(|| wrong("is not a time of RFC 3339"))?;
        if seconds > now.saturating_add(SKEW) {
            return Err(wrong("is in the future: a clock is wrong, or the file was edited").into());
        }
        scan.seconds = seconds;
        scan.bytes = bytes;
        Ok(scan)
    }
}

/// Writes the result of a scan where [`Scan::read`] finds it.
///
/// `image` is the layout that was scanned. After a scan of only some of its platforms no result is left, not even an
/// older one.
pub fn record(path: &Path, image: &Path, mut report: Value, passed: bool) -> Result<()> {
    let bundle = ImageBundle::read(image)?;
    let seen: Vec<Digest> = report["platforms"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|platform| platform["manifest"].as_str()?.parse().ok())
        .collect();
    if !bundle.images().all(|entry| seen.contains(&entry.digest)) {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| path.display().to_string())
            }
            _ => Ok(()),
        };
    }
    report["digest"] = serde_json::json!(bundle.digest());
    report["passed"] = passed.into();
    report["time"] = rfc3339(now()).into();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(path, format!("{report:#}\n")).with_context(|| path.display().to_string())
}

/// An error if the image lacks a platform of the settings.
pub fn whole(lacks: &[Platform], layout: &Path) -> Result<(), Fault> {
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks: Vec<_> = lacks.iter().map(ToString::to_string).collect();
    let what = format!("the image has nothing for {}", lacks.join(", "));
    Err(Fault::gate(what).at(layout.display()).hint(format!(
        "build and scan it again: cargo xtask image --platform all; the platforms are those of {}",
        rust_workspace::settings::file()
    )))
}

/// Whether an image may be published: a scan of this digest passed, with Trivy if that is required (`needs_trivy`),
/// and no exception of the settings has expired since (`over` names one); or a reason is given for publishing without.
pub fn gate(
    scan: Option<&Scan>,
    digest: &Digest,
    needs_trivy: bool,
    over: Option<&str>,
    unscanned: Option<&str>,
) -> Result<String, Fault> {
    let no = match scan {
        Some(scan) if scan.digest == *digest && scan.passed && over.is_some() => {
            format!("the image passed with an exception that has expired: {}", over.unwrap_or_default())
        }
        Some(scan) if scan.digest == *digest && scan.passed && needs_trivy && !scan.has_trivy() => {
            "the image was scanned without Trivy, which is required".to_owned()
        }
        Some(scan) if scan.digest == *digest && scan.passed => return Ok(format!("passed at {}", scan.time)),
        Some(scan) if scan.digest == *digest => "the image did not pass its scan".to_owned(),
        Some(scan) => format!("the scan is of another image, {}", scan.digest),
        None => "the image has not been scanned".to_owned(),
    };
    match unscanned.map(str::trim) {
        Some("") => Err(Fault::usage("--allow-unscanned: the reason is empty")),
        Some(reason) => Ok(format!("{no}; allowed: {reason}")),
        None => Err(Fault::gate(no).at(digest).hint(
            "run cargo xtask scan, or publish with --allow-unscanned REASON, which becomes part of the provenance",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cli_support::error::ExitKind;

    /// 2026-01-01T00:00:00Z.
    const NOW: u64 = 1_767_225_600;

    #[test]
    fn only_a_passing_scan_of_the_same_digest_opens_the_gate() {
        let digest = Digest::of(b"image");
        let by = |digest: &Digest, passed: bool, engine: &str| {
            let text = format!(
                r#"{{"schema":"{SCHEMA}","digest":"{digest}","passed":{passed},"time":"2026-01-01T00:00:00Z","engines":[{{"name":"{engine}","more":1}}]}}"#
            );
            Scan::parse(text.into_bytes(), NOW).unwrap()
        };
        let scan = |digest: &Digest, passed: bool| by(digest, passed, "builtin");
        let other = Digest::of(b"other");
        let cases = [
            (Some(scan(&digest, true)), false, None, Ok("passed at 2026")),
            (Some(scan(&digest, false)), false, None, Err((ExitKind::Gate, "did not pass"))),
            (Some(scan(&other, true)), false, None, Err((ExitKind::Gate, "another image"))),
            (None, false, None, Err((ExitKind::Gate, "not been scanned"))),
            (None, false, Some("hotfix"), Ok("not been scanned; allowed: hotfix")),
            (None, false, Some(" "), Err((ExitKind::Usage, "reason is empty"))),
            (Some(scan(&digest, true)), true, None, Err((ExitKind::Gate, "without Trivy"))),
            (Some(by(&digest, true, "trivy")), true, None, Ok("passed at 2026")),
            (
                Some(scan(&digest, true)),
                true,
                Some("hotfix"),
                Ok("without Trivy, which is required; allowed"),
            ),
        ];
        for (scan, needs_trivy, unscanned, expected) in cases {
            match (gate(scan.as_ref(), &digest, needs_trivy, None, unscanned), expected) {
                (Ok(message), Ok(words)) => assert!(message.contains(words), "{message}"),
                (Err(fault), Err((kind, words))) => {
                    assert!(fault.kind() == kind && fault.to_string().contains(words), "{fault}");
                }
                (found, _) => panic!("{scan:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_pass_by_an_exception_lasts_as_long_as_that() {
        let digest = Digest::of(b"image");
        let text = format!(
            r#"{{"schema":"{SCHEMA}","digest":"{digest}","passed":true,"time":"2026-01-01T00:00:00Z"}}"#
        );
        let scan = Scan::parse(text.into_bytes(), NOW).unwrap();
        let fault = gate(Some(&scan), &digest, false, Some("image.toml:3:1"), None).unwrap_err();
        assert_eq!(fault.kind(), ExitKind::Gate);
        assert!(fault.to_string().contains("has expired: image.toml:3:1"), "{fault}");
        let message = gate(Some(&scan), &digest, false, Some("image.toml:3:1"), Some("hotfix")).unwrap();
        assert!(message.ends_with("allowed: hotfix"), "{message}");
    }

    #[test]
    fn a_scan_result_with_a_wrong_schema_or_time_is_an_error() {
        let of = |schema: &str, time: &str| {
            let digest = Digest::of(b"image");
            format!(r#"{{"schema":"{schema}","digest":"{digest}","passed":true,"time":"{time}"}}"#)
        };
        for (text, expected) in [
            (of(SCHEMA, "2026-01-01T00:05:00Z"), None),
            (of(SCHEMA, "2026-01-01T00:05:01Z"), Some("in the future")),
            (of(SCHEMA, "9999-12-31T23:59:59Z"), Some("in the future")),
            (of(SCHEMA, "2026-01-01"), Some("not a time of RFC 3339")),
            (of(SCHEMA, ""), Some("not a time of RFC 3339")),
            (of("xtask.scan/2", "2026-01-01T00:00:00Z"), Some("its schema is")),
            ("{}".to_owned(), Some("not a result of a scan")),
            ("[]".to_owned(), Some("not a result of a scan")),
            (String::new(), Some("not a result of a scan")),
        ] {
            let found = Scan::parse(text.clone().into_bytes(), NOW).err().map(|error| format!("{error:#}"));
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(words)) => assert!(found.contains(words), "{text}: {found}"),
                _ => panic!("{text}: {found:?}"),
            }
        }
    }
}
