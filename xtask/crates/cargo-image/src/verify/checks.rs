//! The checks, each of which ends in a word and a reason.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::documents::{Found, sbom, scanned};
use super::integrity::whole;
use super::provenance::provenance;
use crate::publish::{
    Access, DocumentKind, PROVENANCE, SCAN, SIGNATURE, SignedBy, StatementKind, Trust, listed, need_cosign,
};
use cli_support::digest::Digest;
use cli_support::error::{Fault, plain_line, render};
use cli_support::time::now;
use oci_image::oci::{self, Annotations, Manifest};
use oci_registry::{Client, Reference, Referrer};

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
    /// Whether an older scan is only a warning.
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
            need_cosign()?;
            Some((trust, Access::new(folder, at.registry(), client.credentials(at)?)?))
        }
    };
    let (whole, annotations) = match whole(client, at, digest) {
        Ok((detail, annotations)) => (check("complete", State::Ok, detail), annotations),
        Err(error) => (check("complete", State::Failed, one_line(&error)), Annotations::new()),
    };
    let referrers = client.referrers(at, digest, None)?;
    let image = at.with_digest(*digest).to_string();
    let signed_as = |said: StatementKind| {
        let statements =
            |(trust, access): &(&Trust, Access)| trust.statements(said, &image, plain_http, access);
        trusted.as_ref().map(statements).transpose()
    };
    let statements = signed_as(StatementKind::Provenance)?;
    let documents = signed_as(StatementKind::Documents)?.map(|statements| listed(&statements));
    let is_signed = |kind: &DocumentKind, bytes: &[u8]| match (kind.signed, &statements, &documents) {
        (SignedBy::Statement(_), Some(statements), _) => {
            let said: Value = serde_json::from_slice(bytes).unwrap_or_default();
            statements.iter().any(|one| one["predicate"] == said["predicate"])
        }
        (SignedBy::Digest, _, Some(documents)) => {
            documents.contains(&(kind.media_type.to_owned(), Digest::of(bytes)))
        }
        (_, None, _) | (_, _, None) => true,
    };
    let read = |kind: &DocumentKind| {
        let one = |referrer: &Referrer| {
            let bytes = document(client, at, referrer).map_err(|error| one_line(&error))?;
            Ok(if is_signed(kind, &bytes) { Found::Document(bytes) } else { Found::Unsigned })
        };
        let of_kind = referrers.iter().filter(|one| one.artifact_type.as_deref() == Some(kind.media_type));
        of_kind.map(one).collect::<Vec<_>>()
    };
    let label = annotations.get("org.opencontainers.image.revision").map(String::as_str);
    let (said, unscanned) = provenance(read(&PROVENANCE), digest, label, demands);
    let scanned = scanned(read(&SCAN), digest, unscanned, demands, now());
    let sboms = DocumentKind::of_check("sbom").map(|kind| (kind, read(kind)));
    let sbom = sbom(sboms.collect(), demands.sbom);
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

/// The document that a referrer holds: the one layer of its manifest, its bytes as its digest says.
fn document(client: &Client, at: &Reference, referrer: &Referrer) -> Result<Vec<u8>> {
    let manifest = client.manifest(&at.with_digest(referrer.digest))?;
    let manifest: Manifest = oci::from_bytes(&referrer.digest.to_string(), &manifest.bytes)?;
    let mut bytes = Vec::new();
    if let Some(layer) = manifest.layers.first() {
        if layer.size > oci::MAX_DOCUMENT * 8 {
            anyhow::bail!(Fault::failed("a document of this size is not read").at(layer.digest));
        }
        client.blob(at, &layer.digest, layer.size, &mut bytes, &|_| ())?;
    }
    Ok(bytes)
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
