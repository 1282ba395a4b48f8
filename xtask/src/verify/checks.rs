//! The checks, each of which ends in a word and a reason.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

use super::documents::{Found, sbom, scanned};
use super::statement::{document, provenance};
use crate::digest::Digest;
use crate::error::{Fault, plain_line, render};
use crate::image::oci::{self, Annotations, Index, Manifest};
use crate::publish::{Access, PROVENANCE, SBOM, SCAN, SIGNATURE, Said, Trust, listed};
use crate::registry::{Client, Reference, Referrer, Sink};
use crate::settings::Bytes;
use crate::time::now;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It holds.
    Ok,
    /// It does not.
    Failed,
    /// There is nothing to check, and nobody asked for it.
    Absent,
    /// It does not, and this once that is no reason to refuse the image.
    Waived,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// Why.
    pub detail: String,
}

/// What is asked of an image beyond being whole.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Whose signature.
    pub trust: Option<Trust>,
    /// Whether there must be one, whoever's.
    pub signed: bool,
    /// Whether it must have passed a scan, even where its provenance says why it was published without.
    pub scanned: bool,
    /// Whether one that failed its scan is taken where its provenance says why it was published.
    pub takes_failed: bool,
    /// The most days since it was scanned.
    pub scanned_within_days: Option<u64>,
    /// Whether a scan that is older than that is told of and no more.
    pub takes_older: bool,
    /// The builder that provenance must name, or the beginning of its name.
    pub builder: Option<String>,
    /// Whether there must be a bill of materials.
    pub sbom: bool,
}

/// Checks the image `at`, whose digest is `digest`. An error is one of asking; what is wrong of the image is
/// in the checks.
pub fn verify(
    client: &Client,
    at: &Reference,
    digest: &Digest,
    demands: &Demands,
    folder: &Path,
    plain_http: bool,
) -> Result<Vec<Check>> {
    let trusted = match &demands.trust {
        None => None,
        Some(trust) => {
            crate::publish::need_cosign()?;
            Some((trust, Access::new(folder, at.registry(), client.credentials(at)?)?))
        }
    };
    let (whole, annotations) = match whole(client, at, digest) {
        Ok((detail, annotations)) => (check("complete", State::Ok, detail), annotations),
        Err(error) => (check("complete", State::Failed, one_line(&error)), Annotations::new()),
    };
    let referrers = client.referrers(at, digest, None)?;
    let of = |kind: &str| {
        referrers.iter().filter(|one| one.artifact_type.as_deref() == Some(kind)).collect::<Vec<_>>()
    };
    let image = at.with_digest(*digest).to_string();
    let signed_as = |said: Said| {
        let statements =
            |(trust, access): &(&Trust, Access)| trust.statements(said, &image, plain_http, access);
        trusted.as_ref().map(statements).transpose()
    };
    let statements = signed_as(Said::Provenance)?;
    let documents = signed_as(Said::Documents)?.map(|statements| listed(&statements));
    let (said, unscanned) =
        said(client, at, digest, &of(PROVENANCE), &annotations, demands, statements.as_deref());
    let read = |kind: &str| {
        let one = |referrer: &&Referrer| {
            let bytes = document(client, at, referrer).map_err(|error| one_line(&error))?;
            let name = (kind.to_owned(), Digest::of(&bytes));
            let vouched = documents.as_ref().is_none_or(|documents| documents.contains(&name));
            Ok(if vouched { Found::Document(bytes) } else { Found::Unsigned })
        };
        of(kind).iter().map(one).collect::<Vec<_>>()
    };
    let scanned = scanned(read(SCAN), digest, unscanned, demands, now());
    let sbom = sbom(read(SBOM), demands.sbom);
    let answer = trusted.as_ref().map(|(trust, access)| trust.signed(&image, plain_http, access));
    let signed = signed(&referrers, demands, answer.transpose()?);
    Ok(vec![whole, said, scanned, sbom, signed])
}

pub(super) fn check(name: &'static str, state: State, detail: impl Into<String>) -> Check {
    // Part of it may be what somebody attached to the image.
    Check { name, state, detail: plain_line(&detail.into()) }
}

/// An error as a table shows it.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    render(error).lines().map(str::trim).collect::<Vec<_>>().join("; ").replace("error: ", "")
}

/// A place for bytes of which only the digest matters.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Nowhere {
    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pulls everything and holds it against its digests.
fn whole(client: &Client, at: &Reference, digest: &Digest) -> Result<(String, Annotations)> {
    let top = client.manifest(&at.with_digest(*digest))?;
    let mut manifests = vec![top.clone()];
    let mut annotations = Annotations::new();
    if oci::is_index(&top.media_type) {
        let index: Index = oci::from_bytes(&digest.to_string(), &top.bytes)?;
        annotations = index.annotations;
        if index.manifests.is_empty() {
            return Err(Fault::failed("it is an index that lists no image").into());
        }
        manifests.clear();
        for entry in &index.manifests {
            let what = entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string);
            manifests.push(client.manifest(&at.with_digest(entry.digest)).context(what)?);
        }
    }
    let (mut bytes, count) = (0, manifests.len());
    for manifest in manifests {
        let image: Manifest = oci::from_bytes(&manifest.digest.to_string(), &manifest.bytes)?;
        for blob in image.layers.iter().chain([&image.config]) {
            client.blob(at, &blob.digest, blob.size, &mut Nowhere, &|_| ())?;
            bytes += blob.size;
        }
    }
    Ok((format!("{count} platforms, {} as their digests say", Bytes(bytes)), annotations))
}

/// The provenance, and what it says of a missing scan.
fn said(
    client: &Client,
    at: &Reference,
    digest: &Digest,
    found: &[&Referrer],
    annotations: &Annotations,
    demands: &Demands,
    signed: Option<&[Value]>,
) -> (Check, Option<String>) {
    const NAME: &str = "provenance";
    let mut why = "there is none".to_owned();
    let mut unscanned = None;
    // Several runs may have published the same bytes; one that holds is enough, and one that had a passing
    // scan says more than one that went around it.
    for referrer in found.iter().rev() {
        let read = document(client, at, referrer).map_err(|error| one_line(&error));
        let is_signed = |bytes: &[u8]| {
            let statement: Value = serde_json::from_slice(bytes).unwrap_or_default();
            signed.is_none_or(|signed| signed.iter().any(|one| one["predicate"] == statement["predicate"]))
        };
        let read = read.and_then(|bytes| Ok((provenance(&bytes, digest)?, is_signed(&bytes))));
        let said = match read {
            Ok((_, false)) => {
                "it is not signed by whom is wanted".clone_into(&mut why);
                continue;
            }
            Ok((said, true)) => said,
            Err(wrong) => {
                why = wrong;
                continue;
            }
        };
        if let Some(wanted) = demands.builder.as_ref().filter(|wanted| !said.builder.starts_with(*wanted)) {
            why = format!("built by {}, and {wanted} is wanted", said.builder);
            continue;
        }
        let label = annotations.get("org.opencontainers.image.revision");
        let label = label.map(|text| text.trim_end_matches("-dirty").to_owned());
        if label.is_some() && said.revision.is_some() && label != said.revision {
            why = format!(
                "it names the commit {}, and the image {}",
                shown(said.revision.as_ref()),
                shown(label.as_ref())
            );
            continue;
        }
        let how = if signed.is_some() { ", signed" } else { "" };
        let detail = format!("by {} from {}{how}", said.builder, shown(said.revision.as_ref()));
        let check = check(NAME, State::Ok, detail);
        match said.unscanned {
            None => return (check, None),
            Some(reason) => drop(unscanned.get_or_insert((check, reason))),
        }
    }
    match unscanned {
        Some((check, reason)) => (check, Some(reason)),
        None => (check(NAME, State::Failed, why), None),
    }
}

fn shown(text: Option<&String>) -> &str {
    text.map_or("an unknown commit", String::as_str)
}

/// `answer` is what cosign says, where somebody said whose signature is wanted.
fn signed(referrers: &[Referrer], demands: &Demands, answer: Option<Result<(), String>>) -> Check {
    const NAME: &str = "signature";
    let is_signature = |one: &&Referrer| {
        let kind = one.artifact_type.as_deref().unwrap_or_default();
        kind.starts_with(SIGNATURE)
    };
    match answer {
        Some(Ok(())) => check(NAME, State::Ok, "cosign verifies it"),
        Some(Err(why)) => check(NAME, State::Failed, why),
        None => match (referrers.iter().filter(is_signature).count(), demands.signed) {
            (0, false) => check(NAME, State::Absent, "there is none"),
            (0, true) => check(NAME, State::Failed, "there is none"),
            (_, true) => check(NAME, State::Failed, "nobody said whose is wanted: --key or --identity"),
            (_, false) => check(NAME, State::Absent, "not verified: --key or --identity says whose"),
        },
    }
}
